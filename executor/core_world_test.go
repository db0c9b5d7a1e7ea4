package executor

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"github.com/stretchr/testify/require"
)

// world drives a core the way Run does, in a time of its own, and holds what
// it did against what may never be.
type world struct {
	t    require.TestingT
	core core
	now  time.Time
	next uint64 // of UUIDs

	done    bool
	running map[string]bool // started and not reported as ended
	told    map[string]int  // updates on the present subscription, by UUID
	calls   []*executor.Call
	wake    time.Time
	stops   []stopOrder
	asked   map[string]bool // requests that are carried out or were
	ends    map[string]mesos.TaskState
	journal *executor.Call_Subscribe // what was saved last; nil: nothing
}

func newWorld(t require.TestingT, env environment) *world {
	w := &world{t: t, now: time.Unix(1000, 0), running: map[string]bool{}, told: map[string]int{}, asked: map[string]bool{}, ends: map[string]mesos.TaskState{}}
	w.core = core{env: env, jitter: func() float64 { return 1 }, uuid: func() []byte {
		w.next++
		return binary.BigEndian.AppendUint64(make([]byte, 8), w.next)
	}}
	return w
}

func testEnvironment() environment {
	return environment{framework: "f", executor: "e", shutdown: 8 * time.Second, recovery: time.Minute, backoff: 2 * time.Second}
}

func (w *world) step(ev event) effects {
	eff := w.core.step(w.now, ev)
	if _, ok := ev.(disconnected); ok || eff.subscribe != nil {
		clear(w.told)
	}
	for _, t := range eff.start {
		require.False(w.t, w.running[t.info.TaskID.Value], "started twice")
		w.running[t.info.TaskID.Value] = true
	}
	if p, ok := ev.(progress); ok && terminal(p.state) {
		delete(w.running, p.task)
		w.ends[p.task] = p.state
	}
	for _, call := range append(slices.Clone(eff.send), eff.subscribe) {
		w.record(call)
	}
	for _, r := range eff.requests {
		require.False(w.t, w.asked[r.key()], "request %q carried out twice", r.key())
		w.asked[r.key()] = true
	}
	w.stops = append(w.stops, eff.stop...)
	if eff.save {
		w.journal = w.core.saved()
	}
	require.True(w.t, w.journal == nil || w.journal.Equal(w.core.saved()), "what is saved is all that there is")
	w.wake, w.done = eff.wake, eff.done
	w.check(eff)
	return eff
}

func (w *world) record(call *executor.Call) {
	if call == nil {
		return
	}
	w.calls = append(w.calls, call)
	if call.Update != nil {
		w.told[string(call.Update.Status.UUID)]++
	}
	for _, u := range call.GetSubscribe().GetUnacknowledgedUpdates() {
		w.told[string(u.Status.UUID)]++
	}
}

// check holds the invariants of core, and of what it asks for.
func (w *world) check(eff effects) {
	c := &w.core
	ids := map[string]bool{}
	for _, t := range c.tasks {
		require.False(w.t, ids[t.info.TaskID.Value], "two tasks %s", t.info.TaskID.Value)
		ids[t.info.TaskID.Value] = true
		require.Equal(w.t, t.ended, !w.running[t.info.TaskID.Value], "ended exactly when nothing runs")
	}
	require.LessOrEqual(w.t, len(c.answering.pending), maxPending)
	require.LessOrEqual(w.t, len(c.answering.answered), maxAnswered)
	for _, a := range c.answering.answered {
		require.NotContains(w.t, c.answering.pending, a.request.key())
	}
	failed := map[int]bool{} // groups
	for _, t := range c.tasks {
		failed[t.group] = failed[t.group] || t.ended && w.ends[t.info.TaskID.Value] != mesos.TASK_FINISHED
	}
	for _, t := range c.tasks {
		require.True(w.t, t.group == 0 || !failed[t.group] || t.ended || t.killing, "%s outlives its group", t.info.TaskID.Value)
	}
	over := map[string]bool{}
	for _, u := range c.owed {
		id := u.status.TaskID.Value
		require.True(w.t, ids[id], "an update of no task")
		require.False(w.t, over[id], "an update after the terminal one")
		over[id] = terminal(u.status.GetState())
		if c.link == up {
			require.Equal(w.t, 1, w.told[string(u.status.UUID)], "each update once on a subscription")
		}
	}
	require.True(w.t, eff.wake.IsZero() || eff.wake.After(w.now), "a wake in the past")
	require.False(w.t, eff.done && len(w.running) > 0, "done while a server runs")
	require.False(w.t, len(eff.send) > 0 && c.link != up, "a call without a subscription")
	if eff.subscribe != nil {
		require.Equal(w.t, subscribing, c.link)
	}
	if c.link == down && !c.ending {
		require.False(w.t, eff.wake.IsZero(), "nothing will bring the agent back")
	}
}

// sleep lets time pass up to the next wake.
func (w *world) sleep() effects {
	require.False(w.t, w.wake.IsZero(), "no wake")
	w.now = w.wake
	return w.step(tick{})
}

// ackAll acknowledges what is owed, oldest first.
func (w *world) ackAll() {
	for _, u := range slices.Clone(w.core.owed) {
		w.step(acknowledged{u.status.TaskID.Value, u.status.UUID})
	}
}

func goodTask(id string) mesos.TaskInfo {
	return mesos.TaskInfo{TaskID: mesos.TaskID{Value: id}, Data: []byte(`{"command":["server"],"stop":{"grace":20000000000}}`)}
}

func (w *world) up() {
	w.step(begin{})
	w.step(subscribed{})
}

func is(task string, state mesos.TaskState) progress { return progress{task, report{state: state}} }
func (w *world) random(r *rand.Rand) {
	id := fmt.Sprint("t", r.IntN(4))
	switch r.IntN(9) {
	case 0:
		group := []mesos.TaskInfo{goodTask(id)}
		if r.IntN(3) == 0 {
			group = append(group, goodTask(fmt.Sprint("t", r.IntN(4))))
		}
		w.step(launched{group})
	case 1:
		w.step(killed{id, nil})
	case 2, 3:
		states := []mesos.TaskState{mesos.TASK_STARTING, mesos.TASK_RUNNING, mesos.TASK_KILLING, mesos.TASK_FAILED, mesos.TASK_FINISHED}
		if w.running[id] {
			w.step(is(id, states[r.IntN(len(states))]))
		}
	case 4:
		if len(w.core.owed) > 0 {
			u := w.core.owed[r.IntN(len(w.core.owed))].status
			w.step(acknowledged{u.TaskID.Value, u.UUID})
		}
	case 5:
		if w.core.link == subscribing && r.IntN(2) == 0 {
			w.step(subscribed{})
		} else if w.core.link != down {
			w.step(disconnected{})
		}
	case 6:
		w.now = w.now.Add(time.Duration(r.Int64N(int64(3*time.Second)) - int64(time.Second))) // clocks step back too
		w.step(tick{})
	case 7:
		request := Request{ID: fmt.Sprint("r", r.IntN(30)), Task: id}
		if p := w.core.answering.pending; len(p) > 0 && r.IntN(2) == 0 {
			task, id, _ := strings.Cut(p[r.IntN(len(p))], "\x00")
			w.step(answered{request: Request{ID: id, Task: task}})
		} else {
			w.step(heard{request})
		}
	case 8:
		switch r.IntN(50) {
		case 0:
			w.step(shutdown{})
		case 1, 2, 3:
			w.crash()
		}
	}
}

// crash kills the executor, with its servers, and starts another in its sandbox.
func (w *world) crash() {
	saved, owed := w.journal, w.core.owed
	w.core = core{env: w.core.env, jitter: w.core.jitter, uuid: w.core.uuid}
	clear(w.running)
	clear(w.told)
	clear(w.asked)
	for _, t := range saved.GetUnacknowledgedTasks() {
		if _, ended := w.ends[t.TaskID.Value]; !ended {
			w.ends[t.TaskID.Value] = mesos.TASK_FAILED
		}
	}
	w.step(begin{saved})
	require.GreaterOrEqual(w.t, len(w.core.owed), len(owed))
	for i, u := range owed {
		require.True(w.t, u.status.Equal(w.core.owed[i].status), "told again as it was, in its order")
	}
	for _, t := range w.core.tasks {
		require.True(w.t, t.ended, "%s has not survived", t.info.TaskID.Value)
	}
}

// settle ends everything in an agent's and a supervisor's best manners.
func (w *world) settle() {
	w.step(shutdown{})
	for range 1000 {
		switch {
		case w.done:
			require.Empty(w.t, w.running)
			return
		case w.core.link == subscribing:
			w.step(subscribed{})
		case len(w.running) > 0:
			for _, t := range slices.Clone(w.core.tasks) {
				if w.running[t.info.TaskID.Value] {
					require.True(w.t, t.killing, "not asked to end: %s", t.info.TaskID.Value)
					w.step(is(t.info.TaskID.Value, mesos.TASK_KILLED))
				}
			}
		case w.core.link == up && len(w.core.owed) > 0:
			w.ackAll()
		default:
			w.sleep()
		}
	}
	require.Fail(w.t, "never done")
}
