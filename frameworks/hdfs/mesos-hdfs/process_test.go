package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/mesokit/mesokit/frameworks/cli/clitest"
	"github.com/mesokit/mesokit/internal/dist"
	"github.com/mesokit/mesokit/internal/dist/disttest"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

func TestMain(m *testing.M) { clitest.Main(m, main) }

// agents have ports of their own, for data nodes listen on all addresses of the
// machine, which the agents of a test share.
func agents(n int) mesostest.Option {
	return func(c *mesostest.Config) {
		for i := range n {
			from := 31000 + 40*i
			c.Agents = append(c.Agents, mesostest.AgentConfig{
				Resources: fmt.Sprintf("cpus:2;mem:2048;disk:4096;ports:[%d-%d]", from, from+39), RetryMin: time.Second,
			})
		}
	}
}

// onHDFS are the flags for a small cluster that notices soon.
func onHDFS(t *testing.T, d dist.Distribution, zookeeper *disttest.ZooKeeperServer) []string {
	flags := []string{
		"--zookeeper", zookeeper.Address, "--hadoop", d.Classpath(), "--java", d.Java,
		"--journal-cpus", "0.1", "--journal-mem", "192", "--journal-heap", "32", "--journal-disk", "512",
		"--name-cpus", "0.1", "--name-mem", "512", "--name-heap", "96", "--name-disk", "512",
		"--data-cpus", "0.1", "--data-mem", "256", "--data-heap", "64", "--data-disk", "512",
		"--backoff-first", "500ms", "--backoff-max", "5s",
	}
	for _, flag := range []string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xss512k", "-XX:ReservedCodeCacheSize=48m"} {
		flags = append(flags, "--jvm-flag", flag)
	}
	if d.ClassArchive != "" {
		flags = append(flags, "--jvm-flag", "-XX:SharedArchiveFile="+d.ClassArchive)
	}
	for _, option := range []string{
		"dfs.ha.log-roll.period=5s", "dfs.ha.tail-edits.period=1s", "dfs.journalnode.sync.interval=2000",
		"ha.zookeeper.session-timeout.ms=4000", "ha.health-monitor.check-interval.ms=500", "ha.health-monitor.rpc-timeout.ms=10000",
		"ha.health-monitor.connect-retry-interval.ms=500", "ha.health-monitor.sleep-after-disconnect.ms=500",
		"dfs.heartbeat.interval=1", "dfs.namenode.heartbeat.recheck-interval=2000",
		"dfs.namenode.stale.datanode.interval=3000",
		"dfs.namenode.redundancy.interval.seconds=1", "dfs.namenode.decommission.interval=1",
		"dfs.namenode.reconstruction.pending.timeout-sec=10", "dfs.namenode.replication.max-streams=20",
		"dfs.namenode.replication.max-streams-hard-limit=40", "dfs.namenode.replication.work.multiplier.per.iteration=20",
		"dfs.namenode.lease-hard-limit-sec=30", "dfs.replication=2", "dfs.blocksize=1048576", "dfs.namenode.fs-limits.min-block-size=1024",
	} {
		flags = append(flags, "--option", option)
	}
	return flags
}
