package executor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor/internal/guard"
	"github.com/mesokit/mesokit/executor/internal/proc"
)

func TestReadEnvironment(t *testing.T) {
	t.Parallel()
	recorded := map[string]string{ // custom_executor of the recordings
		"MESOS_AGENT_ENDPOINT": "127.0.0.1:5051", "MESOS_CHECKPOINT": "1",
		"MESOS_EXECUTOR_ID": "ex1", "MESOS_FRAMEWORK_ID": "framework-1",
		"MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": "2secs", "MESOS_RECOVERY_TIMEOUT": "1mins",
		"MESOS_SANDBOX": "/sandbox", "MESOS_DIRECTORY": "/host/sandbox", "MESOS_SUBSCRIPTION_BACKOFF_MAX": "2secs",
	}
	want := environment{
		framework: "framework-1", executor: "ex1", endpoint: "127.0.0.1:5051", sandbox: "/sandbox",
		shutdown: 2 * time.Second, recovery: time.Minute, backoff: 2 * time.Second,
	}
	tests := []struct {
		name, variable, value string
		want                  func(*environment)
		wantErr               string
	}{
		{name: "as recorded", want: func(*environment) {}},
		{name: "no checkpoints", variable: "MESOS_CHECKPOINT", value: "0", want: func(e *environment) { e.recovery = 0 }},
		{name: "fraction", variable: "MESOS_RECOVERY_TIMEOUT", value: "1.5hrs", want: func(e *environment) { e.recovery = 90 * time.Minute }},
		{name: "no sandbox", variable: "MESOS_SANDBOX", want: func(e *environment) { e.sandbox = "/host/sandbox" }},
		{name: "default grace", variable: "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", want: func(e *environment) { e.shutdown = 5 * time.Second }},
		{name: "token", variable: "MESOS_EXECUTOR_AUTHENTICATION_TOKEN", value: "x", want: func(e *environment) { e.token = "x" }},
		{name: "no agent", variable: "MESOS_AGENT_ENDPOINT", wantErr: "MESOS_AGENT_ENDPOINT is not set"},
		{name: "bad duration", variable: "MESOS_RECOVERY_TIMEOUT", value: "soon", wantErr: `MESOS_RECOVERY_TIMEOUT is "soon": want a duration such as 5secs`},
		{name: "relative sandbox", variable: "MESOS_SANDBOX", value: "here", wantErr: `MESOS_SANDBOX is "here": want an absolute path`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := readEnvironment(func(name string) string {
				if name == tt.variable {
					return tt.value
				}
				return recorded[name]
			})
			if tt.wantErr != "" {
				assert.ErrorContains(t, err, tt.wantErr)
				return
			}
			require.NoError(t, err)
			want := want
			tt.want(&want)
			assert.Equal(t, want, got)
		})
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.pem")
	require.NoError(t, os.WriteFile(bad, []byte("no certificate"), 0o600))
	lookup := func(kv ...string) func(string) string {
		return func(name string) string { return environValue(kv, name) }
	}
	got, err := readTLS(lookup("LIBPROCESS_SSL_CA_FILE=" + bad))
	require.NoError(t, err)
	assert.Nil(t, got, "not enabled")

	got, err = readTLS(lookup("LIBPROCESS_SSL_ENABLED=true"))
	require.NoError(t, err)
	assert.True(t, got.InsecureSkipVerify)

	_, err = readTLS(lookup("LIBPROCESS_SSL_ENABLED=1", "LIBPROCESS_SSL_CA_FILE="+bad))
	assert.ErrorContains(t, err, "want a file with certificates in PEM")
	_, err = readTLS(lookup("LIBPROCESS_SSL_ENABLED=1", "LIBPROCESS_SSL_CERT_FILE="+bad, "LIBPROCESS_SSL_KEY_FILE="+bad))
	assert.ErrorContains(t, err, "LIBPROCESS_SSL_CERT_FILE")

	got, err = readTLS(lookup("LIBPROCESS_SSL_ENABLED=1", "LIBPROCESS_SSL_VERIFY_SERVER_CERT=1"))
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	env := environment{endpoint: strings.TrimPrefix(server.URL, "https://"), tls: got}
	c := core{env: env}
	assert.ErrorContains(t, newAgent(env, false).send(t.Context(), c.subscribe()), "certificate")
	env.tls.InsecureSkipVerify = true
	assert.ErrorContains(t, newAgent(env, false).send(t.Context(), c.subscribe()), "404 Not Found")
}

func TestExpand(t *testing.T) {
	t.Parallel()
	env := []string{"A=1", "B_2=$A", "EMPTY=", "A=2"}
	tests := []struct{ in, want, wantErr string }{
		{in: ""},
		{in: "plain", want: "plain"},
		{in: "$A-${B_2}-$EMPTY.", want: "2-$A-."},
		{in: "$$A $$$A", want: "$A $2"},
		{in: "100$ $1 $- ${} ${A B} ${A", want: "100$ $1 $- ${} ${A B} ${A"},
		{in: "${A}2$A", want: "222"},
		{in: "$A2", wantErr: `"$A2": variable A2 is not set`},
		{in: "x ${NO}", wantErr: `variable NO is not set`},
	}
	for _, tt := range tests {
		got, err := expand(tt.in, environLookup(env))
		assert.Equal(t, tt.want, got, tt.in)
		if tt.wantErr == "" {
			assert.NoError(t, err, tt.in)
		} else {
			assert.ErrorContains(t, err, tt.wantErr)
		}
	}
}

func TestTaskEnvironment(t *testing.T) {
	t.Parallel()
	outer := []string{"PATH=/bin", "HOME=/root", "LIBPROCESS_PORT=0", "MESOS_EXECUTOR_AUTHENTICATION_TOKEN=secret", Marker + "=1", "MESOS_SANDBOX=/wrong"}
	got, err := taskEnvironment(outer, map[string]string{"PATH": "$MESOS_SANDBOX/bin:$PATH", "Z": "$$"}, "/sandbox")
	require.NoError(t, err)
	assert.Equal(t, []string{"HOME=/root", "MESOS_SANDBOX=/sandbox", "PATH=/sandbox/bin:/bin", "Z=$"}, got)
	_, err = taskEnvironment(outer, map[string]string{"A": "1", "B": "$A"}, "/sandbox")
	assert.EqualError(t, err, `env B: "$A": variable A is not set ($$ stands for a dollar sign)`)
}

func volume(path string) mesos.Resource {
	return mesos.Resource{Disk: &mesos.Resource_DiskInfo{Volume: &mesos.Volume{ContainerPath: path}}}
}

// testPlaces is a sandbox as an agent makes it: its volume is a link to a
// directory elsewhere. The server has made other links, that lead out.
func testPlaces(t *testing.T) (p places, outside string) {
	dir := t.TempDir()
	sandbox, outside := filepath.Join(dir, "sandbox"), filepath.Join(dir, "outside")
	for _, d := range []string{sandbox, outside, filepath.Join(dir, "volume")} {
		require.NoError(t, os.Mkdir(d, 0o700))
	}
	require.NoError(t, os.Symlink(filepath.Join(dir, "volume"), filepath.Join(sandbox, "data")))
	require.NoError(t, os.Symlink(outside, filepath.Join(sandbox, "link")))
	require.NoError(t, os.Symlink(outside, filepath.Join(sandbox, "data", "link")))
	return placesOf(sandbox, mesos.TaskInfo{Resources: []mesos.Resource{volume("data"), volume("../outside"), {}}}, mesos.ExecutorInfo{}), outside
}

func TestFilesStayInTheirPlaces(t *testing.T) {
	t.Parallel()
	p, outside := testPlaces(t)
	for _, path := range []string{"a", "deep/er/a", "data/a", "data/deep/a"} {
		for _, content := range []string{"first", "second"} {
			require.NoError(t, p.write(path, []byte(content), 0o604, nil), path)
			got, err := os.ReadFile(filepath.Join(p.sandbox, path))
			require.NoError(t, err)
			assert.Equal(t, content, string(got))
		}
		info, err := os.Stat(filepath.Join(p.sandbox, path))
		require.NoError(t, err)
		assert.Equal(t, fs.FileMode(0o604), info.Mode(), "whatever the umask")
		ok, err := p.exists(path)
		assert.True(t, ok)
		assert.NoError(t, err)
	}
	for _, path := range []string{"link/a", "data/link/a", "link"} {
		if path != "link" {
			assert.Error(t, p.write(path, nil, 0o600, nil), path)
		}
		_, err := p.exists(path)
		assert.Error(t, err, path)
	}
	left, err := os.ReadDir(outside)
	require.NoError(t, err)
	assert.Empty(t, left)
	for path, want := range map[string]bool{"data": true, "no": false, "data/no": false, "a/no": false} {
		ok, err := p.exists(path)
		require.NoError(t, err, path)
		assert.Equal(t, want, ok, path)
	}
}

func TestFailedWriteLeavesNothing(t *testing.T) {
	t.Parallel()
	p := places{sandbox: t.TempDir()}
	require.NoError(t, os.MkdirAll(filepath.Join(p.sandbox, "taken", "by"), 0o700))
	assert.ErrorContains(t, p.write("taken", []byte("x"), 0o600, nil), "taken")
	entries, err := os.ReadDir(p.sandbox)
	require.NoError(t, err)
	assert.Len(t, entries, 1)
}

func TestJournalThatIsNoJournal(t *testing.T) {
	t.Parallel()
	j := newJournal(t.TempDir())
	saved, err := j.load()
	assert.NoError(t, err)
	assert.Nil(t, saved)
	require.NoError(t, os.WriteFile(j.path, []byte("garbage"), 0o600))
	_, err = j.load()
	assert.ErrorContains(t, err, j.path)
}

// Whatever is left of a journal, it is taken as it was written or not at all.
func TestJournalTornAtEveryByte(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testEnvironment())
	w.up()
	w.step(launched{[]mesos.TaskInfo{goodTask("a"), goodTask("b")}})
	w.step(is("a", mesos.TASK_RUNNING))
	w.step(is("b", mesos.TASK_FINISHED))
	j := newJournal(t.TempDir())
	require.NoError(t, j.save(w.core.saved()))
	saved, err := j.load()
	require.NoError(t, err)
	assert.Equal(t, w.core.saved(), saved)

	whole, err := os.ReadFile(j.path)
	require.NoError(t, err)
	for i := range whole {
		require.NoError(t, os.WriteFile(j.path, whole[:i], 0o600))
		_, err := j.load()
		require.ErrorContains(t, err, j.path, "cut at %d", i)
		flipped := bytes.Clone(whole)
		flipped[i] ^= 1 << (i % 8)
		require.NoError(t, os.WriteFile(j.path, flipped, 0o600))
		_, err = j.load()
		require.ErrorContains(t, err, j.path, "bit of byte %d", i)
	}
}

func TestOutput(t *testing.T) {
	t.Parallel()
	var passed bytes.Buffer
	o := &output{keep: 3}
	var seen []string
	o.watchLines(func(line string) { seen = append(seen, line) })
	s := o.stream(&passed)
	all := "one\ntwo\r\n\nfo\xffur\n" + strings.Repeat("x", 3*maxLine) + "\nlast"
	for i := 0; i < len(all); i += 7 {
		n, err := s.Write([]byte(all[i:min(i+7, len(all))]))
		require.NoError(t, err)
		require.Equal(t, min(7, len(all)-i), n)
	}
	s.close()
	s.close()
	assert.Equal(t, all, passed.String(), "all of it passes, as it came")
	long := strings.Repeat("x", maxLine)
	assert.Equal(t, []string{"one", "two", "", "fo\uFFFDur", long, "last"}, seen)
	assert.Equal(t, "fo\uFFFDur\n"+long+"\nlast", o.tail(1<<20))
	assert.Equal(t, "last", o.tail(100), "whole lines only")
	assert.Empty(t, o.tail(3))
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestOutputGoesOnWhenTheDiskIsFull(t *testing.T) {
	t.Parallel()
	o := &output{keep: 1}
	n, err := io.Copy(o.stream(brokenWriter{}), strings.NewReader("one\ntwo\n"))
	require.NoError(t, err)
	assert.EqualValues(t, 8, n)
	assert.Equal(t, "two", o.tail(100))
}

func TestWatch(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	synctest.Test(t, func(t *testing.T) {
		answers := []error{broken, broken, nil, broken, nil, broken, broken, broken, broken, nil}
		begin := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		type told struct {
			at time.Duration
			verdict
		}
		var got []told
		watch(ctx, Probe{Delay: 10 * time.Second, Interval: 2 * time.Second}, func(context.Context) error {
			answer := answers[0]
			if answers = answers[1:]; len(answers) == 0 {
				defer cancel()
			}
			return answer
		}, false, func(v verdict) { got = append(got, told{time.Since(begin), v}) })
		assert.Equal(t, []told{
			{14 * time.Second, verdict{ok: true}},
			{24 * time.Second, verdict{why: broken}},
		}, got, "three failures in a row; nothing after the end")
	})
}

func TestWatchBoundsAnAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		begin := time.Now()
		watch(ctx, Probe{Failures: 1}, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, true,
			func(v verdict) {
				assert.EqualError(t, v.why, "no answer within 5s")
				assert.Equal(t, 5*time.Second, time.Since(begin))
				cancel()
			})
	})
}

func TestExitInWords(t *testing.T) {
	t.Parallel()
	for want, x := range map[string]exit{
		"exited with status 0": {},
		"exited with status 7": {Code: 7, CPU: 1},
		"was ended by SIGKILL": {Signal: 9},
		"was ended by signal 11 (segmentation fault) and dumped core":                                          {Signal: 11, Core: true},
		"was ended by the kernel: the memory of its container is used up":                                      {Signal: 9, OOM: true},
		"exited with status 137, after the kernel had ended a process: the memory of its container is used up": {Code: 137, OOM: true},
		"was killed together with its guard process":                                                           {Lost: true},
	} {
		assert.Equal(t, want, x.String())
	}
}

func TestVolumes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	absolute, sandbox := filepath.Join(dir, "absolute"), filepath.Join(dir, "sandbox")
	for _, d := range []string{"absolute", "sandbox", "own", "inner"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, d), 0o700))
	}
	require.NoError(t, os.Symlink(filepath.Join(dir, "own"), filepath.Join(sandbox, "own")))
	require.NoError(t, os.Symlink(filepath.Join(dir, "inner"), filepath.Join(dir, "own", "inner")))
	p := placesOf(sandbox,
		mesos.TaskInfo{
			Executor:  &mesos.ExecutorInfo{Resources: []mesos.Resource{volume("own"), volume("/")}},
			Container: &mesos.ContainerInfo{Volumes: []mesos.Volume{{ContainerPath: absolute + "/"}}},
		},
		mesos.ExecutorInfo{Resources: []mesos.Resource{volume("own"), volume("own/inner")}},
	)
	for path, real := range map[string]string{"own/a": "own/a", "own/inner/b": "inner/b", absolute + "/deep/c": "absolute/deep/c"} {
		require.NoError(t, p.write(path, []byte("x"), 0o600, nil), path)
		assert.FileExists(t, filepath.Join(dir, real))
		ok, err := p.exists(path)
		assert.True(t, ok, path)
		assert.NoError(t, err)
	}
	ok, err := p.exists(absolute)
	assert.True(t, ok)
	assert.NoError(t, err)
	for _, path := range []string{absolute + "er/a", dir + "/own/a", "/etc/passwd"} {
		assert.ErrorContains(t, p.write(path, nil, 0o600, nil), "is in no volume of the task or its executor", path)
	}
	for path, want := range map[string]bool{"/var/lib/x": true, "/": false, "/a/../b": false, "/a/": false, "a/b": true, "../a": false, "": false} {
		assert.Equal(t, want, validateFile(path) == nil, path)
	}
}

// A volume that can only be read is nobody's to give away.
func TestReadOnlyVolumesKeepTheirOwner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, d := range []string{"sandbox", "sandbox/data", "certificates"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, d), 0o700))
	}
	certificates := filepath.Join(dir, "certificates")
	p := placesOf(filepath.Join(dir, "sandbox"), mesos.TaskInfo{
		Resources: []mesos.Resource{volume("data")},
		Container: &mesos.ContainerInfo{Volumes: []mesos.Volume{{ContainerPath: certificates, Mode: mesos.RO.Enum()}}},
	}, mesos.ExecutorInfo{})
	other := os.Geteuid()
	if other == 0 {
		other = 54321
	}
	require.NoError(t, p.give(&guard.User{UID: uint32(other), GID: uint32(os.Getegid())}))
	for path, want := range map[string]int{"sandbox": other, "sandbox/data": other, "certificates": os.Geteuid()} {
		info, err := os.Stat(filepath.Join(dir, path))
		require.NoError(t, err)
		assert.EqualValues(t, want, info.Sys().(*syscall.Stat_t).Uid, path)
	}
}

func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		x             exit
		phase         stopPhase
		before, after int
		want          bool
	}{
		{"the server was killed", exit{Signal: syscall.SIGKILL}, running, 1, 2, true},
		{"by somebody else", exit{Signal: syscall.SIGKILL}, running, 1, 1, false},
		{"while it was stopped", exit{Signal: syscall.SIGKILL}, signalled, 1, 2, true},
		{"at the end of the grace period", exit{Signal: syscall.SIGKILL}, terminated, 1, 2, false},
		{"a child was killed", exit{Code: 137}, running, 0, 1, true},
		{"a child that it could do without", exit{}, running, 0, 1, false},
		{"a child while it was stopped", exit{Code: 137}, signalled, 0, 1, false},
		{"nobody counts", exit{Signal: syscall.SIGKILL}, running, -1, -1, false},
		{"the guard was killed", exit{Lost: true}, running, 0, 1, false},
	}
	for _, tt := range tests {
		r := &programRun{phase: tt.phase}
		assert.Equal(t, tt.want, r.outOfMemory(tt.x, tt.before, tt.after), tt.name)
	}
}

func TestOOMKills(t *testing.T) {
	t.Parallel()
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	tests := []struct {
		name  string
		files fstest.MapFS
		want  int
	}{
		{"no cgroups", fstest.MapFS{}, -1},
		{"version 2", fstest.MapFS{
			"proc/self/cgroup":                     file("0::/mesos/c1\n"),
			"sys/fs/cgroup/mesos/c1/memory.events": file("low 0\noom 3\noom_kill 2\noom_group_kill 0\n"),
		}, 2},
		{"version 1", fstest.MapFS{
			"proc/self/cgroup": file("4:cpu,cpuacct:/a\n3:memory:/mesos/c1\n0::/\n"),
			"sys/fs/cgroup/memory/mesos/c1/memory.oom_control": file("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"),
		}, 1},
		{"root of version 2, which has no count", fstest.MapFS{"proc/self/cgroup": file("0::/\n")}, -1},
		{"old kernel", fstest.MapFS{
			"proc/self/cgroup":                        file("3:memory:/\n"),
			"sys/fs/cgroup/memory/memory.oom_control": file("under_oom 0\n"),
		}, -1},
		{"nonsense", fstest.MapFS{"proc/self/cgroup": file("nothing\n0::/\n"), "sys/fs/cgroup/memory.events": file("oom_kill x\n")}, -1},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, oomKills(tt.files), tt.name)
	}
}

func TestCheckHTTP(t *testing.T) {
	t.Parallel()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/404", http.StatusFound)
			return
		}
		status, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		w.WriteHeader(status)
	})
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	for _, server := range []string{plain.URL, secure.URL} {
		for _, path := range []string{"/200", "/204", "/moved", "/399"} {
			assert.NoError(t, checkHTTP(t.Context(), server+path), path)
		}
		for _, path := range []string{"/400", "/404", "/503"} {
			assert.ErrorContains(t, checkHTTP(t.Context(), server+path), path+": "+path[1:])
		}
	}
}

func TestRestartBacksOff(t *testing.T) {
	t.Parallel()
	for restarts, want := range []time.Duration{1, 2, 4, 8} {
		assert.Equal(t, want*time.Second, Restart{}.wait(restarts))
		assert.Equal(t, min(want*time.Minute, 5*time.Minute), Restart{Backoff: time.Minute}.wait(restarts))
	}
	assert.Equal(t, 5*time.Minute, Restart{Backoff: time.Minute}.wait(1000))
}

func TestUsageOf(t *testing.T) {
	t.Parallel()
	all := []proc.Process{
		{PID: 9, Parent: 5, CPU: 100, Memory: 1 << 20},                // a grandchild, listed first
		{PID: 1, Parent: 0, CPU: 1e6, Memory: 1 << 30},                // not ours
		{PID: 3, Parent: 2, CPU: 10, Reaped: 1000, Memory: 2},         // the server
		{PID: 2, Parent: 1, CPU: 1e5, Reaped: 10000, Memory: 1 << 25}, // the guard
		{PID: 5, Parent: 3, CPU: 1, Memory: 3},
	}
	assert.Equal(t, Usage{Processes: 3, CPU: 11111, Memory: 1<<20 + 5}, usageOf(all, 2))
	assert.Equal(t, Usage{}, usageOf(all, 77))
}
