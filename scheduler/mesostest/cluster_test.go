package mesostest

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

func TestCommandTaskRunsInSandbox(t *testing.T) {
	t.Parallel()
	c := New(t, Agents(1, "cpus:2;mem:1024;disk:1024;ports:[31000-31099]", "rack:r1"))
	p := newProbe(t, c, frameworkInfo("*"))
	offer := dig(p.expect("OFFERS"), "offers", "offers", 0)
	p.launch(offer, task("t1", object{"command": object{"value": "echo hello; exit 0", "shell": true}}))
	p.expectUpdate("t1", "TASK_STARTING")
	p.expectUpdate("t1", "TASK_RUNNING")
	p.expectUpdate("t1", "TASK_FINISHED")
	out, err := os.ReadFile(filepath.Join(c.Agent(0).Sandbox(p.id, "t1"), "stdout"))
	if err != nil || !strings.Contains(string(out), "hello") {
		t.Errorf("stdout is %q, %v", out, err)
	}
	c.WaitTask(t, "t1", mesos.TASK_FINISHED)
	p.expect("OFFERS")
}

func TestCustomExecutor(t *testing.T) {
	t.Parallel()
	c := New(t, Agents(1, "cpus:2;mem:1024;disk:1024"))
	p := newProbe(t, c, frameworkInfo("*"))
	executor := object{"type": "CUSTOM", "executor_id": object{"value": "ex1"}, "command": probeCommand(t),
		"resources": []object{scalar("cpus", 0.1), scalar("mem", 32)}}
	offer := dig(p.expect("OFFERS"), "offers", "offers", 0)
	p.launch(offer, task("t1", object{"executor": executor}), task("t2", object{"executor": executor}))
	for _, id := range []string{"t1", "t2"} {
		p.expectUpdate(id, "TASK_STARTING")
		p.expectUpdate(id, "TASK_RUNNING")
	}
	c.WaitRunning(t, 2)
	to := object{"agent_id": dig(offer, "agent_id"), "executor_id": object{"value": "ex1"}}
	p.call(object{"type": "MESSAGE", "message": object{"agent_id": to["agent_id"], "executor_id": to["executor_id"],
		"data": base64.StdEncoding.EncodeToString([]byte("ping"))}})
	if got := text(p.expect("MESSAGE"), "message", "data"); got != base64.StdEncoding.EncodeToString([]byte("pong")) {
		t.Errorf("the executor answered %q", got)
	}
	p.call(object{"type": "KILL", "kill": object{"task_id": object{"value": "t1"}}})
	p.expectUpdate("t1", "TASK_KILLED")
	p.call(object{"type": "SHUTDOWN", "shutdown": to})
	p.expectUpdate("t2", "TASK_KILLED")
	if status := dig(p.expect("FAILURE"), "failure", "status"); status != 0.0 {
		t.Errorf("executor ended with %v, want 0", status)
	}
}

func TestAgentRestartKeepsTasks(t *testing.T) {
	t.Parallel()
	c := New(t, Agents(2, "cpus:2;mem:1024;disk:1024"))
	p := newProbe(t, c, frameworkInfo("*"))
	c.WaitAgents(t, 2)
	executor := object{"type": "CUSTOM", "executor_id": object{"value": "ex1"}, "command": probeCommand(t)}
	offer := dig(p.expect("OFFERS"), "offers", "offers", 0)
	p.launch(offer,
		task("custom", object{"executor": executor}),
		task("command", object{"command": object{"value": "sleep 600", "shell": true}}))
	for _, id := range []string{"custom", "command"} {
		p.expectUpdate(id, "TASK_STARTING")
		p.expectUpdate(id, "TASK_RUNNING")
	}
	for _, a := range c.Agents() {
		if err := a.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	c.WaitAgents(t, 2)
	c.WaitRunning(t, 2)
	// The executors are subscribed again: they get what they are told.
	for _, id := range []string{"custom", "command"} {
		p.call(object{"type": "KILL", "kill": object{"task_id": object{"value": id}}})
		p.expectUpdate(id, "TASK_KILLED")
	}
}

func TestLostAgentComesBack(t *testing.T) {
	t.Parallel()
	c := New(t, Agents(1, "cpus:2;mem:1024;disk:1024"))
	p := newProbe(t, c, frameworkInfo("*"))
	offer := dig(p.expect("OFFERS"), "offers", "offers", 0)
	p.launch(offer, task("t1", object{"command": object{"value": "sleep 600", "shell": true}}))
	p.expectUpdate("t1", "TASK_STARTING")
	p.expectUpdate("t1", "TASK_RUNNING")
	c.Agent(0).Partition()
	p.expectUpdate("t1", "TASK_UNREACHABLE")
	p.expect("FAILURE")
	c.Agent(0).Heal()
	p.expectUpdate("t1", "TASK_RUNNING")
	c.Agent(0).Stop()
	p.expectUpdate("t1", "TASK_UNREACHABLE")
	if err := c.Agent(0).Start(); err != nil {
		t.Fatal(err)
	}
	c.WaitAgents(t, 1)
}

func TestMasterRestart(t *testing.T) {
	t.Parallel()
	c := New(t, Agents(2, "cpus:2;mem:1024;disk:1024"))
	p := newProbe(t, c, frameworkInfo("*"))
	c.WaitAgents(t, 2)
	offer := dig(p.expect("OFFERS"), "offers", "offers", 0)
	p.launch(offer, task("t1", object{"command": object{"value": "sleep 600", "shell": true}}))
	p.expectUpdate("t1", "TASK_STARTING")
	p.expectUpdate("t1", "TASK_RUNNING")
	master := c.Master()
	if err := c.RestartMaster(); err != nil {
		t.Fatal(err)
	}
	if c.Master() != master {
		t.Errorf("the master moved from %s to %s", master, c.Master())
	}
	if !p.waitClosed(patience) {
		t.Fatal("the stream outlived the master")
	}
	info := frameworkInfo("*")
	info["id"] = object{"value": p.id}
	again := subscribe(t, c.URL(), object{"type": "SUBSCRIBE", "framework_id": info["id"],
		"subscribe": object{"framework_info": info}}, nil)
	if id := text(again.expect("SUBSCRIBED"), "subscribed", "framework_id", "value"); id != p.id {
		t.Errorf("framework is %s, was %s", id, p.id)
	}
	again.id = p.id
	c.WaitAgents(t, 2)
	again.call(object{"type": "RECONCILE", "reconcile": object{"tasks": []object{{"task_id": object{"value": "t1"}}}}})
	again.expectUpdate("t1", "TASK_RUNNING")
}
