package offers

import (
	"cmp"
	"slices"
	"strings"

	"github.com/mesokit/mesokit/constraints"
)

// batch is the work of one Reserve: a search for the assignment of requests to
// agents, and then the matches of the one that was chosen.
type batch struct {
	agents []*agent // ordered by id
	table  *constraints.Agents
	fit    fit

	wants   []want
	shapes  []*shape
	columns []column
	mixed   []int  // agents of which columns do not tell all, in order
	notes   []note // of each agent
	tenants []int  // how many requests are placed on each agent

	placed []placed // in the order of placing; undone from the end
	state  int      // counts commits and undos, so that equal states are known
}

// want is a request and what is computed once for it.
type want struct {
	*Request
	*shape
	skip    bool // invalid, or of a group that did not fit
	invalid error
}

// column is how much of a scalar every agent has to offer, in one slice for
// the inner loop of the search. It is exact for agents that are not mixed; for
// mixed ones it is mixedAmount, which no demand excludes.
type column struct {
	name   string
	common int // index in common; -1: it is another
	free   []Amount
}

const mixedAmount = 2 * MaxAmount

type placed struct {
	request, agent int
	before         []part
}

func (b *batch) reserve(requests []Request) ([]Match, Report) {
	b.prepare(requests)
	chosen := b.search()
	for {
		group, incomplete := b.incompleteGroup(chosen)
		if !incomplete {
			break
		}
		for i := range b.wants {
			b.wants[i].skip = b.wants[i].skip || b.wants[i].Group == group
		}
		chosen = b.search()
	}
	matches := b.carryOut(chosen)
	return matches, b.report()
}

// prepare validates the requests and lays out the columns.
func (b *batch) prepare(requests []Request) {
	b.state = 1
	b.wants = make([]want, len(requests))
	for i := range requests {
		w := &b.wants[i]
		w.Request = &requests[i]
		if w.invalid = w.Validate(); w.invalid != nil {
			w.skip = true
			continue
		}
		w.shape = b.shapeOf(w.Request)
	}
	b.notes, b.tenants = make([]note, len(b.agents)), make([]int, len(b.agents))
	for i := range b.agents {
		b.read(i)
	}
}

// column is the index of that of a scalar.
func (b *batch) column(name string) int {
	i := slices.IndexFunc(b.columns, func(c column) bool { return c.name == name })
	if i < 0 {
		i = len(b.columns)
		b.columns = append(b.columns, column{name: name, common: slices.Index(common[:], name), free: make([]Amount, len(b.agents))})
	}
	return i
}

// agentsFor are the agents of an id, or all.
func (b *batch) agentsFor(id string) (from, to int) {
	if id == "" {
		return 0, len(b.agents)
	}
	compare := func(a *agent, id string) int { return strings.Compare(a.id, id) }
	from, _ = slices.BinarySearchFunc(b.agents, id, compare)
	for to = from; to < len(b.agents) && b.agents[to].id == id; {
		to++
	}
	return from, to
}

// key is the agent's in the table of rules. Only what a rule looks at is
// entered there: of most agents nobody asks where they are.
func (b *batch) key(a *agent) constraints.Key {
	if !a.known {
		a.key, a.known = b.table.Add(whereOf(a.latest())), true
	}
	return a.key
}

// read enters an agent, on which nothing is placed, into the columns.
func (b *batch) read(i int) {
	a := b.agents[i]
	if !a.summary.made {
		a.summarize()
	}
	if b.notes[i] = a.summary.note; b.notes[i]&isMixed != 0 {
		b.mixed = append(b.mixed, i)
	}
	for c := range b.columns {
		switch col := &b.columns[c]; {
		case b.notes[i]&isMixed != 0:
			col.free[i] = mixedAmount
		case col.common >= 0:
			col.free[i] = a.summary.free[col.common]
		default:
			a.gather()
			col.free[i] = a.free(col.name)
		}
	}
}

// update brings the columns to what is left of an agent.
func (b *batch) update(i int) {
	if b.notes[i]&isMixed != 0 {
		return
	}
	for c := range b.columns {
		b.columns[c].free[i] = b.agents[i].free(b.columns[c].name)
	}
}

// search tries the ways that Reserve describes and returns the assignment that
// places most, undone. An assignment is in the order of placing.
func (b *batch) search() []placed {
	order := make([]int, 0, len(b.wants))
	for i := range b.wants {
		if !b.wants[i].skip {
			order = append(order, i)
		}
	}
	best := b.attempt(order, (*batch).best)
	if len(best) == len(order) || len(best) == 0 || !b.hopeful(order, best) {
		return best
	}
	counts := make([]int, len(b.wants))
	for _, r := range order {
		counts[r] = b.candidates(r)
	}
	hardest := slices.Clone(order)
	slices.SortStableFunc(hardest, func(x, y int) int { return cmp.Compare(counts[x], counts[y]) })
	for _, way := range []struct {
		order []int
		take  func(*batch, int) int
	}{{hardest, (*batch).best}, {order, (*batch).first}, {hardest, (*batch).first}} {
		if found := b.attempt(way.order, way.take); len(found) > len(best) {
			best = found
		}
	}
	if looks := maxLooks; len(best) < len(order) && len(order) <= maxBacktracked && b.backtrack(hardest, &looks) {
		best = slices.Clone(b.placed)
		b.undo(0)
	}
	return best
}

// A way for all is searched for at most so many requests, and with at most so
// many looks at an agent.
const (
	maxBacktracked = 50
	maxLooks       = 100_000
)

// backtrack places all in that order, each on any agent that leaves a place for
// the next. It says false, with nothing placed, where it found no way.
func (b *batch) backtrack(order []int, looks *int) bool {
	if len(order) == 0 {
		return true
	}
	w, before := &b.wants[order[0]], len(b.placed)
	for i := w.from; i < w.to && *looks > 0; i++ {
		*looks--
		if !b.covers(w, i) || !b.fits(w, i) {
			continue
		}
		b.commit(order[0], i)
		if b.backtrack(order[1:], looks) {
			return true
		}
		b.undo(before)
	}
	return false
}

// hopeful says whether one that was not placed had a place at the beginning.
func (b *batch) hopeful(order []int, chosen []placed) bool {
	done := make([]bool, len(b.wants))
	for _, p := range chosen {
		done[p.request] = true
	}
	return slices.ContainsFunc(order, func(r int) bool { return !done[r] && b.first(r) >= 0 })
}

// attempt places the requests in that order, and those that found no place
// again, until no more are placed: for a rule may ask for the company of one
// that comes later.
func (b *batch) attempt(order []int, take func(*batch, int) int) []placed {
	for waiting := order; ; {
		var refused []int
		for _, r := range waiting {
			if agent := take(b, r); agent >= 0 {
				b.commit(r, agent)
			} else {
				refused = append(refused, r)
			}
		}
		if len(refused) == 0 || len(refused) == len(waiting) {
			break
		}
		waiting = refused
	}
	found := slices.Clone(b.placed)
	b.undo(0)
	return found
}

// commit gives the agent to the request.
func (b *batch) commit(request, agent int) {
	w, a := &b.wants[request], b.agents[agent]
	if b.fit.request != w.Request || b.fit.fitting != a {
		b.fit.try(a, w.Request)
	}
	b.placed = append(b.placed, placed{request: request, agent: agent, before: a.parts})
	b.fit.commit(a)
	b.tenants[agent]++
	b.update(agent)
	b.state++
	for _, s := range b.shapes {
		if s.of.Pod == w.Pod {
			s.rules.PlaceKey(b.key(a))
		} else {
			s.rules.PlaceOther(w.Pod, whereOf(a.latest()))
		}
	}
}

// undo takes commits back until so many are left.
func (b *batch) undo(left int) {
	for _, p := range slices.Backward(b.placed[left:]) {
		w, a := &b.wants[p.request], b.agents[p.agent]
		a.parts = p.before
		b.tenants[p.agent]--
		b.update(p.agent)
		for _, s := range b.shapes {
			if s.of.Pod == w.Pod {
				s.rules.RemoveKey(b.key(a))
			} else {
				s.rules.RemoveOther(w.Pod, whereOf(a.latest()))
			}
		}
	}
	b.placed = b.placed[:left]
	b.state++
	b.fit.fitting = nil
}

// incompleteGroup finds a group of which not all are placed.
func (b *batch) incompleteGroup(chosen []placed) (string, bool) {
	for i := range b.wants {
		w := &b.wants[i]
		if w.Group != "" && !b.dropped(w.Group) &&
			!slices.ContainsFunc(chosen, func(p placed) bool { return p.request == i }) {
			return w.Group, true
		}
	}
	return "", false
}

// dropped says whether all of a group are skipped.
func (b *batch) dropped(group string) bool {
	return !slices.ContainsFunc(b.wants, func(w want) bool { return w.Group == group && !w.skip })
}

// carryOut places for good and returns the matches in the order of requests.
func (b *batch) carryOut(chosen []placed) []Match {
	matches := make([]Match, len(b.wants))
	for _, p := range chosen {
		b.fit.try(b.agents[p.agent], b.wants[p.request].Request)
		matches[p.request] = b.fit.match(b.agents[p.agent])
		b.commit(p.request, p.agent)
	}
	return slices.DeleteFunc(matches, func(m Match) bool { return m.Agent == "" })
}
