package frameworks

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler"
)

// input is what a job was given.
func (w *world) input(job scheduler.Job) gateInput {
	w.t.Helper()
	return job.Value.(gateInput)
}

// launches are the nodes in the order of their launches.
func (w *world) launches() string {
	var out []string
	for _, note := range w.notes {
		if rest, ok := strings.CutPrefix(note, "launched node="); ok {
			name, _, _ := strings.Cut(rest, " ")
			out = append(out, name)
		}
	}
	return strings.Join(out, " ")
}

func TestPodsComeAfterOthers(t *testing.T) {
	t.Parallel()
	s := twoPods(2, 2)
	s.Pods[0].After = []string{"node"}
	w := newWorld(t, s, 4, agentResources)
	w.gate = func(scheduler.Job) error { return errors.New("not yet") }
	w.until(time.Minute, "the first are launched", func() bool { return w.launches() == "node-0 node-1" })
	w.pass(time.Minute)
	assert.Equal(t, "node-0 node-1", w.launches())
	n := w.status().Nodes[0]
	assert.Equal(t, Reserved, n.Phase, "its place is reserved meanwhile")
	assert.Equal(t, "node-0 to arrive (pod aux comes after pod node)", n.Waits)
	w.gate = nil
	w.until(time.Minute, "ready", w.allReady(4))

	// Who has arrived once waits for nobody when it comes back.
	w.gate = func(job scheduler.Job) error {
		if strings.Contains(job.Name, "node-0") {
			return errors.New("down")
		}
		return nil
	}
	for _, c := range []any{RestartNode{Node: "node-0", Force: true}, RestartNode{Node: "aux-0", Force: true}} {
		_, err := w.command(c)
		require.NoError(t, err)
	}
	w.until(time.Minute, "it is back", func() bool { n := w.status().Nodes[0]; return n.Phase == Ready && n.Incarnation == 2 })
}

func TestOrderThatCannotBe(t *testing.T) {
	t.Parallel()
	s := twoPods(1, 1)
	s.Pods[0].After, s.Pods[1].After = []string{"node"}, []string{"aux"}
	require.ErrorContains(t, s.Validate(), `Service.Pods[0].After: "aux → node → aux": wants an order without a circle`)
	s.Pods[0].After, s.Pods[1].After = []string{"nod"}, nil
	require.ErrorContains(t, s.Validate(), `Service.Pods[0].After: "nod": wants another pod of the service`)
}

func TestSerialStartsOneAtATime(t *testing.T) {
	t.Parallel()
	s := quorum(3)
	s.Pods[0].Serial, s.Pods[0].Together = true, false
	w := newWorld(t, s, 3, agentResources)
	joining := 0
	w.gate = func(job scheduler.Job) error {
		live := 0
		for _, n := range w.status().Nodes {
			if n.Phase != Ready && n.Incarnation > 0 {
				live++
			}
		}
		joining = max(joining, live)
		if w.now.Second()%10 != 0 {
			return errors.New("joining")
		}
		return nil
	}
	w.until(5*time.Minute, "ready", w.allReady(3))
	assert.Equal(t, 1, joining)
	assert.Equal(t, "node-0 node-1 node-2", w.launches())

	// Power fails: all come back at once.
	w.each(func(e *fakeExecutor) { w.exit(e.agent, e.container, 9) })
	w.until(time.Minute, "all are launched", func() bool { return strings.Count(w.launches(), "node") == 6 })
}

func TestJoinIsAskedBeforeANewNodeStarts(t *testing.T) {
	t.Parallel()
	s := versionedService(2)
	s.Pods[0].Join = func(context.Context, Deployment, Node) error { return nil }
	w := newWorld(t, s, 4, agentResources)
	w.until(time.Minute, "ready", w.allReady(2))
	moving := true
	w.gate = func(job scheduler.Job) error {
		if job.Kind == joinKind && moving {
			return errors.New("node-1 is moving")
		}
		return nil
	}
	_, err := w.command(ScalePod{Pod: "node", Count: 4})
	require.NoError(t, err)
	w.until(time.Minute, "it waits", func() bool { return w.status().Nodes[2].Waits == "node-1 is moving" })
	w.pass(time.Hour)
	assert.Equal(t, "node-0 node-1", w.launches())
	moving = false
	w.until(time.Minute, "ready", w.allReady(4))
	assert.Len(t, strings.Fields(w.launches()), 4)
}

// A node that its peers do not let join holds up none that they wait for: one
// that was lost, and joins again in a new place.
func TestARefusedJoinHoldsUpNobody(t *testing.T) {
	t.Parallel()
	s := versionedService(2)
	s.Pods[0].Join = func(context.Context, Deployment, Node) error { return nil }
	w := newWorld(t, s, 5, agentResources)
	w.until(time.Minute, "ready", w.allReady(2))
	w.gate = func(job scheduler.Job) error {
		in, ok := job.Value.(gateInput)
		if ok && job.Kind == joinKind && in.Nodes[0].Index == 2 && !w.status().Nodes[3].Ready {
			return errors.New("node-3 is down")
		}
		return nil
	}
	w.do(ScalePod{Pod: "node", Count: 4})
	w.until(5*time.Minute, "the one is ready, and then the other", w.allReady(4))
	assert.Equal(t, "node-0 node-1 node-3 node-2", w.launches())
}

func TestGateIsAskedAgain(t *testing.T) {
	t.Parallel()
	s := quorum(2)
	s.Recheck = 0
	w := newWorld(t, s, 2, agentResources)
	w.until(time.Minute, "ready", w.allReady(2))
	answers := []error{nil, errors.New("slow"), nil, errors.New("hangs"), errors.New("hangs")}
	w.gate = func(job scheduler.Job) error {
		if job.Kind == againKind && strings.Contains(job.Name, "node-0") && len(answers) > 0 {
			err := answers[0]
			answers = answers[1:]
			return err
		}
		return nil
	}
	w.until(time.Minute, "it is doubted", func() bool { return len(answers) == 1 })
	assert.Equal(t, 2, w.status().Ready, "once may be chance")
	w.until(time.Minute, "it is not ready", func() bool { return w.status().Ready == 1 })
	assert.Contains(t, strings.Join(w.notes, "\n"), "not ready node=node-0 why=hangs")
	w.until(time.Minute, "it is ready again", w.allReady(2))
}
