package frameworks

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/internal/model"
)

// What a routine held against a node outlives it, until an operator lifts it.
func TestAFenceThatNobodyIsThereToLift(t *testing.T) {
	t.Parallel()
	s := versionedService(2)
	s.Routines = []Routine{fences("node-0")}
	w := newWorld(t, s, 3, agentResources)
	w.until(5*time.Minute, "fenced", func() bool { return w.status().Nodes[0].Phase == Fenced })
	assert.Equal(t, "routine r, which fenced it, to allow it", w.status().Nodes[0].Waits)
	w.service.Routines = nil
	w.crash()
	w.pass(time.Hour)
	n := w.status().Nodes[0]
	assert.Equal(t, Fenced, n.Phase)
	assert.Contains(t, n.Waits, "routine r fenced it, which this program does not have; allow lifts that")
	_, err := w.command(AllowNode{"node-9"})
	require.ErrorIs(t, err, ErrUnknown)
	w.do(AllowNode{"node-0"})
	w.until(5*time.Minute, "ready", w.allReady(2))
	assert.Empty(t, w.status().Nodes[0].FencedBy)
}

// A fenced node whose agent is declared gone gets another place, and runs there
// when it is allowed; one that is only lost keeps its own.
func TestAFencedNodeIsLost(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string]bool{"gone": true, "lost": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := lostAfter(2, time.Hour)
			s.Routines = []Routine{fencesWhen("node-0", Unreachable)}
			w := newWorld(t, s, 3, agentResources)
			w.until(5*time.Minute, "ready", w.allReady(2))
			n := w.status().Nodes[0]
			w.agentOf(n).cut = true
			w.until(5*time.Minute, "fenced", func() bool { return w.status().Nodes[0].Fenced })
			if gone {
				w.mesos(model.Operate{Request: model.MarkGone{ID: n.Place.Agent}})
			}
			w.pass(5 * time.Hour)
			after := w.status().Nodes[0]
			assert.True(t, after.Fenced)
			assert.Equal(t, gone, after.Generation == 2)
			assert.Len(t, w.started, 2)
			w.do(AllowNode{"node-0"})
			w.until(5*time.Hour, "ready elsewhere", w.allReady(2))
		})
	}
}
