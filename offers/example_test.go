package offers_test

import (
	"fmt"
	"slices"

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
