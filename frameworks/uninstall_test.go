package frameworks

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tornDown says whether the scheduler has sent TEARDOWN.
func (w *world) tornDown() func() bool {
	done := false
	w.before = func(c *sched.Call) { done = done || c.Type == sched.Call_TEARDOWN; w.ended = done }
	return func() bool { return done }
}

func TestUninstall(t *testing.T) {
	t.Parallel()
	s := twoPods(2, 2)
	s.Pods[0].After = []string{"node"}
	s.Pods[1].Leave = func(context.Context, Deployment, Node) error { return errors.New("never") }
	w := newWorld(t, s, 4, agentResources)
	w.until(5*time.Minute, "ready", w.allReady(4))
	over := w.tornDown()
	_, err := w.command(Uninstall{})
	require.NoError(t, err)
	_, err = w.command(ScalePod{Pod: "aux", Count: 9})
	require.ErrorIs(t, err, ErrRefused)
	w.until(5*time.Minute, "torn down", over)
	assert.Len(t, w.removed, 4, "every volume")
	notes := strings.Join(w.notes, "\n")
	assert.Less(t, strings.Index(notes, "left node=aux-0"), strings.Index(notes, "stopping node=node-0"), "who came last goes first")
}

func TestUninstallEndsThoughAnAgentIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(3), 3, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	gone := w.status().Nodes[1]
	w.cutAgentOf(gone)
	w.until(5*time.Minute, "unreachable", func() bool { return w.status().Nodes[1].Phase == Unreachable })
	over := w.tornDown()
	_, err := w.command(Uninstall{})
	require.NoError(t, err)
	w.until(time.Minute, "the others have gone", func() bool { return len(w.removed) == 2 })
	assert.False(t, over(), "it waits for the agent")
	left := w.status().Uninstall.Left[0]
	assert.Equal(t, "agent-1 ("+gone.Place.Agent+")", left.Where())
	assert.Equal(t, w.status().Uninstall.Empty.Add(10*time.Minute), w.status().Uninstall.Until())
	assert.Contains(t, fmt.Sprint(w.status().Plans), "agent agent-1 ("+gone.Place.Agent+") to be offered")
	w.until(20*time.Minute, "torn down", over)
	assert.Contains(t, strings.Join(w.notes, "\n"), "could not be given back place=db.node-1.1")
}

// The scheduler dies at each point of an uninstall.
func TestUninstallSurvivesDeathAtEveryPoint(t *testing.T) {
	t.Parallel()
	run := func(w *world, die int) int {
		w.until(time.Minute, "ready", w.allReady(2))
		from, over := w.points, w.tornDown()
		if die > 0 {
			w.dieAt = from + die
		}
		_, err := w.command(Uninstall{})
		require.NoError(w.t, err)
		w.until(20*time.Minute, "torn down", over)
		assert.Len(w.t, w.removed, 2)
		return w.points - from
	}
	points := run(newWorld(t, quorum(2), 2, agentResources), 0)
	for at := range deaths(points - 1) {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			t.Parallel()
			run(newWorld(t, quorum(2), 2, agentResources), at)
		})
	}
}
