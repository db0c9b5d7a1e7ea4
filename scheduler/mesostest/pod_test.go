package mesostest

import (
	"path/filepath"
	"testing"
)

// group accepts an offer with a task group on the default executor.
func (p *probe) group(offer any, tasks ...object) {
	p.t.Helper()
	for _, task := range tasks {
		task["name"], task["agent_id"] = text(task, "task_id", "value"), dig(offer, "agent_id")
		task["resources"] = []object{scalar("cpus", 0.1), scalar("mem", 32)}
	}
	p.call(object{"type": "ACCEPT", "accept": object{
		"offer_ids": []any{dig(offer, "id")},
		"operations": []object{{"type": "LAUNCH_GROUP", "launch_group": object{
			"executor": object{"type": "DEFAULT", "executor_id": object{"value": "pod"}, "framework_id": object{"value": p.id},
				"resources": []object{scalar("cpus", 0.1), scalar("mem", 32), scalar("disk", 1)}},
			"task_group": object{"tasks": tasks},
		}}},
		"filters": object{"refuse_seconds": 0},
	}})
}

// When one task of a group is killed the others are too, with the executor's
// own grace period.
func TestKillOneOfAGroup(t *testing.T) {
	t.Parallel()
	c := New(t, Agents(1, "cpus:2;mem:1024;disk:100"))
	p := newProbe(t, c, frameworkInfo("*"))
	sleep := object{"value": "exec sleep 600", "shell": true}
	p.group(dig(p.expect("OFFERS"), "offers", "offers", 0), task("t1", object{"command": sleep}),
		task("t2", object{"command": sleep, "kill_policy": object{"grace_period": object{"nanoseconds": 3600e9}}}))
	for _, id := range []string{"t1", "t2"} {
		p.expectUpdate(id, "TASK_STARTING")
		p.expectUpdate(id, "TASK_RUNNING")
	}
	executor := c.Agent(0).Sandbox(p.id, "pod")
	for _, process := range c.Agent(0).Processes() {
		if got := filepath.Dir(process.Sandbox); got != filepath.Join(executor, "containers") {
			t.Errorf("the sandbox of %s is in %s, want it in that of the executor, %s", process.TaskID, got, executor)
		}
	}
	p.call(object{"type": "KILL", "kill": object{"task_id": object{"value": "t1"}}})
	for _, id := range []string{"t1", "t2"} {
		if got := text(p.expectUpdate(id, "TASK_KILLED"), "message"); got != "Command terminated with signal Terminated" {
			t.Errorf("%s: %q", id, got)
		}
	}
	if got := text(p.expect("FAILURE"), "failure", "executor_id", "value"); got != "pod" {
		t.Errorf("executor %q has ended", got)
	}
}

// What these agents cannot isolate is refused, and not silently left out.
func TestContainersThatAreRefused(t *testing.T) {
	t.Parallel()
	c := New(t, Agents(1, "cpus:2;mem:1024;disk:100"))
	p := newProbe(t, c, frameworkInfo("*"))
	for _, tc := range []struct {
		id             string
		container      object
		reason, expect string
	}{
		{"docker", object{"type": "DOCKER", "docker": object{"image": "alpine"}},
			"REASON_EXECUTOR_TERMINATED", "Abnormal executor termination: unknown container"},
		{"image", object{"type": "MESOS", "mesos": object{"image": object{"type": "DOCKER", "docker": object{"name": "alpine"}}}},
			"REASON_CONTAINER_LAUNCH_FAILED", "Failed to launch container: Unsupported container image type: DOCKER"},
		{"volume", object{"type": "MESOS", "volumes": []object{{"mode": "RO", "container_path": "x", "host_path": "/tmp"}}},
			"REASON_CONTAINER_LAUNCH_FAILED", "Failed to launch container: Volumes in ContainerInfo is not supported"},
		{"network", object{"type": "MESOS", "network_infos": []object{{"name": "blue"}}},
			"REASON_CONTAINER_LAUNCH_FAILED", "Failed to launch container: Unknown CNI network 'blue'"},
	} {
		p.launch(dig(p.expect("OFFERS"), "offers", "offers", 0), task(tc.id, object{
			"command": object{"value": "true", "shell": true}, "container": tc.container}))
		s := p.expectUpdate(tc.id, "TASK_FAILED")
		if text(s, "reason") != tc.reason || text(s, "message") != tc.expect {
			t.Errorf("%s: %s %q, want %s %q", tc.id, text(s, "reason"), text(s, "message"), tc.reason, tc.expect)
		}
	}
}
