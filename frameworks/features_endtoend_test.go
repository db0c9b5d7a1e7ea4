package frameworks_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// On each agent some work is done once; then the servers start, with a file that
// was fetched and is what it should be; and one whose file is another does not.
func TestWorkOnEveryAgentAndFetchedFilesOnRealMesos(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	fetched, done := filepath.Join(dir, "greeting.txt"), filepath.Join(dir, "done")
	require.NoError(t, os.WriteFile(fetched, []byte("hello"), 0o644))
	sum := sha256.Sum256([]byte("hello"))
	s := web(t)
	server := s.Pods[0]
	server.Name, server.Count, server.Command, server.After = "server", 2, "", []string{"prepare"}
	server.Fetch = []frameworks.URI{{Value: fetched, SHA256: hex.EncodeToString(sum[:])}}
	server.Task = func(frameworks.Deployment, frameworks.Node) (executor.Task, error) {
		return executor.Task{
			Env:     map[string]string{"SERVE": "1"},
			Init:    []executor.Step{{Name: "name", Command: []string{"sh", "-c", "mkdir data && cp greeting.txt data/name"}}},
			Command: []string{self},
		}, nil
	}
	bad := server
	bad.Name, bad.Count, bad.Fetch = "bad", 1, []frameworks.URI{{Value: fetched, SHA256: strings.Repeat("ab", 32)}}
	prepare := frameworks.Pod{
		Name: "prepare", Everywhere: true, Aim: frameworks.AimOnce, Needs: offers.MustParse("cpus:0.1;mem:32"),
		Place:   constraints.MustParse("hostname:UNIQUE"),
		Command: "echo $NODE >> " + done,
	}
	s.Pods = []frameworks.Pod{prepare, server, bad}
	c := mesostest.New(t, mesostest.Agents(2, machine))
	d := deployGuarded(t, c, s, nil, "open sesame")
	status := d.until("all but the bad one", func(s frameworks.Status) bool {
		return len(s.Nodes) == 5 && s.Ready == 4 && s.Nodes[4].LastFailure != ""
	})
	assert.Equal(t, frameworks.Finished, status.Nodes[0].Phase)
	assert.Equal(t, frameworks.Finished, status.Nodes[1].Phase)
	assert.NotEqual(t, status.Nodes[0].Home, status.Nodes[1].Home)
	_, greeting := ask(t, status.Nodes[2])
	assert.Equal(t, "hello", greeting)
	assert.Contains(t, status.Nodes[4].LastFailure, "it is not what was to be fetched")

	_, err = d.Restart(t.Context(), "server-0")
	require.NoError(t, err)
	d.until("restarted", func(s frameworks.Status) bool { return s.Ready == 4 && s.Nodes[2].Incarnation == 2 })
	lines, err := os.ReadFile(done)
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{"prepare-0", "prepare-1"}, strings.Fields(string(lines)), "the work was done once on each agent")
}
