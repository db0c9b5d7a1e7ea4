package scheduler_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/mesokit/mesokit/scheduler"
)

// audit holds what must be true of every history of effects, whatever the
// events and the handler.
type audit struct {
	saved map[string]bool // keys in the store
	used  map[string]bool // offers that were accepted or declined
}

// check takes the effects of the next Step in.
func (a *audit) check(t testing.TB, e scheduler.Effects) {
	t.Helper()
	if a.saved == nil {
		a.saved, a.used = map[string]bool{}, map[string]bool{}
	}
	keys := map[string]bool{}
	for _, r := range e.Save {
		if keys[r.Key] {
			t.Errorf("record %q is saved twice in one batch", r.Key)
		}
		keys[r.Key] = true
		a.saved[r.Key] = r.Value != nil
	}
	for _, call := range e.Send {
		a.checkCall(t, call)
	}
}

func (a *audit) checkCall(t testing.TB, call *sched.Call) {
	t.Helper()
	if !a.saved["identity"] {
		t.Errorf("%s leaves before the identity was saved", call.Type)
	}
	if call.FrameworkID.GetValue() == "" {
		t.Errorf("%s has no framework id", call.Type)
	}
	use := func(id string) {
		if a.used[id] {
			t.Errorf("offer %q is used twice", id)
		}
		a.used[id] = true
	}
	switch call.Type {
	case sched.Call_ACCEPT:
		for _, id := range call.Accept.OfferIDs {
			use(id.Value)
		}
		for _, op := range call.Accept.Operations {
			if op.ID != nil && !a.saved["operation/"+op.ID.Value] {
				t.Errorf("operation %q is sent before it was saved", op.ID.Value)
			}
			for _, info := range op.GetLaunch().GetTaskInfos() {
				if id := info.TaskID.Value; !a.saved["task/"+id] || !a.saved["status/"+id] {
					t.Errorf("task %q is launched before it was saved", id)
				}
			}
		}
	case sched.Call_DECLINE:
		for _, id := range call.Decline.OfferIDs {
			use(id.Value)
		}
	case sched.Call_UPDATE_FRAMEWORK:
		u := call.UpdateFramework
		for _, role := range u.SuppressedRoles {
			if !slices.Contains(u.FrameworkInfo.Roles, role) {
				t.Errorf("role %q is suppressed and not among %v", role, u.FrameworkInfo.Roles)
			}
		}
		if u.FrameworkInfo.ID.GetValue() != call.FrameworkID.Value {
			t.Errorf("UPDATE_FRAMEWORK has the ids %q and %q", u.FrameworkInfo.ID.GetValue(), call.FrameworkID.Value)
		}
	case sched.Call_ACKNOWLEDGE:
		if len(call.Acknowledge.UUID) == 0 || strings.TrimSpace(call.Acknowledge.AgentID.Value) == "" {
			t.Errorf("acknowledgement without uuid or agent")
		}
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
