package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// asMain in the environment makes the test's binary mesos-local.
const asMain = "MESOS_LOCAL_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// patience bounds every wait; a machine that is busy with other tests needs it.
const patience = time.Minute

// command is mesos-local with arguments.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.Command(self, args...)
	c.Env = append(os.Environ(), asMain+"=1")
	return c
}

// local is a mesos-local that runs.
type local struct {
	ready
	t      *testing.T
	run    *exec.Cmd
	stdout *bufio.Reader
	log    *output
	once   sync.Once
}

// output is what a process writes, to be read meanwhile.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start starts mesos-local on free ports and waits until it is ready.
func start(t *testing.T, args ...string) *local {
	t.Helper()
	return launch(t, command(t, append([]string{"--address", "127.0.0.1:0", "--control", "127.0.0.1:0"}, args...)...))
}

func launch(t *testing.T, c *exec.Cmd) *local {
	t.Helper()
	l := &local{t: t, run: c, log: &output{}}
	c.Stderr = l.log
	pipe, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		l.end(syscall.SIGTERM)
		if t.Failed() {
			t.Logf("mesos-local said:\n%s", l.log)
		}
	})
	hurry := time.AfterFunc(patience, func() { _ = c.Process.Kill() })
	defer hurry.Stop()
	l.stdout = bufio.NewReader(pipe)
	line, err := l.stdout.ReadBytes('\n')
	require.NoError(t, err, "mesos-local said: %s", l.log)
	require.NoError(t, json.Unmarshal(line, &l.ready), "%s", line)
	return l
}

// end sends a signal and waits for the end, which must be clean.
func (l *local) end(s os.Signal) {
	l.once.Do(func() {
		assert.NoError(l.t, l.run.Process.Signal(s))
		hurry := time.AfterFunc(patience, func() { _ = l.run.Process.Kill() })
		defer hurry.Stop()
		rest, err := io.ReadAll(l.stdout)
		assert.NoError(l.t, err)
		assert.Empty(l.t, string(rest), "there is one line on the standard output")
		assert.NoError(l.t, l.run.Wait())
	})
}

// ask asks the control interface and wants it to agree.
func (l *local) ask(method, path string, answer any) {
	l.t.Helper()
	code, body := l.try(method, path)
	require.Equal(l.t, http.StatusOK, code, "%s %s: %s", method, path, body)
	if answer != nil {
		require.NoError(l.t, json.Unmarshal(body, answer), "%s", body)
	}
}

func (l *local) try(method, path string) (int, []byte) {
	l.t.Helper()
	return l.send(method, path, "")
}

func (l *local) send(method, path, text string) (int, []byte) {
	l.t.Helper()
	req, err := http.NewRequestWithContext(l.t.Context(), method, l.Control+path, strings.NewReader(text))
	require.NoError(l.t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(l.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(l.t, err)
	assert.Equal(l.t, "application/json", resp.Header.Get("Content-Type"), "%s", body)
	return resp.StatusCode, body
}

const twoHosts = `
address: 127.0.0.1:0
control: "127.0.0.1:0"
region: eu
zone: eu-1
allocation_interval: 50ms
agent_ping_timeout: 0.5secs
max_agent_ping_timeouts: 4
agents:
- {hostname: host1.test, attributes: "rack:r1", region: eu, zone: eu-1}
- hostname: host2.test
  resources: cpus:2;mem:512
  attributes: rack:r2;level:2
  region: eu
  zone: eu-2
  executor_shutdown_grace_period: 1secs
`

// write writes a file of the test and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestFrameworkOnNothingButHTTP(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := launch(t, command(t, write(t, "cluster.yaml", twoHosts), "--dir", dir))
	assert.Equal(t, l.run.Process.Pid, l.PID)
	require.Len(t, l.Agents, 2)
	assert.Equal(t, "host2.test", l.Agents[1].Hostname)

	f := subscribe(t, l.URL, "")
	f.launch("host2.test", "t1", "echo $$ > pid; echo hello; sleep 600 & wait")
	f.state("t1", "TASK_RUNNING")
	var tasks []taskStatus
	l.ask("GET", "/tasks", &tasks)
	assert.Equal(t, []taskStatus{{"t1", f.id, l.Agents[1].ID, "host2.test", "TASK_RUNNING"}}, tasks)
	var processes []processStatus
	l.ask("GET", "/processes", &processes)
	require.Len(t, processes, 1)
	p := processes[0]
	assert.Equal(t, processStatus{"host2.test", p.PID, f.id, "t1", "t1", p.ContainerID, p.Sandbox}, p)
	require.NoError(t, syscall.Kill(p.PID, 0), "the process of t1")
	require.Contains(t, p.Sandbox, dir)
	eventually(t, "hello in stdout", func() bool {
		out, err := os.ReadFile(filepath.Join(p.Sandbox, "stdout"))
		return err == nil && strings.Contains(string(out), "hello")
	})

	t.Log("the master is killed and started")
	var m masterStatus
	l.ask("POST", "/master/kill", &m)
	assert.Equal(t, masterStatus{l.Master, l.URL, false}, m)
	f.closed()
	_, err := http.Get(l.URL + "/health")
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	l.ask("POST", "/master/start", &m)
	assert.Equal(t, masterStatus{l.Master, l.URL, true}, m)
	again := subscribe(t, l.URL, f.id)
	assert.Equal(t, f.id, again.id)
	l.active(2)
	again.call(object{"type": "RECONCILE", "reconcile": object{"tasks": []object{{"task_id": value("t1")}}}})
	again.state("t1", "TASK_RUNNING")

	t.Log("an agent is partitioned and healed")
	var a agentStatus
	l.ask("POST", "/agents/host2.test/partition", &a)
	assert.True(t, a.Up && a.Partitioned)
	again.state("t1", "TASK_UNREACHABLE")
	l.ask("POST", "/agents/1/heal", &a)
	assert.False(t, a.Partitioned)
	again.state("t1", "TASK_RUNNING")
	require.NoError(t, syscall.Kill(p.PID, 0), "the process of t1")

	t.Log("everything ends")
	l.end(syscall.SIGTERM)
	assert.ErrorIs(t, syscall.Kill(p.PID, 0), syscall.ESRCH, "the process of t1")
	assertEmpty(t, dir)
}

// active waits until so many agents are registered and connected.
func (l *local) active(n int) {
	l.t.Helper()
	eventually(l.t, fmt.Sprintf("%d active agents", n), func() bool {
		var s status
		l.ask("GET", "/", &s)
		return s.ActiveAgents == n
	})
}

// eventually asks again and again, for another process cannot tell us.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	late := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-late:
			require.Fail(t, "not in time: "+what)
		}
	}
}

func assertEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, entries)
}

func TestAgentsAreKilledStoppedAndReset(t *testing.T) {
	t.Parallel()
	l := start(t, "--agent", `{hostname: host1.test, resources: "cpus:2;mem:512"}`, "--allocation_interval", "50ms")
	f := subscribe(t, l.URL, "")
	var a agentStatus
	for _, c := range []struct {
		action       string
		up, runs, id bool // whether task and ID are the same after it
	}{
		{"kill", false, true, true}, {"start", true, true, true}, {"restart", true, true, true},
		{"stop", false, false, true}, {"start", true, false, true}, {"reset", true, false, false},
	} {
		t.Log(c.action)
		var before []processStatus
		l.ask("GET", "/processes", &before)
		if len(before) == 0 && c.runs {
			f.launch("host1.test", "t1", "sleep 600")
			f.state("t1", "TASK_RUNNING")
			l.ask("GET", "/processes", &before)
		}
		l.ask("POST", "/agents/host1.test/"+c.action, &a)
		assert.Equal(t, c.up, a.Up)
		if a.Up {
			l.active(1)
		}
		var after []processStatus
		l.ask("GET", "/processes", &after)
		if c.runs {
			assert.Equal(t, before, after)
		} else {
			assert.Empty(t, after)
		}
		l.ask("GET", "/agents/0", &a)
		assert.Equal(t, c.id, a.ID == l.Agents[0].ID)
	}
	var sandboxes []sandboxStatus
	l.ask("GET", "/sandboxes", &sandboxes)
	assert.Empty(t, sandboxes, "the disk is new")
}

func TestSandboxesAreListed(t *testing.T) {
	t.Parallel()
	work := filepath.Join(t.TempDir(), "work")
	l := start(t, "--agent", "{hostname: host1.test, work_dir: "+work+"}", "--keep")
	assert.Equal(t, work, l.Agents[0].WorkDir)
	f := subscribe(t, l.URL, "")
	f.launch("host1.test", "t1", "echo hello")
	f.state("t1", "TASK_FINISHED")
	var sandboxes []sandboxStatus
	l.ask("GET", "/sandboxes", &sandboxes)
	require.Len(t, sandboxes, 1)
	s := sandboxes[0]
	assert.Equal(t, sandboxStatus{"host1.test", l.Agents[0].ID, f.id, "t1", s.ContainerID, s.Path}, s)
	assert.True(t, strings.HasPrefix(s.Path, work), s.Path)
	var journal []string
	l.ask("GET", "/journal", &journal)
	assert.NotEmpty(t, journal)
	l.end(syscall.SIGINT)
	out, err := os.ReadFile(filepath.Join(s.Path, "stdout"))
	require.NoError(t, err, "files are kept")
	assert.Contains(t, string(out), "hello")
}

func TestWorkDirIsClearedAtTheEnd(t *testing.T) {
	t.Parallel()
	work := t.TempDir()
	l := start(t, "--agent", `{"hostname": "host1.test", "work_dir": "`+work+`"}`)
	f := subscribe(t, l.URL, "")
	f.launch("host1.test", "t1", "echo hello")
	f.state("t1", "TASK_FINISHED")
	l.end(syscall.SIGHUP)
	assertEmpty(t, work)
}

func TestStandbyRedirects(t *testing.T) {
	t.Parallel()
	l := start(t, "--agent", "{}")
	l.ask("POST", "/master/standby?leader=127.0.0.1:1", nil)
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(l.URL + "/state")
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, http.StatusTemporaryRedirect, resp.StatusCode)
	assert.Equal(t, "//127.0.0.1:1/master/state", resp.Header.Get("Location"))
	l.ask("POST", "/master/restart", nil)
	l.active(1)
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	l := start(t, "--credential", "marathon=s3=cret", "--agent", "{}")
	call := `{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"root","name":"x","principal":"marathon"}}}`
	for secret, want := range map[string]int{"wrong": http.StatusUnauthorized, "s3=cret": http.StatusOK} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.URL+"/api/v1/scheduler", strings.NewReader(call))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		req.SetBasicAuth("marathon", secret)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		resp.Body.Close()
		assert.Equal(t, want, resp.StatusCode, secret)
	}
}

func TestControlRefuses(t *testing.T) {
	t.Parallel()
	l := start(t, "--agent", "{hostname: host1.test}", "--agent", "{hostname: host2.test}")
	for _, c := range []struct {
		name, method, path string
		code               int
		error              string
	}{
		{"unknown agent", "POST", "/agents/host3.test/kill", 404, `agent is "host3.test": want one of host1.test, host2.test, or its number from 0`},
		{"number too large", "GET", "/agents/2", 404, `agent is "2": want one of`},
		{"negative number", "GET", "/agents/-1", 404, `agent is "-1": want one of`},
		{"unknown action", "POST", "/agents/host1.test/fly", 404, `action is "fly": want kill, stop, start, restart, reset, partition, heal or retire`},
		{"unknown action on the master", "POST", "/master/stop", 404, `action is "stop": want kill, start, restart or standby`},
		{"wrong method", "GET", "/agents/host1.test/kill", 404, "GET /agents/host1.test/kill is not served: want GET of /"},
		{"unknown path", "GET", "/frameworks", 404, "GET /frameworks is not served"},
		{"no leader", "POST", "/master/standby?leader=host9", 400, `leader is "host9": want host:port`},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, body := l.try(c.method, c.path)
			assert.Equal(t, c.code, code)
			var f failure
			require.NoError(t, json.Unmarshal(body, &f), "%s", body)
			assert.Contains(t, f.Error, c.error)
		})
	}
	t.Run("page of another site", func(t *testing.T) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.Control+"/agents/0/stop", nil)
		require.NoError(t, err)
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		resp.Body.Close()
		assert.Equal(t, http.StatusForbidden, resp.StatusCode)
	})
	var s status
	l.ask("GET", "/", &s)
	assert.Equal(t, 2, s.ActiveAgents, "nothing was done")
}

func TestManyControlAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := start(t, "--agent", "{count: 2}", "--dir", dir, "--agent_ping_timeout", "100ms")
	paths := []string{"/master/kill", "/master/start", "/master/restart", "/master/standby", "/master/start"}
	for name := range actions {
		if name == "retire" {
			continue // for good
		}
		paths = append(paths, "/agents/0/"+name, "/agents/1/"+name)
	}
	slices.Sort(paths)
	var all sync.WaitGroup
	for first := range 4 {
		all.Go(func() {
			for i := range paths {
				path := paths[(first+i*(2*first+1))%len(paths)]
				code, body := l.try("POST", path)
				assert.Equal(t, http.StatusOK, code, "%s: %s", path, body)
				code, body = l.try("GET", "/processes")
				assert.Equal(t, http.StatusOK, code, "%s", body)
			}
		})
	}
	all.Wait()
	for _, path := range []string{"/master/start", "/agents/0/start", "/agents/0/heal", "/agents/1/start", "/agents/1/heal"} {
		l.ask("POST", path, nil)
	}
	l.active(2)
	l.end(syscall.SIGTERM)
	assertEmpty(t, dir)
}

// TestBuiltBinary runs what a user runs: the others run the test's own binary,
// which has the race detector.
func TestBuiltBinary(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "mesos-local")
	out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	dir := t.TempDir()
	l := launch(t, exec.Command(binary, "--address", "127.0.0.1:0", "--control", "127.0.0.1:0", "--dir", dir))
	assert.Len(t, l.Agents, defaultAgents)
	l.end(os.Interrupt)
	assertEmpty(t, dir)
}
