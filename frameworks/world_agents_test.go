package frameworks

import (
	"fmt"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosexec "github.com/mesos/mesos-go/api/v1/lib/executor"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/internal/model"
	"github.com/mesokit/mesokit/scheduler"
)

// Mesos.

func (w *world) mesos(in model.Input) {
	for _, out := range w.master.Step(w.now, in) {
		switch out := out.(type) {
		case model.Reply:
			if out.Status >= 400 && !w.ended {
				w.t.Fatalf("the master refused %v: %d %s", in, out.Status, out.Text)
			}
		case model.Emit:
			w.queue = append(w.queue, func() {
				if ev := scheduler.EventOf(out.Event); ev != nil && out.Stream == w.stream {
					w.step(ev)
				}
			})
		case model.Close:
			require.True(w.t, w.ended || w.stream != out.Stream, "the master closed the scheduler's stream")
		case model.Send:
			for _, a := range w.agents {
				if a.link == out.To && !a.cut {
					w.queue = append(w.queue, func() { w.agent(a, model.MasterSaid{Message: out.Message}) })
				}
			}
		}
	}
}

func (w *world) agent(a *fakeAgent, in model.AgentInput) {
	for _, out := range a.model.Step(w.now, in) {
		switch out := out.(type) {
		case model.TellMaster:
			if link := a.link; !a.cut {
				w.queue = append(w.queue, func() { w.mesos(model.AgentSaid{From: link, Message: out.Message}) })
			}
		case model.StartContainer:
			w.started[out.Executor.ExecutorID.Value]++
			e := &fakeExecutor{
				agent: a, container: out.Container, stream: "executor-" + out.Container,
				framework: out.Framework.ID.Value, id: out.Executor.ExecutorID.Value,
			}
			w.stray(e)
			a.executors[e.stream] = e
			w.queue = append(w.queue, func() {
				w.agent(a, model.ContainerStarted{Container: e.container, PID: 1})
				w.say(e, &mesosexec.Call{Type: mesosexec.Call_SUBSCRIBE, Subscribe: &mesosexec.Call_Subscribe{}})
			})
		case model.StopContainer:
			w.exit(a, out.Container, 9)
		case model.MakeVolume:
			w.made[out.Volume.Disk.Persistence.ID]++
		case model.RemoveVolume:
			w.removed[out.Volume.Disk.Persistence.ID]++
		case model.ExecutorEvent:
			if e := a.executors[out.Stream]; e != nil {
				w.queue = append(w.queue, func() { w.heard(e, out.Event) })
			}
		}
	}
}

// Executors.

func (w *world) say(e *fakeExecutor, call *mesosexec.Call) {
	if e.ended {
		return
	}
	call.FrameworkID.Value, call.ExecutorID.Value = e.framework, e.id
	w.agent(e.agent, model.ExecutorCall{Stream: e.stream, Call: call})
}

func (w *world) update(e *fakeExecutor, task string, s mesos.TaskState, message string) {
	e.serves = s == mesos.TASK_RUNNING
	e.uuids++
	uuid := fmt.Appendf(nil, "%-16s", fmt.Sprintf("%s/%d", e.container[:8], e.uuids))[:16]
	status := mesos.TaskStatus{
		TaskID: mesos.TaskID{Value: task}, State: &s, Source: mesos.SOURCE_EXECUTOR.Enum(), UUID: uuid,
		ExecutorID: &mesos.ExecutorID{Value: e.id},
	}
	if message != "" {
		status.Message = &message
	}
	w.say(e, &mesosexec.Call{Type: mesosexec.Call_UPDATE, Update: &mesosexec.Call_Update{Status: status}})
}

func (w *world) heard(e *fakeExecutor, ev *mesosexec.Event) {
	if e.ended {
		return
	}
	switch ev.Type {
	case mesosexec.Event_LAUNCH:
		task := ev.Launch.Task
		if w.behave != nil {
			w.behave(w, e, task)
			return
		}
		w.update(e, task.TaskID.Value, mesos.TASK_STARTING, "formatted")
		w.update(e, task.TaskID.Value, mesos.TASK_RUNNING, "started")
	case mesosexec.Event_KILL:
		w.end(e, ev.Kill.TaskID.Value, mesos.TASK_KILLED, "")
	case mesosexec.Event_MESSAGE:
		if w.hears != nil {
			w.hears(e, ev.Message.Data)
		}
	case mesosexec.Event_SHUTDOWN:
		w.exit(e.agent, e.container, 0)
	}
}

// end makes a task end, and its executor with it.
func (w *world) end(e *fakeExecutor, task string, s mesos.TaskState, message string) {
	w.update(e, task, s, message)
	w.after(time.Second, func() { w.exit(e.agent, e.container, 0) })
}

func (w *world) exit(a *fakeAgent, container string, status int) {
	for _, e := range a.executors {
		if e.container == container && !e.ended {
			e.ended, e.serves = true, false
			w.queue = append(w.queue, func() { w.agent(a, model.ContainerExited{Container: container, Status: status}) })
		}
	}
}
