package metrics_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http/httptest"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
	"github.com/mesokit/mesokit/scheduler/metrics"
)

func Example() {
	ctx := context.Background()
	cluster, err := mesostest.Start(ctx, mesostest.Config{Agents: []mesostest.AgentConfig{{Resources: "cpus:1;mem:128"}}})
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()
	m := metrics.New()
	err = scheduler.Run(ctx, m.Watch(scheduler.Config{
		Master:    cluster.Master(),
		Framework: mesos.FrameworkInfo{Name: "short"},
		Logger:    slog.New(slog.DiscardHandler),
		// The policy: end the framework at the first offer.
		Handler: scheduler.HandlerFunc(func(_ scheduler.View, ev scheduler.Event) []scheduler.Action {
			if _, ok := ev.(scheduler.Offered); ok {
				return []scheduler.Action{scheduler.Teardown{}}
			}
			return nil
		}),
	}))
	if err != nil {
		log.Fatal(err)
	}
	scrape := httptest.NewRecorder()
	m.ServeHTTP(scrape, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(scrape.Body.String()) {
		if strings.HasPrefix(line, "mesokit_scheduler_offers_total ") || strings.Contains(line, `"teardown"`) || strings.Contains(line, "declines_total{") {
			fmt.Print(line)
		}
	}
	// Output:
	// mesokit_scheduler_calls_total{call="teardown"} 1
	// mesokit_scheduler_declines_total{reason="left over"} 1
	// mesokit_scheduler_offers_total 1
}
