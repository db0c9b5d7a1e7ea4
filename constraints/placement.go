package constraints

import "math"

// Placement counts what is placed and says, for rules, which agents may take
// one more. Placing, removing and checking take constant time per rule. Not
// safe for concurrent use: checking may note a value that it has not seen.
type Placement struct {
	rules  Rules
	agents *Agents
	leaves []leaf
	hard   []term
	soft   []term // like rules.soft

	// simple: hard[i] is leaves[i], so that a check needs no tree.
	simple bool
	want   int32
	home   int // index in leaves; negative if no home region is demanded

	// Of Allowed and Refused: the sets that were returned, the table's epoch plus
	// one (zero: none yet), and how many of its changes are taken in.
	allowed, refused Keys
	epoch, seen      int
}

// Placement returns an empty count with a table of agents of its own.
func (r Rules) Placement() *Placement { return r.Over(new(Agents)) }

// Over returns an empty count over agents that several placements share.
func (r Rules) Over(agents *Agents) *Placement {
	p := &Placement{rules: r, agents: agents, want: 1, home: -1, simple: true}
	for _, e := range r.hard {
		_, single := e.(*rule)
		p.simple = p.simple && single
		p.hard = append(p.hard, p.term(e))
	}
	for _, s := range r.soft {
		p.soft = append(p.soft, p.term(s.expr))
	}
	return p
}

// term is an expression over leaves by their index.
type term struct {
	expr expr
	leaf int // of a *rule
	kids []term

	refused Keys // of all, anyOf and not: room for refusedBy
}

func (p *Placement) term(e expr) term {
	t := term{expr: e}
	switch e := e.(type) {
	case *rule:
		t.leaf = len(p.leaves)
		p.leaves = append(p.leaves, newLeaf(e, p.agents.column(e.reading)))
	case all:
		for _, kid := range e {
			t.kids = append(t.kids, p.term(kid))
		}
	case anyOf:
		for _, kid := range e {
			t.kids = append(t.kids, p.term(kid))
		}
	case not:
		t.kids = []term{p.term(e.expr)}
	}
	return t
}

// Rules returns the rules that the placement counts for.
func (p *Placement) Rules() Rules { return p.rules }

// Want sets how many instances there shall be in the end. Only GROUP_BY in the
// marathon-quota dialect looks at it; there it is 1 until set.
func (p *Placement) Want(instances int) {
	p.want = int32(min(max(instances, 0), math.MaxInt32))
	for i := range p.leaves {
		p.leaves[i].rebalance(p.want)
	}
}

// Home sets the region in which agents have to be, unless a rule names regions
// itself (in Marathon's dialects: regions or zones; in Kafka's dialect there is
// no such default). An agent without a region is at home. The empty region
// lifts it.
func (p *Placement) Home(region string) {
	if p.rules.dialect == Kafka || p.rules.leavesHome() || region == "" && p.home < 0 {
		return
	}
	r := &rule{dialect: p.rules.dialect, field: fieldRegion, op: opHome, word: opNames[opHome], value: region,
		hasValue: true, reading: reading{source: fromRegion}}
	r.accepts = func(text string) bool { return region == "" || text == region }
	l := newLeaf(r, p.agents.column(r.reading))
	if p.home < 0 {
		p.home = len(p.leaves)
		p.leaves = append(p.leaves, l)
		p.hard = append(p.hard, term{expr: r, leaf: p.home})
		p.simple = p.simple && p.home == len(p.hard)-1
		return
	}
	p.leaves[p.home] = l
	p.hard[len(p.hard)-1].expr = r
}

// Place counts one task on an agent.
func (p *Placement) Place(a Agent) { p.read(&a); p.PlaceKey(scratch) }

// Remove takes back one Place on an equal agent.
func (p *Placement) Remove(a Agent) { p.read(&a); p.RemoveKey(scratch) }

// PlaceKey counts one task on an agent of the table.
func (p *Placement) PlaceKey(k Key) {
	for i := range p.leaves {
		p.leaves[i].place(k, p.want)
	}
}

// RemoveKey takes back one PlaceKey.
func (p *Placement) RemoveKey(k Key) {
	for i := range p.leaves {
		p.leaves[i].remove(k, p.want)
	}
}

// PlaceOther counts one task of another pod type, which only NEAR and
// NEVER_WITH look at.
func (p *Placement) PlaceOther(pod string, a Agent) { p.other(pod, a, 1) }

// RemoveOther takes back one PlaceOther on an equal agent.
func (p *Placement) RemoveOther(pod string, a Agent) { p.other(pod, a, -1) }

func (p *Placement) other(pod string, a Agent, n int32) {
	p.read(&a)
	for i := range p.leaves {
		l := &p.leaves[i]
		if (l.rule.op == opNear || l.rule.op == opNeverWith) && l.rule.value == pod {
			l.count(l.column.at[scratch], n)
		}
	}
}

// read enters an agent under the scratch key.
func (p *Placement) read(a *Agent) {
	for i := range p.leaves {
		c := p.leaves[i].column
		c.at[scratch] = c.intern(c.reading.of(a))
	}
}

// Check reports whether an agent may take one more task. If not, the violation
// says which rule refuses it and why.
func (p *Placement) Check(a Agent) (Violation, bool) {
	p.read(&a)
	return p.check(scratch, &a)
}

// CheckKey is [Placement.Check] for an agent of the table.
func (p *Placement) CheckKey(k Key) (Violation, bool) { return p.check(k, &p.agents.agents[k]) }

func (p *Placement) check(k Key, a *Agent) (Violation, bool) {
	i := p.Refusal(k)
	if i < 0 {
		return Violation{}, true
	}
	return p.violation(&p.hard[i], k, a), false
}

// Constraint returns the rule of an index that [Placement.Refusal] returned, as
// it was written.
func (p *Placement) Constraint(i int) string { return p.rules.dialect.show(p.hard[i].expr) }

// Refusal returns the index of the first rule that refuses an agent of the
// table, in the order of writing, or a negative number if it may take one more
// task. It allocates nothing; [Placement.CheckKey] has the reason.
func (p *Placement) Refusal(k Key) int {
	if !p.simple {
		for i := range p.hard {
			if !p.holds(&p.hard[i], k) {
				return i
			}
		}
		return -1
	}
	leaves := p.leaves[:len(p.hard)]
	for i := range leaves {
		if !leaves[i].allows(k) {
			return i
		}
	}
	return -1
}

// holds evaluates an expression.
func (p *Placement) holds(t *term, k Key) bool {
	switch t.expr.(type) {
	case all:
		for i := range t.kids {
			if !p.holds(&t.kids[i], k) {
				return false
			}
		}
		return true
	case anyOf:
		for i := range t.kids {
			if p.holds(&t.kids[i], k) {
				return true
			}
		}
		return false
	case not:
		return !p.holds(&t.kids[0], k)
	}
	return p.leaves[t.leaf].allows(k)
}

// Score returns the sum of the weights of the preferences that an agent
// satisfies.
func (p *Placement) Score(a Agent) int {
	p.read(&a)
	return p.ScoreKey(scratch)
}

// ScoreKey is [Placement.Score] for an agent of the table.
func (p *Placement) ScoreKey(k Key) int {
	sum := 0
	for i := range p.soft {
		if p.holds(&p.soft[i], k) {
			sum += p.rules.soft[i].weight
		}
	}
	return sum
}
