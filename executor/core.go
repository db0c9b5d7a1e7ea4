package executor

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
)

// core decides everything about the conversation with the agent: which updates
// are owed, when to subscribe, which tasks to start and to stop, when to end.
// It is deterministic and does nothing itself: step takes an event and the
// time, and returns what is to be done. Only the goroutine of Run uses it.
type core struct {
	env    environment
	uuid   func() []byte  // a fresh identifier of 16 bytes for an update
	jitter func() float64 // 0 to 1, spreads the attempts to subscribe

	decorators decorators

	// tasks are those whose end the agent has not yet acknowledged, in the order
	// of their launch. Identifiers are unique.
	tasks []*task
	// owed are the updates that are not acknowledged, oldest first. Each belongs
	// to one of tasks, and a terminal one is the last of its task.
	owed []owedUpdate

	link    link
	known   bool      // a subscription was taken
	lost    time.Time // when the agent was lost; zero: it is there
	attempt time.Time // when to subscribe next; only while link is down
	wait    time.Duration
	self    mesos.ExecutorInfo // as the agent has it
	killing bool               // the framework understands TASK_KILLING
	ever    bool               // a task was launched: when the last is gone, so is the executor
	groups  int                // LAUNCH and LAUNCH_GROUP events so far

	answering answering

	// ending is set once, when no task is to run any longer; deadline is then the
	// time by which Run returns even if the agent has not acknowledged all.
	ending   bool
	deadline time.Time
}

// link is how the executor stands with the agent.
type link int

const (
	down        link = iota // not subscribed; the next attempt is at core.attempt
	subscribing             // SUBSCRIBE has been sent
	up                      // SUBSCRIBED has come
)

type task struct {
	info    mesos.TaskInfo
	spec    Task
	group   int           // the launch that it came with, from 1; 0: it was restored
	labels  []mesos.Label // of every status
	acked   bool          // one of its updates was acknowledged, so the agent knows it
	ended   bool          // its terminal update is owed
	killing bool          // a kill was passed on
}

type owedUpdate struct {
	status mesos.TaskStatus
	sent   bool // on the present subscription, or with its SUBSCRIBE
}

// step applies one event.
func (c *core) step(now time.Time, ev event) effects {
	var eff effects
	switch ev := ev.(type) {
	case begin:
		c.restore(now, ev.saved, &eff)
		c.lost = now
		c.attempt = now
	case tick:
	case subscribed:
		c.becomeUp(ev, &eff)
	case disconnected:
		c.becomeDown(now, &eff)
	case launched:
		c.launch(now, ev.tasks, &eff)
	case killed:
		c.kill(ev, &eff)
	case acknowledged:
		c.acknowledge(ev, &eff)
	case shutdown:
		// What three quarters of the time leave is for the last updates.
		c.becomeEnding(c.env.shutdown*3/4, &eff)
		c.deadline = now.Add(c.env.shutdown + lastWords)
	case heard:
		c.hear(ev.Message, &eff)
	case said:
		c.say(ev.Message, &eff)
	case answered:
		c.answer(ev, &eff)
	case progress:
		c.update(now, ev.task, ev.report, &eff)
	default:
		panic(fmt.Sprintf("executor: unknown event %T", ev))
	}
	c.timers(now, &eff)
	c.flush(&eff)
	eff.done = c.done(now)
	eff.wake = c.wake(now)
	return eff
}

// lastWords is how much longer than the agent allows for a shutdown the executor
// tries to deliver the last updates. There is no harm in it: an agent that wants
// the executor gone sooner destroys its container.
const lastWords = 5 * time.Second

// restore takes over what an executor before this one left in the sandbox. Its
// servers ended with it, since none survives its executor.
func (c *core) restore(now time.Time, saved *executor.Call_Subscribe, eff *effects) {
	if saved == nil {
		return
	}
	c.ever = true // else nothing would have been saved
	for _, info := range saved.UnacknowledgedTasks {
		labels, _, _ := c.decorators.task(info) // one that panics adds nothing
		c.tasks = append(c.tasks, &task{info: info, labels: labels})
	}
	for _, u := range saved.UnacknowledgedUpdates {
		t := c.task(u.Status.TaskID.Value)
		if t == nil {
			continue
		}
		t.ended = t.ended || terminal(u.Status.GetState())
		c.owed = append(c.owed, owedUpdate{status: u.Status})
	}
	for _, t := range c.tasks {
		c.update(now, t.info.TaskID.Value, report{
			state:   mesos.TASK_FAILED,
			reason:  mesos.REASON_EXECUTOR_TERMINATED.Enum(),
			message: "the executor ended and was started again; the server ended with it",
		}, eff)
	}
}

func (c *core) becomeUp(ev subscribed, eff *effects) {
	c.link = up
	c.known = true
	c.self = ev.executor
	c.lost = time.Time{}
	c.wait = 0
	c.killing = slices.ContainsFunc(ev.framework.Capabilities, func(cap mesos.FrameworkInfo_Capability) bool {
		return cap.Type == mesos.FrameworkInfo_Capability_TASK_KILLING_STATE
	})
}

const firstBackoff = 100 * time.Millisecond

func (c *core) becomeDown(now time.Time, eff *effects) {
	wasUp := c.link == up
	c.link = down
	for i := range c.owed {
		c.owed[i].sent = false
	}
	switch {
	case wasUp:
		c.lost = now
	case c.known && c.env.recovery == 0:
		// It is not the connection that has broken: the agent itself is gone, and
		// another will not take the executor.
		c.abandon(now, eff)
	}
	// Twice as long after every failure, and a random part of it, so that the
	// executors of one agent do not all come at once when it is back. An agent that
	// was started again waits for them as long as the backoff may be, so half of it
	// leaves one more attempt in every case.
	c.wait = min(max(2*c.wait, firstBackoff), max(c.env.backoff/2, firstBackoff))
	c.attempt = now.Add(time.Duration(float64(c.wait) * (0.5 + 0.5*c.jitter())))
}

// abandon ends everything because the agent is gone. Nobody is left to hurry the
// servers, or to acknowledge their last updates.
func (c *core) abandon(now time.Time, eff *effects) {
	c.becomeEnding(math.MaxInt64, eff)
	c.deadline = now
}

// becomeEnding stops all tasks, each with its own grace period but none with
// more than limit.
func (c *core) becomeEnding(limit time.Duration, eff *effects) {
	if c.ending {
		return
	}
	c.ending = true
	for _, t := range c.tasks {
		if !t.ended {
			t.killing = true
			eff.stop = append(eff.stop, stopOrder{t.info.TaskID.Value, min(gracePeriod(t, nil), limit)})
		}
	}
}

func (c *core) launch(now time.Time, infos []mesos.TaskInfo, eff *effects) {
	c.groups++
	var group []*task
	var refused *report
	for _, info := range infos {
		if c.task(info.TaskID.Value) != nil {
			return // told twice
		}
		t, err := c.prepare(info)
		if err != nil {
			refused = &report{
				state:   mesos.TASK_ERROR,
				reason:  mesos.REASON_TASK_INVALID.Enum(),
				message: fmt.Sprintf("task %s: %v", info.TaskID.Value, err),
			}
		}
		group = append(group, t)
	}
	if c.ending {
		refused = &report{
			state:   mesos.TASK_KILLED,
			reason:  mesos.REASON_TASK_KILLED_DURING_LAUNCH.Enum(),
			message: "the executor is shutting down",
		}
	}
	c.ever = true
	eff.save = true
	for _, t := range group {
		if c.task(t.info.TaskID.Value) != nil {
			continue // twice in one group
		}
		c.tasks = append(c.tasks, t)
		if refused != nil {
			c.update(now, t.info.TaskID.Value, *refused, eff)
			continue
		}
		eff.start = append(eff.start, t)
	}
}

// prepare reads a task of the present launch and adds what decorators say. The
// task is there also with an error.
func (c *core) prepare(info mesos.TaskInfo) (*task, error) {
	t := &task{info: info, group: c.groups}
	spec, err := ParseTask(info.Data)
	if err != nil {
		return t, err
	}
	labels, env, err := c.decorators.task(info)
	if err != nil {
		return t, err
	}
	t.labels, t.spec = labels, spec.with(env)
	return t, t.spec.Validate()
}

func (c *core) kill(ev killed, eff *effects) {
	t := c.task(ev.task)
	if t == nil || t.ended || t.killing && ev.policy == nil {
		return
	}
	t.killing = true
	eff.stop = append(eff.stop, stopOrder{ev.task, gracePeriod(t, ev.policy)})
}

// killGroup ends the tasks that were launched together with t, as the default
// executor of Mesos does when one of them did not finish well: the recording of
// a task group shows it.
func (c *core) killGroup(t *task, eff *effects) {
	for _, other := range c.tasks {
		if other != t && other.group == t.group && other.group != 0 {
			c.kill(killed{task: other.info.TaskID.Value}, eff)
		}
	}
}

// gracePeriod is the time between the request to stop and SIGKILL. The policy
// of the KILL call overrides that of the task (mesos.proto, KillPolicy).
func gracePeriod(t *task, override *mesos.KillPolicy) time.Duration {
	for _, policy := range []*mesos.KillPolicy{override, t.info.KillPolicy} {
		if g := policy.GetGracePeriod(); g != nil {
			return max(0, time.Duration(g.Nanoseconds))
		}
	}
	if t.spec.Stop.Grace > 0 {
		return t.spec.Stop.Grace
	}
	return defaultGrace
}

// update makes a report an update that is owed. Nothing follows a terminal one.
func (c *core) update(now time.Time, id string, r report, eff *effects) {
	t := c.task(id)
	if t == nil || t.ended || r.state == mesos.TASK_KILLING && !c.killing {
		return
	}
	t.ended = terminal(r.state)
	timestamp := float64(now.UnixNano()) / 1e9
	status := mesos.TaskStatus{
		TaskID:     t.info.TaskID,
		ExecutorID: &mesos.ExecutorID{Value: c.env.executor},
		State:      r.state.Enum(),
		Source:     mesos.SOURCE_EXECUTOR.Enum(),
		Reason:     r.reason,
		Healthy:    r.healthy,
		UUID:       c.uuid(),
		Timestamp:  &timestamp,
	}
	if r.message != "" {
		message := strings.ToValidUTF8(r.message, "\uFFFD") // a protobuf string
		status.Message = &message
	}
	if labels := append(slices.Clone(t.labels), c.decorators.status(t.info, status)...); len(labels) > 0 {
		status.Labels = &mesos.Labels{Labels: labels}
	}
	if t.ended && r.state != mesos.TASK_FINISHED {
		c.killGroup(t, eff)
	}
	c.owed = append(c.owed, owedUpdate{status: status})
	eff.save = true
}

func (c *core) acknowledge(ev acknowledged, eff *effects) {
	i := slices.IndexFunc(c.owed, func(u owedUpdate) bool {
		return u.status.TaskID.Value == ev.task && string(u.status.UUID) == string(ev.uuid)
	})
	if i < 0 {
		return // acknowledged before
	}
	c.owed = slices.Delete(c.owed, i, i+1)
	eff.save = true
	t := c.task(ev.task)
	t.acked = true
	if t.ended && !slices.ContainsFunc(c.owed, func(u owedUpdate) bool { return u.status.TaskID.Value == ev.task }) {
		c.tasks = slices.DeleteFunc(c.tasks, func(other *task) bool { return other == t })
	}
}

// timers does what the time asks for.
func (c *core) timers(now time.Time, eff *effects) {
	if !c.lost.IsZero() && !c.ending && !now.Before(c.giveUp()) {
		c.abandon(now, eff)
	}
	if c.link == down && !now.Before(c.attempt) && !(c.ending && !now.Before(c.deadline)) {
		c.link = subscribing
		eff.subscribe = c.subscribe()
	}
}

// giveUp is when an agent that is lost is no longer waited for. An executor
// that was never subscribed waits as long as if it were to recover; one whose
// framework has no checkpoints ends with the first attempt that fails.
func (c *core) giveUp() time.Time {
	if c.env.recovery == 0 {
		return c.lost.Add(defaultRecovery)
	}
	return c.lost.Add(c.env.recovery)
}

// flush sends what is owed and was not yet sent.
func (c *core) flush(eff *effects) {
	if c.link != up {
		return
	}
	for i := range c.owed {
		if !c.owed[i].sent {
			c.owed[i].sent = true
			eff.send = append(eff.send, c.call(&executor.Call{
				Type:   executor.Call_UPDATE,
				Update: &executor.Call_Update{Status: c.owed[i].status},
			}))
		}
	}
}

// subscribe builds the call that opens a subscription. It repeats everything
// that the agent may not have.
func (c *core) subscribe() *executor.Call {
	sub := &executor.Call_Subscribe{}
	for _, t := range c.tasks {
		if !t.acked {
			sub.UnacknowledgedTasks = append(sub.UnacknowledgedTasks, t.info)
		}
	}
	for i := range c.owed {
		c.owed[i].sent = true
		sub.UnacknowledgedUpdates = append(sub.UnacknowledgedUpdates, executor.Call_Update{Status: c.owed[i].status})
	}
	return c.call(&executor.Call{Type: executor.Call_SUBSCRIBE, Subscribe: sub})
}

func (c *core) call(call *executor.Call) *executor.Call {
	call.FrameworkID.Value = c.env.framework
	call.ExecutorID.Value = c.env.executor
	return call
}

// saved is what an executor that is started again in this sandbox needs: all
// the tasks, and the updates that are owed.
func (c *core) saved() *executor.Call_Subscribe {
	s := &executor.Call_Subscribe{}
	for _, t := range c.tasks {
		s.UnacknowledgedTasks = append(s.UnacknowledgedTasks, t.info)
	}
	for _, u := range c.owed {
		s.UnacknowledgedUpdates = append(s.UnacknowledgedUpdates, executor.Call_Update{Status: u.status})
	}
	return s
}

// done tells whether nothing is left to do: every server has ended, and the
// agent has acknowledged it or there is no more time to wait for that.
func (c *core) done(now time.Time) bool {
	if len(c.tasks) == 0 {
		return c.ending || c.ever
	}
	for _, t := range c.tasks {
		if !t.ended {
			return false
		}
	}
	return c.ending && !now.Before(c.deadline)
}

// wake is the next time at which timers or done will answer otherwise.
func (c *core) wake(now time.Time) time.Time {
	var next time.Time
	sooner := func(t time.Time) {
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if c.link == down {
		sooner(c.attempt)
	}
	if !c.lost.IsZero() && !c.ending {
		sooner(c.giveUp())
	}
	if c.ending {
		sooner(c.deadline)
	}
	return next
}

func (c *core) task(id string) *task {
	i := slices.IndexFunc(c.tasks, func(t *task) bool { return t.info.TaskID.Value == id })
	if i < 0 {
		return nil
	}
	return c.tasks[i]
}

// terminal tells whether a task in that state is over, as far as an executor
// can know.
func terminal(s mesos.TaskState) bool {
	switch s {
	case mesos.TASK_FINISHED, mesos.TASK_FAILED, mesos.TASK_KILLED, mesos.TASK_ERROR:
		return true
	}
	return false
}
