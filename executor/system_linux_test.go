package executor

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	const rest = " S 7 12 12 0 -1 4194304 1 2 3 4 150 50 30 20 20 0 1 0 99 4096000 25 18446744073709551615 0 0"
	for name, stat := range map[string]string{"plain": "12 (sh)" + rest, "parentheses": "12 (a) b) (c d)" + rest} {
		got, ok := parseStat([]byte(stat))
		require.True(t, ok, name)
		assert.Equal(t, processStat{
			pid: 12, parent: 7, cpu: 2 * time.Second, reaped: 500 * time.Millisecond,
			memory: 25 * int64(os.Getpagesize()),
		}, got, name)
	}
	for _, bad := range []string{"", "12", "12 (sh", "12 (sh) S", "12 (sh) S 7", "x (sh)" + rest, "12 (sh) S parent" + rest} {
		_, ok := parseStat([]byte(bad))
		assert.False(t, ok, bad)
	}
	own, err := os.ReadFile("/proc/self/stat")
	require.NoError(t, err)
	got, ok := parseStat(own)
	require.True(t, ok)
	assert.Equal(t, os.Getpid(), got.pid)
	assert.Equal(t, os.Getppid(), got.parent)
	assert.Greater(t, got.memory, int64(1<<20))
}

func TestUsageOf(t *testing.T) {
	t.Parallel()
	all := []processStat{
		{pid: 9, parent: 5, cpu: 100, memory: 1 << 20},                // a grandchild, listed first
		{pid: 1, parent: 0, cpu: 1e6, memory: 1 << 30},                // not ours
		{pid: 3, parent: 2, cpu: 10, reaped: 1000, memory: 2},         // the server
		{pid: 2, parent: 1, cpu: 1e5, reaped: 10000, memory: 1 << 25}, // the guard
		{pid: 5, parent: 3, cpu: 1, memory: 3},
	}
	assert.Equal(t, Usage{Processes: 3, CPU: 11111, Memory: 1<<20 + 5}, usageOf(all, 2))
	assert.Equal(t, Usage{}, usageOf(all, 77))
}

// When the guard itself is killed, so is the server.
func TestGuardKilled(t *testing.T) {
	t.Parallel()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer null.Close()
	p, err := startProcess(command{args: []string{"sleep", "1000"}, env: os.Environ(), dir: t.TempDir(), stdout: null, stderr: null})
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(p.guard, syscall.SIGKILL))
	assert.Equal(t, exit{Lost: true}, <-p.exit)
	p.signal(syscall.SIGTERM) // nobody is there to get it
}
