package mesostest

import (
	"fmt"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/state"
)

// How histories show events, calls and decisions: short, and with what a
// reader looks for.

func showEvent(ev scheduler.Event) string {
	switch ev := ev.(type) {
	case scheduler.Subscribed:
		return "SUBSCRIBED " + ev.FrameworkID
	case scheduler.Disconnected:
		return "DISCONNECTED " + ev.Reason
	case scheduler.Offered:
		var offers []string
		for _, o := range ev.Offers {
			offers = append(offers, o.ID.Value+" of "+o.Hostname)
		}
		return "OFFERS " + short(offers)
	case scheduler.Rescinded:
		return "RESCIND " + ev.Offer
	case scheduler.Updated:
		s := &ev.Status
		text := fmt.Sprintf("UPDATE %s %s", s.TaskID.Value, stateName(s.GetState()))
		if s.Reason != nil {
			text += " " + strings.TrimPrefix(s.Reason.String(), "REASON_")
		}
		if s.GetMessage() != "" {
			text += " (" + s.GetMessage() + ")"
		}
		return text
	case scheduler.OperationUpdated:
		return fmt.Sprintf("OPERATION %s %s", ev.Status.OperationID.GetValue(), ev.Status.State)
	case scheduler.AgentLost:
		return "AGENT LOST " + ev.Agent
	case scheduler.ExecutorLost:
		return "EXECUTOR LOST " + ev.Executor
	case scheduler.Messaged:
		return fmt.Sprintf("MESSAGE of %s: %.120q", ev.Executor, ev.Data)
	case scheduler.Tick:
		return "TICK"
	case scheduler.Command:
		return fmt.Sprintf("COMMAND %T%+v", ev.Value, ev.Value)
	case scheduler.JobDone:
		if ev.Err != "" {
			return fmt.Sprintf("JOB %s failed: %s", ev.Name, ev.Err)
		}
		return fmt.Sprintf("JOB %s done", ev.Name)
	}
	return fmt.Sprintf("%T%+v", ev, ev)
}

func showCall(call *sched.Call) string {
	name := call.Type.String()
	switch call.Type {
	case sched.Call_ACCEPT:
		var operations []string
		for i := range call.Accept.Operations {
			operations = append(operations, showOperation(&call.Accept.Operations[i]))
		}
		return fmt.Sprintf("%s %s: %s", name, showOffers(call.Accept.OfferIDs), strings.Join(operations, ", "))
	case sched.Call_DECLINE:
		return fmt.Sprintf("%s %s for %gs", name, showOffers(call.Decline.OfferIDs), call.Decline.Filters.GetRefuseSeconds())
	case sched.Call_ACKNOWLEDGE:
		return fmt.Sprintf("%s %s", name, call.Acknowledge.TaskID.Value)
	case sched.Call_KILL:
		return fmt.Sprintf("%s %s", name, call.Kill.TaskID.Value)
	case sched.Call_RECONCILE:
		var tasks []string
		for _, t := range call.Reconcile.Tasks {
			tasks = append(tasks, t.TaskID.Value)
		}
		return fmt.Sprintf("%s %s", name, short(tasks))
	}
	return name
}

func showOperation(op *mesos.Offer_Operation) string {
	var what []string
	for _, info := range op.GetLaunch().GetTaskInfos() {
		what = append(what, info.TaskID.Value)
	}
	for _, info := range op.GetLaunchGroup().GetTaskGroup().Tasks {
		what = append(what, info.TaskID.Value)
	}
	for _, r := range append(op.GetCreate().GetVolumes(), op.GetDestroy().GetVolumes()...) {
		what = append(what, r.GetDisk().GetPersistence().GetID())
	}
	return strings.TrimSpace(op.Type.String() + " " + strings.Join(what, " "))
}

func showOffers(ids []mesos.OfferID) string {
	var names []string
	for _, id := range ids {
		names = append(names, id.Value)
	}
	return short(names)
}

// short shows a list of names, at most six of them.
func short(names []string) string {
	const most = 6
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], " "), len(names)-most)
	}
	return strings.Join(names, " ")
}

func showNote(n scheduler.Note) string {
	var b strings.Builder
	b.WriteString(n.Text)
	for _, a := range n.Attrs {
		fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
	}
	return b.String()
}

func showActions(actions []scheduler.Action) string {
	var out []string
	for _, a := range actions {
		out = append(out, strings.TrimPrefix(fmt.Sprintf("%T%+v", a, a), "scheduler."))
	}
	return "[" + strings.Join(out, "; ") + "]"
}

func showKeys(batch []state.Record) string {
	var keys []string
	for _, r := range batch {
		key := r.Key
		if r.Value == nil {
			key = "-" + key
		}
		keys = append(keys, key)
	}
	return strings.Join(keys, " ")
}
