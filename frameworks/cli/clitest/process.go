package clitest

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// Patience bounds every wait; a machine that is busy with other tests needs it.
const Patience = 3 * time.Minute

// asMain in the environment makes the test's binary the framework's.
const asMain = "MESOKIT_CLITEST_MAIN"

// Main runs the tests, or the framework's main in a process that a test or an
// agent has started as one. It ends the process: call it in TestMain.
func Main(m *testing.M, main func()) {
	if os.Getenv(asMain) != "" || os.Getenv(executor.Marker) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// command is the framework's binary with arguments.
func command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, os.Args[0], args...)
	c.Env = append(os.Environ(), asMain+"=1")
	return c
}

// Run runs a command to its end.
func Run(t testing.TB, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, complaint bytes.Buffer
	c := command(t.Context(), args...)
	c.Stdout, c.Stderr = &out, &complaint
	_ = c.Run() // the status is what the test asks for
	return out.String(), complaint.String(), c.ProcessState.ExitCode()
}

// FreeAddress is an address on loopback with a port that was free just now.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// QuickAgents are agents that tell soon again what was not acknowledged.
func QuickAgents(n int, resources string) mesostest.Option {
	return func(c *mesostest.Config) {
		for range n {
			c.Agents = append(c.Agents, mesostest.AgentConfig{Resources: resources, RetryMin: time.Second})
		}
	}
}
