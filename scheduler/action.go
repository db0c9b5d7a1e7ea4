package scheduler

import (
	"log/slog"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/constraints"
)

// Action is what a handler decides. It is one of the types in this file.
type Action interface{ action() }

// Accept uses offers of one agent. Operations are applied in order (reserve
// before create before launch), as Mesos does. The tasks of LAUNCH and
// LAUNCH_GROUP operations are remembered before the call leaves; what the
// operations leave over comes back as a new offer. An operation with an id,
// which no other that is under way may have, is remembered too, and told of in
// an OperationUpdated.
type Accept struct {
	Offers     []mesos.OfferID
	Operations []mesos.Offer_Operation
}

// Decline gives offers back and does not want them again before Refuse has
// passed. Offers that a decision neither accepts, declines nor holds are
// declined by the machine.
type Decline struct {
	Offers []mesos.OfferID
	Refuse time.Duration
	Reason string // for the operator and the metrics: "no agent fits broker-2"
}

// Hold keeps offers for a later decision, at most until the given time.
type Hold struct {
	Offers []mesos.OfferID
	Until  time.Time
}

// Want says whether the handler has a use for offers. The machine suppresses
// when it has none, revives when it has again, and revives once more, clearing
// all filters, whenever Key (what is wanted, in any stable form) or Only changes.
//
// A handler says it for all its roles at once, or for a role by name: that word
// counts for the role from then on. What a handler says holds until it says
// something else, or the process ends.
type Want struct {
	Role   string // empty: all roles for which no word of their own was said
	Offers bool
	Key    string
	// Only are the agents whose offers are of use: those that pass all of one
	// group. Empty: any agent may be. A Placement's Prefilter makes them of
	// rules. Since Mesos 1.11 the master then makes no other offers; before
	// that, and for a moment after a change, it makes them all the same.
	Only []constraints.Group
}

// Register changes how the framework is registered while it runs: its roles, the
// address of its web page, and so on. Fields that are set replace those of
// Config.Framework. The last Register counts, until the process ends: like Want
// it is to be said again after a start. User, principal and checkpoint cannot
// change. Tasks and reservations of a role that the framework leaves stay.
type Register struct{ Framework mesos.FrameworkInfo }

// Yield answers inverse offers: the tasks on the agents will be gone in time,
// or not. Mesos takes note of it and does nothing more; it is the operator who
// waits, or does not.
type Yield struct {
	Offers []mesos.OfferID
	Agree  bool
	Refuse time.Duration // not to be asked again before
}

// Kill ends a task. The machine repeats it until a terminal status arrives.
type Kill struct {
	Task   string
	Grace  time.Duration // zero: the task's own kill policy
	Reason string
}

// Shutdown ends an executor with all its tasks, whose statuses say so. It is
// not repeated: kill the tasks where they have to end.
type Shutdown struct{ Agent, Executor string }

// Message sends data to an executor, at most once.
type Message struct {
	Agent, Executor string
	Data            []byte
}

// Remember stores a record of the handler's own under Key, before anything
// else of the same decision leaves. A nil Value forgets it.
type Remember struct {
	Key   string
	Value []byte
}

// Forget drops a terminal task from the machine's memory and the store.
type Forget struct{ Task string }

// Start runs a job outside the machine; its outcome arrives as JobDone. A job
// of a name that is already running is not started again.
type Start struct{ Job Job }

// Cancel ends the context of a running job, which then is done with an error.
type Cancel struct{ Job string }

// Answer replies to a Command, after everything decided with it is durable.
type Answer struct {
	Command uint64
	Value   any
	Err     error
}

// Note tells the operator of a change of state: one line of the log and of
// the event journal.
type Note struct {
	Text  string
	Attrs []slog.Attr
}

// WakeAt asks for a Tick no later than the given time. Of several with one Key
// the earliest counts; View.Due tells whose time has come.
type WakeAt struct {
	Time time.Time
	Key  string // whom it is for, where a handler is made of several
}

// Teardown ends the framework: Mesos kills what is left of its tasks, and Run
// returns nil once the master took the call.
type Teardown struct{}

func (Accept) action()   {}
func (Decline) action()  {}
func (Hold) action()     {}
func (Want) action()     {}
func (Register) action() {}
func (Yield) action()    {}
func (Kill) action()     {}
func (Shutdown) action() {}
func (Message) action()  {}
func (Remember) action() {}
func (Forget) action()   {}
func (Start) action()    {}
func (Cancel) action()   {}
func (Answer) action()   {}
func (Note) action()     {}
func (WakeAt) action()   {}
func (Teardown) action() {}

// Job is work outside Mesos: asking a ring for its state, moving partitions.
// It must be idempotent: after a crash the handler starts it again from what
// it remembered. One job of a name runs at a time.
type Job struct {
	Name    string        // unique while it runs, such as "ready/broker-0/3"
	Kind    string        // which of the handler's jobs it is
	Input   []byte        // what the job needs to know
	Value   any           // the same as a value, which must not be changed
	Timeout time.Duration // zero: 1 minute
	Delay   time.Duration // waits so long before it starts
}
