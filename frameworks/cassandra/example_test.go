package cassandra_test

import (
	"fmt"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/frameworks/cassandra"
)

// A ring is a declaration; its Service is what frameworks.Run takes.
func Example() {
	orders := cassandra.Cluster{
		Name: "orders", Nodes: 6, CPUs: 4, Mem: 16384, Heap: 8192, Disk: 500_000,
		Place:         constraints.MustParse("hostname:UNIQUE", "rack:GROUP_BY:3"),
		RackAttribute: "rack",
		Options:       map[string]string{"concurrent_reads": "64"},
		Distribution: cassandra.Distribution{
			Classpath: "/opt/cassandra/lib/*", Jolokia: "/opt/jolokia-agent-jvm-2.6.0-javaagent.jar", Flags: []string{"-XX:+UseZGC"},
		},
	}
	fmt.Println(orders.Validate())
	fmt.Println(orders.Service().Pods[0].Needs)

	orders.Options["concurrent_read"] = "64"
	orders.Options["num_tokens"] = "8"
	fmt.Println(orders.Validate())
	// Output:
	// <nil>
	// cpus:4;mem:16384
	// Cluster.Options: concurrent_read: Cassandra has no such option; did you mean concurrent_reads?
	// Cluster.Options: num_tokens: is set by the framework: use Cluster.Tokens
}
