package scheduler_test

import (
	"net/http"
	"sync"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/state"
)

// conversation makes a scheduler send a call of each kind, one by one. What it
// sends on each event is in the order of the events.
var conversation = []struct {
	call sched.Call_Type
	// prompt is what the master says.
	prompt *sched.Event
	// decide is the handler's answer; nil: the machine knows by itself.
	decide []scheduler.Action
}{
	{sched.Call_REVIVE, nil, []scheduler.Action{scheduler.Want{Offers: true}}},
	{sched.Call_ACCEPT, offersEvent(offer("o1", "a1")), []scheduler.Action{launch(new(offer("o1", "a1")), "t")}},
	{sched.Call_ACKNOWLEDGE, updateEvent(status("t", "a1", mesos.TASK_RUNNING, "0123456789abcdef")), nil},
	{sched.Call_DECLINE, offersEvent(offer("o2", "a1")), nil},
	{sched.Call_MESSAGE, nil, []scheduler.Action{scheduler.Message{Agent: "a1", Executor: "e", Data: []byte("x")}}},
	{sched.Call_UPDATE_FRAMEWORK, nil, []scheduler.Action{scheduler.Register{Framework: mesos.FrameworkInfo{Roles: []string{"a", "b"}}}}},
	{sched.Call_ACCEPT_INVERSE_OFFERS, inverseEvent("i1"), []scheduler.Action{scheduler.Yield{Offers: []mesos.OfferID{{Value: "i1"}}, Agree: true}}},
	{sched.Call_DECLINE_INVERSE_OFFERS, inverseEvent("i2"), []scheduler.Action{scheduler.Yield{Offers: []mesos.OfferID{{Value: "i2"}}}}},
	{sched.Call_ACCEPT, offersEvent(offer("o3", "a1")), []scheduler.Action{scheduler.Accept{
		Offers: []mesos.OfferID{{Value: "o3"}},
		Operations: []mesos.Offer_Operation{{
			Type: mesos.Offer_Operation_RESERVE, ID: &mesos.OperationID{Value: "op"}, Reserve: &mesos.Offer_Operation_Reserve{},
		}},
	}}},
	{sched.Call_RECONCILE, nil, nil},            // the stream is cut, and another comes
	{sched.Call_RECONCILE_OPERATIONS, nil, nil}, // which begins with these two
	{sched.Call_ACKNOWLEDGE_OPERATION_STATUS, operationEvent("op"), nil},
	{sched.Call_KILL, nil, []scheduler.Action{scheduler.Kill{Task: "t"}}},
	{sched.Call_SHUTDOWN, nil, []scheduler.Action{scheduler.Shutdown{Agent: "a1", Executor: "e"}}},
	{sched.Call_SUPPRESS, nil, []scheduler.Action{scheduler.Want{}}},
	{sched.Call_TEARDOWN, nil, []scheduler.Action{scheduler.Teardown{}}},
}

func inverseEvent(id string) *sched.Event {
	return &sched.Event{Type: sched.Event_INVERSE_OFFERS, InverseOffers: &sched.Event_InverseOffers{InverseOffers: []mesos.InverseOffer{{
		OfferID: mesos.OfferID{Value: id}, AgentID: &mesos.AgentID{Value: "a1"}, FrameworkID: mesos.FrameworkID{Value: "fw-1"},
	}}}}
}

func operationEvent(id string) *sched.Event {
	return &sched.Event{Type: sched.Event_UPDATE_OPERATION_STATUS, UpdateOperationStatus: &sched.Event_UpdateOperationStatus{
		Status: mesos.OperationStatus{
			OperationID: &mesos.OperationID{Value: id}, State: mesos.OPERATION_FINISHED,
			UUID: &mesos.UUID{Value: []byte("0123456789abcdef")}, AgentID: &mesos.AgentID{Value: "a1"},
		},
	}}
}

// scripted decides what the conversation says, at a prompt of the master or of a
// command.
type scripted struct{ turn *turn }

type turn struct {
	mu     sync.Mutex
	decide []scheduler.Action
}

func (s scripted) Handle(_ scheduler.View, ev scheduler.Event) []scheduler.Action {
	s.turn.mu.Lock()
	defer s.turn.mu.Unlock()
	switch ev := ev.(type) {
	case scheduler.Tick: // before the first subscription, and at no time that the test knows
		return nil
	case scheduler.Command:
		decide := append(s.turn.decide, scheduler.Answer{Command: ev.ID})
		s.turn.decide = nil
		return decide
	case scheduler.Offered, scheduler.InverseOffered:
		decide := s.turn.decide
		s.turn.decide = nil
		return decide
	}
	return nil
}

// TestRunBringsEveryCallToTheLeader lets each kind of call meet a fault once, and
// holds that it arrives all the same, once, on the subscription that it is of.
func TestRunBringsEveryCallToTheLeader(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		code  int
		tries int // that fail, of each kind
	}{
		{"503", http.StatusServiceUnavailable, 1},
		{"307", http.StatusTemporaryRedirect, 1},
		{"307 to nowhere", http.StatusTemporaryRedirect, 1},
		{"429", http.StatusTooManyRequests, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := newMaster(t)
			var mu sync.Mutex
			failed := map[string]int{}
			m.replies(func(_ *http.Request, call *sched.Call) (int, string, string) {
				mu.Lock()
				defer mu.Unlock()
				if failed[call.Type.String()] == c.tries {
					return 0, "", ""
				}
				failed[call.Type.String()]++
				if c.name == "307" {
					return c.code, "", "//" + m.address() + "/master/api/v1/scheduler"
				}
				return c.code, "", ""
			})
			converse(t, m)
			mu.Lock()
			defer mu.Unlock()
			kinds := map[string]int{"SUBSCRIBE": c.tries}
			for _, said := range conversation {
				kinds[said.call.String()] = c.tries
			}
			assert.Equal(t, kinds, failed, "every kind of call has met the fault")
		})
	}
}

// converse runs a scheduler through the conversation, and holds that each call
// arrives once, in its turn.
func converse(t *testing.T, m *scriptedMaster) {
	t.Helper()
	turn, box := &turn{}, &scheduler.Mailbox{}
	r := start(t, scheduler.Config{
		Master: m.address(), Handler: scripted{turn}, Mailbox: box, Store: state.NewMemory(),
		Framework: mesos.FrameworkInfo{Roles: []string{"a"}},
	})
	s := m.subscribed()
	// A filter, so that REVIVE has something to do.
	s.send(offersEvent(offer("o0", "a1")))
	m.call(sched.Call_DECLINE)
	for i, said := range conversation {
		turn.mu.Lock()
		turn.decide = said.decide
		turn.mu.Unlock()
		switch {
		case said.call == sched.Call_RECONCILE:
			s.cut("")
			s = m.subscribed()
		case said.call == sched.Call_RECONCILE_OPERATIONS:
		case said.prompt != nil:
			s.send(said.prompt)
		default:
			_, err := box.Send(t.Context(), "go on")
			require.NoError(t, err)
		}
		got := m.call(said.call)
		require.Equal(t, s.id, got.streamID, "call %d: %s", i, said.call)
		if said.call == sched.Call_RECONCILE {
			again := status("t", "a1", mesos.TASK_RUNNING, "")
			again.Reason = mesos.REASON_RECONCILIATION.Enum()
			s.send(updateEvent(again))
		}
	}
	require.NoError(t, r.end(), "the teardown was taken")
	for len(m.calls) > 0 {
		twice := <-m.calls
		assert.Equal(t, sched.Call_KILL, twice.Type, "only a kill is repeated: %v", twice)
	}
	assert.Empty(t, m.streams, "it has not subscribed again")
}
