package executor_test

import (
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
)

// startLeased launches a server with a lease that End ends, and waits until it has
// been granted for longer than one term.
func startLeased(t *testing.T, end *executor.Step) (a *fakeAgent, cmd *exec.Cmd, server int) {
	a = newAgent(t)
	cmd = a.start()
	task := sleeper()
	task.Lease = &executor.Lease{Within: 4 * time.Second, End: end}
	a.launch("t1", task)
	a.wait("a few requests for the lease", func() bool { return len(a.messages()) >= 3 })
	assert.Len(t, a.history("t1"), 1, "not started without a lease")
	a.set(func() { a.grant = true })
	server = pidOf(t, a.await("t1", "RUNNING"))
	before := 0
	a.set(func() { before = len(a.messages()) })
	a.wait("renewals for longer than one term", func() bool { return len(a.messages()) >= before+6 })
	return a, cmd, server
}

func TestLease(t *testing.T) {
	t.Parallel()
	t.Run("kills", func(t *testing.T) {
		t.Parallel()
		a, cmd, server := startLeased(t, nil)
		a.set(func() { a.grant = false })
		a.await("t1", "FAILED: lease ended: no grant for 4s; server was ended by SIGKILL")
		gone(t, server)
		exited(t, cmd)
	})
	t.Run("makes harmless", func(t *testing.T) {
		t.Parallel()
		a, _, server := startLeased(t, &executor.Step{Name: "freeze", Done: "read-only", Command: shell("touch frozen"), Timeout: 5 * time.Second})
		a.set(func() { a.grant = false })
		a.await("t1", "RUNNING unhealthy: lease ended: read-only")
		assert.FileExists(t, filepath.Join(a.sandbox, "frozen"))
		a.set(func() { a.grant = true })
		a.await("t1", "RUNNING healthy: lease granted again")
		assert.NoError(t, syscall.Kill(server, 0))
	})
	t.Run("kills when it cannot make harmless", func(t *testing.T) {
		t.Parallel()
		a, cmd, server := startLeased(t, &executor.Step{Name: "freeze", Func: "fail", Timeout: 5 * time.Second})
		a.set(func() { a.grant = false })
		a.await("t1", "FAILED: lease ended: no grant for 4s\nfreeze: no luck; server was ended by SIGKILL")
		gone(t, server)
		exited(t, cmd)
	})
	t.Run("executor frozen", func(t *testing.T) {
		t.Parallel()
		a, cmd, server := startLeased(t, nil)
		require.NoError(t, cmd.Process.Signal(syscall.SIGSTOP))
		gone(t, server)
		require.NoError(t, cmd.Process.Signal(syscall.SIGCONT))
		a.await("t1", "FAILED: ")
		exited(t, cmd)
	})
	t.Run("agent away", func(t *testing.T) {
		t.Parallel()
		a, cmd, server := startLeased(t, nil)
		a.set(func() { a.refuse = true })
		a.disconnect()
		gone(t, server)
		a.set(func() { a.refuse = false })
		a.await("t1", "FAILED: lease ended")
		exited(t, cmd)
	})
}

func TestLeaseIsGrantedAgain(t *testing.T) {
	t.Parallel()
	t.Run("makes writable again", func(t *testing.T) {
		t.Parallel()
		a := newAgent(t)
		a.grant = true
		a.start()
		task := sleeper()
		task.Lease = &executor.Lease{
			Within: 3 * time.Second,
			End:    &executor.Step{Name: "freeze", Done: "read-only", Command: shell("echo end >> did"), Timeout: 5 * time.Second},
			Again:  &executor.Step{Name: "thaw", Done: "writable", Command: shell("echo again >> did; test -e may"), Timeout: 5 * time.Second},
		}
		a.launch("t1", task)
		a.await("t1", "RUNNING")
		a.set(func() { a.grant = false })
		a.await("t1", "RUNNING unhealthy: lease ended: read-only")
		a.set(func() { a.grant = true })
		a.await("t1", "RUNNING unhealthy: lease granted again, but thaw failed: sh exited with status 1")
		a.touch("may")
		a.await("t1", "RUNNING healthy: lease granted again: writable")
		assert.Regexp(t, `^end\n(again\n)+$`, a.read("did"))
	})
	t.Run("ends while it makes writable", func(t *testing.T) {
		t.Parallel()
		a := newAgent(t)
		a.grant = true
		a.start()
		task := sleeper()
		task.Lease = &executor.Lease{
			Within: 3 * time.Second,
			End:    &executor.Step{Name: "freeze", Done: "read-only", Command: shell("echo end >> did"), Timeout: 20 * time.Second},
			Again:  &executor.Step{Name: "thaw", Command: shell("trap 'echo no' TERM; echo again >> did; while :; do sleep 0.1; done"), Timeout: time.Hour},
		}
		a.launch("t1", task)
		a.await("t1", "RUNNING")
		a.set(func() { a.grant = false })
		a.await("t1", "RUNNING unhealthy: lease ended: read-only")
		a.set(func() { a.grant = true })
		require.Eventually(t, func() bool { return a.read("did") == "end\nagain\n" }, 30*time.Second, 5*time.Millisecond)
		a.set(func() { a.grant = false })
		require.Eventually(t, func() bool { return a.read("did") == "end\nagain\nend\n" }, 30*time.Second, 5*time.Millisecond, "the one after the other")
	})
}
