package constraints_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
)

// host builds an agent with text attributes, given as name and value in turn.
func host(name string, attributes ...string) constraints.Agent {
	a := constraints.Agent{Hostname: name}
	for i := 0; i < len(attributes); i += 2 {
		a.Attributes = append(a.Attributes, text(attributes[i], attributes[i+1]))
	}
	return a
}

func allows(t *testing.T, p *constraints.Placement, a constraints.Agent) bool {
	t.Helper()
	v, ok := p.Check(a)
	require.Equal(t, ok, v.String() == constraints.Violation{}.String(), "a violation exactly if refused")
	return ok
}

func TestAgentOf(t *testing.T) {
	t.Parallel()
	attributes := []mesos.Attribute{text("rack", "r1")}
	domain := &mesos.DomainInfo{FaultDomain: &mesos.DomainInfo_FaultDomain{
		Region: mesos.DomainInfo_FaultDomain_RegionInfo{Name: "eu"},
		Zone:   mesos.DomainInfo_FaultDomain_ZoneInfo{Name: "eu-1"},
	}}
	require.Equal(t, constraints.Agent{Hostname: "h", Attributes: attributes, Region: "eu", Zone: "eu-1"},
		constraints.AgentOf("h", attributes, domain))
	require.Equal(t, constraints.Agent{Hostname: "h"}, constraints.AgentOf("h", nil, nil))
}

func TestZeroRulesAllowEverything(t *testing.T) {
	t.Parallel()
	var rules constraints.Rules
	p := rules.Placement()
	p.Place(host("a"))
	require.True(t, allows(t, p, host("a")))
	require.Empty(t, rules.String())
	require.Empty(t, p.Prefilter())
}

// The text of a value decides LIKE; these are the renderings of each system.
func TestRendering(t *testing.T) {
	t.Parallel()
	tests := []struct {
		value          string
		marathon, dcos string
	}{
		{"s:1.0005", "1", "1.001"},
		{"s:1.00051", "1.001", "1.001"},
		{"s:1.1005", "1.101", "1.101"},
		{"s:2.0005", "2.001", "2.001"},
		{"s:0.8", "0.8", "0.800"},
		{"s:1", "1", "1.000"},
		{"s:0", "0", "0.000"},
		{"s:100", "100", "100.000"},
		{"s:9.9996", "10", "10.000"},
		{"s:-9.9996", "-10", "-10.000"},
		{"s:1e23", "100000000000000000000000", "100000000000000000000000.000"},
		{"s:NaN", "NaN", "NaN"},
		{"r:8-9,1-5", "[1-5,8-9]", "[8-9,1-5]"},
		{"S:b,a", "{a,b}", "{b,a}"},
	}
	for _, tt := range tests {
		t.Run(tt.value, func(t *testing.T) {
			t.Parallel()
			a := constraints.Agent{Attributes: []mesos.Attribute{attribute(t, "x", tt.value)}}
			for dialect, want := range map[constraints.Dialect]string{marathon: tt.marathon, dcos: tt.dcos} {
				rules, err := dialect.Parse(`x:GROUP_BY`)
				require.NoError(t, err)
				p := rules.Placement()
				p.Place(a)
				p.Place(a)
				p.Place(host("", "x", "other"))
				v, ok := p.Check(a)
				require.False(t, ok)
				require.Equal(t, want, v.Value)
			}
		})
	}
}

func TestDuplicateAttributes(t *testing.T) {
	t.Parallel()
	both := host("h", "rack", "a", "rack", "b")
	tests := []struct {
		name    string
		dialect constraints.Dialect
		text    string
		want    bool
	}{
		{"marathon takes the first", marathon, `rack:IS:a`, true},
		{"marathon not the second", marathon, `rack:IS:b`, false},
		{"kafka takes the last", kafka, `rack=cluster:b`, true},
		{"kafka not the first", kafka, `rack=cluster:a`, false},
		{"dcos takes any: first", dcos, `rack:IS:a`, true},
		{"dcos takes any: second", dcos, `rack:IS:b`, true},
		{"dcos GROUP_BY folds the name", dcos, `RACK:GROUP_BY`, true},
		{"dcos LIKE does not", dcos, `RACK:LIKE:.*`, false},
		{"dcos does not quote the name", dcos, `r.ck:LIKE:a`, true},
		{"dcos binds | to the name's text", dcos, `rack:LIKE:x|disk\:a`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rules, err := tt.dialect.Parse(tt.text)
			require.NoError(t, err)
			require.Equal(t, tt.want, allows(t, rules.Placement(), both))
		})
	}
	t.Run("dcos counts each of several values", func(t *testing.T) {
		t.Parallel()
		rules, err := dcos.Parse(`rack:MAX_PER:2`)
		require.NoError(t, err)
		p := rules.Placement()
		p.Place(both)
		require.True(t, allows(t, p, both))
		p.Place(host("x", "rack", "b"))
		require.False(t, allows(t, p, both), "b is full")
		require.False(t, allows(t, p, host("y", "rack", "b")))
		require.True(t, allows(t, p, host("z", "rack", "a")))
		p.Remove(both)
		require.True(t, allows(t, p, both))
	})
}

func TestDCOSIsNot(t *testing.T) {
	t.Parallel()
	rules, err := dcos.Parse("rack:IS_NOT:a")
	require.NoError(t, err)
	p := rules.Placement()
	require.False(t, allows(t, p, host("h", "rack", "a")))
	require.False(t, allows(t, p, host("h", "rack", "a", "disk", "ssd")), "the field decides, not the other attributes")
	require.True(t, allows(t, p, host("h", "rack", "b")))
	require.True(t, allows(t, p, host("h", "disk", "ssd")))
	require.False(t, allows(t, p, host("h")), "an agent without any attribute is refused")

	p = constraints.MustParse("rack:IS_NOT:a").Placement()
	require.True(t, allows(t, p, host("h")))
	require.False(t, allows(t, p, host("h", "rack", "a")))
}

func TestTrees(t *testing.T) {
	t.Parallel()
	a, b := constraints.MustParse("rack:IS:a"), constraints.MustParse("rack:IS:b")
	ssd := constraints.MustParse("disk:IS:ssd")
	rules := constraints.And(constraints.Or(a, b), constraints.Not(ssd))
	require.Equal(t, `[{"any":[["rack","IS","a"],["rack","IS","b"]]},{"not":["disk","IS","ssd"]}]`, rules.String())
	requireRoundTrip(t, rules)

	p := rules.Placement()
	require.True(t, allows(t, p, host("h", "rack", "a")))
	require.True(t, allows(t, p, host("h", "rack", "b", "disk", "hdd")))
	require.False(t, allows(t, p, host("h", "rack", "b", "disk", "ssd")))
	v, ok := p.Check(host("h", "rack", "c"))
	require.False(t, ok)
	require.Len(t, v.Causes, 2)
	require.Equal(t, []string{"b"}, v.Causes[1].Remedy.Values)
	require.Contains(t, v.String(), `rack:IS:a: rack is "c"; "a" would do`)

	require.True(t, allows(t, constraints.Or(constraints.Rules{}, a).Placement(), host("h")))
	require.False(t, allows(t, constraints.Not(constraints.Rules{}).Placement(), host("h")))
	require.False(t, allows(t, constraints.Or().Placement(), host("h")), "none of nothing")

	counted := constraints.Or(constraints.MustParse("rack:UNIQUE"), ssd).Placement()
	counted.Place(host("h", "rack", "a"))
	require.False(t, allows(t, counted, host("i", "rack", "a")))
	require.True(t, allows(t, counted, host("i", "rack", "a", "disk", "ssd")))
}

func TestPreferencesRankAndNeverRefuse(t *testing.T) {
	t.Parallel()
	rules := constraints.And(
		constraints.Prefer(10, constraints.MustParse("rack:GROUP_BY:2")),
		constraints.Prefer(-3, constraints.MustParse("disk:IS:hdd")),
		constraints.Prefer(5, constraints.Rules{}))
	requireRoundTrip(t, rules)
	p := rules.Placement()
	p.Place(host("h", "rack", "a"))
	require.Equal(t, 10, p.Score(host("i", "rack", "b")))
	require.Equal(t, 0, p.Score(host("i", "rack", "a")))
	require.Equal(t, -3, p.Score(host("i", "disk", "hdd")))
	require.True(t, allows(t, p, host("i", "rack", "a")))

	mixed := constraints.MustParse(`[["hostname","UNIQUE"],{"prefer":"rack:UNIQUE"}]`).Placement()
	mixed.Home("eu")
	mixed.Place(host("h", "rack", "a"))
	require.False(t, allows(t, mixed, host("h")))
	require.True(t, allows(t, mixed, host("i", "rack", "a")))
	require.Equal(t, 1, mixed.Score(host("i", "rack", "b")))
	remote := host("j")
	remote.Region = "us"
	require.False(t, allows(t, mixed, remote), "the home region is demanded beside preferences")
}

func TestNearAndNeverWith(t *testing.T) {
	t.Parallel()
	for name, texts := range map[string][2]string{
		"marathon": {"rack:NEAR:journal", "hostname:NEVER_WITH:journal"},
		"kafka":    {"rack=near:journal", "hostname=neverWith:journal"},
		"dcos":     {"rack:NEAR:journal", "hostname:NEVER_WITH:journal"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dialect, err := constraints.ParseDialect(name)
			require.NoError(t, err)
			rules, err := dialect.Parse(texts[0], texts[1])
			require.NoError(t, err)
			requireRoundTrip(t, rules)
			p := rules.Placement()
			require.False(t, allows(t, p, host("a", "rack", "r1")), "no journal is placed yet")
			p.PlaceOther("journal", host("a", "rack", "r1"))
			p.PlaceOther("other", host("b", "rack", "r2"))
			p.Place(host("c", "rack", "r3"))
			require.False(t, allows(t, p, host("a", "rack", "r1")), "the journal's own host")
			require.True(t, allows(t, p, host("b", "rack", "r1")))
			require.False(t, allows(t, p, host("b", "rack", "r2")))
			require.False(t, allows(t, p, host("b")), "no rack")
			v, _ := p.Check(host("b", "rack", "r2"))
			require.Equal(t, []string{"r1"}, v.Remedy.Values)
			p.RemoveOther("journal", host("a", "rack", "r1"))
			require.False(t, allows(t, p, host("b", "rack", "r1")))
		})
	}
}

func TestHomeRegion(t *testing.T) {
	t.Parallel()
	at := func(region, zone string) constraints.Agent {
		return constraints.Agent{Hostname: "h", Region: region, Zone: zone}
	}
	tests := []struct {
		name    string
		dialect constraints.Dialect
		text    string
		remote  bool // an agent of another region is allowed
	}{
		{"no rule", marathon, ``, false},
		{"other rule", marathon, `hostname:UNIQUE`, false},
		{"a rule on the region", marathon, `@region:LIKE:.*`, true},
		{"a rule on the zone is enough for Marathon", marathon, `@zone:LIKE:.*`, true},
		{"in a tree", marathon, `{"not":"@region:IS:asia"}`, true},
		{"but not for dcos", dcos, `@zone:LIKE:.*`, false},
		{"dcos region", dcos, `@region:UNIQUE`, true},
		{"kafka knows no regions", kafka, `hostname=unique`, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rules, err := tt.dialect.Parse(tt.text)
			require.NoError(t, err)
			p := rules.Placement()
			require.True(t, allows(t, p, at("us", "us-1")), "no home yet")
			p.Home("eu")
			require.True(t, allows(t, p, at("eu", "eu-1")))
			require.Equal(t, tt.remote, allows(t, p, at("us", "us-1")))
			p.Home("us")
			require.True(t, allows(t, p, at("us", "us-1")))
			p.Home("")
			require.True(t, allows(t, p, at("eu", "eu-1")))
		})
	}
	p := constraints.Rules{}.Placement()
	p.Home("eu")
	require.True(t, allows(t, p, at("", "")), "an agent without a region is at home")
	v, _ := p.Check(at("us", ""))
	require.Equal(t, `home region eu: @region is "us"; "eu" would do`, v.String())
}

func TestViolation(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, want string
		placed           []constraints.Agent
		candidate        constraints.Agent
	}{
		{
			"unique", "hostname:UNIQUE", `hostname:UNIQUE: hostname is "a", placed: 1 on "a"; one that nothing is placed on yet would do`,
			[]constraints.Agent{host("a"), host("b")}, host("a"),
		},
		{
			"group by", "rack:GROUP_BY:2", `rack:GROUP_BY:2: rack is "a", placed: 2 on "a", 1 on "b"; one that nothing is placed on yet or "b" would do`,
			[]constraints.Agent{host("", "rack", "a"), host("", "rack", "b"), host("", "rack", "a")}, host("", "rack", "a"),
		},
		{
			"missing counted", "rack:GROUP_BY", `rack:GROUP_BY: rack is "a", placed: 1 without it, 2 on "a"; one that nothing is placed on yet would do`,
			[]constraints.Agent{host(""), host("", "rack", "a"), host("", "rack", "a")}, host("", "rack", "a"),
		},
		{
			"misspelt", "rak:LIKE:a.*", `rak:LIKE:a.*: the agent has no rak (did you mean rack?); a value that matches "a.*" would do`,
			nil, host("", "rack", "a"),
		},
		{"missing", "rack:UNIQUE", `rack:UNIQUE: the agent has no rack; one that nothing is placed on yet would do`, nil, host("")},
		{"unlike", "rack:UNLIKE:a", `rack:UNLIKE:a: rack is "a"; a value that does not match "a" would do`, nil, host("", "rack", "a")},
		{"is not", "rack:IS_NOT:a", `rack:IS_NOT:a: rack is "a"; a value other than "a" would do`, nil, host("", "rack", "a")},
		{
			"cluster", "rack:CLUSTER", `rack:CLUSTER: rack is "b"; "a" would do`,
			[]constraints.Agent{host("", "rack", "a")}, host("", "rack", "b"),
		},
		{
			"cluster without a value", "rack:CLUSTER", `rack:CLUSTER: rack is "b"; no value would do now`,
			[]constraints.Agent{host("")}, host("", "rack", "b"),
		},
		{"cluster nowhere yet", "rack:CLUSTER", `rack:CLUSTER: the agent has no rack; any value would do`, nil, host("")},
		{
			"max per", "rack:MAX_PER:2", `rack:MAX_PER:2: rack is "a", placed: 2 on "a"; one that nothing is placed on yet or "b" would do`,
			[]constraints.Agent{host("", "rack", "a"), host("", "rack", "a"), host("", "rack", "b")}, host("", "rack", "a"),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := constraints.MustParse(tt.text).Placement()
			for _, a := range tt.placed {
				p.Place(a)
			}
			v, ok := p.Check(tt.candidate)
			require.False(t, ok)
			require.Equal(t, tt.want, v.String())
			require.Equal(t, tt.text, v.Constraint)
			data, err := json.Marshal(v)
			require.NoError(t, err)
			var again constraints.Violation
			require.NoError(t, json.Unmarshal(data, &again))
			require.Equal(t, v, again, "a violation is data")
		})
	}
	rules, err := dcos.Parse("rak:LIKE:a")
	require.NoError(t, err)
	v, _ := rules.Placement().Check(host("", "rack", "a"))
	require.Equal(t, `rak:LIKE:a: the agent has no rak (did you mean rack?); a value that matches "a" would do`, v.String())
}

func TestAgentsAreShared(t *testing.T) {
	t.Parallel()
	var table constraints.Agents
	first := constraints.MustParse("hostname:UNIQUE").Over(&table)
	x := table.Add(host("x", "rack", "a"))
	second := constraints.MustParse("rack:MAX_PER:1", "hostname:UNIQUE").Over(&table)
	y := table.Add(host("y", "rack", "a"))
	require.Equal(t, "y", table.Agent(y).Hostname)

	first.PlaceKey(x)
	second.PlaceKey(x)
	require.Equal(t, 0, first.Refusal(x))
	require.Negative(t, first.Refusal(y))
	require.Equal(t, 0, second.Refusal(y))
	require.Equal(t, "rack:MAX_PER:1", second.Constraint(0))
	v, ok := second.CheckKey(y)
	require.False(t, ok)
	require.Equal(t, []constraints.Count{{Value: "a", Tasks: 1}}, v.Counts)
	second.RemoveKey(x)
	require.Negative(t, second.Refusal(y))
	require.Equal(t, 0, second.ScoreKey(y))
	require.Equal(t, "hostname:UNIQUE", first.Rules().String())

	table.Drop(x)
	z := table.Add(host("z", "rack", "b"))
	require.Equal(t, x, z, "the key is used again")
	require.Negative(t, first.Refusal(z))
}

func TestWhatCountsAsPlaced(t *testing.T) {
	t.Parallel()
	tasks := []constraints.Task{
		{ID: "web-0", Pod: "web", Version: 1, Confirmed: true, Agent: host("a")},
		{ID: "web-1", Pod: "web", Version: 2, Agent: host("b")},
		{ID: "web-2", Pod: "web", Version: 3, Confirmed: true, Agent: host("c")},
		{ID: "db-0", Pod: "db", Version: 1, Agent: host("d")},
	}
	tests := []struct {
		name string
		only []func(constraints.Task) bool
		free string // hosts that take one more
	}{
		{"all", nil, ""},
		{"since", []func(constraints.Task) bool{constraints.Since(2)}, "a"},
		{"same version", []func(constraints.Task) bool{constraints.SameVersion(2)}, "ac"},
		{"except", []func(constraints.Task) bool{constraints.Except("web-1")}, "b"},
		{"confirmed", []func(constraints.Task) bool{constraints.Confirmed}, "b"},
		{"several", []func(constraints.Task) bool{constraints.Except("web-0"), constraints.Confirmed}, "ab"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := constraints.MustParse("hostname:UNIQUE", "hostname:NEVER_WITH:db").Placement()
			p.PlaceAll("web", slices.Values(tasks), tt.only...)
			var free strings.Builder
			for _, h := range []string{"a", "b", "c", "d"} {
				if allows(t, p, host(h)) {
					free.WriteString(h)
				}
			}
			require.Equal(t, tt.free, free.String())
		})
	}
}

func TestScaleDown(t *testing.T) {
	t.Parallel()
	repeat := func(n int, a constraints.Agent) []constraints.Agent { return slices.Repeat([]constraints.Agent{a}, n) }
	colours := slices.Concat(
		repeat(10, host("", "rack", "rack-1", "color", "blue")), repeat(10, host("", "rack", "rack-1", "color", "green")),
		repeat(10, host("", "rack", "rack-2", "color", "blue")), repeat(10, host("", "rack", "rack-2", "color", "green")))
	tests := []struct {
		name   string
		text   string
		placed []constraints.Agent
		n      int
		field  string
		left   map[string]int // removed per value of the field
	}{
		{"even", "hostname:GROUP_BY", slices.Concat(repeat(10, host("0")), repeat(10, host("1"))), 10, "hostname", map[string]int{"0": 5, "1": 5}},
		{"uneven", "hostname:GROUP_BY", slices.Concat(repeat(20, host("1")), repeat(10, host("2"))), 10, "hostname", map[string]int{"1": 10}},
		{"two fields: racks", "rack:GROUP_BY,color:GROUP_BY", colours, 20, "rack", map[string]int{"rack-1": 10, "rack-2": 10}},
		{"two fields: colours", "rack:GROUP_BY,color:GROUP_BY", colours, 20, "color", map[string]int{"blue": 10, "green": 10}},
		{"without GROUP_BY", "", repeat(10, host("0")), 5, "hostname", map[string]int{}},
		{"all", "", repeat(3, host("0")), 5, "hostname", map[string]int{"0": 3}},
		{"none", "hostname:GROUP_BY", repeat(3, host("0")), -1, "hostname", map[string]int{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			chosen := constraints.MustParse(tt.text).ScaleDown(tt.placed, tt.n)
			removed, seen := map[string]int{}, map[int]bool{}
			for _, i := range chosen {
				require.False(t, seen[i], "chosen twice")
				seen[i] = true
				value := tt.placed[i].Hostname
				for _, a := range tt.placed[i].Attributes {
					if a.Name == tt.field {
						value = a.Text.Value
					}
				}
				removed[value]++
			}
			require.Equal(t, tt.left, removed)
		})
	}
	require.Equal(t, []int{2, 1}, constraints.MustParse("rack:GROUP_BY").ScaleDown([]constraints.Agent{
		host("", "rack", "a"), host("", "rack", "b"), host("", "rack", "b"),
	}, 2), "of equals the last")
}
