package scheduler_test

import (
	"fmt"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/state"
)

// BenchmarkStepUpdate is one status, saved and acknowledged, with so many tasks
// known: the cost must not grow with them.
func BenchmarkStepUpdate(b *testing.B) {
	for _, tasks := range []int{100, 50_000} {
		b.Run(fmt.Sprint(tasks), func(b *testing.B) {
			now := time.Unix(1_800_000_000, 0).UTC()
			m := manyTasks(b, tasks, now)
			states := []mesos.TaskState{mesos.TASK_RUNNING, mesos.TASK_UNREACHABLE}
			uuid := make([]byte, 16)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				uuid[0], uuid[1], uuid[2] = byte(i), byte(i>>8), byte(i>>16)
				s := status(fmt.Sprintf("t%05d", i%tasks), "a1", states[i/tasks%2], string(uuid))
				if e := m.Step(now, scheduler.Updated{Status: s}); len(e.Send) != 1 {
					b.Fatalf("%d calls", len(e.Send))
				}
			}
		})
	}
}

// BenchmarkReconcile is a whole failover: a subscription and an answer for every
// task.
func BenchmarkReconcile(b *testing.B) {
	const tasks = 50_000
	now := time.Unix(1_800_000_000, 0).UTC()
	m := manyTasks(b, tasks, now)
	b.ReportAllocs()
	for b.Loop() {
		m.Step(now, scheduler.Disconnected{Reason: "failover"})
		m.Step(now, scheduler.Subscribed{FrameworkID: "fw"})
		for i := range tasks {
			s := status(fmt.Sprintf("t%05d", i), "a1", mesos.TASK_STAGING, "")
			s.Reason = mesos.REASON_RECONCILIATION.Enum()
			m.Step(now, scheduler.Updated{Status: s})
		}
	}
	var reconciled bool
	m.Look(func(v scheduler.View) { reconciled = v.Reconciled() })
	if !reconciled {
		b.Fatal("not reconciled")
	}
}

// BenchmarkUpdates is bursts of 1,000 statuses through Run: received over HTTP,
// saved in a file store with fsync, acknowledged over HTTP. Below it is the same
// number of saves one by one, which is what saving each by itself would cost.
func BenchmarkUpdates(b *testing.B) {
	const burst = 1000
	b.Run("burst", func(b *testing.B) {
		m := newMaster(b)
		m.calls = make(chan received, 4*burst)
		store, err := state.OpenFile(b.TempDir())
		require.NoError(b, err)
		b.Cleanup(func() { assert.NoError(b, store.Close()) })
		start(b, scheduler.Config{Master: m.address(), Store: store, Handler: scheduler.HandlerFunc(launchMany(burst))})
		s := m.subscribed()
		s.send(offersEvent(offer("o1", "a1")))
		m.call(sched.Call_ACCEPT)
		states := []mesos.TaskState{mesos.TASK_RUNNING, mesos.TASK_UNREACHABLE}
		for i := 0; b.Loop(); i++ {
			for task := range burst {
				uuid := fmt.Sprintf("%08d%08d", i, task)
				s.send(updateEvent(status(fmt.Sprintf("t%05d", task), "a1", states[i%2], uuid)))
			}
			for range burst {
				m.call(sched.Call_ACKNOWLEDGE)
			}
		}
		b.ReportMetric(float64(burst*b.N)/b.Elapsed().Seconds(), "updates/s")
	})
	b.Run("save-each", func(b *testing.B) {
		store, err := state.OpenFile(b.TempDir())
		require.NoError(b, err)
		b.Cleanup(func() { assert.NoError(b, store.Close()) })
		_, err = store.Load(b.Context())
		require.NoError(b, err)
		value := make([]byte, 200)
		for i := 0; b.Loop(); i++ {
			value[0] = byte(i)
			for range burst {
				require.NoError(b, store.Save(b.Context(), []state.Record{{Key: "status/t00001", Value: value}}))
			}
		}
		b.ReportMetric(float64(burst*b.N)/b.Elapsed().Seconds(), "updates/s")
	})
}

// launchMany launches so many tasks on the first offer.
func launchMany(n int) func(scheduler.View, scheduler.Event) []scheduler.Action {
	return func(v scheduler.View, _ scheduler.Event) []scheduler.Action {
		for o := range v.Offers() {
			accept := launch(o, "t00000")
			op := accept.Operations[0].Launch
			for i := 1; i < n; i++ {
				op.TaskInfos = append(op.TaskInfos, mesos.TaskInfo{
					Name: "t", TaskID: mesos.TaskID{Value: fmt.Sprintf("t%05d", i)}, AgentID: o.AgentID,
				})
			}
			return []scheduler.Action{accept}
		}
		return nil
	}
}

func manyTasks(b *testing.B, n int, now time.Time) *scheduler.Machine {
	m, err := scheduler.NewMachine(scheduler.HandlerFunc(launchMany(n)), []byte("seed"), nil)
	if err != nil {
		b.Fatal(err)
	}
	m.Step(now, scheduler.Subscribed{FrameworkID: "fw"})
	m.Step(now, scheduler.Offered{Offers: []mesos.Offer{offer("o1", "a1")}})
	return m
}
