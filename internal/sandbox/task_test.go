package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// taskConfig is a command task, and the channel of its statuses.
func taskConfig(t *testing.T, command mesos.CommandInfo) (TaskConfig, <-chan mesos.TaskStatus) {
	t.Helper()
	statuses := make(chan mesos.TaskStatus, 100)
	return TaskConfig{
		Container: config(t, mesos.CommandInfo{}),
		Task:      mesos.TaskInfo{TaskID: mesos.TaskID{Value: "t1"}, Command: &command},
		Report:    func(s mesos.TaskStatus) { statuses <- s },
	}, statuses
}

func startTask(t *testing.T, cfg TaskConfig) *Task {
	t.Helper()
	task, err := StartTask(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { destroyTask(t, task) })
	return task
}

func destroyTask(t *testing.T, task *Task) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(t, task.Destroy(ctx))
	destroy(t, task.Container())
}

// expect waits for the next status and compares what it says, written as
// "TASK_FAILED REASON_X healthy=false check={…}: message".
func expect(t *testing.T, statuses <-chan mesos.TaskStatus, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case s := <-statuses:
			require.Equal(t, w, say(t, s))
		case <-time.After(time.Minute):
			t.Fatalf("no status came: want %s", w)
		}
	}
}

func say(t *testing.T, s mesos.TaskStatus) string {
	t.Helper()
	require.Equal(t, "t1", s.TaskID.Value)
	require.Equal(t, mesos.SOURCE_EXECUTOR, s.GetSource())
	require.Equal(t, "e1", s.GetExecutorID().Value)
	require.Len(t, s.UUID, 16)
	require.InDelta(t, float64(time.Now().Unix()), s.GetTimestamp(), 60)
	text := s.GetState().String()
	if s.Reason != nil {
		text += " " + s.GetReason().String()
	}
	if s.Healthy != nil {
		text += fmt.Sprintf(" healthy=%v", *s.Healthy)
	}
	if s.CheckStatus != nil {
		b, err := json.Marshal(s.CheckStatus)
		require.NoError(t, err)
		text += " check=" + string(b)
	}
	if s.Message != nil {
		text += ": " + *s.Message
	}
	return text
}

func waitDone(t *testing.T, task *Task) {
	t.Helper()
	select {
	case <-task.Done():
	case <-time.After(time.Minute):
		t.Fatal("the task is not done")
	}
	left, err := task.Container().members()
	require.NoError(t, err)
	require.Empty(t, left)
}

func grace(d time.Duration) *mesos.KillPolicy {
	return &mesos.KillPolicy{GracePeriod: &mesos.DurationInfo{Nanoseconds: int64(d)}}
}

func TestTaskEndsAsRecorded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		command mesos.CommandInfo
		want    string
	}{
		{"task_finishes", shell("exit 0"), "TASK_FINISHED: Command exited with status 0"},
		{"task_fails t1", shell("exit 7"), "TASK_FAILED: Command exited with status 7"},
		{"task_fails t2", shell("kill -9 $$"), "TASK_FAILED: Command terminated with signal Killed"},
		{"task_fails t3", shell("/no/such/program"), "TASK_FAILED: Command exited with status 127"},
		{"task_without_shell", program("/bin/sh", "sh", "-c", "exit 4"), "TASK_FAILED: Command exited with status 4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg, statuses := taskConfig(t, tt.command)
			task := startTask(t, cfg)
			expect(t, statuses, "TASK_STARTING", "TASK_RUNNING", tt.want)
			waitDone(t, task)
		})
	}
}

func TestTaskWithoutCommand(t *testing.T) {
	t.Parallel()
	cfg, _ := taskConfig(t, mesos.CommandInfo{})
	_, err := StartTask(t.Context(), cfg)
	var launch *LaunchError
	require.ErrorAs(t, err, &launch)
	assert.ErrorContains(t, err, `task "t1" has no command value`)
}

func TestTaskIsKilled(t *testing.T) {
	t.Parallel()
	const stubborn = `trap '' TERM; echo up >up; while true; do sleep 0.05; done`
	for _, tt := range []struct {
		name    string
		command string
		change  func(*TaskConfig)
		kill    func(*Task)
		want    []string
	}{
		{
			name: "by SIGTERM", command: "echo up >up; sleep 600",
			kill: func(task *Task) { task.Kill(nil) },
			want: []string{"TASK_KILLED: Command terminated with signal Terminated"},
		},
		{
			name: "and is told so", command: "echo up >up; sleep 600",
			change: func(c *TaskConfig) { c.Killing = true },
			kill:   func(task *Task) { task.Kill(nil); task.Kill(nil) },
			want:   []string{"TASK_KILLING", "TASK_KILLED: Command terminated with signal Terminated"},
		},
		{
			name: "and ends by itself", command: `trap 'exit 0' TERM; echo up >up; while true; do sleep 0.05; done`,
			kill: func(task *Task) { task.Kill(grace(time.Hour)) },
			want: []string{"TASK_KILLED: Command exited with status 0"},
		},
		{
			name: "after its own grace period", command: stubborn,
			change: func(c *TaskConfig) { c.Task.KillPolicy = grace(50 * time.Millisecond) },
			kill:   func(task *Task) { task.Kill(nil) },
			want:   []string{"TASK_KILLED: Command terminated with signal Killed"},
		},
		{
			name: "after the caller's grace period", command: stubborn,
			change: func(c *TaskConfig) { c.Task.KillPolicy = grace(time.Hour) },
			kill:   func(task *Task) { task.Kill(grace(50 * time.Millisecond)) },
			want:   []string{"TASK_KILLED: Command terminated with signal Killed"},
		},
		{
			name: "sooner when asked again", command: stubborn,
			kill: func(task *Task) { task.Kill(grace(time.Hour)); task.Kill(grace(0)) },
			want: []string{"TASK_KILLED: Command terminated with signal Killed"},
		},
		{
			name: "by shutdown", command: stubborn,
			change: func(c *TaskConfig) { c.Container.Environment.ShutdownGrace = 2 * time.Second },
			kill:   func(task *Task) { task.Shutdown() },
			want:   []string{"TASK_KILLED: Command terminated with signal Killed"},
		},
		{
			name: "for taking too long", command: stubborn,
			change: func(c *TaskConfig) {
				c.Killing = true
				c.Task.MaxCompletionTime = &mesos.DurationInfo{Nanoseconds: int64(5 * time.Second)} // it must be up before
			},
			kill: func(*Task) {},
			want: []string{"TASK_FAILED REASON_MAX_COMPLETION_TIME_REACHED: Command terminated with signal Killed"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg, statuses := taskConfig(t, shell(tt.command))
			if tt.change != nil {
				tt.change(&cfg)
			}
			task := startTask(t, cfg)
			expect(t, statuses, "TASK_STARTING", "TASK_RUNNING")
			content(t, task.Container(), "up")
			tt.kill(task)
			expect(t, statuses, tt.want...)
			waitDone(t, task)
			task.Kill(nil) // late, and without effect
		})
	}
}

func TestKillingAgainCannotLengthen(t *testing.T) {
	t.Parallel()
	cfg, statuses := taskConfig(t, shell(`trap '' TERM; echo up >up; while true; do sleep 0.05; done`))
	task := startTask(t, cfg)
	content(t, task.Container(), "up")
	task.Kill(grace(100 * time.Millisecond))
	task.Kill(grace(time.Hour))
	expect(t, statuses, "TASK_STARTING", "TASK_RUNNING", "TASK_KILLED: Command terminated with signal Killed")
}

func TestTaskTakesItsChildrenAlong(t *testing.T) {
	t.Parallel()
	cfg, statuses := taskConfig(t, shell(`(trap '' TERM; echo up >up; while true; do sleep 0.05; done) & while ! test -f up; do sleep 0.01; done`))
	task := startTask(t, cfg)
	expect(t, statuses, "TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED: Command exited with status 0")
	waitDone(t, task)
}

func TestDestroyedTaskReportsNoMore(t *testing.T) {
	t.Parallel()
	cfg, statuses := taskConfig(t, shell("sleep 600"))
	task := startTask(t, cfg)
	expect(t, statuses, "TASK_STARTING", "TASK_RUNNING")
	destroyTask(t, task)
	assert.Empty(t, statuses)
}

func TestStatusesWaitForTheAgent(t *testing.T) {
	t.Parallel()
	cfg, _ := taskConfig(t, shell("exit 0"))
	statuses := make(chan mesos.TaskStatus)
	cfg.Report = func(s mesos.TaskStatus) { statuses <- s }
	task := startTask(t, cfg)
	<-task.Container().Done() // the task goes on while its agent is away
	expect(t, statuses, "TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED: Command exited with status 0")
	waitDone(t, task)
}

func TestAttachTask(t *testing.T) {
	t.Parallel()
	cfg, statuses := taskConfig(t, shell("sleep 600"))
	startTask(t, cfg)
	expect(t, statuses, "TASK_STARTING", "TASK_RUNNING")

	again := make(chan mesos.TaskStatus, 10)
	cfg.Report = func(s mesos.TaskStatus) { again <- s }
	cfg.Task.HealthCheck = healthCheck(func(h *mesos.HealthCheck) {
		h.Type = mesos.HealthCheck_COMMAND
		h.Command = &mesos.CommandInfo{Value: new(`test "$MESOS_EXECUTOR_ID" = e1`)}
	})
	second, err := AttachTask(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { destroyTask(t, second) })
	expect(t, again, "TASK_RUNNING REASON_TASK_HEALTH_CHECK_STATUS_UPDATED healthy=true")
	second.Kill(nil)
	expect(t, again, "TASK_KILLED: Command terminated with signal Terminated")
}

// healthCheck is a quick health check: every 50 ms, 2 failures kill.
func healthCheck(change func(*mesos.HealthCheck)) *mesos.HealthCheck {
	h := &mesos.HealthCheck{
		DelaySeconds: new(0.0), IntervalSeconds: new(0.05), TimeoutSeconds: new(60.0),
		GracePeriodSeconds: new(0.0), ConsecutiveFailures: new(uint32(2)),
	}
	change(h)
	return h
}

func TestHealthCheckKillsTaskAsRecorded(t *testing.T) {
	t.Parallel()
	cfg, statuses := taskConfig(t, shell("while ! test -f go; do sleep 0.01; done; touch bad; sleep 600"))
	cfg.Task.HealthCheck = healthCheck(func(h *mesos.HealthCheck) {
		h.Type = mesos.HealthCheck_COMMAND
		h.Command = &mesos.CommandInfo{Value: new("test ! -f bad")}
	})
	task := startTask(t, cfg)
	expect(t, statuses, "TASK_STARTING", "TASK_RUNNING", "TASK_RUNNING REASON_TASK_HEALTH_CHECK_STATUS_UPDATED healthy=true")
	require.NoError(t, os.WriteFile(filepath.Join(task.Container().Directory(), "go"), nil, 0o600))
	expect(t, statuses,
		"TASK_RUNNING REASON_TASK_HEALTH_CHECK_STATUS_UPDATED healthy=false",
		"TASK_RUNNING REASON_TASK_HEALTH_CHECK_STATUS_UPDATED healthy=false",
		"TASK_KILLED healthy=false: Command terminated with signal Terminated")
	waitDone(t, task)
}

func TestHealthCheckForgivesInTheGracePeriod(t *testing.T) {
	t.Parallel()
	cfg, statuses := taskConfig(t, shell("sleep 600"))
	cfg.Task.HealthCheck = healthCheck(func(h *mesos.HealthCheck) {
		h.Type = mesos.HealthCheck_COMMAND
		h.Command = &mesos.CommandInfo{Value: new("echo x >>tries; test $(wc -l <tries) -gt 4")}
		h.GracePeriodSeconds = new(3600.0)
	})
	startTask(t, cfg)
	expect(t, statuses, "TASK_STARTING", "TASK_RUNNING", "TASK_RUNNING REASON_TASK_HEALTH_CHECK_STATUS_UPDATED healthy=true")
}

func TestHealthCheckTimesOut(t *testing.T) {
	t.Parallel()
	cfg, statuses := taskConfig(t, shell("sleep 600"))
	cfg.Task.HealthCheck = healthCheck(func(h *mesos.HealthCheck) {
		h.Type = mesos.HealthCheck_COMMAND
		h.Command = &mesos.CommandInfo{Value: new("sleep 601 & sleep 602")}
		h.TimeoutSeconds = new(0.1)
		h.ConsecutiveFailures = new(uint32(1))
	})
	task := startTask(t, cfg)
	expect(t, statuses, "TASK_STARTING", "TASK_RUNNING",
		"TASK_RUNNING REASON_TASK_HEALTH_CHECK_STATUS_UPDATED healthy=false",
		"TASK_KILLED healthy=false: Command terminated with signal Terminated")
	waitDone(t, task)
}

// port is the port of a server's address.
func port(t *testing.T, address string) uint32 {
	t.Helper()
	_, p, err := net.SplitHostPort(address)
	require.NoError(t, err)
	n, err := strconv.Atoi(p)
	require.NoError(t, err)
	return uint32(n)
}

func TestHealthCheckOutcomes(t *testing.T) {
	t.Parallel()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/ok", http.StatusFound)
		case "/bad":
			w.WriteHeader(http.StatusInternalServerError)
		case "/slow":
			<-r.Context().Done()
		}
	})
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, nobody.Close())

	byHTTP := func(scheme string, server net.Addr, path string) func(*mesos.HealthCheck) {
		return func(h *mesos.HealthCheck) {
			h.Type = mesos.HealthCheck_HTTP
			h.HTTP = &mesos.HealthCheck_HTTPCheckInfo{Scheme: &scheme, Port: port(t, server.String()), Path: &path}
		}
	}
	byTCP := func(server net.Addr) func(*mesos.HealthCheck) {
		return func(h *mesos.HealthCheck) {
			h.Type = mesos.HealthCheck_TCP
			h.TCP = &mesos.HealthCheck_TCPCheckInfo{Port: port(t, server.String())}
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*mesos.HealthCheck)
		want   bool
	}{
		{"HTTP", byHTTP("http", plain.Listener.Addr(), "/ok"), true},
		{"HTTP redirected", byHTTP("http", plain.Listener.Addr(), "/moved"), true},
		{"HTTPS", byHTTP("https", secure.Listener.Addr(), "/ok"), true},
		{"HTTP error", byHTTP("http", plain.Listener.Addr(), "/bad"), false},
		{"HTTP nobody there", byHTTP("http", nobody.Addr(), "/ok"), false},
		{"HTTP too slow", byHTTP("http", plain.Listener.Addr(), "/slow"), false},
		{"TCP", byTCP(plain.Listener.Addr()), true},
		{"TCP nobody there", byTCP(nobody.Addr()), false},
		{"command killed by a signal", func(h *mesos.HealthCheck) {
			h.Type, h.Command = mesos.HealthCheck_COMMAND, &mesos.CommandInfo{Value: new("kill -9 $$")}
		}, false},
		{"unknown type", func(h *mesos.HealthCheck) { h.Type = mesos.HealthCheck_UNKNOWN }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg, statuses := taskConfig(t, shell("sleep 600"))
			cfg.Task.HealthCheck = healthCheck(tt.change)
			cfg.Task.HealthCheck.ConsecutiveFailures = new(uint32(1000))
			if !tt.want {
				cfg.Task.HealthCheck.TimeoutSeconds = new(0.2)
			}
			startTask(t, cfg)
			expect(t, statuses, "TASK_STARTING", "TASK_RUNNING",
				fmt.Sprintf("TASK_RUNNING REASON_TASK_HEALTH_CHECK_STATUS_UPDATED healthy=%v", tt.want))
		})
	}
}

func TestCheckReportsChanges(t *testing.T) {
	t.Parallel()
	cfg, statuses := taskConfig(t, shell("sleep 600"))
	cfg.Task.Check = &mesos.CheckInfo{
		Type: mesos.CheckInfo_COMMAND, DelaySeconds: new(0.0), IntervalSeconds: new(0.05), TimeoutSeconds: new(5.0),
		Command: &mesos.CheckInfo_Command{Command: shell("exit $(cat code 2>/dev/null || echo 0)")},
	}
	task := startTask(t, cfg)
	expect(t, statuses,
		`TASK_STARTING check={"type":"COMMAND","command":{}}`,
		`TASK_RUNNING check={"type":"COMMAND","command":{}}`,
		`TASK_RUNNING REASON_TASK_CHECK_STATUS_UPDATED check={"type":"COMMAND","command":{"exit_code":0}}`)
	require.NoError(t, os.WriteFile(filepath.Join(task.Container().Directory(), "code.tmp"), []byte("3"), 0o600))
	require.NoError(t, os.Rename(filepath.Join(task.Container().Directory(), "code.tmp"), filepath.Join(task.Container().Directory(), "code")))
	expect(t, statuses, `TASK_RUNNING REASON_TASK_CHECK_STATUS_UPDATED check={"type":"COMMAND","command":{"exit_code":3}}`)
	task.Kill(nil)
	expect(t, statuses, `TASK_KILLED check={"type":"COMMAND","command":{}}: Command terminated with signal Terminated`)
}

func TestCheckByNetwork(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	at := port(t, server.Listener.Addr().String())
	for _, tt := range []struct {
		name  string
		check mesos.CheckInfo
		want  string
	}{
		{"HTTP", mesos.CheckInfo{Type: mesos.CheckInfo_HTTP, HTTP: &mesos.CheckInfo_Http{Port: at}}, `{"type":"HTTP","http":{"status_code":404}}`},
		{"TCP", mesos.CheckInfo{Type: mesos.CheckInfo_TCP, TCP: &mesos.CheckInfo_Tcp{Port: at}}, `{"type":"TCP","tcp":{"succeeded":true}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg, statuses := taskConfig(t, shell("sleep 600"))
			tt.check.DelaySeconds = new(0.0)
			cfg.Task.Check = &tt.check
			startTask(t, cfg)
			empty := strings.ToLower(tt.name)
			expect(t, statuses,
				fmt.Sprintf(`TASK_STARTING check={"type":%q,%q:{}}`, tt.name, empty),
				fmt.Sprintf(`TASK_RUNNING check={"type":%q,%q:{}}`, tt.name, empty),
				"TASK_RUNNING REASON_TASK_CHECK_STATUS_UPDATED check="+tt.want)
		})
	}
}

// TestCheckLosesItsOutcome: when a server that answered goes, the check has no
// outcome any more, and says so once.
func TestCheckLosesItsOutcome(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	cfg, statuses := taskConfig(t, shell("sleep 600"))
	cfg.Task.Check = &mesos.CheckInfo{
		Type: mesos.CheckInfo_HTTP, HTTP: &mesos.CheckInfo_Http{Port: port(t, server.Listener.Addr().String())},
		DelaySeconds: new(0.0), IntervalSeconds: new(0.01),
	}
	startTask(t, cfg)
	expect(t, statuses,
		`TASK_STARTING check={"type":"HTTP","http":{}}`, `TASK_RUNNING check={"type":"HTTP","http":{}}`,
		`TASK_RUNNING REASON_TASK_CHECK_STATUS_UPDATED check={"type":"HTTP","http":{"status_code":404}}`)
	server.Close()
	expect(t, statuses, `TASK_RUNNING REASON_TASK_CHECK_STATUS_UPDATED check={"type":"HTTP","http":{}}`)
}

func TestSeconds(t *testing.T) {
	t.Parallel()
	for s, want := range map[float64]time.Duration{
		0: 0, 1.5: 1500 * time.Millisecond, -1: 0, 1e300: math.MaxInt64, math.Inf(1): math.MaxInt64, math.Inf(-1): 0,
	} {
		assert.Equal(t, want, seconds(s), s)
	}
	assert.Equal(t, time.Duration(math.MaxInt64), seconds(math.NaN()))
}
