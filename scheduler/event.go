package scheduler

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Event is something that happened outside the machine. It is one of the
// types in this file; Step is the only thing that consumes it. What it holds is
// to be read and not changed: offers that came together share what is equal.
type Event interface{ event() }

// Subscribed says that the master accepted the subscription. All offers of an
// earlier subscription are void.
type Subscribed struct {
	FrameworkID string
	Master      *mesos.MasterInfo // nil where the master does not say
	Heartbeat   time.Duration     // between heartbeats; zero where the master sends none
}

// Disconnected says that the subscription ended. Calls of earlier effects that
// had not left are dropped, and so are all offers held.
type Disconnected struct{ Reason string }

// Removed says that the master knows the framework no more and has killed its
// tasks: it took the Teardown that was sent, or the failover timeout passed
// without us and the operator asked to register anew.
type Removed struct{}

// Offered brings new offers.
type Offered struct{ Offers []mesos.Offer }

// Rescinded takes one offer back. It may cross an accept on its way; the
// launch then ends in TASK_DROPPED (TASK_LOST for a framework that is not
// partition aware).
type Rescinded struct{ Offer string }

// InverseOffered asks for agents back: each offer names an agent, and from when
// and for how long it will not be available. They are in the View until they
// are answered, rescinded, or void.
type InverseOffered struct{ Offers []mesos.InverseOffer }

// InverseRescinded says that an agent is not asked for any more, or otherwise.
type InverseRescinded struct{ Offer string }

// Updated brings the status of a task. The machine acknowledges it after the
// save; a handler never does.
type Updated struct{ Status mesos.TaskStatus }

// OperationUpdated brings the status of an offer operation that was sent with
// an operation id. When it has ended this is the last that the view shows of it.
type OperationUpdated struct{ Status mesos.OperationStatus }

// AgentLost says that the master removed an agent. What happens to each task
// of it is told by an Updated of its own.
type AgentLost struct{ Agent string }

// ExecutorLost says that an executor ended. Status is its wait status.
type ExecutorLost struct {
	Agent, Executor string
	Status          int
}

// Messaged brings data that an executor sent. Mesos delivers messages at most
// once and may lose them.
type Messaged struct {
	Agent, Executor string
	Data            []byte
}

// Tick says that time has passed; the machine asked for it with Effects.Wake.
type Tick struct{}

// Command is a value that an operator sent in through a Mailbox. The handler
// answers it with an Answer that carries the same ID, now or later.
type Command struct {
	ID    uint64
	Value any
}

// JobProgress is what a job has to tell before it is done; see Progress.
type JobProgress struct {
	Name string
	Data []byte
}

// JobDone is the outcome of a Job. Err is empty on success.
type JobDone struct {
	Name   string
	Result []byte
	Err    string
}

func (Subscribed) event()       {}
func (Disconnected) event()     {}
func (Removed) event()          {}
func (Offered) event()          {}
func (Rescinded) event()        {}
func (InverseOffered) event()   {}
func (InverseRescinded) event() {}
func (Updated) event()          {}
func (OperationUpdated) event() {}
func (AgentLost) event()        {}
func (ExecutorLost) event()     {}
func (Messaged) event()         {}
func (Tick) event()             {}
func (Command) event()          {}
func (JobProgress) event()      {}
func (JobDone) event()          {}
