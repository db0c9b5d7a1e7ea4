package cassandra

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/internal/dist/disttest"
)

// TestSingleNode takes one real node through what the framework asks and tells
// it, one step upon the other.
func TestSingleNode(t *testing.T) {
	s := newSingle(t, disttest.Cassandra(t))
	reported, err := s.prepare(t)
	require.NoError(t, err)
	assert.Equal(t, "prepared", reported)
	s.start(t)
	waited := s.awaitReady(t)
	t.Logf("it waited for: %q", waited)
	assert.NotEmpty(t, waited)
	s.deployment.Nodes[0].Arrived = 1

	v := checkView(t, s)
	checkReplicas(t, s, v)
	held, err := s.server().hints(t.Context())
	require.NoError(t, err)
	assert.Equal(t, hints{}, held)
	require.NoError(t, s.server().repair(t.Context(), "system_auth"), "a single node has nobody to compare with")
	checkOptions(t, s)
	wrong := s.server()
	wrong.password = "another"
	_, err = wrong.look(t.Context())
	require.ErrorContains(t, err, "401")

	s.stop(t)
	assert.Equal(t, 143, s.process.ProcessState.ExitCode())
	checkVolume(t, s)
}

func checkView(t *testing.T, s *single) view {
	t.Helper()
	v, err := s.server().look(t.Context())
	require.NoError(t, err)
	self := s.node().Address(storagePort)
	assert.Equal(t, self, v.self())
	assert.Equal(t, normal, v.Mode)
	assert.True(t, v.Clients)
	assert.Equal(t, []string{self}, v.Live)
	assert.Equal(t, []string{self}, v.Owners)
	assert.NotEmpty(t, v.Schema)
	require.NoError(t, views{"node-0": v}.agree())
	assert.Empty(t, views{"node-0": v}.strangers())
	racks, err := s.server().racks(t.Context(), []string{self, "127.0.9.9:7000"})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{self: "rack1"}, racks, "of whom it never heard it knows none")
	return v
}

func checkReplicas(t *testing.T, s *single, v view) {
	t.Helper()
	replicas, err := s.server().replicas(t.Context())
	require.NoError(t, err)
	for _, keyspace := range []string{"system_auth", "system_distributed"} {
		require.NotEmpty(t, replicas[keyspace])
		for _, endpoints := range replicas[keyspace] {
			assert.Equal(t, []string{v.self()}, endpoints)
		}
	}
	require.NoError(t, unspared(replicas, nil, nil, true), "a restart is inevitable")
	require.ErrorContains(t, unspared(replicas, nil, []string{v.self()}, true), "nobody else has all of keyspace system_")
}

// checkOptions holds options.txt to what a real node knows.
func checkOptions(t *testing.T, s *single) {
	t.Helper()
	cluster := gocql.NewCluster(s.node().Address(cqlPort))
	cluster.Logger = gocql.NewLogger(gocql.LogLevelNone)
	session, err := cluster.CreateSession()
	require.NoError(t, err)
	defer session.Close()
	var names, groups []string
	var name string
	rows := session.Query("SELECT name FROM system_views.settings").Iter()
	for rows.Scan(&name) {
		head, _, grouped := strings.Cut(name, ".")
		if names = append(names, head); grouped {
			groups = append(groups, head+"_")
		}
	}
	require.NoError(t, rows.Close())
	names = slices.DeleteFunc(names, func(n string) bool { // how the table called keys of a group before Cassandra 4.1
		return slices.ContainsFunc(groups, func(g string) bool { return strings.HasPrefix(n, g) })
	})
	slices.Sort(names)
	text := strings.Join(slices.Compact(names), "\n") + "\n"
	if *update {
		require.NoError(t, os.WriteFile("options.txt", []byte(text), 0o644))
	}
	stored, err := os.ReadFile("options.txt")
	require.NoError(t, err)
	assert.Equal(t, text, string(stored), "options.txt is not what the node knows; -update rewrites it")
}

// checkVolume changes what is on the volume behind the node's back.
func checkVolume(t *testing.T, s *single) {
	t.Helper()
	reported, err := s.prepare(t)
	require.NoError(t, err)
	assert.Equal(t, "own data found", reported)

	mark := filepath.Join(s.dir, markFile)
	own, err := os.ReadFile(mark)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(mark, []byte("another ring node-7"), 0o644))
	_, err = s.prepare(t)
	require.EqualError(t, err, fmt.Sprintf(`the volume belongs to "another ring node-7", not to %q: bring its own volume back, or replace the node`, own))

	require.NoError(t, os.Remove(mark))
	_, err = s.prepare(t)
	require.ErrorContains(t, err, "data was emptied, or is not mounted: it held a node of the ring")
	s.deployment.Nodes[0].Arrived = 0
	_, err = s.prepare(t)
	require.ErrorContains(t, err, "data/cassandra holds a node of nobody knows which ring")

	require.NoError(t, os.RemoveAll(filepath.Join(s.dir, dataDir)))
	reported, err = s.prepare(t)
	require.NoError(t, err)
	assert.Equal(t, "prepared", reported)
	reported, err = s.prepare(t)
	require.NoError(t, err)
	assert.Equal(t, "prepared again", reported, "it was cut before it wrote anything")
	s.deployment.Nodes[0].Arrived = 1
	_, err = s.prepare(t)
	require.ErrorContains(t, err, "data/cassandra was emptied: it held a node of the ring, which must not come back as another")
}
