package executor_test

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
)

// parent is the guard of a server.
func parent(t testing.TB, pid int) int {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if os.IsNotExist(err) {
		t.Skip("needs /proc, which Linux has")
	}
	require.NoError(t, err)
	ppid, err := strconv.Atoi(parentField.FindStringSubmatch(string(status))[1])
	require.NoError(t, err)
	return ppid
}

// The command of a probe, with what it has started, does not outlive the executor
// that is killed.
func TestProbeDoesNotSurvive(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	cmd := a.start()
	a.launch("t1", executor.Task{
		Command: []string{"sleep", "1000"},
		Ready:   &executor.Probe{Command: shell("sleep 1000 & echo $! > probe; echo $$$$ >> probe; wait"), Timeout: time.Hour},
	})
	a.await("t1", "RUNNING unhealthy")
	var pids []string
	require.Eventually(t, func() bool { pids = strings.Fields(a.read("probe")); return len(pids) == 2 }, 30*time.Second, 5*time.Millisecond)
	require.NoError(t, cmd.Process.Kill())
	for _, pid := range pids {
		gone(t, number(t, pid))
	}
}

// Nothing that the server has started outlives the executor, even if that is
// killed, or the server itself, even if it has left the process group.
func TestNothingSurvives(t *testing.T) {
	t.Parallel()
	// A child in the group, and a daemon of another session whose parent has gone.
	server := executor.Task{
		Command: shell("sleep 1000 & echo child $!; setsid sh -c 'sleep 1000 & echo daemon $!'; echo up; wait"),
		Ready:   &executor.Probe{Log: "^up"},
	}
	ends := map[string]func(a *fakeAgent, cmd *exec.Cmd, server int){
		"executor killed": func(_ *fakeAgent, cmd *exec.Cmd, _ int) { _ = cmd.Process.Kill() },
		"guard killed": func(a *fakeAgent, _ *exec.Cmd, server int) {
			assert.NoError(t, syscall.Kill(parent(t, server), syscall.SIGKILL))
			a.await("t1", "FAILED: server was killed together with its guard process")
		},
		"server killed": func(_ *fakeAgent, _ *exec.Cmd, server int) { _ = syscall.Kill(server, syscall.SIGKILL) },
		"task killed":   func(a *fakeAgent, _ *exec.Cmd, _ int) { a.kill("t1", nil) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAgent(t)
			cmd := a.start()
			a.launch("t1", server)
			a.await("t1", "RUNNING healthy")
			pids := []int{pidOf(t, a.await("t1", "RUNNING unhealthy"))}
			for _, m := range regexp.MustCompile(`(?m)^(child|daemon) (\d+)$`).FindAllStringSubmatch(a.read("stdout"), -1) {
				pid, err := strconv.Atoi(m[2])
				require.NoError(t, err)
				require.NoError(t, syscall.Kill(pid, 0))
				pids = append(pids, pid)
			}
			require.Len(t, pids, 3)
			end(a, cmd, pids[0])
			for _, pid := range pids {
				gone(t, pid)
			}
		})
	}
}

// An executor that was killed and is started again in its sandbox delivers what
// it owed, and reports the end of the tasks that it had.
func TestRestartedExecutorLosesNoUpdate(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	a.noAck = true
	first := a.start()
	a.launch("t1", sleeper())
	pid := pidOf(t, a.await("t1", "RUNNING"))
	require.NoError(t, first.Process.Kill())
	gone(t, pid)
	a.disconnect()
	a.set(func() { a.noAck = false; a.calls = nil })
	second := a.start()
	a.await("t1", "FAILED: the executor ended and was started again")
	exited(t, second)
	history := a.history("t1")
	require.Len(t, history, 3)
	assert.Equal(t, "STARTING: files written", history[0])
	assert.Contains(t, history[1], "RUNNING healthy: started pid")
}

// Whenever the executor is killed after an update of the task has left, the one
// that is started after it tells all updates in their order, and then the end.
func TestExecutorKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	for calls := 2; calls <= 6; calls++ { // SUBSCRIBE, then updates
		t.Run(strconv.Itoa(calls), func(t *testing.T) {
			t.Parallel()
			a := newAgent(t)
			first := a.start()
			a.launch("t1", executor.Task{
				Init:    []executor.Step{{Name: "a", Command: []string{"true"}}, {Name: "b", Command: []string{"true"}}},
				Command: []string{"sleep", "1000"}, Ready: &executor.Probe{Command: []string{"true"}, Interval: time.Hour},
			})
			a.wait("so many calls", func() bool { return len(a.calls) >= calls })
			require.NoError(t, first.Process.Kill())
			_ = first.Wait() // it was killed
			a.disconnect()
			second := a.start()
			a.await("t1", "FAILED: the executor ended and was started again")
			exited(t, second)
			history := a.history("t1")
			whole := []string{"STARTING: files written", "STARTING: a done", "STARTING: b done", "RUNNING unhealthy: started pid", "RUNNING healthy: ready"}
			require.GreaterOrEqual(t, len(history), calls)
			for i, got := range history[:len(history)-1] {
				assert.Contains(t, got, whole[i])
			}
		})
	}
}

// An agent that serves its executors on a socket file is reached there.
func TestDomainSocket(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	path := filepath.Join(a.sandbox, "agent.sock")
	socket, err := net.Listen("unix", path)
	require.NoError(t, err)
	server := &http.Server{Handler: a}
	served := make(chan error, 1)
	go func() { served <- server.Serve(socket) }()
	a.env["MESOS_DOMAIN_SOCKET"] = path
	a.env["MESOS_AGENT_ENDPOINT"] = "127.0.0.1:1"
	cmd := a.start()
	a.launch("t1", executor.Task{Command: shell("echo socket [${MESOS_DOMAIN_SOCKET-}]")})
	a.await("t1", "FINISHED: server exited with status 0; last lines:\nsocket []")
	exited(t, cmd)
	a.disconnect()
	require.NoError(t, server.Close())
	require.ErrorIs(t, <-served, http.ErrServerClosed)
}

func TestTokenIsSent(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	a.env["MESOS_EXECUTOR_AUTHENTICATION_TOKEN"] = "secret"
	a.start()
	a.launch("t1", sleeper())
	a.await("t1", "RUNNING")
	for _, h := range a.headers {
		assert.Equal(t, "Bearer secret", h.Get("Authorization"))
	}
	assert.NotContains(t, a.read("stderr")+a.read(".mesokit-executor"), "secret")
}

// A server that floods its output neither fills the disk nor waits for it.
func TestFloodIsRotated(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	cmd := a.start()
	a.launch("t1", executor.Task{
		Command: shell("yes 0123456789abcdef | head -n 200000; echo last words"),
		Logs:    executor.Logs{MaxBytes: 100_000, Keep: 2, Tail: 1},
	})
	a.await("t1", "FINISHED: server exited with status 0; last lines:\nlast words")
	exited(t, cmd)
	logs, err := filepath.Glob(filepath.Join(a.sandbox, "stdout*"))
	require.NoError(t, err)
	assert.Len(t, logs, 3)
	for _, log := range logs {
		info, err := os.Stat(log)
		require.NoError(t, err)
		assert.LessOrEqual(t, info.Size(), int64(100_000+17), log)
		data, err := os.ReadFile(log)
		require.NoError(t, err)
		assert.Regexp(t, `\A(0123456789abcdef\n)*(last words\n)?\z`, string(data), log)
	}
	assert.Greater(t, len(a.read("stdout.1")), 60_000, "rotated when full and not before")
}

// With no space left in the sandbox the server goes on, and its end is told.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("needs /dev/full, which Linux has: ", err)
	}
	defer full.Close()
	a := newAgent(t)
	a.stdout = full
	cmd := a.start()
	a.launch("t1", executor.Task{
		// A directory where the journal is to be: it can no longer be written.
		Command: shell("until mkdir .mesokit-executor; do rm -f .mesokit-executor; done; yes | head -n 100000; echo done"),
	})
	a.await("t1", "FINISHED: server exited with status 0; last lines:\n")
	exited(t, cmd)
	assert.Contains(t, a.read("stderr"), "updates are kept in memory only")
}

func TestRestartInsideTheTask(t *testing.T) {
	t.Parallel()
	crash := executor.Task{
		Init:    []executor.Step{{Name: "count", Command: shell("echo init >> starts")}},
		Command: shell("echo start >> starts; exit 3"),
		Restart: executor.Restart{Max: 2, Backoff: 10 * time.Millisecond},
	}
	t.Run("as often as allowed", func(t *testing.T) {
		t.Parallel()
		a := newAgent(t)
		cmd := a.start()
		a.launch("t1", crash)
		a.await("t1", "RUNNING unhealthy: restart 1 of 2 in 10ms: server exited with status 3")
		a.await("t1", "RUNNING unhealthy: restart 2 of 2 in 20ms: server exited with status 3")
		a.await("t1", "FAILED: server exited with status 3")
		exited(t, cmd)
		assert.Equal(t, "init\nstart\nstart\nstart\n", a.read("starts"))
	})
	t.Run("not after success", func(t *testing.T) {
		t.Parallel()
		a := newAgent(t)
		cmd := a.start()
		task := crash
		task.Command = shell("test $(wc -l < starts) -gt 1 || { echo once >> starts; exit 1; }")
		a.launch("t1", task)
		a.await("t1", "FINISHED: server exited with status 0")
		exited(t, cmd)
		assert.Equal(t, "init\nonce\n", a.read("starts"))
	})
	t.Run("counts anew after a stable time", func(t *testing.T) {
		t.Parallel()
		a := newAgent(t)
		cmd := a.start()
		task := crash
		task.Restart = executor.Restart{Max: 1, Backoff: 10 * time.Millisecond, Stable: time.Nanosecond}
		task.Command = shell("echo start >> starts; test $$(wc -l < starts) -gt 4")
		a.launch("t1", task)
		a.await("t1", "FINISHED: server exited with status 0")
		exited(t, cmd)
		assert.Equal(t, "init\nstart\nstart\nstart\nstart\n", a.read("starts"))
		assert.Contains(t, strings.Join(a.history("t1"), "\n"), "restart 1 of 1 in 10ms")
		assert.NotContains(t, strings.Join(a.history("t1"), "\n"), "restart 2")
	})
	t.Run("killed while it waits", func(t *testing.T) {
		t.Parallel()
		a := newAgent(t)
		cmd := a.start()
		task := crash
		task.Restart.Backoff = time.Minute
		a.launch("t1", task)
		a.await("t1", "RUNNING unhealthy: restart 1 of 2 in 1m0s")
		a.kill("t1", nil)
		a.await("t1", "KILLED: server exited with status 3")
		exited(t, cmd)
	})
	t.Run("killed while it runs", func(t *testing.T) {
		t.Parallel()
		a := newAgent(t)
		cmd := a.start()
		task := sleeper()
		task.Restart = crash.Restart
		a.launch("t1", task)
		a.await("t1", "RUNNING")
		a.kill("t1", nil)
		a.await("t1", "KILLED: server was ended by SIGTERM")
		exited(t, cmd)
	})
}
