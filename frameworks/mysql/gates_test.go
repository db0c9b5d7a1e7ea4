package mysql

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
)

func threeMembers() frameworks.Deployment {
	var d frameworks.Deployment
	for i, name := range []string{"member-0", "member-1", "member-2"} {
		d.Nodes = append(d.Nodes, frameworks.Node{Name: name, Pod: pod, Index: i, Ready: true, Place: &frameworks.Place{}})
	}
	d.Nodes[0].Role = primaryRole
	return d
}

func TestPrimaryLast(t *testing.T) {
	t.Parallel()
	var names []string
	for _, n := range primaryLast(frameworks.Deployment{}, threeMembers().Nodes) {
		names = append(names, n.Name)
	}
	assert.Equal(t, []string{"member-1", "member-2", "member-0"}, names)
}

func TestReplaceable(t *testing.T) {
	t.Parallel()
	d := threeMembers()
	require.NoError(t, replaceable(d, d.Nodes[1]))
	d.Nodes[2].Ready = false
	assert.EqualError(t, replaceable(d, d.Nodes[1]), "member-2 is not ready, and what was acknowledged could be on member-1 alone")
	assert.NoError(t, replaceable(d, d.Nodes[2]))
	d.Nodes[2].Ready, d.Nodes[0].Replace = true, true
	assert.ErrorContains(t, replaceable(d, d.Nodes[1]), "member-0 is not ready")
}

func TestRemovable(t *testing.T) {
	t.Parallel()
	d := threeMembers()
	assert.EqualError(t, removable(d, d.Nodes[:1]), "2 would remain: wants 3 or more")
	d.Nodes = append(d.Nodes, frameworks.Node{Name: "member-3", Pod: pod, Place: &frameworks.Place{}})
	assert.NoError(t, removable(d, d.Nodes[:1]))
}

// A volume that held a member and is empty is not initialised: the member would
// come back without what it has acknowledged.
func TestEmptiedVolumeIsRefused(t *testing.T) {
	t.Parallel()
	base, sandbox := t.TempDir(), t.TempDir()
	s := executor.Sandbox{Dir: sandbox, Env: []string{envFlavor + "=mysql", envBase + "=" + base, envMember + "=true"}}
	assert.ErrorContains(t, initialise(t.Context(), s), "find the server of Distribution.Dir (--server)")
	require.NoError(t, os.MkdirAll(filepath.Join(base, "bin"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(base, "bin", "mysqld"), nil, 0o755))
	assert.EqualError(t, initialise(t.Context(), s), "data/mysql was emptied, or is not mounted: it held a member; bring it back, or replace the member")

	reported := ""
	s.Report = func(text string) { reported = text }
	require.NoError(t, os.MkdirAll(filepath.Join(sandbox, dataDir), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(sandbox, dataDir, "ibdata1"), nil, 0o644))
	require.NoError(t, initialise(t.Context(), s))
	assert.Equal(t, "already initialised", reported)
}

func TestStatusOfReplication(t *testing.T) {
	t.Parallel()
	row := map[string]string{
		"Source_Host": "10.0.0.1", "Source_Port": "3306", "Replica_IO_Running": "Connecting", "Replica_SQL_Running": "Yes",
		"Last_IO_Errno": "2003", "Last_IO_Error": "cannot connect", "Last_SQL_Errno": "0",
	}
	var m member
	m.replication(row, "Replica", "Source")
	assert.Equal(t, member{Source: "10.0.0.1:3306", Applying: true, Trouble: "error 2003: cannot connect"}, m)
	row["Last_IO_Errno"] = "13114"
	m.replication(row, "Replica", "Source")
	assert.True(t, m.Diverged)
	m = member{}
	m.replication(nil, "Replica", "Source")
	assert.Equal(t, member{}, m)
}
