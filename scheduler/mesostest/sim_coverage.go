package mesostest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/mesokit/mesokit/scheduler"
)

// taskStates is one more than the highest TaskState.
const taskStates = 16

// Coverage counts what simulations have exercised, so that a green run says
// what it saw.
type Coverage struct {
	Runs uint64
	// Steps are inputs taken: by schedulers, by masters and by agents.
	Steps, Scheduler, Master, Agent uint64
	// Faults that had an effect, by kind. One that found nothing to break (a
	// job that fails when there is none) is not counted.
	Faults [faultKinds]uint64
	Calls  map[sched.Call_Type]uint64
	Events map[string]uint64 // that schedulers took, by type
	// Transitions of tasks as their schedulers were told, from state to state;
	// from TASK_STAGING when they were launched.
	Transitions [taskStates][taskStates]uint64
	// Crashes by what the scheduler had just done.
	Crashes map[string]uint64
	Doubled uint64 // decisions that were asked for twice
	Tasks   uint64 // that ran
}

// Add adds what another has counted.
func (c *Coverage) Add(o Coverage) {
	c.Runs += o.Runs
	c.Steps += o.Steps
	c.Scheduler += o.Scheduler
	c.Master += o.Master
	c.Agent += o.Agent
	c.Doubled += o.Doubled
	c.Tasks += o.Tasks
	for k, n := range o.Faults {
		c.Faults[k] += n
	}
	for from := range o.Transitions {
		for to, n := range o.Transitions[from] {
			c.Transitions[from][to] += n
		}
	}
	c.Calls = addCounts(c.Calls, o.Calls)
	c.Events = addCounts(c.Events, o.Events)
	c.Crashes = addCounts(c.Crashes, o.Crashes)
}

func addCounts[K comparable](to, from map[K]uint64) map[K]uint64 {
	if to == nil {
		to = map[K]uint64{}
	}
	for k, n := range from {
		to[k] += n
	}
	return to
}

// Missing are the kinds of fault that none of the runs had.
func (c Coverage) Missing() []FaultKind {
	var out []FaultKind
	for k, n := range c.Faults {
		if n == 0 {
			out = append(out, FaultKind(k))
		}
	}
	return out
}

// String is a table.
func (c Coverage) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "runs %d, steps %d (schedulers %d, masters %d, agents %d), tasks %d, decisions asked for twice %d\n",
		c.Runs, c.Steps, c.Scheduler, c.Master, c.Agent, c.Tasks, c.Doubled)
	var faults []string
	for k, n := range c.Faults {
		faults = append(faults, fmt.Sprintf("%s %d", FaultKind(k), n))
	}
	line(&b, "faults", faults)
	line(&b, "crashes", counted(c.Crashes, func(k string) string { return k }))
	line(&b, "calls", counted(c.Calls, func(k sched.Call_Type) string { return k.String() }))
	line(&b, "events", counted(c.Events, func(k string) string { return k }))
	var moves []string
	for from := range c.Transitions {
		for to, n := range c.Transitions[from] {
			if n > 0 {
				moves = append(moves, fmt.Sprintf("%s-%s %d", stateName(mesos.TaskState(from)), stateName(mesos.TaskState(to)), n))
			}
		}
	}
	line(&b, "transitions", moves)
	return b.String()
}

func counted[K comparable](m map[K]uint64, name func(K) string) []string {
	var out []string
	for k, n := range m {
		out = append(out, fmt.Sprintf("%s %d", name(k), n))
	}
	slices.Sort(out)
	return out
}

// line writes a list in lines of readable length.
func line(b *strings.Builder, head string, items []string) {
	width := 0
	for i, item := range items {
		if i == 0 || width+len(item) > 100 {
			if i > 0 {
				b.WriteString("\n")
			}
			fmt.Fprintf(b, "%-12s", head)
			head, width = "", 12
		} else {
			b.WriteString(", ")
		}
		b.WriteString(item)
		width += len(item) + 2
	}
	if len(items) > 0 {
		b.WriteString("\n")
	}
}

func stateName(s mesos.TaskState) string { return strings.TrimPrefix(s.String(), "TASK_") }

func eventName(ev scheduler.Event) string { return reflect.TypeOf(ev).Name() }
