package model

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
)

// executorCall answers a call over the executor API.
func (a *Agent) executorCall(in ExecutorCall) {
	c := in.Call
	fail := func(status int, text string) { a.do(ExecutorReply{status, text}) }
	if err := validateExecutorCall(c); err != nil {
		fail(statusBadRequest, "Failed to validate Executor::Call: "+err.Error())
		return
	}
	f := a.frameworks[c.FrameworkID.Value]
	if f == nil {
		fail(statusBadRequest, "Framework cannot be found")
		return
	}
	r := f.runs[c.ExecutorID.Value]
	if r == nil || r.ended {
		fail(statusBadRequest, "Executor cannot be found")
		return
	}
	if c.Type != executor.Call_SUBSCRIBE && !r.subscribed && !r.closing {
		fail(statusForbidden, "Executor is not subscribed")
		return
	}
	switch c.Type {
	case executor.Call_SUBSCRIBE:
		a.do(ExecutorReply{Status: statusOK})
		a.subscribeExecutor(f, r, in.Stream, c.Subscribe)
	case executor.Call_UPDATE:
		a.do(ExecutorReply{Status: statusAccepted})
		a.executorUpdate(r, c.Update.Status)
	case executor.Call_MESSAGE:
		a.do(ExecutorReply{Status: statusAccepted})
		a.tell(ExecutorSaid{r.framework, r.executor, c.Message.Data})
	}
}

func validateExecutorCall(c *executor.Call) error {
	present := func(field string, ok bool) error {
		if ok {
			return nil
		}
		return fmt.Errorf("Expecting '%s' to be present", field)
	}
	switch c.Type {
	case executor.Call_SUBSCRIBE:
		return present("subscribe", c.Subscribe != nil)
	case executor.Call_UPDATE:
		if c.Update == nil {
			return present("update", false)
		}
		s := &c.Update.Status
		switch {
		case len(s.UUID) == 0:
			return present("uuid", false)
		case len(s.UUID) != 16:
			return validateUUID(s.UUID)
		case s.ExecutorID != nil && s.ExecutorID.Value != c.ExecutorID.Value:
			return fmt.Errorf("ExecutorID in Call: %s does not match ExecutorID in TaskStatus: %s", c.ExecutorID.Value, s.ExecutorID.Value)
		case s.GetSource() != mesos.SOURCE_EXECUTOR:
			return fmt.Errorf("Received Call from executor %s of framework %s with invalid source, expecting 'SOURCE_EXECUTOR'",
				c.ExecutorID.Value, c.FrameworkID.Value)
		case s.State == nil:
			return present("state", false)
		case *s.State == mesos.TASK_STAGING:
			return fmt.Errorf("Received TASK_STAGING from executor %s of framework %s which is not allowed", c.ExecutorID.Value, c.FrameworkID.Value)
		}
	case executor.Call_MESSAGE:
		return present("message", c.Message != nil)
	default:
		return present("type", false)
	}
	return nil
}

func (a *Agent) subscribeExecutor(f *served, r *run, stream string, sub *executor.Call_Subscribe) {
	if r.stream != "" {
		delete(a.streams, r.stream)
		a.do(ExecutorClose{r.stream})
	}
	if f.ending || r.closing {
		a.do(ExecutorEvent{stream, &executor.Event{Type: executor.Event_SHUTDOWN}})
		a.do(ExecutorClose{stream})
		return
	}
	again := r.lateReason == mesos.REASON_EXECUTOR_REREGISTRATION_TIMEOUT
	r.stream, r.subscribed, r.subscribeBy = stream, true, time.Time{}
	a.streams[stream] = r
	if r.useless() && !again {
		a.shutdown(r)
		return
	}
	a.event(r, &executor.Event{Type: executor.Event_SUBSCRIBED, Subscribed: &executor.Event_Subscribed{
		ExecutorInfo: r.info, FrameworkInfo: f.info, AgentInfo: a.cfg.Info,
		ContainerID: &mesos.ContainerID{Value: r.container},
	}})
	for i := range sub.UnacknowledgedUpdates {
		a.executorUpdate(r, sub.UnacknowledgedUpdates[i].Status)
	}
	if again {
		a.dropUnseen(r, sub.UnacknowledgedTasks)
		if !a.registered {
			a.register() // this was perhaps the last to wait for
		}
	}
	a.deliver(r)
}

// dropUnseen settles tasks that were on their way to an executor when the
// agent went down: neither it nor the agent's record has heard of them.
func (a *Agent) dropUnseen(r *run, seen []mesos.TaskInfo) {
	for _, id := range slices.Clone(r.taskOrder) {
		t := r.tasks[id]
		if t.state != mesos.TASK_STAGING || !t.delivered ||
			slices.ContainsFunc(seen, func(x mesos.TaskInfo) bool { return x.TaskID.Value == id }) {
			continue
		}
		a.settle(r, a.agentStatus(id, r.executor, a.dropped(r.framework), mesos.REASON_AGENT_RESTARTED,
			"Task launched during agent restart"))
	}
}

// executorUpdate takes a status from an executor, and acknowledges it: from
// now on it is the agent that must get it through.
func (a *Agent) executorUpdate(r *run, s mesos.TaskStatus) {
	s.AgentID = &mesos.AgentID{Value: a.id}
	s.ExecutorID = &mesos.ExecutorID{Value: r.executor}
	if s.Timestamp == nil {
		s.Timestamp = new(seconds(a.now))
	}
	s.ContainerStatus = a.containerStatus(r, s.ContainerStatus)
	if t := r.tasks[s.TaskID.Value]; t == nil || !terminal(t.state) || !bytes.Equal(t.status.UUID, s.UUID) {
		a.settle(r, s)
	}
	a.event(r, &executor.Event{Type: executor.Event_ACKNOWLEDGED,
		Acknowledged: &executor.Event_Acknowledged{TaskID: s.TaskID, UUID: s.UUID}})
}

func (a *Agent) containerStatus(r *run, from *mesos.ContainerStatus) *mesos.ContainerStatus {
	cs := mesos.ContainerStatus{}
	if from != nil {
		cs = *from
	}
	if cs.ContainerID == nil {
		cs.ContainerID = &mesos.ContainerID{Value: r.container}
	} else if cs.ContainerID.Parent != nil && cs.ExecutorPID == nil {
		return &cs // nested, and not running yet
	}
	if len(cs.NetworkInfos) == 0 {
		cs.NetworkInfos = []mesos.NetworkInfo{{IPAddresses: []mesos.NetworkInfo_IPAddress{
			{Protocol: new(mesos.IPv4), IPAddress: new(a.cfg.IP)},
		}}}
	}
	if cs.ExecutorPID == nil && r.pid != 0 {
		cs.ExecutorPID = new(uint32(r.pid))
	}
	return &cs
}

// executorClosed: an executor whose connection broke may come back, as long as
// its container lives.
func (a *Agent) executorClosed(stream string) {
	r := a.streams[stream]
	if r == nil {
		return
	}
	delete(a.streams, stream)
	r.stream = ""
}
