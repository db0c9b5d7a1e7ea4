package constraints_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
)

func TestPrefilter(t *testing.T) {
	t.Parallel()
	const (
		rack     = `{"selector":{"attribute_name":"rack"},"predicate":`
		hostname = `{"selector":{"pseudoattribute_type":"HOSTNAME"},"predicate":`
		region   = `{"selector":{"pseudoattribute_type":"REGION"},"predicate":`
	)
	tests := []struct {
		name    string
		dialect constraints.Dialect
		text    string
		placed  []constraints.Agent
		want    []string // groups; the constraints of one joined by commas
	}{
		{"nothing", marathon, "", nil, nil},
		{"like", marathon, "rack:LIKE:r[13]", nil, []string{rack + `{"text_matches":{"regex":"r[13]"}}}`}},
		{"unlike", marathon, "rack:UNLIKE:r.*", nil, []string{rack + `{"text_not_matches":{"regex":"r.*"}}}`}},
		{"like too large for a master", marathon, "rack:LIKE:[0-9]{60}", nil, []string{rack + `{"exists":{}}}`}},
		{"unlike too large for a master", marathon, "rack:UNLIKE:[0-9]{60}", nil, nil},
		{"is a number", marathon, "rack:IS:1.0", nil, []string{rack + `{"text_equals":{"value":"1"}}}`}},
		{"is not", marathon, "rack:IS_NOT:a", nil, []string{rack + `{"text_not_equals":{"value":"a"}}}`}},
		{"unique host", marathon, "hostname:UNIQUE", nil, nil},
		{
			"unique host placed", marathon, "hostname:UNIQUE", []constraints.Agent{host("a")},
			[]string{hostname + `{"text_not_equals":{"value":"a"}}}`},
		},
		{"group by", marathon, "rack:GROUP_BY:2", nil, []string{rack + `{"exists":{}}}`}},
		{
			"group by placed", marathon, "rack:GROUP_BY:2", []constraints.Agent{host("", "rack", "a")},
			[]string{rack + `{"exists":{}}},` + rack + `{"text_not_equals":{"value":"a"}}}`},
		},
		{"cluster", marathon, "rack:CLUSTER", nil, []string{rack + `{"exists":{}}}`}},
		{
			"cluster placed", marathon, "rack:CLUSTER", []constraints.Agent{host("", "rack", "a")},
			[]string{rack + `{"text_equals":{"value":"a"}}}`},
		},
		{
			"any", marathon, `{"any":["rack:IS:a","hostname:IS:b"]}`, nil,
			[]string{rack + `{"text_equals":{"value":"a"}}}`, hostname + `{"text_equals":{"value":"b"}}}`},
		},
		{"any with what is not checked", marathon, `{"any":["rack:IS:a","hostname:UNIQUE"]}`, nil, nil},
		{
			"not any", marathon, `{"not":{"any":["rack:IS:a","rack:UNLIKE:b"]}}`, nil,
			[]string{rack + `{"text_not_equals":{"value":"a"}}},` + rack + `{"text_matches":{"regex":"b"}}}`},
		},
		{"not what counts", marathon, `{"not":"rack:UNIQUE"}`, nil, nil},
		{"preferences are no filter", marathon, `[{"prefer":"rack:IS:a"}]`, nil, nil},
		{"kafka reads another attribute of the name", kafka, "rack=like:a", nil, []string{rack + `{"exists":{}}}`}},
		{"kafka hostname", kafka, "hostname=like:a", nil, []string{hostname + `{"text_matches":{"regex":"a"}}}`}},
		{"kafka does not bracket branches", kafka, "hostname=like:a|b", nil, nil},
		{"dcos", dcos, "rack:IS:a", nil, []string{rack + `{"exists":{}}}`}},
		{"dcos name is a pattern", dcos, "r.ck:IS:a", nil, nil},
		{"dcos folds names", dcos, "rack:GROUP_BY", nil, nil},
		{"dcos compares numbers", dcos, "@region:IS:1", nil, []string{region + `{"exists":{}}}`}},
		{"dcos hostname", dcos, "hostname:IS:a", nil, []string{hostname + `{"text_equals":{"value":"a"}}}`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rules, err := tt.dialect.Parse(tt.text)
			require.NoError(t, err)
			p := rules.Placement()
			for _, a := range tt.placed {
				p.Place(a)
			}
			want := ""
			for i, g := range tt.want {
				if i > 0 {
					want += ","
				}
				want += `{"attribute_constraints":[` + g + `]}`
			}
			if want != "" {
				want = `"dev":{"groups":[` + want + `]}`
			}
			data, err := json.Marshal(constraints.OfferConstraints{"dev": p.Prefilter()})
			require.NoError(t, err)
			require.Equal(t, `{"role_constraints":{`+want+`}}`, string(data))
			var again constraints.OfferConstraints
			require.NoError(t, json.Unmarshal(data, &again))
			rewritten, err := json.Marshal(again)
			require.NoError(t, err)
			require.Equal(t, string(data), string(rewritten))
		})
	}
}

func TestEither(t *testing.T) {
	t.Parallel()
	filter := func(text string) []constraints.Group { return constraints.MustParse(text).Placement().Prefilter() }
	a, b := filter("rack:IS:a"), filter("rack:IS:b")
	require.Equal(t, []constraints.Group{a[0], b[0]}, constraints.Either(a, b, a))
	require.Empty(t, constraints.Either(a, filter("hostname:UNIQUE"), b), "one that takes any agent lifts the filter")
}

// Field numbers in Mesos's scheduler.proto: role_constraints 1 (key 1, value 2),
// groups 1, attribute_constraints 1, selector 1 (pseudoattribute_type 1,
// attribute_name 2), predicate 2 (exists 1 to text_not_matches 6).
func TestOfferConstraintsMarshal(t *testing.T) {
	t.Parallel()
	c := constraints.OfferConstraints{
		"dev": {
			{{Selector: constraints.Selector{Name: "rack"}, Predicate: constraints.TextEquals{Value: "r2"}}},
			{{Selector: constraints.Selector{Pseudo: constraints.PseudoZone}, Predicate: constraints.Exists{}}},
		},
		"empty": nil,
	}
	want := "0a27" + // role_constraints entry, 39 bytes
		"0a03" + hex.EncodeToString([]byte("dev")) +
		"1220" + // its groups, 32 bytes
		"0a12" + "0a10" + // group, constraint
		"0a06" + "1204" + hex.EncodeToString([]byte("rack")) +
		"1206" + "1a04" + "0a02" + hex.EncodeToString([]byte("r2")) +
		"0a0a" + "0a08" +
		"0a020803" + "12020a00"
	require.Equal(t, want, hex.EncodeToString(c.Marshal()))

	long := constraints.OfferConstraints{"dev": {{{
		Selector:  constraints.Selector{Name: "rack"},
		Predicate: constraints.TextMatches{Regex: string(make([]byte, 300))},
	}}}}
	require.Len(t, long.Marshal(), 334, "lengths of two bytes")
}

func TestOfferConstraintsRefuse(t *testing.T) {
	t.Parallel()
	constraint := func(s string) string {
		return `{"role_constraints":{"dev":{"groups":[{"attribute_constraints":[` + s + `]}]}}}`
	}
	tests := []struct{ name, data, fails string }{
		{"no groups", `{"role_constraints":{"dev":{"groups":[]}}}`, "no groups"},
		{"empty group", constraint(``), "a group without constraints"},
		{"no selector", constraint(`{"predicate":{"exists":{}}}`), "want attribute_name"},
		{"two selectors", constraint(`{"selector":{"attribute_name":"a","pseudoattribute_type":"ZONE"},"predicate":{"exists":{}}}`), "want attribute_name"},
		{"unknown pseudo", constraint(`{"selector":{"pseudoattribute_type":"RACK"},"predicate":{"exists":{}}}`), `not "RACK"`},
		{"no predicate", constraint(`{"selector":{"attribute_name":"a"}}`), "0 predicates"},
		{"unknown predicate", constraint(`{"selector":{"attribute_name":"a"},"predicate":{"is":{}}}`), `"is" is unknown`},
		{"bad regex", constraint(`{"selector":{"attribute_name":"a"},"predicate":{"text_matches":{"regex":"r["}}}`), "missing closing ]"},
		{"not JSON", `[]`, "offer constraints"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var c constraints.OfferConstraints
			require.ErrorContains(t, json.Unmarshal([]byte(tt.data), &c), tt.fails)
			require.Nil(t, c)
		})
	}
}

func TestExcludes(t *testing.T) {
	t.Parallel()
	rack := constraints.Selector{Name: "rack"}
	tests := []struct {
		predicate          constraints.Predicate
		none, scalar, r, x bool // passes an agent without rack, with a scalar, with "r", with "x"
	}{
		{constraints.Exists{}, false, true, true, true},
		{constraints.NotExists{}, true, false, false, false},
		{constraints.TextEquals{Value: "r"}, false, true, true, false},
		{constraints.TextNotEquals{Value: "r"}, true, true, false, true},
		{constraints.TextMatches{Regex: "[r]"}, false, true, true, false},
		{constraints.TextNotMatches{Regex: "[r]"}, true, true, false, true},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%T", tt.predicate), func(t *testing.T) {
			t.Parallel()
			c := constraints.OfferConstraints{"dev": {{{Selector: rack, Predicate: tt.predicate}}}}
			one := constraints.Agent{}
			one.Attributes = append(one.Attributes, scalar("rack", 1))
			require.Equal(t, tt.none, !c.Excludes("dev", host("")))
			require.Equal(t, tt.scalar, !c.Excludes("dev", one))
			require.Equal(t, tt.r, !c.Excludes("dev", host("", "rack", "r")))
			require.Equal(t, tt.x, !c.Excludes("dev", host("", "rack", "x")))
			require.False(t, c.Excludes("prod", host("")))
		})
	}
}

// randomAgent has few values, so that they collide, and attributes of every
// kind, repeated names among them.
func randomAgent(random *rand.Rand) constraints.Agent {
	pick := func(values ...string) string { return values[random.IntN(len(values))] }
	a := constraints.Agent{Hostname: pick("a", "b", "1", "1.0")}
	a.Region, a.Zone = pick("", "eu", "us", "1"), pick("", "eu", "1.0")
	for range random.IntN(4) {
		name := pick("rack", "Rack", "disk", "r.ck")
		if random.IntN(3) == 0 {
			a.Attributes = append(a.Attributes, scalar(name, float64(random.IntN(2))+0.5*float64(random.IntN(2))))
		} else {
			a.Attributes = append(a.Attributes, text(name, pick("a", "b", "ab", "1", "1.0", "")))
		}
	}
	return a
}

func randomRule(random *rand.Rand, dialect constraints.Dialect, depth int) constraints.Rules {
	pick := func(values ...string) string { return values[random.IntN(len(values))] }
	if depth > 0 && random.IntN(2) == 0 {
		x, y := randomRule(random, dialect, depth-1), randomRule(random, dialect, depth-1)
		switch random.IntN(4) {
		case 0:
			return constraints.Or(x, y)
		case 1:
			return constraints.Not(x)
		}
		return constraints.And(x, y)
	}
	field := pick("hostname", "@region", "@zone", "rack", "disk", "r.ck")
	row := []string{field, pick("UNIQUE", "CLUSTER", "GROUP_BY", "LIKE", "UNLIKE", "MAX_PER", "IS", "IS_NOT", "NEAR", "NEVER_WITH")}
	switch row[1] {
	case "LIKE", "UNLIKE":
		row = append(row, pick("a", "a|b", ".*", "[a1].*", "a(b)?", "[0-9]{60}|a", "(?<n>a)"))
	case "IS", "IS_NOT":
		row = append(row, pick("a", "b", "1", "1.0", "0.5"))
	case "CLUSTER":
		if random.IntN(2) == 0 {
			row = append(row, pick("a", "1"))
		}
	case "GROUP_BY", "MAX_PER":
		row = append(row, pick("1", "2", "3"))
	case "NEAR", "NEVER_WITH":
		row = append(row, "other")
	}
	if dialect == kafka {
		words := map[string]string{
			"UNIQUE": "unique", "CLUSTER": "cluster", "GROUP_BY": "groupBy", "LIKE": "like", "UNLIKE": "unlike",
			"MAX_PER": "unique", "IS": "like", "IS_NOT": "unlike", "NEAR": "near", "NEVER_WITH": "neverWith",
		}
		row[1] = words[row[1]]
		if row[1] == "unique" {
			row = row[:2]
		}
	} else if dialect == dcos && row[1] == "CLUSTER" && len(row) == 2 {
		row = append(row, "b")
	}
	rules, err := dialect.Parse(rows(row...))
	if err != nil {
		panic(fmt.Sprint(row, err))
	}
	return rules
}

// What a master checks never hides an agent that the rules allow, in any
// dialect, for any tree, whatever is placed.
func TestPrefilterIsSound(t *testing.T) {
	t.Parallel()
	filtered, allowed := 0, 0
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 7))
		rules := randomRule(random, constraints.Dialect(seed%4), 3)
		p := rules.Placement()
		p.Want(random.IntN(6))
		if random.IntN(2) == 0 {
			p.Home("eu")
		}
		for range random.IntN(4) {
			p.Place(randomAgent(random))
			p.PlaceOther("other", randomAgent(random))
		}
		c := constraints.OfferConstraints{"dev": p.Prefilter()}
		for range 40 {
			a := randomAgent(random)
			hidden := c.Excludes("dev", a)
			if hidden {
				filtered++
			}
			if _, ok := p.Check(a); ok {
				allowed++
				require.False(t, hidden, "seed %d: %s in %s hides %+v", seed, rules, rules.Dialect(), a)
			}
		}
	}
	require.Greater(t, filtered, 5000, "the filters do filter")
	require.Greater(t, allowed, 5000)
}
