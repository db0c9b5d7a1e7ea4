package executor

import (
	"os"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParentInStat(t *testing.T) {
	t.Parallel()
	for stat, want := range map[string]int{
		"12 (sh) S 7 12 12 0 -1":         7,
		"12 (a) b) (c d) R 8 12 12 0 -1": 8,
		"12 (sh":                         -1,
		"12 (sh) S":                      -1,
		"12 (sh) S parent":               -1,
		"":                               -1,
	} {
		assert.Equal(t, want, parentInStat([]byte(stat)), stat)
	}
	own, err := os.ReadFile("/proc/self/stat")
	require.NoError(t, err)
	assert.Equal(t, os.Getppid(), parentInStat(own))
}

// When the guard itself is killed, so is the server.
func TestGuardKilled(t *testing.T) {
	t.Parallel()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer null.Close()
	p, err := startProcess(command{args: []string{"sleep", "1000"}, env: os.Environ(), dir: t.TempDir(), stdout: null, stderr: null})
	require.NoError(t, err)
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/stat")
	require.NoError(t, err)
	guard := parentInStat(stat)
	require.Contains(t, children(os.Getpid()), guard)
	require.NoError(t, syscall.Kill(guard, syscall.SIGKILL))
	assert.Equal(t, exit{Lost: true}, <-p.exit)
	p.signal(syscall.SIGTERM) // nobody is there to get it
}
