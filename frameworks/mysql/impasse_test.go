package mysql

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
)

func TestMinusIsWhatIsLeft(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 4))
		a, _ := randomSet(r)
		b, plainB := randomSet(r)
		rest := a.minus(b)
		require.Equal(t, a.union(b).String(), rest.union(b).String(), "seed %d: %s without %s is %s", seed, a, b, rest)
		for source, ranges := range rest {
			for _, n := range ranges {
				for i := n.first; i <= n.last; i++ {
					require.False(t, plainB.contains(model{fmt.Sprint(source, i): true}), "seed %d: %s without %s is %s", seed, a, b, rest)
				}
			}
		}
	}
}

// stuck is a set whose primary and first replica are gone.
func stuck(t *testing.T) (*world, string) {
	w, v := settled(t)
	w.mind.Stage = sealing
	for i := range 2 {
		w.nodes[i].Alive, w.nodes[i].Role = false, ""
		v.Members[i] = member{Node: w.nodes[i].Name, Generation: 1, Err: "connection refused"}
	}
	heard, err := json.Marshal(v)
	require.NoError(t, err)
	return w, string(heard)
}

// seal has the failover hear what is left.
func (w *world) seal(heard string) {
	w.decide(frameworks.News[view]{Done: &frameworks.Done{Do: frameworks.Do{Name: seal, Input: "7"}, Result: heard}})
}

func statusOf(t *testing.T, m memory) frameworks.Status {
	text, err := json.Marshal(m)
	require.NoError(t, err)
	return frameworks.Status{Routines: []frameworks.RoutineStatus{{Name: failoverName, Memory: text}}}
}

// An operator is told what it costs, and what is accepted is done.
func TestALossIsAccepted(t *testing.T) {
	t.Parallel()
	w, heard := stuck(t)
	_, err := ImpasseOf(statusOf(t, w.mind))
	require.EqualError(t, err, "a failover from member-0 is under way (sealing), and it is not known yet whether anything could be lost")
	w.seal(heard)
	require.Equal(t, sealing, w.mind.Stage)
	assert.Contains(t, w.mind.Why, "so nobody is promoted; if they are gone for good, \"promote\" tells what it would cost to go on without them")
	i, err := ImpasseOf(statusOf(t, w.mind))
	require.NoError(t, err)
	assert.Equal(t, "member-2", i.Best())
	cost, err := i.Cost("member-2")
	require.NoError(t, err)
	assert.Equal(t, `nobody is promoted: member-1 connection refused; nor is the last primary, member-0, there: what was acknowledged could be on one of these alone, so nobody is promoted
member-2 has a:1-9
lost: whatever was acknowledged that only member-0, the last primary, had (connection refused); how much that is nobody can tell
lost: whatever was acknowledged that only member-1 had (connection refused); how much that is nobody can tell
all others become copies of member-2; what else is on their volumes is destroyed, also on those that come back later
`, cost)
	_, err = i.Cost("member-1")
	require.EqualError(t, err, "member-1 does not answer")

	accept := frameworks.Step{Name: "member-2", Input: "6"}
	w.set.under = func(string) []frameworks.Step { return []frameworks.Step{accept} }
	w.seal(heard)
	require.Equal(t, sealing, w.mind.Stage, "it was accepted for another failover")
	accept = frameworks.Step{Name: "member-1", Input: "7"}
	w.seal(heard)
	require.Equal(t, sealing, w.mind.Stage)
	assert.Equal(t, "member-1 is not promoted: member-1 does not answer", w.mind.Why)
	accept.Name = "member-2"
	w.seal(heard)
	require.Equal(t, promoting, w.mind.Stage)
	assert.Equal(t, "member-2", w.mind.Primary)
	assert.Equal(t, map[string]int{"member-0": 1, "member-1": 1}, w.mind.Forsaken)
	assert.Empty(t, w.mind.Members, "nobody is waited for that is gone")
	assert.Nil(t, w.mind.Impasse)

	// Nobody else is there: it is promoted when another is.
	w.works = nil
	v := view{Members: []member{{Node: "member-1", Err: "gone"}, {Node: "member-2", Generation: 1, Executed: "a:1-9"}}}
	w.decide(frameworks.News[view]{View: &v})
	assert.Empty(t, w.works)
	assert.Equal(t, electedRole, w.nodes[2].Role)
	assert.Equal(t, 2, w.nodes[0].Generation, "the first is made anew")
	list, founded := donors(w.deployment(), w.nodes[0])
	require.True(t, founded)
	assert.Equal(t, []donor{{name: "member-2", address: w.nodes[2].Address(port)}}, list)
	v.Members[0] = member{Node: "member-0", Generation: 2}
	w.decide(frameworks.News[view]{View: &v})
	require.Len(t, w.works, 1)
	assert.Equal(t, promote, w.works[0].Name)
	_, err = ImpasseOf(statusOf(t, memory{Epoch: 7, Primary: "member-2"}))
	require.ErrorContains(t, err, "member-2 is the primary, and there is no loss to accept")
}

// Of two that are left the one that has more is promoted, and no other; where
// histories have parted the operator chooses.
func TestTheBestSurvivorIsPromoted(t *testing.T) {
	t.Parallel()
	i := Impasse{Survivors: []Survivor{{Node: "member-1", Has: "a:1-9", Lacks: "a:10"}, {Node: "member-2", Has: "a:1-10"}}}
	assert.Equal(t, "member-2", i.Best())
	_, err := i.Cost("member-1")
	require.EqualError(t, err, "member-1 lacks what member-2 has: a:10; promote member-2")
	i.Survivors[1].Unable = true
	_, err = i.Cost("member-2")
	require.ErrorContains(t, err, "cannot be promoted while Mesos does not reach its executor")
	cost, err := i.Cost("member-1")
	require.NoError(t, err)
	assert.Contains(t, cost, "lost: a:10, which others that answer have\n")

	parted := Impasse{Survivors: []Survivor{{Node: "member-1", Has: "a:1-9,b:1", Lacks: "a:10"}, {Node: "member-2", Has: "a:1-10", Lacks: "b:1"}}}
	assert.Empty(t, parted.Best())
	_, err = parted.Cost("member-2")
	require.NoError(t, err)
}

// Those that were given up are made anew, one at a time; who answers is not.
func TestTheForsakenAreMadeAnew(t *testing.T) {
	t.Parallel()
	w, v := settled(t)
	w.mind.Forsaken = map[string]int{"member-1": 1, "member-2": 1}
	v.Members[1] = member{Node: "member-1", Generation: 1, Err: "connection refused"}
	w.decide(frameworks.News[view]{View: &v})
	assert.Equal(t, 2, w.nodes[1].Generation)
	assert.Equal(t, 1, w.nodes[2].Generation, "it came back, and follows")
	assert.Equal(t, map[string]int{"member-1": 1}, w.mind.Forsaken)
}
