package constraints

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Violation is why an agent may not take a task. It is data; String makes the
// sentence when someone reads it.
type Violation struct {
	// Constraint as it was written.
	Constraint string `json:"constraint"`
	// Field that it looks at.
	Field string `json:"field"`
	// Value that the agent has there, as the dialect renders it.
	Value string `json:"value,omitempty"`
	// Missing: the agent has no such field.
	Missing bool `json:"missing,omitempty"`
	// Nearest is the agent's attribute that Field may have meant, if Missing.
	Nearest string `json:"nearest,omitempty"`
	// Counts that decided: how many tasks are placed per value, by value. For a
	// limit per value it is the candidate's alone.
	Counts []Count `json:"counts,omitempty"`
	// Remedy is what would satisfy the constraint.
	Remedy Remedy `json:"remedy"`
	// Causes are the violations of the parts if the constraint is a tree.
	Causes []Violation `json:"causes,omitempty"`
}

// Count is how many tasks are placed on agents with a value.
type Count struct {
	Value string `json:"value"`
	Tasks int    `json:"tasks"`
	// Missing: these are the tasks on agents without the field.
	Missing bool `json:"missing,omitempty"`
}

// Remedy describes the values of the field that would be taken now. The zero
// value says that none would.
type Remedy struct {
	// Values that are known and would be taken, sorted.
	Values []string `json:"values,omitempty"`
	// Unused: any value with nothing placed on it would be taken.
	Unused bool `json:"unused,omitempty"`
	// Like is a regular expression that the value has to match, Unlike one that
	// it must not match.
	Like   string `json:"like,omitempty"`
	Unlike string `json:"unlike,omitempty"`
	// Not is a value that it must not have.
	Not string `json:"not,omitempty"`
	// Any: every value would be taken.
	Any bool `json:"any,omitempty"`
}

// violation explains why an expression does not hold for an agent.
func (p *Placement) violation(t *term, k Key, a *Agent) Violation {
	if _, ok := t.expr.(*rule); ok {
		return p.leaves[t.leaf].violation(k, a)
	}
	v := Violation{Constraint: p.rules.dialect.show(t.expr)}
	for i := range t.kids {
		if _, negated := t.expr.(not); negated || !p.holds(&t.kids[i], k) {
			v.Causes = append(v.Causes, p.violation(&t.kids[i], k, a))
		}
	}
	return v
}

func (l *leaf) violation(k Key, a *Agent) Violation {
	l.grow()
	r, id := l.rule, l.column.at[k]
	v := Violation{Constraint: r.String(), Field: r.field, Value: l.shown(id), Remedy: l.remedy()}
	v.Missing = id == absent || v.Value == "" && l.column.reading.source == fromAll
	if v.Missing && l.column.reading.source >= fromFirst {
		names := make([]string, len(a.Attributes))
		for i := range a.Attributes {
			names[i] = a.Attributes[i].Name
		}
		v.Nearest = nearest(r.field, names)
	}
	switch r.op {
	case opUnique, opMaxPer:
		l.column.each(id, func(part int32) { v.Counts = l.appendCount(v.Counts, part) })
	case opGroupBy, opNear, opNeverWith:
		for part := range l.cells {
			v.Counts = l.appendCount(v.Counts, int32(part))
		}
	}
	slices.SortFunc(v.Counts, func(a, b Count) int { return cmp.Compare(a.Value, b.Value) })
	return v
}

// shown is the value for readers: without the attribute's name before it.
func (l *leaf) shown(id int32) string {
	prefix := l.rule.field + ":"
	v := l.column.values[id]
	if v.parts == nil {
		return v.text
	}
	var out []string
	for _, part := range v.parts {
		if text, ok := strings.CutPrefix(part, prefix); ok {
			out = append(out, text)
		} else if l.column.reading.source == fromEach {
			out = append(out, part)
		}
	}
	return strings.Join(out, ", ")
}

func (l *leaf) appendCount(counts []Count, id int32) []Count {
	tasks, missing := l.cells[id], false
	if id == absent {
		tasks, missing = l.missing, true
	}
	if tasks <= 0 {
		return counts
	}
	return append(counts, Count{Value: l.shown(id), Tasks: int(tasks), Missing: missing})
}

func (l *leaf) remedy() Remedy {
	r := l.rule
	switch r.op {
	case opLike:
		return Remedy{Like: r.value}
	case opUnlike:
		return Remedy{Unlike: r.value}
	case opIs, opHome:
		return Remedy{Values: []string{r.value}}
	case opIsNot:
		return Remedy{Not: r.value}
	case opCluster:
		if r.judges() {
			return Remedy{Values: []string{r.value}}
		}
		switch first := l.queue.head; first {
		case none:
			return Remedy{Any: true}
		case absent:
			return Remedy{}
		default:
			return Remedy{Values: []string{l.shown(first)}}
		}
	}
	out := Remedy{Unused: l.lo == 0}
	for id, cell := range l.cells {
		if cell > 0 && cell >= l.lo && cell <= l.hi {
			out.Values = append(out.Values, l.shown(int32(id)))
		}
	}
	slices.Sort(out.Values)
	return out
}

// String says in a sentence what refused the agent, and what would not.
func (v Violation) String() string {
	var b strings.Builder
	b.WriteString(v.Constraint)
	b.WriteString(": ")
	if len(v.Causes) > 0 {
		for i, cause := range v.Causes {
			if i > 0 {
				b.WriteString("; ")
			}
			b.WriteString(cause.String())
		}
		return b.String()
	}
	switch {
	case v.Missing && v.Nearest != "":
		fmt.Fprintf(&b, "the agent has no %s (did you mean %s?)", v.Field, v.Nearest)
	case v.Missing:
		fmt.Fprintf(&b, "the agent has no %s", v.Field)
	default:
		fmt.Fprintf(&b, "%s is %q", v.Field, v.Value)
	}
	if len(v.Counts) > 0 {
		b.WriteString(", placed:")
		for i, c := range v.Counts {
			if i > 0 {
				b.WriteByte(',')
			}
			if c.Missing {
				fmt.Fprintf(&b, " %d without it", c.Tasks)
			} else {
				fmt.Fprintf(&b, " %d on %q", c.Tasks, c.Value)
			}
		}
	}
	b.WriteString("; ")
	b.WriteString(v.Remedy.String())
	return b.String()
}

// String says which values would do.
func (r Remedy) String() string {
	switch {
	case r.Any:
		return "any value would do"
	case r.Like != "":
		return fmt.Sprintf("a value that matches %q would do", r.Like)
	case r.Unlike != "":
		return fmt.Sprintf("a value that does not match %q would do", r.Unlike)
	case r.Not != "":
		return fmt.Sprintf("a value other than %q would do", r.Not)
	}
	var ways []string
	if r.Unused {
		ways = append(ways, "one that nothing is placed on yet")
	}
	for _, value := range r.Values {
		ways = append(ways, fmt.Sprintf("%q", value))
	}
	if len(ways) == 0 {
		return "no value would do now"
	}
	return strings.Join(ways, " or ") + " would do"
}
