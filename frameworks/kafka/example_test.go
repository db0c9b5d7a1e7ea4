package kafka_test

import (
	"fmt"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/frameworks/kafka"
)

// A cluster is a declaration; its Service is what frameworks.Run takes.
func Example() {
	events := kafka.Cluster{
		Name: "events", Brokers: 3, CPUs: 2, Mem: 4096, Heap: 2048, Disk: 100_000,
		Place:         constraints.MustParse("hostname:UNIQUE", "rack:GROUP_BY:3"),
		RackAttribute: "rack",
		Options:       map[string]string{"log.retention.hours": "24"},
		Distribution:  kafka.Distribution{Classpath: "/opt/kafka/libs/*"},
	}
	fmt.Println(events.Validate())
	fmt.Println(events.Service().Pods[0].Needs)

	events.Heap = 4096
	events.Options["log.retention.hour"] = "24"
	fmt.Println(events.Validate())
	// Output:
	// <nil>
	// cpus:2;mem:4096
	// Cluster.Heap: 4096: wants at most 3968 MiB, which is Mem (4096) less the 128 that is needed beside the heap
	// Cluster.Options: log.retention.hour: Kafka has no such option; did you mean log.retention.hours? what only a plugin knows goes into PluginOptions
}
