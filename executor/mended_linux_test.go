package executor

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
)

// Somebody removes stdout while the server writes on. The file that is open
// then must not grow without bound, and rotation goes on.
func TestRotationOutlivesARemovedFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "stdout")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	require.NoError(t, err)
	log := &logFile{file: file, path: path}
	require.NoError(t, log.limit(Logs{MaxBytes: 1000}))
	line := []byte(strings.Repeat("x", 99) + "\n")
	write := func() { _, err := log.Write(line); require.NoError(t, err) }
	for range 5 {
		write()
	}
	require.NoError(t, os.Remove(path))
	for range 1000 {
		write()
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.LessOrEqual(t, info.Size(), int64(1100))
}

// A part of one run of a request and a part of the next make no answer.
func TestAnswerIsOfOneRun(t *testing.T) {
	t.Parallel()
	request := Request{ID: "1", Task: "t"}
	first := respond(request, []byte(strings.Repeat("A", 2*partSize)), nil)
	second := respond(request, []byte(strings.Repeat("B", 2*partSize)), nil)
	var a Answer
	assert.False(t, a.Add(first[0]))
	assert.False(t, a.Add(second[1]))
	assert.True(t, a.Add(second[0]))
	body, err := a.Body()
	require.NoError(t, err)
	assert.Equal(t, strings.Repeat("B", 2*partSize), string(body))
}

func TestRequestsOfTwoTasksDiffer(t *testing.T) {
	t.Parallel()
	one, other := Request{ID: "drain", Task: "t1"}, Request{ID: "drain", Task: "t2"}
	assert.NotEqual(t, one.key(), other.key())
}

// With the guard goes the server's whole group, not its first process only.
func TestGuardKilledTakesTheGroup(t *testing.T) {
	t.Parallel()
	pids := filepath.Join(t.TempDir(), "pids")
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer null.Close()
	p, err := startProcess(command{
		args: []string{"sh", "-c", "sleep 300 & echo $! > " + pids + "; wait"},
		env:  os.Environ(), dir: "/", stdout: null, stderr: null,
	})
	require.NoError(t, err)
	var child int
	require.Eventually(t, func() bool {
		text, _ := os.ReadFile(pids)
		child, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return err == nil
	}, time.Minute, 5*time.Millisecond)
	require.NoError(t, syscall.Kill(p.guard, syscall.SIGKILL))
	<-p.exit
	assert.Eventually(t, func() bool {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(child) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z")
	}, time.Minute, 5*time.Millisecond)
}
