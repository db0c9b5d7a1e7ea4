package scheduler

import (
	"crypto/sha256"
	"iter"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// View is what a handler may know when it decides: the world as the machine
// has it after the event. It is read only, and valid during Handle.
type View struct {
	m    *Machine
	step uint64
}

// Follows says whether this decision comes after an earlier one of the same
// machine. A handler that keeps what it has made of records may only use it
// again where that is so, and where the records are still those: asked twice
// on one view, or after another start, it has nothing but the view.
func (v View) Follows(earlier View) bool { return v.m == earlier.m && v.step > earlier.step }

// Now is the time of the event.
func (v View) Now() time.Time { return v.m.now }

// Steady is since when Now has gone on evenly: since the first event of this
// process, or since the clock of its machine was last set. How much time lies
// between now and a time that was stored before, nobody knows.
func (v View) Steady() time.Time { return v.m.steady }

// Due says whether the time of a WakeAt with this key came with this event.
func (v View) Due(key string) bool { return slices.Contains(v.m.due, key) }

// FrameworkID is empty before the first subscription.
func (v View) FrameworkID() string { return v.m.identity.FrameworkID }

// Connected says whether calls can reach the master now.
func (v View) Connected() bool { return v.m.connected }

// Master is the master that took the last subscription, and tells what it can
// do; zero before the first.
func (v View) Master() Master { return v.m.master }

// Reconciled says whether every task known has answered since the last
// subscription; until then the state of a task may be out of date.
func (v View) Reconciled() bool { return v.m.connected && v.m.unanswered.len() == 0 }

// Offers are all the offers held, ordered by agent id and then offer id.
func (v View) Offers() iter.Seq[*mesos.Offer] {
	return func(yield func(*mesos.Offer) bool) {
		for _, o := range v.m.offers.order.all("") {
			if !yield(&o.offer) {
				return
			}
		}
	}
}

// InverseOffers are the agents that are asked for back and not answered for,
// ordered by offer id.
func (v View) InverseOffers() iter.Seq[*mesos.InverseOffer] {
	return func(yield func(*mesos.InverseOffer) bool) {
		for _, o := range v.m.inverse.all("") {
			if !yield(o) {
				return
			}
		}
	}
}

// Task returns what is known of one task.
func (v View) Task(id string) (Task, bool) {
	t, ok := v.m.tasks.at(id)
	if !ok {
		return Task{}, false
	}
	return t.Task, true
}

// Tasks are all the tasks known, ordered by id.
func (v View) Tasks() iter.Seq[Task] {
	return func(yield func(Task) bool) {
		for _, t := range v.m.tasks.all("") {
			if !yield(t.Task) {
				return
			}
		}
	}
}

// Operation returns what is known of an operation that was sent with an id and
// has not ended before this event.
func (v View) Operation(id string) (Operation, bool) {
	op, ok := v.m.operations.at(id)
	if !ok {
		return Operation{}, false
	}
	return *op, true
}

// Operations are all the operations that Operation knows, ordered by id.
func (v View) Operations() iter.Seq[Operation] {
	return func(yield func(Operation) bool) {
		for _, op := range v.m.operations.all("") {
			if !yield(*op) {
				return
			}
		}
	}
}

// Record returns what Remember stored under key. It must not be changed.
func (v View) Record(key string) ([]byte, bool) {
	return v.m.records.at(key)
}

// Records are all the records whose keys start with prefix, ordered by key.
func (v View) Records(prefix string) iter.Seq2[string, []byte] {
	return v.m.records.all(prefix)
}

// Running says whether a job of that name is running.
func (v View) Running(job string) bool { return v.m.jobs[job] }

// Random returns 16 bytes that look random, differ by label and by
// deployment, and are the same whenever they are asked for: identifiers that
// are made once. They are the head of the SHA-256 of the deployment's seed and
// the label.
func (v View) Random(label string) [16]byte {
	sum := sha256.Sum256(append(slices.Clone(v.m.identity.Seed), label...))
	return [16]byte(sum[:16])
}

// Status is what the machine has to do with after the last Step. It costs the
// same however much that is.
func (m *Machine) Status() Status {
	return Status{
		FrameworkID: m.identity.FrameworkID, Connected: m.connected, Master: m.master,
		Reconciled: View{m: m}.Reconciled(), Unanswered: m.unanswered.len(),
		Tasks: m.tasks.len(), Kills: m.kills.len(), Operations: m.operations.len(),
		Offers: len(m.offers.byID), Jobs: len(m.jobs),
	}
}
