package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// child makes the test's own program be the scheduler, so that it can be killed.
const child = "MESOKIT_COUNTER_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(executor.Marker) != "" || os.Getenv(child) != "" || len(os.Args) == 2 && os.Args[1] == "serve" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// start starts the scheduler, and returns how to reach it.
func start(t *testing.T, args ...string) (frameworks.Client, *exec.Cmd) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	command := exec.Command(self, args...)
	command.Env = append(os.Environ(), child+"=1")
	command.Stderr = t.Output()
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill() // it may have ended
		_ = command.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return frameworks.Client{URL: strings.TrimSpace(strings.TrimPrefix(line, "API="))}, command
}

// until asks for the status until it is as it should be.
func until(t *testing.T, client frameworks.Client, what string, holds func(frameworks.Status) bool) frameworks.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for {
		s, err := client.Status(ctx)
		if err == nil && holds(s) {
			return s
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not in time: %s: %v, %+v", what, err, s)
		case <-pause.C:
		}
	}
}

func visit(t *testing.T, n frameworks.NodeStatus) string {
	t.Helper()
	answer, err := http.Get("http://" + n.Address("http") + "/")
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return string(text)
}

func ready(s frameworks.Status) bool { return s.Ready == 3 && s.Reconciled }

// The count outlives its server and a rollout, over the death of the scheduler,
// and ends with a replace.
func TestCounter(t *testing.T) {
	t.Parallel()
	c := mesostest.New(t, mesostest.Agents(4, machine))
	args := []string{"-master", c.Master(), "-state", t.TempDir()}
	client, scheduler := start(t, args...)
	s := until(t, client, "three are ready", ready)
	assert.Equal(t, "hello, visitor 1\n", visit(t, s.Nodes[1]))
	assert.Equal(t, "hello, visitor 2\n", visit(t, s.Nodes[1]))

	_, err := client.Update(t.Context(), options{Nodes: 3, Greeting: "", Disk: 16})
	require.ErrorIs(t, err, frameworks.ErrRefused)
	_, err = client.Update(t.Context(), options{Nodes: 3, Greeting: "good day", Disk: 32})
	require.NoError(t, err)
	require.NoError(t, scheduler.Process.Signal(syscall.SIGKILL))
	var exit *exec.ExitError
	require.True(t, errors.As(scheduler.Wait(), &exit))

	client, _ = start(t, args...)
	s = until(t, client, "all say the other thing", func(s frameworks.Status) bool {
		for _, n := range s.Nodes {
			if n.Outdated() || n.Incarnation < 2 {
				return false
			}
		}
		return ready(s)
	})
	assert.Equal(t, "good day, visitor 3\n", visit(t, s.Nodes[1]))

	_, err = client.Replace(t.Context(), "counter-1")
	require.NoError(t, err)
	s = until(t, client, "it has a new volume", func(s frameworks.Status) bool { return ready(s) && s.Nodes[1].Arrived == 2 })
	assert.Equal(t, "good day, visitor 1\n", visit(t, s.Nodes[1]))
}
