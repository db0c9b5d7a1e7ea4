package mesostest

import (
	"slices"
	"strings"
)

// The differences from the recordings that are allowed, each with its reason.
// The list should end empty.

// allowedEvent returns the recorded event with what may differ taken from what
// came.
func allowedEvent(scenario string, want, got object) object {
	if scenario == "kill_policy_grace_period" {
		// The recorder killed the task before its shell had come to set
		// the trap (a real agent takes a while to start it); here the trap
		// is mostly set, and the task is killed after its grace period.
		const killed = "Command terminated with signal Killed"
		if s, ok := dig(want, "update", "status").(object); ok && s["state"] == "TASK_KILLED" && text(got, "update", "status", "message") == killed {
			s["message"] = killed
		}
	}
	if text(want, "type") == "UPDATE_OPERATION_STATUS" {
		// The recorder left the UUIDs of operations as they were.
		if w, ok := dig(want, "update_operation_status", "status", "uuid").(object); ok {
			w["value"] = "<time>"
		}
	}
	return want
}

// allowedExecutor does the same for what an executor saw.
func allowedExecutor(want object) object {
	env, _ := want["env"].(object)
	for k := range env {
		// There is no libmesos.
		if strings.HasPrefix(k, "MESOS_NATIVE") {
			delete(env, k)
		}
	}
	return want
}

// allowedOutput drops recorded lines of output.
func allowedOutput(lines []any) []any {
	return slices.DeleteFunc(slices.Clone(lines), func(v any) bool {
		// There is no libmesos.
		return strings.HasPrefix(v.(string), "MESOS_NATIVE")
	})
}
