package mysql

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
)

// settled is a set in good order, whose primary is member-0.
func settled(t *testing.T) (*world, view) {
	w := newWorld(t, 1)
	v := view{}
	members := map[string]int{}
	for i := range w.nodes {
		n := &w.nodes[i]
		n.Alive, n.Ready, n.Incarnation, n.Arrived = true, true, 1, 1
		m := member{Node: n.Name, Generation: 1, Task: taskName(*n), Executed: "a:1-9"}
		if i == 0 {
			n.Role, m.Writable, m.Semisync, m.Replicas = primaryRole, true, true, 2
		} else {
			n.Role, m.Source, m.Receiving, m.Applying = replicaRole, w.nodes[0].Address(port), true, true
			members[n.Name] = 1
		}
		v.Members = append(v.Members, m)
	}
	w.mind = memory{
		Epoch: 7, Primary: "member-0", Generation: 1, Incarnation: 1, Members: members, Settled: true, Admin: w.set.mark(),
	}
	return w, v
}

// A work that was ordered long ago may begin only now: when another is elected.
func TestStaleWorksAreRefused(t *testing.T) {
	t.Parallel()
	w, _ := settled(t)
	m := w.mind
	m.Stage = promoting
	n := w.nodes[0]
	do := frameworks.Do{Name: promote, Node: n.Name, Input: "7"}
	require.True(t, m.wants(do, n))
	next := n
	next.Incarnation++
	assert.False(t, m.wants(do, next), "another task of it may lack what the elected one had")
	assert.False(t, m.wants(do, w.nodes[1]), "another is elected")
	m.Epoch++
	assert.False(t, m.wants(do, n), "of an epoch before")
	m.Stage = sealing
	do.Input = "8"
	assert.False(t, m.wants(do, n), "nobody is elected yet")
	_, err := w.set.work(t.Context(), w.deployment(), m, do)
	assert.EqualError(t, err, "promote of epoch 8: nobody wants that any more")
}

// What a replica had received is thrown away when it is made to follow again. It
// may have been the only other copy of what it acknowledged: nobody is elected
// without the primary, until a replica has caught up.
func TestWhatAReplicaThrowsAwayIsMissed(t *testing.T) {
	t.Parallel()
	w, v := settled(t)
	v.Members[1].Receiving, v.Members[1].Applying = false, false // it was started anew
	w.decide(frameworks.News[view]{View: &v})
	require.Equal(t, []string{"member-1"}, w.mind.Following)
	c := decision{set: w.set, d: w.deployment(), memory: w.mind}
	heard := view{Members: v.Members[1:]}
	_, err := c.elect(heard)
	assert.ErrorContains(t, err, "no replica is known to have caught up with member-0")

	v.Members[1].Receiving, v.Members[1].Applying, v.Following = true, true, true
	w.decide(frameworks.News[view]{Done: &frameworks.Done{Do: w.works[0]}})
	w.decide(frameworks.News[view]{View: &v})
	assert.Empty(t, w.mind.Base, "that look began while it was made to follow")
	v.Following = false
	for range 2 {
		w.decide(frameworks.News[view]{View: &v})
	}
	assert.True(t, w.mind.Settled)
	c = decision{set: w.set, d: w.deployment(), memory: w.mind}
	winner, err := c.elect(heard)
	require.NoError(t, err)
	assert.Equal(t, "member-1", winner)
}

// A member without a lease would be ended by nobody, once it took writes.
func TestNobodyIsPromotedWithoutALease(t *testing.T) {
	t.Parallel()
	w, v := settled(t)
	heard := view{Members: v.Members[1:]}
	elected := func() string {
		c := decision{set: w.set, d: w.deployment(), memory: w.mind}
		winner, err := c.elect(heard)
		require.NoError(t, err)
		return winner
	}
	assert.Equal(t, "member-1", elected())
	heard.Members[0].Lapsed = true
	assert.Equal(t, "member-2", elected(), "the executor of member-1 has no lease")
	heard.Members[0].Lapsed = false
	w.nodes[1].Withheld = w.now
	assert.Equal(t, "member-2", elected(), "the lease of member-1 is withheld")
	w.nodes[1].Withheld = time.Time{}
	heard.Members = append(heard.Members, member{Node: "member-0", Generation: 1, Task: "member-0.1", Executed: "a:1-10", Lapsed: true})
	assert.Equal(t, "member-1", elected(), "what only the primary has was not acknowledged")
}

// A member that still applies what it received is not given up: that would end
// its server, and MariaDB's would forget it.
func TestSlowAppliersAreNotGivenUp(t *testing.T) {
	t.Parallel()
	w, _ := settled(t)
	w.mind.Stage, w.mind.Primary = promoting, "member-1"
	do := frameworks.Do{Name: promote, Node: "member-1", Input: "7"}
	for range 2 * patience {
		w.decide(frameworks.News[view]{Done: &frameworks.Done{Do: do, Result: applying}})
	}
	assert.Equal(t, promoting, w.mind.Stage)
	assert.Equal(t, "member-1 is elected, and applies what it received before it takes writes", w.mind.Why)
	for range patience {
		w.decide(frameworks.News[view]{Done: &frameworks.Done{Do: do, Err: "no connection"}})
	}
	assert.Equal(t, fencing, w.mind.Stage)
}

// The status is for all to read: it does not tell the hash of a password.
func TestMemoryTellsNoHash(t *testing.T) {
	t.Parallel()
	w, _ := settled(t)
	text, err := json.Marshal(w.mind)
	require.NoError(t, err)
	assert.NotContains(t, string(text), w.set.AdminHash)
	other := w.set
	other.Admin = "somebody"
	assert.NotEqual(t, w.set.mark(), other.mark(), "another account is another")
}
