package offers

import "cmp"

// rank orders the agents on which a request fits: the lower is taken.
type rank struct {
	foreign bool   // the node has nothing there already
	soft    int    // what the rules prefer, negated
	moved   bool   // it was on another agent before
	penalty note   // what speaks against it
	free    Amount // of the lead resource; negated for Spread, zero for Any
	agent   int
}

func (r rank) compare(other rank) int {
	return cmp.Or(
		compareBools(r.foreign, other.foreign), cmp.Compare(r.soft, other.soft), compareBools(r.moved, other.moved),
		cmp.Compare(r.penalty, other.penalty), cmp.Compare(r.free, other.free), cmp.Compare(r.agent, other.agent),
	)
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// rank tells all but foreign, which only a try can.
func (b *batch) rank(w *want, agent int) rank {
	a := b.agents[agent]
	r := rank{foreign: true, moved: a.id != w.Last, penalty: b.notes[agent] &^ isMixed, agent: agent}
	if w.gpus {
		r.penalty &^= hasGPUs
	}
	if w.Place.Prefers() {
		r.soft = -w.rules.ScoreKey(b.key(a))
	}
	if !w.prefers {
		return r
	}
	if r.free = b.free(w, agent); w.Prefer == Spread {
		r.free = -r.free
	}
	return r
}

// free is how much of the lead resource the agent has.
func (b *batch) free(w *want, agent int) Amount {
	lead := &b.columns[w.demands[0].column]
	if b.notes[agent]&isMixed == 0 {
		return lead.free[agent]
	}
	return b.agents[agent].free(lead.name)
}

// best is the agent that ranks first of those on which the request fits; -1
// if there is none.
func (b *batch) best(request int) int {
	w := &b.wants[request]
	best := b.bestMixed(w)
	if best.agent < 0 || best.foreign {
		best = b.bestPlain(w, best)
	}
	return best.agent
}

// bestPlain looks for a better one among the agents that are not mixed.
func (b *batch) bestPlain(w *want, best rank) rank {
	if w.refused == b.state {
		return best // one of the same shape has just looked in vain
	}
	least, most := Amount(0), MaxAmount // of the lead resource: what can still beat best
	var lead []Amount
	if len(w.demands) > 0 {
		lead, least = b.columns[w.demands[0].column].free, w.demands[0].amount
	}
	for i := w.from; i < w.to; i++ {
		if lead != nil {
			if free := lead[i]; free < least || free > most {
				continue
			}
		}
		if b.notes[i]&isMixed != 0 || !b.covers(w, i) {
			continue
		}
		r := b.rank(w, i)
		if best.agent >= 0 && r.compare(best) >= 0 || !b.fits(w, i) {
			continue
		}
		best = r
		if w.ranked || best.penalty > 0 {
			continue
		}
		switch w.Prefer {
		case Pack:
			most = best.free - 1
		case Spread:
			least = -best.free + 1
		default:
			return best
		}
	}
	if best.agent < 0 {
		w.refused = b.state
	}
	return best
}

// bestMixed is the best of the agents that columns tell nothing of.
func (b *batch) bestMixed(w *want) rank {
	best := rank{agent: -1}
	for _, i := range b.mixed {
		if i < w.from || i >= w.to || !b.fits(w, i) {
			continue
		}
		r := b.rank(w, i)
		r.foreign = !b.fit.own()
		if best.agent < 0 || r.compare(best) < 0 {
			best = r
		}
	}
	return best
}

// first is the first agent by id on which the request fits, or -1.
func (b *batch) first(request int) int {
	w := &b.wants[request]
	for i := w.from; i < w.to; i++ {
		if b.covers(w, i) && b.fits(w, i) {
			return i
		}
	}
	return -1
}

// candidates is how many agents may take the request, as far as covers and
// rules tell.
func (b *batch) candidates(request int) int {
	w, n := &b.wants[request], 0
	for i := w.from; i < w.to; i++ {
		if b.covers(w, i) && b.refusal(w, i) < 0 {
			n++
		}
	}
	return n
}

// covers says whether the columns have enough for the request, and nothing
// else is known to be short.
func (b *batch) covers(w *want, agent int) bool {
	if w.unfit != nil && w.unfit[agent] {
		return false
	}
	for d := range w.demands {
		if b.columns[w.demands[d].column].free[agent] < w.demands[d].amount {
			return false
		}
	}
	return true
}

// refusal is the index of the rule that refuses the agent; negative: none does.
func (b *batch) refusal(w *want, agent int) int {
	if !w.ruled {
		return -1
	}
	return w.rules.Refusal(b.key(b.agents[agent]))
}

// fits says for sure; fit then holds what would be taken.
func (b *batch) fits(w *want, agent int) bool {
	if b.refusal(w, agent) >= 0 {
		return false
	}
	if b.fit.try(b.agents[agent], w.Request) {
		return true
	}
	if b.notes[agent]&isMixed == 0 && b.tenants[agent] == 0 {
		if w.unfit == nil {
			w.unfit = make([]bool, len(b.agents))
		}
		w.unfit[agent] = true
	}
	return false
}
