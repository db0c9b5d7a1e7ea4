package offers

import (
	"cmp"
	"iter"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/constraints"
)

// Reserve finds a place for each request, in their order, over all the offers
// of each agent taken together. What one request takes is gone for the next,
// and where it is placed counts for the next one's rules. A request is placed
// as a whole or not at all; then the report says why not.
//
// The result does not depend on the order of the offers.
func Reserve(held iter.Seq[*mesos.Offer], requests []Request) ([]Match, Report) {
	b := batch{agents: agentsOf(held)}
	for _, a := range b.agents {
		a.key = b.table.Add(a.where)
	}
	for i := range requests {
		b.place(&requests[i])
	}
	return b.matches, b.report
}

// batch is the work of one Reserve.
type batch struct {
	agents  []*agent // ordered by id
	table   constraints.Agents
	fit     fit
	matches []Match
	placed  []Other // where and what the matches are
	report  Report
}

func (b *batch) place(r *Request) {
	if err := r.Validate(); err != nil {
		b.report.Refusals = append(b.report.Refusals, Refusal{Node: r.Node, Invalid: err.Error()})
		return
	}
	rules := b.placement(r)
	best := b.best(r, rules)
	if best == nil {
		b.report.Refusals = append(b.report.Refusals, b.explain(r, rules))
		return
	}
	b.fit.try(best, r)
	b.matches = append(b.matches, b.fit.match(best))
	b.placed = append(b.placed, Other{Pod: r.Pod, Agent: best.where})
	b.fit.commit(best)
}

// placement counts the peers, and what this batch has placed.
func (b *batch) placement(r *Request) *constraints.Placement {
	rules := r.Place.Over(&b.table)
	rules.Want(max(r.Instances, 1))
	rules.Home(r.Home)
	for _, peer := range r.Placed {
		rules.Place(peer)
	}
	for _, o := range r.Others {
		rules.PlaceOther(o.Pod, o.Agent)
	}
	for _, o := range b.placed {
		if o.Pod == r.Pod {
			rules.Place(o.Agent)
		} else {
			rules.PlaceOther(o.Pod, o.Agent)
		}
	}
	return rules
}

// best is the agent to take: one where the node has something reserved
// already, before all others; then what the rules prefer; not one that is about
// to be drained, or whose GPUs somebody else may need, if it can be helped;
// then the first by id.
func (b *batch) best(r *Request, rules *constraints.Placement) *agent {
	var best *agent
	var rank [4]int
	for _, a := range b.agents {
		if r.Agent != "" && a.id != r.Agent || !b.fit.try(a, r) {
			continue
		}
		if rules.Refusal(a.key) >= 0 {
			continue
		}
		mine := b.fit.rank(a, rules)
		if best != nil && slices.Compare(mine[:], rank[:]) >= 0 {
			continue
		}
		best, rank = a, mine
	}
	return best
}

// rank is lower for a better agent, after a successful try.
func (f *fit) rank(a *agent, rules *constraints.Placement) (rank [4]int) {
	if !f.own() {
		rank[0] = 1
	}
	rank[1] = -rules.ScoreKey(a.key)
	if a.offers[0].Unavailability != nil {
		rank[2] = 1
	}
	if a.scarce() && f.request.Needs.Amount("gpus") == 0 {
		rank[3] = 1
	}
	return rank
}

// scarce says whether the agent has GPUs.
func (a *agent) scarce() bool {
	return slices.ContainsFunc(a.parts, func(p part) bool { return p.of.Name == "gpus" })
}

// commit takes from the agent what the last try found.
func (f *fit) commit(a *agent) {
	parts := slices.Clone(a.parts)
	for _, t := range f.takes {
		p := &parts[t.part]
		p.left = p.left.minus(t.quantity(p))
	}
	a.parts = parts
}

// explain goes through all agents once more and counts what refused each.
func (b *batch) explain(r *Request, rules *constraints.Placement) Refusal {
	refusal := Refusal{Node: r.Node}
	for _, a := range b.agents {
		if r.Agent != "" && a.id != r.Agent {
			continue
		}
		refusal.Agents++
		if violation, ok := rules.CheckKey(a.key); !ok {
			refusal.addViolation(violation)
			continue
		}
		if !b.fit.try(a, r) {
			refusal.addLack(b.fit.describe(a, b.fit.lacks[0]))
		}
	}
	if refusal.Agents == 0 && r.Agent != "" {
		refusal.Only = r.Agent
	}
	slices.SortStableFunc(refusal.Reasons, func(x, y Reason) int { return cmp.Compare(y.Agents, x.Agents) })
	return refusal
}
