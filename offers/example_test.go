package offers_test

import (
	"fmt"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/offers"
)

// Two brokers want agents of their own; the second agent has too little memory.
func ExampleReserve() {
	var held []*mesos.Offer
	for agent, resources := range []string{
		"cpus:4;mem:2048;disk:4096;ports:[31000-31099]",
		"cpus:4;mem:768;disk:4096;ports:[31000-31099]",
	} {
		held = append(held, &mesos.Offer{
			ID:        mesos.OfferID{Value: fmt.Sprint("offer-", agent)},
			AgentID:   mesos.AgentID{Value: fmt.Sprint("agent-", agent)},
			Hostname:  fmt.Sprint("host", agent),
			Resources: offers.MustParse(resources).List(),
		})
	}
	var requests []offers.Request
	for _, node := range []string{"broker-0", "broker-1"} {
		requests = append(requests, offers.Request{
			Node: node, Pod: "broker", Role: "kafka",
			Labels:  []mesos.Label{{Key: "node", Value: &node}},
			Needs:   offers.MustParse("cpus:0.5;mem:1024"),
			Ports:   []offers.Port{{Name: "client"}},
			Volumes: []offers.Volume{{ID: node, Path: "data", Size: 1024_000}},
			Place:   constraints.MustParse("hostname:UNIQUE"),
		})
	}
	matches, report := offers.Reserve(slices.Values(held), requests)
	for _, m := range matches {
		fmt.Println(m.Node, "goes to", m.Hostname, m.Ports)
		for _, op := range m.Operations {
			fmt.Println(" ", op.Type)
		}
		fmt.Println("  and has", offers.Sum(m.Resources))
	}
	fmt.Println(report)
	// Output:
	// broker-0 goes to host0 map[client:31000]
	//   RESERVE
	//   CREATE
	//   and has cpus:0.5;disk:1024;mem:1024;ports:[31000-31000]
	// broker-1: 2 agents looked at: 1 × hostname:UNIQUE: hostname is "host0", placed: 1 on "host0"; one that nothing is placed on yet would do; 1 × mem: wants 1024, best 768 on host1 (short by 256). It would fit with one more agent that hostname:UNIQUE takes (hostname: one that nothing is placed on yet would do), or with mem 768
}

// A reservation was cut half way: the volume was not made. Claim says what is
// missing and how to complete it; then the node has all.
func ExampleClaim() {
	node := "broker-0"
	held := []*mesos.Offer{{
		ID: mesos.OfferID{Value: "offer-1"}, AgentID: mesos.AgentID{Value: "agent-1"}, Hostname: "host1",
		Resources: offers.MustParse("cpus:4;disk:4096").List(),
	}}
	matches, _ := offers.Reserve(slices.Values(held), []offers.Request{{
		Node: node, Role: "kafka", Labels: []mesos.Label{{Key: "node", Value: &node}},
		Needs: offers.MustParse("cpus:1"), Volumes: []offers.Volume{{ID: node, Path: "data", Size: 1024_000}},
	}})
	remembered := matches[0].Resources

	reserved := matches[0].Operations[0].Reserve.Resources
	held[0].Resources = append(reserved, offers.MustParse("cpus:3;disk:3072").List()...)
	claimed, ok := offers.Claim(slices.Values(held), "agent-1", remembered)
	fmt.Println(ok, "missing", offers.Sum(claimed.Missing))
	for _, op := range claimed.Operations {
		fmt.Println(op.Type, op.Create.Volumes[0].Disk.Persistence.ID)
	}

	held[0].Resources = append(slices.Clone(remembered), offers.MustParse("cpus:3;disk:3072").List()...)
	_, ok = offers.Claim(slices.Values(held), "agent-1", remembered)
	fmt.Println(ok)
	// Output:
	// false missing disk:1024
	// CREATE broker-0
	// true
}

// A pool keeps offers for some time, and knows the agents that offer nothing
// just now.
func ExamplePool() {
	morning := time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC)
	pool := offers.Pool{Hold: time.Minute}
	pool.Add(morning, mesos.Offer{
		ID: mesos.OfferID{Value: "offer-1"}, AgentID: mesos.AgentID{Value: "agent-1"}, Hostname: "host1",
		Resources: offers.MustParse("cpus:4").List(),
	})
	task := []offers.Request{{Node: "task", Unreserved: true, Needs: offers.MustParse("cpus:1")}}
	matches, _ := pool.Reserve(task)
	fmt.Println(matches[0].Node, "fits on", matches[0].Hostname)
	for _, declined := range pool.Expire(morning.Add(time.Minute)) {
		fmt.Println("decline", len(declined.Offers), "for", declined.Why.Refuse(), "because:", declined.Why)
	}
	_, report := pool.Reserve(task)
	fmt.Println(report)
	matches, _ = pool.DryRun(task)
	fmt.Println("but it would fit on", matches[0].Hostname)
	// Output:
	// task fits on host1
	// decline 1 for 5s because: held for as long as is fair
	// task: no agent is offered
	// but it would fit on host1
}
