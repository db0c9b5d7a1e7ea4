package proc

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	t.Parallel()
	const rest = " S 7 12 12 0 -1 4194304 1 2 3 4 150 50 30 20 20 0 1 0 99 4096000 25 18446744073709551615 0 0"
	for name, stat := range map[string]string{"plain": "12 (sh)" + rest, "parentheses": "12 (a) b) (c d)" + rest} {
		got, ok := parse([]byte(stat))
		require.True(t, ok, name)
		assert.Equal(t, Process{
			PID: 12, Parent: 7, Group: 12, CPU: 2 * time.Second, Reaped: 500 * time.Millisecond,
			Memory: 25 * int64(os.Getpagesize()),
		}, got, name)
	}
	for _, bad := range []string{"", "12", "12 (sh", "12 (sh) S", "12 (sh) S 7", "x (sh)" + rest, "12 (sh) S parent" + rest} {
		_, ok := parse([]byte(bad))
		assert.False(t, ok, bad)
	}
	own, err := os.ReadFile("/proc/self/stat")
	require.NoError(t, err)
	got, ok := parse(own)
	require.True(t, ok)
	assert.Equal(t, os.Getpid(), got.PID)
	assert.Equal(t, os.Getppid(), got.Parent)
	assert.Equal(t, syscall.Getpgrp(), got.Group)
	assert.Greater(t, got.Memory, int64(1<<20))
}
