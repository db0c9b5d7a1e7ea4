package scheduler_test

import (
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"

	"github.com/mesokit/mesokit/scheduler"
)

func TestEventOf(t *testing.T) {
	t.Parallel()
	agent, executor, status := mesos.AgentID{Value: "a1"}, mesos.ExecutorID{Value: "e1"}, int32(9)
	master := &mesos.MasterInfo{ID: "m"}
	subscribed := subscribedEvent("fw", 1.5)
	subscribed.Subscribed.MasterInfo = master
	offers := []mesos.Offer{offer("o1", "a1")}
	inverse := []mesos.InverseOffer{{OfferID: mesos.OfferID{Value: "i1"}}}
	operation := mesos.OperationStatus{OperationID: &mesos.OperationID{Value: "op"}}
	for _, c := range []struct {
		name string
		wire *sched.Event
		want scheduler.Event
	}{
		{"subscribed", subscribed, scheduler.Subscribed{FrameworkID: "fw", Master: master, Heartbeat: 1500 * time.Millisecond}},
		{"offers", offersEvent(offers...), scheduler.Offered{Offers: offers}},
		{"rescind", &sched.Event{Type: sched.Event_RESCIND, Rescind: &sched.Event_Rescind{OfferID: mesos.OfferID{Value: "o1"}}}, scheduler.Rescinded{Offer: "o1"}},
		{"inverse offers", &sched.Event{Type: sched.Event_INVERSE_OFFERS, InverseOffers: &sched.Event_InverseOffers{InverseOffers: inverse}}, scheduler.InverseOffered{Offers: inverse}},
		{"rescind inverse", &sched.Event{Type: sched.Event_RESCIND_INVERSE_OFFER, RescindInverseOffer: &sched.Event_RescindInverseOffer{InverseOfferID: mesos.OfferID{Value: "i1"}}}, scheduler.InverseRescinded{Offer: "i1"}},
		{"update", updateEvent(mesos.TaskStatus{Message: new(string)}), scheduler.Updated{Status: mesos.TaskStatus{Message: new(string)}}},
		{"operation", &sched.Event{Type: sched.Event_UPDATE_OPERATION_STATUS, UpdateOperationStatus: &sched.Event_UpdateOperationStatus{Status: operation}}, scheduler.OperationUpdated{Status: operation}},
		{"message", &sched.Event{Type: sched.Event_MESSAGE, Message: &sched.Event_Message{AgentID: agent, ExecutorID: executor, Data: []byte("x")}}, scheduler.Messaged{Agent: "a1", Executor: "e1", Data: []byte("x")}},
		{"agent", &sched.Event{Type: sched.Event_FAILURE, Failure: &sched.Event_Failure{AgentID: &agent}}, scheduler.AgentLost{Agent: "a1"}},
		{"executor", &sched.Event{Type: sched.Event_FAILURE, Failure: &sched.Event_Failure{AgentID: &agent, ExecutorID: &executor, Status: &status}}, scheduler.ExecutorLost{Agent: "a1", Executor: "e1", Status: 9}},
		{"heartbeat", &sched.Event{Type: sched.Event_HEARTBEAT}, nil},
		{"newer than we", &sched.Event{Type: 99}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, c.want, scheduler.EventOf(c.wire))
		})
	}
	for kind := range sched.Event_Type_name { // a type without its message is nothing
		assert.Nil(t, scheduler.EventOf(&sched.Event{Type: sched.Event_Type(kind)}))
	}
}
