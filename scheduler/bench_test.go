package scheduler_test

import (
	"fmt"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/scheduler"
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

func manyTasks(b *testing.B, n int, now time.Time) *scheduler.Machine {
	m, err := scheduler.NewMachine(scheduler.HandlerFunc(func(v scheduler.View, _ scheduler.Event) []scheduler.Action {
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
	}), []byte("seed"), nil)
	if err != nil {
		b.Fatal(err)
	}
	m.Step(now, scheduler.Subscribed{FrameworkID: "fw"})
	m.Step(now, scheduler.Offered{Offers: []mesos.Offer{offer("o1", "a1")}})
	return m
}
