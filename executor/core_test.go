package executor

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestUpdateIsKeptUntilAcknowledged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testEnvironment())
	w.up()
	w.step(launched{[]mesos.TaskInfo{goodTask("t")}})
	w.step(is("t", mesos.TASK_STARTING))
	w.step(is("t", mesos.TASK_RUNNING))
	w.step(acknowledged{"t", w.core.owed[0].status.UUID})
	require.Len(t, w.core.owed, 1)

	w.step(disconnected{})
	w.step(is("t", mesos.TASK_FAILED))
	sub := w.sleep().subscribe
	require.NotNil(t, sub)
	assert.Empty(t, sub.Subscribe.UnacknowledgedTasks, "the agent has acknowledged an update of it")
	assert.Len(t, sub.Subscribe.UnacknowledgedUpdates, 2)

	// An update of the time between SUBSCRIBE and SUBSCRIBED is sent after it.
	w.step(launched{[]mesos.TaskInfo{goodTask("u")}})
	w.step(is("u", mesos.TASK_STARTING))
	assert.Len(t, w.step(subscribed{}).send, 1)
	w.step(is("u", mesos.TASK_FINISHED))
	assert.False(t, w.done)
	w.ackAll()
	assert.True(t, w.done)
}

func TestRecovery(t *testing.T) {
	t.Parallel()
	t.Run("gives up after the recovery timeout", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, testEnvironment())
		w.up()
		w.step(launched{[]mesos.TaskInfo{goodTask("t")}})
		w.step(disconnected{})
		lost, attempts, longest := w.now, 0, time.Duration(0)
		for len(w.stops) == 0 {
			before := w.now
			if w.sleep().subscribe != nil {
				attempts++
				w.step(disconnected{})
			}
			longest = max(longest, w.now.Sub(before))
		}
		assert.Equal(t, time.Minute, w.now.Sub(lost))
		assert.Equal(t, time.Second, longest, "half of the time that an agent waits for its executors")
		assert.InDelta(t, 63, attempts, 3)
		assert.Equal(t, []stopOrder{{"t", 20 * time.Second}}, w.stops, "nobody hurries: the task's own grace")
		assert.False(t, w.done)
		w.step(is("t", mesos.TASK_KILLED))
		assert.True(t, w.done)
	})
	t.Run("without checkpoints only a connection may come back", func(t *testing.T) {
		t.Parallel()
		env := testEnvironment()
		env.recovery = 0
		w := newWorld(t, env)
		w.step(disconnected{})
		require.NotNil(t, w.sleep().subscribe, "who was never subscribed goes on trying")
		w.step(subscribed{})
		w.step(launched{[]mesos.TaskInfo{goodTask("t")}})
		w.step(disconnected{})
		require.NotNil(t, w.sleep().subscribe)
		w.step(subscribed{})
		assert.Empty(t, w.stops, "it was the connection that had broken")
		w.step(disconnected{})
		require.NotNil(t, w.sleep().subscribe)
		w.step(disconnected{})
		assert.Len(t, w.stops, 1, "the agent is gone")
		w.step(is("t", mesos.TASK_KILLED))
		assert.True(t, w.done)
	})
	t.Run("an agent that is back in time changes nothing", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, testEnvironment())
		w.up()
		w.step(launched{[]mesos.TaskInfo{goodTask("t")}})
		w.step(disconnected{})
		w.now = w.now.Add(59 * time.Second)
		require.NotNil(t, w.step(tick{}).subscribe)
		w.step(subscribed{})
		w.now = w.now.Add(time.Hour)
		w.step(tick{})
		assert.Empty(t, w.stops)
	})
	t.Run("an agent that never answers", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, testEnvironment())
		w.step(begin{})
		for !w.done {
			w.step(disconnected{})
			w.sleep()
		}
		assert.Equal(t, time.Unix(1060, 0), w.now)
	})
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testEnvironment())
	w.up()
	w.step(launched{[]mesos.TaskInfo{goodTask("t")}})
	w.step(shutdown{})
	assert.Equal(t, []stopOrder{{"t", 6 * time.Second}}, w.stops, "three quarters of the agent's patience")

	w.step(launched{[]mesos.TaskInfo{goodTask("late")}})
	assert.Equal(t, mesos.TASK_KILLED, w.core.owed[0].status.GetState())

	w.step(is("t", mesos.TASK_KILLED))
	assert.False(t, w.done, "the updates are not acknowledged")
	w.sleep()
	assert.True(t, w.done, "and never will be")
}

func TestShutdownGraceLeavesTheWholeGrace(t *testing.T) {
	t.Parallel()
	for _, grace := range []time.Duration{0, 1, 2, 3, time.Second, time.Minute + 1} {
		spec := Task{Stop: Stop{Grace: grace}}
		want := gracePeriod(&task{spec: spec}, nil)
		assert.GreaterOrEqual(t, spec.ShutdownGrace()*3/4, want)
		assert.Less(t, (spec.ShutdownGrace()-1)*3/4, want, "the least")
	}
}

func TestGracePeriod(t *testing.T) {
	t.Parallel()
	policy := func(d time.Duration) *mesos.KillPolicy {
		return &mesos.KillPolicy{GracePeriod: &mesos.DurationInfo{Nanoseconds: int64(d)}}
	}
	tests := []struct {
		name       string
		stop       time.Duration
		task, call *mesos.KillPolicy
		want       time.Duration
	}{
		{name: "default", want: 30 * time.Second},
		{name: "stop", stop: time.Second, want: time.Second},
		{name: "task", stop: time.Second, task: policy(2 * time.Second), want: 2 * time.Second},
		{name: "call", stop: time.Second, task: policy(2 * time.Second), call: policy(3 * time.Second), want: 3 * time.Second},
		{name: "at once", stop: time.Second, call: policy(0), want: 0},
		{name: "negative", call: policy(-1), want: 0},
		{name: "policy without a period", stop: time.Second, call: &mesos.KillPolicy{}, want: time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			task := &task{info: mesos.TaskInfo{KillPolicy: tt.task}, spec: Task{Stop: Stop{Grace: tt.stop}}}
			assert.Equal(t, tt.want, gracePeriod(task, tt.call))
		})
	}
}

func TestLaunchGroupIsAllOrNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testEnvironment())
	w.up()
	bad := goodTask("bad")
	bad.Data = nil
	eff := w.step(launched{[]mesos.TaskInfo{goodTask("good"), bad, goodTask("good")}})
	assert.Empty(t, eff.start)
	require.Len(t, eff.send, 2)
	for _, call := range eff.send {
		assert.Equal(t, mesos.TASK_ERROR, call.Update.Status.GetState())
		assert.Equal(t, "task bad: TaskInfo.data is empty: want an executor.Task as JSON", call.Update.Status.GetMessage())
	}
}

// As the recording task_group_with_default_executor has it.
func TestLaunchGroupEndsTogether(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		end  mesos.TaskState
		want []stopOrder
	}{
		{mesos.TASK_FINISHED, nil},
		{mesos.TASK_FAILED, []stopOrder{{"b", 20 * time.Second}, {"c", 20 * time.Second}}},
		{mesos.TASK_KILLED, []stopOrder{{"b", 20 * time.Second}, {"c", 20 * time.Second}}},
	} {
		t.Run(tt.end.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, testEnvironment())
			w.up()
			w.step(launched{[]mesos.TaskInfo{goodTask("a"), goodTask("b"), goodTask("c"), goodTask("d")}})
			w.step(launched{[]mesos.TaskInfo{goodTask("other")}})
			w.step(is("d", mesos.TASK_FINISHED))
			require.Empty(t, w.stops)
			w.step(is("a", tt.end))
			assert.Equal(t, tt.want, w.stops)
			w.step(is("b", mesos.TASK_KILLED))
			assert.Len(t, w.stops, max(len(tt.want), 1), "nobody is stopped twice")
			assert.False(t, w.core.task("other").killing)
			assert.False(t, w.done)
		})
	}
}

func TestRestoredTasksHaveFailed(t *testing.T) {
	t.Parallel()
	first := newWorld(t, testEnvironment())
	first.up()
	first.step(launched{[]mesos.TaskInfo{goodTask("ended"), goodTask("alive")}})
	first.step(is("ended", mesos.TASK_FINISHED))
	first.step(is("alive", mesos.TASK_RUNNING))

	second := newWorld(t, testEnvironment())
	second.next = 100
	sub := second.step(begin{first.core.saved()}).subscribe
	require.NotNil(t, sub)
	var got []string
	for _, u := range sub.Subscribe.UnacknowledgedUpdates {
		got = append(got, fmt.Sprint(u.Status.TaskID.Value, " ", u.Status.GetState()))
	}
	assert.Equal(t, []string{"ended TASK_FINISHED", "alive TASK_RUNNING", "alive TASK_FAILED"}, got)
	second.step(subscribed{})
	second.ackAll()
	assert.True(t, second.done)
}

// A journal without tasks is that of an executor that was killed on its way out.
func TestRestoredExecutorWithoutTasksIsDone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testEnvironment())
	w.step(begin{&executor.Call_Subscribe{}})
	assert.True(t, w.done)
}

func TestMessageIsUTF8AndBounded(t *testing.T) {
	t.Parallel()
	o := &output{keep: 100}
	for range 100 {
		o.add(strings.Repeat("é", 500))
	}
	message := o.after(strings.Repeat("é", maxMessage))
	assert.LessOrEqual(t, len(message), maxMessage)

	w := newWorld(t, testEnvironment())
	w.up()
	w.step(launched{[]mesos.TaskInfo{goodTask("t")}})
	w.step(progress{"t", report{state: mesos.TASK_RUNNING, message: "caf\xc3"}})
	assert.Equal(t, "caf\uFFFD", w.core.owed[0].status.GetMessage())
}

// Whatever happens in whatever order, the invariants of check hold; and once the
// faults stop, every task that was asked to end is reported as ended and the
// core is done.
func FuzzCore(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, uint16(200))
	}
	f.Fuzz(func(t *testing.T, seed uint64, steps uint16) {
		r := rand.New(rand.NewPCG(seed, 0))
		w := newWorld(t, testEnvironment())
		w.step(begin{})
		for range steps % 500 {
			if w.done {
				return
			}
			w.random(r)
		}
		w.settle()
	})
}
