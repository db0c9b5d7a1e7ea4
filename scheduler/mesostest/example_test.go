package mesostest_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/mesokit/mesokit/scheduler/mesostest"
)

func ExampleStart() {
	c, err := mesostest.Start(context.Background(), mesostest.Config{Agents: []mesostest.AgentConfig{
		{Hostname: "host1.test", Resources: "cpus:4;mem:2048", Attributes: "rack:r1"},
		{Hostname: "host2.test", Resources: "cpus:4;mem:2048", Attributes: "rack:r2"},
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	resp, err := http.Get(c.URL() + "/health")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status, len(c.Agents()))
	// Output: 200 OK 2
}
