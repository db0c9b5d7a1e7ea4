package simtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// Config is a simulation of a service, with all faults and with [Rules].
func Config(s *frameworks.Service) mesostest.SimConfig {
	return mesostest.SimConfig{Frameworks: []mesostest.SimFramework{Framework(s)}, Rules: Rules(s)}
}

// Framework is a service in a simulation. Its servers take up to four seconds to
// start, and answer to gates while they run and are well: one in four becomes sick
// now and then. Operators restart, replace, stop
// and start nodes. Its goal is that all nodes are ready and nothing is reserved
// beside their places; once the faults have stopped, an operator starts what
// was stopped and replaces what lived on machines that are gone.
func Framework(s *frameworks.Service) mesostest.SimFramework {
	return subject{name: s.Name, handler: s, services: []*frameworks.Service{s}}.framework()
}

// Decision says what is wrong with a decision of a service: what it takes back,
// what it launches too early, places against the rules of its pod, stops though the
// pod's Spare did not agree, or calls ready though its health check fails.
func Decision(s *frameworks.Service, v scheduler.View, ev scheduler.Event, actions []scheduler.Action) error {
	made, err := changes(s, v, actions)
	if err != nil {
		return err
	}
	return errors.Join(frameworks.CheckDecision(s.Name, v, ev, actions), inOrder(s, v, actions),
		inPlace(s, v, actions, made), spared(s, v, ev, actions, made), well(s, v, made))
}

func command(s *frameworks.Service, pick int) any {
	pod := s.Pods[pick%len(s.Pods)]
	pick /= len(s.Pods)
	node := fmt.Sprintf("%s-%d", pod.Name, pick%(pod.Count+1))
	switch pick / (pod.Count + 1) % 5 {
	case 0:
		return frameworks.RestartNode{Node: node}
	case 1:
		return frameworks.ReplaceNode{Node: node, Force: true}
	case 2:
		return frameworks.StopNode{Node: node}
	case 3:
		return frameworks.StartNode{Node: node}
	}
	return frameworks.AskStatus{}
}

// Status asks the service how it is, as an operator would. It changes nothing.
func Status(s *frameworks.Service, v scheduler.View) (frameworks.Status, error) {
	return statusOf(s, v, frameworks.AskStatus{})
}

func statusOf(h scheduler.Handler, v scheduler.View, command any) (frameworks.Status, error) {
	for _, a := range h.Handle(v, scheduler.Command{ID: 1, Value: command}) {
		if answer, ok := a.(scheduler.Answer); ok {
			status, _ := answer.Value.(frameworks.Status)
			return status, answer.Err
		}
	}
	return frameworks.Status{}, errors.New("the status was not answered")
}

// Healed says what is not as it should be: a node that is not ready, or
// something reserved that is no node's place. Nodes that are to do some work and
// end have done it.
func Healed(s *frameworks.Service, v scheduler.View, w *mesostest.World) error {
	status, err := Status(s, v)
	if err != nil {
		return err
	}
	return healed(s, status, w)
}

func healed(s *frameworks.Service, status frameworks.Status, w *mesostest.World) error {
	places := map[string]bool{}
	for _, n := range status.Nodes {
		if n.Phase != frameworks.Ready && n.Phase != frameworks.Finished {
			return fmt.Errorf("%s is %s (waits %q, failed %q, refused %q)", n.Name, n.Phase, n.Waits, n.LastFailure, n.Refused)
		}
		for _, r := range n.Place.Resources {
			places[ResourceID(r)] = true
		}
	}
	for _, r := range w.Reserved(s.Framework().Roles[0]) {
		if id := ResourceID(r.Resource); !places[id] {
			return fmt.Errorf("agent %s holds %s for %s, which is no node's place", r.Agent.Hostname, r.Resource.Name, id)
		}
	}
	return nil
}

// ResourceID is the label by which the engine knows a reservation; empty: it is
// none of the engine's.
func ResourceID(r mesos.Resource) string {
	for _, reservation := range r.Reservations {
		for _, l := range reservation.GetLabels().GetLabels() {
			if l.Key == "resource_id" {
				return l.GetValue()
			}
		}
	}
	return ""
}

// Settle is what an operator orders who wants the service whole: nodes that are
// stopped are started, and those whose machine is gone for good replaced.
func Settle(s *frameworks.Service, v scheduler.View, w *mesostest.World) []any {
	status, err := Status(s, v)
	if err != nil {
		return nil // it is in the way of the goal as well
	}
	return mend(status, w)
}

func mend(status frameworks.Status, w *mesostest.World) (out []any) {
	for _, n := range status.Nodes {
		switch {
		case n.Goal == frameworks.GoalStop:
			out = append(out, frameworks.StartNode{Node: n.Name})
		case n.Place != nil && !n.Replace && !w.HasAgent(n.Place.Agent):
			out = append(out, frameworks.ReplaceNode{Node: n.Name, Force: true})
		}
	}
	return out
}

// Rules of services, beside those of the simulator: a volume is made once, and
// one that was used is destroyed only by an operator's wish, or where the pod's
// Recovery replaces nodes by itself; and of a pod that wants an agent for each
// node, no two nodes are on one.
func Rules(s *frameworks.Service) []mesostest.Rule { return RulesIn(s.Name, s) }

// RulesIn are [Rules] of a service that is one of several in a framework.
func RulesIn(framework string, s *frameworks.Service) []mesostest.Rule {
	return []mesostest.Rule{
		{Name: "volumes are destroyed by wish only", Check: func(w *mesostest.World) error { return volumes(framework, s, w) }},
		{Name: "nodes are apart", Check: func(w *mesostest.World) error { return apart(framework, s, w) }},
	}
}

func volumes(framework string, s *frameworks.Service, w *mesostest.World) error {
	for _, v := range w.Volumes(framework) {
		id, ours := strings.CutPrefix(v.ID, s.Name+".")
		node, _, _ := strings.Cut(id, ".")
		given := func(node string) bool {
			return slices.ContainsFunc(w.Commands(framework), func(c *mesostest.SimCommand) bool { return gives(s, c.Value, node) })
		}
		switch {
		case !ours:
		case v.Made > 1+v.Destroyed || v.Made > 1 && !given(""): // it may be declared, and not, and again
			return fmt.Errorf("%s was made %d times", v.ID, v.Made)
		case v.Destroyed > 0 && v.Used && !replaces(s, node) && !given(node):
			return fmt.Errorf("%s was destroyed, and nobody gave up %s", v.ID, node)
		}
	}
	return nil
}

// replaces says whether a node that is lost is replaced by itself.
func replaces(s *frameworks.Service, node string) bool {
	i := podOf(s, node)
	return i >= 0 && s.Pods[i].Recovery.After > 0
}

// podOf is the pod that a node is of; -1: none.
func podOf(s *frameworks.Service, node string) int {
	return slices.IndexFunc(s.Pods, func(p frameworks.Pod) bool { return p.Name == node[:max(0, strings.LastIndexByte(node, '-'))] })
}

// gives says whether a command gives up what a node has.
func gives(s *frameworks.Service, command any, node string) bool {
	switch c := command.(type) {
	case frameworks.ToService:
		return c.Service == s.Name && gives(s, c.Command, node)
	case frameworks.ReplaceNode:
		return c.Node == node
	case frameworks.RemoveNode:
		return c.Node == node
	case frameworks.ScalePod:
		return strings.HasPrefix(node, c.Pod+"-")
	case frameworks.Uninstall, frameworks.Update, frameworks.Rollback:
		return true
	}
	return false
}

func apart(framework string, s *frameworks.Service, w *mesostest.World) error {
	at := map[string]string{}
	for _, t := range w.Running() {
		id, ours := strings.CutPrefix(t.Info.TaskID.Value, s.Name+".")
		node, _, _ := strings.Cut(id, ".")
		i := podOf(s, node)
		if !ours || i < 0 || t.Framework != framework || t.Stray || !slices.Contains(strings.Split(s.Pods[i].Place.String(), ","), "hostname:UNIQUE") {
			continue
		}
		key := s.Pods[i].Name + " on " + t.Agent.Hostname
		if other := at[key]; other != "" && other != node {
			return fmt.Errorf("%s and %s are both on %s", other, node, t.Agent.Hostname)
		}
		at[key] = node
	}
	return nil
}
