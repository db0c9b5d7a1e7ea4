package executor_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
)

// stranger is a user that has no account here.
const stranger = "54321:54322"

// open lets everybody reach the sandbox, as an agent's work directory does.
func (a *fakeAgent) open() {
	require.NoError(a.t, os.Chmod(filepath.Dir(a.sandbox), 0o755))
}

func TestServerOfAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, which alone may start processes of another user")
	}
	a := newAgent(t)
	a.open()
	cmd := a.start()
	a.launch("t1", executor.Task{
		User:    stranger,
		Files:   []executor.File{{Path: "conf/deep/a", Mode: 0o600, Content: []byte("mine\n")}, {Path: "root", Mode: 0o600, Owner: "0:0"}},
		Secrets: []executor.SecretFile{{Name: "key", Path: "key"}},
		Init:    []executor.Step{{Name: "make", Command: shell("id -u > made && id -g >> made")}},
		Command: shell("cat conf/deep/a key; cat root; touch conf/deep/b; echo also > /dev/stderr; id -u; id -g; id -G; trap '' TERM; touch up; while :; do sleep 0.05; done"),
		Ready:   &executor.Probe{Command: shell("test -e probed || { id -u > new && mv new probed; }; test -e up"), Interval: 20 * time.Millisecond},
		Logs:    executor.Logs{Tail: 10},
	})
	a.say(executor.Secret{Task: "t1", Name: "key", Value: []byte("sesame\n")})
	a.await("t1", "RUNNING healthy: ready")
	short := 100 * time.Millisecond
	a.kill("t1", &short)
	ended := describe(a.await("t1", "KILLED: server was ended by SIGKILL")) // root may kill a stranger
	exited(t, cmd)
	for _, line := range []string{"mine", "sesame", "54321", "54322"} {
		assert.Contains(t, strings.Split(ended, "\n"), line)
	}
	assert.Contains(t, ended, "root: Permission denied")
	assert.NotContains(t, ended, "/dev/stderr", "it could be opened")
	assert.Equal(t, "54321\n54322\n", a.read("made"), "steps too")
	assert.Equal(t, "54321\n", a.read("probed"), "and probes")
	for path, want := range map[string]uint32{".": 54321, "conf": 54321, "conf/deep": 54321, "conf/deep/a": 54321, "conf/deep/b": 54321, "key": 54321, "root": 0, ".mesokit-executor": 0} {
		info, err := os.Stat(filepath.Join(a.sandbox, path))
		require.NoError(t, err)
		assert.Equal(t, want, info.Sys().(*syscall.Stat_t).Uid, path)
	}
}

func TestUserThatCannotBe(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, user, want string }{
		{"unknown", "no-such-user", `FAILED: user "no-such-user": user: unknown user no-such-user: want a user of this machine`},
		{"number without a group", "54321", `FAILED: user "54321": user: unknown userid 54321: want a user of this machine, or uid:gid`},
		{"unknown group", "root:no-such-group", `FAILED: user "root": group "no-such-group": group: unknown group`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAgent(t)
			cmd := a.start()
			a.launch("t1", executor.Task{User: tt.user, Command: []string{"true"}, Files: []executor.File{{Path: "a"}}})
			got := describe(a.await("t1", "FAILED"))
			assert.Truef(t, strings.HasPrefix(got, tt.want), "got %q, want %q", got, tt.want)
			exited(t, cmd)
			assert.NoFileExists(t, filepath.Join(a.sandbox, "a"), "nothing was done before")
		})
	}
}

// Everything but another user works without root.
func TestExecutorThatIsNotRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root to become somebody who is not")
	}
	a := newAgent(t)
	a.open()
	require.NoError(t, os.Chown(a.sandbox, 54321, 54322))
	a.as = &syscall.Credential{Uid: 54321, Gid: 54322, NoSetGroups: true}
	cmd := a.start()
	a.launch("t1", executor.Task{
		User:    stranger, // itself
		Files:   []executor.File{{Path: "conf/a", Content: []byte("x")}},
		Command: shell("setsid sh -c 'sleep 1000 & echo $! > daemon'; id -u; echo up; wait; exec sleep 1000"),
		Ready:   &executor.Probe{Log: "up"},
	})
	a.await("t1", "RUNNING healthy")
	a.launch("other", executor.Task{User: "root", Command: []string{"true"}})
	a.await("other", `FAILED: user "root": the executor runs as uid 54321, gid 54322: want it to be root`)
	a.launch("file", executor.Task{Files: []executor.File{{Path: "a", Owner: "0:0"}}, Command: []string{"true"}})
	a.await("file", `FAILED: file a: owner: user "0:0": the executor runs as uid 54321`)
	daemon, err := strconv.Atoi(strings.TrimSpace(a.read("daemon")))
	require.NoError(t, err)
	a.kill("t1", nil)
	a.await("t1", "KILLED: server was ended by SIGTERM; last lines:\n54321\nup")
	exited(t, cmd)
	gone(t, daemon)
}
