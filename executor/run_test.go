package executor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	exec1 "github.com/mesos/mesos-go/api/v1/lib/executor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
)

// serverVariable makes this test binary a server of the sandbox's files on the
// port of its value.
const serverVariable = "EXECUTOR_TEST_SERVER"

func serve(port string) {
	fmt.Println(http.ListenAndServe("127.0.0.1:"+port, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.URL)
		http.FileServer(http.Dir("www")).ServeHTTP(w, r)
	})))
	os.Exit(1)
}

// wireVariable says which of the two encodings the executor speaks.
const wireVariable = "EXECUTOR_TEST_WIRE"

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lockedBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// racks is a decorator.
var racks = executor.Decorator{
	Task: func(mesos.TaskInfo) ([]mesos.Label, map[string]string) {
		rack := "r1"
		return []mesos.Label{{Key: "rack", Value: &rack}}, map[string]string{"RACK": rack}
	},
	Status: func(_ mesos.TaskInfo, s mesos.TaskStatus) []mesos.Label {
		state := s.GetState().String()
		return []mesos.Label{{Key: "state", Value: &state}}
	},
}

// TestMain makes this test binary an executor, as a framework's main does.
func TestMain(m *testing.M) {
	if port := os.Getenv(serverVariable); port != "" {
		serve(port)
	}
	executor.Main(executor.Config{JSON: os.Getenv(wireVariable) == "json", Decorators: []executor.Decorator{racks}, Steps: map[string]executor.StepFunc{
		"stamp": func(_ context.Context, s executor.Sandbox) error {
			fmt.Fprintln(s.Log, "stamping", s.TaskID)
			s.Report("stamped by a function")
			return os.WriteFile(filepath.Join(s.Dir, "stamp"), []byte(s.TaskID), 0o600)
		},
		"run": func(ctx context.Context, s executor.Sandbox) error {
			return s.Run(ctx, "sh", "-c", "echo run in $MESOS_SANDBOX; exit 4")
		},
		"fail": func(context.Context, executor.Sandbox) error { return errors.New("no luck") },
		"hopeless": func(context.Context, executor.Sandbox) error {
			return fmt.Errorf("half a ring: %w", executor.ErrHopeless)
		},
		"hang":  func(ctx context.Context, _ executor.Sandbox) error { <-ctx.Done(); return ctx.Err() },
		"wait":  func(ctx context.Context, _ executor.Sandbox) error { <-ctx.Done(); return errors.New("waits for n2") },
		"panic": func(context.Context, executor.Sandbox) error { panic("index out of range") },
	}, Requests: map[string]executor.RequestFunc{
		"count": func(_ context.Context, s executor.Sandbox, body json.RawMessage) (any, error) {
			f, err := os.OpenFile(filepath.Join(s.Dir, "count"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			if err != nil {
				return nil, err
			}
			fmt.Fprintln(f, string(body))
			return map[string]string{"task": s.TaskID}, f.Close()
		},
		"large": func(context.Context, executor.Sandbox, json.RawMessage) (any, error) {
			return bytes.Repeat([]byte("0123456789"), 100_000), nil
		},
		"panic": func(context.Context, executor.Sandbox, json.RawMessage) (any, error) { panic("no") },
		"pid":   func(context.Context, executor.Sandbox, json.RawMessage) (any, error) { return os.Getpid(), nil },
		"hang": func(ctx context.Context, _ executor.Sandbox, _ json.RawMessage) (any, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
	}})
	os.Exit(m.Run())
}

func shell(script string) []string { return []string{"sh", "-c", script} }

// sleeper is a server that ends on SIGTERM.
func sleeper() executor.Task { return executor.Task{Command: []string{"sleep", "1000"}} }

func exited(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		assert.NoError(t, err)
	case <-time.After(time.Minute):
		t.Fatal("the executor has not ended")
	}
}

// gone waits until there is no process pid.
func gone(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) },
		time.Minute, 10*time.Millisecond, "process %d is still there", pid)
}

func pidOf(t *testing.T, s mesos.TaskStatus) int {
	t.Helper()
	m := regexp.MustCompile(`started pid (\d+)`).FindStringSubmatch(s.GetMessage())
	require.NotNil(t, m, s.GetMessage())
	pid, err := strconv.Atoi(m[1])
	require.NoError(t, err)
	return pid
}

// freePort returns a port on which nothing listens.
func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func TestLifeOfAServer(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	cmd := a.start()
	port := freePort(t)
	self, err := os.Executable()
	require.NoError(t, err)
	a.launch("t1", executor.Task{
		Files: []executor.File{
			{Path: "conf/server.conf", Content: []byte("port=${PORT}\ncost=$$5\n"), Expand: true, Mode: 0o640},
			{Path: "www/page", Content: []byte("$PORT")},
		},
		Init: []executor.Step{
			{Name: "format", Done: "formatted", Command: shell("mkdir data && echo formatting $PORT"), Unless: "data"},
			{Name: "format", Done: "formatted again", Command: shell("exit 1"), Unless: "data"},
			{Name: "stamp", Func: "stamp"},
		},
		Command: []string{"$SELF"},
		Env:     map[string]string{"PORT": port, "SELF": self, serverVariable: port},
		Ready:   &executor.Probe{HTTP: "http://127.0.0.1:$PORT/page", Interval: 50 * time.Millisecond},
	})
	a.await("t1", "RUNNING healthy")
	a.kill("t1", nil)
	a.await("t1", "KILLED")
	exited(t, cmd)

	history := a.history("t1")
	require.Len(t, history, 7)
	pid := pidOf(t, a.await("t1", "RUNNING unhealthy"))
	assert.Equal(t, []string{
		"STARTING: files written",
		"STARTING: formatted",
		"STARTING: stamped by a function",
		fmt.Sprintf("RUNNING unhealthy: started pid %d", pid),
		"RUNNING healthy: ready",
		"KILLING: sent SIGTERM, SIGKILL after 30s",
	}, history[:6])
	assert.Contains(t, history[6], "KILLED: server was ended by SIGTERM; last lines:\n")
	assert.Contains(t, history[6], "stamping t1")
	assert.Contains(t, history[6], "GET /page")
	gone(t, pid)
	assert.Equal(t, "port="+port+"\ncost=$5\n", a.read("conf/server.conf"))
	assert.Equal(t, "$PORT", a.read("www/page"), "not to be expanded")
	info, err := os.Stat(filepath.Join(a.sandbox, "conf/server.conf"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o640), info.Mode())
	assert.Contains(t, a.read("stdout"), "formatting "+port)
	for _, s := range a.updates("t1") {
		assert.Len(t, s.UUID, 16)
		assert.Equal(t, mesos.SOURCE_EXECUTOR, s.GetSource())
		assert.Equal(t, "executor", s.GetExecutorID().GetValue())
		assert.NotZero(t, s.GetTimestamp())
	}
}

func TestTaskEnds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		task executor.Task
		want string
	}{
		{"exit 0", executor.Task{Command: shell("echo bye; exit 0")},
			"FINISHED: server exited with status 0; last lines:\nbye"},
		{"exit 3", executor.Task{Command: shell("echo a; echo b >&2; sleep 0.1; printf c; exit 3"), Logs: executor.Logs{Tail: 1}},
			"FAILED: server exited with status 3; last lines:\nc"},
		{"no tail", executor.Task{Command: shell("echo a; exit 3"), Logs: executor.Logs{Tail: -1}},
			"FAILED: server exited with status 3"},
		{"signal", executor.Task{Command: shell("kill -USR1 $$$$")},
			"FAILED: server was ended by SIGUSR1"},
		{"no program", executor.Task{Command: []string{"no-such-server"}},
			`FAILED: program "no-such-server": not found in PATH`},
		{"no file", executor.Task{Command: []string{"./bin/server"}},
			`FAILED: program "`},
		{"not executable", executor.Task{Files: []executor.File{{Path: "server"}}, Command: []string{"./server"}},
			`FAILED: program "`},
		{"not a program", executor.Task{Files: []executor.File{{Path: "server", Mode: 0o755, Content: []byte("#!/no/such/interpreter\n")}}, Command: []string{"./server"}},
			`FAILED: start `},
		{"unknown variable", executor.Task{Command: []string{"echo", "$NO_SUCH"}},
			`FAILED: command "$NO_SUCH": variable NO_SUCH is not set`},
		{"unknown variable in a file", executor.Task{Command: []string{"true"}, Files: []executor.File{{Path: "a", Content: []byte("${NO_SUCH}"), Expand: true}}},
			`FAILED: file a: "${NO_SUCH}": variable NO_SUCH is not set`},
		{"step fails", executor.Task{Command: []string{"true"}, Init: []executor.Step{{Name: "format", Command: shell("echo disk is broken; exit 7")}}},
			"FAILED: step format: sh exited with status 7; last lines:\ndisk is broken"},
		{"function fails", executor.Task{Command: []string{"true"}, Init: []executor.Step{{Name: "format", Func: "fail"}}},
			"FAILED: step format: no luck"},
		{"function runs a program", executor.Task{Command: []string{"true"}, Init: []executor.Step{{Name: "format", Func: "run"}}},
			"FAILED: step format: sh exited with status 4; last lines:\nrun in /"},
		{"function panics", executor.Task{Command: []string{"true"}, Init: []executor.Step{{Name: "format", Func: "panic"}}},
			"FAILED: step format: panic: index out of range"},
		{"no function", executor.Task{Command: []string{"true"}, Init: []executor.Step{{Name: "format", Func: "nothing"}}},
			`FAILED: step format: func "nothing": this executor has no such function`},
		{"no function for a probe", executor.Task{Command: []string{"true"}, Live: &executor.Probe{Func: "nothing"}},
			`FAILED: live: func "nothing": this executor has no such function`},
		{"function says that it is not alive", executor.Task{Command: []string{"sleep", "100"}, Live: &executor.Probe{Func: "fail", Failures: 1}},
			"FAILED: no longer alive: no luck; server was ended by SIGTERM"},
		{"function to probe hangs", executor.Task{Command: []string{"sleep", "100"}, Live: &executor.Probe{Func: "hang", Failures: 1, Timeout: 50 * time.Millisecond}},
			"FAILED: no longer alive: no answer within 50ms; server was ended by SIGTERM"},
		{"function to probe waits", executor.Task{Command: []string{"sleep", "100"}, Live: &executor.Probe{Func: "wait", Failures: 1, Timeout: 50 * time.Millisecond}},
			"FAILED: no longer alive: no answer within 50ms: waits for n2; server was ended by SIGTERM"},
		{"in a directory", executor.Task{Files: []executor.File{{Path: "deep/in/a", Content: []byte("here")}}, Dir: "deep/in", Command: []string{"cat", "a"}},
			"FINISHED: server exited with status 0; last lines:\nhere"},
		{"no directory", executor.Task{Dir: "nowhere", Command: []string{"true"}},
			"FAILED: start "},
		{"step hangs", executor.Task{Command: []string{"true"}, Init: []executor.Step{{Name: "format", Command: []string{"sleep", "100"}, Timeout: 100 * time.Millisecond}}},
			"FAILED: step format: sleep: not done within 100ms"},
		{"function hangs", executor.Task{Command: []string{"true"}, Init: []executor.Step{{Name: "format", Func: "hang", Timeout: 100 * time.Millisecond}}},
			"FAILED: step format: not done within 100ms"},
		{"function waits", executor.Task{Command: []string{"true"}, Init: []executor.Step{{Name: "format", Func: "wait", Timeout: 100 * time.Millisecond}}},
			"FAILED: step format: not done within 100ms: waits for n2"},
		{"never ready", executor.Task{Command: []string{"sleep", "100"}, Ready: &executor.Probe{TCP: "127.0.0.1:1", Within: 200 * time.Millisecond}},
			"FAILED: not ready within 200ms; server was ended by SIGTERM"},
		{"function says that it never gets ready", executor.Task{Command: []string{"sleep", "100"}, Ready: &executor.Probe{Func: "hopeless"}},
			"FAILED: never ready: half a ring: only a new start helps; server was ended by SIGTERM"},
		{"function says that it never gets well", executor.Task{Command: []string{"sleep", "100"}, Live: &executor.Probe{Func: "hopeless", Interval: time.Hour, Failures: 3}},
			"FAILED: no longer alive: half a ring: only a new start helps; server was ended by SIGTERM"},
		{"not alive", executor.Task{Command: []string{"sleep", "100"}, Live: &executor.Probe{Command: shell("echo wedged; exit 1"), Interval: 10 * time.Millisecond, Failures: 2}},
			"FAILED: no longer alive: exit status 1: wedged"},
		{"too many files", executor.Task{Command: []string{"true"}, Limits: executor.Limits{OpenFiles: 1 << 40}},
			"FAILED: limits.open_files 1099511627776"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAgent(t)
			cmd := a.start()
			a.launch("t1", tt.task)
			state, _, _ := strings.Cut(tt.want, ":")
			got := describe(a.await("t1", state))
			assert.Truef(t, strings.HasPrefix(got, tt.want), "got  %q\nwant %q", got, tt.want)
			exited(t, cmd)
		})
	}
}

func TestBadTaskIsAnError(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	cmd := a.start()
	a.send(&exec1.Event{Type: exec1.Event_LAUNCH, Launch: &exec1.Event_Launch{Task: taskInfo("t1", []byte(`{"command":[]}`))}})
	s := a.await("t1", "ERROR: task t1: command is empty")
	assert.Equal(t, mesos.REASON_TASK_INVALID, s.GetReason())
	exited(t, cmd)
}

func TestLimitsReachTheServer(t *testing.T) {
	t.Parallel()
	umask := 0o027
	a := newAgent(t)
	a.start()
	a.launch("t1", executor.Task{
		Command: shell("ulimit -n; ulimit -c; umask; echo private=[$MESOS_EXECUTOR_AUTHENTICATION_TOKEN$MESOKIT_EXECUTOR$MESOS_EXECUTOR_ID] $MESOS_SANDBOX"),
		Env:     map[string]string{"MESOS_EXECUTOR_AUTHENTICATION_TOKEN": "", "MESOKIT_EXECUTOR": "", "MESOS_EXECUTOR_ID": ""},
		Limits:  executor.Limits{OpenFiles: 123, NoCore: true, Umask: &umask},
	})
	a.await("t1", "FINISHED: server exited with status 0; last lines:\n123\n0\n0027\nprivate=[] "+a.sandbox)
}

func TestReadinessByLogLineAndItsLoss(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	a.start()
	a.launch("log", executor.Task{
		Command: shell("echo warming up; echo '[main] started in 3 s'; exec sleep 100"),
		Ready:   &executor.Probe{Log: `started in \d+ s`},
	})
	a.await("log", "RUNNING healthy: ready")
	a.launch("command", executor.Task{
		Command: []string{"sleep", "100"},
		Ready:   &executor.Probe{Command: []string{"test", "-e", "ok"}, Interval: 10 * time.Millisecond, Failures: 2},
	})
	ok := filepath.Join(a.sandbox, "ok")
	require.NoError(t, os.WriteFile(ok, nil, 0o600))
	a.await("command", "RUNNING healthy: ready")
	require.NoError(t, os.Remove(ok))
	s := a.await("command", "RUNNING unhealthy: not ready: exit status 1")
	assert.Equal(t, mesos.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED, s.GetReason())
}

func TestAgentRestart(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	cmd := a.start()
	a.launch("t1", executor.Task{
		Command: []string{"sleep", "100"},
		Ready:   &executor.Probe{Command: []string{"test", "-e", "ok"}, Interval: 10 * time.Millisecond, Failures: 1},
	})
	pid := pidOf(t, a.await("t1", "RUNNING unhealthy"))
	a.wait("acknowledgements", func() bool { return len(a.acked) == 2 })

	// While the agent is away the server becomes ready and not ready again.
	a.set(func() { a.refuse = true })
	a.disconnect()
	ok := filepath.Join(a.sandbox, "ok")
	require.NoError(t, os.WriteFile(ok, nil, 0o600))
	stderr := func(text string) {
		require.Eventually(t, func() bool { return strings.Contains(a.read("stderr"), text) }, 20*time.Second, 10*time.Millisecond)
	}
	stderr("message=ready")
	require.NoError(t, os.Remove(ok))
	stderr(`message="not ready`)
	before := 0
	a.set(func() { a.refuse, before = false, len(a.calls) })
	a.await("t1", "RUNNING unhealthy: not ready")

	var sub *exec1.Call
	a.set(func() { sub = a.calls[before] })
	require.Equal(t, exec1.Call_SUBSCRIBE, sub.Type)
	assert.Empty(t, sub.Subscribe.UnacknowledgedTasks, "an update of it was acknowledged")
	require.NotEmpty(t, sub.Subscribe.UnacknowledgedUpdates)
	assert.Equal(t, "RUNNING healthy: ready", describe(sub.Subscribe.UnacknowledgedUpdates[0].Status))
	// The second may have come while the call was on its way, and then follows it.
	assert.Equal(t, []string{"RUNNING healthy: ready", "RUNNING unhealthy: not ready: exit status 1"}, a.history("t1")[2:])
	assert.NoError(t, syscall.Kill(pid, 0), "the server must not notice")
	a.kill("t1", nil)
	a.await("t1", "KILLED")
	exited(t, cmd)
}

func TestUnacknowledgedUpdatesAndTasksAreToldAgain(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	a.noAck = true
	cmd := a.start()
	a.launch("t1", sleeper())
	a.await("t1", "RUNNING")
	a.disconnect()
	a.wait("a second subscription", func() bool { return a.stream != nil && a.calls[len(a.calls)-1].Subscribe != nil })
	a.mu.Lock()
	sub := a.calls[len(a.calls)-1].Subscribe
	a.mu.Unlock()
	require.Len(t, sub.UnacknowledgedTasks, 1)
	assert.Equal(t, "t1", sub.UnacknowledgedTasks[0].TaskID.Value)
	assert.Len(t, sub.UnacknowledgedUpdates, 2)
	a.set(func() { a.noAck = false })
	a.disconnect()
	a.kill("t1", nil)
	a.await("t1", "KILLED")
	exited(t, cmd)
}

// Without checkpoints an agent that was started again would not take the executor
// back, but a connection that breaks is not that.
func TestBrokenConnection(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	a.env = map[string]string{"MESOS_CHECKPOINT": "0"}
	cmd := a.start()
	a.launch("t1", sleeper())
	pid := pidOf(t, a.await("t1", "RUNNING"))
	for i := range 3 {
		a.disconnect()
		// The executor has to know of it: one that is cut off twice in between has no
		// agent any more.
		require.Eventually(t, func() bool { return strings.Count(a.read("stderr"), "msg=subscribed") == i+2 }, 30*time.Second, 5*time.Millisecond)
	}
	assert.NoError(t, syscall.Kill(pid, 0))
	a.kill("t1", nil)
	a.await("t1", "KILLED")
	exited(t, cmd)
}

func TestAgentThatStaysAwayEndsTheServer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		env  map[string]string
	}{
		{"recovery timeout", map[string]string{"MESOS_CHECKPOINT": "1", "MESOS_RECOVERY_TIMEOUT": "500ms"}},
		{"no checkpoints", map[string]string{"MESOS_CHECKPOINT": "0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAgent(t)
			a.env = tt.env
			cmd := a.start()
			a.launch("t1", sleeper())
			pid := pidOf(t, a.await("t1", "RUNNING"))
			a.set(func() { a.refuse = true })
			a.disconnect()
			exited(t, cmd)
			gone(t, pid)
		})
	}
}
