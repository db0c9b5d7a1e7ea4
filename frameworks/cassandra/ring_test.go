package cassandra

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
)

// lab is a ring of fakes that answer what a test has them see.
type lab struct {
	views
	ranges map[string][][]string
	held   map[string][]hints // by node; of several the first is told once
	told   []string
	refuse error
}

type labNode struct {
	*lab
	name string
}

func (l labNode) look(context.Context) (view, error) {
	v, ok := l.views[l.name]
	if !ok {
		return v, errors.New("connection refused")
	}
	return v, nil
}

func (l labNode) replicas(context.Context) (map[string][][]string, error) { return l.ranges, nil }

func (l labNode) hints(context.Context) (hints, error) {
	held := l.held[l.name]
	if len(held) == 0 {
		return hints{}, nil
	}
	if len(held) > 1 {
		l.held[l.name] = held[1:]
	}
	return held[0], nil
}

func (l labNode) decommission(_ context.Context, force bool) error {
	word := "decommission "
	if force {
		word = "decommission by force "
	}
	l.told = append(l.told, word+l.name)
	return l.refuse
}

func (l labNode) remove(_ context.Context, hostID string) error {
	l.told = append(l.told, l.name+" removes "+hostID)
	return l.refuse
}

func (l labNode) assassinate(_ context.Context, endpoint string) error {
	l.told = append(l.told, l.name+" assassinates "+endpoint)
	return l.refuse
}

func (l labNode) repair(_ context.Context, keyspace string) error {
	l.told = append(l.told, l.name+" repairs "+keyspace)
	return l.refuse
}

// newLab is the ring of all nodes that have arrived, in the best of orders.
func newLab(d frameworks.Deployment) (*lab, ring) {
	l := &lab{views: views{}, ranges: map[string][][]string{}, held: map[string][]hints{}}
	var all []string
	ids := map[string]string{}
	for _, n := range members(d) {
		all = append(all, endpointOf(n))
		ids[endpointOf(n)] = "id of " + n.Name
	}
	for _, n := range members(d) {
		l.views[n.Name] = view{
			Mode: normal, Clients: true, HostID: "id of " + n.Name, Schema: "one", Received: 1,
			Live: slices.Clone(all), Owners: slices.Clone(all), HostIDs: ids,
		}
	}
	for i := range all {
		twice := slices.Concat(all, all)
		l.ranges["orders"] = append(l.ranges["orders"], twice[i:i+min(3, len(all))])
	}
	racks := func(n frameworks.Node) (string, error) { return n.Place.Attribute("rack"), nil }
	return l, ring{port: 7000, settle: time.Millisecond, rack: racks, reach: func(_ frameworks.Deployment, n frameworks.Node) server { return labNode{l, n.Name} }}
}

// see changes what a node sees.
func (l *lab) see(name string, change func(*view)) {
	v := l.views[name]
	change(&v)
	l.views[name] = v
}

func without(list []string, item string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == item })
}

const first, second, third, fourth = "10.0.0.1:7000", "10.0.0.2:7000", "10.0.0.3:7000", "10.0.0.4:7000"

// wrongs are what may be wrong with a ring, and what is said of it.
var wrongs = []struct {
	name   string
	change func(*lab)
	want   string
}{
	{"nothing", func(*lab) {}, ""},
	{"one does not answer", func(l *lab) { delete(l.views, "node-1") }, "node-1 does not answer: connection refused"},
	{"one drains", func(l *lab) { l.see("node-1", func(v *view) { v.Mode = "DRAINING" }) }, "node-1 is DRAINING, not NORMAL"},
	{"one takes no clients", func(l *lab) { l.see("node-1", func(v *view) { v.Clients = false }) }, "node-1 takes no clients"},
	{"one sees another dead", func(l *lab) { l.see("node-2", func(v *view) { v.Live = without(v.Live, second) }) }, "node-2 does not see 10.0.0.2:7000 alive (node-1)"},
	{"one knows only some tokens", func(l *lab) { l.see("node-2", func(v *view) { v.Owners = without(v.Owners, second) }) }, "node-2 knows no tokens of 10.0.0.2:7000 (node-1)"},
	{"a stranger joins", func(l *lab) { l.see("node-2", func(v *view) { v.Joining = []string{"10.9.9.9:7000"} }) }, "node-2 sees 10.9.9.9:7000 joining"},
	{"one leaves", func(l *lab) { l.see("node-0", func(v *view) { v.Leaving = []string{second} }) }, "node-0 sees 10.0.0.2:7000 leaving"},
	{"one moves", func(l *lab) { l.see("node-0", func(v *view) { v.Moving = []string{second} }) }, "node-0 sees 10.0.0.2:7000 moving"},
	{"two schemas", func(l *lab) { l.see("node-2", func(v *view) { v.Schema = "two" }) }, "the schema is not agreed: node-0 and node-1"},
}

// TestWrongRings: each is in the way of whoever joins, stops or leaves.
func TestWrongRings(t *testing.T) {
	t.Parallel()
	for _, test := range wrongs {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := placed(5, 3)
			d.Nodes[4].Arrived, d.Nodes[4].Ready = 1, true // who stops or leaves
			l, r := newLab(d)
			test.change(l)
			join := r.join(t.Context(), d, d.Nodes[3])
			spare := r.spare(t.Context(), d, d.Nodes[4:])
			leave := r.leave(t.Context(), d, d.Nodes[4])
			if test.want == "" {
				require.NoError(t, join)
				require.NoError(t, spare)
				require.EqualError(t, leave, "it begins to hand over its data")
				assert.Equal(t, []string{"decommission node-4"}, l.told)
				return
			}
			require.ErrorContains(t, join, test.want)
			require.ErrorContains(t, spare, test.want)
			require.ErrorContains(t, leave, test.want)
			assert.Empty(t, l.told)
		})
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*lab, *frameworks.Node)
		want   string
	}{
		{"all is well", func(*lab, *frameworks.Node) {}, ""},
		{"it does not answer", func(l *lab, _ *frameworks.Node) { delete(l.views, "node-3") }, "connection refused"},
		{"it joins", func(l *lab, _ *frameworks.Node) { l.see("node-3", func(v *view) { v.Mode = "JOINING" }) }, "is JOINING, not NORMAL"},
		{"a peer sees it joining", func(l *lab, _ *frameworks.Node) { l.see("node-1", func(v *view) { v.Joining = []string{fourth} }) }, "node-1 sees 10.0.0.4:7000 joining"},
		{"a peer does not see it", func(l *lab, _ *frameworks.Node) { l.see("node-1", func(v *view) { v.Live = without(v.Live, fourth) }) }, "node-1 does not see 10.0.0.4:7000 alive"},
		{"it does not see a peer", func(l *lab, _ *frameworks.Node) { l.see("node-3", func(v *view) { v.Live = without(v.Live, second) }) }, "does not see 10.0.0.2:7000 alive"},
		{"a peer that serves does not answer", func(l *lab, _ *frameworks.Node) { delete(l.views, "node-1") }, "node-1 does not answer: connection refused"},
		{"another schema", func(l *lab, _ *frameworks.Node) { l.see("node-3", func(v *view) { v.Schema = "two" }) }, "the schema is not agreed: node-0 and node-1 and node-2, node-3 have different ones"},
		{"it took over nothing", func(l *lab, n *frameworks.Node) {
			n.Arrived = 0
			l.see("node-3", func(v *view) { v.Received = -1 })
		}, "joined without any data: have it stream what it owns (nodetool rebuild), or remove it and add another"},
		{"it founded a ring of its own", func(l *lab, n *frameworks.Node) {
			n.Arrived = 0
			l.see("node-3", func(v *view) { v.HostIDs = map[string]string{fourth: v.HostID} })
		}, "is in a ring of its own, and not in that of node-0: replace the node"},
		{"it is back, and took over nothing now", func(l *lab, _ *frameworks.Node) { l.see("node-3", func(v *view) { v.Received = -1 }) }, ""},
		{"it is ready, and a peer dies", func(l *lab, n *frameworks.Node) { n.Ready = true; delete(l.views, "node-1") }, ""},
		{"it is ready, and is drained", func(l *lab, n *frameworks.Node) {
			n.Ready = true
			l.see("node-3", func(v *view) { v.Mode = drained })
		}, "is DRAINED, not NORMAL"},
		{"it is ready, and leaves", func(l *lab, n *frameworks.Node) {
			n.Ready, n.Goal = true, frameworks.GoalLeave
			l.see("node-3", func(v *view) { v.Mode = leaving })
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := placed(4, 4)
			d.Nodes[3].Ready = false
			l, r := newLab(d)
			test.change(l, &d.Nodes[3])
			err := r.ready(t.Context(), d, d.Nodes[3])
			if test.want == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, test.want)
			}
		})
	}
}

// TestJoin: whose part a node takes that had another place, and what of the past
// is in its way.
func TestJoin(t *testing.T) {
	t.Parallel()
	dead := func(l *lab, endpoint string) {
		for name := range l.views {
			l.see(name, func(v *view) { v.Owners = append(v.Owners, endpoint) })
		}
	}
	for _, test := range []struct {
		name   string
		change func(*lab, frameworks.Deployment)
		want   string
	}{
		{"anew", func(*lab, frameworks.Deployment) {}, ""},
		{"again, after an attempt of its own", func(l *lab, _ frameworks.Deployment) { l.see("node-0", func(v *view) { v.Joining = []string{fourth} }) }, ""},
		{"anew, beside a dead node", func(l *lab, _ frameworks.Deployment) { dead(l, "10.9.9.9:7000") },
			"node-0 still counts on 10.9.9.9:7000, which is gone: it has to be replaced or removed first"},
		{"in the part of its former self", func(l *lab, d frameworks.Deployment) {
			d.Nodes[3].Former = "10.0.0.9"
			dead(l, "10.0.0.9:7000")
			dead(l, "10.9.9.9:7000") // is not in the way
		}, ""},
		{"in the part of its former self, of the same rack", func(l *lab, d frameworks.Deployment) {
			d.Nodes[3].Former = "10.0.0.9"
			dead(l, "10.0.0.9:7000")
			l.see("node-2", func(v *view) { v.Racks = map[string]string{"10.0.0.9:7000": "r1"} })
		}, ""},
		{"in another rack than its former self", func(l *lab, d frameworks.Deployment) {
			d.Nodes[3].Former = "10.0.0.9"
			dead(l, "10.0.0.9:7000")
			l.see("node-2", func(v *view) { v.Racks = map[string]string{"10.0.0.9:7000": "r7"} })
		}, "its agent is in rack r1, and 10.0.0.9:7000, whose part it would take, was in r7: that is to be taken out of the ring first"},
		{"at the address of somebody dead who was in another rack", func(l *lab, _ frameworks.Deployment) {
			dead(l, fourth)
			l.see("node-2", func(v *view) { v.Racks = map[string]string{fourth: "r7"} })
		}, "its agent is in rack r1, and 10.0.0.4:7000, whose part it would take, was in r7: that is to be taken out of the ring first"},
		{"while its former self lives", func(l *lab, d frameworks.Deployment) {
			d.Nodes[3].Former = "10.0.0.9"
			dead(l, "10.0.0.9:7000")
			l.see("node-2", func(v *view) { v.Live = append(v.Live, "10.0.0.9:7000") })
		}, "node-2 still sees 10.0.0.9:7000 alive, whose part it is to take"},
		{"while all see its former self alive", func(l *lab, d frameworks.Deployment) {
			d.Nodes[3].Former = "10.0.0.9"
			dead(l, "10.0.0.9:7000")
			for name := range l.views {
				l.see(name, func(v *view) { v.Live = append(v.Live, "10.0.0.9:7000") })
			}
		}, "node-0 still sees 10.0.0.9:7000 alive, whose part it is to take"},
		{"at the address of somebody dead", func(l *lab, _ frameworks.Deployment) { dead(l, fourth) }, ""},
		{"when another has come to be where it was", func(l *lab, d frameworks.Deployment) {
			d.Nodes[3].Former = "10.0.0.2"
		}, ""},
		{"while another is to leave", func(_ *lab, d frameworks.Deployment) { d.Nodes[1].Goal = frameworks.GoalLeave }, "node-1 is to leave first"},
		{"in the part of its former self, while another is to leave", func(l *lab, d frameworks.Deployment) {
			d.Nodes[3].Former, d.Nodes[1].Goal = "10.0.0.9", frameworks.GoalLeave
			dead(l, "10.0.0.9:7000")
		}, ""},
		{"when its former self is forgotten", func(_ *lab, d frameworks.Deployment) { d.Nodes[3].Former = "10.0.0.9" }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := placed(4, 3)
			l, r := newLab(d)
			test.change(l, d)
			for range 30 { // what is said does not change with the order of a map
				err := r.join(t.Context(), d, d.Nodes[3])
				if test.want == "" {
					require.NoError(t, err)
				} else {
					require.EqualError(t, err, test.want)
				}
			}
		})
	}
	_, r := newLab(placed(3, 0))
	require.NoError(t, r.join(t.Context(), placed(3, 0), placed(3, 0).Nodes[0]), "it founds the ring")
}

func TestPart(t *testing.T) {
	t.Parallel()
	v := view{Owners: []string{first, second, third}, Joining: []string{third}, Racks: map[string]string{second: "r1"}}
	assert.Equal(t, first, v.part(first, second, "r1"), "its own address comes first")
	assert.Equal(t, second, v.part(fourth, second, "r1"))
	assert.Empty(t, v.part(fourth, second, "r2"), "none from another rack")
	assert.Empty(t, v.part(third, "", "r1"), "an attempt of its own is no part")
	assert.Empty(t, v.part(fourth, "10.9.9.9:7000", "r1"))
}

func TestSpare(t *testing.T) {
	t.Parallel()
	d := placed(6, 6)
	l, r := newLab(d)
	require.NoError(t, r.spare(t.Context(), d, d.Nodes[:1]))
	apart := []frameworks.Node{d.Nodes[0], d.Nodes[3]}
	require.NoError(t, r.spare(t.Context(), d, apart), "no part has two replicas on them")
	require.EqualError(t, r.spare(t.Context(), d, d.Nodes[:2]), "1 of 3 replicas of a part of keyspace orders would be up, and a quorum takes 2")
	l.ranges["lonely"] = [][]string{{first}}
	require.NoError(t, r.spare(t.Context(), d, d.Nodes[:1]), "no order of restarts could avoid it")
	require.EqualError(t, r.spare(t.Context(), d, apart), "0 of 1 replicas of a part of keyspace lonely would be up, and a quorum takes 1")
	d.Nodes[0].Replace = true
	require.EqualError(t, r.spare(t.Context(), d, d.Nodes[:1]), "nobody else has all of keyspace lonely")

	alone := placed(1, 1)
	_, r = newLab(alone)
	require.NoError(t, r.spare(t.Context(), alone, alone.Nodes))
	alone.Nodes[0].Replace = true
	require.EqualError(t, r.spare(t.Context(), alone, alone.Nodes), "nobody else has its data")
}

// TestHints: no volume is destroyed while something acknowledged is only on its way.
func TestHints(t *testing.T) {
	t.Parallel()
	const id1, id2 = "id of node-1", "id of node-2"
	for _, test := range []struct {
		name string
		held map[string][]hints
		want string
	}{
		{"none", nil, ""},
		{"it has some", map[string][]hints{"node-0": {{For: []string{id2}}}}, "node-0 has hints for node-2, which it has to deliver first"},
		{"another has some", map[string][]hints{"node-1": {{For: []string{id2}}}}, "node-1 has hints for node-2, which it has to deliver first"},
		{"for itself", map[string][]hints{"node-1": {{For: []string{"id of node-0"}}}}, ""},
		{"for somebody of the past", map[string][]hints{"node-0": {{For: []string{"id of a ghost"}}}}, ""},
		{"they are being delivered", map[string][]hints{"node-0": {{Busy: true}}}, "node-0 delivers hints"},
		{"there were some", map[string][]hints{"node-0": {{Written: 7}}}, ""},
		{"there are ever more", map[string][]hints{"node-1": {{Written: 7}, {Written: 8}}}, "node-1 has just written hints: what a peer of it missed"},
		{"they came out of a buffer", map[string][]hints{"node-2": {{Written: 7}, {Written: 7, For: []string{id1}}}}, "node-2 has hints for node-1, which it has to deliver first"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := placed(3, 3)
			l, r := newLab(d)
			l.held = test.held
			require.NoError(t, r.spare(t.Context(), d, d.Nodes[:1]), "a restart keeps them")
			d.Nodes[0].Replace = true
			err := r.spare(t.Context(), d, d.Nodes[:1])
			if test.want == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, test.want)
			}
		})
	}
}

// TestFounder: where there is no ring, one node founds it, also after all were
// replaced at once.
func TestFounder(t *testing.T) {
	t.Parallel()
	d := placed(3, 3)
	for i := range d.Nodes {
		d.Nodes[i].Generation, d.Nodes[i].Ready = 2, false
	}
	_, r := newLab(d)
	require.NoError(t, r.join(t.Context(), d, d.Nodes[0]))
	require.EqualError(t, r.join(t.Context(), d, d.Nodes[1]), "node-0 is to found the ring")
	require.EqualError(t, r.join(t.Context(), d, d.Nodes[2]), "node-0 is to found the ring")
	d.Nodes[0].Goal = frameworks.GoalStop
	require.NoError(t, r.join(t.Context(), d, d.Nodes[1]), "who is not to run is not waited for")
	d.Nodes[0].Goal, d.Nodes[0].Lost = frameworks.GoalRun, time.Unix(1, 0)
	require.NoError(t, r.join(t.Context(), d, d.Nodes[1]), "nor is who is lost")
	require.EqualError(t, r.join(t.Context(), d, d.Nodes[2]), "node-1 is to found the ring")
}

func TestLeave(t *testing.T) {
	t.Parallel()
	out := func(l *lab) {
		for name := range l.views {
			l.see(name, func(v *view) { v.Owners, v.Live = without(v.Owners, fourth), without(v.Live, fourth) })
		}
	}
	silent := func(l *lab) {
		delete(l.views, "node-3")
		for name := range l.views {
			l.see(name, func(v *view) { v.Live = without(v.Live, fourth) })
		}
	}
	mode := func(mode string) func(*lab, *frameworks.Node) {
		return func(l *lab, _ *frameworks.Node) { l.see("node-3", func(v *view) { v.Mode = mode }) }
	}
	never := func(change func(*lab)) func(*lab, *frameworks.Node) {
		return func(l *lab, n *frameworks.Node) { change(l); n.Arrived = 0 }
	}
	for _, test := range []struct {
		name   string
		change func(*lab, *frameworks.Node)
		want   string // empty: it has left
		told   []string
	}{
		{"it serves", func(*lab, *frameworks.Node) {}, "it begins to hand over its data", []string{"decommission node-3"}},
		{"it is refused", func(l *lab, _ *frameworks.Node) { l.refuse = errors.New("no") }, "decommission: no", []string{"decommission node-3"}},
		{"it hands over", mode(leaving), "it streams its data to the others", nil},
		{"it has handed over", mode(decommissioned), "", nil},
		{"it failed", mode(failedToLeave), "it begins to hand over its data", []string{"decommission node-3"}},
		{"it starts", mode("STARTING"), "it is STARTING", nil},
		{"it does not run", func(l *lab, _ *frameworks.Node) { silent(l) }, "it has to run to hand over what it holds: connection refused", nil},
		{"it does not run and is out", func(l *lab, _ *frameworks.Node) { silent(l); out(l) }, "", nil},
		{"it does not run, and its peers start", func(l *lab, _ *frameworks.Node) {
			silent(l)
			out(l)
			l.see("node-1", func(v *view) { v.Mode = "STARTING" })
		}, "node-1 is STARTING, not NORMAL", nil},
		{"it is lost", func(l *lab, n *frameworks.Node) { silent(l); n.Lost = time.Unix(1, 0) }, "its peers take over its part of the data", []string{"node-0 removes id of node-3"}},
		{"it is lost, and lives", func(l *lab, n *frameworks.Node) { delete(l.views, "node-3"); n.Gone = true }, "node-0 sees it alive, although its agent is lost", nil},
		{"it has joined, and not arrived", never(func(*lab) {}), "it begins to hand over its data", []string{"decommission node-3"}},
		{"it joins", never(func(l *lab) { l.see("node-3", func(v *view) { v.Mode = "JOINING" }) }), "", nil},
		{"it never arrived, and does not answer", never(silent), "", nil},
		{"somebody dead is to be replaced", func(l *lab, _ *frameworks.Node) {
			l.see("node-1", func(v *view) { v.Owners = append(v.Owners, "10.9.9.9:7000") })
		}, "the ring still counts on 10.9.9.9:7000, which is gone: it has to be replaced or removed first", nil},
		{"it is in a ring of its own", never(func(l *lab) {
			l.see("node-3", func(v *view) { v.HostIDs = map[string]string{fourth: v.HostID} })
			out(l)
		}), "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := placed(4, 4)
			d.Nodes[3].Goal = frameworks.GoalLeave
			l, r := newLab(d)
			test.change(l, &d.Nodes[3])
			err := r.leave(t.Context(), d, d.Nodes[3])
			if test.want == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, test.want)
			}
			assert.Equal(t, test.told, l.told)
		})
	}
	d := placed(5, 4)
	d.Nodes[4].Alive = true
	l, r := newLab(d)
	require.EqualError(t, r.leave(t.Context(), d, d.Nodes[3]), "node-4 is to join first")
	assert.Empty(t, l.told)
	d = placed(3, 3)
	l, r = newLab(d)
	require.Error(t, r.leave(t.Context(), d, d.Nodes[2]))
	assert.Equal(t, []string{"decommission by force node-2"}, l.told, "who asks for fewer than three has forced it")
}

func TestReplaceable(t *testing.T) {
	t.Parallel()
	d := placed(3, 3)
	require.NoError(t, replaceable(d, d.Nodes[0]))
	d.Nodes[0].Goal, d.Nodes[0].Ready = frameworks.GoalStop, false
	require.EqualError(t, replaceable(d, d.Nodes[0]), "it is stopped, and the ring is asked only while it runs what would be lost with it: start it first")
	d.Nodes[0].Lost = time.Unix(1, 0)
	require.NoError(t, replaceable(d, d.Nodes[0]), "it cannot be started")
	d = placed(3, 3)
	d.Nodes[1].Ready = false
	require.EqualError(t, replaceable(d, d.Nodes[0]), "node-1 is not ready, and what both of them hold could be lost")
	d.Nodes[0].Arrived = 0
	require.NoError(t, replaceable(d, d.Nodes[0]), "it holds nothing")
	alone := placed(1, 1)
	require.EqualError(t, replaceable(alone, alone.Nodes[0]), "nobody else has its data")
}

func TestRemovable(t *testing.T) {
	t.Parallel()
	d := placed(5, 5)
	require.NoError(t, removable(d, d.Nodes[3:]))
	require.EqualError(t, removable(d, d.Nodes[2:]), "2 nodes would remain, and Cassandra's own keyspaces have 3 replicas")
	d.Nodes[0].Goal = frameworks.GoalLeave
	require.EqualError(t, removable(d, d.Nodes[3:]), "2 nodes would remain, and Cassandra's own keyspaces have 3 replicas")
}
