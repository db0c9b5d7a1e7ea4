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
	columns []column
	mixed   []int   // agents of which columns do not tell all, in order
	isMixed []bool  // the same, of each agent
	penalty []uint8 // of each agent: see penaltyOf

	placed []placed // in the order of placing; undone from the end
}

// want is a request and what is computed once for it.
type want struct {
	*Request
	demands  []demand
	lead     int                    // the demand that a Preference looks at; -1: none
	from, to int                    // the agents to look at
	plain    bool                   // penalty, free amount and id decide alone
	rules    *constraints.Placement // counts the peers and all of placed
	skip     bool                   // invalid, or of a group that did not fit
	invalid  error
}

// column is how much of a scalar every agent has to offer, in one slice for
// the inner loop of the search. It is exact for agents that are not mixed; for
// mixed ones it is mixedAmount, which no demand excludes.
type column struct {
	name string
	free []Amount
}

const mixedAmount = 2 * MaxAmount

// demand is what a request takes of a column: a need, and the volumes on the
// root disk.
type demand struct {
	column int
	amount Amount
	need   int // in Needs; -1: volumes are in it
}

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
	b.wants = make([]want, len(requests))
	for i := range requests {
		w := &b.wants[i]
		w.Request, w.lead = &requests[i], -1
		if w.invalid = w.Validate(); w.invalid != nil {
			w.skip = true
			continue
		}
		w.demand(b)
		w.from, w.to = b.agentsFor(w.Agent)
		w.plain = w.Place.IsZero() && w.Last == "" && w.Needs.Amount("gpus") == 0
		w.rules = b.placement(w.Request)
	}
	b.fill()
}

// placement counts the peers that are placed already.
func (b *batch) placement(r *Request) *constraints.Placement {
	rules := r.Place.Over(b.table)
	rules.Want(max(r.Instances, 1))
	rules.Home(r.Home)
	for _, peer := range r.Placed {
		rules.Place(peer)
	}
	for _, o := range r.Others {
		rules.PlaceOther(o.Pod, o.Agent)
	}
	return rules
}

// demand finds what the request takes of each column.
func (w *want) demand(b *batch) {
	for i, q := range w.Needs.items {
		if q.scalar > 0 {
			w.demands = append(w.demands, demand{column: b.column(q.name), amount: q.scalar, need: i})
		}
	}
	var root Amount
	for _, v := range w.Volumes {
		if v.Disk == RootDisk && !v.Shared {
			root += v.Size
		}
	}
	if root > 0 {
		disk := b.column("disk")
		i := slices.IndexFunc(w.demands, func(d demand) bool { return d.column == disk })
		if i < 0 {
			i = len(w.demands)
			w.demands = append(w.demands, demand{column: disk})
		}
		w.demands[i].amount += root
		w.demands[i].need = -1
	}
	if len(w.demands) > 0 {
		w.lead = max(0, slices.IndexFunc(w.demands, func(d demand) bool { return b.columns[d.column].name == "cpus" }))
		w.demands[0], w.demands[w.lead] = w.demands[w.lead], w.demands[0]
		w.lead = 0
	}
}

func (b *batch) column(name string) int {
	i := slices.IndexFunc(b.columns, func(c column) bool { return c.name == name })
	if i < 0 {
		i = len(b.columns)
		b.columns = append(b.columns, column{name: name, free: make([]Amount, len(b.agents))})
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

// fill reads the agents into the columns.
func (b *batch) fill() {
	b.penalty, b.isMixed = make([]uint8, len(b.agents)), make([]bool, len(b.agents))
	for i, a := range b.agents {
		b.penalty[i] = penaltyOf(a)
		if b.isMixed[i] = a.mixed(); b.isMixed[i] {
			b.mixed = append(b.mixed, i)
		}
		b.update(i)
	}
}

// update reads one agent into the columns.
func (b *batch) update(i int) {
	a := b.agents[i]
	for c := range b.columns {
		col := &b.columns[c]
		if b.isMixed[i] {
			col.free[i] = mixedAmount
			continue
		}
		col.free[i] = a.free(col.name)
	}
}

// penaltyOf tells agents that are to be avoided if it can be helped: about to
// be drained (2), or with GPUs, which somebody else may need (1).
func penaltyOf(a *agent) uint8 {
	var penalty uint8
	if a.unavailable() {
		penalty = 2
	}
	if slices.ContainsFunc(a.parts, func(p part) bool { return p.of.Name == "gpus" }) {
		penalty++
	}
	return penalty
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
	return best
}

// hopeful says whether one that was not placed had a place at the beginning.
func (b *batch) hopeful(order []int, chosen []placed) bool {
	return slices.ContainsFunc(order, func(r int) bool {
		return !slices.ContainsFunc(chosen, func(p placed) bool { return p.request == r }) && b.first(r) >= 0
	})
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
	b.undo()
	return found
}

// commit gives the agent to the request.
func (b *batch) commit(request, agent int) {
	w, a := &b.wants[request], b.agents[agent]
	b.fit.try(a, w.Request)
	b.placed = append(b.placed, placed{request: request, agent: agent, before: a.parts})
	b.fit.commit(a)
	b.update(agent)
	for i := range b.wants {
		if other := &b.wants[i]; other.rules != nil {
			if other.Pod == w.Pod {
				other.rules.PlaceKey(a.key)
			} else {
				other.rules.PlaceOther(w.Pod, a.where)
			}
		}
	}
}

// undo takes all commits back.
func (b *batch) undo() {
	for _, p := range slices.Backward(b.placed) {
		w, a := &b.wants[p.request], b.agents[p.agent]
		a.parts = p.before
		b.update(p.agent)
		for i := range b.wants {
			if other := &b.wants[i]; other.rules != nil {
				if other.Pod == w.Pod {
					other.rules.RemoveKey(a.key)
				} else {
					other.rules.RemoveOther(w.Pod, a.where)
				}
			}
		}
	}
	b.placed = b.placed[:0]
}

// incompleteGroup finds a group of which some are placed and some are not, or
// none are.
func (b *batch) incompleteGroup(chosen []placed) (string, bool) {
	for i := range b.wants {
		w := &b.wants[i]
		if w.Group != "" && (!w.skip || w.invalid != nil) && !b.dropped(w.Group) &&
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
