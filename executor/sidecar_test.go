package executor_test

import (
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
)

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// accompanied is a task of a server and sidecars, each of which writes its name
// into the file ends when it is asked to end.
func accompanied(sidecars ...executor.Sidecar) executor.Task {
	command := func(name string) []string {
		return shell("trap 'echo " + name + " >> ends; exit 0' TERM; echo " + name + " up; while :; do sleep 0.02; done")
	}
	for i, c := range sidecars {
		if c.Command == nil {
			sidecars[i].Command = command(c.Name)
		}
		if c.Ready == nil {
			sidecars[i].Ready = &executor.Probe{Log: c.Name + " up"}
		}
	}
	return executor.Task{Command: command("server"), Ready: &executor.Probe{Log: "server up"}, Sidecars: sidecars}
}

// stages are the updates of a task without pids and last lines.
func (a *fakeAgent) stages(task string) []string {
	all := a.history(task)
	for i, s := range all {
		s, _, _ = strings.Cut(s, "; last lines")
		if before, _, ok := strings.Cut(s, " pid "); ok {
			s = before
		}
		all[i] = s
	}
	return all
}

func TestSidecarsStartAndStopInOrder(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	cmd := a.start()
	task := accompanied(
		executor.Sidecar{Name: "keeper", Essential: true}, executor.Sidecar{Name: "exporter"},
		executor.Sidecar{Name: "proxy", First: true}, executor.Sidecar{Name: "cache", First: true},
	)
	task.Stop.Before = []executor.Step{{Name: "drain", Done: "drained", Command: shell("echo drain >> ends")}}
	a.launch("t1", task)
	a.wait("health", func() bool {
		all := a.updates("t1")
		return len(all) >= 11 && all[len(all)-1].GetHealthy()
	})
	stages := a.stages("t1")
	assert.Equal(t, []string{
		"STARTING: files written",
		"STARTING: sidecar proxy: started", "STARTING: sidecar proxy: ready",
		"STARTING: sidecar cache: started", "STARTING: sidecar cache: ready",
		"RUNNING unhealthy: started",
	}, stages[:6])
	for _, want := range []string{"sidecar keeper: ready", "sidecar exporter: ready"} {
		assert.True(t, slices.ContainsFunc(stages[6:], func(s string) bool { return strings.HasSuffix(s, want) }), want)
	}
	a.kill("t1", nil)
	a.await("t1", "KILLED: server exited with status 0")
	exited(t, cmd)
	assert.Equal(t, "drain\nexporter\nkeeper\nserver\ncache\nproxy\n", a.read("ends"))
	stages = a.stages("t1")
	assert.Equal(t, []string{
		"KILLING: stopping: drain", "KILLING: drained", "KILLING: stopping: sidecar exporter", "KILLING: stopping: sidecar keeper",
		"KILLING: sent SIGTERM, SIGKILL after 30s", "KILLED: server exited with status 0",
	}, stages[len(stages)-6:])
}

func TestTaskIsHealthyWithItsEssentialSidecars(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	a.start()
	needs := func(file string) *executor.Probe {
		return &executor.Probe{Command: []string{"test", "-e", file}, Interval: 10 * time.Millisecond, Failures: 1}
	}
	a.launch("t1", accompanied(
		executor.Sidecar{Name: "keeper", Essential: true, Ready: needs("keeper")},
		executor.Sidecar{Name: "exporter", Ready: needs("exporter")},
	))
	a.await("t1", "RUNNING unhealthy: ready; sidecar keeper is not ready")
	a.touch("keeper")
	a.await("t1", "RUNNING healthy: sidecar keeper: ready")
	a.touch("exporter")
	a.await("t1", "RUNNING healthy: sidecar exporter: ready")
	a.remove("exporter")
	a.await("t1", "RUNNING healthy: sidecar exporter: not ready: exit status 1")
	a.remove("keeper")
	a.await("t1", "RUNNING unhealthy: sidecar keeper: not ready: exit status 1")
}

func TestEndOfASidecar(t *testing.T) {
	t.Parallel()
	fails := executor.Sidecar{
		Name: "s", Command: shell("echo run >> runs; until test -e go; do sleep 0.01; done; echo why; exit 3"),
		Ready: &executor.Probe{Command: []string{"true"}},
	}
	start := func(t *testing.T, c executor.Sidecar) *fakeAgent {
		a := newAgent(t)
		cmd := a.start()
		a.launch("t1", accompanied(c))
		t.Cleanup(func() { exited(t, cmd) })
		return a
	}
	t.Run("the task goes on", func(t *testing.T) {
		t.Parallel()
		a := start(t, fails)
		a.await("t1", "RUNNING healthy: ready")
		a.touch("go")
		a.await("t1", "RUNNING healthy: sidecar s: exited with status 3; last lines:\nwhy")
		a.kill("t1", nil)
		a.await("t1", "KILLED: server exited with status 0")
	})
	t.Run("it is started again", func(t *testing.T) {
		t.Parallel()
		c := fails
		c.Restart = executor.Restart{Max: 1, Backoff: 10 * time.Millisecond}
		c.Essential = true
		a := start(t, c)
		a.await("t1", "RUNNING healthy")
		a.touch("go")
		a.await("t1", "RUNNING unhealthy: sidecar s: restart 1 of 1 in 10ms: exited with status 3")
		a.await("t1", "FAILED: sidecar s: exited with status 3; server exited with status 0")
		assert.Equal(t, "run\nrun\n", a.read("runs"))
		assert.Equal(t, "server\n", a.read("ends"), "it was asked to end")
	})
	t.Run("it takes the task along", func(t *testing.T) {
		t.Parallel()
		c := fails
		c.Essential = true
		c.Command = shell("until test -e go; do sleep 0.01; done") // also with status 0
		a := start(t, c)
		a.await("t1", "RUNNING healthy")
		a.touch("go")
		a.await("t1", "FAILED: sidecar s: exited with status 0; server exited with status 0")
	})
	t.Run("before the server", func(t *testing.T) {
		t.Parallel()
		c := fails
		c.First, c.Essential = true, true
		c.Ready = &executor.Probe{Command: []string{"false"}}
		a := start(t, c)
		a.touch("go")
		a.await("t1", "FAILED: sidecar s: exited with status 3")
		assert.Empty(t, a.read("ends"), "the server was never started")
	})
	t.Run("before the server, once it was ready", func(t *testing.T) {
		t.Parallel()
		c := fails
		c.First, c.Essential = true, true
		a := newAgent(t) // which grants no lease
		cmd := a.start()
		task := accompanied(c)
		task.Lease = &executor.Lease{Within: time.Hour}
		a.launch("t1", task)
		a.await("t1", "STARTING: sidecar s: ready")
		a.touch("go")
		a.await("t1", "FAILED: sidecar s: exited with status 3")
		exited(t, cmd)
		assert.Empty(t, a.read("ends"), "the server was never started")
	})
	t.Run("before a server that does not need it", func(t *testing.T) {
		t.Parallel()
		c := fails
		c.First = true
		c.Ready = &executor.Probe{Command: []string{"false"}}
		a := start(t, c)
		a.touch("go")
		a.await("t1", "RUNNING healthy: ready")
		a.kill("t1", nil)
		a.await("t1", "KILLED")
	})
	t.Run("it cannot be started", func(t *testing.T) {
		t.Parallel()
		c := executor.Sidecar{Name: "s", Command: []string{"no-such-program"}, Essential: true}
		start(t, c).await("t1", `FAILED: sidecar s: program "no-such-program": not found in PATH`)
	})
	t.Run("a variable of it is not set", func(t *testing.T) {
		t.Parallel()
		c := executor.Sidecar{Name: "s", Env: map[string]string{"A": "$NO_SUCH"}}
		start(t, c).await("t1", `FAILED: sidecar s: env A: "$NO_SUCH": variable NO_SUCH is not set`)
	})
}

// When the server has done its work its sidecars end, and the task with them;
// nothing of them survives, also one that does not want to end.
func TestServerEndsItsSidecars(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	cmd := a.start()
	task := accompanied(
		executor.Sidecar{Name: "gentle"},
		executor.Sidecar{
			Name: "stubborn", First: true, Command: shell("trap '' TERM; echo $$$$ $$ROLE > pid; echo stubborn up; while :; do sleep 0.02; done"),
			Env: map[string]string{"ROLE": "$BASE-2"}, Stop: executor.Stop{Grace: 200 * time.Millisecond},
		},
	)
	task.Env = map[string]string{"BASE": "role"}
	task.Command = shell("until test -e go; do sleep 0.01; done")
	task.Ready = nil
	a.launch("t1", task)
	a.await("t1", "RUNNING healthy: sidecar gentle: ready")
	pid := strings.Fields(a.read("pid"))
	require.Equal(t, "role-2", pid[1], "its environment is built on that of the task")
	a.touch("go")
	a.await("t1", "FINISHED: server exited with status 0")
	require.ErrorIs(t, syscall.Kill(number(t, pid[0]), 0), syscall.ESRCH, "it has ended before the task")
	exited(t, cmd)
	assert.Equal(t, "gentle\n", a.read("ends"))
}

// A task that is killed while it waits for a first sidecar ends at once, within
// the time of the call.
func TestKillBeforeTheServerStarts(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	cmd := a.start()
	a.launch("t1", accompanied(executor.Sidecar{
		Name: "stubborn", First: true, Command: shell("trap '' TERM; while :; do sleep 0.02; done"),
		Ready: &executor.Probe{Command: []string{"false"}}, Stop: executor.Stop{Grace: time.Hour},
	}))
	a.await("t1", "STARTING: sidecar stubborn: started pid")
	a.kill("t1", nil)
	short := 100 * time.Millisecond
	a.kill("t1", &short)
	s := a.await("t1", "KILLED: killed before the server was started")
	assert.Equal(t, mesos.REASON_TASK_KILLED_DURING_LAUNCH, s.GetReason())
	exited(t, cmd)
}

// A server that is started again keeps its sidecars.
func TestRestartKeepsSidecars(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	a.start()
	task := accompanied(executor.Sidecar{Name: "s", First: true}, executor.Sidecar{Name: "u"})
	task.Command = shell("echo start >> starts; test $$(wc -l < starts) -gt 1 || exit 3; echo server up; exec sleep 1000")
	task.Restart = executor.Restart{Max: 1, Backoff: 10 * time.Millisecond}
	a.launch("t1", task)
	a.await("t1", "RUNNING healthy: ready")
	a.await("t1", "RUNNING unhealthy: restart 1 of 1 in 10ms: server exited with status 3")
	starts := 0
	for _, s := range a.stages("t1") {
		if strings.Contains(s, ": sidecar ") && strings.HasSuffix(s, "started") {
			starts++
		}
	}
	assert.LessOrEqual(t, starts, 2)
}
