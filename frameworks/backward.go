package frameworks

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mesokit/mesokit/scheduler"
)

// CheckDecision says what a decision took back that a service never takes back
// by itself: a rule for simulations (mesostest.SimFramework.Decision). service is
// its name. The rules, in words:
//
//   - A node's places, tasks and arrivals are counted upwards. It gives a place up
//     only for another count, and what has run in a place stays known.
//   - A node that leaves goes on to leave. No other is forgotten, but one that
//     belongs to an agent which is gone, and one that a rollback does without.
//   - What an operator wants (goals, numbers of nodes, options, pauses, what is
//     skipped) is changed by operators only, or by a program that was started with
//     other options, or where a pod wants a rollback when a rollout fails. Of a pod
//     that is Everywhere as many nodes are wanted as have come and not left.
//   - A pod that was deployed stays so. Counts of nodes that left are kept.
//   - A step of a plan's run that is done stays done, a run that is paused stays
//     paused, and one that is being cancelled does nothing else.
//   - A rollout that is paused stays so until what it rolls out is changed.
//   - An uninstall goes on to its end.
func CheckDecision(service string, v scheduler.View, ev scheduler.Event, actions []scheduler.Action) error {
	if _, ok := ev.(scheduler.Command); ok {
		return nil
	}
	_, started := ev.(scheduler.Subscribed)
	c := backward{started: started, spread: spread(service, v, actions)}
	for _, a := range actions {
		r, ok := a.(scheduler.Remember)
		before, known := v.Record(r.Key)
		rest, mine := strings.CutPrefix(r.Key, service+"/")
		if !ok || !mine || !known || bytes.Equal(before, r.Value) {
			continue
		}
		if r.Value == nil && ended(service, v, actions) {
			continue
		}
		kind, id, _ := strings.Cut(rest, "/")
		if err := c.record(kind, id, before, r.Value); err != nil {
			c.found = append(c.found, err)
		}
	}
	if c.revised {
		c.wishes = nil
	}
	return errors.Join(append(c.found, c.wishes...)...)
}

// spread is how many nodes more of each pod that is Everywhere a decision wants.
func spread(service string, v scheduler.View, actions []scheduler.Action) map[string]int {
	more := map[string]int{}
	count := func(value []byte, by int) {
		if n, err := decode[Node](value); value != nil && err == nil && n.Home != "" && n.Goal != GoalLeave {
			more[n.Pod] += by
		}
	}
	for _, a := range actions {
		if r, ok := a.(scheduler.Remember); ok && strings.HasPrefix(r.Key, service+"/node/") {
			before, _ := v.Record(r.Key)
			count(before, -1)
			count(r.Value, 1)
		}
	}
	return more
}

// ended says whether a service is forgotten that was to be uninstalled.
func ended(service string, v scheduler.View, actions []scheduler.Action) bool {
	value, known := v.Record(service + "/service")
	record, err := decode[serviceRecord](value)
	return known && err == nil && !record.Uninstall.Since.IsZero() && slices.ContainsFunc(actions, func(a scheduler.Action) bool {
		r, ok := a.(scheduler.Remember)
		return ok && r.Key == service+"/service" && r.Value == nil
	})
}

// backward is what a decision took back.
type backward struct {
	started bool // the program may be another one
	revised bool // it went back to earlier options
	spread  map[string]int
	found   []error
	wishes  []error // what only an operator changes
}

func (c *backward) record(kind, id string, before, after []byte) error {
	switch kind {
	case "service":
		return compared(before, after, c.service)
	case "pod":
		return compared(before, after, func(b, a *podRecord) { c.pod(id, b, a) })
	case "node":
		return compared(before, after, func(b, a *Node) { c.node(b, a) })
	case "plan":
		return compared(before, after, func(b, a *planRecord) { c.plan(id, b, a) })
	}
	return nil
}

// compared decodes two states of a record; the later is nil where it is dropped.
func compared[T any](before, after []byte, compare func(before, after *T)) error {
	b, err := decode[T](before)
	if err != nil {
		return err
	}
	var a *T
	if after != nil {
		if a, err = decode[T](after); err != nil {
			return err
		}
	}
	compare(b, a)
	return nil
}

func (c *backward) must(holds bool, what string, args ...any) {
	if !holds {
		c.found = append(c.found, fmt.Errorf(what, args...))
	}
}

// wish is must for what only operators change.
func (c *backward) wish(holds bool, what string, args ...any) {
	if !holds && !c.started {
		c.wishes = append(c.wishes, fmt.Errorf(what, args...))
	}
}

func (c *backward) service(b, a *serviceRecord) {
	if a == nil {
		c.must(false, "the service is forgotten")
		return
	}
	u, w := b.Uninstall, a.Uninstall
	c.must(u.Since.IsZero() || w.Since.Equal(u.Since), "the uninstall begins anew")
	c.must(u.Empty.IsZero() || w.Empty.Equal(u.Empty), "the uninstall finds nodes again")
	c.must(u.Ended.IsZero() || w.Ended.Equal(u.Ended), "the uninstall has not ended any more")
	c.must(w.Since.IsZero() == u.Since.IsZero(), "an uninstall begins by itself")
	for _, plan := range sortedKeys(b.Runs) {
		c.must(a.Runs[plan] >= b.Runs[plan], "plan %s has had %d runs, then %d", plan, b.Runs[plan], a.Runs[plan])
	}
	c.wish(slices.Equal(b.Paused, a.Paused), "plans are paused or resumed: %q, then %q", b.Paused, a.Paused)
	o, p := b.Options, a.Options
	if !bytes.Equal(o.Target, p.Target) && len(o.Target) > 0 {
		c.revised = bytes.Equal(o.Good, p.Target)
		c.wish(c.revised, "options change: %s, then %s", o.Target, p.Target)
	}
	c.must(bytes.Equal(o.Good, p.Good) || bytes.Equal(p.Good, p.Target), "options are called good that are not in force: %s", p.Good)
}

func (c *backward) pod(name string, b, a *podRecord) {
	if a == nil {
		c.wish(false, "pod %s is forgotten", name)
		return
	}
	for _, i := range slices.Sorted(maps.Keys(b.Gone)) {
		c.must(a.Gone[i].Generation >= b.Gone[i].Generation && a.Gone[i].Incarnation >= b.Gone[i].Incarnation,
			"pod %s: node %d that left had counted to %v, then to %v", name, i, b.Gone[i], a.Gone[i])
	}
	if b.Ended || a.Ended {
		return
	}
	c.wish(a.Count == b.Count+c.spread[name], "pod %s: %d nodes are wanted, then %d", name, b.Count, a.Count)
	c.must(a.Deployed || !b.Deployed, "pod %s is not deployed any more", name)
	c.must(a.First == b.First || !b.Deployed, "pod %s was first deployed with %d nodes, then %d", name, b.First, a.First)
	r, s := b.Rollout, a.Rollout
	if r.Paused != "" && s.Paused == "" && !s.Since.IsZero() { // whoever started again is the same program
		c.wishes = append(c.wishes, fmt.Errorf("pod %s: a paused rollout goes on (%s)", name, r.Paused))
	}
}

func (c *backward) node(b, a *Node) {
	if a == nil {
		c.wish(b.Goal == GoalLeave || b.Home != "", "%s is forgotten, and did not leave", b.Name)
		return
	}
	c.must(a.Generation >= b.Generation && a.Incarnation >= b.Incarnation && a.Arrived >= b.Arrived && a.Founding >= b.Founding,
		"%s has counted to %v, then to %v", b.Name, b.counts(), a.counts())
	c.must(a.Arrived <= a.Generation, "%s has arrived in a place to come: %v", b.Name, a.counts())
	c.must(b.Goal != GoalLeave || a.Goal == GoalLeave, "%s does not leave any more", b.Name)
	c.must(!b.Departed || a.Departed, "%s has not handed over any more what it held", b.Name)
	c.wish(a.Goal == b.Goal || b.Home != "" && a.Goal == GoalLeave, "%s is to %s, then to %s", b.Name, b.Goal, a.Goal)
	c.wish((a.Skip == b.Skip || a.Skip == "" && a.Wanted != b.Skip) && a.Excused == b.Excused, "%s is skipped", b.Name)
	if b.Place == nil || a.Generation > b.Generation {
		return
	}
	if a.Place == nil {
		c.must(false, "%s has no place any more, and is to count on", b.Name)
		return
	}
	c.must(a.Place.Agent == b.Place.Agent, "%s moves from %s to %s in the same generation", b.Name, b.Place.Hostname, a.Place.Hostname)
	c.must(a.Place.Used || !b.Place.Used, "%s: its place was used, and is not any more", b.Name)
	for _, name := range sortedKeys(b.Place.Ports) {
		had, has := b.Place.Ports[name], a.Place.Ports[name]
		c.must(had == has || !b.Place.hasPort(had), "%s has port %s %d, then %d", b.Name, name, had, has)
	}
}

func (n *Node) counts() [4]int { return [4]int{n.Generation, n.Incarnation, n.Arrived, n.Founding} }

func (c *backward) plan(name string, b, a *planRecord) {
	if a == nil {
		c.must(c.started, "plan %s is forgotten", name)
		return
	}
	c.must(a.Runs >= b.Runs, "plan %s has had %d runs, then %d", name, b.Runs, a.Runs)
	if b.Run == nil {
		return
	}
	if a.Run == nil || a.Run.Number != b.Run.Number {
		c.must(slices.ContainsFunc(a.Past, func(p PlanSummary) bool { return p.Run == b.Run.Number }),
			"plan %s: run %d has vanished", name, b.Run.Number)
		return
	}
	switch b.Run.State {
	case PlanPaused:
		c.must(a.Run.State != PlanRunning, "plan %s: run %d is resumed", name, b.Run.Number)
	case PlanCancelling:
		c.must(a.Run.State == PlanCancelling, "plan %s: run %d was being cancelled, and is %s", name, b.Run.Number, a.Run.State)
	}
	c.steps(name, b.Run, a.Run)
}

func (c *backward) steps(name string, b, a *run) {
	c.must(len(a.Stages) == len(b.Stages), "plan %s: run %d is laid out anew", name, b.Number)
	for i := range min(len(a.Stages), len(b.Stages)) {
		was, is := b.Stages[i].Steps, a.Stages[i].Steps
		c.must(len(is) == len(was), "plan %s: run %d is laid out anew", name, b.Number)
		for j := range min(len(is), len(was)) {
			c.must(is[j].Name == was[j].Name, "plan %s: run %d is laid out anew", name, b.Number)
			c.must(!was[j].State.done() || is[j].State == was[j].State, "plan %s, run %d: step %s was %s, and is %s",
				name, b.Number, was[j].Name, was[j].State, is[j].State)
			c.must(is[j].Attempts >= was[j].Attempts, "plan %s, run %d: step %s had %d attempts, and has %d",
				name, b.Number, was[j].Name, was[j].Attempts, is[j].Attempts)
		}
	}
}
