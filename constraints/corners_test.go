package constraints_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
)

// corners are what the vectors leave open, by the reference's account of each
// system. Values are parted by blanks and have the prefixes of the vectors; "-"
// is an agent that lacks the field.
var corners = []struct {
	name      string
	dialect   constraints.Dialect
	text      string
	want      int // instances; 1 unless said
	placed    string
	candidate string
	allowed   bool
}{
	{"no value, UNIQUE", marathon, "rack:UNIQUE", 0, "a", "-", false},
	{"placed without a value never conflicts", marathon, "rack:UNIQUE", 0, "- -", "a", true},
	{"no value, MAX_PER", marathon, "rack:MAX_PER:9", 0, "", "-", false},
	{"no value, IS", marathon, "rack:IS:a", 0, "", "-", false},
	{"no value, IS of nothing", marathon, "rack:IS", 0, "", "-", false},
	{"empty value, IS of nothing", marathon, "rack:IS", 0, "", "s:", true},
	{"no value, UNLIKE", quota, "rack:UNLIKE:a", 0, "", "-", true},
	{"no value, IS_NOT", marathon, "rack:IS_NOT:a", 0, "", "-", true},
	{"no value, unlike", kafka, "rack=unlike:a", 0, "", "-", false},
	{"no value, groupBy", kafka, "rack=groupBy:2", 0, "", "-", false},
	{"no value, cluster", kafka, "rack=cluster", 0, "a", "-", false},
	{"no value, IS_NOT", dcos, "rack:IS_NOT:a", 0, "", "-", false},
	{"no value, MAX_PER", dcos, "rack:MAX_PER:9", 0, "", "-", false},
	{"no value, GROUP_BY", dcos, "rack:GROUP_BY", 0, "a", "-", false},
	{"zone, IS_NOT", dcos, "@zone:IS_NOT:a", 0, "", "b", true},
	{"no region, CLUSTER", marathon, "@region:CLUSTER", 0, "", "-", false},
	{"no zone, UNLIKE", kafka, "@zone=unlike:a", 0, "", "-", false},

	{"MAX_PER 0 of a value that is not seen", marathon, "rack:MAX_PER:0", 0, "a", "b", true},
	{"MAX_PER 0 of one that is", marathon, "rack:MAX_PER:0", 0, "a", "a", false},
	{"MAX_PER counts the value, not the groups", marathon, "rack:MAX_PER:1", 0, "a b c d", "e", true},
	{"MAX_PER of equal scalars", marathon, "rack:MAX_PER:1", 0, "s:1.0004", "s:1", false},
	{"MAX_PER of scalars apart", dcos, "rack:MAX_PER:1", 0, "s:1.0005", "s:1", true},
	{"MAX_PER of a scalar and its text", marathon, "rack:MAX_PER:1", 0, "s:1", "1", false},
	{"UNIQUE of a scalar and its text", dcos, "rack:UNIQUE", 0, "s:1", "1.000", false},

	{"IS of a number, scalar", marathon, "n:IS:1.50", 0, "", "s:1.5", true},
	{"IS of a number, text in the plain form", marathon, "n:IS:1.50", 0, "", "1.5", true},
	{"IS of a number, same text", marathon, "n:IS:1.50", 0, "", "1.50", false},
	{"IS below zero is a text", marathon, "n:IS:-1.0", 0, "", "s:-1", false},
	{"IS below zero as rendered", marathon, "n:IS:-1", 0, "", "s:-1", true},
	{"IS with a dot at its end is a text", marathon, "n:IS:1.", 0, "", "s:1", false},
	{"CLUSTER is never a number", marathon, "n:CLUSTER:1.0", 0, "", "s:1", false},
	{"CLUSTER of the rendered number", marathon, "n:CLUSTER:1", 0, "", "s:1", true},
	{"CLUSTER of hostname as a number", dcos, "hostname:CLUSTER:1.0", 0, "", "1", true},
	{"CLUSTER of attribute as a number", dcos, "n:CLUSTER:1.0", 0, "", "1", false},
	{"CLUSTER of scalar", dcos, "n:CLUSTER:1.000", 0, "", "s:1", true},
	{"scalars are not seen", kafka, "n=like:.*", 0, "", "s:1", false},
	{"ranges in order", marathon, `r:IS:x`, 0, "", "r:1-2", false},
	{"ranges as the agent has them", dcos, `r:CLUSTER:[8-9\,1-5]`, 0, "", "r:8-9,1-5", true},
	{"ranges sorted", marathon, `[["r","CLUSTER","[1-5,8-9]"]]`, 0, "", "r:8-9,1-5", true},
	{"sets sorted", marathon, `[["s","CLUSTER","{a,b}"]]`, 0, "", "S:b,a", true},

	{"LIKE takes the whole value", marathon, "rack:LIKE:a|ab", 0, "", "abc", false},
	{"LIKE with anchors of its own", marathon, "rack:LIKE:^a.*b$", 0, "", "ab", true},
	{"LIKE ends at the end, not before a line's", marathon, "rack:LIKE:a", 0, "", "a\n", false},
	{"LIKE, . is no new line", marathon, "rack:LIKE:a.b", 0, "", "a\nb", false},
	{"LIKE cares for case", marathon, "rack:LIKE:A", 0, "", "a", false},
	{"LIKE unless told", marathon, "rack:LIKE:(?i)A", 0, "", "a", true},
	{"LIKE nothing", kafka, "rack=like:", 0, "", "a", false},
	{"unlike nothing", kafka, "rack=unlike:", 0, "", "a", true},
	{"like binds ^ to the first branch", kafka, "rack=like:a|b", 0, "", "ax", true},
	{"like binds $ to the last", kafka, "rack=like:a|b", 0, "", "xb", true},
	{"like takes neither inside", kafka, "rack=like:a|b", 0, "", "xax", false},
	{"unlike is the opposite", kafka, "rack=unlike:a|b", 0, "", "xb", false},
	{"UNLIKE takes the whole value", dcos, "rack:UNLIKE:a|b", 0, "", "a", false},
	{"UNLIKE, | parts the name from the second", dcos, "rack:UNLIKE:a|b", 0, "", "b", true},

	{"CLUSTER follows the first", marathon, "rack:CLUSTER", 0, "b a a", "b", true},
	{"CLUSTER not the most", marathon, "rack:CLUSTER", 0, "b a a", "a", false},
	{"CLUSTER after one without", marathon, "rack:CLUSTER", 0, "- a", "a", false},
	{"CLUSTER with a value, whatever is placed", marathon, "rack:CLUSTER:a", 0, "b b", "a", true},
	{"cluster: of nothing never matches", kafka, "rack=cluster:", 0, "", "a", false},
	{"CLUSTER of nothing is CLUSTER", marathon, "rack:CLUSTER:", 0, "a", "a", true},
	{"CLUSTER of nothing never matches", dcos, "rack:CLUSTER:", 0, "", "a", false},

	{"GROUP_BY: always a new group", marathon, "rack:GROUP_BY:2", 0, "a a b", "c", true},
	{"GROUP_BY: none twice before all", marathon, "rack:GROUP_BY:3", 0, "a b", "a", false},
	{"GROUP_BY: those without are a group", marathon, "rack:GROUP_BY:2", 0, "- a", "a", true},
	{"GROUP_BY: and may be the smallest", marathon, "rack:GROUP_BY", 0, "- a a", "a", false},
	{"GROUP_BY: those without are skipped", dcos, "rack:GROUP_BY:2", 0, "- a", "a", false},
	{"GROUP_BY: those without are skipped", kafka, "rack=groupBy:2", 0, "- a", "a", false},
	{"GROUP_BY 0 is no number", marathon, "rack:GROUP_BY:0", 0, "a", "a", true},
	{"GROUP_BY without a number piles up", dcos, "rack:GROUP_BY", 0, "a a a", "a", true},
	{"GROUP_BY without a number, then evens out", dcos, "rack:GROUP_BY", 0, "a a b", "a", false},
	{"GROUP_BY, one more group than said", dcos, "rack:GROUP_BY:2", 0, "a b", "c", true},
	{"GROUP_BY 0 is all found", dcos, "rack:GROUP_BY:0", 0, "a", "a", true},
	{"groupBy is cluster", kafka, "rack=groupBy", 0, "a a", "b", false},
	{"groupBy, no more groups than said", kafka, "rack=groupBy:2", 0, "a b", "c", false},
	{"groupBy 0 with nothing placed", kafka, "rack=groupBy:0", 0, "", "a", true},
	{"groupBy 0 then stays", kafka, "rack=groupBy:0", 0, "a", "b", false},

	{"quota: nothing placed", quota, "rack:GROUP_BY:2", 0, "", "a", true},
	{"quota: up to the share", quota, "rack:GROUP_BY:2", 6, "a a", "a", true},
	{"quota: not beyond", quota, "rack:GROUP_BY:2", 6, "a a a", "a", false},
	{"quota: the remainder goes to one", quota, "rack:GROUP_BY:2", 7, "a a a", "a", true},
	{"quota: and not to another", quota, "rack:GROUP_BY:2", 7, "a a a a b b b", "b", false},
	{"quota: one is enough", quota, "rack:GROUP_BY:2", 7, "a a a a", "a", false},
	{"quota: two of remainder", quota, "rack:GROUP_BY:3", 5, "a a b", "b", true},
	{"quota: and no third", quota, "rack:GROUP_BY:3", 5, "a a b b c", "c", false},
	{"quota: fewer wanted than groups", quota, "rack:GROUP_BY:5", 3, "a", "a", false},
	{"quota: a new one while there is room", quota, "rack:GROUP_BY:5", 3, "a", "b", true},
	{"quota: no new one beyond the groups", quota, "rack:GROUP_BY:2", 9, "a b", "c", false},
	{"quota: above its share already", quota, "rack:GROUP_BY:2", 3, "a a a", "b", true},
	{"quota: what is above uses the remainder", quota, "rack:GROUP_BY:2", 3, "a a a b", "b", false},
}

func TestCorners(t *testing.T) {
	t.Parallel()
	for _, c := range corners {
		t.Run(c.dialect.String()+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			rules, err := c.dialect.Parse(c.text)
			require.NoError(t, err)
			field := strings.Trim(strings.FieldsFunc(c.text, func(r rune) bool { return strings.ContainsRune(`:=,`, r) })[0], `["`)
			v := &vector{Field: field}
			agent := func(value string) constraints.Agent {
				switch value {
				case "-":
					return v.agent(t, nil)
				case "s:": // the text is empty
					return host("", field, "")
				}
				return v.agent(t, &value)
			}
			p := rules.Placement()
			p.Want(max(1, c.want))
			for value := range strings.FieldsSeq(c.placed) {
				p.Place(agent(value))
			}
			require.Equal(t, c.allowed, allows(t, p, agent(c.candidate)), "%s, placed %s", c.text, c.placed)
		})
	}
}
