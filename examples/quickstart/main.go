// Quickstart runs three real Kafka brokers on an embedded Mesos, kills one
// while messages are produced, and counts what came back.
//
//	go run ./examples/quickstart          # stays up until Ctrl-C
//	go run ./examples/quickstart -once    # ends by itself
//
// It needs java 17 or newer and, the first time, mvn. All files but the cached
// Kafka are in a temporary directory and go with it. It exits with 0 only if
// every acknowledged message came back.
package main

import (
	"context"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/examples/internal/quickstart"
	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/kafka"
	"github.com/mesokit/mesokit/internal/dist"
)

func main() {
	quickstart.Main(quickstart.Program{
		Executor: executor.Config{Steps: kafka.Steps()},
		Agents:   quickstart.Agents(4, 2, "cpus:2;mem:1024;disk:4096;ports:[31000-31099]"),
		Declare:  declare,
		Work:     work,
		Try: []string{
			"go run ./frameworks/kafka/mesos-kafka status",
			"go run ./frameworks/kafka/mesos-kafka broker restart 2 --wait",
			"go run ./frameworks/kafka/mesos-kafka broker add",
		},
	})
}

const brokers = 3

// declare obtains Kafka, and declares brokers that start quickly and need
// little.
func declare(ctx context.Context, s *quickstart.Stage) (*frameworks.Service, error) {
	server, err := dist.Kafka(ctx, s.Progress)
	if err != nil {
		return nil, err
	}
	s.Say("kafka %s is in %s", server.Version, server.Dir)
	return cluster(server).Service(), nil
}

func cluster(server dist.Distribution) kafka.Cluster {
	flags := []string{"-Xms32m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}
	if server.ClassArchive != "" {
		flags = append(flags, "-XX:SharedArchiveFile="+server.ClassArchive)
	}
	return kafka.Cluster{
		Brokers: brokers, CPUs: 0.5, Mem: 512, Heap: 160, Disk: 1024,
		Place:         constraints.MustParse("hostname:UNIQUE", "rack:GROUP_BY:2"),
		RackAttribute: "rack",
		Distribution:  kafka.Distribution{Java: server.Java, Classpath: server.Classpath(), Flags: flags},
		// How soon the others notice that a broker is gone; 9 s and 2 s by default.
		Options: map[string]string{
			"broker.session.timeout.ms":        "3000",
			"broker.heartbeat.interval.ms":     "500",
			"group.initial.rebalance.delay.ms": "0",
		},
	}
}

// work produces messages while a broker dies, and counts what came back.
func work(ctx context.Context, s *quickstart.Stage) (quickstart.Result, error) {
	status, err := s.AwaitReady(ctx, brokers)
	if err != nil {
		return quickstart.Result{}, err
	}
	m, err := newMessages(ctx, status.Nodes)
	if err != nil {
		return quickstart.Result{}, err
	}
	defer m.close()
	s.Say("topic %s: 3 replicas, min.insync.replicas 2; producing %d messages with acks=all", topic, count)

	victim := status.Nodes[1]
	if err := m.produce(ctx, func() error { return s.Kill(ctx, victim) }); err != nil {
		return quickstart.Result{}, err
	}
	s.Say("%d messages acknowledged", m.Acknowledged())
	if err := s.AwaitReturn(ctx, victim); err != nil {
		return quickstart.Result{}, err
	}
	if err := m.consume(ctx); err != nil {
		return quickstart.Result{}, err
	}
	return m.Result(), nil
}
