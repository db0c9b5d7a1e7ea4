package constraints

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// maxGroups bounds the alternatives that rules expand to. Beyond it a part of
// the rules is left out, which lets more agents through and never fewer.
const maxGroups = 32

// maxProgram bounds what a regular expression may cost a master, which refuses
// the whole call over 100 instructions (its flag
// --offer_constraints_re2_max_program_size). It is half of that, because the
// count here is an estimate.
const maxProgram = 50

// Prefilter returns what a master can check of the rules and of what is placed
// now: alternatives, of which an agent has to pass one. None says that nothing
// can be checked and every agent has to be offered. It only pre-filters: an
// agent that [Placement.Check] allows always passes, but not all that pass are
// allowed. It has to be taken anew after every change of what is placed.
func (p *Placement) Prefilter() []Group {
	var groups []Group
	for i := range p.hard {
		groups = both(groups, p.filter(&p.hard[i], false))
	}
	return groups
}

// Either returns the alternatives for a role in which several pod types wait
// for offers: those of all of them, and none if one of them takes any agent.
func Either(prefilters ...[]Group) []Group {
	var out []Group
	for _, groups := range prefilters {
		if len(groups) == 0 {
			return nil
		}
		for _, g := range groups {
			if !slices.ContainsFunc(out, func(o Group) bool { return slices.Equal(o, g) }) {
				out = append(out, g)
			}
		}
	}
	return out
}

// both combines two sets of alternatives that must both be met.
func both(a, b []Group) []Group {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0 || len(a)*len(b) > maxGroups:
		return a
	}
	var out []Group
	for _, x := range a {
		for _, y := range b {
			g := slices.Clone(x)
			for _, c := range y {
				if !slices.Contains(g, c) {
					g = append(g, c)
				}
			}
			out = append(out, g)
		}
	}
	return out
}

// filter is what a master can check of an expression, or of its negation.
func (p *Placement) filter(t *term, negated bool) []Group {
	_, conjunct := t.expr.(all)
	switch t.expr.(type) {
	case *rule:
		if negated {
			return p.leaves[t.leaf].negated()
		}
		return p.leaves[t.leaf].filter()
	case not:
		return p.filter(&t.kids[0], !negated)
	}
	var out []Group
	var kids [][]Group
	for i := range t.kids {
		kid := p.filter(&t.kids[i], negated)
		out, kids = both(out, kid), append(kids, kid)
	}
	if conjunct != negated {
		return out
	}
	if either := Either(kids...); len(either) <= maxGroups {
		return either
	}
	return nil
}

// filter is what a master can check of a rule.
func (l *leaf) filter() []Group {
	l.grow()
	if l.column.reading.source >= fromFirst && l.rule.dialect != Marathon && l.rule.dialect != MarathonQuota {
		return l.exists()
	}
	on := l.selector()
	switch r := l.rule; {
	case r.op == opLike && r.portable():
		return one(AttributeConstraint{on, TextMatches{r.value}})
	case r.op == opUnlike && r.portable():
		return one(AttributeConstraint{on, TextNotMatches{r.value}})
	case r.op == opHome && r.value != "":
		return []Group{{{on, NotExists{}}}, {{on, TextEquals{r.value}}}}
	case r.op == opUnlike, r.op == opHome:
		return nil
	case r.op == opIs, r.op == opCluster && r.judges():
		if want, ok := r.exactly(); ok {
			return one(AttributeConstraint{on, TextEquals{want}})
		}
	case r.op == opIsNot:
		if want, ok := r.exactly(); ok {
			return one(AttributeConstraint{on, TextNotEquals{want}})
		}
		return nil
	case r.op == opCluster && l.queue.head > absent:
		return one(AttributeConstraint{on, TextEquals{l.column.values[l.queue.head].text}})
	}
	return l.exhausted(on)
}

// exists demands only that the agent has the attribute, where the dialect looks
// at other attributes of the name than a master does.
func (l *leaf) exists() []Group {
	r := l.rule
	switch {
	case r.dialect == Kafka:
	case regexp.QuoteMeta(r.field) != r.field, l.column.reading.source == fromFolded,
		r.op == opUnlike, r.op == opIsNot, r.op == opLike && strings.Contains(r.value, "|"):
		return nil
	}
	return one(AttributeConstraint{Selector{Name: r.field}, Exists{}})
}

// exhausted demands the field, with none of the values that are refused now.
func (l *leaf) exhausted(on Selector) []Group {
	var g Group
	if on.Pseudo != PseudoHostname {
		g = append(g, AttributeConstraint{on, Exists{}})
	}
	if !l.rule.judges() && l.rule.op != opNear {
		for id, cell := range l.cells {
			if cell > 0 && cell > l.hi && l.rule.op != opCluster {
				g = append(g, AttributeConstraint{on, TextNotEquals{l.column.values[id].text}})
			}
		}
	}
	if len(g) == 0 {
		return nil
	}
	return []Group{g}
}

// negated is what a master can check where a rule must not hold. Only
// Marathon's rules on values have an exact opposite there.
func (l *leaf) negated() []Group {
	r, on := l.rule, l.selector()
	if r.dialect != Marathon && r.dialect != MarathonQuota || !r.judges() {
		return nil
	}
	switch r.op {
	case opLike:
		if r.portable() {
			return one(AttributeConstraint{on, TextNotMatches{r.value}})
		}
	case opUnlike:
		if r.portable() {
			return one(AttributeConstraint{on, TextMatches{r.value}})
		}
		return one(AttributeConstraint{on, Exists{}})
	case opIs, opCluster:
		want, _ := r.exactly()
		return one(AttributeConstraint{on, TextNotEquals{want}})
	case opIsNot:
		want, _ := r.exactly()
		return one(AttributeConstraint{on, TextEquals{want}})
	}
	return nil
}

func (l *leaf) selector() Selector {
	switch l.column.reading.source {
	case fromHostname:
		return Selector{Pseudo: PseudoHostname}
	case fromRegion:
		return Selector{Pseudo: PseudoRegion}
	case fromZone:
		return Selector{Pseudo: PseudoZone}
	}
	return Selector{Name: l.rule.field}
}

func one(c AttributeConstraint) []Group { return []Group{{c}} }

// exactly returns the only text that a rule accepts or refuses, if it is one:
// dcos-commons compares numbers, of which there are many spellings.
func (r *rule) exactly() (string, bool) {
	switch {
	case r.dialect == DCOS:
		return r.value, !javaNumber.MatchString(r.value)
	case r.op == opCluster:
		return r.value, true
	}
	return r.isText(), true
}

// portable reports whether a master's RE2 takes the pattern, at its default
// limits, and means by it what we mean.
func (r *rule) portable() bool {
	if r.dialect == Kafka && strings.Contains(r.value, "|") || strings.Contains(r.value, "(?<") {
		return false
	}
	parsed, err := syntax.Parse(r.value, syntax.Perl)
	if err != nil {
		return false
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return false
	}
	cost := 0
	for _, inst := range program.Inst {
		cost++
		switch inst.Op {
		case syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			cost += 10 // the forms of UTF-8
		case syntax.InstRune, syntax.InstRune1:
			cost += len(inst.Rune) / 2
			if n := len(inst.Rune); n > 0 && inst.Rune[n-1] >= 0x80 {
				cost += 5 * n
			}
		}
	}
	return cost <= maxProgram
}
