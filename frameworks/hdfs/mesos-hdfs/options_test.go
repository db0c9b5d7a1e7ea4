package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/cli/clitest"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// TestOptions prints and changes the options of a cluster that has no room, so
// that none of its servers starts.
func TestOptions(t *testing.T) {
	t.Parallel()
	s := clitest.New(t, mesostest.New(t, agents(1)), "--zookeeper", "zk:2181", "--hadoop", "/opt/hadoop", "--option", "dfs.replication=2")
	s.Start()
	s.Await("looked for room", func(st frameworks.Status) bool { return len(st.Nodes) == 8 })
	table := s.Operate("options", "--describe")
	for _, want := range []string{"journal.count ", "data.disk ", "it can only grow", "zookeeper ", "options ", "dfs.replication"} {
		assert.Contains(t, table, want)
	}

	options := s.Operate("options")
	file := filepath.Join(t.TempDir(), "options.json")
	change := func(old, replacement string) {
		require.Contains(t, options, old)
		require.NoError(t, os.WriteFile(file, []byte(strings.Replace(options, old, replacement, 1)), 0o600))
	}
	change(`"dfs.replication": "2"`, `"dfs.replication": "9"`)
	_, complaint, status := clitest.Run(t, "update", file, "--api", s.URL)
	assert.Equal(t, 1, status)
	assert.Contains(t, complaint, "options: dfs.replication: 9: there are 3 data nodes")
	assert.Equal(t, options, s.Operate("options"), "nothing has changed")

	change(`"zookeeper": "zk:2181"`, `"zookeeper": "zk1:2181"`) // there is no namespace yet
	s.Operate("update", file)
	assert.Contains(t, s.Operate("options"), `"zookeeper": "zk1:2181"`)
}
