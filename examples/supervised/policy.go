package main

import (
	"encoding/json"
	"fmt"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
)

// policy launches one task, asks for its log once it is ready, kills it when the
// log is there, and ends with it.
type policy struct{ program string } // this one, where the agents find it too

func (p policy) Handle(v scheduler.View, ev scheduler.Event) []scheduler.Action {
	task, launched := v.Task("web")
	if m, ok := ev.(scheduler.Messaged); ok && launched && !task.Killing {
		return []scheduler.Action{scheduler.Note{Text: tail(m.Data)}, scheduler.Kill{Task: "web", Reason: "the log is read"}}
	}
	switch {
	case !launched:
		return p.launch(v)
	case scheduler.Terminal(task.Status.GetState()):
		return []scheduler.Action{scheduler.Teardown{}}
	case task.Status.GetHealthy() && !task.Killing: // messages may be lost: go on asking
		data, _ := executor.EncodeMessage(executor.Request{ID: "log", Task: "web", Name: "tail"}) // fails only for a bad Body
		return []scheduler.Action{
			scheduler.Message{Agent: task.Info.AgentID.Value, Executor: "web", Data: data},
			scheduler.WakeAt{Time: v.Now().Add(2 * time.Second)},
		}
	}
	return nil
}

// launch takes the first offer with a port and room enough.
func (p policy) launch(v scheduler.View) []scheduler.Action {
	matches, _ := offers.Reserve(v.Offers(), []offers.Request{{
		Node: "web", Needs: offers.MustParse("cpus:0.1;mem:32"), Ports: []offers.Port{{Name: "http"}}, Unreserved: true,
	}})
	for _, m := range matches {
		return []scheduler.Action{scheduler.Accept{Offers: m.Offers, Operations: []mesos.Offer_Operation{offers.Launch(m.Agent, p.info(v, m))}}}
	}
	return []scheduler.Action{scheduler.Want{Offers: true}}
}

// info is the task with its executor, which is this program on the agent. Where
// the agents are other machines, a URI brings it there.
func (p policy) info(v scheduler.View, m offers.Match) mesos.TaskInfo {
	data, _ := json.Marshal(server(p.program, fmt.Sprint(m.Hostname, ":", m.Ports["http"]))) // a Task always has a form
	return mesos.TaskInfo{
		Name: "web", TaskID: mesos.TaskID{Value: "web"}, Resources: m.Resources, Data: data,
		Executor: executor.Info(v.FrameworkID(), "web", p.program),
	}
}

// tail is the log in an answer; short logs come in one piece.
func tail(data []byte) string {
	m, err := executor.DecodeMessage(data)
	if r, ok := m.(executor.Response); ok && err == nil {
		return fmt.Sprintf("%s%s", r.Body, r.Error)
	}
	return fmt.Sprint("no answer: ", err)
}
