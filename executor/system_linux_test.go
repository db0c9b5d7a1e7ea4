package executor

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor/internal/guard"
)

// When the guard itself is killed, so is the server.
func TestGuardKilled(t *testing.T) {
	t.Parallel()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer null.Close()
	c := command{args: []string{"sleep", "1000"}, env: os.Environ(), dir: "/", stdout: null, stderr: null}
	if os.Geteuid() == 0 {
		c.user = &guard.User{UID: 54321, GID: 54322} // whose processes the kernel ends all the same
	}
	p, err := startProcess(c)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(p.guard, syscall.SIGKILL))
	assert.Equal(t, exit{Lost: true}, <-p.exit)
	require.Eventually(t, func() bool { return errors.Is(syscall.Kill(p.pid, 0), syscall.ESRCH) }, time.Minute, 5*time.Millisecond)
	p.signal(syscall.SIGTERM) // nobody is there to get it
}
