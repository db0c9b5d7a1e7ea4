package mesostest

import (
	"reflect"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/scheduler"
)

// observer stands between a machine and its handler.
type observer struct{ p *simProcess }

// doubleEvery is how many decisions pass between two that are asked for twice.
const doubleEvery = 16

// Handle asks the handler, now and then twice.
func (o *observer) Handle(v scheduler.View, ev scheduler.Event) []scheduler.Action {
	p := o.p
	actions := p.Handler.Handle(v, ev)
	if p.facts.asked++; p.facts.asked%doubleEvery == 0 {
		p.w.coverage.Doubled++
		if again := p.Handler.Handle(v, ev); !sameActions(actions, again) {
			p.w.fail("equal views give equal decisions", "%s, asked twice about %s: %s; then %s",
				p, eventName(ev), showActions(actions), showActions(again))
		}
	}
	if p.Decision != nil {
		if err := p.Decision(v, ev, actions); err != nil {
			p.w.fail("decisions take nothing back", "%s, of %s: %v", p, eventName(ev), err)
		}
	}
	if p.w.quiet && p.facts.look {
		p.facts.look = false
		o.look(v)
	}
	return actions
}

// sameActions compares decisions, but for the values that jobs get beside their
// input: there may be functions in them, which cannot be compared.
func sameActions(a, b []scheduler.Action) bool {
	return slices.EqualFunc(a, b, func(x, y scheduler.Action) bool {
		from, ok := x.(scheduler.Start)
		to, too := y.(scheduler.Start)
		if ok && too {
			from.Job.Value, to.Job.Value = nil, nil
			x, y = from, to
		}
		return reflect.DeepEqual(x, y)
	})
}

// look asks for the goal, whenever World.look wants to know.
func (o *observer) look(v scheduler.View) {
	f := o.p.simFramework
	f.facts.goal = nil
	if f.Goal != nil {
		f.facts.goal = f.Goal(v, o.p.w)
	}
	f.facts.wishes = nil
	if f.facts.goal != nil && f.Settle != nil {
		f.facts.wishes = f.Settle(v, o.p.w)
	}
	clear(f.facts.known)
	for t := range v.Tasks() {
		if t.Status.GetState() == mesos.TASK_RUNNING {
			f.facts.known[t.Info.TaskID.Value] = true
		}
	}
}

// What rules, goals and jobs may ask of the world.

// SimTask is a task that really runs, whatever anybody has been told.
type SimTask struct {
	Framework, Node string
	Info            mesos.TaskInfo
	Agent           AgentConfig
	// Reachable says whether its agent and the master can talk.
	Reachable bool
	// Stray says that Mesos had given it up when another of its node was
	// launched.
	Stray bool
	// Cut says that its machine is cut off from all others.
	Cut bool
	// Hangs says that its server does nothing any more, and answers nobody.
	Hangs bool
	// Sick says that its health check fails (TaskPlan.Sick).
	Sick bool
}

func (t *simTask) shown() SimTask {
	a := t.executor.agent
	return SimTask{t.executor.owner.Name, t.node, t.info, a.cfg, a.reachable(), t.excused, a.cut, t.hangs, t.sick}
}

// Running are the tasks of all frameworks that run, in the order of agents. The
// list is shared by all who ask.
func (w *World) Running() []SimTask {
	if w.runningAt == w.changes {
		return w.running
	}
	w.running, w.runningAt = nil, w.changes
	for _, a := range w.agents {
		for _, e := range a.list() {
			for _, t := range e.tasks {
				if t.runs && e.owner != nil {
					w.running = append(w.running, t.shown())
				}
			}
		}
	}
	return w.running
}

// Runs says whether a task of a framework runs.
func (w *World) Runs(framework, task string) bool {
	for _, t := range w.Running() {
		if t.Framework == framework && t.Info.TaskID.Value == task {
			return true
		}
	}
	return false
}

// Reservation is something of an agent that belongs to a role.
type Reservation struct {
	Agent    AgentConfig
	AgentID  string
	Resource mesos.Resource
}

// Reserved is what agents hold for a role, with its volumes, as the agents
// themselves know it.
func (w *World) Reserved(role string) []Reservation {
	var out []Reservation
	for _, a := range w.agents {
		for _, r := range a.model.Total() {
			if len(r.Reservations) > 0 && roleOf(r) == role {
				out = append(out, Reservation{a.cfg, a.model.ID(), r})
			}
		}
	}
	return out
}

// SimVolume is a persistent volume that agents have made.
type SimVolume struct {
	ID string // persistence id
	// Made and Destroyed say how often. A machine that lost its disk destroyed
	// nothing.
	Made, Destroyed int
	Used            bool // a task has run on it
}

// Volumes are those of a framework so far, in the order of their ids.
func (w *World) Volumes(framework string) []SimVolume {
	var out []SimVolume
	for _, f := range w.frameworks {
		if f.Name != framework {
			continue
		}
		for _, id := range sortedKeysOf(f.facts.volumes) {
			out = append(out, *f.facts.volumes[id])
		}
	}
	return out
}

// HasAgent says whether there is an agent of that id, up or not. One that was
// wiped or is gone for good is not there any more.
func (w *World) HasAgent(id string) bool {
	return slices.ContainsFunc(w.agents, func(a *simAgent) bool { return a.model.ID() == id })
}

// TornDown says whether a framework has ended by itself: its handler had the
// master tear it down.
func (w *World) TornDown(framework string) bool {
	return slices.ContainsFunc(w.frameworks, func(f *simFramework) bool { return f.Name == framework && f.finished })
}

// Commands are what operators have sent to a framework so far.
func (w *World) Commands(framework string) []*SimCommand {
	for _, f := range w.frameworks {
		if f.Name == framework {
			return f.commands
		}
	}
	return nil
}

// Quiet says whether the storm is over, and since when.
func (w *World) Quiet() (time.Duration, bool) { return w.since() - w.script.Storm, w.quiet }
