package executor_test

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// pids are the numbers that a server wrote into a file of its sandbox.
func (d *deployment) pids(name string) []int {
	d.t.Helper()
	var all []int
	for _, field := range regexp.MustCompile(`\d+`).FindAllString(d.read(name), -1) {
		pid, err := strconv.Atoi(field)
		require.NoError(d.t, err)
		all = append(all, pid)
	}
	return all
}

// executorPID asks the executor who it is.
func (d *deployment) executorPID() int {
	d.t.Helper()
	pid, err := strconv.Atoi(d.ask(executor.Request{ID: "pid", Task: "t", Name: "pid"}))
	require.NoError(d.t, err)
	return pid
}

// daemons is a server with a child in its group and a daemon in a session of its
// own, whose pids it writes into the file pids.
const daemons = "sleep 1000 & echo $! > pids; setsid sh -c 'sleep 1000 & echo $! >> pids'; echo $$$$ >> pids; "

func TestClusterAgentRestarts(t *testing.T) {
	t.Parallel()
	for _, wire := range []string{"protobuf", "json"} {
		t.Run(wire, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, map[string]executor.Task{"t": {
				Command: shell("echo start >> starts; echo up; exec sleep 1000"), Ready: &executor.Probe{Log: "up"},
			}}, func(d *deployment) { d.env[wireVariable] = wire })
			d.await("t", "RUNNING healthy: ready")
			server := pidOf(t, d.await("t", "RUNNING unhealthy"))
			before := d.history("t")
			require.NoError(t, d.Agent(0).Restart())
			d.WaitAgents(t, 1)
			assert.NotZero(t, d.executorPID(), "the conversation goes on")
			assert.NoError(t, syscall.Kill(server, 0), "the server does not notice")
			assert.Equal(t, "start\n", d.read("starts"))
			assert.Equal(t, before, d.history("t"), "nor the scheduler")
			d.do(scheduler.Kill{Task: "t"})
			d.await("t", "KILLED: server was ended by SIGTERM")
			gone(t, server)
		})
	}
}

func TestClusterExecutorIsKilled(t *testing.T) {
	t.Parallel()
	d := deploy(t, map[string]executor.Task{"t": {Command: shell(daemons + "echo up; wait"), Ready: &executor.Probe{Log: "up"}}})
	d.await("t", "RUNNING healthy")
	pids := d.pids("pids")
	require.Len(t, pids, 3)
	require.NoError(t, syscall.Kill(d.executorPID(), syscall.SIGKILL))
	for _, pid := range pids {
		gone(t, pid)
	}
	d.until("the loss of the executor", func() bool { return len(d.lost) == 1 })
	assert.Equal(t, int(syscall.SIGKILL), d.lost[0].Status)
	d.await("t", "FAILED")
}

func TestClusterGuardIsKilled(t *testing.T) {
	t.Parallel()
	d := deploy(t, map[string]executor.Task{"t": {Command: shell(daemons + "echo up; wait"), Ready: &executor.Probe{Log: "up"}}})
	d.await("t", "RUNNING healthy")
	pids := d.pids("pids")
	require.Len(t, pids, 3)
	require.NoError(t, syscall.Kill(parent(t, pidOf(t, d.await("t", "RUNNING unhealthy"))), syscall.SIGKILL))
	d.await("t", "FAILED: server was killed together with its guard process")
	for _, pid := range pids {
		gone(t, pid)
	}
}

// What ends at once, or never begins to run, is told as well as what lives long.
func TestClusterShortLives(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		task executor.Task
		want string
	}{
		"exits at once": {executor.Task{Command: []string{"true"}}, "FINISHED: server exited with status 0"},
		"fails at once": {executor.Task{Command: shell("exit 9")}, "FAILED: server exited with status 9"},
		"is no program to the kernel": {executor.Task{
			Files:   []executor.File{{Path: "server", Mode: 0o755, Content: []byte("#!/no/such/interpreter\n")}},
			Command: []string{"./server"},
		}, "FAILED: start "},
		"ends between fork and exec": {executor.Task{ // where it enters its directory
			Command: []string{"true"}, Dir: "no/such/directory",
		}, "FAILED: start "},
		"ends at once each time": {executor.Task{
			Command: shell("exit 9"), Restart: executor.Restart{Max: 2, Backoff: time.Millisecond},
		}, "FAILED: server exited with status 9"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, map[string]executor.Task{"t": tt.task})
			d.await("t", tt.want)
			assert.Equal(t, "STARTING: files written", d.history("t")[0])
		})
	}
}

// One status for the server and what runs beside it; nothing of either is left.
func TestClusterSidecar(t *testing.T) {
	t.Parallel()
	d := deploy(t, map[string]executor.Task{"t": {
		Command: shell("echo $$$$ > server; exec sleep 1000"),
		Sidecars: []executor.Sidecar{
			{Name: "keeper", Command: shell(daemons + "until test -e go; do sleep 0.02; done; exit 5"), Essential: true},
			{Name: "exporter", Command: []string{"sleep", "1000"}, Ready: &executor.Probe{Command: []string{"test", "-s", "pids"}, Interval: 10 * time.Millisecond}},
		},
	}})
	d.await("t", "RUNNING healthy: sidecar keeper: started pid")
	d.await("t", "RUNNING healthy: sidecar exporter: ready")
	var pids []int
	require.Eventually(t, func() bool { pids = d.pids("pids"); return len(pids) == 3 }, 30*time.Second, 10*time.Millisecond)
	var usage executor.Usage
	require.NoError(t, json.Unmarshal([]byte(d.ask(executor.Request{ID: "1", Task: "t", Name: "usage"})), &usage))
	assert.GreaterOrEqual(t, usage.Processes, 5, "two sleeps and what the keeper has started")
	pids = append(pids, d.pids("server")...)
	d.touch("go")
	d.await("t", "RUNNING unhealthy: sidecar keeper: exited with status 5")
	d.await("t", "FAILED: sidecar keeper: exited with status 5; server was ended by SIGTERM")
	for _, pid := range pids {
		gone(t, pid)
	}
}

// A server that does everything to stay: it ignores SIGTERM, leaves daemons,
// closes its output and floods what is left of it.
func TestClusterStubbornServer(t *testing.T) {
	t.Parallel()
	d := deploy(t, map[string]executor.Task{"t": {
		Command: shell("trap '' TERM; " + daemons + "exec >&-; while :; do echo 0123456789abcdef >&2; done"),
		Ready:   &executor.Probe{Command: []string{"test", "-s", "stderr.1"}, Interval: 20 * time.Millisecond},
		Logs:    executor.Logs{MaxBytes: 64 << 10},
	}})
	d.await("t", "RUNNING healthy")
	pids := d.pids("pids")
	require.Len(t, pids, 3)
	pids = append(pids, d.executorPID()) // once it is gone, nobody rotates any more
	d.do(scheduler.Kill{Task: "t", Grace: 300 * time.Millisecond})
	d.await("t", "KILLING: sent SIGTERM, SIGKILL after 300ms")
	d.await("t", "KILLED: server was ended by SIGKILL, not having ended within 300ms; last lines:\n0123456789abcdef\n")
	for _, pid := range pids {
		gone(t, pid)
	}
	logs, err := filepath.Glob(filepath.Join(d.sandbox(), "std*"))
	require.NoError(t, err)
	for _, log := range logs {
		info, err := os.Stat(log)
		require.NoError(t, err)
		assert.LessOrEqual(t, info.Size(), int64(65<<10), log)
	}
}

// Nobody who could hear of it is there while the server starts and ends.
func TestClusterMasterAndSchedulerAway(t *testing.T) {
	t.Parallel()
	d := deploy(t, map[string]executor.Task{"t": {
		Init:    []executor.Step{{Name: "wait", Done: "waited", Command: shell("until test -e go; do sleep 0.02; done")}},
		Command: shell("echo up; sleep 0.2; echo bye"),
		Ready:   &executor.Probe{Log: "up"},
	}})
	d.await("t", "STARTING: files written")
	pid := d.executorPID()
	d.stop()
	d.StopMaster()
	d.touch("go")
	gone(t, pid) // it ends only when the agent has all of its updates
	require.NoError(t, d.StartMaster())
	d.schedule()
	d.await("t", "FINISHED: server exited with status 0; last lines:\n")
	history := d.history("t")
	require.Len(t, history, 5)
	assert.Equal(t, "STARTING: files written", history[0])
	assert.Equal(t, "STARTING: waited", history[1])
	assert.Contains(t, history[2], "RUNNING unhealthy: started pid")
	assert.Equal(t, "RUNNING healthy: ready", history[3])
}

// The disk of the agent is really full; it is a small one.
func TestClusterDiskIsFull(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, 4<<20)
	d := deploy(t, map[string]executor.Task{"t": {
		Command: shell("until test -e full; do head -c 65536 /dev/zero >> zeros || touch full; done 2>&1; yes | head -n 200000; echo still here; until test -e /tmp/$NEVER; do sleep 0.1; done"),
		Env:     map[string]string{"NEVER": "no-such-file-of-mesokit"},
		Ready:   &executor.Probe{Log: "still here"},
	}}, func(d *deployment) {
		d.Cluster = mesostest.New(t, oneAgent,
			mesostest.Configure(func(c *mesostest.Config) { c.Dir = dir }))
	})
	d.await("t", "RUNNING healthy: ready")
	var disk syscall.Statfs_t
	require.NoError(t, syscall.Statfs(dir, &disk))
	require.Less(t, disk.Bavail*uint64(disk.Bsize), uint64(8<<10), "nothing is left")
	d.do(scheduler.Kill{Task: "t"})
	d.await("t", "KILLED: server was ended by SIGTERM; last lines:\n")
}

// smallDisk mounts a file system of that many bytes.
func smallDisk(t *testing.T, size int) string {
	dir := t.TempDir()
	if err := mountTmpfs(dir, size); err != nil {
		t.Skip("a small disk needs Linux, root and the right to mount: ", err)
	}
	t.Cleanup(func() { assert.NoError(t, syscall.Unmount(dir, 0)) })
	return dir
}

func TestClusterGroupEndsTogether(t *testing.T) {
	t.Parallel()
	d := deploy(t, map[string]executor.Task{
		"p1": sleeper(),
		"p2": {Command: shell("until test -e go; do sleep 0.02; done; exit 4")},
		"p3": {Command: []string{"true"}},
	})
	d.await("p3", "FINISHED")
	d.await("p1", "RUNNING")
	d.await("p2", "RUNNING")
	assert.NotContains(t, strings.Join(d.history("p1"), "\n"), "KILL", "who has done its work takes nobody along")
	d.touch("go")
	d.await("p2", "FAILED: server exited with status 4")
	d.await("p1", "KILLED: server was ended by SIGTERM")
}

// secret is looked for in everything that a stranger could read. It is made of
// two parts so that this binary does not hold it as a whole.
func TestClusterSecretIsNowhere(t *testing.T) {
	t.Parallel()
	secret := strings.Join([]string{"hunter2", strconv.Itoa(os.Getpid()), "correct-horse"}, "-")
	var log lockedBuffer
	d := deploy(t, map[string]executor.Task{"t": {
		Secrets: []executor.SecretFile{{Name: "key", Path: "conf/key"}},
		Command: shell("wc -c < conf/key; echo up; exec sleep 1000"),
		Ready:   &executor.Probe{Log: "up"},
	}}, func(d *deployment) {
		d.secrets = map[string]string{"key": secret}
		d.Cluster = mesostest.New(t, oneAgent,
			mesostest.Configure(func(c *mesostest.Config) { c.Log = log.logger() }))
	})
	d.await("t", "RUNNING healthy")
	places := map[string]string{}
	d.collectFiles(places)
	assert.Equal(t, []string{"conf/key"}, holding(places, secret), "in its file, and nowhere else on the agent")
	info, err := os.Stat(filepath.Join(d.sandbox(), "conf/key"))
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o600), info.Mode())

	clear(places)
	d.collectProcesses(places, d.executorPID(), pidOf(t, d.await("t", "RUNNING unhealthy")))
	d.collectMaster(places)
	places["tail"] = d.ask(executor.Request{ID: "tail", Task: "t", Name: "tail"})
	d.do(scheduler.Kill{Task: "t"})
	d.await("t", "KILLED")
	d.stop()
	places["the logs of cluster and scheduler"] = log.String()
	places["the journal of the cluster"] = d.Journal()
	d.mu.Lock()
	for _, r := range d.saved {
		places["store "+r.Key] = string(r.Value)
	}
	for _, s := range d.updates {
		places["status "+describe(s)] = s.String()
	}
	d.mu.Unlock()
	assert.Empty(t, holding(places, secret))
	for _, name := range []string{"executor cmdline", "executor environ", "guard cmdline", "server environ", "GET_STATE", "/master/state"} {
		assert.NotEmpty(t, places[name], name)
	}
	assert.Contains(t, places["executor environ"], executor.Marker, "it is really searched")
	assert.Contains(t, places["GET_STATE"], `"executor"`)
}

// holding are the places that hold the secret, as it is, in base64 or in hex.
func holding(places map[string]string, secret string) []string {
	var found []string
	encoded, _ := json.Marshal([]byte(secret)) // base64 in quotes; bytes always have a form
	for name, content := range places {
		for _, form := range []string{secret, strings.Trim(string(encoded), `"=`), hexOf(secret)} {
			if strings.Contains(content, form) {
				found = append(found, name)
				break
			}
		}
	}
	return found
}

func hexOf(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		b.WriteString(strconv.FormatUint(uint64(c)+0x100, 16)[1:])
	}
	return b.String()
}

// collectFiles takes all files of the agent; those of the sandbox are named
// relative to it.
func (d *deployment) collectFiles(places map[string]string) {
	d.t.Helper()
	require.NoError(d.t, filepath.WalkDir(d.Agent(0).Dir(), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil // a temporary one, which by now has its real name
		}
		if err != nil {
			return err
		}
		if inside, err := filepath.Rel(d.sandbox(), path); err == nil && filepath.IsLocal(inside) {
			path = inside
		}
		places[path] = string(data)
		return nil
	}))
}

// collectProcesses takes what /proc shows of an executor, its guard and its
// server.
func (d *deployment) collectProcesses(places map[string]string, executor, server int) {
	d.t.Helper()
	guard := parent(d.t, server)
	for name, pid := range map[string]int{"executor": executor, "guard": guard, "server": server} {
		for _, file := range []string{"cmdline", "environ"} {
			data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/" + file)
			require.NoError(d.t, err)
			places[name+" "+file] = string(data)
		}
	}
}

// collectMaster takes what the master tells whoever asks.
func (d *deployment) collectMaster(places map[string]string) {
	d.t.Helper()
	read := func(resp *http.Response, err error) string {
		require.NoError(d.t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(d.t, err)
		require.Equal(d.t, http.StatusOK, resp.StatusCode, string(body))
		return string(body)
	}
	for _, call := range []string{"GET_STATE", "GET_TASKS", "GET_EXECUTORS", "GET_FRAMEWORKS"} {
		places[call] = read(http.Post(d.URL()+"/api/v1", "application/json", strings.NewReader(`{"type":"`+call+`"}`)))
	}
	places["/master/state"] = read(http.Get(d.URL() + "/master/state"))
	for _, task := range d.Tasks() {
		data, err := json.Marshal(task)
		require.NoError(d.t, err)
		places["task "+task.ID] = string(data)
	}
}

// What a server and its children use is told on request, and by itself where the
// task says how often.
func TestClusterUsage(t *testing.T) {
	t.Parallel()
	d := deploy(t, map[string]executor.Task{"t": {
		Command: shell("(i=0; while [ $$i -lt 200000 ]; do i=$$((i+1)); done); sleep 1000 & echo worked; wait"),
		Ready:   &executor.Probe{Log: "worked"},
		Sample:  50 * time.Millisecond,
	}})
	d.await("t", "RUNNING healthy")
	var asked executor.Usage
	require.NoError(t, json.Unmarshal([]byte(d.ask(executor.Request{ID: "1", Task: "t", Name: "usage"})), &asked))
	assert.Equal(t, "t", asked.Task)
	assert.Equal(t, 2, asked.Processes, "sh and sleep, not the guard")
	assert.GreaterOrEqual(t, asked.CPU, 10*time.Millisecond, "of the one that has ended")
	assert.Greater(t, asked.Memory, int64(500<<10))
	samples := func() (all []executor.Usage) {
		for _, m := range d.messages {
			if u, ok := m.(executor.Usage); ok {
				all = append(all, u)
			}
		}
		return all
	}
	// Not that it only grows: a process that ends while /proc is read may be seen
	// neither as itself nor as one that has ended.
	d.until("samples, the last of which tells of the one that has ended", func() bool {
		all := samples()
		return len(all) >= 3 && all[len(all)-1].CPU >= asked.CPU
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, u := range samples() {
		assert.Equal(t, "t", u.Task)
	}
}

// What Config.Decorators add comes with every status, and into the environment.
func TestClusterDecorators(t *testing.T) {
	t.Parallel()
	d := deploy(t, map[string]executor.Task{"t": {Command: shell("echo rack $$RACK")}})
	d.await("t", "FINISHED: server exited with status 0; last lines:\nrack r1")
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.updates {
		require.Equal(t, mesos.SOURCE_EXECUTOR, s.GetSource())
		var labels bytes.Buffer
		for _, l := range s.GetLabels().GetLabels() {
			labels.WriteString(l.Key + "=" + l.GetValue() + " ")
		}
		assert.Equal(t, "rack=r1 state="+s.GetState().String()+" ", labels.String())
	}
}
