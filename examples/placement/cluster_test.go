package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

const agentResources = "cpus:4;mem:2048;disk:4096;ports:[9092-9093,31000-31099]"

// cycle reserves for some nodes, claims what it reserved, and releases it.
type cycle struct {
	t        *testing.T
	requests []offers.Request
	agents   int
}

// Handle goes from one phase to the next when the offers show that Mesos did
// what was asked for.
func (c cycle) Handle(v scheduler.View, _ scheduler.Event) []scheduler.Action {
	phase, _ := v.Record("phase")
	switch string(phase) {
	case "":
		return c.reserve(v)
	case "reserved":
		return c.release(v)
	default:
		return c.finish(v)
	}
}

// offered says whether all agents offer, each in one offer.
func (c cycle) offered(v scheduler.View) bool {
	return len(slices.Collect(v.Offers())) == c.agents
}

func (c cycle) hold(v scheduler.View) []scheduler.Action {
	var held []mesos.OfferID
	for o := range v.Offers() {
		held = append(held, o.ID)
	}
	if len(held) == 0 {
		return nil
	}
	return []scheduler.Action{scheduler.Hold{Offers: held, Until: v.Now().Add(time.Minute)}}
}

func (c cycle) reserve(v scheduler.View) []scheduler.Action {
	if !c.offered(v) {
		return c.hold(v)
	}
	matches, report := offers.Reserve(v.Offers(), c.requests)
	if len(matches) != len(c.requests) {
		c.t.Errorf("not all are placed: %v", report)
	}
	memory, err := json.Marshal(matches)
	if err != nil {
		c.t.Error(err)
	}
	actions := []scheduler.Action{
		scheduler.Remember{Key: "phase", Value: []byte("reserved")},
		scheduler.Remember{Key: "matches", Value: memory},
	}
	return append(actions, accept(offers.Accepts(matches))...)
}

// release claims first, so that it says what Mesos did not keep.
func (c cycle) release(v scheduler.View) []scheduler.Action {
	if !c.offered(v) {
		return c.hold(v)
	}
	memory, _ := v.Record("matches")
	var matches []offers.Match
	if err := json.Unmarshal(memory, &matches); err != nil {
		c.t.Error(err)
	}
	for _, m := range matches {
		if claimed, ok := offers.Claim(v.Offers(), m.Agent, m.Resources); !ok {
			c.t.Errorf("%s has not all: %v are missing, %v", m.Node, claimed.Missing, claimed.Operations)
		}
	}
	again, _ := offers.Reserve(v.Offers(), c.requests)
	for _, m := range again {
		if len(m.Operations) > 0 {
			c.t.Errorf("%s does not go back to what it has: %v", m.Node, m.Operations)
		}
	}
	var accepts []offers.Accept
	for _, h := range offers.Owned(v.Offers(), offers.HasLabel("service", "kafka")) {
		accepts = append(accepts, offers.Accept{Agent: h.Agent, Offers: h.Offers, Operations: offers.Release(h.Resources)})
	}
	return append([]scheduler.Action{scheduler.Remember{Key: "phase", Value: []byte("released")}}, accept(accepts)...)
}

// finish compares with what there was at first.
func (c cycle) finish(v scheduler.View) []scheduler.Action {
	if !c.offered(v) {
		return c.hold(v)
	}
	for o := range v.Offers() {
		if sum := offers.Sum(o.Resources); !sum.Equal(offers.MustParse(agentResources)) {
			c.t.Errorf("%s offers %v in the end", o.Hostname, sum)
		}
		for _, r := range o.Resources {
			if len(r.Reservations) > 0 || r.Disk != nil {
				c.t.Errorf("%s still has %v", o.Hostname, r)
			}
		}
	}
	return []scheduler.Action{scheduler.Teardown{}}
}

func accept(accepts []offers.Accept) (actions []scheduler.Action) {
	for _, a := range accepts {
		actions = append(actions, scheduler.Accept{Offers: a.Offers, Operations: a.Operations})
	}
	return actions
}

// What the packages decide is what Mesos takes: the operations are carried out
// by an embedded Mesos, and what it offers afterwards is what was foreseen.
func TestOnEmbeddedMesos(t *testing.T) {
	t.Parallel()
	c := mesostest.New(t, mesostest.Agents(3, agentResources))
	var requests []offers.Request
	for n := range 4 {
		node := fmt.Sprintf("broker-%d", n)
		requests = append(requests, offers.Request{
			Node: node, Pod: "broker", Role: "kafka", Prefer: offers.Spread, // all agents are used: none is declined
			Labels:  []mesos.Label{{Key: "service", Value: new("kafka")}, {Key: "node", Value: &node}},
			Needs:   offers.MustParse("cpus:0.5;mem:512;disk:10"),
			Ports:   []offers.Port{{Name: "client", Begin: 9092, End: 9093}, {Name: "jmx"}},
			Volumes: []offers.Volume{{ID: node, Path: "data", Size: 1024_000}, {ID: node + "-log", Path: "log", Size: 100_500}},
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := scheduler.Run(ctx, scheduler.Config{
		Master: c.Master(), Handler: cycle{t: t, requests: requests, agents: 3}, Logger: slog.New(slog.DiscardHandler),
		Framework: mesos.FrameworkInfo{Name: "placement", Roles: []string{"kafka"}},
	})
	require.NoError(t, err)
}
