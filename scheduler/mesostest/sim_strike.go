package mesostest

import (
	"errors"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/internal/model"
)

// maxArmed is how many faults of one kind wait for something to break.
const maxArmed = 3

// fault does what a line of the script says, or arms it.
func (w *World) fault(f Fault) {
	if w.tell != nil {
		w.say("fault %s %d", f.Kind, f.Pick)
	}
	pick := int(f.Pick)
	var struck bool
	switch f.Kind {
	case LinkBroken, AgentCut, AgentHealed, AgentRestarted, AgentRebooted, AgentWiped, AgentGone, RegistryForgets:
		struck = w.agentFault(f.Kind, pick)
	case AgentDrained, AgentMaintained, AgentDeactivated:
		struck = w.operatorFault(f.Kind, pick)
	case StreamCut, StreamSilent, Crash, Standby, ClockStep, Operator:
		struck = w.schedulerFault(f.Kind, pick)
	case MasterFailover:
		if struck = w.master != nil; struck {
			w.failover(w.master.Registry(), time.Duration(pick%20_000)*time.Millisecond)
		}
	case RegistryUnwritten, RegistryUntold:
		w.arm(f)
		w.armed.registry = true
	case TaskDies, TaskHangs, ExecutorDies:
		struck = w.taskFault(f.Kind, pick)
	case RivalTakes, RivalFragments:
		struck = w.rival.want(f.Kind, pick)
	default:
		w.arm(f)
	}
	if struck {
		w.coverage.Faults[f.Kind]++
	}
}

func (w *World) arm(f Fault) {
	if waiting := w.armed.next[f.Kind]; len(waiting) < maxArmed {
		w.armed.next[f.Kind] = append(waiting, f.Pick)
	}
}

// registryFault ends a master that has just written to its registry, with the
// write or without it. Nobody hears what it had to say.
func (w *World) registryFault(before model.Registry) bool {
	after := w.master.Registry()
	if sameRegistry(before, after) {
		return false
	}
	pick, ok := w.take(RegistryUnwritten)
	registry := before
	if !ok {
		if pick, ok = w.take(RegistryUntold); !ok {
			return false
		}
		registry = after
	}
	w.armed.registry = len(w.armed.next[RegistryUnwritten])+len(w.armed.next[RegistryUntold]) > 0
	w.failover(registry, time.Duration(pick%20_000)*time.Millisecond)
	return true
}

// forget has the next master know nothing of an agent, which is cut off: who asks
// for a task there is told that nobody knows it. Then the agent comes back, and the
// task runs.
func (w *World) forget(a *simAgent, pause time.Duration) bool {
	if w.master == nil {
		return false
	}
	a.cut = true
	w.changes++
	w.armed.cuts = append(w.armed.cuts, a)
	registry := w.master.Registry()
	delete(registry.Admitted, a.model.ID())
	delete(registry.Unreachable, a.model.ID())
	w.failover(registry, pause)
	w.after(pause+time.Minute, func() { w.heal(a) }) // when schedulers have asked
	return true
}

func sameRegistry(a, b model.Registry) bool {
	return len(a.Admitted) == len(b.Admitted) && len(a.Unreachable) == len(b.Unreachable) && len(a.Gone) == len(b.Gone) &&
		len(a.Deactivated) == len(b.Deactivated) && len(a.Draining) == len(b.Draining) &&
		len(a.Schedule) == len(b.Schedule) && len(a.Down) == len(b.Down)
}

func (w *World) agentFault(k FaultKind, pick int) bool {
	a := w.agents[pick%len(w.agents)]
	pause := time.Duration(pick%120_000) * time.Millisecond
	switch {
	case k == AgentHealed:
		if len(w.armed.cuts) == 0 {
			return false
		}
		w.heal(w.armed.cuts[0])
		return true
	case !a.up || a.gone || a.busy:
		return false
	}
	switch k {
	case LinkBroken:
		w.relink(a, time.Duration(pick%3000)*time.Millisecond)
	case RegistryForgets:
		return !a.cut && w.forget(a, pause/6)
	case AgentCut:
		if a.cut {
			return false
		}
		a.cut = true
		w.changes++
		w.armed.cuts = append(w.armed.cuts, a)
	case AgentRestarted:
		w.stopAgent(a, true)
		w.after(pause/12, func() { w.startAgent(a, true) })
	case AgentRebooted:
		w.stopAgent(a, false)
		w.after(pause, func() { w.startAgent(a, false) })
	case AgentWiped:
		w.stopAgent(a, false)
		w.wiped = append(w.wiped, a.model.ID())
		w.after(pause, func() { w.replaceAgent(a) })
	case AgentGone:
		w.stopAgent(a, false)
		id := a.model.ID()
		w.after(pause, func() { w.markGone(id, func() { w.replaceAgent(a) }) })
	}
	return true
}

// markGone is the operator who says that an agent will not come back, until a
// master takes it.
func (w *World) markGone(id string, then func()) {
	if id == "" {
		then()
		return
	}
	if r := w.toMaster(model.Operate{Request: model.MarkGone{ID: id}}); r.Status == 503 || r.Status == 0 {
		w.after(5*time.Second, func() { w.markGone(id, then) })
		return
	}
	then()
}

// replaceAgent brings a machine back empty.
func (w *World) replaceAgent(a *simAgent) {
	w.rules.lostVolumes(a)
	if err := w.wipe(a); err != nil {
		w.fail("agents can be made", "%v", err)
		return
	}
	w.startAgent(a, false)
}

// heal ends a cut. What was sent meanwhile is lost, and so is the connection.
func (w *World) heal(a *simAgent) {
	w.armed.cuts = slices.DeleteFunc(w.armed.cuts, func(x *simAgent) bool { return x == a })
	a.cut = false
	w.changes++
	if a.up {
		w.relink(a, time.Second)
	}
}

// operatorFault is an operator who works on an agent, until it is back as it
// was.
func (w *World) operatorFault(k FaultKind, pick int) bool {
	a := w.agents[pick%len(w.agents)]
	id := a.model.ID()
	if a.busy || a.gone || !a.up || id == "" || w.master == nil {
		return false
	}
	pause := time.Duration(pick%180_000) * time.Millisecond
	var do, undo []model.OperatorRequest
	machine := mesos.MachineID{Hostname: &a.cfg.Hostname, IP: &a.cfg.Address}
	switch k {
	case AgentDrained:
		grace := time.Duration(pick%60) * time.Second
		do = []model.OperatorRequest{model.Drain{ID: id, MaxGrace: &grace}}
		undo = []model.OperatorRequest{model.Deactivate{ID: id, On: true}}
	case AgentDeactivated:
		pause /= 60
		do = []model.OperatorRequest{model.Deactivate{ID: id}}
		undo = []model.OperatorRequest{model.Deactivate{ID: id, On: true}}
	case AgentMaintained:
		for _, other := range w.agents {
			if other.busy {
				return false // one schedule is enough
			}
		}
		start := mesos.TimeInfo{Nanoseconds: w.Now().Add(pause).UnixNano()}
		do = []model.OperatorRequest{model.SetSchedule{Windows: []model.Window{{
			Machines: []mesos.MachineID{machine}, Unavailability: mesos.Unavailability{Start: start},
		}}}}
		undo = []model.OperatorRequest{model.SetSchedule{}}
		if pick%2 == 0 { // it does not stay with the announcement
			do = append(do, model.StartMaintenance{Machines: []mesos.MachineID{machine}})
			undo = []model.OperatorRequest{model.StopMaintenance{Machines: []mesos.MachineID{machine}}, model.SetSchedule{}}
		}
	}
	a.busy = true
	w.operate(a, do, pause, func() {
		w.after(pause, func() {
			w.operate(a, undo, time.Second, func() {
				a.busy = false
				if k == AgentMaintained {
					w.startAgent(a, false)
				}
			})
		})
	})
	return true
}

// operate makes requests one after the other, each until a master takes it.
func (w *World) operate(a *simAgent, requests []model.OperatorRequest, pause time.Duration, then func()) {
	if len(requests) == 0 {
		then()
		return
	}
	r := w.toMaster(model.Operate{Request: requests[0]})
	if w.tell != nil {
		w.say("operator: %T of %s: %d %s", requests[0], a.cfg.Hostname, r.Status, r.Text)
	}
	// The leader may die of the request; the next may not know the agent yet, or
	// it is not empty. It may also know nothing of what is to be undone.
	d, ok := requests[0].(model.Deactivate)
	early := r.Status != 200 && ok && d.On && d.ID == a.model.ID() && w.master != nil && w.master.Registry().Deactivated[d.ID]
	if r.Status == 503 || r.Status == 0 || early {
		w.after(5*time.Second, func() { w.operate(a, requests, pause, then) })
		return
	}
	w.after(pause, func() { w.operate(a, requests[1:], pause, then) })
}

func (w *World) schedulerFault(k FaultKind, pick int) bool {
	f := w.frameworks[pick%len(w.frameworks)]
	pick /= len(w.frameworks)
	switch {
	case k == ClockStep:
		f.offset = time.Duration(pick%7200-3600) * time.Second
		if pick%4 > 0 {
			f.offset /= 60
		}
		for _, p := range slices.Clone(f.processes) {
			p.die("starts again with another clock")
		}
		return true
	case len(f.processes) == 0:
		return false
	}
	p := f.processes[len(f.processes)-1]
	switch k {
	case Crash:
		f.dieIn = 1 + pick%30
		return false // it counts when it strikes
	case Standby:
		if len(f.processes) > 1 {
			return false
		}
		f.start()
	case Operator:
		return f.Operator != nil && w.command(f, f.Operator(uint16(pick)))
	case StreamCut:
		if p.stream == nil {
			return false
		}
		p.stream.cut(pick)
	case StreamSilent:
		s := p.stream
		if s == nil || s.silent {
			return false
		}
		s.silent, s.flight = true, nil
		w.after(75*time.Second, func() { s.end("nothing came for 1m15s") })
	}
	return true
}

func (w *World) taskFault(k FaultKind, pick int) bool {
	var running []*simTask
	for _, a := range w.agents {
		for _, e := range a.list() {
			if e.owner == nil {
				continue
			}
			for _, t := range e.tasks {
				if t.runs && !t.ending && !t.hangs {
					running = append(running, t)
				}
			}
		}
	}
	if len(running) == 0 {
		return false
	}
	t := running[pick%len(running)]
	pick /= len(running)
	switch k {
	case TaskDies:
		w.ends(t, mesos.TASK_FAILED, "exit status 1")
	case TaskHangs:
		t.hangs, t.deaf = true, t.info.Executor != nil && (t.own == nil || pick%2 == 1)
		w.changes++
	case ExecutorDies:
		w.exit(t.executor, 9)
	}
	return true
}

// recovery is how long after the storm the goals are looked at: a master waits
// ten minutes for agents of its predecessor, and until then it says nothing of
// their tasks.
const recovery = 15 * time.Minute

// calm ends the storm: what was broken is mended, and what cannot be mended
// ends as an operator would end it.
func (w *World) calm() {
	w.say("the storm is over")
	w.armed.next = [faultKinds][]uint16{}
	w.armed.registry = false
	w.quiet = true
	for len(w.armed.cuts) > 0 {
		w.heal(w.armed.cuts[0])
	}
	for _, id := range w.wiped {
		w.markGone(id, func() {})
	}
	for _, a := range w.agents {
		for _, e := range a.list() {
			if slices.ContainsFunc(e.tasks, func(t *simTask) bool { return t.hangs }) {
				w.exit(e, 9)
			}
		}
	}
	for _, f := range w.frameworks {
		f.dieIn = 0
		f.facts.goal = errors.New("its handler was not asked")
	}
	w.after(recovery, w.look)
}
