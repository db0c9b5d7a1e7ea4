package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/cli/clitest"
)

// change changes options as an operator does.
func (s *saga) change(t *testing.T, change func(options map[string]any)) {
	t.Helper()
	var options map[string]any
	require.NoError(t, json.Unmarshal([]byte(s.Operate("options")), &options))
	change(options)
	text, err := json.Marshal(options)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "options.json")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	s.Operate("update", file)
}

// rolled changes a property of all servers, which are restarted one by one while
// files are written.
func rolled(t *testing.T, s *saga) {
	before := s.settled()
	s.change(t, func(options map[string]any) {
		options["options"].(map[string]any)["io.file.buffer.size"] = "8192"
	})
	for _, n := range before.Nodes { // one by one, so that each may take its time
		s.AwaitNode(n.Name, "restarted with it", func(now frameworks.NodeStatus) bool {
			return now.Ready && !now.Outdated() && now.Incarnation > n.Incarnation
		})
	}
	after := s.settled()
	for i, n := range after.Nodes {
		assert.Equal(t, clitest.Residence(before.Nodes[i]), clitest.Residence(n))
		assert.Equal(t, before.Nodes[i].Incarnation+1, n.Incarnation, "%s was restarted once", n.Name)
		assert.Contains(t, get(t, "http://"+n.Address("http")+"/conf?name=io.file.buffer.size"), "<value>8192</value>", n.Name)
	}
	s.more(t, 10)
}

// uninstalled: neither a process nor a volume is left, nor a reservation.
func uninstalled(t *testing.T, s *saga) {
	s.Operate("uninstall", "hdfs", "--wait")
	assert.Zero(t, s.Ended(), "the scheduler ends by itself")
	assert.Empty(t, s.Volumes("hdfs"))
	assert.Empty(t, s.Mesos.Tasks())
	for _, a := range s.Mesos.Agents() {
		assert.Empty(t, a.Processes(), a.Hostname())
	}
	var agents struct {
		Slaves []struct {
			Reserved map[string]any `json:"reserved_resources"`
		} `json:"slaves"`
	}
	require.NoError(t, json.Unmarshal([]byte(get(t, s.Mesos.URL()+"/slaves")), &agents))
	require.NotEmpty(t, agents.Slaves)
	for _, a := range agents.Slaves {
		assert.Empty(t, a.Reserved)
	}
}
