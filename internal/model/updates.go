package model

import (
	"bytes"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// updateStream holds the statuses of one task that are not acknowledged, in
// order. Only the first is sent, again and again.
type updateStream struct {
	key     ref
	pending []mesos.TaskStatus
	latest  mesos.TaskState
	retryAt time.Time
	pause   time.Duration
}

// operationStream is the same for the one status of an operation.
type operationStream struct {
	op      Operation
	retryAt time.Time
	pause   time.Duration
}

// report queues a status for the master.
func (a *Agent) report(framework string, s mesos.TaskStatus, latest mesos.TaskState) {
	if f := a.frameworks[framework]; f != nil && f.ending {
		return
	}
	key := ref{framework, s.TaskID.Value}
	u := a.updates[key]
	if u == nil {
		u = &updateStream{key: key, pause: a.cfg.RetryMin}
		a.updates[key] = u
	}
	for i := range u.pending {
		if bytes.Equal(u.pending[i].UUID, s.UUID) {
			return // an executor repeats itself
		}
	}
	u.latest = latest
	u.pending = append(u.pending, s)
	if len(u.pending) == 1 {
		a.sendUpdate(u)
	}
}

func (a *Agent) sendUpdate(u *updateStream) {
	if len(u.pending) == 0 {
		return
	}
	u.retryAt = a.now.Add(u.pause)
	a.tell(StatusUpdate{Framework: u.key.framework, Status: u.pending[0], Latest: u.latest})
}

func (a *Agent) sendOperation(s *operationStream) {
	s.retryAt = a.now.Add(s.pause)
	a.tell(OperationUpdate{Framework: s.op.Framework, UUID: s.op.UUID, Status: s.op.Status})
}

func (a *Agent) retryUpdates() {
	for _, key := range sortedRefs(a.updates) {
		if u := a.updates[key]; !u.retryAt.IsZero() && !a.now.Before(u.retryAt) {
			u.pause = min(2*u.pause, a.cfg.RetryMax)
			a.sendUpdate(u)
		}
	}
	for _, uuid := range sortedKeys(a.operations) {
		if s := a.operations[uuid]; !a.now.Before(s.retryAt) {
			s.pause = min(2*s.pause, a.cfg.RetryMax)
			a.sendOperation(s)
		}
	}
}

// acknowledged moves a task's stream on.
func (a *Agent) acknowledged(msg AcknowledgeStatus) {
	key := ref{msg.Framework, msg.Task}
	u := a.updates[key]
	if u == nil || len(u.pending) == 0 || !bytes.Equal(u.pending[0].UUID, msg.UUID) {
		return // acknowledged before
	}
	done := terminal(u.pending[0].GetState())
	u.pending = u.pending[1:]
	u.retryAt, u.pause = time.Time{}, a.cfg.RetryMin
	if done {
		delete(a.updates, key)
		a.taskDone(key)
		return
	}
	a.sendUpdate(u)
}
