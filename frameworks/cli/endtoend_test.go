package cli_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/cli"
	"github.com/mesokit/mesokit/frameworks/cli/clitest"
	"github.com/mesokit/mesokit/internal/dist/disttest"
	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

func TestMain(m *testing.M) { clitest.Main(m, func() { cli.Main(tiny) }) }

// tiny is a framework of servers that do nothing.
var tiny = cli.App{
	Name: "mesos-tiny", Short: "Run sleepers",
	Declaration: new(sleepers),
	Pods:        []cli.Pod{{Name: "sleeper", Port: "door"}},
}

type sleepers struct{ count int }

func (s *sleepers) AddFlags(f *pflag.FlagSet) {
	f.IntVar(&s.count, "sleepers", 1, "how many")
}

func (s *sleepers) Service(c cli.Common) *frameworks.Service {
	return &frameworks.Service{
		Name: c.Name, Role: c.Role, Principal: c.Principal, User: c.User, Binary: c.Binary,
		Pods: []frameworks.Pod{{
			Name: "sleeper", Count: s.count, Command: "exec sleep 1000",
			Needs: offers.MustParse("cpus:0.1;mem:16"), Ports: []frameworks.Port{{Name: "door"}},
			Place: c.Place, Backoff: c.Backoff, Grace: c.Grace,
		}},
	}
}

const room = "cpus:1;mem:256;disk:256;ports:[31000-31009]"

// TestOperator takes a framework through what its operator can want.
func TestOperator(t *testing.T) {
	t.Parallel()
	c := mesostest.New(t, clitest.QuickAgents(2, room))
	s := clitest.New(t, c, "--sleepers", "2", "--constraint", "hostname:UNIQUE", "--grace", "1s")
	s.Start()
	assert.Contains(t, s.Operate("status", "--wait"), "tiny: 2 of 2 sleepers ready; framework ")
	first := s.Node("sleeper-0")
	s.Operate("sleeper", "restart", "0", "1", "--wait")
	again := s.Node("sleeper-0")
	assert.Equal(t, clitest.Residence(first), clitest.Residence(again))
	assert.Equal(t, first.Incarnation+1, again.Incarnation)
	assert.Contains(t, s.Operate("sleeper", "stop", "sleeper-1", "--wait"), "sleeper-1  stopped")
	assert.Contains(t, s.Operate("sleeper", "start", "1", "--wait", "--json"), `"phase": "ready"`)
	assert.Contains(t, s.Operate("sleeper", "add"), "sleeper-2  ") // for which hostname:UNIQUE leaves no place
	s.Operate("sleeper", "remove", "2", "--wait")
	assert.Len(t, s.AwaitReady(2).Nodes, 2)

	s.Kill()
	s.Start()
	assert.Equal(t, again.Task, s.AwaitReady(2).Nodes[0].Task, "it outlives its scheduler")
	assert.Zero(t, s.Terminate())
	s.Start()
	s.AwaitReady(2)
	s.Operate("uninstall", "tiny", "--wait")
	assert.Zero(t, s.Ended(), "the scheduler ends by itself")
	assert.Empty(t, c.Tasks())
	_, complaint, status := clitest.Run(t, "status", "--api", s.URL)
	assert.Equal(t, 1, status)
	assert.Contains(t, complaint, "mesos-tiny: ask the service: ")

	out, _, status := clitest.Run(t, "--version")
	assert.Zero(t, status)
	assert.Regexp(t, `^mesos-tiny \S+ go1\.\d+`, out)
}

// TestStandsBy: of two schedulers with one state in ZooKeeper the second leads
// when the first is killed.
func TestStandsBy(t *testing.T) {
	t.Parallel()
	z := disttest.ZooKeeper(t)
	c := mesostest.New(t, clitest.QuickAgents(1, room))
	where := fmt.Sprintf("zk://tiny:secret@%s/tiny", z.Address)
	first := clitest.New(t, c, "--state", where)
	first.Start()
	task := first.AwaitReady(1).Nodes[0].Task

	second := clitest.New(t, c, "--state", where)
	second.Start()
	second.AwaitLine(0, "scheduler starts")
	require.EventuallyWithT(t, func(now *assert.CollectT) {
		_, err := second.Status(t.Context())
		assert.ErrorContains(now, err, "this scheduler stands by: ask the one that leads")
	}, clitest.Patience, 50*time.Millisecond)
	first.Kill()
	assert.Equal(t, task, second.AwaitReady(1).Nodes[0].Task, "the sleeper has slept on")
	for _, line := range append(first.Said(), second.Said()...) {
		assert.NotContains(t, line, "secret")
	}
	assert.Zero(t, second.Terminate())
}
