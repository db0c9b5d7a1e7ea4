package frameworks

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/mesokit/mesokit/scheduler"
)

// roster is the nodes of a service, kept from one decision to the next, so that
// an event costs what it touches and not what the service is large. It is no
// memory: whatever it holds follows from the records and the tasks, it is
// thrown away where that is not certain, and a decision made without it is the
// same.
//
// A node rests while there is nothing to be done for it until an event names
// it; rests has the rules. The others are awake: every decision looks at them,
// and may change them. Whoever changes a node that may be at rest rouses it first.
type roster struct {
	view    scheduler.View // of the last decision
	service *Service       // of that decision, as its options had it

	nodes []*Node        // all, in the order of pods and indexes; those at rest are only read
	at    map[string]int // where each is among them, by name
	up    map[string]*Node
	rest  map[string]rest
	// coming and behind are those at rest that are no ready members yet, and
	// those that are out of date, by pod and name.
	coming, behind map[string]map[string]bool
	// lodgers are those at rest, by agent and name.
	lodgers map[string]map[string]bool
	// Sums over what is at rest, see rest.
	footprint, state uint64
	open             [5]int  // steps of each of the engine's own plans
	phases           []Phase // of those at rest, beside nodes
	// wrote are the records of nodes that the last decision changed, by name;
	// nil: forgotten.
	wrote    map[string][]byte
	gone     map[string]bool // in the decision under way, by name
	unsorted bool
	// listed and unready are what awake and unsettled list; nil: not listed yet.
	listed  []*Node
	unready map[string][]*Node
}

// rest is what is known of a node as long as it rests.
type rest struct {
	ease             ease
	footprint, state uint64 // its share of the sums of comparison and routines
	of               ownPlans
}

// ease is how a node rests.
type ease int

const (
	none     ease = iota // it is awake
	serves               // ready, and as it is wanted
	outlasts             // ready, and out of date: it waits for its turn
	comes                // launched, and its executor or its gate has the word
)

func newRoster() *roster {
	return &roster{
		at: map[string]int{}, up: map[string]*Node{}, rest: map[string]rest{}, gone: map[string]bool{},
		coming: map[string]map[string]bool{}, behind: map[string]map[string]bool{}, lodgers: map[string]map[string]bool{},
	}
}

// employ takes in with which declaration the next decision is made: with another
// than that of the last, no node can rest.
func (r *roster) employ(s *Service) {
	if r.service != s {
		r.service = s
		r.rouseAll()
	}
}

// index takes in that nodes were added, have gone, or stand in another order.
func (r *roster) index() {
	phases := make([]Phase, len(r.nodes))
	at := make(map[string]int, len(r.nodes))
	for i, n := range r.nodes {
		if before, ok := r.at[n.Name]; ok && before < len(r.phases) {
			phases[i] = r.phases[before]
		}
		at[n.Name] = i
	}
	r.phases, r.at, r.unsorted = phases, at, false
	r.stir()
}

func (r *roster) node(name string) *Node {
	if i, ok := r.at[name]; ok {
		return r.nodes[i]
	}
	return nil
}

// add adds nodes at the end; sort puts them where they belong.
func (r *roster) add(nodes ...*Node) {
	for _, n := range nodes {
		r.up[n.Name] = n
		r.at[n.Name] = len(r.nodes)
		r.nodes = append(r.nodes, n)
		r.phases = append(r.phases, "")
	}
	r.unsorted = true
	r.stir()
}

// awake are the nodes to look at, in their order.
func (r *roster) awake() []*Node {
	if len(r.up) > 0 && r.listed == nil {
		r.listed = r.inOrder(slices.Collect(maps.Values(r.up)))
	}
	return r.listed
}

func (r *roster) inOrder(nodes []*Node) []*Node {
	slices.SortFunc(nodes, func(a, b *Node) int { return r.at[a.Name] - r.at[b.Name] })
	return nodes
}

// unsettled are the nodes of a pod that may not be ready: all but those that
// rest and are.
func (r *roster) unsettled(pod string) []*Node {
	if out, ok := r.unready[pod]; ok {
		return out
	}
	var out []*Node
	for _, n := range r.up {
		if n.Pod == pod {
			out = append(out, n)
		}
	}
	for name := range r.coming[pod] {
		out = append(out, r.node(name))
	}
	if r.unready == nil {
		r.unready = map[string][]*Node{}
	}
	r.unready[pod] = r.inOrder(out)
	return out
}

// waiting are the nodes of a pod that rest and are out of date.
func (r *roster) waiting(pod string) []*Node {
	out := make([]*Node, 0, len(r.behind[pod]))
	for name := range r.behind[pod] {
		out = append(out, r.node(name))
	}
	return out
}

// stir forgets the lists that are made when somebody asks.
func (r *roster) stir() { r.listed, r.unready = nil, nil }

// rouse returns a node that may be changed.
func (r *roster) rouse(n *Node) *Node {
	if up := r.up[n.Name]; up != nil {
		return up
	}
	own := n.clone()
	r.up[n.Name], r.nodes[r.at[n.Name]] = own, own
	was := r.rest[n.Name]
	delete(r.rest, n.Name)
	delete(r.coming[n.Pod], n.Name)
	delete(r.behind[n.Pod], n.Name)
	if agent := own.Place.Agent; len(r.lodgers[agent]) == 1 {
		delete(r.lodgers, agent)
	} else {
		delete(r.lodgers[agent], n.Name)
	}
	r.footprint -= was.footprint
	r.state -= was.state
	r.count(was.of, -1)
	r.stir()
	return own
}

func (r *roster) rouseAll() {
	for _, n := range r.nodes {
		r.rouse(n)
	}
}

// lay lays a node to rest.
func (r *roster) lay(n *Node, how rest, phase Phase) {
	delete(r.up, n.Name)
	r.stir()
	r.rest[n.Name], r.phases[r.at[n.Name]] = how, phase
	r.footprint += how.footprint
	r.state += how.state
	r.count(how.of, 1)
	put(r.lodgers, n.Place.Agent, n.Name)
	switch how.ease {
	case outlasts:
		put(r.behind, n.Pod, n.Name)
	case comes:
		put(r.coming, n.Pod, n.Name)
	}
}

// put puts a name into one of several sets.
func put(sets map[string]map[string]bool, key, name string) {
	if sets[key] == nil {
		sets[key] = map[string]bool{}
	}
	sets[key][name] = true
}

// drop forgets the nodes that are gone; they are awake.
func (r *roster) drop(gone func(*Node) bool) {
	before := len(r.nodes)
	for _, n := range r.awake() {
		if gone(n) {
			delete(r.up, n.Name)
			r.stir()
			r.gone[n.Name] = true
			r.nodes = slices.DeleteFunc(r.nodes, func(m *Node) bool { return m == n })
		}
	}
	if len(r.nodes) < before {
		r.index()
	}
}

// again makes the roster of the last decision that of the next: nodes are as
// their records have them. It reports false where it is not that of these
// records.
func (r *roster) again(s *Service, v scheduler.View, m *memo) bool {
	if !v.Follows(r.view) {
		return false
	}
	for name, wrote := range r.wrote {
		record, ok := v.Record(s.Name + "/node/" + name)
		if ok != (wrote != nil) || !bytes.Equal(record, wrote) {
			return false
		}
		i, there := r.at[name]
		if there != ok {
			return false
		}
		if ok {
			known, err := m.decoded(s, name, record)
			if err != nil {
				return false
			}
			r.nodes[i] = &known.node
		}
	}
	r.stir()
	for name := range r.up {
		own := m.nodes[name].node.clone()
		r.up[name], r.nodes[r.at[name]] = own, own
	}
	return true
}

// concerned rouses the nodes that an event names, or all where it may concern
// any.
func (d *decision) concerned(ev scheduler.Event) {
	task := ""
	switch ev := ev.(type) {
	case scheduler.Tick, scheduler.Offered, scheduler.Rescinded, scheduler.OperationUpdated, scheduler.AgentLost:
		return
	case scheduler.Updated:
		task = ev.Status.TaskID.Value
	case scheduler.Messaged:
		task = ev.Executor
	case scheduler.ExecutorLost:
		task = ev.Executor
	case scheduler.JobDone:
		_, task, _ = strings.Cut(ev.Name, "/")
	case scheduler.JobProgress:
		_, task, _ = strings.Cut(ev.Name, "/")
	case scheduler.Command:
		if _, ok := ev.Value.(AskStatus); !ok {
			d.rouseAll()
		}
		return
	default:
		d.rouseAll()
		return
	}
	if name, _, ok := d.owner(task); ok {
		if n := d.node(name); n != nil {
			d.rouse(n)
		}
	}
}
