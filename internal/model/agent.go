package model

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// AgentConfig sets up an [Agent]. Zero durations take the defaults of Mesos.
type AgentConfig struct {
	// Name distinguishes agents that have no ID yet; identifiers that the
	// agent makes are derived from it.
	Name string
	// Info holds hostname, port, resources, attributes and domain.
	Info mesos.AgentInfo
	// IP is where executors and others reach the agent, at Info's port.
	IP string

	// RegistrationTimeout is how long an executor has to subscribe. 1 min.
	RegistrationTimeout time.Duration
	// ShutdownGrace is how long an executor has to end when told to,
	// unless its ExecutorInfo says otherwise. 5 s.
	ShutdownGrace time.Duration
	// ReregistrationTimeout is how long executors have to come back to an
	// agent that was restarted. It registers with the master when all are
	// back or late. 2 s.
	ReregistrationTimeout time.Duration
	// RetryMin and RetryMax bound the pause between two sendings of an
	// update that is not acknowledged; it doubles. 10 s and 10 min.
	RetryMin, RetryMax time.Duration
	// RegisterRetry is the pause between attempts to register. 1 s.
	RegisterRetry time.Duration
}

func (c AgentConfig) withDefaults() AgentConfig {
	c.RegistrationTimeout = cmp.Or(c.RegistrationTimeout, time.Minute)
	c.ShutdownGrace = cmp.Or(c.ShutdownGrace, 5*time.Second)
	c.ReregistrationTimeout = cmp.Or(c.ReregistrationTimeout, 2*time.Second)
	c.RetryMin = cmp.Or(c.RetryMin, 10*time.Second)
	c.RetryMax = cmp.Or(c.RetryMax, 10*time.Minute)
	c.RegisterRetry = cmp.Or(c.RegisterRetry, time.Second)
	return c
}

// Agent is a Mesos agent. Use [NewAgent].
type Agent struct {
	cfg AgentConfig
	now time.Time
	out []AgentOutput

	id    string // "" until a master gave one; kept over restarts
	total Resources

	connected  bool      // a master can be reached
	registered bool      // and knows this agent
	registerAt time.Time // next attempt
	silence    time.Duration
	heard      time.Time // last ping

	frameworks map[string]*served
	containers map[string]*run
	streams    map[string]*run
	updates    map[ref]*updateStream
	operations map[string]*operationStream

	draining *DrainAgent // nil unless the agent is being emptied
	leaving  bool        // told by the master to end; it exits when nothing runs

	past []pastRun // of executors, newest last, at most maxPast

	nextContainer, nextUUID int
}

// served is a framework with executors on the agent.
type served struct {
	info mesos.FrameworkInfo
	runs map[string]*run // by executor ID
	// ending is set when the master shut the framework down: nobody will
	// acknowledge anything of it.
	ending bool
}

// NewAgent returns an agent that has never registered. The error says which
// resource is not well formed.
func NewAgent(cfg AgentConfig, now time.Time) (*Agent, error) {
	total, err := NewResources(cfg.Info.Resources)
	if err != nil {
		return nil, err
	}
	return &Agent{
		cfg: cfg.withDefaults(), now: now, total: total,
		frameworks: map[string]*served{}, containers: map[string]*run{}, streams: map[string]*run{},
		updates: map[ref]*updateStream{}, operations: map[string]*operationStream{},
	}, nil
}

// ID is the agent's ID, or "" before a master gave it one.
func (a *Agent) ID() string { return a.id }

// Step applies one input at time now and returns what must be done, in order.
func (a *Agent) Step(now time.Time, in AgentInput) []AgentOutput {
	if now.After(a.now) {
		a.now = now
	}
	a.runTimers()
	switch in := in.(type) {
	case MasterFound:
		if a.leaving {
			break
		}
		a.connected, a.registered = true, false
		a.register()
	case MasterLost:
		a.connected, a.registered = false, false
	case MasterSaid:
		a.masterSaid(in.Message)
	case ApplyFailed:
		a.apply(in.Apply, in.Message)
	case ContainerStarted:
		a.containerStarted(in)
	case ContainerFailed:
		a.containerFailed(in)
	case ContainerExited:
		a.containerExited(in)
	case ExecutorCall:
		a.executorCall(in)
	case ExecutorClosed:
		a.executorClosed(in.Stream)
	case AgentRestarted:
		a.cfg.IP = cmp.Or(in.IP, a.cfg.IP)
		a.restarted(in.Alive)
	case AgentRetired:
		a.tell(Unregister{})
		a.leave()
	case Tick:
	}
	out := a.out
	a.out = nil
	return out
}

// Wake returns when the agent next has something to do by itself; the zero
// time means never.
func (a *Agent) Wake() time.Time {
	var at time.Time
	earlier := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	if a.connected && !a.registered && !a.recovering() {
		earlier(a.registerAt)
	}
	if a.registered {
		earlier(a.heard.Add(a.silence))
		for _, s := range a.updates {
			earlier(s.retryAt)
		}
		for _, s := range a.operations {
			earlier(s.retryAt)
		}
	}
	for _, r := range a.containers {
		earlier(r.subscribeBy)
		earlier(r.killAt)
	}
	return at
}

func (a *Agent) runTimers() {
	if a.registered && !a.now.Before(a.heard.Add(a.silence)) {
		// The master has surely given this agent up.
		a.registered = false
		a.register()
	}
	if a.registered {
		a.retryUpdates()
	}
	for _, id := range sortedKeys(a.containers) {
		r := a.containers[id]
		if !r.subscribeBy.IsZero() && !a.now.Before(r.subscribeBy) {
			r.subscribeBy = time.Time{}
			r.end(mesos.TASK_FAILED, r.lateReason, r.lateText)
			a.do(StopContainer{r.container})
		}
		if !r.killAt.IsZero() && !a.now.Before(r.killAt) {
			r.killAt = time.Time{}
			a.do(StopContainer{r.container})
		}
	}
	if a.connected && !a.registered && !a.now.Before(a.registerAt) {
		a.register()
	}
}

func (a *Agent) do(o AgentOutput) { a.out = append(a.out, o) }

// tell sends to the master, if it knows the agent; otherwise the message is
// lost, and what matters is said again in Reregister.
func (a *Agent) tell(msg AgentMessage) {
	if a.registered {
		a.do(TellMaster{msg})
	}
}

func (a *Agent) uuid() []byte {
	a.nextUUID++
	return hashUUID(a.cfg.Name + "/" + a.id + "/status/" + strconv.Itoa(a.nextUUID))
}

// recovering reports whether executors that ran before the agent was
// restarted may still come back.
func (a *Agent) recovering() bool {
	for _, r := range a.containers {
		if !r.subscribeBy.IsZero() && r.lateReason == mesos.REASON_EXECUTOR_REREGISTRATION_TIMEOUT {
			return true
		}
	}
	return false
}

func (a *Agent) register() {
	if !a.connected || a.recovering() {
		return
	}
	a.registerAt = a.now.Add(a.cfg.RegisterRetry)
	d := AgentDescription{Info: a.cfg.Info, IP: a.cfg.IP, Port: int(a.cfg.Info.GetPort()), Total: a.total}
	if a.id == "" {
		a.do(TellMaster{Register{d}})
		return
	}
	msg := Reregister{Agent: d, ID: a.id}
	for _, fid := range sortedKeys(a.frameworks) {
		f := a.frameworks[fid]
		msg.Frameworks = append(msg.Frameworks, f.info)
		for _, eid := range sortedKeys(f.runs) {
			r := f.runs[eid]
			if !r.command && !r.ended {
				msg.Executors = append(msg.Executors, r.info)
			}
			for _, tid := range r.taskOrder {
				t := r.tasks[tid]
				rt := Task{Framework: fid, Info: t.info, State: t.state, Status: t.status}
				if s := a.updates[ref{fid, tid}]; s != nil && len(s.pending) > 0 {
					rt.Unacknowledged = &s.pending[0]
				}
				msg.Tasks = append(msg.Tasks, rt)
			}
		}
	}
	for _, uuid := range sortedKeys(a.operations) {
		msg.Operations = append(msg.Operations, a.operations[uuid].op)
	}
	a.do(TellMaster{msg})
}

func (a *Agent) masterSaid(msg MasterMessage) {
	switch msg := msg.(type) {
	case Registered:
		a.onRegistered(msg)
	case Ping:
		a.heard = a.now
		a.tell(Pong{})
	case RunTasks:
		a.runTasks(msg)
	case KillTask:
		a.killTask(msg)
	case AcknowledgeStatus:
		a.acknowledged(msg)
	case AcknowledgeOperation:
		delete(a.operations, string(msg.UUID))
		a.checkDrained()
	case ReconcileOperations:
		a.reconcileOperations(msg.UUIDs)
	case UpdateFramework:
		if f := a.frameworks[msg.Framework.ID.GetValue()]; f != nil && !f.ending {
			f.info = msg.Framework
		}
	case Apply:
		a.apply(msg, "")
	case DrainAgent:
		a.drainTasks(msg)
	case TellExecutor:
		a.tellExecutor(msg)
	case ShutdownExecutor:
		if r := a.run(msg.Framework, msg.Executor); r != nil {
			a.shutdown(r)
		}
	case ShutdownFramework:
		a.shutdownFramework(msg.Framework)
	case ShutdownAgent:
		a.leave()
	}
}

// leave ends everything that runs, and then the agent.
func (a *Agent) leave() {
	a.connected, a.registered, a.leaving = false, false, true
	for _, id := range sortedKeys(a.frameworks) {
		a.shutdownFramework(id)
	}
	a.exitIfDone()
}

func (a *Agent) onRegistered(msg Registered) {
	a.id = msg.ID
	a.cfg.Info.ID = &mesos.AgentID{Value: msg.ID}
	a.registered, a.heard, a.silence = true, a.now, msg.Silence
	for _, t := range msg.Reconcile {
		a.reconcile(t)
	}
	// What was waiting may go now.
	for _, key := range sortedRefs(a.updates) {
		a.sendUpdate(a.updates[key])
	}
	for _, uuid := range sortedKeys(a.operations) {
		a.sendOperation(a.operations[uuid])
	}
}

// reconcile answers for a task that the master asks about: the launch message
// never came, or what ran it is gone.
func (a *Agent) reconcile(t Unreported) {
	if f := a.frameworks[t.Framework]; f != nil {
		for _, r := range f.runs {
			if r.tasks[t.Task] != nil {
				return
			}
		}
	}
	s := a.agentStatus(t.Task, "", t.Lost, mesos.REASON_RECONCILIATION, "Reconciliation: task unknown to the agent")
	a.report(t.Framework, s, t.Lost)
}

// agentStatus builds a status that the agent makes up.
func (a *Agent) agentStatus(task, executor string, state mesos.TaskState, reason mesos.TaskStatus_Reason, text string) mesos.TaskStatus {
	s := mesos.TaskStatus{
		TaskID: mesos.TaskID{Value: task}, State: &state, Message: &text, Source: new(mesos.SOURCE_AGENT),
		Reason: &reason, AgentID: &mesos.AgentID{Value: a.id}, Timestamp: new(seconds(a.now)), UUID: a.uuid(),
	}
	if executor != "" {
		s.ExecutorID = &mesos.ExecutorID{Value: executor}
	}
	return s
}

// apply carries out an operation that the master has validated, or fails to.
func (a *Agent) apply(msg Apply, failure string) {
	rest, ok := a.total.Minus(msg.Consumed)
	op := msg.Operation
	op.Status = mesos.OperationStatus{
		OperationID: op.Info.ID, State: mesos.OPERATION_FINISHED,
		UUID: &mesos.UUID{Value: op.UUID}, AgentID: &mesos.AgentID{Value: a.id},
	}
	switch {
	case failure != "":
		op.Status.State, op.Status.Message = mesos.OPERATION_FAILED, &failure
	case ok:
		a.changeVolumes(msg.Consumed, msg.Converted)
		a.total = rest.Plus(msg.Converted)
	default:
		op.Status.State = mesos.OPERATION_DROPPED
		op.Status.Message = new(fmt.Sprintf("%s does not contain %s", a.total, msg.Consumed))
	}
	s := &operationStream{op: op, pause: a.cfg.RetryMin}
	if op.Info.ID != nil {
		a.operations[string(op.UUID)] = s
	}
	a.sendOperation(s)
}

// reconcileOperations answers for the operations among those named that never
// came.
func (a *Agent) reconcileOperations(uuids [][]byte) {
	for _, uuid := range uuids {
		if a.operations[string(uuid)] == nil {
			a.tell(OperationUpdate{UUID: uuid, Status: mesos.OperationStatus{
				State: mesos.OPERATION_DROPPED, AgentID: &mesos.AgentID{Value: a.id},
			}})
		}
	}
}

// changeVolumes makes and removes the directories of volumes. A volume that
// only changes its size keeps its data.
func (a *Agent) changeVolumes(consumed, converted Resources) {
	has := func(rs Resources, r resource) bool {
		return slices.ContainsFunc(rs, func(x resource) bool { return x.shape == r.shape })
	}
	for _, r := range consumed {
		if r.volume() && !has(converted, r) {
			a.do(RemoveVolume{r.wire(wholeFormat)})
		}
	}
	for _, r := range converted {
		if r.volume() && !has(consumed, r) {
			a.do(MakeVolume{r.wire(wholeFormat)})
		}
	}
}

// restarted models a new process of the agent: it has forgotten its
// connections, and after a reboot also what ran.
func (a *Agent) restarted(alive bool) {
	a.connected, a.registered, a.leaving = false, false, false
	a.streams = map[string]*run{}
	for _, id := range sortedKeys(a.containers) {
		r := a.containers[id]
		f := a.frameworks[r.framework]
		r.stream = ""
		r.killAt = time.Time{}
		switch {
		case !alive || !f.info.GetCheckpoint():
			a.do(StopContainer{r.container})
			a.lose(r)
		case r.subscribed:
			r.subscribed = false
			r.late(a.now.Add(a.cfg.ReregistrationTimeout), mesos.REASON_EXECUTOR_REREGISTRATION_TIMEOUT,
				"Executor did not reregister within "+durationText(a.cfg.ReregistrationTimeout))
		}
	}
	for _, key := range sortedRefs(a.updates) {
		a.updates[key].pause = a.cfg.RetryMin
	}
}

// lose forgets a run that did not outlive the agent. The master asks about
// its tasks when the agent registers.
func (a *Agent) lose(r *run) {
	delete(a.containers, r.container)
	f := a.frameworks[r.framework]
	for _, id := range r.taskOrder {
		delete(a.updates, ref{r.framework, id})
	}
	a.remember(f, r)
	delete(f.runs, r.executor)
	if len(f.runs) == 0 {
		a.forgetFramework(r.framework)
	}
}

// forgetFramework drops a framework without executors.
func (a *Agent) forgetFramework(id string) {
	delete(a.frameworks, id)
	a.checkDrained()
	a.exitIfDone()
}

// idle reports whether nothing is on the agent that draining would wait for.
func (a *Agent) idle() bool { return len(a.frameworks) == 0 && len(a.operations) == 0 }

// checkDrained ends draining when nothing is left.
func (a *Agent) checkDrained() {
	if a.idle() {
		a.draining = nil
	}
}

// Leaving reports whether the master told the agent to end, and it was not
// started again since.
func (a *Agent) Leaving() bool { return a.leaving }

// exitIfDone ends the agent's process if it was told to and nothing runs.
func (a *Agent) exitIfDone() {
	if a.leaving && len(a.frameworks) == 0 {
		a.do(Exit{})
	}
}
