package scheduler

import (
	"cmp"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/mesokit/mesokit/scheduler/state"
)

// Machine decides. It has no clock, no randomness, no goroutine, no lock, no
// log and does no I/O: equal histories of Step give equal effects. Run drives
// it in production, the simulator in tests.
type Machine struct {
	handler   Handler
	now       time.Time
	identity  identity
	connected bool
	offers    map[string]*heldOffer // by offer id; empty while not connected
	tasks     map[string]*task      // by task id
	// unanswered holds the tasks that reconciliation still asks for; a subset
	// of the keys of tasks.
	unanswered map[string]bool
	records    map[string][]byte // the handler's own
	jobs       map[string]bool   // running, by name
}

// Effects are carried out in field order.
type Effects struct {
	Save   []state.Record    // durable before anything below; a failed save ends Run
	Send   []*scheduler.Call // in order, on the current subscription; dropped if it is gone
	Start  []Job             // outcomes come back as JobDone
	Answer []Answer          // to operators who wait
	Note   []Note            // to the log and the journal
	Wake   time.Time         // Step(now, Tick{}) no later than this; zero: never
	Done   bool              // the framework was torn down: Run ends
}

// identity is what the framework is, made once and kept.
type identity struct {
	FrameworkID string
	Seed        []byte
}

type heldOffer struct {
	offer mesos.Offer
	until time.Time
}

type task struct {
	Task
}

func byAgent(a, b *heldOffer) int {
	return cmp.Or(
		cmp.Compare(a.offer.AgentID.Value, b.offer.AgentID.Value),
		cmp.Compare(a.offer.ID.Value, b.offer.ID.Value),
	)
}
