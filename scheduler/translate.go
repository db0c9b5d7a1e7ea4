package scheduler

import (
	"time"

	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// EventOf makes an event for a Machine of one of the master. HEARTBEAT and types that
// are newer than this program become none.
func EventOf(wire *sched.Event) Event {
	switch wire.Type {
	case sched.Event_SUBSCRIBED:
		if s := wire.Subscribed; s != nil {
			interval := time.Duration(s.GetHeartbeatIntervalSeconds() * float64(time.Second))
			return Subscribed{FrameworkID: s.GetFrameworkID().GetValue(), Master: s.MasterInfo, Heartbeat: interval}
		}
	case sched.Event_OFFERS:
		if o := wire.Offers; o != nil {
			return Offered{Offers: o.Offers}
		}
	case sched.Event_RESCIND:
		if r := wire.Rescind; r != nil {
			return Rescinded{Offer: r.OfferID.Value}
		}
	case sched.Event_INVERSE_OFFERS:
		if o := wire.InverseOffers; o != nil {
			return InverseOffered{Offers: o.InverseOffers}
		}
	case sched.Event_RESCIND_INVERSE_OFFER:
		if r := wire.RescindInverseOffer; r != nil {
			return InverseRescinded{Offer: r.InverseOfferID.Value}
		}
	case sched.Event_UPDATE:
		if u := wire.Update; u != nil {
			return Updated{Status: u.Status}
		}
	case sched.Event_UPDATE_OPERATION_STATUS:
		if u := wire.UpdateOperationStatus; u != nil {
			return OperationUpdated{Status: u.Status}
		}
	case sched.Event_MESSAGE:
		if m := wire.Message; m != nil {
			return Messaged{Agent: m.AgentID.Value, Executor: m.ExecutorID.Value, Data: m.Data}
		}
	case sched.Event_FAILURE:
		return failure(wire.Failure)
	}
	return nil
}

func failure(f *sched.Event_Failure) Event {
	if f == nil {
		return nil
	}
	agent := ""
	if f.AgentID != nil {
		agent = f.AgentID.Value
	}
	if f.ExecutorID == nil {
		return AgentLost{Agent: agent}
	}
	return ExecutorLost{Agent: agent, Executor: f.ExecutorID.Value, Status: int(f.GetStatus())}
}
