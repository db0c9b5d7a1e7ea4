package scheduler

import "fmt"

// Check returns the first of the machine's invariants that does not hold after a
// Step, and nil when all do; they stand on the fields of Machine. It is for
// tests and the simulator: an error is a fault of this package.
func (m *Machine) Check() error {
	if !m.identitySaved && !m.effects.Done {
		return fmt.Errorf("the identity was not saved")
	}
	if !m.connected && (len(m.offers.byID) > 0 || m.unanswered.len() > 0) {
		return fmt.Errorf("not connected: %d offers held, %d tasks asked for", len(m.offers.byID), m.unanswered.len())
	}
	if err := m.checkOffers(); err != nil {
		return err
	}
	for id := range m.unanswered.all("") {
		if t, ok := m.tasks.at(id); !ok || Terminal(t.Status.GetState()) {
			return fmt.Errorf("task %q is asked for and not known, or over", id)
		}
	}
	for id, t := range m.tasks.all("") {
		over := Terminal(t.Status.GetState())
		if t.Killing && !over && !m.kills.has(id) {
			return fmt.Errorf("task %q is to be killed and is not", id)
		}
		if over && m.agenda.has(alarm{alarmAsk, id}) {
			return fmt.Errorf("task %q is over and watched", id)
		}
	}
	for id, op := range m.operations.all("") {
		if operationEnded(op.Status.State) {
			return fmt.Errorf("operation %q has ended and is known", id)
		}
	}
	for id := range m.kills.all("") {
		if t, ok := m.tasks.at(id); ok && !t.Killing && !Terminal(t.Status.GetState()) {
			return fmt.Errorf("task %q is killed and nobody decided it", id)
		}
		// With a teardown under way all of them die of that.
		if m.agenda.has(alarm{alarmKill, id}) != m.connected && !m.identity.Teardown {
			return fmt.Errorf("kill of task %q: repeated %v, connected %v", id, !m.connected, m.connected)
		}
	}
	return nil
}

func (m *Machine) checkOffers() error {
	if len(m.offers.loose) > 0 || len(m.offers.byID) != m.offers.order.len() {
		return fmt.Errorf("%d offers unsettled, %d by id, %d in order", len(m.offers.loose), len(m.offers.byID), m.offers.order.len())
	}
	for _, o := range m.offers.order.all("") {
		id := o.offer.ID.Value
		if o.until.IsZero() || !m.agenda.has(alarm{alarmHold, id}) || o.until.After(o.came.Add(MaxHold)) {
			return fmt.Errorf("offer %q is held without an end, or too long", id)
		}
	}
	return nil
}
