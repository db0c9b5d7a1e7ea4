package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks/cli/clitest"
	"github.com/mesokit/mesokit/internal/dist"
)

func TestMain(m *testing.M) { clitest.Main(m, main) }

// ringDelay is how long a node that joins has to hear of its peers. Where the machine
// is busy with other things, 5 seconds were seen to be too few: it took over nothing.
func ringDelay() time.Duration {
	if os.Getenv("MESOKIT_SOAK") != "" {
		return 10 * time.Second
	}
	return 5 * time.Second
}

// onCassandra are the flags for small nodes, which start quickly.
func onCassandra(t *testing.T, d dist.Distribution) []string {
	args := []string{
		"--cassandra", d.Classpath(), "--java", d.Java,
		"--cpus", "0.2", "--mem", "448", "--heap", "192", "--disk", "512",
		"--storage-port", "31000", "--cql-port", "31001", "--tokens", "4",
		"--grace", "1m",
	}
	for _, jar := range d.Jars {
		if strings.HasPrefix(filepath.Base(jar), "jolokia-agent-jvm") {
			args = append(args, "--jolokia", jar)
		}
	}
	require.Contains(t, args, "--jolokia")
	flags := []string{
		"-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dcassandra.skip_wait_for_gossip_to_settle=0", fmt.Sprintf("-Dcassandra.ring_delay_ms=%d", ringDelay().Milliseconds()),
		"-Dcassandra.gossip_quarantine_delay_ms=10000", "-Dcassandra.broadcast_interval_ms=2000",
		"-Dcassandra.shutdown_announce_in_ms=500", "-Dcassandra.schema_pull_interval_ms=5000",
	}
	if d.ClassArchive != "" {
		flags = append(flags, "-XX:SharedArchiveFile="+d.ClassArchive)
	}
	for _, flag := range flags {
		args = append(args, "--jvm-flag", flag)
	}
	return args
}
