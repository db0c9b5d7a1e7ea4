package scheduler

import (
	"log/slog"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

const (
	// A KILL is best effort, so it is repeated.
	killAgain    = 5 * time.Second
	killAgainMax = time.Minute

	// reconcileBatch is how many tasks one RECONCILE call asks for.
	reconcileBatch = 1000

	// The master does not answer for a task whose agent has yet to come back
	// to it after a failover, which may take ten minutes.
	roundFirst = 8 * time.Second
	roundMax   = time.Minute

	// implicitEvery is how often all tasks that the master knows are asked
	// for: it finds those that we do not.
	implicitEvery = 15 * time.Minute

	// askPatience is how long a task may be unsettled before it is asked for.
	askPatience    = time.Minute
	askPatienceMax = 15 * time.Minute
)

// kill is a KILL that is repeated until its task has ended.
type kill struct {
	agent string // empty where nobody knows
	grace time.Duration
	wait  time.Duration // until it is repeated
}

func (m *Machine) kill(a Kill) {
	t, ok := m.tasks.at(a.Task)
	if !ok {
		m.note("kill refused: there is no such task", slog.String("task", a.Task))
		return
	}
	if Terminal(t.Status.GetState()) || t.Killing && t.grace == a.Grace {
		return
	}
	t.Killing, t.grace, t.reason = true, a.Grace, a.Reason
	m.saveStatus(t)
	m.note("task is to end", slog.String("task", a.Task), slog.String("reason", a.Reason))
	m.startKill(a.Task, t.agent(), a.Grace)
}

func (m *Machine) startKill(id, agent string, grace time.Duration) {
	k := &kill{agent: agent, grace: grace}
	m.kills.set(id, k)
	m.sendKill(id, k)
}

// sendKill kills now and again later.
func (m *Machine) sendKill(id string, k *kill) {
	if !m.connected {
		return // it is sent when the next subscription begins
	}
	call := &sched.Call_Kill{TaskID: mesos.TaskID{Value: id}}
	if k.agent != "" {
		call.AgentID = &mesos.AgentID{Value: k.agent}
	}
	if k.grace > 0 {
		call.KillPolicy = &mesos.KillPolicy{GracePeriod: &mesos.DurationInfo{Nanoseconds: k.grace.Nanoseconds()}}
	}
	m.send(&sched.Call{Type: sched.Call_KILL, Kill: call})
	k.wait = min(max(2*k.wait, killAgain), killAgainMax)
	m.agenda.set(alarm{alarmKill, id}, m.now.Add(k.wait))
}

func (m *Machine) endKill(id string) {
	m.kills.drop(id)
	m.agenda.drop(alarm{alarmKill, id})
}

// strayed handles the status of a task that should not run: one that we do not
// know, or that is over in our books (Mesos said so and was wrong, as with
// TASK_LOST of an agent that came back). It is never revived, since the
// handler may have replaced it.
func (m *Machine) strayed(s mesos.TaskStatus, adopt bool) {
	id := s.TaskID.Value
	if Terminal(s.GetState()) {
		m.endKill(id)
		return
	}
	if adopt || m.kills.has(id) {
		return
	}
	agent := ""
	if s.AgentID != nil {
		agent = s.AgentID.Value
	}
	m.note("stray task is to end", slog.String("task", id), slog.String("agent", agent),
		slog.String("state", s.GetState().String()))
	m.startKill(id, agent, 0)
}

// reconcileAll begins to ask for every task that has not ended.
func (m *Machine) reconcileAll() {
	m.round = 0
	for id, t := range m.tasks.all("") {
		if Terminal(t.Status.GetState()) {
			continue
		}
		m.unanswered.set(id, struct{}{})
		if unsettled(t.Status.GetState()) {
			m.watch(id, askPatience)
		}
	}
	m.agenda.set(alarm{kind: alarmImplicit}, m.now.Add(implicitEvery))
	m.reconcileRound()
	if m.unanswered.len() == 0 {
		m.survey()
	}
}

// survey asks for tasks that are not known, once after the process began: its
// store may be older than what it did.
func (m *Machine) survey() {
	if !m.surveyed {
		m.surveyed = true
		m.reconcileImplicitly()
	}
}

// reconcileRound asks for all the tasks that have not answered.
func (m *Machine) reconcileRound() {
	if m.unanswered.len() == 0 {
		return
	}
	batch := make([]sched.Call_Reconcile_Task, 0, min(m.unanswered.len(), reconcileBatch))
	for id := range m.unanswered.all("") {
		if len(batch) == reconcileBatch {
			m.reconcile(batch)
			batch = make([]sched.Call_Reconcile_Task, 0, reconcileBatch)
		}
		batch = append(batch, m.question(id))
	}
	m.reconcile(batch)
	m.note("reconciling", slog.Int("tasks", m.unanswered.len()))
	m.round = min(max(2*m.round, roundFirst), roundMax)
	m.agenda.set(alarm{kind: alarmReconcile}, m.now.Add(m.round))
}

func (m *Machine) reconcile(tasks []sched.Call_Reconcile_Task) {
	m.send(&sched.Call{Type: sched.Call_RECONCILE, Reconcile: &sched.Call_Reconcile{Tasks: tasks}})
}

// question is how one task is asked for.
func (m *Machine) question(id string) sched.Call_Reconcile_Task {
	q := sched.Call_Reconcile_Task{TaskID: mesos.TaskID{Value: id}}
	if t, ok := m.tasks.at(id); ok && t.agent() != "" {
		q.AgentID = &mesos.AgentID{Value: t.agent()}
	}
	return q
}

// answered crosses a task off, and reports whether it was the last.
func (m *Machine) answered(id string) bool {
	if !m.unanswered.has(id) {
		return false
	}
	m.unanswered.drop(id)
	if m.unanswered.len() > 0 {
		return false
	}
	m.agenda.drop(alarm{kind: alarmReconcile})
	m.note("reconciled", slog.Int("tasks", m.tasks.len()))
	m.survey()
	return true
}

func (m *Machine) reconcileImplicitly() {
	m.agenda.set(alarm{kind: alarmImplicit}, m.now.Add(implicitEvery))
	if m.unanswered.len() == 0 {
		m.reconcile(nil)
	}
}

func (m *Machine) stopReconciling() {
	m.unanswered.clear()
	m.agenda.drop(alarm{kind: alarmReconcile})
	m.agenda.drop(alarm{kind: alarmImplicit})
}

// unsettled says whether a task in this state may have ended without a word. An
// agent that never got the launch does not report it, nor does a master tell of
// a task that was gone when its agent came back: implicit reconciliation leaves
// both out, and only an explicit question finds them.
func unsettled(s mesos.TaskState) bool {
	return s == mesos.TASK_STAGING || s == mesos.TASK_UNREACHABLE
}

// watch asks for a task after some time, unless it is settled by then.
func (m *Machine) watch(id string, patience time.Duration) {
	m.agenda.set(alarm{alarmAsk, id}, m.now.Add(patience))
}

func (m *Machine) askAfter(id string) {
	t, ok := m.tasks.at(id)
	if !ok || !m.connected || !unsettled(t.Status.GetState()) {
		return // a subscription begins with asking for everything
	}
	m.reconcile([]sched.Call_Reconcile_Task{m.question(id)})
	waited := m.now.Sub(t.Since)
	m.watch(id, min(max(waited, askPatience), askPatienceMax))
}
