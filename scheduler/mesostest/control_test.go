package mesostest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestAgentReset(t *testing.T) {
	t.Parallel()
	c := New(t, Agents(1, "cpus:2;mem:1024;disk:1024", "rack:r1"))
	a := c.Agent(0)
	p := newProbe(t, c, frameworkInfo("*"))
	offer := dig(p.expect("OFFERS"), "offers", "offers", 0)
	p.launch(offer, task("t1", object{"command": object{"value": "sleep 600", "shell": true}}))
	p.expectUpdate("t1", "TASK_STARTING")
	p.expectUpdate("t1", "TASK_RUNNING")
	id, sandbox := a.ID(), a.Sandbox(p.id, "t1")
	running := a.Processes()
	if len(running) != 1 || running[0].TaskID != "t1" || running[0].FrameworkID != p.id || running[0].Sandbox != sandbox {
		t.Fatalf("processes are %+v, want t1's in %s", running, sandbox)
	}
	if _, err := os.Stat(filepath.Join("/proc", "self")); err == nil {
		if _, err := os.Stat(filepath.Join("/proc", strconv.Itoa(running[0].PID))); err != nil {
			t.Errorf("the process of t1: %v", err)
		}
	}
	if err := a.Reset(); err != nil {
		t.Fatal(err)
	}
	// What t1 left of the old agent may have been offered meanwhile.
	e, ok := p.next(patience, func(e any) bool {
		return text(e, "type") == "OFFERS" && text(e, "offers", "offers", 0, "agent_id", "value") != id
	})
	if !ok {
		t.Fatal("the new agent is not offered")
	}
	again := dig(e, "offers", "offers", 0)
	// The master hears of the agent before the agent hears its ID.
	c.wait(t, func() bool { return a.ID() == text(again, "agent_id", "value") },
		func() string { return "the agent is " + a.ID() + ", offered as " + text(again, "agent_id", "value") })
	if got := text(again, "hostname"); got != a.Hostname() {
		t.Errorf("hostname is %s, want %s", got, a.Hostname())
	}
	if _, err := os.Stat(sandbox); !os.IsNotExist(err) {
		t.Errorf("the old sandbox: %v, want it to be gone", err)
	}
	if left := a.Processes(); len(left) != 0 {
		t.Errorf("the new agent runs %+v", left)
	}
}

func TestAgentUseDir(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "work") // made before the cluster, and so removed after it
	c := New(t, Agents(1, "cpus:2;mem:1024;disk:1024"))
	a := c.Agent(0)
	id := a.ID()
	if err := a.UseDir(dir); err != nil {
		t.Fatal(err)
	}
	p := newProbe(t, c, frameworkInfo("*"))
	offer := dig(p.expect("OFFERS"), "offers", "offers", 0)
	if got := text(offer, "agent_id", "value"); got != id {
		t.Errorf("the agent is %s, was %s", got, id)
	}
	p.launch(offer, task("t1", object{"command": object{"value": "pwd", "shell": true}}))
	p.expectUpdate("t1", "TASK_STARTING")
	p.expectUpdate("t1", "TASK_RUNNING")
	p.expectUpdate("t1", "TASK_FINISHED")
	if got := a.Sandbox(p.id, "t1"); !strings.HasPrefix(got, dir) {
		t.Errorf("the sandbox is %s, want it in %s", got, dir)
	}
}

func TestConditionOfAgentAndMaster(t *testing.T) {
	t.Parallel()
	c := New(t, Agents(1, "cpus:1"))
	a := c.Agent(0)
	check := func(when string, leads, up, partitioned bool) {
		t.Helper()
		if c.Leads() != leads || a.Up() != up || a.Partitioned() != partitioned {
			t.Errorf("%s: leads %t, up %t, partitioned %t, want %t, %t, %t",
				when, c.Leads(), a.Up(), a.Partitioned(), leads, up, partitioned)
		}
	}
	check("at first", true, true, false)
	a.Partition()
	check("partitioned", true, true, true)
	a.Heal()
	a.Kill()
	check("killed", true, false, false)
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	c.StopMaster()
	check("without a master", false, true, false)
	if n := c.ActiveAgents(); n != 0 {
		t.Errorf("%d agents are active without a master", n)
	}
	if err := c.StartMaster(); err != nil {
		t.Fatal(err)
	}
	c.WaitAgents(t, 1)
	if n := c.ActiveAgents(); n != 1 {
		t.Errorf("%d agents are active, want 1", n)
	}
}

// A machine that is back with another address is let in by a master that does
// not know the old one, and shut down for good by one that does.
func TestAgentStartsElsewhere(t *testing.T) {
	t.Parallel()
	c := New(t, Agents(2, "cpus:1;mem:128"))
	a := c.Agent(0)
	id, was := a.ID(), a.Address()
	if err := a.StartAt(""); err == nil || !strings.Contains(err.Error(), "wants to be stopped") {
		t.Errorf("an agent that runs: %v", err)
	}
	a.Stop()
	if err := c.RestartMaster(); err != nil {
		t.Fatal(err)
	}
	if err := a.StartAt(""); err != nil {
		t.Fatal(err)
	}
	c.WaitAgents(t, 2)
	if a.ID() != id || a.Address() == was || a.Hostname() != was {
		t.Errorf("agent %s at %s named %s, want %s, not at %s, and named so", a.ID(), a.Address(), a.Hostname(), id, was)
	}
	a.Stop()
	if err := a.StartAt(was); err != nil {
		t.Fatal(err)
	}
	c.wait(t, func() bool { return !a.Up() }, func() string { return "the agent runs at an address that the master does not expect" })
}
