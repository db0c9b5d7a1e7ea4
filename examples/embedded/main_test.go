package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// TestRunsEachOnAnAgentOfItsOwn gives it more tasks than agents at first, so that
// one is missing and it says why.
func TestRunsEachOnAnAgentOfItsOwn(t *testing.T) {
	t.Parallel()
	cluster := mesostest.New(t, mesostest.Agents(3, "cpus:1;mem:256", "rack:r1"))
	late := cluster.Agent(2)
	cluster.WaitAgents(t, 3)
	late.Stop()
	cluster.WaitAgents(t, 2)
	var out bytes.Buffer
	said := &watched{Buffer: &out, of: "hostname:UNIQUE", seen: make(chan struct{})}
	done := make(chan error, 1)
	go func() {
		done <- run(t.Context(), said, []string{"-master", cluster.Master(), "-command", "true", "-place", "hostname:UNIQUE,rack:LIKE:r.*"})
	}()
	select {
	case <-said.seen:
	case err := <-done:
		t.Fatalf("it ended before it said which rule is in the way: %v", err)
	}
	require.NoError(t, late.Start())
	require.NoError(t, <-done)

	hosts := map[string]bool{}
	for i := range 3 {
		node := fmt.Sprintf("embedded-%d", i)
		_, rest, ok := strings.Cut(out.String(), node+" runs on ")
		require.True(t, ok, out.String())
		host, _, _ := strings.Cut(rest, "\n")
		hosts[host] = true
		assert.Contains(t, out.String(), node+" has finished")
	}
	assert.Len(t, hosts, 3)
}

// watched tells when a text was written.
type watched struct {
	*bytes.Buffer
	of   string
	seen chan struct{}
}

func (w *watched) Write(text []byte) (int, error) {
	if w.of != "" && strings.Contains(string(text), w.of) {
		w.of = ""
		close(w.seen)
	}
	return w.Buffer.Write(text)
}

func TestSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	cluster := mesostest.New(t, mesostest.Agents(1, "cpus:1;mem:256"))
	for _, c := range []struct{ args, want string }{
		{"", "-command"},
		{"-command true -count 0", "-count"},
		{"-command true -needs cpus", "-needs"},
		{"-command true -place hostname:NEAR", "-place"},
		{"-command true -master 127.0.0.1:1", "subscribe"},
		{"-command false -count 1 -master " + cluster.Master(), "TASK_FAILED"},
	} {
		err := run(context.Background(), &bytes.Buffer{}, strings.Fields(c.args))
		assert.ErrorContains(t, err, c.want, c.args)
	}
}
