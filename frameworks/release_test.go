package frameworks

import (
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is to be destroyed and given back is not, because its agent goes away at
// that moment and stays away for longer than anybody keeps it in mind.
func TestWhatIsNobodysGoesBackHoweverLate(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]func(w *world, n NodeStatus){
		"the node lives in another place": func(w *world, n NodeStatus) {
			_, err := w.command(ReplaceNode{Node: n.Name})
			require.NoError(w.t, err)
		},
		"the node has left": func(w *world, n NodeStatus) {
			_, err := w.command(RemoveNode{Node: n.Name})
			require.NoError(w.t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, quorum(3), 4, agentResources)
			w.until(time.Minute, "ready", w.allReady(3))
			former := w.status().Nodes[2]
			released := false
			w.before = func(c *sched.Call) {
				if c.Accept != nil && len(c.Accept.Operations) > 0 && c.Accept.Operations[0].Type == mesos.Offer_Operation_DESTROY && !released {
					released = true
					w.cutAgentOf(former) // it does not hear of that
				}
			}
			after(w, former)
			w.until(time.Minute, "released", func() bool { return released })
			w.pass(30 * time.Hour)
			assert.Empty(t, w.discards())
			w.heal(w.agentOf(former))
			w.until(2*sweepEvery, "destroyed", func() bool { return w.removed[volumeOf(former)] == 1 })
			w.pass(time.Minute)
			for _, r := range w.agentOf(former).model.Total() {
				assert.Empty(t, r.Reservations)
			}
			for _, n := range w.status().Nodes {
				assert.True(t, n.Ready, n.Name)
				assert.Zero(t, w.removed[volumeOf(n)], n.Name)
			}
		})
	}
}

func (w *world) discards() []string {
	var out []string
	for _, r := range w.records() {
		if strings.Contains(r.Key, "/discard/") {
			out = append(out, r.Key)
		}
	}
	return out
}

// Looking now and then costs next to nothing.
func TestOffersAreLookedAtNowAndThen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(3), 4, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	revives := 0
	w.before = func(c *sched.Call) {
		if c.Type == sched.Call_REVIVE {
			revives++
		}
	}
	w.pass(24 * time.Hour)
	assert.LessOrEqual(t, revives, 25)
	assert.Positive(t, revives)
}
