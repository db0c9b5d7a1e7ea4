package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// placer launches what the spec has where packages offers and constraints place
// it, again where it was when it ended, and gives back what a node reserved on
// another agent than the one it lives on. It keeps no records: labels say all.
type placer struct{ requests []offers.Request }

// lives is a node that may run.
type lives struct{ agent, hostname string }

func (p placer) Handle(v scheduler.View, _ scheduler.Event) []scheduler.Action {
	at := map[string]lives{}
	launched := map[string]int{}
	for t := range v.Tasks() {
		node := t.Info.Name
		launched[node]++
		if !scheduler.Terminal(t.Status.GetState()) {
			at[node] = lives{t.Info.AgentID.Value, t.Info.Labels.Labels[0].GetValue()}
		}
	}
	var actions []scheduler.Action
	used := map[string]bool{}
	for _, h := range offers.Owned(v.Offers(), elsewhere(at)) {
		if !slices.ContainsFunc(h.Resources, func(r mesos.Resource) bool { return at[nodeOf(r)].agent == h.Agent }) {
			used[h.Agent] = true
			actions = append(actions, scheduler.Accept{Offers: h.Offers, Operations: offers.Release(h.Resources)})
		}
	}
	free := func(yield func(*mesos.Offer) bool) {
		for o := range v.Offers() {
			if !used[o.AgentID.Value] && !yield(o) {
				return
			}
		}
	}
	missing := p.missing(at)
	matches, _ := offers.Reserve(free, missing)
	for _, a := range offers.Accepts(matches) {
		for _, m := range matches {
			if m.Agent == a.Agent {
				a.Operations = append(a.Operations, offers.Launch(m.Agent, mesos.TaskInfo{
					Name: m.Node, TaskID: mesos.TaskID{Value: fmt.Sprintf("%s.%d", m.Node, launched[m.Node]+1)}, Resources: m.Resources,
					Command: &mesos.CommandInfo{Value: new("serve")}, Labels: &mesos.Labels{Labels: []mesos.Label{{Key: "on", Value: &m.Hostname}}},
				}))
			}
		}
		actions = append(actions, scheduler.Accept{Offers: a.Offers, Operations: a.Operations})
	}
	return append(actions, scheduler.Want{Offers: true, Key: fmt.Sprint(len(missing))})
}

// missing are the requests of nodes that do not live, which count those that do.
func (p placer) missing(at map[string]lives) []offers.Request {
	var out []offers.Request
	for _, r := range p.requests {
		if _, ok := at[r.Node]; ok {
			continue
		}
		for _, other := range p.requests {
			if l, ok := at[other.Node]; ok && other.Pod == r.Pod {
				r.Placed = append(slices.Clone(r.Placed), constraints.Agent{Hostname: l.hostname})
			}
		}
		out = append(out, r)
	}
	return out
}

// elsewhere chooses the labels of nodes that live.
func elsewhere(at map[string]lives) func([]mesos.Label) bool {
	return func(labels []mesos.Label) bool {
		return slices.ContainsFunc(labels, func(l mesos.Label) bool { return l.Key == "node" && at[l.GetValue()].agent != "" })
	}
}

func nodeOf(r mesos.Resource) string {
	for _, reservation := range r.Reservations {
		for _, l := range reservation.GetLabels().GetLabels() {
			if l.Key == "node" {
				return l.GetValue()
			}
		}
	}
	return ""
}

func simulated() mesostest.SimConfig {
	var p placer
	for _, types := range []pod{
		{Name: "broker", Count: 3, Role: "kafka", Needs: offers.MustParse("cpus:1;mem:1024"), Ports: map[string]uint64{"client": 31092, "jmx": 0}, Disk: offers.AmountOf(2048), Place: []string{"hostname:UNIQUE"}},
		{Name: "monitor", Count: 1, Role: "kafka", Needs: offers.MustParse("cpus:0.5;mem:256"), Place: []string{"hostname:UNLIKE:agent-0"}},
	} {
		more, err := types.requests()
		if err != nil {
			panic(err)
		}
		p.requests = append(p.requests, more...)
	}
	return mesostest.SimConfig{
		Frameworks: []mesostest.SimFramework{{
			Name: "placement", Handler: p, Info: mesos.FrameworkInfo{Roles: []string{"kafka"}},
			Node: func(task mesos.TaskInfo) string { return task.Name },
			Task: func(_ mesos.TaskInfo, luck uint64) mesostest.TaskPlan {
				return mesostest.TaskPlan{Start: time.Duration(luck%3000) * time.Millisecond, Stop: time.Second}
			},
			Goal: p.goal,
		}},
		Rules: []mesostest.Rule{{Name: "the rules of the spec hold", Check: placed}},
	}
}

// goal: all run.
func (p placer) goal(v scheduler.View, _ *mesostest.World) error {
	running := map[string]bool{}
	for t := range v.Tasks() {
		if t.Status.GetState() == mesos.TASK_RUNNING {
			running[t.Info.Name] = true
		}
	}
	for _, r := range p.requests {
		if !running[r.Node] {
			return fmt.Errorf("%s does not run", r.Node)
		}
	}
	return nil
}

// placed: no two brokers are on one agent, and the monitor is not on the first.
func placed(w *mesostest.World) error {
	at := map[string]string{}
	for _, t := range w.Running() {
		broker := strings.HasPrefix(t.Node, "broker-")
		switch other := at[t.Agent.Hostname]; {
		case t.Stray:
		case broker && other != "":
			return fmt.Errorf("%s and %s are both on %s", other, t.Node, t.Agent.Hostname)
		case broker:
			at[t.Agent.Hostname] = t.Node
		case t.Agent.Hostname == "agent-0":
			return fmt.Errorf("%s is on agent-0", t.Node)
		}
	}
	return nil
}

// What is placed stays where rules want it, whatever is lost on the way.
func TestSimulated(t *testing.T) {
	t.Parallel()
	mesostest.Simulate(t, 5_000, simulated())
}

func TestSimulatedForLong(t *testing.T) { mesostest.SoakTest(t, simulated) }
