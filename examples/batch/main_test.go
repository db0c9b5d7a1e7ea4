package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// child makes the test's own program be the batch, so that one can be killed.
const child = "MESOKIT_BATCH_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(child) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const patience = 4 * time.Minute

// TestRunsAThousandThroughACrash kills the batch with SIGKILL when a part of it
// has run, and starts it again.
func TestRunsAThousandThroughACrash(t *testing.T) {
	t.Parallel()
	const count = 1000
	cluster := mesostest.New(t, mesostest.Agents(4, "cpus:1.6;mem:512"), mesostest.Configure(func(c *mesostest.Config) {
		c.AllocationInterval = 20 * time.Millisecond
		for i := range c.Agents {
			c.Agents[i].RetryMin = 100 * time.Millisecond
		}
	}))
	ran := filepath.Join(t.TempDir(), "ran")
	args := []string{"-master", cluster.Master(), "-state", t.TempDir(), "-count", fmt.Sprint(count),
		"-command", fmt.Sprintf("echo $INDEX >> %s", ran)}

	first := start(t, args)
	require.NoError(t, cluster.Wait(t.Context(), func() bool { return lines(ran) > count/5 }))
	require.NoError(t, first.Process.Kill())
	require.ErrorContains(t, first.Wait(), "killed")
	assert.Less(t, lines(ran), count, "it was killed in the middle")

	second := start(t, args)
	require.NoError(t, second.Wait())
	times := map[string]int{}
	text, err := os.ReadFile(ran)
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		times[strings.TrimSpace(line)]++
	}
	assert.Len(t, times, count, "each has run")
	for index, n := range times {
		assert.Equal(t, 1, n, "%s ran", index)
	}
}

func start(t *testing.T, args []string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), child+"=1")
	var log bytes.Buffer
	cmd.Stderr = &log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return cmd
}

func lines(file string) int {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	return bytes.Count(text, []byte("\n"))
}

func TestRefusesBadArguments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ args, want string }{
		{"", "-command"},
		{"-command true -count 0", "-count"},
		{"-command true -needs cpus", "-needs"},
		{"-command true -master ftp://x -state " + t.TempDir(), "Config.Master"},
	} {
		assert.ErrorContains(t, run(context.Background(), strings.Fields(c.args)), c.want, c.args)
	}
}
