package cassandra

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/simtest"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// simulated is a ring of three nodes under faults, with a model of what real
// nodes do, which the gates ask.
func simulated() mesostest.SimConfig { return planted(func(*frameworks.Pod) {}) }

// planted is the same with a fault in how the ring is declared.
func planted(fault func(*frameworks.Pod)) mesostest.SimConfig {
	s := Cluster{
		Name: "ring", RackAttribute: "rack", StoragePort: 31000, CQLPort: frameworks.Port{Begin: 31001, End: 31001},
		Distribution: Distribution{Java: "/usr/bin/java", Classpath: "/opt/cassandra/lib/*", Jolokia: "/opt/jolokia.jar"},
		Binary:       frameworks.Binary{Path: "/opt/mesos-cassandra"},
		reach:        func(_ frameworks.Deployment, n frameworks.Node) server { return fake{n} },
	}.Service()
	fault(&s.Pods[0])
	c := simtest.Config(s)
	c.Model = newModel
	c.Rules = append(c.Rules, mesostest.Rule{Name: "the ring is one", Check: func(w *mesostest.World) error { return w.Model().(*model).broken }})
	f := &c.Frameworks[0]
	f.Task = func(_ mesos.TaskInfo, luck uint64) mesostest.TaskPlan {
		return mesostest.TaskPlan{
			Start: time.Duration(luck%9000) * time.Millisecond, Ready: time.Second, Stop: time.Duration(luck%7000) * time.Millisecond,
		}
	}
	f.Work = func(w *mesostest.World, job scheduler.Job) ([]byte, error) {
		return s.Work(context.WithValue(context.Background(), inWorld{}, w), job)
	}
	f.Operator = operator
	heal := f.Settle
	f.Settle = func(v scheduler.View, w *mesostest.World) []any {
		status, err := simtest.Status(s, v)
		if err != nil {
			return nil
		}
		return append(heal(v, w), settle(status)...)
	}
	healed := f.Goal
	f.Goal = func(v scheduler.View, w *mesostest.World) error {
		if err := healed(v, w); err != nil {
			return err
		}
		status, err := simtest.Status(s, v)
		if err == nil {
			err = w.Model().(*model).whole(status)
		}
		return err
	}
	return c
}

// operator is one who does not care what is lost.
func operator(pick uint16) any {
	node := fmt.Sprint(pod, "-", pick%4)
	switch pick >> 4 % 7 {
	case 0:
		return frameworks.ReplaceNode{Node: node, Force: true}
	case 1:
		return frameworks.ScalePod{Pod: pod, Count: 4}
	case 2:
		return frameworks.ScalePod{Pod: pod, Count: 3}
	case 3:
		return frameworks.RemoveNode{Node: node, Force: true}
	case 4:
		return frameworks.ReplaceNode{Node: node}
	case 5:
		return frameworks.StopNode{Node: node}
	}
	return frameworks.RestartNode{Node: node}
}

// settle replaces the nodes that say so, as an operator who reads the status.
func settle(status frameworks.Status) (out []any) {
	for _, n := range status.Nodes {
		if n.Goal == frameworks.GoalRun && !n.Replace && strings.Contains(n.Waits+n.LastFailure, replaceIt) {
			out = append(out, frameworks.ReplaceNode{Node: n.Name})
		}
	}
	return out
}

// whole says what the ring lacks: the nodes own its tokens, and nobody else does.
func (m *model) whole(status frameworks.Status) error {
	var want []string
	ring := ""
	for _, n := range status.Nodes {
		want = append(want, endpointOf(n.Node))
		for _, h := range m.sorted() {
			if h.task == n.Task {
				ring = h.ring
			}
		}
	}
	slices.Sort(want)
	if have := slices.Sorted(slices.Values(m.owners(ring))); !slices.Equal(have, want) {
		return fmt.Errorf("%v own tokens, and the nodes are %v", have, want)
	}
	for _, h := range m.sorted() {
		if h.joining && h.ring == ring {
			return fmt.Errorf("%s is seen joining", h.id)
		}
	}
	return nil
}

func TestSimulated(t *testing.T) {
	t.Parallel()
	mesostest.Simulate(t, 10_000, simulated())
}

func TestSimulatedForLong(t *testing.T) { mesostest.SoakTest(t, simulated) }

// TestSimulatedFindsWhoJoinsUnasked: without the gate a node joins while another
// leaves, which the model sees.
func TestSimulatedFindsWhoJoinsUnasked(t *testing.T) {
	t.Parallel()
	c := planted(func(p *frameworks.Pod) {
		p.Join = func(_ context.Context, d frameworks.Deployment, n frameworks.Node) error {
			if len(members(d)) > 0 {
				return nil
			}
			return mayFound(d, n)
		}
	})
	c.Rates = mesostest.Rates{mesostest.Operator: 120}
	f := &c.Frameworks[0]
	f.Goal = nil // what does no harm is not looked for
	f.Operator = func(pick uint16) any {
		return frameworks.ScalePod{Pod: pod, Count: 3 + int(pick%2), Force: true}
	}
	mesostest.MustFind(t, 1, 100_000, func(uint64) mesostest.SimConfig { return c }, "the ring is one")
}
