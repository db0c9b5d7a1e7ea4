package executor_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	exec1 "github.com/mesos/mesos-go/api/v1/lib/executor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
)

func TestKill(t *testing.T) {
	t.Parallel()
	stubborn := executor.Task{
		Command: shell("trap '' TERM; echo up; while :; do sleep 0.05; done"),
		Ready:   &executor.Probe{Log: "up"},
	}
	short := 300 * time.Millisecond

	t.Run("grace of the call", func(t *testing.T) {
		t.Parallel()
		a := newAgent(t)
		cmd := a.start()
		a.launch("t1", stubborn)
		a.await("t1", "RUNNING healthy")
		a.kill("t1", nil)
		a.await("t1", "KILLING: sent SIGTERM, SIGKILL after 30s")
		a.kill("t1", &short) // overrides, also while the task is being killed
		a.await("t1", "KILLING: sent SIGKILL after 300ms")
		a.await("t1", "KILLED: server was ended by SIGKILL, not having ended within 300ms")
		exited(t, cmd)
	})
	t.Run("at once", func(t *testing.T) {
		t.Parallel()
		a := newAgent(t)
		cmd := a.start()
		task := executor.Task{
			Command: shell("trap 'touch asked' TERM; echo up; while :; do sleep 0.05; done"),
			Ready:   &executor.Probe{Log: "up"},
			Stop:    executor.Stop{Before: []executor.Step{{Name: "drain", Command: shell("touch drained")}}},
		}
		a.launch("t1", task)
		a.await("t1", "RUNNING healthy")
		fence := time.Nanosecond
		a.kill("t1", &fence)
		a.await("t1", "KILLED: server was ended by SIGKILL, not having ended within 1ns")
		exited(t, cmd)
		for _, mark := range []string{"asked", "drained"} {
			_, err := os.Stat(filepath.Join(a.sandbox, mark))
			assert.ErrorIs(t, err, os.ErrNotExist, "the server was not to be %s", mark)
		}
	})
	t.Run("after a fault", func(t *testing.T) {
		t.Parallel()
		a := newAgent(t)
		cmd := a.start()
		task := stubborn
		task.Ready = &executor.Probe{TCP: "127.0.0.1:1", Within: 100 * time.Millisecond}
		task.Stop.Before = []executor.Step{{Name: "mark", Command: shell("touch stopping")}}
		a.launch("t1", task)
		require.Eventually(t, func() bool { _, err := os.Stat(filepath.Join(a.sandbox, "stopping")); return err == nil }, 30*time.Second, 5*time.Millisecond)
		a.kill("t1", &short)
		a.await("t1", "KILLED: not ready within 100ms; server was ended by SIGKILL, not having ended within 300ms")
		exited(t, cmd)
	})
	t.Run("steps before the signal", func(t *testing.T) {
		t.Parallel()
		a := newAgent(t)
		cmd := a.start()
		task := sleeper()
		task.Stop = executor.Stop{Signal: "SIGINT", Grace: 20 * time.Second, Before: []executor.Step{
			{Name: "drain", Done: "drained", Command: shell("echo drain > drained")},
			{Name: "flush", Func: "fail"},
			{Name: "wait", Func: "hang", Timeout: 50 * time.Millisecond},
			{Name: "hand over", Func: "wait", Timeout: 50 * time.Millisecond},
		}}
		a.launch("t1", task)
		a.await("t1", "RUNNING healthy")
		a.kill("t1", nil)
		a.await("t1", "KILLED: server was ended by SIGINT")
		exited(t, cmd)
		assert.Equal(t, []string{
			"KILLING: stopping: drain", "KILLING: drained",
			"KILLING: stopping: flush", "KILLING: flush failed: no luck",
			"KILLING: stopping: wait", "KILLING: wait failed: not done within 50ms",
			"KILLING: stopping: hand over", "KILLING: hand over failed: not done within 50ms: waits for n2",
			"KILLING: sent SIGINT, SIGKILL after 20s",
		}, a.history("t1")[2:11])
		assert.Equal(t, "drain\n", a.read("drained"))
	})
	t.Run("during a step", func(t *testing.T) {
		t.Parallel()
		a := newAgent(t)
		cmd := a.start()
		task := sleeper()
		task.Init = []executor.Step{{Name: "format", Command: []string{"sleep", "100"}}}
		a.launch("t1", task)
		a.await("t1", "STARTING")
		a.kill("t1", nil)
		s := a.await("t1", "KILLED: killed before the server was started")
		assert.Equal(t, mesos.REASON_TASK_KILLED_DURING_LAUNCH, s.GetReason())
		exited(t, cmd)
	})
	t.Run("during a step that waits", func(t *testing.T) {
		t.Parallel()
		a := newAgent(t)
		cmd := a.start()
		task := sleeper()
		task.Init = []executor.Step{{Name: "join", Func: "wait"}}
		a.launch("t1", task)
		a.await("t1", "STARTING")
		a.kill("t1", nil)
		a.await("t1", "KILLED: killed before the server was started: step join: the task was asked to stop: waits for n2")
		exited(t, cmd)
	})
	t.Run("framework that does not know TASK_KILLING", func(t *testing.T) {
		t.Parallel()
		a := newAgent(t)
		a.killing = false
		cmd := a.start()
		a.launch("t1", sleeper())
		a.await("t1", "RUNNING")
		a.kill("t1", nil)
		a.await("t1", "KILLED")
		exited(t, cmd)
		assert.NotContains(t, strings.Join(a.history("t1"), "\n"), "KILLING")
	})
}

func TestShutdownStopsAllWithinItsGrace(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"agent", "signal"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			a := newAgent(t)
			cmd := a.start()
			a.launch("gentle", sleeper())
			a.launch("stubborn", executor.Task{
				Command: shell("trap '' TERM; echo up; while :; do sleep 0.05; done"),
				Ready:   &executor.Probe{Log: "up"},
			})
			a.await("gentle", "RUNNING healthy")
			a.await("stubborn", "RUNNING healthy")
			if by == "agent" {
				a.send(&exec1.Event{Type: exec1.Event_SHUTDOWN})
			} else {
				require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
			}
			a.await("gentle", "KILLED: server was ended by SIGTERM")
			a.await("stubborn", "KILLED: server was ended by SIGKILL, not having ended within 3s")
			exited(t, cmd)
		})
	}
}
