// Quickstart-cassandra runs a ring of three Cassandra nodes on an embedded Mesos,
// kills one while rows are written at QUORUM, and counts what came back.
//
//	go run ./examples/quickstart-cassandra          # stays up until Ctrl-C
//	go run ./examples/quickstart-cassandra -once    # ends by itself
//
// It needs java 17 and, the first time, mvn. All files but the cached Cassandra
// are in a temporary directory and go with it. It exits with 0 only if every
// acknowledged row came back.
package main

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/examples/internal/quickstart"
	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/cassandra"
	"github.com/mesokit/mesokit/internal/dist"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

func main() {
	quickstart.Main(quickstart.Program{
		Executor: executor.Config{Steps: cassandra.Steps()},
		Agents:   agents(),
		Declare:  declare,
		Work:     work,
		Try: []string{
			"go run ./frameworks/cassandra/mesos-cassandra status",
			"go run ./frameworks/cassandra/mesos-cassandra node restart 2 --wait",
			"go run ./frameworks/cassandra/mesos-cassandra node add",
		},
	})
}

const (
	nodes      = 3
	datacenter = "dc1"
)

// agents have the two ports that each node of a ring has.
func agents() []mesostest.AgentConfig {
	return quickstart.Agents(4, 2, "cpus:2;mem:1024;disk:4096;ports:[7000-7000,9042-9042,31000-31099]")
}

// declare obtains Cassandra, and declares nodes that start quickly and need
// little.
func declare(ctx context.Context, s *quickstart.Stage) (*frameworks.Service, error) {
	server, err := dist.Cassandra(ctx, s.Progress)
	if err != nil {
		return nil, err
	}
	s.Say("cassandra %s is in %s", server.Version, server.Dir)
	jolokia := slices.IndexFunc(server.Jars, func(jar string) bool { return strings.HasPrefix(filepath.Base(jar), "jolokia-agent-jvm") })
	if jolokia < 0 {
		return nil, errors.New("there is no Jolokia among its jars")
	}
	return cluster(server, server.Jars[jolokia]).Service(), nil
}

func cluster(server dist.Distribution, jolokia string) cassandra.Cluster {
	flags := []string{
		"-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		// What nodes wait for their peers, shortened to what one machine needs.
		"-Dcassandra.ring_delay_ms=5000", "-Dcassandra.skip_wait_for_gossip_to_settle=0",
		"-Dcassandra.broadcast_interval_ms=2000", "-Dcassandra.shutdown_announce_in_ms=500",
	}
	if server.ClassArchive != "" {
		flags = append(flags, "-XX:SharedArchiveFile="+server.ClassArchive)
	}
	return cassandra.Cluster{
		Nodes: nodes, CPUs: 0.5, Mem: 512, Heap: 192, Disk: 1024,
		Place:      constraints.MustParse("hostname:UNIQUE", "rack:GROUP_BY:2"),
		Datacenter: datacenter, RackAttribute: "rack", Tokens: 4,
		Distribution: cassandra.Distribution{Java: server.Java, Classpath: server.Classpath(), Jolokia: jolokia, Flags: flags},
	}
}

// work writes rows while a node dies, and counts what came back.
func work(ctx context.Context, s *quickstart.Stage) (quickstart.Result, error) {
	status, err := s.AwaitReady(ctx, nodes)
	if err != nil {
		return quickstart.Result{}, err
	}
	r, err := newRows(ctx, status.Nodes)
	if err != nil {
		return quickstart.Result{}, err
	}
	defer r.session.Close()
	s.Say("a keyspace with 3 replicas; writing %d rows, each acknowledged by a quorum of them", count)
	victim := status.Nodes[1]
	if err := r.write(ctx, func() error { return s.Kill(ctx, victim) }); err != nil {
		return quickstart.Result{}, err
	}
	s.Say("%d rows acknowledged; the driver tried %d statements again", r.Acknowledged(), r.again.Load())
	if err := s.AwaitReturn(ctx, victim); err != nil {
		return quickstart.Result{}, err
	}
	if err := r.read(ctx); err != nil {
		return quickstart.Result{}, err
	}
	return r.Result(), nil
}
