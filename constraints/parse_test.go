package constraints_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
)

// parseCase is one text in one dialect. An error has to contain fails; ok if
// that is empty.
type parseCase struct {
	name    string
	dialect constraints.Dialect
	text    string
	fails   string
}

const (
	marathon = constraints.Marathon
	quota    = constraints.MarathonQuota
	kafka    = constraints.Kafka
	dcos     = constraints.DCOS
)

// The names are those of the reference that the cases were collected in: P1 to
// P36 are what each of the old systems takes and refuses.
var parseCases = []parseCase{
	{"P1", marathon, `[["hostname","UNIQUE"]]`, ""},
	{"P1 kafka", kafka, `hostname=unique`, ""},
	{"P1 dcos", dcos, `[["hostname","UNIQUE"]]`, ""},
	{"P2", marathon, `[["hostname","UNIQUE","a"]]`, "UNIQUE takes no value"},
	{"P2 kafka", kafka, `hostname=unique:a`, "unique takes no value"},
	{"P2 dcos", dcos, `[["hostname","UNIQUE","a"]]`, ""},
	{"P3", marathon, `[["a","b","c"]]`, `operator "b" is unknown`},
	{"P3 kafka", kafka, `a=b:c`, `operator "b" is unknown`},
	{"P3 dcos", dcos, `rack-id:FOO:foo`, `operator "FOO" is unknown`},
	{"P4", marathon, `[["foo","cluster","bar"]]`, `did you mean "CLUSTER"?`},
	{"P4 kafka", kafka, `foo=cluster:bar`, ""},
	{"P4 dcos", dcos, `[["foo","cluster","bar"]]`, ""},
	{"P5", marathon, `[["hostname","CLUSTER"]]`, ""},
	{"P5 kafka", kafka, `hostname=cluster`, ""},
	{"P5 dcos", dcos, `[["hostname","CLUSTER"]]`, "CLUSTER needs a value"},
	{"P6", marathon, `[["hostname","CLUSTER",""]]`, ""},
	{"P6 kafka", kafka, `hostname=cluster:`, ""},
	{"P6 dcos", dcos, `[["hostname","CLUSTER",""]]`, ""},
	{"P7", marathon, `[["","CLUSTER","b"]]`, "field is empty"},
	{"P7 no value", marathon, `[["","CLUSTER"]]`, "field is empty"},
	{"P7 kafka", kafka, `=cluster`, "field is empty"},
	{"P7 dcos", dcos, `[["","CLUSTER","b"]]`, "field is empty"},
	{"P8", marathon, `[["rack-id","GROUP_BY"]]`, ""},
	{"P8 quota", quota, `[["rack-id","GROUP_BY"]]`, "needs the number of groups"},
	{"P8 kafka", kafka, `rack-id=groupBy`, ""},
	{"P8 dcos", dcos, `[["rack-id","GROUP_BY"]]`, ""},
	{"P9", marathon, `[["rack-id","GROUP_BY","123"]]`, ""},
	{"P9 kafka", kafka, `rack-id=groupBy:123`, ""},
	{"P9 dcos", dcos, `[["rack-id","GROUP_BY","123"]]`, ""},
	{"P10", marathon, `[["rack-id","GROUP_BY","AbcDZ"]]`, `whole number, not "AbcDZ"`},
	{"P10 kafka", kafka, `rack-id=groupBy:foo`, `whole number, not "foo"`},
	{"P10 dcos", dcos, `[["rack-id","GROUP_BY","foo"]]`, `whole number, not "foo"`},
	{"P11", marathon, `[["rack-id","GROUP_BY","inf"]]`, `whole number, not "inf"`},
	{"P11 quota", quota, `[["rack-id","GROUP_BY","inf"]]`, `whole number, not "inf"`},
	{"P11 kafka", kafka, `rack-id=groupBy:inf`, `whole number`},
	{"P11 dcos", dcos, `rack-id:GROUP_BY:inf`, `whole number`},
	{"P12", marathon, `[["rack-id","GROUP_BY","0"]]`, ""},
	{"P12 negative", marathon, `[["rack-id","GROUP_BY","-1"]]`, ""},
	{"P12 quota", quota, `[["rack-id","GROUP_BY","0"]]`, "at least 1, not 0"},
	{"P12 quota negative", quota, `[["rack-id","GROUP_BY","-1"]]`, "at least 1, not -1"},
	{"P12 kafka", kafka, `rack-id=groupBy:0`, ""},
	{"P12 dcos", dcos, `rack-id:GROUP_BY:-1`, ""},
	{"P13", marathon, `[["rack-id","MAX_PER"]]`, "needs a whole number"},
	{"P13 dcos", dcos, `rack-id:MAX_PER`, "needs a whole number"},
	{"P13 kafka", kafka, `rack-id=maxPer:1`, `operator "maxPer" is unknown`},
	{"P14", marathon, `[["rack-id","MAX_PER","AbcDZ"]]`, "needs a whole number"},
	{"P14 dcos", dcos, `rack-id:MAX_PER:AbcDZ`, "needs a whole number"},
	{"P15", marathon, `[["rack-id","MAX_PER","0"]]`, ""},
	{"P15 dcos", dcos, `rack-id:MAX_PER:0`, "at least 1, not 0"},
	{"P16 LIKE", marathon, `[["rack-id","LIKE"]]`, "needs a regular expression"},
	{"P16 UNLIKE", marathon, `[["rack-id","UNLIKE"]]`, "needs a regular expression"},
	{"P16 kafka like", kafka, `rack-id=like`, "needs a regular expression"},
	{"P16 kafka unlike", kafka, `rack-id=unlike`, "needs a regular expression"},
	{"P16 dcos LIKE", dcos, `rack-id:LIKE`, "needs a regular expression"},
	{"P16 dcos UNLIKE", dcos, `rack-id:UNLIKE`, "needs a regular expression"},
	{"P17", marathon, `[["rack-id","LIKE","*"]]`, "regular expression"},
	{"P17 kafka", kafka, `rack-id=like:*`, ""},
	{"P17 dcos", dcos, `rack-id:LIKE:*`, ""},
	{"P17 dcos hostname", dcos, `hostname:LIKE:*`, "regular expression"},
	{"P18", marathon, `[["rack-id","LIKE",".*"]]`, ""},
	{"P18 kafka", kafka, `rack-id=like:.*`, ""},
	{"P18 dcos", dcos, `rack-id:LIKE:.*`, ""},
	{"P19", marathon, `[["attribute","IS","value-1.2/3_4"]]`, ""},
	{"P19 dcos", dcos, `attribute:IS:value-1.2/3_4`, ""},
	{"P20", marathon, `[["attribute","IS","[0-9]"]]`, "for a pattern there is LIKE"},
	{"P20 dcos", dcos, `attribute:IS:[0-9]`, ""},
	{"P21", marathon, `[["attribute","IS"]]`, ""},
	{"P21 dcos", dcos, `attribute:IS`, "needs a value"},
	{"P22 one", marathon, `[["hostname"]]`, "1 parts"},
	{"P22 four", marathon, `[["hostname","LIKE","a","b"]]`, "4 parts"},
	{"P22 flat", marathon, `hostname`, "1 parts"},
	{"P22 dcos", dcos, `rack-id:LIKE:foo:bar`, `written \, or \:`},
	{"P23", dcos, `rack-id:LIKE:rack-{1\,3}`, ""},
	{"P23 not escaped", dcos, `rack-id:LIKE:rack-{1,3}`, `written \, or \:`},
	{"P24", dcos, `rack-id:LIKE:foo\:bar\:baz`, ""},
	{"P25", dcos, ` a : LIKE : c `, ""},
	{"P26", dcos, `a:LIKE:c,d:UNIQUE,f:CLUSTER:`, ""},
	{"P27", dcos, `rack-id:MAX_PER:,`, "MAX_PER needs a whole number"},
	{"P28 trailing", dcos, `[["hostname","UNIQUE"]],`, "something follows"},
	{"P28 open", dcos, `[["hostname","UNIQUE"]`, "not the JSON"},
	{"P28 marathon", marathon, `[["hostname","UNIQUE"]]]`, "something follows"},
	{"P29", dcos, `[[\"hostname\",\"MAX_PER\",\"1\"]]`, "not the JSON"},
	{"P30", marathon, `["hostname","UNIQUE"]`, "want a list of lists"},
	{"P30 dcos", dcos, `["hostname","UNIQUE"]`, ""},
	{"P31", dcos, `rack:LIKE:hi\`, "trailing backslash"},
	{"P32", dcos, `hostname:UNIQUE,,   ,  rack:UNIQUE  `, `row "": 1 parts`},
	{"P33", marathon, `@hostname:UNIQUE`, ""},
	{"P33 dcos", dcos, `@hostname:UNIQUE`, ""},
	{"P34 like", kafka, `a=like:(`, "missing closing )"},
	{"P34 groupBy", kafka, `a=groupBy:abc`, `whole number, not "abc"`},
	{"P34 unsupported", kafka, `a=unsupported`, `operator "unsupported" is unknown`},
	{"P35 cluster", kafka, `a=cluster:123`, ""},
	{"P35 groupBy", kafka, `a=groupBy:3`, ""},
	{"P36 cluster", kafka, `a=clusterfoo`, ""},
	{"P36 groupBy", kafka, `a=groupByfoo`, ""},
	{"P36 with a value", kafka, `a=groupByfoo:2`, `operator "groupByfoo" is unknown; did you mean "groupBy"?`},

	{"not UTF-8", marathon, "rack:IS:\xff", "not UTF-8"},
	{"nothing", marathon, ``, ""},
	{"null", dcos, `null`, ""},
	{"empty list", marathon, `[]`, ""},
	{"empty list dcos", dcos, `[]`, ""},
	{"empty map", kafka, ``, ""},
	{"objects", marathon, `[{"fieldName":"rack","operator":"GROUP_BY","value":"2"}]`, ""},
	{"object unknown key", marathon, `[{"field":"rack","operator":"UNIQUE"}]`, "unknown field"},
	{"object without operator", marathon, `[{"fieldName":"rack"}]`, "needs fieldName and operator"},
	{"number in a row", marathon, `[["rack","GROUP_BY",2]]`, "a text in quotes"},
	{"number in a row dcos", dcos, `[["rack","GROUP_BY",2]]`, ""},
	{"null in a row", dcos, `[["rack","GROUP_BY",null]]`, "a text in quotes"},
	{"row is a number", marathon, `[3]`, "is no constraint"},
	{"misspelt operator", marathon, `hostname:UNIQE`, `did you mean "UNIQUE"?`},
	{"misspelt field", marathon, `@zoen:UNIQUE`, `did you mean "@zone"?`},
	{"kafka open escape", kafka, `a=like:x\`, "nothing follows the last backslash"},
	{"kafka two equals", kafka, `a=like:x=y`, "is not field=constraint"},
	{"kafka escaped", kafka, `a=like:x\=y\,z`, ""},
	{"kafka no constraint", kafka, `a`, "is not field=constraint"},
	{"kafka list", kafka, `[["a","like:x"]]`, ""},
	{"kafka list with Marathon's words", kafka, `[["a","GROUP_BY","2"],["hostname","UNIQUE"]]`, ""},
	{"kafka list with a word it lacks", kafka, `[["a","MAX_PER","2"]]`, `operator "MAX_PER" is unknown`},
	{"near", marathon, `@zone:NEAR:journal`, ""},
	{"near nothing", marathon, `@zone:NEAR`, "name of a pod type"},
	{"tree", marathon, `{"any":["rack:IS:a",["rack","IS","b"],{"not":{"all":["zone:UNIQUE"]}}]}`, ""},
	{"preference", marathon, `[["hostname","UNIQUE"],{"prefer":"rack:GROUP_BY:3","weight":10}]`, ""},
	{"preference in a tree", marathon, `{"any":[{"prefer":"rack:UNIQUE"}]}`, "only at the top"},
	{"two branches", marathon, `{"any":[],"all":[]}`, "one of"},
	{"misplaced weight", marathon, `{"not":"rack:UNIQUE","weight":2}`, "only at the top"},
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range parseCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rules, err := c.dialect.Parse(c.text)
			if c.fails == "trailing backslash" { // dcos-commons keeps it; as a pattern it is an error in both
				require.ErrorContains(t, err, `regular expression "rack:hi\\"`)
				return
			}
			if c.fails != "" {
				require.ErrorContains(t, err, c.fails)
				require.ErrorContains(t, err, "constraint ", "the error names the text")
				return
			}
			require.NoError(t, err)
			requireRoundTrip(t, rules)
		})
	}
}

// requireRoundTrip: what is printed is read as equal rules, as text and as JSON.
func requireRoundTrip(t testing.TB, rules constraints.Rules) {
	t.Helper()
	printed := rules.String()
	again, err := rules.Dialect().Parse(printed)
	require.NoError(t, err, "%s", printed)
	require.Equal(t, printed, again.String())

	data, err := json.Marshal(rules)
	require.NoError(t, err)
	var decoded constraints.Rules
	require.NoError(t, json.Unmarshal(data, &decoded), "%s", data)
	require.Equal(t, printed, decoded.String())
	require.Equal(t, rules.Dialect(), decoded.Dialect())
}

func TestStringKeepsTheForm(t *testing.T) {
	t.Parallel()
	tests := []struct {
		dialect constraints.Dialect
		text    string
	}{
		{marathon, `hostname:UNIQUE`},
		{marathon, `hostname:UNIQUE,rack:GROUP_BY:2`},
		{marathon, `[["hostname","UNIQUE"],["rack","LIKE","a:b,c"]]`},
		{marathon, `[{"fieldName":"rack","operator":"GROUP_BY","value":"2"}]`},
		{marathon, `[{"any":[["rack","IS","a"],["rack","IS","b"]]},{"prefer":["hostname","UNIQUE"],"weight":-3}]`},
		{quota, `rack:GROUP_BY:2`},
		{kafka, `hostname=like:a\,b\\d,rack=groupBy:3`},
		{kafka, `a=cluster:123`},
		{kafka, `[{"not":["rack","like:a"]}]`},
		{dcos, `rack-id:like:rack-{1\,3}`},
		{dcos, `rack-id:LIKE:foo\:bar\:baz`},
		{dcos, `f:CLUSTER:`},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			t.Parallel()
			rules, err := tt.dialect.Parse(tt.text)
			require.NoError(t, err)
			require.Equal(t, tt.text, rules.String())
			requireRoundTrip(t, rules)
		})
	}
}

func TestParseCombinesTexts(t *testing.T) {
	t.Parallel()
	rules := constraints.MustParse("hostname:UNIQUE", "", "rack:GROUP_BY:2")
	require.Equal(t, "hostname:UNIQUE,rack:GROUP_BY:2", rules.String())
	require.False(t, rules.IsZero())
	mixed := constraints.MustParse("hostname:UNIQUE", `[["rack","UNIQUE"]]`)
	require.Equal(t, `[["hostname","UNIQUE"],["rack","UNIQUE"]]`, mixed.String())
	require.True(t, constraints.MustParse().IsZero())
	require.Panics(t, func() { constraints.MustParse("rack") })
	_, err := constraints.Dialect(9).Parse("hostname:UNIQUE")
	require.ErrorContains(t, err, "dialect 9 is unknown")
}

func TestDialectsCombine(t *testing.T) {
	t.Parallel()
	parse := func(d constraints.Dialect, text string) constraints.Rules {
		rules, err := d.Parse(text)
		require.NoError(t, err)
		return rules
	}
	tests := []struct {
		name  string
		rules constraints.Rules
		want  string
	}{
		{"one", constraints.And(parse(kafka, `hostname=unique`), parse(kafka, `rack=groupBy:2`)), `hostname=unique,rack=groupBy:2`},
		{"two", constraints.And(parse(marathon, `hostname:UNIQUE`), parse(kafka, `rack=like:a|b`)),
			`[["hostname","UNIQUE"],{"fieldName":"rack","operator":"like","value":"a|b","dialect":"kafka"}]`},
		{"two under a dialect", constraints.And(parse(kafka, `rack=cluster`), parse(dcos, `rack:is:a`)),
			`[["rack","cluster"],{"fieldName":"rack","operator":"is","value":"a","dialect":"dcos"}]`},
		{"inside a tree", constraints.Or(parse(quota, `rack:GROUP_BY:2`), constraints.Not(parse(marathon, `rack:UNIQUE`))),
			`[{"any":[["rack","GROUP_BY","2"],{"not":{"fieldName":"rack","operator":"UNIQUE","dialect":"marathon"}}]}]`},
		{"preferred", constraints.And(parse(marathon, `a:UNIQUE`), constraints.Prefer(2, parse(kafka, `a=unique`))),
			`[["a","UNIQUE"],{"prefer":{"fieldName":"a","operator":"unique","dialect":"kafka"},"weight":2}]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, tt.rules.String())
			requireRoundTrip(t, tt.rules)
			again, err := tt.rules.Dialect().Parse(tt.want)
			require.NoError(t, err)
			require.Equal(t, tt.rules.Dialect(), again.Dialect())
		})
	}
	both := constraints.And(parse(marathon, `rack:LIKE:a.`), parse(kafka, `rack=like:a|b`)).Placement()
	require.True(t, allows(t, both, host("h", "rack", "ax")), "each as in its own dialect")
	_, err := marathon.Parse(`[{"fieldName":"rack","operator":"UNIQUE","dialect":"dc"}]`)
	require.ErrorContains(t, err, `did you mean "dcos"?`)
	_, err = marathon.Parse(`[{"any":["rack:UNIQUE"],"dialect":"dcos"}]`)
	require.ErrorContains(t, err, "an object has fieldName")
}

func TestUnmarshalJSON(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, data, want, fails string }{
		{"text", `"hostname:UNIQUE"`, `hostname:UNIQUE`, ""},
		{"texts", `["hostname:UNIQUE","rack:GROUP_BY:2"]`, `hostname:UNIQUE,rack:GROUP_BY:2`, ""},
		{"rows", `[["hostname","UNIQUE"]]`, `[["hostname","UNIQUE"]]`, ""},
		{"tree", `{"any":["a:IS:b"]}`, `[{"any":[["a","IS","b"]]}]`, ""},
		{"dialect", `{"dialect":"kafka","rules":"hostname=unique"}`, `hostname=unique`, ""},
		{"dialect and rows", `{"dialect":"dcos","rules":["hostname","UNIQUE"]}`, ``, "1 parts"},
		{"unknown dialect", `{"dialect":"dc","rules":""}`, ``, `did you mean "dcos"?`},
		{"null", `null`, ``, ""},
		{"number", `3`, ``, "constraint"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var rules constraints.Rules
			err := json.Unmarshal([]byte(tt.data), &rules)
			if tt.fails != "" {
				require.ErrorContains(t, err, tt.fails)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, rules.String())
		})
	}
	var rules constraints.Rules
	require.NotPanics(t, func() { _ = rules.UnmarshalJSON(nil) })
}

func TestDialectNames(t *testing.T) {
	t.Parallel()
	for _, want := range []constraints.Dialect{marathon, quota, kafka, dcos} {
		got, err := constraints.ParseDialect(want.String())
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	got, err := constraints.ParseDialect("")
	require.NoError(t, err)
	require.Equal(t, marathon, got)
	_, err = constraints.ParseDialect("marathn")
	require.ErrorContains(t, err, `did you mean "marathon"?`)
	require.Equal(t, "Dialect(7)", constraints.Dialect(7).String())
}

func TestForeignSyntaxIsNamed(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		`a(?=b)`: "look-ahead", `a(?!b)`: "look-ahead", `(?<=a)b`: "look-behind", `(?<!a)b`: "look-behind",
		`(?>a)`: "an atomic group", `(a)\1`: `a back-reference (\1)`, `(?<n>a)\k<n>`: "a named back-reference",
		`a*+`: "a possessive quantifier", `a++`: "a possessive quantifier", `a?+`: "a possessive quantifier",
		`a{1,2}+`: "a possessive quantifier", `[a-z&&[^b]]`: "a class intersection", `[a[bc]]`: "a class inside a class",
		`[[:alpha:]]`: "a POSIX class", `\h`: "horizontal space", `a\Z`: "end before a line terminator",
		`\p{javaLowerCase}`: `the class \p{javaLowerCase}`, `(?x)a`: "the flag (?x)", `(?iU)a`: "the flag (?U)", `\u0041`: `\u`,
		`\v`: "vertical space",
	}
	for pattern, construct := range tests {
		t.Run(pattern, func(t *testing.T) {
			t.Parallel()
			for _, dialect := range []constraints.Dialect{marathon, dcos} {
				_, err := dialect.Parse(rows("rack", "LIKE", pattern))
				require.ErrorContains(t, err, construct)
			}
		})
	}
	for _, pattern := range []string{`a+?b`, `[]a]`, `[^]a]`, `\[a\]+`, `(?i)a`, `(?<n>a)`, `\Qa*+\E`, `\pL\d`, `\p{Greek}`, `a\+\+`, `(?:a+)+`, `x{2}`, `[&]`, `[+*]+`} {
		t.Run(pattern, func(t *testing.T) {
			t.Parallel()
			_, err := constraints.Parse(rows("rack", "LIKE", pattern))
			require.NoError(t, err)
		})
	}
	_, err := constraints.Parse(rows("rack", "LIKE", `a)(b`))
	require.ErrorContains(t, err, "unexpected )")
}

// rows writes one row as JSON.
func rows(row ...string) string {
	data, err := json.Marshal([][]string{row})
	if err != nil {
		panic(err)
	}
	return string(data)
}

func FuzzParse(f *testing.F) {
	for _, c := range parseCases {
		f.Add(uint8(c.dialect), c.text)
	}
	f.Fuzz(func(t *testing.T, dialect uint8, text string) {
		rules, err := constraints.Dialect(dialect % 4).Parse(text)
		if err != nil {
			return
		}
		requireRoundTrip(t, rules)
		p := rules.Placement()
		for _, a := range []constraints.Agent{{}, {Hostname: "h", Region: "r", Zone: "z"}} {
			if v, ok := p.Check(a); !ok && v.String() == "" {
				t.Fatal("a refusal without a reason")
			}
			p.Place(a)
			p.Prefilter()
		}
	})
}
