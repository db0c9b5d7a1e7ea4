package constraints_test

import (
	"encoding/json"
	"fmt"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/constraints"
)

func Example() {
	rules := constraints.MustParse("hostname:UNIQUE", "rack:GROUP_BY:2")
	placement := rules.Placement()

	agent := func(hostname, rack string) constraints.Agent {
		return constraints.AgentOf(hostname, []mesos.Attribute{
			{Name: "rack", Type: mesos.TEXT, Text: &mesos.Value_Text{Value: rack}},
		}, nil)
	}
	for _, a := range []constraints.Agent{
		agent("host1", "r1"), agent("host1", "r2"), agent("host2", "r1"), agent("host3", "r2"), agent("host4", "r1"),
	} {
		if violation, ok := placement.Check(a); !ok {
			fmt.Println(violation)
			continue
		}
		placement.Place(a)
		fmt.Println("placed on", a.Hostname)
	}
	// Output:
	// placed on host1
	// hostname:UNIQUE: hostname is "host1", placed: 1 on "host1"; one that nothing is placed on yet would do
	// rack:GROUP_BY:2: rack is "r1", placed: 1 on "r1"; one that nothing is placed on yet would do
	// placed on host3
	// placed on host4
}

func ExampleDialect_Parse() {
	dialect, err := constraints.ParseDialect("kafka")
	if err != nil {
		fmt.Println(err)
		return
	}
	rules, err := dialect.Parse("hostname=unique,rack=groupBy:3")
	fmt.Println(rules, err)

	_, err = dialect.Parse("hostname=uniqe")
	fmt.Println(err)
	// Output:
	// hostname=unique,rack=groupBy:3 <nil>
	// constraint "hostname=uniqe": operator "uniqe" is unknown; did you mean "unique"?; kafka has like, unlike, unique, cluster, groupBy, near, neverWith
}

func ExamplePrefer() {
	rules := constraints.And(
		constraints.Not(constraints.MustParse("disk:LIKE:hdd.*")),
		constraints.Prefer(10, constraints.MustParse("rack:UNIQUE")),
	)
	placement := rules.Placement()
	placement.Place(host("host1", "rack", "r1"))
	fmt.Println(placement.Score(host("host2", "rack", "r1")), placement.Score(host("host3", "rack", "r2")))
	_, ok := placement.Check(host("host2", "rack", "r1"))
	fmt.Println(ok, rules)
	// Output:
	// 0 10
	// true [{"not":["disk","LIKE","hdd.*"]},{"prefer":["rack","UNIQUE"],"weight":10}]
}

func ExamplePlacement_PlaceAll() {
	tasks := []constraints.Task{
		{ID: "broker-0", Pod: "broker", Agent: host("host1")},
		{ID: "broker-1", Pod: "broker", Agent: host("host2")},
	}
	placement := constraints.MustParse("hostname:UNIQUE").Placement()
	placement.PlaceAll("broker", slices.Values(tasks), constraints.Except("broker-1"))
	_, ok := placement.Check(host("host2"))
	fmt.Println("broker-1 may return to its host:", ok)
	// Output: broker-1 may return to its host: true
}

func ExamplePlacement_Allowed() {
	var table constraints.Agents
	first := table.Add(host("host1", "rack", "r1"))
	table.Add(host("host2", "rack", "r1"))
	table.Add(host("host3", "rack", "r2"))
	placement := constraints.MustParse("hostname:UNIQUE", "rack:MAX_PER:1").Over(&table)
	placement.PlaceKey(first)
	for k := range placement.Allowed().All() {
		fmt.Println(table.Agent(k).Hostname, "may take one more")
	}
	for i := range 2 {
		fmt.Println(placement.Constraint(i), "refuses", placement.Refused(i).Len())
	}
	// Output:
	// host3 may take one more
	// hostname:UNIQUE refuses 1
	// rack:MAX_PER:1 refuses 2
}

func ExampleRules_ScaleDown() {
	placed := []constraints.Agent{
		host("host1", "rack", "r1"), host("host2", "rack", "r1"), host("host3", "rack", "r1"), host("host4", "rack", "r2"),
	}
	for _, i := range constraints.MustParse("rack:GROUP_BY").ScaleDown(placed, 2) {
		fmt.Println(placed[i].Hostname)
	}
	// Output:
	// host3
	// host2
}

func ExamplePlacement_Prefilter() {
	placement := constraints.MustParse("rack:LIKE:r[1-3]").Placement()
	filter, err := json.Marshal(constraints.OfferConstraints{"kafka": placement.Prefilter()})
	fmt.Println(string(filter), err)
	// Output: {"role_constraints":{"kafka":{"groups":[{"attribute_constraints":[{"selector":{"attribute_name":"rack"},"predicate":{"text_matches":{"regex":"r[1-3]"}}}]}]}}} <nil>
}
