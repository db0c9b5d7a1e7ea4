package frameworks

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/scheduler"
)

// decision is one call of Handle: the ledger, changed step by step, and the
// actions that come of it.
type decision struct {
	*Service // as its options have it
	*ledger
	base    *Service // as the program declares it
	heldFor string   // why only a stand-in can be decided with; empty: it is not
	now     time.Time
	actions []scheduler.Action
	wake    time.Time
	leads   time.Duration     // how long before its maintenance an agent is left; zero: not known
	packed  *luggage          // for the jobs that are started; nil: there are none
	locks   map[string]string // by node, which step holds it; nil: not known
	started map[string]bool   // jobs, by name
	short   map[string]*Node  // by pod with Together, a node that lacks something; see lacking
	stalls  map[string]bool   // by pod whose rollout is under way; see stalled
	shapes  map[string]string // by pod; see shapeOf
	// askedBack are the agents with an inverse offer that is not answered.
	askedBack map[string]bool
	looking   string // the node that is looked at, and timed those that it wants to be looked at again in time
	timed     map[string]bool
}

// Handle implements scheduler.Handler. It first takes in what the event says,
// then compares every node with its goal and takes the next step for each: a
// decision depends on the state reached, never on which event led to it.
func (s *Service) Handle(v scheduler.View, ev scheduler.Event) []scheduler.Action {
	d, err := s.open(v, ev)
	if err != nil {
		return s.refuse(ev, err)
	}
	d.concerned(ev)
	d.keepTime()
	err = d.react(ev)
	if d.heldFor == "" {
		d.routines(ev)
		d.advance(ev)
		d.settle()
		d.chronicle()
	} else {
		d.hold()
	}
	if c, ok := ev.(scheduler.Command); ok {
		d.answer(c, err)
	}
	changes, err := d.changes()
	if err != nil {
		return s.refuse(ev, err)
	}
	d.layToRest()
	d.pack()
	s.memory().keep(d.roster, v)
	if !d.wake.IsZero() {
		d.do(scheduler.WakeAt{Time: d.wake})
	}
	return append(changes, d.actions...)
}

// open reads the ledger, and finds out with which declaration to decide.
func (s *Service) open(v scheduler.View, ev scheduler.Event) (*decision, error) {
	_, subscribed := ev.(scheduler.Subscribed)
	_, removed := ev.(scheduler.Removed)
	anew := subscribed || removed || ev != nil && !v.Connected()
	read := s.reread
	if anew || ev == nil { // nil: somebody only looks
		read = s.read
	}
	l, err := read(v, s.memory())
	if err != nil {
		return nil, err
	}
	current, held := s.agreed(l, anew)
	l.employ(current)
	l.populate(current)
	d := &decision{Service: current, base: s, ledger: l, heldFor: held, now: v.Now(), started: map[string]bool{}, timed: map[string]bool{}}
	switch {
	case held == "":
		l.service.Role = d.role()
	case anew && d.role() != s.role(): // else its own offers would not come
		d.do(scheduler.Register{Framework: mesos.FrameworkInfo{Roles: []string{d.role()}}})
	}
	if held != "" && subscribed {
		d.do(scheduler.Note{Text: "held", Attrs: []slog.Attr{slog.String("why", held)}})
	}
	return d, nil
}

// refuse does nothing but say why: a store that cannot be read is never
// written over, and no task is touched for it.
func (s *Service) refuse(ev scheduler.Event, err error) []scheduler.Action {
	if c, ok := ev.(scheduler.Command); ok {
		return []scheduler.Action{scheduler.Answer{Command: c.ID, Err: err}}
	}
	if _, ok := ev.(scheduler.Subscribed); ok {
		return []scheduler.Action{scheduler.Note{Text: "cannot decide", Attrs: []slog.Attr{slog.String("error", err.Error())}}}
	}
	return nil
}

func (d *decision) do(a scheduler.Action) { d.actions = append(d.actions, a) }

// note tells of a change of a node's state.
func (d *decision) note(n *Node, text string, attrs ...slog.Attr) {
	attrs = append([]slog.Attr{slog.String("node", n.Name)}, attrs...)
	d.do(scheduler.Note{Text: text, Attrs: attrs})
}

func (d *decision) wakeAt(t time.Time) {
	if d.looking != "" {
		d.timed[d.looking] = true
	}
	if t.After(d.now) && (d.wake.IsZero() || t.Before(d.wake)) {
		d.wake = t
	}
}

// live returns the node's task while Mesos may still run it.
func (d *decision) live(n *Node) (scheduler.Task, bool) {
	if n.Incarnation == 0 {
		return scheduler.Task{}, false
	}
	t, ok := d.view.Task(d.taskID(n))
	return t, ok && !scheduler.Terminal(t.Status.GetState())
}

// haunted says whether a task that the node left behind is known to run.
func (d *decision) haunted(n *Node) bool {
	return slices.ContainsFunc(n.Left, func(id string) bool {
		t, ok := d.view.Task(id)
		return ok && !scheduler.Terminal(t.Status.GetState()) && t.Status.GetState() != mesos.TASK_UNREACHABLE
	})
}

// react takes in what the event says. The error is for the operator whose
// command it is.
func (d *decision) react(ev scheduler.Event) error {
	if len(d.service.Options.Given) == 0 {
		d.adopt()
	}
	switch ev := ev.(type) {
	case scheduler.Offered:
		d.follow(ev.Offers)
	case scheduler.Updated:
		d.updated(ev.Status)
	case scheduler.JobDone:
		d.jobDone(ev)
	case scheduler.AgentLost:
		d.agentLost(ev.Agent)
	case scheduler.Messaged:
		d.messaged(ev)
	case scheduler.Subscribed, scheduler.Removed:
		if _, ok := ev.(scheduler.Subscribed); ok {
			d.subscribed()
			d.homeless("")
		}
		d.service.Comparison.anew(len(d.nodes))
		d.adopt()
		d.recount()
	case scheduler.Command:
		return d.command(ev.Value)
	}
	return nil
}

// agentLost gives up the places of an agent that is gone in which nothing ever
// began: no data can be lost, and the node's peers may wait for it.
func (d *decision) agentLost(agent string) {
	delete(d.seen, agent)
	for _, n := range d.awake() {
		if _, live := d.live(n); live || n.Place == nil || n.Place.kept() || n.Place.Agent != agent {
			continue
		}
		d.note(n, "lost its place before it was used", slog.String("agent", n.Place.Hostname))
		d.giveUp(n)
	}
	d.homeless(agent)
}

// recount takes in what became of tasks while nobody was told.
func (d *decision) recount() {
	for t := range d.view.Tasks() {
		if scheduler.Terminal(t.Status.GetState()) {
			d.updated(t.Status)
		}
	}
}

func (d *decision) answer(c scheduler.Command, err error) {
	if err != nil {
		d.do(scheduler.Answer{Command: c.ID, Err: err})
		return
	}
	if _, ok := c.Value.(AskOptions); ok {
		report, err := d.optionsReport()
		d.do(scheduler.Answer{Command: c.ID, Value: report, Err: err})
		return
	}
	d.do(scheduler.Answer{Command: c.ID, Value: d.status()})
}

// updated takes in a status of a task of ours.
func (d *decision) updated(status mesos.TaskStatus) {
	name, incarnation, ok := d.owner(status.TaskID.Value)
	if !ok {
		return
	}
	n := d.node(name)
	if n == nil || incarnation != n.Incarnation {
		if scheduler.Terminal(status.GetState()) {
			if n != nil {
				n.Left = slices.DeleteFunc(n.Left, func(id string) bool { return id == status.TaskID.Value })
			}
			d.do(scheduler.Forget{Task: status.TaskID.Value})
		} else {
			kill := scheduler.Kill{Task: status.TaskID.Value, Reason: "no node of this service runs it"}
			if n != nil {
				kill.Grace = d.grace(n)
			}
			d.do(kill)
		}
		return
	}
	n.began(status)
	if state := status.GetState(); !scheduler.Terminal(state) && state != mesos.TASK_UNREACHABLE {
		n.found()
	}
	switch state := status.GetState(); state {
	case mesos.TASK_UNREACHABLE:
		n.Ready = false
		d.lose(n)
		d.progress(n, "unreachable", slog.String("agent", n.Place.Hostname))
	case mesos.TASK_RUNNING:
		d.runs(n, status)
	case mesos.TASK_STAGING:
	default:
		if scheduler.Terminal(state) {
			d.ended(n, status)
			return
		}
		n.Ready = n.Ready && state != mesos.TASK_KILLING
		words := strings.ToLower(strings.TrimPrefix(state.String(), "TASK_"))
		switch {
		case status.GetSource() != mesos.SOURCE_MASTER:
			d.progress(n, said(status, words))
		case n.Progress == "unreachable": // else a master repeats what is known
			d.progress(n, words)
		}
	}
}

// began takes in what a status tells of its place: that a task began there, or
// that it may have, before its agent went. Whose word it is does not matter: a
// master repeats to those who ask it again what an executor said to others.
func (n *Node) began(status mesos.TaskStatus) {
	if n.Place == nil {
		return
	}
	switch status.GetState() {
	case mesos.TASK_STARTING, mesos.TASK_RUNNING, mesos.TASK_KILLING, mesos.TASK_FINISHED:
		n.Place.used()
	case mesos.TASK_UNREACHABLE:
		n.Place.Doubtful = !n.Place.Used
	case mesos.TASK_LOST:
		n.Place.Doubtful = !n.Place.Used && (n.Place.Doubtful || status.GetReason() == mesos.REASON_AGENT_REMOVED)
	case mesos.TASK_FAILED:
		if status.GetReason() == mesos.REASON_EXECUTOR_TERMINATED {
			n.Place.Used, n.Place.Doubtful = true, false // it reached its agent
		}
	}
	if status.GetSource() == mesos.SOURCE_EXECUTOR {
		n.Place.used()
	}
}

// used notes that a task began, for which the place as it is was there.
func (p *Place) used() { p.Used, p.Doubtful, p.Before = true, false, nil }

// runs takes in that the task runs: for the first time, again after its agent
// was out of reach, or with its probe's word on its health. That it is ready
// is for the gate to say.
func (d *decision) runs(n *Node, status mesos.TaskStatus) {
	switch {
	case status.Healthy != nil && !*status.Healthy && n.Ready:
		n.Ready = false
		d.progress(n, said(status, "not ready"))
	case n.Ready, status.Healthy != nil && *status.Healthy:
	case status.GetSource() == mesos.SOURCE_MASTER: // it repeats what is known
		if n.Progress == "unreachable" {
			d.progress(n, "running")
		}
	default:
		d.progress(n, said(status, "running"))
	}
}

// said is what a status says: its message, or else the given words.
func said(status mesos.TaskStatus, otherwise string) string {
	if m := status.GetMessage(); m != "" {
		return m
	}
	return otherwise
}

func (d *decision) progress(n *Node, text string, attrs ...slog.Attr) {
	if n.Progress != text {
		n.Progress = text
		d.note(n, text, attrs...)
	}
}

const notReplaced = "is not replaced: it went down before the service could spare it; ask again, or force it"

// ended takes in that the node's task will never run again. An end that nobody
// asked for counts as a failure, and paces the next try.
func (d *decision) ended(n *Node, status mesos.TaskStatus) {
	d.do(scheduler.Forget{Task: status.TaskID.Value})
	n.Alive = n.Alive && n.Lease != nil && !seenToEnd(status)
	task, _ := d.view.Task(status.TaskID.Value)
	if status.GetState() == mesos.TASK_GONE_BY_OPERATOR {
		n.Gone = true // whoever asked for the end: the place is no more
		d.lose(n)
	}
	text := said(status, status.GetState().String())
	if n.Replace && !task.Killing && !d.weighed(n) {
		n.Replace = false
		d.note(n, notReplaced)
		text = notReplaced + ": " + text
	}
	asked := task.Killing || n.Goal == GoalStop || n.Restart || n.Replace || n.Fenced || n.Spared
	n.Ready, n.Restart, n.Progress, n.Waits = false, false, "", ""
	attrs := []slog.Attr{
		slog.String("state", status.GetState().String()),
		slog.String("message", status.GetMessage()),
	}
	if asked {
		d.note(n, "stopped", attrs...)
		return
	}
	if d.finished(n, status) {
		return
	}
	if blameless(status) {
		n.Retry = d.now.Add(d.pod(n.Pod).Backoff.after(1))
		d.note(n, "ended through no fault of its own", attrs...)
		return
	}
	n.Failures++
	d.failed(n, text)
	n.Retry = d.now.Add(d.pod(n.Pod).Backoff.after(n.Failures))
	attrs = append(attrs, slog.Int("failures", n.Failures), slog.Time("retry", n.Retry))
	d.note(n, "failed", attrs...)
	d.strained(n)
}

// hold takes those steps that need no declaration.
func (d *decision) hold() {
	d.maintain()
	if d.uninstalling() {
		d.leave()
	}
	for _, n := range d.awake() {
		n.Left = slices.DeleteFunc(n.Left, func(id string) bool { _, known := d.view.Task(id); return !known })
		d.end(n)
		d.lease(n)
	}
	d.place()
	d.finish()
}

// settle takes the next step for every node, as far as the offers held allow.
func (d *decision) settle() {
	d.maintain()
	d.restore()
	d.retreat()
	d.compare()
	d.approve()
	d.spare()
	d.leave()
	for _, n := range d.awake() {
		d.looking = n.Name
		n.Left = slices.DeleteFunc(n.Left, func(id string) bool { _, known := d.view.Task(id); return !known })
		stops := d.end(n)
		d.lease(n)
		if !stops { // who gets well at this moment was out already
			d.check(n)
		}
		d.hurry(n)
		d.steady(n)
	}
	d.looking = ""
	d.admit()
	d.place()
	d.finish()
}

// steady forgives a node its failures once it has been ready for as long as
// the longest pause. Until then one that gets ready and dies soon backs off.
func (d *decision) steady(n *Node) {
	if !n.Ready || n.Failures == 0 {
		return
	}
	steady := n.ReadySince.Add(d.pod(n.Pod).Backoff.withDefaults().Max)
	if d.now.Before(steady) {
		d.wakeAt(steady)
		return
	}
	n.Failures, n.LastFailure = 0, ""
}

// end kills the task of a node that is not to run it, and gives up the place
// of a node that is to be replaced once nothing runs there. It reports whether the
// task is told to end now.
func (d *decision) end(n *Node) (stops bool) {
	task, live := d.live(n)
	if live && n.Fenced {
		d.do(scheduler.Kill{Task: d.taskID(n), Grace: fenceGrace, Reason: "fence"})
		stops = true
	} else if reason := d.reason(n); live && reason != "" && !task.Killing && d.maystop(n) {
		if n.Goal == GoalRun {
			n.Out = d.now
		}
		d.do(scheduler.Kill{Task: d.taskID(n), Grace: d.grace(n), Reason: reason})
		d.note(n, "stopping", slog.String("reason", reason))
		stops = true
	}
	if !live {
		n.Restart, n.Spared, n.Forced = false, false, n.Forced && n.Replace
	}
	unreachable := live && task.Status.GetState() == mesos.TASK_UNREACHABLE
	if n.Replace && d.heldFor == "" && (!live || unreachable) && d.freed(n) {
		if live {
			n.Left = append(n.Left, d.taskID(n))
		}
		if n.arrived() && n.Place != nil {
			n.Former = n.Place.Address
		}
		if n.Place != nil {
			d.note(n, "gave up its place", slog.String("agent", n.Place.Hostname))
		}
		d.giveUp(n)
		n.Incarnation++ // so that a late update of the old task finds no owner
		n.Replace, n.Ready, n.Failures, n.Retry, n.Progress, n.Waits = false, false, 0, time.Time{}, "", ""
		n.Alive, n.Releasing, n.Spared, n.Forced = false, false, false, false
	}
	return stops
}

// grace is how long a node may take to stop; zero: as long as its task says.
func (d *decision) grace(n *Node) time.Duration {
	if d.heldFor != "" {
		return 0
	}
	return d.pod(n.Pod).grace()
}

// check asks the gate of a node that runs: until it has passed, and then now
// and again, for a server that hangs may look alive to its own probe.
func (d *decision) check(n *Node) {
	if !d.serving(n) || d.aims(n) {
		return
	}
	switch gate := d.pod(n.Pod).Ready; {
	case !n.Ready && gate == nil:
		d.ready(n)
	case !n.Ready:
		d.ask(gateKind, d.taskID(n), n.Waits != "", n)
	case gate != nil:
		d.ask(againKind, d.taskID(n), n.Doubts > 0, n)
	}
}

// serving says whether the node runs and its own probe, if it has one, passes.
func (d *decision) serving(n *Node) bool {
	task, live := d.live(n)
	h := task.Status.Healthy
	return live && !task.Killing && task.Status.GetState() == mesos.TASK_RUNNING && (h == nil || *h)
}

func (d *decision) ready(n *Node) {
	n.Ready, n.ReadySince, n.Waits, n.Doubts, n.Progress = true, d.now, "", 0, "ready"
	n.Arrived, n.Former, n.Out, n.Late = n.Generation, "", time.Time{}, time.Time{}
	attrs := []slog.Attr{slog.String("agent", n.Place.Hostname)}
	for _, p := range d.pod(n.Pod).Ports {
		attrs = append(attrs, slog.String(p.Name, n.Address(p.Name)))
	}
	d.note(n, "ready", attrs...)
}

// deployed notices that every node of a pod has its place for the first time:
// from then on those of a pod with Together may start.
func (d *decision) deployed() {
	for _, p := range d.Pods {
		record := d.pods[p.Name]
		if record.Deployed || record.Count == 0 || slices.ContainsFunc(d.awake(), func(n *Node) bool {
			return n.Pod == p.Name && n.Goal != GoalLeave && (n.Place == nil || !n.Place.Reserved)
		}) {
			continue
		}
		record.Deployed, record.First = true, record.Count
		for _, n := range d.nodes {
			if n.Pod == p.Name {
				d.rouse(n).Founding = n.Generation
			}
		}
	}
}
