// Quickstart-hdfs runs an HDFS cluster on an embedded Mesos: three journal nodes,
// two name nodes with automatic failover, three data nodes, and a ZooKeeper beside
// them. It kills the active name node while files are written, and counts which
// came back with the right checksums.
//
//	go run ./examples/quickstart-hdfs          # stays up until Ctrl-C
//	go run ./examples/quickstart-hdfs -once    # ends by itself
//
// HDFS is obtained by mvn the first time. All files but the cached server are in a
// temporary directory and go with it. It exits with 0 only if every acknowledged
// file came back.
package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mesokit/mesokit/examples/internal/quickstart"
	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/hdfs"
	"github.com/mesokit/mesokit/frameworks/hdfs/hdfstest"
	"github.com/mesokit/mesokit/internal/dist"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

func main() {
	quickstart.Main(quickstart.Program{
		Executor: executor.Config{Steps: hdfs.Steps()},
		Agents:   agents(),
		Declare:  declare,
		Work:     work,
		Try: []string{
			"go run ./frameworks/hdfs/mesos-hdfs status",
			"go run ./frameworks/hdfs/mesos-hdfs name restart 0 --wait",
			"go run ./frameworks/hdfs/mesos-hdfs data add",
			"go run ./frameworks/hdfs/mesos-hdfs client-config /tmp",
		},
	})
}

const (
	nodes  = 8 // three journal, two name and three data nodes
	count  = 200
	middle = count / 3 // when the active name node is killed
	within = 3 * time.Minute
)

// agents have ports of their own: name nodes know the data nodes of one machine,
// which these agents are, by their ports.
func agents() []mesostest.AgentConfig {
	var out []mesostest.AgentConfig
	for i := range 4 {
		out = append(out, quickstart.Agents(1, 1, fmt.Sprintf("cpus:2;mem:2048;disk:8192;ports:[%d-%d]", 31000+100*i, 31099+100*i))[0])
		out[i].Attributes = fmt.Sprintf("rack:r%d", 1+i/2)
	}
	return out
}

// declare obtains the servers, starts ZooKeeper, and declares nodes that need
// little and notice soon what is wrong.
func declare(ctx context.Context, s *quickstart.Stage) (*frameworks.Service, error) {
	server, err := dist.HDFS(ctx, s.Progress)
	if err != nil {
		return nil, err
	}
	s.Say("HDFS %s is in %s", server.Version, server.Dir)
	zookeeper, err := startZooKeeper(ctx, s, server)
	if err != nil {
		return nil, err
	}
	s.Say("ZooKeeper is at %s", zookeeper)
	return cluster(server, zookeeper).Service(), nil
}

func cluster(server dist.Distribution, zookeeper string) hdfs.Cluster {
	d := hdfs.Distribution{
		Java: server.Java, Classpath: server.Classpath(),
		Flags: []string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"},
	}
	if server.ClassArchive != "" {
		d.Flags = append(d.Flags, "-XX:SharedArchiveFile="+server.ClassArchive)
	}
	return hdfs.Cluster{
		Journal:   hdfs.Nodes{CPUs: 0.1, Mem: 192, Heap: 48, Disk: 512},
		Namenode:  hdfs.Nodes{CPUs: 0.2, Mem: 512, Heap: 128, Disk: 512},
		Data:      hdfs.Nodes{CPUs: 0.2, Mem: 256, Heap: 96, Disk: 2048},
		ZooKeeper: zookeeper,
		Options: map[string]string{
			"dfs.replication":                         "2",
			"dfs.blocksize":                           "1048576",
			"dfs.ha.tail-edits.period":                "1s",
			"ha.zookeeper.session-timeout.ms":         "4000",
			"ha.health-monitor.check-interval.ms":     "500",
			"dfs.heartbeat.interval":                  "1",
			"dfs.namenode.heartbeat.recheck-interval": "5000",
		},
		Distribution: d,
	}
}

// work writes files while the active name node dies, and counts what came back.
func work(ctx context.Context, s *quickstart.Stage) (quickstart.Result, error) {
	ledger := quickstart.NewLedger(count)
	status, err := s.AwaitReady(ctx, nodes)
	if err == nil && !slices.ContainsFunc(status.Nodes, active) {
		status, err = s.Await(ctx, "a name node active", func(st frameworks.Status) bool { return slices.ContainsFunc(st.Nodes, active) })
	}
	if err != nil {
		return ledger.Result(), err
	}
	name := status.Nodes[slices.IndexFunc(status.Nodes, active)]
	files := hdfstest.New(s.Client)
	defer files.Close()
	s.Say("writing %d files; %s is the active name node", count, name.Name)
	limited, cancel := context.WithTimeoutCause(ctx, within, errors.New("the files took more than 3 minutes"))
	defer cancel()
	for i := range count {
		if i == middle {
			if err := s.Kill(ctx, name); err != nil {
				return ledger.Result(), err
			}
		}
		if err := files.Write(limited, i, content(i)); err != nil {
			return ledger.Result(), err
		}
		ledger.Acknowledge(i)
	}
	trouble, stall, _ := files.Trouble()
	s.Say("%d files acknowledged, after %d errors of the client that were tried again; the longest write took %s",
		ledger.Acknowledged(), trouble, stall.Round(time.Millisecond))
	if err := s.AwaitReturn(ctx, name); err != nil {
		return ledger.Result(), err
	}
	for i := range count {
		if err := files.Read(limited, i, content(i)); err != nil {
			return ledger.Result(), err
		}
		ledger.Read(i)
	}
	return ledger.Result(), nil
}

func active(n frameworks.NodeStatus) bool { return n.Role == "active" }

// content is a little more than a block for every tenth file.
func content(i int) []byte {
	if i%10 == 0 {
		return hdfstest.Content(i, 1<<20+4711)
	}
	return hdfstest.Content(i, 50_000+i)
}
