package executor

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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
