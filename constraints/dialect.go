package constraints

import (
	"fmt"
	"strings"

	"github.com/mesokit/mesokit/internal/edit"
)

// Dialect is the language in which rules are written. The same words mean
// different things in different systems; the package documentation has the
// table. The zero value is Marathon.
type Dialect uint8

const (
	// Marathon is Marathon up to 1.9: GROUP_BY fills the emptiest group.
	Marathon Dialect = iota
	// MarathonQuota is Marathon from late 1.10: GROUP_BY allows each of N groups
	// its share of the wanted instances (see [Placement.Want]).
	MarathonQuota
	// Kafka is mesos/kafka's: like, unlike, unique, cluster and groupBy over the
	// hostname and text attributes.
	Kafka
	// DCOS is dcos-commons': Marathon's words with its own reading of values.
	DCOS
)

var dialectNames = [...]string{"marathon", "marathon-quota", "kafka", "dcos"}

// ParseDialect returns the dialect of a name: marathon, marathon-quota, kafka
// or dcos. The empty name is Marathon.
func ParseDialect(name string) (Dialect, error) {
	if name == "" {
		return Marathon, nil
	}
	for d, known := range dialectNames {
		if name == known {
			return Dialect(d), nil
		}
	}
	return Marathon, fmt.Errorf("constraint dialect %q is unknown%s; the dialects are %s",
		name, suggest(name, dialectNames[:]), strings.Join(dialectNames[:], ", "))
}

// String returns the dialect's name.
func (d Dialect) String() string {
	if int(d) < len(dialectNames) {
		return dialectNames[d]
	}
	return fmt.Sprintf("Dialect(%d)", uint8(d))
}

// MarshalText returns the dialect's name.
func (d Dialect) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a dialect's name.
func (d *Dialect) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDialect(string(text))
	return err
}

// op is what a rule demands.
type op uint8

const (
	opUnique op = iota
	opCluster
	opGroupBy
	opLike
	opUnlike
	opMaxPer
	opIs
	opIsNot
	opNear      // on a value that a task of another pod type has
	opNeverWith // on no value that a task of another pod type has
	opHome      // in the home region, unless the agent has none
)

var opNames = [...]string{
	opUnique: "UNIQUE", opCluster: "CLUSTER", opGroupBy: "GROUP_BY", opLike: "LIKE", opUnlike: "UNLIKE",
	opMaxPer: "MAX_PER", opIs: "IS", opIsNot: "IS_NOT", opNear: "NEAR", opNeverWith: "NEVER_WITH", opHome: "HOME",
}

// kafkaNames are the words of mesos/kafka; it has no others.
var kafkaNames = map[op]string{
	opLike: "like", opUnlike: "unlike", opUnique: "unique", opCluster: "cluster", opGroupBy: "groupBy",
	opNear: "near", opNeverWith: "neverWith",
}

// ops lists the operators of a dialect. NEAR and NEVER_WITH are ours and are
// understood in all of them; IS_NOT is dcos-commons' and means in Marathon's
// dialects the negation of IS.
func (d Dialect) ops() []op {
	if d == Kafka {
		return []op{opLike, opUnlike, opUnique, opCluster, opGroupBy, opNear, opNeverWith}
	}
	return []op{opUnique, opCluster, opGroupBy, opLike, opUnlike, opMaxPer, opIs, opIsNot, opNear, opNeverWith}
}

// word returns how the dialect writes an operator.
func (d Dialect) word(o op) string {
	if d == Kafka {
		return kafkaNames[o]
	}
	return opNames[o]
}

// operator finds the operator that a word means.
func (d Dialect) operator(word string) (op, error) {
	var words []string
	for _, o := range d.ops() {
		known := d.word(o)
		if word == known || d == DCOS && strings.EqualFold(word, known) {
			return o, nil
		}
		words = append(words, known)
	}
	return 0, fmt.Errorf("operator %q is unknown%s; %s has %s",
		word, suggest(word, words), d, strings.Join(words, ", "))
}

// field names with a meaning of their own.
const (
	fieldHostname   = "hostname"
	fieldAtHostname = "@hostname"
	fieldRegion     = "@region"
	fieldZone       = "@zone"
)

// reading returns how a rule with operator o reads a field.
func (d Dialect) reading(field string, o op) (reading, error) {
	switch field {
	case "":
		return reading{}, fmt.Errorf("the field is empty; want hostname, @region, @zone or the name of an attribute")
	case fieldHostname, fieldAtHostname:
		return reading{source: fromHostname}, nil
	case fieldRegion:
		return reading{source: fromRegion}, nil
	case fieldZone:
		return reading{source: fromZone}, nil
	}
	if strings.HasPrefix(field, "@") {
		known := []string{fieldAtHostname, fieldRegion, fieldZone}
		return reading{}, fmt.Errorf("field %q is unknown%s; fields with @ are %s",
			field, suggest(field, known), strings.Join(known, ", "))
	}
	switch {
	case d == Kafka:
		return reading{fromLastText, field}, nil
	case d != DCOS:
		return reading{fromFirst, field}, nil
	case o == opGroupBy, o == opNear, o == opNeverWith:
		return reading{fromFolded, field}, nil
	case o == opUnique, o == opMaxPer:
		return reading{fromEach, field}, nil
	}
	return reading{source: fromAll}, nil
}

// suggest returns `; did you mean "x"?` for the word that is nearest to what
// was written, or nothing if none is near.
func suggest(written string, words []string) string {
	if best := nearest(written, words); best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	return ""
}

// nearest returns the word with the fewest edits from what was written, the
// first of equals; empty if more than a third of it would have to change.
func nearest(written string, words []string) string {
	best, least := "", max(2, len(written)/3)+1
	for _, w := range words {
		if n := edit.Distance(strings.ToLower(written), strings.ToLower(w)); n < least && n < len(w) {
			best, least = w, n
		}
	}
	return best
}
