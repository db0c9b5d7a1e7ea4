package scheduler

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/scheduler/state"
)

// Machine decides. It has no clock, no randomness, no goroutine, no lock, no
// log and does no I/O: equal histories of Step give equal effects. Run drives
// it in production, the simulator in tests.
type Machine struct {
	handler Handler
	// AdoptUnknown leaves tasks alone that Mesos knows of and the machine does
	// not. By default they are killed: no record says what they are for. It is
	// set before the first Step.
	AdoptUnknown bool

	now           time.Time // of the last Step; never goes back
	steady        time.Time // since when it has gone on evenly
	steps         uint64    // so far
	identity      identity
	identitySaved bool // the identity is in the store, or in effects.Save
	connected     bool
	offers        offerSet                   // empty while not connected
	inverse       index[*mesos.InverseOffer] // by offer id; empty while not connected
	tasks         index[*task]
	// kills are repeated until the task ends. Its keys are the tasks that are
	// Killing and not terminal, and the tasks that run against our will: those
	// unknown to us or over in our books.
	kills index[*kill]
	// unanswered holds the tasks that reconciliation still asks for, all of
	// them in tasks. It is empty while not connected.
	unanswered index[struct{}]
	operations index[*Operation] // by id: those under way
	round      time.Duration     // until the next round of reconciliation
	surveyed   bool              // Mesos was asked for tasks unknown to us since we began
	records    index[[]byte]     // the handler's own
	jobs       map[string]bool
	demand     demand
	agenda     agenda
	due        []string // the keys of each WakeAt whose time came in the Step under way

	registration registration
	master       Master // of the last subscription

	effects Effects        // of the Step under way
	saved   map[string]int // by key, where effects.Save has it
}

// Effects are carried out in field order.
type Effects struct {
	Save []state.Record // durable before anything below; a failed save ends Run
	Send []*sched.Call  // in order, on the current subscription; dropped if it is gone
	// Constraints go with an UPDATE_FRAMEWORK call of Send, as its
	// offer_constraints, for which mesos-go has no field.
	Constraints constraints.OfferConstraints
	Start       []Job     // outcomes come back as JobDone
	Cancel      []string  // the contexts of these jobs end
	Answer      []Answer  // to operators who wait
	Note        []Note    // to the log and the journal
	Wake        time.Time // Step(now, Tick{}) no later than this; zero: never
	Done        bool      // the framework was torn down: Run ends

	// Declined is what the DECLINE calls of Send are for, by reason. It is for
	// metrics; nothing has to be done for it.
	Declined []Decline
}

type task struct {
	Task
	grace  time.Duration // of the kill, where Killing
	reason string        // of the kill, where Killing
}

func (t *task) agent() string {
	if id := t.Status.AgentID; id != nil {
		return id.Value
	}
	return t.Info.AgentID.Value
}

// NewMachine returns a machine that goes on from the records of a store, or
// begins anew where there are none. A new deployment keeps seed, which should
// be random and at least 16 bytes; it is in the first effects to be saved. A
// record that cannot be read is an error that names it.
func NewMachine(handler Handler, seed []byte, records []state.Record) (*Machine, error) {
	if handler == nil {
		return nil, errors.New("scheduler: the handler is nil: a machine needs a policy")
	}
	m := &Machine{handler: handler, identity: identity{Seed: bytes.Clone(seed)}, jobs: map[string]bool{}}
	if err := m.restore(records); err != nil {
		return nil, fmt.Errorf("scheduler: restore: %w", err)
	}
	return m, nil
}

// Step applies one event at time now and returns what must happen next. It is
// deterministic: equal histories give equal effects. A time before that of an
// earlier Step counts as that one.
func (m *Machine) Step(now time.Time, ev Event) Effects {
	if m.steady.IsZero() || wasSet(now.Round(0).Sub(m.steady.Round(0)), now.Sub(m.steady)) {
		m.steady = now
	}
	if now.After(m.now) {
		m.now = now
	}
	m.steps++
	m.effects, m.saved, m.due = Effects{}, map[string]int{}, nil
	if !m.identitySaved {
		m.saveIdentity()
	}
	if m.apply(ev) {
		for _, action := range m.handler.Handle(View{m, m.steps}, ev) {
			m.act(action)
		}
	}
	m.forgetOperation(ev)
	m.steerOffers()
	m.declineRest()
	m.sendDeclines()
	m.effects.Wake = m.agenda.next()
	return m.effects
}

// wasSet says whether the machine's clock was set while so much time passed by the
// wall and, in truth, by the monotonic clock. (Adjustments of its speed concern
// both.)
func wasSet(wall, elapsed time.Duration) bool { return (wall - elapsed).Abs() > clockError }

// clockError is by how much the two may differ in one process.
const clockError = 100 * time.Millisecond

// save puts a record into the effects; the last one for a key stays. A nil
// value deletes the key.
func (m *Machine) save(key string, value []byte) {
	record := state.Record{Key: key, Value: value}
	if i, ok := m.saved[key]; ok {
		m.effects.Save[i] = record
		return
	}
	m.saved[key] = len(m.effects.Save)
	m.effects.Save = append(m.effects.Save, record)
}

func (m *Machine) saveIdentity() {
	m.identitySaved = true
	m.save(keyIdentity, mustMarshal(json.Marshal(m.identity)))
}

func (m *Machine) saveStatus(t *task) {
	m.save(prefixStatus+t.Info.TaskID.Value, encodeStatus(t))
}

// send puts a call into the effects, unless nobody would hear it.
func (m *Machine) send(call *sched.Call) {
	if !m.connected {
		return
	}
	call.FrameworkID = &mesos.FrameworkID{Value: m.identity.FrameworkID}
	m.effects.Send = append(m.effects.Send, call)
}

func (m *Machine) note(text string, attrs ...slog.Attr) {
	m.effects.Note = append(m.effects.Note, Note{Text: text, Attrs: attrs})
}
