package mesostest

import (
	"os"
	"runtime"
	"testing"
	"time"
)

// pretending adds n agents that only pretend.
func pretending(n int) Option {
	return func(c *Config) {
		for range n {
			c.Agents = append(c.Agents, AgentConfig{Pretend: true, Resources: "cpus:8;mem:8192;disk:1000"})
		}
	}
}

func TestPretend(t *testing.T) {
	t.Parallel()
	const agents = 300
	c := New(t, pretending(agents))
	p := newProbe(t, c, frameworkInfo("*"))
	offers := dig(p.expect("OFFERS"), "offers", "offers").([]any)
	if len(offers) != agents {
		t.Fatalf("%d offers, want %d", len(offers), agents)
	}
	running := func(id string) {
		t.Helper()
		p.expectUpdate(id, "TASK_STARTING")
		p.expectUpdate(id, "TASK_RUNNING")
	}
	end := func(id string) { p.call(object{"type": "KILL", "kill": object{"task_id": object{"value": id}}}) }
	p.launch(offers[0], task("alone", object{"command": object{"value": "false"}}))
	running("alone")
	p.group(offers[1], task("t1", object{"command": object{"value": "false"}}), task("t2", object{"command": object{"value": "false"}}))
	running("t1")
	running("t2")
	end("t2")
	p.expectUpdate("t1", "TASK_KILLED")
	p.expectUpdate("t2", "TASK_KILLED")
	p.expect("FAILURE")

	// The agent finds again what it never ran.
	a := c.Agent(0)
	if a.Hostname() != text(offers[0], "hostname") {
		for i := range agents {
			if a = c.Agent(i); a.Hostname() == text(offers[0], "hostname") {
				break
			}
		}
	}
	if err := a.Restart(); err != nil {
		t.Fatal(err)
	}
	c.WaitAgents(t, agents)
	end("alone")
	p.expectUpdate("alone", "TASK_KILLED")
	if _, err := os.Stat(a.Dir()); !os.IsNotExist(err) {
		t.Errorf("an agent that pretends made a directory: %v", err)
	}
}

// BenchmarkPretend starts a large cluster and reads all of its first offers.
func BenchmarkPretend(b *testing.B) {
	const agents = 10000
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		start := time.Now()
		c := New(b, pretending(agents), Configure(func(c *Config) { c.AllocationInterval, c.PingInterval = 50*time.Millisecond, time.Minute }))
		b.ReportMetric(float64(time.Since(start).Microseconds())/agents, "µs/agent")
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/agents, "B/agent")
		b.ReportMetric(float64(runtime.NumGoroutine())/agents, "goroutines/agent")
		start = time.Now()
		p := newProbe(b, c, frameworkInfo("*"))
		n := 0
		for n < agents {
			n += len(dig(p.expect("OFFERS"), "offers", "offers").([]any))
		}
		b.ReportMetric(time.Since(start).Seconds(), "s/offers")
	}
}
