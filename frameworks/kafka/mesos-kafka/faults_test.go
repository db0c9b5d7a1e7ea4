package main

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/cli/clitest"
	"github.com/mesokit/mesokit/internal/dist/disttest"
	"github.com/mesokit/mesokit/scheduler/mesostest"
	"github.com/mesokit/mesokit/scheduler/state"
)

// TestBrokerThatDiesAtStart lets a broker find its port taken three times.
func TestBrokerThatDiesAtStart(t *testing.T) {
	server := disttest.Kafka(t)
	c := mesostest.New(t, clitest.QuickAgents(1, "cpus:1;mem:512;disk:1024;ports:[31000-31009]"))
	address := net.JoinHostPort(c.Agent(0).Address(), "31005")
	squatter, err := net.Listen("tcp", address)
	require.NoError(t, err)
	defer squatter.Close()
	f := clitest.New(t, c, onKafka(server, "--brokers", "1", "--controller-port", "31005", "--backoff-first", "500ms", "--backoff-max", "5s")...)
	f.Start()

	for failures := 1; failures <= 3; failures++ {
		f.AwaitNode("broker-0", "failed again", func(n frameworks.NodeStatus) bool { return n.Failures == failures })
	}
	table := f.Operate("status")
	assert.Contains(t, table, "broker-0 failed 3 times in a row")
	assert.Contains(t, table, "exited with status 1; last lines:\n", "the log's last lines are shown")
	assert.Contains(t, table, "Address already in use")
	retries, launches := times(t, f, retried), times(t, f, launched)
	require.Len(t, retries, 3)
	for i, retry := range retries[:2] { // how the pauses grow is for the engine's own tests
		assert.False(t, launches[i+1].Before(retry), "try %d at %v, and not before %v", i+2, launches[i+1], retry)
	}

	require.NoError(t, squatter.Close())
	n := f.AwaitReady(1).Nodes[0]
	assert.Equal(t, 1, n.Generation, "it is still in its first place")
	f.AwaitNode("broker-0", "forgiven, once it has been ready for the longest pause", func(n frameworks.NodeStatus) bool {
		return n.Phase == frameworks.Ready && n.Failures == 0
	})
}

var (
	retried  = regexp.MustCompile(`^time=\S+ .* msg=failed .* retry=(\S+)`)
	launched = regexp.MustCompile(`^time=(\S+) .* msg=launched `)
)

// times are those that the scheduler said in lines of a kind.
func times(t *testing.T, f *clitest.Scheduler, kind *regexp.Regexp) []time.Time {
	var out []time.Time
	for _, line := range f.Said() {
		if m := kind.FindStringSubmatch(line); m != nil {
			at, err := time.Parse(time.RFC3339Nano, m[1])
			require.NoError(t, err)
			out = append(out, at)
		}
	}
	return out
}

// TestSpecThatCannotFit asks the status why brokers have no place. None starts.
func TestSpecThatCannotFit(t *testing.T) {
	t.Parallel()
	c := mesostest.New(t, mesostest.Agents(2, "cpus:4;mem:1024;disk:10000;ports:[31000-31009]"))
	fits := []string{"--kafka", "/opt/kafka", "--mem", "512"}
	for _, test := range []struct {
		name string
		args []string
		want []string
	}{
		{"memory", append(fits, "--name", "big", "--brokers", "1", "--mem", "1500"),
			[]string{"no place for broker-0: 2 agents looked at: 2 × mem: wants 1500, best 1024 on ", "(short by 476)", "broker-0  placing  -      -        -     -      0"}},
		{"a port that no agent offers", append(fits, "--name", "ported", "--brokers", "1", "--client-port", "9092"),
			[]string{"no place for broker-0: 2 agents looked at: 2 × ports"}},
		{"one agent too few", append(fits, "--name", "wide"),
			[]string{"no place for broker-2: 2 agents looked at: 2 × hostname:UNIQUE", "broker-0  reserv"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := clitest.New(t, c, test.args...)
			f.Start()
			f.Await("told why", func(s frameworks.Status) bool {
				for _, n := range s.Nodes {
					if strings.Contains(n.Refused, "2 agents looked at") {
						return true
					}
				}
				return false
			})
			table := f.Operate("status")
			for _, want := range test.want {
				assert.Contains(t, table, want)
			}
			assert.Empty(t, c.Tasks(), "none is launched before all have their places")
		})
	}
}

// TestWrongUse holds errors to their words and exit statuses, and to leaving
// nothing half made.
func TestWrongUse(t *testing.T) {
	t.Parallel()
	taken := t.TempDir()
	store, err := state.OpenFile(taken)
	require.NoError(t, err)
	t.Cleanup(func() { store.Close() })
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { busy.Close() })

	for _, test := range []struct {
		name   string
		args   []string // of the scheduler command: after what makes it right
		status int
		want   []string
	}{
		{"heap above memory", []string{"--mem", "512", "--heap", "1024"}, 2, []string{"--heap: 1024: wants at most 384 MiB, which is Mem (512)"}},
		{"unknown option", []string{"--option", "log.retention.hour=3"}, 2, []string{"log.retention.hour: Kafka has no such option; did you mean log.retention.hours?"}},
		{"option of the framework", []string{"--option", "node.id=3"}, 2, []string{"node.id: is set by the framework"}},
		{"option without a value", []string{"--option", "log.retention.hours"}, 2, []string{`"--option" flag: wants key=value`}},
		{"option twice", []string{"--option", "num.io.threads=3", "--option", "num.io.threads=4"}, 2, []string{`num.io.threads is "3" already`}},
		{"constraint", []string{"--constraint", "hostname:UNIQ"}, 2, []string{"--constraint", "UNIQ", "UNIQUE"}},
		{"port", []string{"--client-port", "9099-9092"}, 2, []string{`invalid argument "9099-9092" for "--client-port" flag: wants a port such as 9092, or a range`}},
		{"service name", []string{"--name", "My Kafka"}, 2, []string{`--name: "My Kafka": wants lower case`}},
		{"role", []string{"--role", "*"}, 2, []string{`--role: "*": wants a role of its own`}},
		{"all at once", []string{"--kafka", "", "--master", "", "--brokers", "-1"}, 2, []string{`--kafka: "": wants where Kafka is`, "--master: is not set", "--brokers: -1"}},
		{"every address", []string{"--api", ":7000"}, 2, []string{"--api-url: is not set, and --api :7000 is every address"}},
		{"unknown flag", []string{"--broker", "3"}, 2, []string{"unknown flag: --broker"}},
		{"flag that is no number", []string{"--brokers", "three"}, 2, []string{`invalid argument "three" for "--brokers"`}},
		{"a second heap", []string{"--jvm-flag", "-Xmx1g"}, 2, []string{`--jvm-flag: "-Xmx1g": is set by the framework`}},
		{"secret without a principal", []string{"--secret-file", "/nowhere"}, 2, []string{"--principal: is not set, and --secret-file is"}},
		{"an argument", []string{"now"}, 2, []string{`mesos-kafka scheduler`, `"now"`}},
		{"master", []string{"--master", "ftp://x"}, 1, []string{"ftp://x"}},
		{"state that is taken", []string{"--state", taken}, 1, []string{"state directory " + taken + " is taken by process ", "stop it first"}},
		{"port in use", []string{"--api", busy.Addr().String()}, 1, []string{"--api " + busy.Addr().String() + ": the port is in use"}},
		{"secret that is not there", []string{"--principal", "ops", "--secret-file", "/nowhere"}, 1, []string{"--secret-file: open /nowhere"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "state")
			args := append([]string{
				"scheduler", "--master", "127.0.0.1:1", "--state", dir, "--api", "127.0.0.1:0", "--kafka", "/opt/kafka",
			}, test.args...)
			out, complaint, status := clitest.Run(t, args...)
			assert.Equal(t, test.status, status, complaint)
			assert.Empty(t, out)
			for _, want := range test.want {
				assert.Contains(t, complaint, want)
			}
			assert.NotContains(t, complaint, "panic")
			left, err := os.ReadDir(dir)
			assert.True(t, err != nil || len(left) <= 2, "something was half made: %v", left)
		})
	}
}

func TestWrongCommands(t *testing.T) {
	t.Parallel()
	nobody := clitest.FreeAddress(t)
	for _, test := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"nothing", nil, 0, ""},
		{"unknown command", []string{"stauts"}, 2, "stauts"},
		{"unknown wish", []string{"broker", "destroy", "1"}, 2, "destroy"},
		{"no broker", []string{"broker", "stop"}, 2, "mesos-kafka broker stop: requires at least 1 arg"},
		{"count", []string{"broker", "add", "-3"}, 2, "unknown shorthand flag"},
		{"count that is none", []string{"broker", "add", "0"}, 2, `count "0": wants 1 or more`},
		{"no scheduler", []string{"status", "--api", nobody}, 1, "connection refused"},
		{"no scheduler to ask", []string{"broker", "restart", "1", "--api", nobody}, 1, "restart: ask the service"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, complaint, status := clitest.Run(t, test.args...)
			assert.Equal(t, test.status, status, complaint)
			assert.Contains(t, complaint, test.want)
		})
	}
}
