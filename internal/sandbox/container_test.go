package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
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
)

func shell(value string) mesos.CommandInfo { return mesos.CommandInfo{Value: &value} }

func program(value string, arguments ...string) mesos.CommandInfo {
	no := false
	return mesos.CommandInfo{Shell: &no, Value: &value, Arguments: arguments}
}

func testRun(container string) Run {
	return Run{AgentID: "a1", FrameworkID: "f1", ExecutorID: "e1", ContainerID: container}
}

// config is a container in a work directory of its own.
func config(t *testing.T, command mesos.CommandInfo) Config {
	t.Helper()
	return Config{WorkDir: WorkDir(t.TempDir()), Run: testRun("c1"), Command: command, Environment: Environment{Endpoint: "127.0.0.1:5051"}}
}

// start starts a container that is gone, to the last process, after the test.
func start(t *testing.T, cfg Config) *Container {
	t.Helper()
	c, err := Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { destroy(t, c) })
	return c
}

// destroy destroys the container and checks that it has.
func destroy(t *testing.T, c *Container) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(t, c.Destroy(ctx))
	left, err := c.members()
	require.NoError(t, err)
	require.Empty(t, left, "processes of container %s", c.Run().ContainerID)
}

func wait(t *testing.T, c *Container) Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := c.Wait(ctx)
	require.NoError(t, err)
	return s
}

// content waits until a file of the sandbox has some, and returns it.
func content(t *testing.T, c *Container, name string) string {
	t.Helper()
	var text string
	require.Eventually(t, func() bool {
		b, _ := os.ReadFile(filepath.Join(c.Directory(), name))
		text = string(b)
		return strings.HasSuffix(text, "\n")
	}, time.Minute, time.Millisecond, "content of %s", name)
	return text
}

func TestContainerEndsAsMesosSays(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		command mesos.CommandInfo
		status  string
		code    int
		stderr  string
	}{
		{name: "success", command: shell("true"), status: "exited with status 0"},
		{name: "failure", command: shell("exit 7"), status: "exited with status 7", code: 7},
		{name: "killed", command: shell("kill -9 $$"), status: "terminated with signal Killed", code: -1},
		{name: "unknown program in the shell", command: shell("/no/such/program"), status: "exited with status 127", code: 127},
		{name: "unknown program", command: program("/no/such/program", "x"), status: "exited with status 1", code: 1,
			stderr: "Failed to execute '/no/such/program': No such file or directory\n"},
		{name: "unknown name", command: program("no-such-program", "x"), status: "exited with status 1", code: 1,
			stderr: "Failed to execute 'no-such-program': No such file or directory\n"},
		{name: "directory", command: program("/", "x"), status: "exited with status 1", code: 1,
			stderr: "Failed to execute '/': Permission denied\n"},
		{name: "program from PATH", command: program("sh", "sh", "-c", "exit 3"), status: "exited with status 3", code: 3},
		{name: "first argument is the name", command: program("/bin/sh", "me", "-c", `test "$0" = me`), status: "exited with status 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, config(t, tt.command))
			s := wait(t, c)
			assert.Equal(t, tt.status, s.String())
			assert.Equal(t, tt.code, s.ExitCode())
			assert.Equal(t, tt.code == 0, s.Success())
			b, err := os.ReadFile(filepath.Join(c.Directory(), "stderr"))
			require.NoError(t, err)
			if tt.stderr != "" {
				assert.Equal(t, tt.stderr, string(b))
			}
		})
	}
}

// recordedEnvironment is what a command task of a real Mesos 1.12 printed:
// scenario task_environment_and_sandbox of the recordings.
func recordedEnvironment(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile("testdata/environment.json")
	require.NoError(t, err)
	var lines []string
	require.NoError(t, json.Unmarshal(b, &lines))
	return lines
}

func TestEnvironmentAndSandboxAsRecorded(t *testing.T) {
	t.Parallel()
	cfg := config(t, shell("env | grep -E '^(MESOS|LIBPROCESS|PORT|PWD|HOME|USER)' | sort; ls -a; echo oops >&2"))
	cfg.Environment = Environment{
		Endpoint: "127.0.0.1:5051", Checkpoint: true, Role: "*",
		ShutdownGrace: 2 * time.Second, RecoveryTimeout: time.Minute, BackoffMax: 2 * time.Second,
	}
	c := start(t, cfg)
	require.True(t, wait(t, c).Success())

	stdout := content(t, c, "stdout")
	for value, placeholder := range map[string]string{
		string(cfg.WorkDir): "<work_dir>", "127.0.0.1:5051": "<address>", "a1": "<agent-1>", "f1": "<framework-1>", "c1": "<uuid-2>",
	} {
		stdout = regexp.MustCompile(`([=/@])`+regexp.QuoteMeta(value)).ReplaceAllString(stdout, "${1}"+placeholder)
	}
	stdout = strings.ReplaceAll(stdout, string(cfg.WorkDir), "<work_dir>")
	stdout = strings.ReplaceAll(stdout, "executors/e1/", "executors/t1/")
	stdout = strings.ReplaceAll(stdout, "EXECUTOR_ID=e1", "EXECUTOR_ID=t1")
	var want []string
	for _, line := range recordedEnvironment(t) {
		// There is no libmesos here, and Mesos leaves these out where it is not.
		if !strings.HasPrefix(line, "MESOS_NATIVE_") {
			want = append(want, line)
		}
	}
	assert.Equal(t, want, strings.Split(strings.TrimSpace(stdout), "\n"))
	assert.Equal(t, "oops\n", content(t, c, "stderr"))
}

func TestCommandVariablesWin(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	kind := mesos.Environment_Variable_SECRET
	cfg := config(t, shell(`echo "$A $B $C $PATH"`))
	cfg.Environment.Extra = map[string]string{"A": "agent", "B": "agent", "PATH": "/bin:/usr/bin"}
	cfg.Command.Environment = &mesos.Environment{Variables: []mesos.Environment_Variable{
		{Name: "B", Value: text("command")},
		{Name: "C", Type: &kind, Secret: &mesos.Secret{Type: mesos.Secret_VALUE, Value: &mesos.Secret_Value{Data: []byte("secret")}}},
	}}
	c := start(t, cfg)
	assert.Equal(t, "agent command secret /bin:/usr/bin\n", content(t, c, "stdout"))
}

func TestLatestLeadsToTheLastRun(t *testing.T) {
	t.Parallel()
	cfg := config(t, shell("true"))
	for _, id := range []string{"c1", "c2"} {
		cfg.Run = testRun(id)
		c := start(t, cfg)
		at, err := filepath.EvalSymlinks(filepath.Join(filepath.Dir(c.Directory()), "latest"))
		require.NoError(t, err)
		want, err := filepath.EvalSymlinks(c.Directory())
		require.NoError(t, err)
		assert.Equal(t, want, at)
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"task ID leads out", func(c *Config) { c.Run.ExecutorID = "../x" }, `executor ID "../x": '../x' contains invalid characters`},
		{"container ID missing", func(c *Config) { c.Run.ContainerID = "" }, `container ID "": ID must not be empty`},
		{"framework ID is a parent", func(c *Config) { c.Run.FrameworkID = ".." }, `framework ID "..": '..' is disallowed`},
		{"ID too long", func(c *Config) { c.Run.AgentID = strings.Repeat("x", 256) }, "ID must not be greater than 255 characters"},
		{"no work directory", func(c *Config) { c.WorkDir = "" }, `WorkDir "": want an absolute path`},
		{"relative work directory", func(c *Config) { c.WorkDir = "x" }, `WorkDir "x": want an absolute path`},
		{"nested ID leads out", func(c *Config) { c.Run.Nested = "a/b" }, `nested container ID "a/b": 'a/b' contains invalid characters`},
		{"secret by reference", func(c *Config) {
			kind := mesos.Environment_Variable_SECRET
			c.Command.Environment = &mesos.Environment{Variables: []mesos.Environment_Variable{{Name: "KEY", Type: &kind,
				Secret: &mesos.Secret{Type: mesos.Secret_REFERENCE, Reference: &mesos.Secret_Reference{Name: "vault"}}}}}
		}, "environment variable 'KEY': its secret has no value"},
		{"missing URI", func(c *Config) { c.Command.URIs = []mesos.CommandInfo_URI{{Value: "/no/such/file"}} },
			"Failed to launch container: Failed to fetch all URIs for container 'c1': exited with status 1"},
		{"output file leads out", func(c *Config) {
			out := "/etc/x"
			c.Command.URIs = []mesos.CommandInfo_URI{{Value: "/bin/sh", OutputFile: &out}}
		}, "Failed to launch container: Could not fetch: URI output file must be within the sandbox directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := config(t, shell("true"))
			tt.change(&cfg)
			c, err := Start(t.Context(), cfg)
			require.Nil(t, c)
			var launch *LaunchError
			require.ErrorAs(t, err, &launch)
			assert.Contains(t, launch.Message, "Failed to launch container: ")
			assert.Contains(t, err.Error(), tt.want)
		})
	}
}

func TestStartIsCancelled(t *testing.T) {
	t.Parallel()
	cfg := config(t, shell("true"))
	cfg.Command.URIs = []mesos.CommandInfo_URI{{Value: "/bin/sh"}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Start(ctx, cfg)
	require.ErrorIs(t, err, context.Canceled)
	var launch *LaunchError
	require.ErrorAs(t, err, &launch)
	assert.Equal(t, "Failed to launch container: Container destroyed during fetching", launch.Message)
}

// TestNestedContainer is a task of a task group: it has a sandbox below that of
// its executor and is told little.
func TestNestedContainer(t *testing.T) {
	t.Parallel()
	cfg := config(t, shell("env | sort"))
	cfg.Environment.Role = "db"
	parent := start(t, cfg)
	cfg.Run.Nested = "n1"
	c := start(t, cfg)
	assert.Equal(t, filepath.Join(parent.Directory(), "containers", "n1"), c.Directory())
	require.True(t, wait(t, c).Success())
	assert.Equal(t, []string{
		"MESOS_ALLOCATION_ROLE=db", "MESOS_CONTAINER_IP=127.0.0.1", "MESOS_SANDBOX=" + c.Directory(),
		"PATH=" + defaultPath, "PWD=" + c.Directory(),
	}, strings.Split(strings.TrimSpace(content(t, c, "stdout")), "\n"))
	runs, err := cfg.WorkDir.Runs("a1")
	require.NoError(t, err)
	assert.Equal(t, []Run{parent.Run(), c.Run()}, runs)
}

// TestRunsAsAnotherUser needs root, as Mesos does for this.
func TestRunsAsAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		cfg := config(t, shell("true"))
		cfg.User = "nobody" // is not heeded
		assert.True(t, wait(t, start(t, cfg)).Success())
		return
	}
	cfg := config(t, shell("id -un; echo x >file; echo x >data/file"))
	cfg.User = "root"
	cfg.Command.User = new("nobody")
	cfg.Resources = []mesos.Resource{volume("db", "v", "data")}
	require.NoError(t, cfg.WorkDir.CreateVolume(cfg.Resources[0]))
	for dir := string(cfg.WorkDir); dir != filepath.Dir(os.TempDir()); dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	c := start(t, cfg)
	assert.True(t, wait(t, c).Success())
	assert.Equal(t, "nobody\n", content(t, c, "stdout"))

	cfg.Run, cfg.Command.User = testRun("c2"), new("no such user")
	_, err := Start(t.Context(), cfg)
	require.ErrorContains(t, err, `user "no such user"`)
}

func TestFetchedProgramRuns(t *testing.T) {
	t.Parallel()
	a := serve(t, map[string][]byte{"run": []byte("echo \"$1\"\n"), "hashbang": []byte("#!/bin/sh\necho \"$1\"\n")})
	yes := true
	for name, want := range map[string]string{"run": "arg\n", "hashbang": "arg\n"} {
		cfg := config(t, program("./"+name, "me", "arg"))
		cfg.Command.URIs = []mesos.CommandInfo_URI{{Value: a.dir + "/" + name, Executable: &yes}}
		assert.Equal(t, want, content(t, start(t, cfg), "stdout"), name)

		// A name alone is looked for in PATH only, which the sandbox is not in.
		cfg = config(t, program(name, "me", "arg"))
		cfg.Command.URIs = []mesos.CommandInfo_URI{{Value: a.dir + "/" + name, Executable: &yes}}
		assert.Equal(t, 1, wait(t, start(t, cfg)).ExitCode(), name)
		cfg.Run, cfg.Environment.Extra = testRun("c2"), map[string]string{"PATH": "/usr/bin:."}
		assert.Equal(t, want, content(t, start(t, cfg), "stdout"), name)
	}
}

func TestRunIsNotStartedTwice(t *testing.T) {
	t.Parallel()
	cfg := config(t, shell("true"))
	start(t, cfg)
	_, err := Start(t.Context(), cfg)
	require.ErrorIs(t, err, fs.ErrExist)
}

// TestDestroyReachesTheLastChild starts children that try to get away, each
// in another way, and checks that none does.
func TestDestroyReachesTheLastChild(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, command string
		linux         bool // only there can it be found
	}{
		{name: "child", command: `sleep 1000 & echo $! >pid; wait`},
		{name: "grandchild that ignores SIGTERM", command: `sh -c 'trap "" TERM; sleep 1000 & echo $! >pid; wait' & wait`},
		{name: "orphan in the group", command: `(sleep 1000 & echo $! >pid)`},
		{name: "own session", command: `setsid sh -c 'echo $$ >pid; exec sleep 1000' & wait`, linux: true},
		{name: "orphan in its own session", command: `(setsid sh -c 'echo $$ >pid; exec sleep 1000' &)`, linux: true},
		{name: "environment cleared", command: `env -i sh -c 'echo $$ >pid; exec sleep 1000' & wait`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath("setsid"); err != nil && tt.linux {
				t.Skip("setsid(1) is not installed: nothing to find")
			}
			c := start(t, config(t, shell(tt.command)))
			pid, err := strconv.Atoi(strings.TrimSpace(content(t, c, "pid")))
			require.NoError(t, err)
			require.NoError(t, syscall.Kill(pid, 0), "the child runs")
			destroy(t, c)
			p, there := lookup(pid)
			assert.True(t, !there || p.defunct, "child %d is gone", pid)
		})
	}
}

func TestSignalReachesTheGroup(t *testing.T) {
	t.Parallel()
	c := start(t, config(t, shell(`sh -c 'trap "echo child >>got; exit" TERM; echo up >up; sleep 1000 & wait' & trap "wait; echo parent >>got; exit 0" TERM; wait`)))
	content(t, c, "up")
	require.NoError(t, c.Signal(syscall.SIGTERM))
	assert.True(t, wait(t, c).Success())
	assert.Equal(t, "child\nparent\n", content(t, c, "got"))
}

func TestSignalReachesThoseWhoOutliveTheFirst(t *testing.T) {
	t.Parallel()
	c := start(t, config(t, shell(`sh -c 'trap "echo got >got; exit" TERM; echo up >up; sleep 1000 & wait' & exit 0`)))
	content(t, c, "up")
	require.True(t, wait(t, c).Success())
	require.NoError(t, c.Signal(syscall.SIGTERM))
	assert.Equal(t, "got\n", content(t, c, "got"))
}

func TestAttach(t *testing.T) {
	t.Parallel()
	t.Run("running", func(t *testing.T) {
		t.Parallel()
		cfg := config(t, shell(`while ! test -f go; do sleep 0.01; done; exit 5`))
		first := start(t, cfg)
		second, err := Attach(cfg.WorkDir, cfg.Run)
		require.NoError(t, err)
		assert.Equal(t, first.PID(), second.PID())
		assert.Equal(t, first.Directory(), second.Directory())
		select {
		case <-second.Done():
			t.Fatal("done while the process runs")
		default:
		}
		require.NoError(t, os.WriteFile(filepath.Join(first.Directory(), "go"), nil, 0o600))
		assert.Equal(t, "exited with status 5", wait(t, second).String())
	})
	t.Run("ended meanwhile", func(t *testing.T) {
		t.Parallel()
		cfg := config(t, shell("exit 9"))
		wait(t, start(t, cfg))
		c, err := Attach(cfg.WorkDir, cfg.Run)
		require.NoError(t, err)
		assert.Equal(t, Status(2304), wait(t, c))
	})
	t.Run("destroyed through the second", func(t *testing.T) {
		t.Parallel()
		cfg := config(t, shell("sleep 1000 & sleep 1000"))
		first := start(t, cfg)
		second, err := Attach(cfg.WorkDir, cfg.Run)
		require.NoError(t, err)
		destroy(t, second)
		assert.Equal(t, "terminated with signal Killed", wait(t, first).String())
	})
	t.Run("never started", func(t *testing.T) {
		t.Parallel()
		_, err := Attach(WorkDir(t.TempDir()), testRun("c1"))
		require.ErrorIs(t, err, fs.ErrNotExist)
	})
	t.Run("pid used again", func(t *testing.T) {
		t.Parallel()
		w, r := WorkDir(t.TempDir()), testRun("c1")
		require.NoError(t, w.Create(r))
		require.NoError(t, w.remember(r, pidFile, strconv.Itoa(os.Getpid())))
		require.NoError(t, w.remember(r, startFile, "1"))
		c, err := Attach(w, r)
		require.NoError(t, err)
		_, err = c.Wait(t.Context())
		require.ErrorIs(t, err, ErrNoStatus)
		destroy(t, c) // and this test goes on
	})
}

// TestContainerOutlivesItsStarter starts a container in another program, this
// one with a variable that TestMain looks for, and finds it when that has ended.
func TestContainerOutlivesItsStarter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	starter := exec.Command(os.Args[0])
	starter.Env = append(os.Environ(), starterVariable+"="+dir)
	out, failure := starter.CombinedOutput()

	// Whatever it has started must go, also if it failed then.
	runs, err := WorkDir(dir).Runs("a1")
	require.NoError(t, err)
	require.Equal(t, []Run{testRun("c1")}, runs, string(out))
	c, err := Attach(WorkDir(dir), runs[0])
	require.NoError(t, err)
	t.Cleanup(func() { destroy(t, c) })
	require.NoError(t, failure, string(out))
	assert.True(t, c.alive())
	destroy(t, c)
	_, err = c.Wait(t.Context())
	require.ErrorIs(t, err, ErrNoStatus)

	runs, err = WorkDir(dir).Runs("a1")
	require.NoError(t, err)
	assert.Empty(t, runs, "what was destroyed is not found again")
}

func TestWaitEndsWithTheContext(t *testing.T) {
	t.Parallel()
	c := start(t, config(t, shell("sleep 1000")))
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	_, err := c.Wait(ctx)
	require.ErrorIs(t, err, cause)
}

func TestStatusWords(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status Status
		want   string
	}{
		{0, "exited with status 0"},
		{9 << 8, "exited with status 9"},
		{15, "terminated with signal Terminated"},
		{11, "terminated with signal Segmentation fault"},
		{6 | 0x80, "terminated with signal Aborted (core dumped)"},
		{2, "terminated with signal Interrupt"},
		{0x7f, "wait status 127"},
	} {
		assert.Equal(t, tt.want, tt.status.String(), fmt.Sprint(int(tt.status)))
	}
}

func TestFormatDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0ns", 5: "5ns", 1500: "1500ns", 2 * time.Microsecond: "2us", 1500 * time.Microsecond: "1500us",
		1500 * time.Millisecond: "1500ms", 2 * time.Second: "2secs", time.Minute: "1mins", 90 * time.Second: "90secs",
		time.Hour: "1hrs", 10 * 24 * time.Hour: "10days", 14 * 24 * time.Hour: "2weeks", -time.Second: "-1secs",
		1234567 * time.Microsecond: "1.234567secs",
	} {
		assert.Equal(t, want, FormatDuration(d))
	}
}
