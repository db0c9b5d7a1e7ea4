package offers

import (
	"cmp"
	"slices"
)

// nearestMisses is how many agents a refusal names.
const nearestMisses = 3

// triesForChange bounds how many agents are looked at closely, for each rule,
// to learn whether one more agent would do.
const triesForChange = 32

// maxCloseLooks bounds how many agents that a rule refuses are looked at
// closely, to find the nearest.
const maxCloseLooks = 64

// report explains the requests that are not placed, with all others in place.
func (b *batch) report() Report {
	var report Report
	for i := range b.wants {
		w := &b.wants[i]
		switch {
		case w.invalid != nil:
			report.Refusals = append(report.Refusals, Refusal{Node: w.Node, Times: 1, Invalid: w.invalid.Error()})
		case !slices.ContainsFunc(b.placed, func(p placed) bool { return p.request == i }):
			report.Refusals = append(report.Refusals, b.explain(w))
		}
	}
	return report
}

// explanation counts what refused every agent, without a message for any.
type explanation struct {
	b       *batch
	w       *want
	state   int // of the batch that it explains
	agents  int
	rules   []refused // by index of the rule
	lacks   []shortage
	nearest []nearMiss

	closeLooks int // how many agents were looked at closely for nearest
}

// refused is what one rule refused.
type refused struct {
	agents, first int
	fits          int // an agent with enough of everything; -1: none seen
	tries         int
}

// shortage is what one lack refused.
type shortage struct {
	lack
	agents int
	host   int // has the most
	alone  int // the agent with the most of those where nothing else is in the way; -1: none
	most   Amount
}

// nearMiss ranks agents by how many things are in the way, and how far.
type nearMiss struct {
	agent, wrongs int
	short         Amount // of what is most short, in thousandths of what is asked
}

func (b *batch) explain(w *want) Refusal {
	e := w.explained
	if e == nil || e.state != b.state {
		e = &explanation{b: b, w: w, state: b.state}
		for i := w.from; i < w.to; i++ {
			if b.notes[i]&isMixed == 0 {
				e.look(i)
			}
		}
		w.explained = e
	}
	e = &explanation{b: b, w: w, agents: e.agents,
		rules: slices.Clone(e.rules), lacks: slices.Clone(e.lacks), nearest: slices.Clone(e.nearest)}
	for _, i := range b.mixed {
		if i >= w.from && i < w.to {
			e.look(i)
		}
	}
	return e.refusal()
}

// look counts one agent.
func (e *explanation) look(agent int) {
	e.agents++
	if rule := e.b.refusal(e.w, agent); rule >= 0 {
		e.refuse(agent, rule)
	} else {
		e.lack(agent)
	}
}

// refuse notes that a rule refused the agent.
func (e *explanation) refuse(agent, rule int) {
	for len(e.rules) <= rule {
		e.rules = append(e.rules, refused{first: -1, fits: -1})
	}
	r := &e.rules[rule]
	if r.agents++; r.first < 0 {
		r.first = agent
	}
	shorts, short := e.shorts(agent)
	if r.fits < 0 && r.tries < triesForChange {
		if r.tries++; e.fitsAtFirst(agent) {
			r.fits = agent
		}
	}
	m := nearMiss{agent: agent, wrongs: shorts + 1, short: short}
	if e.nearer(m) && e.closeLooks < maxCloseLooks { // columns do not tell of ports and disks
		e.closeLooks++
		m.wrongs += len(e.lacksOf(agent)) - shorts
	}
	e.near(m)
}

// lacksOf are all the things that the agent is short of.
func (e *explanation) lacksOf(agent int) []lack {
	fit := &e.b.fit
	fit.all = true
	fit.try(e.b.agents[agent], e.w.Request)
	fit.all = false
	return fit.lacks
}

// fitsAtFirst says whether the resources of the agent would do if nothing had
// been placed on it: whether one more agent like it, but for the rule, would.
func (e *explanation) fitsAtFirst(agent int) bool {
	a := *e.b.agents[agent]
	for _, p := range e.b.placed {
		if p.agent == agent {
			a.parts = p.before
			break
		}
	}
	return e.b.fit.try(&a, e.w.Request)
}

// lack notes what the agent is short of: the first such thing, in the order in
// which things are taken.
func (e *explanation) lack(agent int) {
	columnsTell := e.b.notes[agent]&isMixed == 0 && e.b.agents[agent].offeredTo(e.w.Role)
	if shorts, short := e.shorts(agent); shorts > 0 && columnsTell {
		for _, d := range e.w.demands {
			if free := e.b.columns[d.column].free[agent]; free < d.amount && d.need >= 0 {
				e.count(lack{of: needLack, index: d.need, best: free}, agent, shorts == 1)
				e.near(nearMiss{agent: agent, wrongs: shorts, short: short})
				return
			}
		}
	}
	lacks := e.lacksOf(agent)
	if len(lacks) == 0 { // a group that waits for others
		e.agents--
		return
	}
	e.count(lacks[0], agent, len(lacks) == 1)
	e.near(nearMiss{agent: agent, wrongs: len(lacks), short: e.w.short(lacks[0])})
}

// short is how much is missing, in thousandths of what is asked.
func (w *want) short(l lack) Amount {
	var asked Amount
	switch l.of {
	case needLack:
		asked = w.Needs.items[l.index].scalar
	case volumeLack:
		asked = w.Volumes[l.index].Size
	}
	if asked == 0 {
		return 1000
	}
	return (asked - l.best) / max(1, asked/1000)
}

// shorts is how many columns have too little for the request, and how far at
// most.
func (e *explanation) shorts(agent int) (n int, short Amount) {
	for i := range e.w.demands {
		d := &e.w.demands[i]
		if free := e.b.columns[d.column].free[agent]; free < d.amount {
			n++
			short = max(short, (d.amount-free)/max(1, d.amount/1000))
		}
	}
	return n, short
}

func (e *explanation) count(l lack, agent int, alone bool) {
	i := slices.IndexFunc(e.lacks, func(s shortage) bool { return s.of == l.of && s.index == l.index })
	if i < 0 {
		i = len(e.lacks)
		e.lacks = append(e.lacks, shortage{lack: l, host: agent, alone: -1})
	}
	s := &e.lacks[i]
	if s.agents++; l.best > s.best {
		s.best, s.host = l.best, agent
	}
	if alone && (s.alone < 0 || l.best > s.most) {
		s.alone, s.most = agent, l.best
	}
}

// near keeps the agents that came nearest.
func (e *explanation) near(m nearMiss) {
	if !e.nearer(m) {
		return
	}
	e.nearest = append(e.nearest[:min(len(e.nearest), nearestMisses-1)], m)
	slices.SortStableFunc(e.nearest, nearMiss.compare)
}

// nearer says whether there is room for it among the nearest.
func (e *explanation) nearer(m nearMiss) bool {
	return len(e.nearest) < nearestMisses || m.compare(e.nearest[nearestMisses-1]) < 0
}

func (m nearMiss) compare(other nearMiss) int {
	return cmp.Or(cmp.Compare(m.wrongs, other.wrongs), cmp.Compare(m.short, other.short))
}

// refusal makes the messages.
func (e *explanation) refusal() Refusal {
	r := Refusal{Node: e.w.Node, Times: 1, Agents: e.agents}
	if e.w.skip {
		r.Group = e.w.Group
	}
	if e.agents == 0 && e.w.Agent != "" && e.w.from == e.w.to {
		r.Only = e.w.Agent
	}
	for _, rule := range e.rules {
		if rule.agents == 0 {
			continue
		}
		violation, _ := e.w.rules.CheckKey(e.b.key(e.b.agents[rule.first]))
		r.Reasons = append(r.Reasons, Reason{Agents: rule.agents, Violation: &violation})
		if rule.fits >= 0 {
			r.Changes = append(r.Changes, Change{Violation: &violation})
		}
	}
	for _, s := range e.lacks {
		r.Reasons = append(r.Reasons, Reason{Agents: s.agents, Lack: new(e.w.describe(s.lack, e.b.agents[s.host]))})
		if change := e.onlyLack(s); change != nil {
			r.Changes = append(r.Changes, Change{Lack: change})
		}
	}
	slices.SortStableFunc(r.Reasons, func(x, y Reason) int { return cmp.Compare(y.Agents, x.Agents) })
	for _, m := range e.nearest {
		r.Nearest = append(r.Nearest, e.miss(m.agent))
	}
	return r
}

// onlyLack describes a shortage that is all that is in the way of an agent.
func (e *explanation) onlyLack(s shortage) *Lack {
	if s.alone < 0 || s.of == roleLack || s.of != portLack && s.most == 0 {
		return nil
	}
	lacks := e.lacksOf(s.alone)
	if len(lacks) != 1 {
		return nil
	}
	return new(e.w.describe(lacks[0], e.b.agents[s.alone]))
}

func (e *explanation) miss(agent int) Miss {
	a := e.b.agents[agent]
	m := Miss{Agent: a.id, Hostname: a.latest().Hostname}
	if violation, ok := e.w.rules.CheckKey(e.b.key(a)); !ok {
		m.Violation = &violation
	}
	for _, l := range e.lacksOf(agent) {
		m.Lacks = append(m.Lacks, e.w.describe(l, a))
	}
	return m
}

// describe makes data for people of what a try found short.
func (w *want) describe(l lack, a *agent) Lack {
	switch l.of {
	case needLack:
		q := w.Needs.items[l.index]
		lack := Lack{Resource: q.name, Asked: q.scalar, Best: l.best}
		if q.scalar == 0 {
			lack.Of = q.value()
		}
		if l.best > 0 {
			lack.Hostname = a.latest().Hostname
		}
		return lack
	case portLack:
		return Lack{Resource: "ports", Of: w.Ports[l.index].String()}
	case volumeLack:
		v := w.Volumes[l.index]
		lack := Lack{Resource: "disk", Of: v.String(), Asked: v.Size, Best: l.best}
		if l.best > 0 {
			lack.Hostname = a.latest().Hostname
		}
		return lack
	default:
		role := w.Role
		if role == "" {
			role = a.role
		}
		return Lack{Resource: "role", Of: role}
	}
}
