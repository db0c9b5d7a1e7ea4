package scheduler

import (
	"context"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Handler is the policy of a framework: a pure function of the view and the
// event. It keeps no memory of its own; what it must know later it stores with
// Remember and reads back from the View. The same value serves before and
// after a crash, and the simulator may call it twice on one view and fails
// when the answers differ.
//
// It is asked once before the first subscription, with a Tick, so that this one
// can say already what is wanted.
//
// A handler may also implement Worker (it starts jobs) and Described (it
// knows its own FrameworkInfo).
type Handler interface {
	Handle(v View, ev Event) []Action
}

// HandlerFunc makes a Handler of a function.
type HandlerFunc func(v View, ev Event) []Action

// Handle calls f.
func (f HandlerFunc) Handle(v View, ev Event) []Action { return f(v, ev) }

// Worker carries out the jobs that a handler starts. Work runs on a goroutine
// of its own, outside the machine, until ctx ends; it must be idempotent. It may
// tell how far it is with Progress.
type Worker interface {
	Work(ctx context.Context, job Job) ([]byte, error)
}

// Described is a handler that knows how its framework is to be registered.
// What Config.Framework sets goes first.
type Described interface {
	Framework() mesos.FrameworkInfo
}

// Validated is a handler that can be declared wrongly. Run ends with the error
// before it does anything.
type Validated interface {
	Validate() error
}

// Task is one incarnation of something that runs, as the machine knows it.
type Task struct {
	Info   mesos.TaskInfo
	Status mesos.TaskStatus // the last one saved; TASK_STAGING until the first arrives
	// Since is when Status.State last changed, by the scheduler's clock.
	Since time.Time
	// Killing says that a kill was decided and is repeated until the task ends.
	Killing bool
}

// Operation is an offer operation under way that was sent with an id.
type Operation struct {
	ID     string
	Agent  string
	Type   mesos.Offer_Operation_Type
	Status mesos.OperationStatus // OPERATION_PENDING until one arrives
	Since  time.Time             // when Status.State last changed
}

// Terminal says whether a task in this state will never run again. Mesos has
// no words for it; UNREACHABLE is not terminal, since the agent may come back.
func Terminal(s mesos.TaskState) bool {
	switch s {
	case mesos.TASK_FINISHED, mesos.TASK_FAILED, mesos.TASK_KILLED, mesos.TASK_ERROR,
		mesos.TASK_LOST, mesos.TASK_DROPPED, mesos.TASK_GONE, mesos.TASK_GONE_BY_OPERATOR,
		mesos.TASK_UNKNOWN:
		return true
	}
	return false
}
