package mesostest

import (
	"slices"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/state"
)

// The rules, in words. Each is checked where it could be broken, so that a
// step costs what it touches.
//
//   - Nothing leaves before its record: no call before the identity is saved,
//     no launch of a task whose records are not, no operation with an id that
//     is not.
//   - A task id is launched once, and an offer is used once, and not when the
//     scheduler has heard that it was taken back.
//   - A status is acknowledged only after it is saved, unless it said nothing
//     new of the task or the task is not known.
//   - The first end of a task stands: what ended is not saved as if it ran.
//   - No node runs twice: while a task of it runs, another does not, but for a
//     task on an agent that Mesos had called unreachable, lost or gone before
//     the other one was launched.
//   - A volume is not destroyed while a task uses it, and two tasks do not use
//     it at once. It is destroyed before its reservation is given up.
//   - No offer is held longer than scheduler.MaxHold and what a slow save adds.
//   - The master refuses no call, and books what it gives out exactly.
//   - The machine's own invariants hold (scheduler.Machine.Check).
//   - One job of a name runs at a time; what was saved can be restored; equal
//     views give equal decisions.
//   - A decision takes nothing back, as the framework means it
//     (SimFramework.Decision).
//   - In the end every goal is reached, every task that runs is known to its
//     scheduler, every task that the scheduler takes for running runs, and of no
//     node an earlier task is left behind.

// offerSlack is how much longer than scheduler.MaxHold an offer may be held: a
// save may take a minute, and an alarm waits for it.
const offerSlack = 3 * time.Minute

// checkEvery is how many steps pass between two looks at all of a master's
// books, but for runs that shrink a finding.
const checkEvery = 1 << 10

// ruleBook is what rules know of all frameworks.
type ruleBook struct {
	containers int
	volumes    map[string]*simVolume // by persistence id and agent
	unchecked  int
	wrongSince int64 // the master's books; 0: they are not
}

type simVolume struct {
	agent *simAgent
	id    string
	users []*simTask
}

func newRuleBook() ruleBook { return ruleBook{volumes: map[string]*simVolume{}} }

// facts are what rules know of a framework.
type facts struct {
	told     map[string]mesos.TaskState // what the scheduler was last told of each task
	heard    map[string]heardStatus     // by uuid: statuses that wait for their acknowledgement
	launched map[string]bool            // task ids
	used     map[string]bool            // offers
	tasks    map[string][]*simTask      // by node: what agents have begun and not ended
	volumes  map[string]*SimVolume      // by id
	known    map[string]bool            // once quiet: tasks that its view takes for running
	look     bool                       // its handler is to be asked for its goal
	goal     error                      // once quiet: what is missing
	wishes   []any                      // once quiet: what its operator wants
	asked    int
}

type heardStatus struct {
	status mesos.TaskStatus
	writes uint64 // of the store, when it came
}

func newFacts() facts {
	return facts{
		told: map[string]mesos.TaskState{}, heard: map[string]heardStatus{}, launched: map[string]bool{}, used: map[string]bool{},
		tasks: map[string][]*simTask{}, volumes: map[string]*SimVolume{}, known: map[string]bool{},
	}
}

func (f *facts) volume(id string) *SimVolume {
	v, ok := f.volumes[id]
	if !ok {
		v = &SimVolume{ID: id}
		f.volumes[id] = v
	}
	return v
}

// offerBook is the offers that a process holds, the oldest first.
type offerBook struct {
	queue []heldOffer
	held  map[string]string // agent by offer
}

type heldOffer struct {
	id   string
	came int64
}

func (b *offerBook) void() { *b = offerBook{} }

func (b *offerBook) add(w *World, o *mesos.Offer) {
	if b.held == nil {
		b.held = map[string]string{}
	}
	b.held[o.ID.Value] = o.AgentID.Value
	b.queue = append(b.queue, heldOffer{o.ID.Value, w.now})
}

// delivered takes note of an event that the scheduler is about to take.
func (*ruleBook) delivered(w *World, p *simProcess, ev scheduler.Event) {
	switch ev := ev.(type) {
	case scheduler.Offered:
		for i := range ev.Offers {
			p.offers.add(w, &ev.Offers[i])
		}
	case scheduler.Rescinded:
		delete(p.offers.held, ev.Offer)
	case scheduler.AgentLost:
		for id, agent := range p.offers.held {
			if agent == ev.Agent {
				delete(p.offers.held, id)
			}
		}
	case scheduler.Disconnected, scheduler.Subscribed:
		p.offers.void()
	case scheduler.Updated:
		s := &ev.Status
		id, state := s.TaskID.Value, s.GetState()
		before, known := p.facts.told[id]
		if !known {
			before = mesos.TASK_STAGING
		}
		if before != state {
			w.coverage.Transitions[min(int(before), taskStates-1)][min(int(state), taskStates-1)]++
		}
		p.facts.told[id] = state
		if len(s.UUID) > 0 {
			p.facts.heard[string(s.UUID)] = heardStatus{*s, p.store.writes}
		}
	}
}

// decided checks calls of one decision: that they are about offers which its
// scheduler has. One that is rescinded while a call is on its way is none of it.
func (*ruleBook) decided(w *World, p *simProcess, calls []*sched.Call) {
	for _, call := range calls {
		for _, id := range slices.Concat(call.GetAccept().GetOfferIDs(), call.GetDecline().GetOfferIDs()) {
			if _, held := p.offers.held[id.Value]; !held && !p.facts.used[id.Value] {
				w.fail("an offer that was taken back is not used", "%s uses offer %s in %s", p, id.Value, call.Type)
			}
		}
	}
}

// stepped checks what must hold after a scheduler's step.
func (r *ruleBook) stepped(w *World, p *simProcess) {
	b := &p.offers
	for len(b.queue) > 0 {
		oldest := b.queue[0]
		if _, held := b.held[oldest.id]; held {
			if age := time.Duration(w.now - oldest.came); age > scheduler.MaxHold+offerSlack {
				w.fail("no offer is held for long", "%s has held offer %s for %v", p, oldest.id, age)
			}
			break
		}
		b.queue = b.queue[1:]
	}
	w.checkRules()
}

func (w *World) checkRules() {
	for _, rule := range w.cfg.Rules {
		if err := rule.Check(w); err != nil {
			w.fail(rule.Name, "%v", err)
		}
	}
}

// sent checks a call that a scheduler sends.
func (r *ruleBook) sent(w *World, p *simProcess, call *sched.Call) {
	const rule = "nothing leaves before its record"
	if !p.store.has("identity") {
		w.fail(rule, "%s sends %s before its identity is saved", p, call.Type)
	}
	switch call.Type {
	case sched.Call_ACCEPT:
		r.useOffers(w, p, call.Accept.OfferIDs)
		r.inOrder(w, p, call.Accept.Operations)
		for i := range call.Accept.Operations {
			op := &call.Accept.Operations[i]
			if op.ID != nil && !p.store.has("operation/"+op.ID.Value) {
				w.fail(rule, "%s sends operation %s before it is saved", p, op.ID.Value)
			}
			for _, info := range op.GetLaunch().GetTaskInfos() {
				r.launched(w, p, info)
			}
			for _, info := range op.GetLaunchGroup().GetTaskGroup().Tasks {
				r.launched(w, p, info)
			}
		}
	case sched.Call_DECLINE:
		r.useOffers(w, p, call.Decline.OfferIDs)
	case sched.Call_ACKNOWLEDGE:
		r.acknowledged(w, p, call.Acknowledge)
	}
}

// inOrder checks that nothing is pulled from under something else.
func (*ruleBook) inOrder(w *World, p *simProcess, operations []mesos.Offer_Operation) {
	unreserved := false
	for i := range operations {
		switch operations[i].Type {
		case mesos.Offer_Operation_UNRESERVE:
			unreserved = true
		case mesos.Offer_Operation_DESTROY:
			if unreserved {
				w.fail("a volume is destroyed before its reservation is given up", "%s: %s after UNRESERVE", p, showOperation(&operations[i]))
			}
		}
	}
}

func (*ruleBook) useOffers(w *World, p *simProcess, offers []mesos.OfferID) {
	for _, id := range offers {
		if p.facts.used[id.Value] {
			w.fail("an offer is used once", "%s uses offer %s again", p, id.Value)
		}
		p.facts.used[id.Value] = true
		delete(p.offers.held, id.Value)
	}
}

func (*ruleBook) launched(w *World, p *simProcess, info mesos.TaskInfo) {
	id := info.TaskID.Value
	if !p.store.has("task/"+id) || !p.store.has("status/"+id) {
		w.fail("nothing leaves before its record", "%s launches task %s before it is saved", p, id)
	}
	if p.facts.launched[id] {
		w.fail("a task id is launched once", "%s launches task %s again", p, id)
	}
	p.facts.launched[id] = true
	if p.Node == nil {
		return
	}
	for _, t := range p.facts.tasks[p.Node(info)] {
		id := t.info.TaskID.Value
		// Who starts again may not have heard what came before.
		t.excused = givenUp(p.facts.told[id]) || givenUp(p.store.taskState(id))
		w.changes++
	}
}

func givenUp(s mesos.TaskState) bool { return scheduler.Terminal(s) || s == mesos.TASK_UNREACHABLE }

// acknowledged checks that the status was saved first.
func (*ruleBook) acknowledged(w *World, p *simProcess, ack *sched.Call_Acknowledge) {
	h, ok := p.facts.heard[string(ack.UUID)]
	if !ok {
		return // heard by a process of before, and by this one while it saved
	}
	delete(p.facts.heard, string(ack.UUID))
	id := ack.TaskID.Value
	record, known := p.store.records["status/"+id]
	if !known || record.written > h.writes || !tellsNews(record, h.status) {
		return
	}
	w.fail("an update is acknowledged after it is saved", "%s acknowledges %s of %s, which is not saved", p, h.status.GetState(), id)
}

// tellsNews says whether a status is newer than a task's record.
func tellsNews(record kept, s mesos.TaskStatus) bool {
	status, ok := record.taskStatus()
	if !ok {
		return true
	}
	rank := func(s mesos.TaskState) int {
		switch s {
		case mesos.TASK_STAGING:
			return 1
		case mesos.TASK_STARTING:
			return 2
		}
		return 3
	}
	before := status.GetState()
	return !scheduler.Terminal(before) && string(status.UUID) != string(s.UUID) &&
		(before == mesos.TASK_UNREACHABLE || rank(s.GetState()) >= rank(before))
}

// saves checks records that are about to be.
func (*ruleBook) saves(w *World, p *simProcess, batch []state.Record) {
	for _, record := range batch {
		id, ok := strings.CutPrefix(record.Key, "status/")
		if !ok || record.Value == nil || !p.store.has(record.Key) || !scheduler.Terminal(p.store.taskState(id)) {
			continue
		}
		if status, ok := (kept{Record: record}).taskStatus(); ok && !scheduler.Terminal(status.GetState()) {
			w.fail("the first end of a task stands", "%s saves that %s is %s, which has ended", p, id, status.GetState())
		}
	}
}

// Tasks and volumes.

func (r *ruleBook) began(w *World, t *simTask) {
	if t.node != "" {
		tasks := t.executor.owner.facts.tasks
		tasks[t.node] = append(slices.DeleteFunc(tasks[t.node], func(o *simTask) bool { return o.ended || o.executor.over }), t)
	}
	for i := range t.info.Resources {
		res := &t.info.Resources[i]
		persistence := res.GetDisk().GetPersistence()
		if persistence == nil {
			continue
		}
		v := r.volumes[volumeKey(t.executor.agent, persistence.ID)]
		if v == nil {
			w.fail("a task gets the volumes it was promised", "%s runs on %s without volume %s", t.info.TaskID.Value, t.executor.agent.cfg.Hostname, persistence.ID)
			return
		}
		v.users = slices.DeleteFunc(v.users, func(u *simTask) bool { return u.executor.over })
		for _, other := range v.users {
			if !other.ending && res.Shared == nil {
				w.fail("one task uses a volume", "%s and %s use %s", other.info.TaskID.Value, t.info.TaskID.Value, persistence.ID)
			}
		}
		v.users = append(v.users, t)
		if f := t.executor.owner; f != nil {
			f.facts.volume(persistence.ID).Used = true
		}
	}
}

func (r *ruleBook) running(w *World, t *simTask) {
	t.runs = true
	w.changes++
	f := t.executor.owner
	if f == nil {
		return
	}
	if w.model != nil {
		w.model.Started(w, t.shown())
	}
	if t.node != "" {
		for _, other := range f.facts.tasks[t.node] {
			if other != t && other.runs && !other.excused && !t.excused {
				w.fail("no node runs twice", "%s of %s: %s on %s and %s on %s", t.node, f.Name,
					other.info.TaskID.Value, other.executor.agent.cfg.Hostname, t.info.TaskID.Value, t.executor.agent.cfg.Hostname)
			}
		}
	}
	w.checkRules()
}

func (r *ruleBook) stopped(w *World, t *simTask) {
	if t.runs {
		t.runs = false
		w.changes++
		if w.model != nil && t.executor.owner != nil {
			w.model.Stopped(w, t.shown())
		}
		w.checkRules()
	}
}

func volumeKey(a *simAgent, id string) string { return a.cfg.Hostname + "/" + id }

func (r *ruleBook) makeVolume(w *World, a *simAgent, res mesos.Resource) {
	id := res.Disk.Persistence.ID
	key := volumeKey(a, id)
	if r.volumes[key] != nil {
		w.fail("a volume is made once", "%s on %s is there already", id, a.cfg.Hostname)
	}
	r.volumes[key] = &simVolume{agent: a, id: id}
	a.volumes[id] = true
	if f := w.ownerOfRole(res); f != nil {
		f.facts.volume(id).Made++
	}
	w.say("agent %s makes volume %s", a.cfg.Hostname, id)
}

func (r *ruleBook) removeVolume(w *World, a *simAgent, res mesos.Resource) {
	id := res.Disk.Persistence.ID
	key := volumeKey(a, id)
	if v := r.volumes[key]; v != nil {
		for _, t := range v.users {
			if t.runs {
				w.fail("no volume is destroyed while it is used", "%s on %s is used by %s", id, a.cfg.Hostname, t.info.TaskID.Value)
			}
		}
	}
	delete(r.volumes, key)
	delete(a.volumes, id)
	if f := w.ownerOfRole(res); f != nil {
		f.facts.volume(id).Destroyed++
	}
	w.say("agent %s destroys volume %s", a.cfg.Hostname, id)
	w.checkRules()
}

func (r *ruleBook) lostVolumes(a *simAgent) {
	for id := range a.volumes {
		delete(r.volumes, volumeKey(a, id))
	}
}

// ownerOfRole is the framework that the reservation of a resource belongs to.
func (w *World) ownerOfRole(res mesos.Resource) *simFramework {
	role := roleOf(res)
	for _, f := range w.frameworks {
		if slices.Contains(f.info.Roles, role) {
			return f
		}
	}
	return nil
}

func roleOf(res mesos.Resource) string {
	if n := len(res.Reservations); n > 0 {
		return res.Reservations[n-1].GetRole()
	}
	return res.GetRole()
}

// checkConservation looks at the master's books: at all of them now and then.
func (w *World) checkConservation() {
	if w.rules.unchecked++; w.rules.unchecked < checkEvery && !w.cfg.thorough {
		return
	}
	w.rules.unchecked = 0
	w.checkBooks()
}

// checkBooks fails when the books have been wrong for a while. When a launch
// and the reservation that it is on are both lost, an agent that registers
// again has less than its tasks were given, until the master has asked it.
func (w *World) checkBooks() {
	if w.master == nil {
		return
	}
	err := w.master.Check()
	switch {
	case err == nil:
		w.rules.wrongSince = 0
	case w.rules.wrongSince == 0 && !w.done:
		w.rules.wrongSince = w.now
	case w.done || w.now-w.rules.wrongSince > int64(booksSettle):
		w.fail(booksRule, "%v", err)
	}
}

const booksRule = "resources are conserved"

// booksSettle is how long books may be wrong.
const booksSettle = time.Minute
