package mesostest

import (
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// named gives messages of a name a fate, the first n of them.
func named(name string, n int32, fate Fate) func(Message) Fate {
	var seen atomic.Int32
	return func(m Message) Fate {
		if m.Name == name && seen.Add(1) <= n {
			return fate
		}
		return nil
	}
}

const always = 1 << 30

// sleeper subscribes a framework and launches a task that sleeps.
func sleeper(t *testing.T, c *Cluster) *probe {
	t.Helper()
	p := newProbe(t, c, frameworkInfo("*"))
	p.launch(dig(p.expect("OFFERS"), "offers", "offers", 0), task("t1", object{"command": object{"value": "sleep 600", "shell": true}}))
	return p
}

// quick is an agent that soon repeats what is not acknowledged.
func quick() Option {
	return With(AgentConfig{Resources: "cpus:2;mem:1024", RetryMin: 50 * time.Millisecond})
}

func (p *probe) update(state string) any {
	p.t.Helper()
	e, ok := p.next(patience, func(e any) bool { return text(e, "update", "status", "state") == state })
	if !ok {
		p.t.Fatalf("no update %s", state)
	}
	return dig(e, "update", "status")
}

func (p *probe) acknowledge(status any) {
	p.t.Helper()
	p.call(object{"type": "ACKNOWLEDGE", "acknowledge": object{
		"agent_id": dig(status, "agent_id"), "task_id": dig(status, "task_id"), "uuid": dig(status, "uuid"),
	}})
}

// While acknowledgements are held back the first status comes again and again,
// and the next one waits.
func TestHoldAcknowledgements(t *testing.T) {
	t.Parallel()
	c := New(t, quick())
	release := c.HoldAcknowledgements()
	p := sleeper(t, c)
	first := p.update("TASK_STARTING")
	p.acknowledge(first)
	for range 3 {
		if again := p.update("TASK_STARTING"); text(again, "uuid") != text(first, "uuid") {
			t.Fatalf("the update is %s, want %s again", text(again, "uuid"), text(first, "uuid"))
		}
	}
	if _, ok := p.next(0, func(e any) bool { return text(e, "update", "status", "state") == "TASK_RUNNING" }); ok {
		t.Error("the next update did not wait for the acknowledgement")
	}
	release()
	release() // which does nothing
	p.acknowledge(p.update("TASK_RUNNING"))
}

// An acknowledgement that is lost is asked for again.
func TestLostAcknowledgements(t *testing.T) {
	t.Parallel()
	c := New(t, quick())
	c.Intercept(named("AcknowledgeStatus", 2, Drop{}))
	p := sleeper(t, c)
	for range 3 {
		p.acknowledge(p.update("TASK_STARTING"))
	}
	p.acknowledge(p.update("TASK_RUNNING"))
}

// What is lost on its way is sent again by whoever needs it, and what comes
// twice is done once.
func TestLostAndDoubledMessages(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		n    int32
		fate Fate
	}{
		{"StatusUpdate", 2, Drop{}},
		{"UPDATE", 2, Drop{}},
		{"StatusUpdate", always, Double{}},
		{"AcknowledgeStatus", always, Double{}},
		{"UPDATE", always, Double{}},
		{"ACKNOWLEDGE", always, Double{}},
		{"RunTasks", always, Double{}},
		{"StatusUpdate", always, Delay{20 * time.Millisecond}},
		{"ACKNOWLEDGE", always, Delay{20 * time.Millisecond}},
		{"UPDATE", 1, Swap{}},
		{"Registered", 1, Drop{}},
	} {
		t.Run(tc.name+" "+fateName(tc.fate), func(t *testing.T) {
			t.Parallel()
			c := New(t, quick())
			c.Intercept(named(tc.name, tc.n, tc.fate))
			if tc.name == "Registered" {
				if err := c.Agent(0).Restart(); err != nil {
					t.Fatal(err)
				}
				c.WaitAgents(t, 1)
			}
			p := sleeper(t, c)
			p.expectUpdate("t1", "TASK_STARTING")
			p.expectUpdate("t1", "TASK_RUNNING")
			c.WaitRunning(t, 1)
			if got := c.Agent(0).Processes(); len(got) != 1 {
				t.Errorf("%d processes, want 1", len(got))
			}
			if journal := c.Journal(); tc.name != "Registered" && !strings.Contains(journal, tc.name+" ") {
				t.Errorf("the journal says nothing of %s:\n%s", tc.name, journal)
			}
		})
	}
}

func fateName(f Fate) string {
	switch f.(type) {
	case Drop:
		return "dropped"
	case Delay:
		return "delayed"
	case Double:
		return "doubled"
	case Swap:
		return "swapped"
	}
	return "as it is"
}

// A launch that is lost is not told to anybody, until somebody asks.
func TestLostLaunch(t *testing.T) {
	t.Parallel()
	c := New(t, Agents(1, "cpus:2;mem:1024"))
	var lost atomic.Value
	end := c.Intercept(func(m Message) Fate {
		if m.Name != "RunTasks" {
			return Deliver{}
		}
		lost.Store(m)
		c.Tasks() // which must not lock up
		return Drop{}
	})
	p := sleeper(t, c)
	c.wait(t, func() bool {
		return strings.Contains(c.Journal(), "RunTasks to agent "+c.Agent(0).Hostname()+" is dropped")
	},
		func() string { return "RunTasks is not dropped" })
	if got, want := lost.Load(), (Message{Name: "RunTasks", Agent: c.Agent(0), FrameworkID: p.id, TaskID: "t1"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	end()
	c.WaitTask(t, "t1", mesos.TASK_STAGING)
	if err := c.Agent(0).Restart(); err != nil { // which compares its tasks with the master's
		t.Fatal(err)
	}
	if reason := text(p.update("TASK_DROPPED"), "reason"); reason != "REASON_RECONCILIATION" {
		t.Errorf("the reason is %s", reason)
	}
}

// Of two events that are swapped the second comes first, as often as asked for.
func TestSwap(t *testing.T) {
	t.Parallel()
	var c Cluster
	c.cfg.Log = slog.New(slog.DiscardHandler)
	var came []int
	end := c.Intercept(func(m Message) Fate {
		if m.ToMaster {
			return Swap{}
		}
		return nil
	})
	for i := range 5 {
		c.carry("a", Message{ToMaster: true}, func() { came = append(came, i) })
	}
	c.carry("b", Message{ToMaster: true}, func() { came = append(came, 10) })
	c.carry("c", Message{}, func() { came = append(came, 11) })
	end()
	c.carry("a", Message{ToMaster: true}, func() { came = append(came, 12) })
	if got, want := show(came), "[1,0,3,2,11,4,10,12]"; got != want {
		t.Errorf("came as %s, want %s", got, want)
	}
}

// A call that is lost breaks its connection, and is not carried out.
func TestLostCall(t *testing.T) {
	t.Parallel()
	c := New(t, Agents(1, "cpus:2;mem:1024"))
	p := sleeper(t, c)
	p.expectUpdate("t1", "TASK_STARTING")
	p.expectUpdate("t1", "TASK_RUNNING")
	end := c.Intercept(named("KILL", always, Drop{}))
	kill := object{"type": "KILL", "framework_id": object{"value": p.id}, "kill": object{"task_id": object{"value": "t1"}}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url, strings.NewReader(show(kill)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", typeJSON)
	req.Header.Set(streamHeader, p.stream)
	if resp, err := client.Do(req); err == nil {
		t.Errorf("a call that was lost is answered: %s", resp.Status)
		_ = resp.Body.Close()
	}
	end()
	if x, _ := c.Task("t1"); x.State != mesos.TASK_RUNNING {
		t.Errorf("t1 is %s", x.State)
	}
	p.call(kill)
	p.expectUpdate("t1", "TASK_KILLED")
}

// A master that is paused answers nobody, and takes up afterwards what came
// meanwhile.
func TestPause(t *testing.T) {
	t.Parallel()
	c := New(t, quick())
	p := sleeper(t, c)
	p.expectUpdate("t1", "TASK_STARTING")
	p.expectUpdate("t1", "TASK_RUNNING")
	master := c.WaitLeader(t)
	master.Pause()
	answer := make(chan error, 1)
	go func() {
		resp, err := client.Get(c.URL() + "/health")
		if err == nil {
			err = resp.Body.Close()
		}
		answer <- err
	}()
	c.Agent(0).Stop()
	c.WaitRunning(t, 1) // as far as the master knows
	if err := c.Agent(0).Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-answer:
		t.Errorf("a master that is paused answers (%v)", err)
	default:
	}
	master.Resume()
	if err := <-answer; err != nil {
		t.Error(err)
	}
	c.wait(t, func() bool { return len(c.Tasks()) == 0 }, func() string { return "t1 outlived its machine" })

	master.Pause()
	c.StopMaster() // also while it is paused
	if err := c.StartMaster(); err != nil {
		t.Fatal(err)
	}
	c.WaitAgents(t, 1)
}

// A leader that is paused for too long comes back as none.
func TestPausedLeaderIsReplaced(t *testing.T) {
	t.Parallel()
	c, _ := elected(t, 1, Agents(1, "cpus:1;mem:256"))
	first, second := c.Masters()[0], c.Masters()[1]
	first.Pause()
	c.wait(t, second.Leads, func() string { return "the standby does not lead" })
	if first.Leads() {
		t.Error("two masters lead")
	}
	first.Resume()
	c.WaitAgents(t, 1)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	if !second.Leads() || first.Leads() || !first.Up() {
		t.Error("the first master should stand by, and the second lead")
	}
}
