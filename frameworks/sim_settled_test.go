package frameworks_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/simtest"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// statusOf asks a service as an operator would, which changes nothing.
func statusOf(h scheduler.Handler, v scheduler.View, ask any) (frameworks.Status, error) {
	for _, a := range h.Handle(v, scheduler.Command{ID: 1, Value: ask}) {
		if answer, ok := a.(scheduler.Answer); ok {
			status, _ := answer.Value.(frameworks.Status)
			return status, answer.Err
		}
	}
	return frameworks.Status{}, errors.New("the status was not answered")
}

// goal: all nodes are ready with the options in force, what is reserved is what
// they have, and no plan is held up; or the service is uninstalled.
func (s operated) goal(v scheduler.View, w *mesostest.World) error {
	status, err := statusOf(s.Service, v, frameworks.AskStatus{})
	if err != nil {
		return err
	}
	if err := s.settled(status, w); err != nil {
		return err
	}
	if s.ends {
		return errors.New("it is not uninstalled")
	}
	return nil
}

func (s operated) settled(status frameworks.Status, w *mesostest.World) error {
	for _, n := range status.Nodes {
		if (n.Phase != frameworks.Ready && n.Phase != frameworks.Finished) || n.Outdated() || n.Restart || n.Replace {
			return fmt.Errorf("%s is %s, outdated %t (waits %q, failed %q, refused %q)", n.Name, n.Phase, n.Outdated(), n.Waits, n.LastFailure, n.Refused)
		}
	}
	for _, p := range status.Plans {
		if p.State == frameworks.PlanPaused || p.State == frameworks.PlanCancelling {
			return fmt.Errorf("plan %s is %s: %s", p.Name, p.State, p.Why)
		}
	}
	if o := status.Options; o != nil && string(o.Good) != string(o.Target) {
		return fmt.Errorf("options %s are not known to be good", o.Target)
	}
	return s.reserved(status, w)
}

// reserved compares what agents hold for the service with what its nodes have.
func (s operated) reserved(status frameworks.Status, w *mesostest.World) error {
	want := map[string]float64{}
	amount := func(r mesos.Resource) float64 {
		sum := r.GetScalar().GetValue()
		for _, span := range r.GetRanges().GetRange() {
			sum += float64(span.End - span.Begin + 1)
		}
		return sum
	}
	for _, n := range status.Nodes {
		for _, r := range n.Place.Resources {
			want[n.Place.Hostname+" "+r.Name+" "+simtest.ResourceID(r)] += amount(r)
		}
	}
	for _, r := range w.Reserved(s.Framework().Roles[0]) {
		want[r.Agent.Hostname+" "+r.Resource.Name+" "+simtest.ResourceID(r.Resource)] -= amount(r.Resource)
	}
	for what, missing := range want {
		if missing != 0 {
			return fmt.Errorf("of %s there is too little or, if less than 0, too much: %v", what, missing)
		}
	}
	return nil
}

// settle is an operator who mends what others have left behind: starts what was
// stopped, replaces what lives on an agent that will not come back, resumes what
// is paused, and takes options back that cannot be.
func (s operated) settle(v scheduler.View, w *mesostest.World) []any {
	status, err := statusOf(s.Service, v, frameworks.AskStatus{})
	if err != nil {
		return nil
	}
	return s.mend(status, w)
}

func (s operated) mend(status frameworks.Status, w *mesostest.World) []any {
	var out []any
	var target operatedOptions
	if status.Options != nil && json.Unmarshal(status.Options.Target, &target) == nil && target.Bad != "" {
		target.Bad = ""
		out = append(out, frameworks.Update{Options: target.json()})
	}
	for _, n := range status.Nodes {
		switch {
		case n.Goal == frameworks.GoalStop:
			out = append(out, frameworks.StartNode{Node: n.Name})
		case n.Place != nil && !n.Replace && n.Goal == frameworks.GoalRun && !w.HasAgent(n.Place.Agent):
			out = append(out, frameworks.ReplaceNode{Node: n.Name, Force: true})
		case strings.Contains(n.Waits, "to have room for"):
			out = append(out, s.smaller(status, n))
		}
	}
	for _, p := range status.Plans {
		if p.State == frameworks.PlanPaused {
			out = append(out, frameworks.ResumePlan{Plan: p.Name})
		}
	}
	if s.ends && len(out) == 0 && s.settled(status, w) == nil {
		out = append(out, frameworks.Uninstall{})
	}
	return out
}

// smaller is what an operator does about a node whose agent has no room for what the
// options want of it.
func (s operated) smaller(status frameworks.Status, n frameworks.NodeStatus) any {
	if o := status.Options; o != nil && len(o.Good) > 0 && string(o.Good) != string(o.Target) {
		return frameworks.Rollback{}
	}
	return frameworks.ReplaceNode{Node: n.Name, Force: true}
}

// rules beside those of the simulator, and of simtest.
func (s operated) rules() []mesostest.Rule {
	return append(simtest.RulesIn(s.framework, s.Service), mesostest.Rule{Name: "an uninstall leaves nothing", Check: s.leftBehind})
}

// commands are those for this service.
func (s operated) commands(w *mesostest.World) []mesostest.SimCommand {
	var out []mesostest.SimCommand
	for _, c := range w.Commands(s.framework) {
		to, ok := c.Value.(frameworks.ToService)
		switch {
		case ok && to.Service == s.Name:
			out = append(out, mesostest.SimCommand{At: c.At, Value: to.Command})
		case !ok:
			out = append(out, *c)
		}
	}
	return out
}

// leftBehind: what is uninstalled while all agents are there leaves nothing.
func (s operated) leftBehind(w *mesostest.World) error {
	since, quiet := w.Quiet()
	if !quiet || !w.TornDown(s.framework) {
		return nil
	}
	for _, c := range s.commands(w) {
		if _, ok := c.Value.(frameworks.Uninstall); ok && c.At.Before(w.Now().Add(-since)) {
			return nil // some were away
		}
	}
	for _, r := range w.Reserved(s.Framework().Roles[0]) {
		return fmt.Errorf("%s of %s is reserved for %s", r.Resource.Name, r.Agent.Hostname, simtest.ResourceID(r.Resource))
	}
	return nil
}

func (s operated) config() mesostest.SimConfig {
	c := mesostest.SimConfig{Frameworks: []mesostest.SimFramework{s.simulated()}, Rules: s.rules()}
	if slices.ContainsFunc(s.Pods, func(p frameworks.Pod) bool { return strings.Contains(p.Place.String(), "rack:") }) {
		c.Agents = roomy() // for all that may be in one rack
	}
	return c
}

const operatedNumbers = 16

// The engine under all faults of the simulator, and under operators who do all
// that they may at any time.
func TestSimulatedOperators(t *testing.T) {
	t.Parallel()
	for number := range uint64(operatedNumbers) {
		t.Run(fmt.Sprint(number), func(t *testing.T) {
			t.Parallel()
			steps := uint64(0) // only what was found before
			if number < 5 {
				steps = 3_000
			}
			seen := mesostest.Simulate(t, steps, operate("db", number, 0).config())
			assert.Equal(t, seen.Runs > 0, seen.Tasks > 0)
		})
	}
}

// As long as somebody asks for: see make soak.
func TestSimulatedOperatorsForLong(t *testing.T) {
	for number := range uint64(operatedNumbers) {
		t.Run(fmt.Sprint(number), func(t *testing.T) {
			mesostest.SoakTest(t, func() mesostest.SimConfig { return operate("db", number, 0).config() })
		})
	}
}
