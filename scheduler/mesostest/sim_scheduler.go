package mesostest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/state"
)

// simFramework is a framework with its store and the processes that act for
// it: one, or for a time two.
type simFramework struct {
	SimFramework
	w         *World
	index     int
	info      mesos.FrameworkInfo
	store     *simStore
	processes []*simProcess // that live
	started   int           // so far
	streams   int
	ids       []string      // that masters gave it
	finished  bool          // torn down
	teardown  bool          // TEARDOWN was sent
	dieIn     int           // effects until it dies; 0: it does not
	offset    time.Duration // of the clock of processes that start now
	commands  []*SimCommand
	facts     facts
}

// SimCommand is what an operator sent in a simulation.
type SimCommand struct {
	At     time.Time
	Value  any
	Answer *scheduler.Answer // nil: it was not answered, since the scheduler died or would not
}

// simProcess is one process of a scheduler: the machine and the loop around it.
type simProcess struct {
	*simFramework
	number  int
	machine *scheduler.Machine
	epoch   uint64
	offset  time.Duration // of its clock
	stream  *simStream
	joined  bool // SUBSCRIBED has come
	backoff time.Duration
	inbox   []simNews
	busy    bool // it carries effects out, or saves
	dead    bool
	wake    int64 // when the next Tick is planned; 0: none
	jobs    map[string]int
	jobRuns int
	offers  offerBook
}

// simNews is an event for the machine.
type simNews struct {
	event  scheduler.Event
	stream bool // such are saved together with those that wait behind them
}

func (w *World) newFramework(i int, c SimFramework) *simFramework {
	info := c.Info
	if d, ok := c.Handler.(scheduler.Described); ok {
		described := d.Framework()
		info.Name, info.User = cmp.Or(info.Name, described.Name), cmp.Or(info.User, described.User)
		info.Principal = cmp.Or(info.Principal, described.Principal)
		info.FailoverTimeout = cmp.Or(info.FailoverTimeout, described.FailoverTimeout)
		if info.Roles == nil {
			info.Roles = described.Roles
		}
		if info.Capabilities == nil {
			info.Capabilities = described.Capabilities
		}
	}
	c.Name = cmp.Or(c.Name, info.Name, fmt.Sprintf("framework-%d", i))
	info.Name, info.User = cmp.Or(info.Name, c.Name), cmp.Or(info.User, "root")
	if info.Roles == nil {
		info.Roles = []string{"*"}
	}
	if info.FailoverTimeout == nil {
		info.FailoverTimeout = new((14 * 24 * time.Hour).Seconds())
	}
	info.Checkpoint = new(true)
	if info.Capabilities == nil {
		for _, t := range []mesos.FrameworkInfo_Capability_Type{
			mesos.FrameworkInfo_Capability_MULTI_ROLE, mesos.FrameworkInfo_Capability_PARTITION_AWARE,
			mesos.FrameworkInfo_Capability_RESERVATION_REFINEMENT, mesos.FrameworkInfo_Capability_TASK_KILLING_STATE,
		} {
			info.Capabilities = append(info.Capabilities, mesos.FrameworkInfo_Capability{Type: t})
		}
	}
	return &simFramework{SimFramework: c, w: w, index: i, info: info, store: newSimStore(), facts: newFacts()}
}

// start begins another process on the same store, which fences those that live.
func (f *simFramework) start() {
	if f.finished {
		return
	}
	f.started++
	p := &simProcess{simFramework: f, number: f.started, offset: f.offset, jobs: map[string]int{}}
	records, epoch := f.store.load()
	p.epoch = epoch
	seed := fmt.Sprintf("deployment %016x of %s", f.w.luck("deployment", f.Name), f.Name)
	machine, err := scheduler.NewMachine(&observer{p: p}, []byte(seed), records)
	if err != nil {
		f.w.fail("what was saved can be restored", "%s: %v", f.Name, err)
		return
	}
	p.machine = machine
	f.processes = append(f.processes, p)
	if f.w.tell != nil {
		f.w.say("%s starts with %d records", p, len(records))
	}
	p.subscribe()
}

// String names the process in histories.
func (p *simProcess) String() string { return fmt.Sprintf("%s#%d", p.Name, p.number) }

// clock is what the process takes for the time.
func (p *simProcess) clock() time.Time { return p.w.Now().Add(p.offset) }

func (p *simProcess) subscribe() {
	if p.dead {
		return
	}
	if !p.fearless && p.store.save(p.epoch, nil) != nil { // it asks before it takes the subscription
		p.die("is fenced")
		return
	}
	p.streams++
	p.joined = false
	p.stream = p.w.open(fmt.Sprintf("%s/%d", p.Name, p.streams), p, p.machine.Subscribe(p.info))
}

// event takes an event of the master.
func (p *simProcess) event(s *simStream, ev *sched.Event) {
	if p.dead || p.stream != s {
		return
	}
	if sub := ev.GetSubscribed(); sub != nil {
		p.joined, p.backoff = true, 0
		if id := sub.FrameworkID.GetValue(); !slices.Contains(p.ids, id) {
			p.simFramework.ids = append(p.ids, id)
			clear(p.facts.launched) // task ids are those of a framework
		}
	}
	if e := scheduler.EventOf(ev); e != nil {
		p.receive(simNews{e, true})
	}
}

// ended follows the end of the stream, as Run does.
func (p *simProcess) ended(s *simStream, reason string) {
	if p.dead || p.stream != s {
		return
	}
	if p.w.tell != nil {
		p.w.say("%s: stream %s ended: %s", p, s.id, reason)
	}
	p.stream = nil
	joined := p.joined
	p.joined = false
	switch {
	case reason == tornDown, removed(reason) && p.teardown:
		p.receive(simNews{scheduler.Removed{}, false})
	case failedOver(reason):
		p.die("another has taken over")
		return
	case removed(reason):
		p.w.fail("the framework is not removed", "%s: %s", p, reason)
		return
	case joined:
		p.receive(simNews{scheduler.Disconnected{Reason: reason}, true})
	}
	if !p.dead {
		p.backoff = min(max(2*p.backoff, 250*time.Millisecond), 15*time.Second)
		p.w.after(p.backoff, p.subscribe)
	}
}

// receive gives the process an event. While a save is under way they wait.
func (p *simProcess) receive(n simNews) {
	if p.dead {
		return
	}
	p.inbox = append(p.inbox, n)
	p.pump()
}

// pump steps the machine through what waits.
func (p *simProcess) pump() {
	for !p.dead && !p.busy && len(p.inbox) > 0 {
		n := 1
		for p.inbox[0].stream && n < len(p.inbox) && p.inbox[n].stream {
			n++
		}
		batch := p.inbox[:n:n]
		p.inbox = p.inbox[n:]
		p.busy = true
		p.step(batch)
	}
}

// step lets the machine decide about events, one after the other, and carries
// out the effects of all of them together.
func (p *simProcess) step(batch []simNews) {
	w := p.w
	var all scheduler.Effects
	for _, n := range batch {
		w.coverage.Steps++
		w.coverage.Scheduler++
		w.coverage.Events[eventName(n.event)]++
		if _, tick := n.event.(scheduler.Tick); w.tell != nil && !tick {
			w.say("%s <- %s", p, showEvent(n.event))
		}
		w.rules.delivered(w, p, n.event)
		if job, ok := n.event.(scheduler.JobDone); ok {
			delete(p.jobs, job.Name)
		}
		if p.mishear != nil {
			n.event = p.mishear(p, n.event)
		}
		e := p.machine.Step(p.clock(), n.event)
		if err := p.machine.Check(); err != nil {
			w.fail("the machine's own invariants hold", "%s after %s: %v", p, eventName(n.event), err)
		}
		if p.tamper != nil {
			p.tamper(w, &e)
		}
		w.rules.decided(w, p, e.Send)
		if w.tell != nil {
			for _, note := range e.Note {
				w.say("%s    %s", p, showNote(note))
			}
		}
		if len(batch) == 1 {
			all = e
			break
		}
		all = merged(all, e)
	}
	p.carryOut(all)
}

func merged(all, e scheduler.Effects) scheduler.Effects {
	all.Save = append(all.Save, e.Save...)
	all.Send = append(all.Send, e.Send...)
	all.Start = append(all.Start, e.Start...)
	all.Cancel = append(all.Cancel, e.Cancel...)
	all.Answer = append(all.Answer, e.Answer...)
	all.Wake, all.Done = e.Wake, all.Done || e.Done
	return all
}

// point is a place between two effects, where the process may die. It reports
// whether it lives.
func (p *simProcess) point(after string) bool {
	if p.dead {
		return false
	}
	if p.dieIn == 0 {
		return true
	}
	if p.simFramework.dieIn--; p.dieIn > 0 {
		return true
	}
	p.w.coverage.Crashes[after]++
	p.w.coverage.Faults[Crash]++
	p.die("crashes after " + after)
	return false
}

// die ends the process. If no other lives one is started.
func (p *simProcess) die(why string) {
	if p.dead {
		return
	}
	p.dead = true
	p.w.say("%s: %s", p, why)
	if p.stream != nil {
		p.stream.drop()
	}
	f := p.simFramework
	f.processes = slices.DeleteFunc(f.processes, func(x *simProcess) bool { return x == p })
	f.w.after(time.Second, func() {
		if len(f.processes) == 0 {
			f.start()
		}
	})
}

// carryOut does what the machine wants done, in the order of Effects.
func (p *simProcess) carryOut(e scheduler.Effects) {
	if p.early != nil {
		for _, call := range e.Send {
			if p.early(call) {
				p.send(call)
			}
		}
		e.Send = slices.DeleteFunc(slices.Clone(e.Send), p.early)
	}
	if !p.point("a decision") {
		p.busy = false
		return
	}
	if len(e.Save)+len(e.Send)+len(e.Start) == 0 {
		p.afterSave(e)
		p.busy = false
		return
	}
	// With nothing to save it asks whether to act is still its own.
	if pick, ok := p.w.take(SaveSlow); ok {
		p.w.after(time.Duration(pick%60_000)*time.Millisecond, func() {
			p.save(e)
			p.busy = false
			p.pump()
		})
		return
	}
	p.save(e)
	p.busy = false
}

// save makes the records durable and goes on, or fails as stores do: of a save
// that failed, or during which the process died, all is there or nothing.
func (p *simProcess) save(e scheduler.Effects) {
	w := p.w
	if p.dead {
		if w.random.IntN(2) == 0 {
			_ = p.store.save(p.epoch, e.Save) // nobody is told
		}
		return
	}
	w.rules.saves(w, p, e.Save)
	var err error
	if pick, ok := w.take(SaveFails); ok {
		if pick%2 == 0 {
			_ = p.store.save(p.epoch, e.Save) // it was durable all the same
		}
		err = errors.New("the disk is full")
	} else {
		err = p.store.save(p.epoch, e.Save)
	}
	switch {
	case err == nil || p.fearless:
	case errors.Is(err, state.ErrFenced):
		p.die("is fenced")
		return
	default:
		p.die("cannot save: " + err.Error())
		return
	}
	if w.tell != nil && len(e.Save) > 0 {
		w.say("%s saves %s", p, showKeys(e.Save))
	}
	p.afterSave(e)
}

func (p *simProcess) afterSave(e scheduler.Effects) {
	if !p.point("a save") {
		return
	}
	if !p.sendAll(e) {
		return
	}
	for _, job := range e.Start {
		p.startJob(job)
		if !p.point("a job") {
			return
		}
	}
	for _, name := range e.Cancel {
		p.endJob(name, p.jobs[name], nil, "cancelled")
	}
	for _, a := range e.Answer {
		p.w.answered(p.simFramework, a)
		if !p.point("an answer") {
			return
		}
	}
	p.plan(e.Wake)
	if e.Done {
		p.finish()
		return
	}
	p.w.rules.stepped(p.w, p)
}

func (p *simProcess) finish() {
	p.w.say("%s: the framework is torn down", p)
	p.simFramework.finished = true
	for _, other := range slices.Clone(p.processes) {
		other.die("has nothing to do any more")
	}
}

// sendAll sends the calls of one decision. It reports whether the process lives.
func (p *simProcess) sendAll(e scheduler.Effects) bool {
	for _, call := range e.Send {
		p.send(call)
		if !p.point(call.Type.String()) {
			return false
		}
	}
	return true
}

func (p *simProcess) send(call *sched.Call) {
	w := p.w
	w.coverage.Calls[call.Type]++
	if w.tell != nil {
		w.say("%s -> %s", p, showCall(call))
	}
	w.rules.sent(w, p, call)
	if p.stream == nil || !p.joined {
		return // dropped with the subscription
	}
	if call.Type == sched.Call_TEARDOWN {
		p.simFramework.teardown = true
	} else if pick, ok := w.take(CallLost); ok {
		p.lose(call, pick)
		return
	}
	p.stream.send(call)
}

// lose does what Run does when it has tried a call for long enough: it goes on
// where the call may be missing, declines the offers of one that may not be
// repeated, and ends the subscription otherwise, or where nothing else arrives
// either.
func (p *simProcess) lose(call *sched.Call, pick int) {
	switch call.Type {
	case sched.Call_ACCEPT:
		if pick%4 == 0 {
			break
		}
		if pick%4 == 1 { // it did arrive, and the answer did not
			p.stream.send(call)
		}
		p.stream.send(&sched.Call{Type: sched.Call_DECLINE, FrameworkID: call.FrameworkID, Decline: &sched.Call_Decline{
			OfferIDs: call.Accept.OfferIDs, Filters: &mesos.Filters{RefuseSeconds: new(0.)}}})
		return
	case sched.Call_ACKNOWLEDGE, sched.Call_ACKNOWLEDGE_OPERATION_STATUS, sched.Call_KILL, sched.Call_RECONCILE,
		sched.Call_RECONCILE_OPERATIONS, sched.Call_MESSAGE, sched.Call_SHUTDOWN:
		if pick%4 > 0 {
			return
		}
	}
	p.stream.end("a call failed")
}

// plan wakes the machine when it wants to be.
func (p *simProcess) plan(wake time.Time) {
	if wake.IsZero() {
		p.wake = 0
		return
	}
	at := max(int64(wake.Sub(p.w.epoch)-p.offset), p.w.now)
	if p.wake == at && at > p.w.now {
		return
	}
	p.wake = at
	p.w.agenda.add(at, func() {
		if p.wake == at && !p.dead {
			p.wake = 0
			p.receive(simNews{scheduler.Tick{}, false})
		}
	})
}
