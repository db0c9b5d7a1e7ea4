package mesostest

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// What is lost between an executor and its agent breaks the connection, and
// what is lost of an operator too.
func TestLostMessagesOfExecutorsAndOperators(t *testing.T) {
	t.Parallel()
	c := New(t, Agents(1, "cpus:2;mem:1024"))
	var lost atomic.Int32
	c.Intercept(func(m Message) Fate {
		if m.Name == "executor/UPDATE" && m.ToMaster && m.Agent == c.Agent(0) && lost.Add(1) == 1 {
			return Double{}
		}
		if m.Name == "operator/GET_HEALTH" {
			return Drop{}
		}
		return nil
	})
	p := newProbe(t, c, frameworkInfo("*"))
	offer := dig(p.expect("OFFERS"), "offers", "offers", 0)
	p.launch(offer, task("t1", object{"executor": object{
		"type": "CUSTOM", "executor_id": object{"value": "x"}, "command": probeCommand(t), "resources": []object{scalar("cpus", 0.1), scalar("mem", 32)}}}))
	p.expectUpdate("t1", "TASK_STARTING")
	p.expectUpdate("t1", "TASK_RUNNING")
	if journal := c.Journal(); !strings.Contains(journal, "executor/UPDATE from an executor on agent "+c.Agent(0).Hostname()+" is doubled") {
		t.Errorf("the journal says nothing of the executor:\n%s", journal)
	}
	resp, err := client.Post(c.URL()+"/api/v1", typeJSON, strings.NewReader(`{"type":"GET_HEALTH"}`))
	if err == nil {
		t.Errorf("a lost call is answered with %d", resp.StatusCode)
		_ = resp.Body.Close()
	}
	resp, err = client.Post(c.URL()+"/api/v1", typeJSON, strings.NewReader(`{"type":"GET_VERSION"}`))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("another call: %v", err)
	}
	_ = resp.Body.Close()
}

// A machine that is added later is one of the cluster's, in its own directory.
func TestAddAgent(t *testing.T) {
	t.Parallel()
	c := New(t, Agents(1, "cpus:1;mem:128"))
	dir := t.TempDir()
	a, err := c.AddAgent(AgentConfig{Hostname: "late", Resources: "cpus:3;mem:128", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	c.WaitAgents(t, 2)
	if c.Agent(1) != a || a.Hostname() != "late" || a.Dir() != dir {
		t.Errorf("agent 1 is %s in %s, want late in %s", c.Agent(1).Hostname(), a.Dir(), dir)
	}
	for _, tc := range []struct {
		cfg  AgentConfig
		want string
	}{
		{AgentConfig{Resources: "cpus"}, `mesostest: agent: Resources: "cpus": want name:value`},
		{AgentConfig{Region: "eu", Zone: "z"}, `mesostest: agent: Region is "eu", but the master has no fault domain`},
		{AgentConfig{RetryMin: -1}, "mesostest: agent: RetryMin is -1ns: want a positive duration"},
	} {
		if _, err := c.AddAgent(tc.cfg); err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("got %v, want %s", err, tc.want)
		}
	}
	// It takes leave, and a new one comes in its place.
	a.Retire()
	c.WaitAgents(t, 1)
	if err := a.Reset(); err != nil {
		t.Fatal(err)
	}
	c.WaitAgents(t, 2)
}

// Agents that come back while masters come and go stay with the last of them.
func TestAgentsComeBackDuringFailover(t *testing.T) {
	t.Parallel()
	const agents, times = 20, 10
	c := New(t, pretending(agents))
	var all sync.WaitGroup
	for _, a := range c.Agents() {
		all.Go(func() {
			for range times {
				a.Partition()
				a.Heal()
				if err := a.Restart(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range times {
		if err := c.RestartMaster(); err != nil {
			t.Error(err)
		}
	}
	all.Wait()
	c.WaitAgents(t, agents)
}
