package constraints

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Rules are compiled constraints. All must hold; preferences rank and never
// refuse. The zero value allows every agent. Rules are immutable and may be
// shared.
type Rules struct {
	dialect Dialect
	form    form
	hard    []expr
	soft    []preference
}

// preference is a soft rule.
type preference struct {
	weight int
	expr   expr
}

// expr is a constraint or a combination of such: *rule, all, any or not.
type expr interface{ isExpr() }

type (
	all   []expr // every one holds; none: always
	anyOf []expr // at least one holds; none: never
	not   struct{ expr expr }
)

func (*rule) isExpr() {}
func (all) isExpr()   {}
func (anyOf) isExpr() {}
func (not) isExpr()   {}

// rule is one constraint: a field, an operator and perhaps a value.
type rule struct {
	dialect  Dialect
	field    string
	op       op
	word     string // the operator as written
	value    string
	hasValue bool

	reading reading
	number  int32                  // of MAX_PER and GROUP_BY; 0 if GROUP_BY has none
	accepts func(text string) bool // of an operator that looks at the value alone
}

// IsZero reports whether the rules allow every agent and prefer none.
func (r Rules) IsZero() bool { return len(r.hard) == 0 && len(r.soft) == 0 }

// Prefers reports whether the rules rank agents, so that it is worth asking
// [Placement.Score] about those that they allow.
func (r Rules) Prefers() bool { return len(r.soft) > 0 }

// Dialect returns the dialect in which the rules were written.
func (r Rules) Dialect() Dialect { return r.dialect }

// And returns rules that demand what all of the given rules demand.
func And(rules ...Rules) Rules {
	out := combine(rules)
	for _, r := range rules {
		out.hard = append(out.hard, r.hard...)
	}
	return out
}

// Or returns rules that are satisfied where at least one of the given is.
// Preferences among them stay preferences of the whole.
func Or(rules ...Rules) Rules {
	out := combine(rules)
	var either anyOf
	for _, r := range rules {
		either = append(either, conjunction(r.hard))
	}
	out.hard = []expr{either}
	return out
}

// Not returns rules that are satisfied where the given ones are not. What they
// prefer stays preferred.
func Not(rules Rules) Rules {
	out := combine([]Rules{rules})
	out.hard = []expr{not{conjunction(rules.hard)}}
	return out
}

// Prefer returns rules that refuse nothing: an agent that satisfies the given
// ones is ranked higher by weight, which may be negative. See
// [Placement.Score].
func Prefer(weight int, rules Rules) Rules {
	out := combine([]Rules{rules})
	if len(rules.hard) > 0 {
		out.soft = append(out.soft, preference{weight, conjunction(rules.hard)})
	}
	return out
}

// combine takes over everything but the hard rules.
func combine(rules []Rules) Rules {
	var out Rules
	for i, r := range rules {
		if i == 0 {
			out.dialect, out.form = r.dialect, r.form
		} else if r.form != out.form {
			out.form = formLists
		}
		out.soft = append(out.soft, r.soft...)
	}
	return out
}

func conjunction(exprs []expr) expr {
	if len(exprs) == 1 {
		return exprs[0]
	}
	return all(slices.Clone(exprs))
}

// leaves calls visit for every rule of an expression in the order of writing.
func leaves(e expr, visit func(*rule)) {
	switch e := e.(type) {
	case *rule:
		visit(e)
	case all:
		for _, kid := range e {
			leaves(kid, visit)
		}
	case anyOf:
		for _, kid := range e {
			leaves(kid, visit)
		}
	case not:
		leaves(e.expr, visit)
	}
}

// rules calls visit for every single rule, hard and soft.
func (r Rules) rules(visit func(*rule)) {
	for _, e := range r.hard {
		leaves(e, visit)
	}
	for _, p := range r.soft {
		leaves(p.expr, visit)
	}
}

// leavesHome reports whether the rules choose regions themselves, so that the
// home region is no longer demanded: Marathon takes a rule on a zone as such
// too.
func (r Rules) leavesHome() bool {
	found := false
	r.rules(func(rule *rule) {
		found = found || rule.reading.source == fromRegion ||
			rule.reading.source == fromZone && rule.dialect != DCOS
	})
	return found
}

// compile makes a rule of a row: field, operator and value.
func (d Dialect) compile(field string, o op, word, value string, hasValue bool) (*rule, error) {
	r := &rule{dialect: d, field: field, op: o, word: word, value: value, hasValue: hasValue}
	var err error
	if r.reading, err = d.reading(field, o); err != nil {
		return nil, err
	}
	switch o {
	case opUnique:
		err = r.compileUnique()
	case opMaxPer, opGroupBy:
		err = r.compileNumber()
	case opLike, opUnlike:
		err = r.compilePattern()
	case opCluster:
		err = r.compileCluster()
	case opIs, opIsNot:
		err = r.compileIs()
	case opNear, opNeverWith:
		if value == "" {
			err = fmt.Errorf("%s needs the name of a pod type", word)
		}
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// compileUnique: dcos-commons ignores a value, the others refuse it.
func (r *rule) compileUnique() error {
	r.number = 1
	if r.hasValue && r.dialect != DCOS {
		return fmt.Errorf("%s takes no value, not %q; for several per %s there is MAX_PER", r.word, r.value, r.field)
	}
	return nil
}

func (r *rule) compileNumber() error {
	if r.op == opGroupBy && !r.hasValue {
		if r.dialect == MarathonQuota {
			return fmt.Errorf("%s needs the number of groups: the quota of a group is the wanted instances divided by it", r.word)
		}
		if r.dialect == Kafka {
			r.number = 1
		}
		return nil
	}
	n, err := strconv.ParseInt(r.value, 10, 32)
	if err != nil {
		return fmt.Errorf("%s needs a whole number, not %q", r.word, r.value)
	}
	switch {
	case r.op == opMaxPer && r.dialect == DCOS && n < 1, r.op == opGroupBy && r.dialect == MarathonQuota && n < 1:
		return fmt.Errorf("%s needs a number of at least 1, not %d", r.word, n)
	case r.op == opMaxPer && n < 1:
		n = 1 // Marathon looks at the limit only where something is placed already
	}
	r.number = int32(max(0, n))
	return nil
}

func (r *rule) compilePattern() error {
	if r.value == "" && (r.dialect != Kafka || !r.hasValue) {
		return fmt.Errorf("%s needs a regular expression", r.word)
	}
	pattern, compile := r.value, compileWhole
	switch {
	case r.dialect == Kafka:
		compile = compileBare
	case r.reading.source == fromAll:
		pattern = r.field + ":" + pattern
	}
	var re *regexp.Regexp
	re, err := compile(pattern)
	if err != nil {
		return err
	}
	r.accepts = re.MatchString
	return nil
}

func (r *rule) compileCluster() error {
	if r.dialect == DCOS {
		if !r.hasValue {
			return fmt.Errorf("%s needs a value", r.word)
		}
		return r.compileIs()
	}
	if !r.hasValue || r.value == "" && r.dialect != Kafka {
		return nil
	}
	want := r.value
	r.accepts = func(text string) bool { return text == want }
	return nil
}

var (
	// literal is what Marathon lets stand after IS: Mesos's text and numbers.
	literal = regexp.MustCompile(`\A[A-Za-z0-9_/.-]*\z`)
	// plainNumber is what Marathon's IS compares as a number.
	plainNumber = regexp.MustCompile(`\A[0-9]+(\.[0-9]+)?\z`)
	// javaNumber is what Java's Double.valueOf reads, without its rarities.
	javaNumber = regexp.MustCompile(`\A\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[fFdD]?\s*\z`)
)

func (r *rule) compileIs() error {
	if r.dialect == DCOS {
		if !r.hasValue {
			return fmt.Errorf("%s needs a value", r.word)
		}
		if r.reading.source == fromAll {
			want := r.field + ":" + r.value
			r.accepts = func(text string) bool { return text == want }
			return nil
		}
		want := javaDecimal(r.value)
		r.accepts = func(text string) bool { return javaDecimal(text) == want }
		return nil
	}
	if !literal.MatchString(r.value) {
		return fmt.Errorf("%s compares with a text of letters, digits and _/.-, not %q; for a pattern there is LIKE", r.word, r.value)
	}
	want := r.isText()
	r.accepts = func(text string) bool { return text == want }
	return nil
}

// isText is the text that Marathon's IS compares with.
func (r *rule) isText() string {
	if x, err := strconv.ParseFloat(r.value, 64); err == nil && plainNumber.MatchString(r.value) {
		return trimmedDecimal(x)
	}
	return r.value
}

// javaDecimal renders what is a number to Java as 0.###, and leaves the rest.
func javaDecimal(s string) string {
	if !javaNumber.MatchString(s) {
		return s
	}
	x, err := strconv.ParseFloat(strings.TrimRight(strings.TrimSpace(s), "fFdD"), 64)
	if err != nil {
		return s
	}
	return trimmedDecimal(x)
}

// judges reports whether the verdict depends on the candidate's value alone.
func (r *rule) judges() bool { return r.accepts != nil }

// negative reports whether accepts says what is refused.
func (r *rule) negative() bool { return r.op == opUnlike || r.op == opIsNot }

// verdict is that of a rule that judges values. The dcos dialect hands it all
// attributes, of which any may match.
func (r *rule) verdict(v value) bool {
	if !v.present {
		return r.acceptsAbsent()
	}
	matched := false
	if v.parts == nil {
		matched = r.accepts(v.text)
	} else {
		matched = slices.ContainsFunc(v.parts, r.accepts)
	}
	return matched != r.negative()
}

// acceptsAbsent is the verdict on an agent that lacks the field: only a rule
// that refuses values lets it pass, and in mesos/kafka not even that. IS_NOT in
// dcos-commons needs some other attribute, because it asks whether any
// attribute differs.
func (r *rule) acceptsAbsent() bool {
	switch r.op {
	case opUnlike:
		return r.dialect != Kafka
	case opIsNot:
		return r.dialect != DCOS
	case opHome:
		return true
	}
	return false
}
