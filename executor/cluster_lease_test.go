package executor_test

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// primary is a server that may write as long as the file of that name is there.
func primary() map[string]executor.Task {
	return map[string]executor.Task{"t": {
		Init:    []executor.Step{{Name: "open", Command: shell("touch writable")}},
		Command: shell("echo up; exec sleep 1000"),
		Ready:   &executor.Probe{Log: "up"},
		Lease: &executor.Lease{
			Within: 4 * time.Second,
			End:    &executor.Step{Name: "close", Done: "read-only", Command: []string{"rm", "-f", "writable"}, Timeout: 20 * time.Second},
			Again:  &executor.Step{Name: "open", Done: "writable", Command: []string{"touch", "writable"}, Timeout: 20 * time.Second},
		},
	}}
}

// writable tells whether the server may write.
func (d *deployment) writable() bool {
	_, err := os.Stat(filepath.Join(d.sandbox(), "writable"))
	return err == nil
}

// A scheduler that does nothing, and one that cannot be reached, look the same to
// the executor, which makes the server harmless in time, and takes that back as
// soon as it hears of the scheduler again.
func TestClusterLease(t *testing.T) {
	t.Parallel()
	cuts := map[string]func(d *deployment) (mend func()){
		"frozen scheduler": func(d *deployment) func() {
			d.frozen.Lock()
			return d.frozen.Unlock
		},
		"scheduler away": func(d *deployment) func() {
			d.stop()
			return d.schedule
		},
		"network cut": func(d *deployment) func() {
			d.Agent(0).Partition()
			return d.Agent(0).Heal
		},
		"messages lost": func(d *deployment) func() {
			return d.Intercept(func(m mesostest.Message) mesostest.Fate {
				if m.Name == "ExecutorSaid" || m.Name == "TellExecutor" {
					return mesostest.Drop{}
				}
				return mesostest.Deliver{}
			})
		},
	}
	for name, cut := range cuts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, primary())
			d.await("t", "RUNNING healthy: ready")
			server := pidOf(t, d.await("t", "RUNNING unhealthy"))
			mend := cut(d)
			require.Eventually(t, func() bool { return !d.writable() }, 30*time.Second, 10*time.Millisecond)
			assert.NoError(t, syscall.Kill(server, 0), "it is there to be read from")
			mend()
			d.await("t", "RUNNING unhealthy: lease ended: read-only")
			d.await("t", "RUNNING healthy: lease granted again: writable")
			assert.True(t, d.writable())
			d.do(scheduler.Kill{Task: "t"})
			d.await("t", "KILLED")
		})
	}
}

// An executor that is frozen cannot make its server harmless, so the guard ends it.
func TestClusterLeaseOfAFrozenExecutor(t *testing.T) {
	t.Parallel()
	task := primary()
	lease := *task["t"].Lease
	lease.End = &executor.Step{Name: "close", Command: []string{"rm", "-f", "writable"}, Timeout: time.Second}
	frozen := task["t"]
	frozen.Lease = &lease
	d := deploy(t, map[string]executor.Task{"t": frozen})
	d.await("t", "RUNNING healthy: ready")
	server := pidOf(t, d.await("t", "RUNNING unhealthy"))
	pid := d.executorPID()
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	gone(t, server)
	require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
	d.await("t", "FAILED: lease ended: no grant for 4s")
	gone(t, pid)
}

// The conversation survives a network that loses, doubles, swaps and delays: the
// server gets its secrets and its lease, and keeps both.
func TestClusterBadNetwork(t *testing.T) {
	t.Parallel()
	task := primary()["t"]
	task.Secrets = []executor.SecretFile{{Name: "key", Path: "key"}}
	d := deploy(t, map[string]executor.Task{"t": task}, func(d *deployment) {
		d.secrets = map[string]string{"key": "value"}
		d.Cluster = mesostest.New(t, oneAgent)
		fates := []mesostest.Fate{
			mesostest.Drop{}, mesostest.Deliver{}, mesostest.Double{}, mesostest.Deliver{}, mesostest.Swap{},
			mesostest.Deliver{}, mesostest.Delay{By: 50 * time.Millisecond},
		}
		var n atomic.Int64
		t.Cleanup(d.Intercept(func(m mesostest.Message) mesostest.Fate {
			if m.Name != "ExecutorSaid" && m.Name != "TellExecutor" {
				return mesostest.Deliver{}
			}
			return fates[int(n.Add(1))%len(fates)]
		}))
	})
	d.await("t", "RUNNING healthy: ready")
	assert.Equal(t, "value", d.read("key"))
	for _, id := range []string{"1", "2", "3"} {
		assert.Contains(t, d.ask(executor.Request{ID: id, Task: "t", Name: "tail"}), "up\n")
	}
	d.do(scheduler.Kill{Task: "t"})
	d.await("t", "KILLED")
}
