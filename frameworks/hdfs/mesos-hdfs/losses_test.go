package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/cli/clitest"
)

// TestLosses are the losses, alone and in pairs, for which TestCluster has no
// time: it is part of make soak. Each step leaves a cluster that is whole, so that
// one can be run alone, after the first:
//
//	MESOKIT_SOAK=1 go test -v -run '^TestLosses$/^(deployed|all_journals_are_lost|nothing_was_lost)$' ./frameworks/hdfs/mesos-hdfs
func TestLosses(t *testing.T) {
	if os.Getenv("MESOKIT_SOAK") == "" {
		t.Skip("runs in make soak")
	}
	run(t, []step{
		{"deployed", deployed},
		{"the standby is killed", standbyKilled},
		{"all journals are lost for good", journalsMadeAnew},
		{"a journal is emptied", journalEmptied},
		{"a name directory is emptied", nameEmptied},
		{"ZooKeeper is away", zooKeeperAway},
		{"two journal nodes are lost, one after the other", twoJournals},
		{"two journals are lost at once", journalsAtOnce},
		{"all journals are lost", allJournals},
		{"a journal node and the active name node are lost", journalAndName},
		{"the active name node and a data node are lost", nameAndData},
		{"a journal node and a data node are lost", journalAndData},
		{"two data nodes are lost, one after the other", twoData},
		{"both name nodes are lost", bothNames},
		{"a machine comes back at another address", machineMoves},
		{"a third name node joins", nameAdded},
		{"the power fails", powerFails},
		{"nothing was lost", nothingLost},
		{"all of it is uninstalled", uninstalled},
	})
}

func standbyKilled(t *testing.T, s *saga) {
	was := s.role("standby")
	s.signal(t, was, syscall.SIGKILL)
	s.AwaitNode(was.Name, "back", func(n frameworks.NodeStatus) bool { return n.Ready && n.Incarnation > was.Incarnation })
	s.more(t, 10)
}

// replaced waits until a node is ready in its next place.
func (s *saga) replaced(was frameworks.NodeStatus) {
	s.AwaitNode(was.Name, "ready in a new place", func(n frameworks.NodeStatus) bool { return n.Ready && n.Generation > was.Generation })
}

// journalEmptied takes what is on a journal node's volume, which stays where it is.
func journalEmptied(t *testing.T, s *saga) {
	was := s.Node("journal-2")
	s.Operate("journal", "stop", "2", "--wait")
	require.NoError(t, os.RemoveAll(filepath.Join(s.Volumes("hdfs")[volume(was)], "journal")))
	s.Operate("journal", "start", "2")
	s.AwaitReady(8)
	assert.Equal(t, s.identity, s.namespace(t, volume(was), "journal", "hdfs"))
	s.more(t, 10)
}

// nameEmptied takes what is on a standby's volume, which stays where it is: it is
// copied from the other, and nothing is formatted.
func nameEmptied(t *testing.T, s *saga) {
	was := s.role("standby")
	s.Operate("name", "stop", was.Name, "--wait")
	require.NoError(t, os.RemoveAll(filepath.Join(s.Volumes("hdfs")[volume(was)], "name")))
	s.Operate("name", "start", was.Name)
	s.AwaitReady(s.nodes)
	assert.Equal(t, s.identity, s.namespace(t, volume(was), "name"))
	s.more(t, 10)
}

// zooKeeperAway: the active name node goes on, and can be succeeded again afterwards.
func zooKeeperAway(t *testing.T, s *saga) {
	was := s.role("active")
	s.zookeeper.Stop(t)
	s.more(t, 20)
	assert.Equal(t, was.Name, s.role("active").Name)
	s.zookeeper.Start(t)
	s.more(t, 10)
	activeKilled(t, s)
}

// twoJournals replaces one, and the other as soon as that is granted.
func twoJournals(t *testing.T, s *saga) {
	first, second := s.Node("journal-0"), s.Node("journal-1")
	s.Operate("journal", "replace", "0")
	_, complaint, status := clitest.Run(t, "journal", "replace", "1", "--api", s.URL)
	assert.Equal(t, 1, status, "both would be empty at once")
	assert.Contains(t, complaint, "journal-0 is not ready")
	s.replaced(first)
	s.settled()
	s.Operate("journal", "replace", "1")
	s.replaced(second)
	s.settled()
	s.more(t, 10)
}

// lose stops journal nodes, takes their journals away, and lets them start again. It
// returns what brings the journals back to nodes that are stopped.
func (s *saga) lose(t *testing.T, indexes ...string) (back func()) {
	t.Helper()
	dirs := map[string]string{}
	for _, i := range indexes {
		s.Operate("journal", "stop", i, "--wait")
		dir := filepath.Join(s.Volumes("hdfs")[volume(s.Node("journal-"+i))], "journal")
		dirs[dir] = filepath.Join(t.TempDir(), "journal-"+i)
		require.NoError(t, os.Rename(dir, dirs[dir]))
	}
	for _, i := range indexes {
		s.Operate("journal", "start", i)
	}
	return func() {
		for dir, kept := range dirs {
			assert.NoDirExists(t, filepath.Join(dir, "hdfs"), "it was formatted")
			require.NoError(t, os.RemoveAll(dir))
			require.NoError(t, os.Rename(kept, dir))
		}
	}
}

// explains waits until a journal node says what it waits for.
func (s *saga) explains(index, what string) {
	s.AwaitNode("journal-"+index, "says why it does not start", func(n frameworks.NodeStatus) bool { return strings.Contains(n.LastFailure, what) })
}

// journalsAtOnce: the two that are empty begin when an operator trusts the third.
func journalsAtOnce(t *testing.T, s *saga) {
	s.lose(t, "0", "1")
	s.explains("0", "name it in Cluster.Trust (--trust)")
	s.explains("1", "name it in Cluster.Trust (--trust)")
	s.change(t, func(options map[string]any) { options["trust"] = "journal-2" })
	s.settled()
	s.Await("asks to be trusted no longer", func(st frameworks.Status) bool {
		return strings.Contains(string(st.Routines[0].Memory), "take it out of Cluster.Trust")
	})
	s.change(t, func(options map[string]any) { options["trust"] = "" }) // what an update leaves out stays
	s.more(t, 10)
}

// allJournals: nobody formats anything; the journals have to be brought back.
func allJournals(t *testing.T, s *saga) {
	back := s.lose(t, "0", "1", "2")
	for _, i := range []string{"0", "1", "2"} {
		s.explains(i, "All journals are lost")
	}
	for _, i := range []string{"0", "1", "2"} {
		s.Operate("journal", "stop", i, "--wait")
	}
	back()
	for _, i := range []string{"0", "1", "2"} {
		s.Operate("journal", "start", i)
	}
	s.settled()
	s.more(t, 10)
}

// journalsMadeAnew is what the package's documentation has an operator do by hand. The
// name node that was active has been so from the beginning: it has every edit.
func journalsMadeAnew(t *testing.T, s *saga) {
	was, other := s.role("active"), s.role("standby")
	s.lose(t, "0", "1", "2")
	for _, i := range []string{"0", "1", "2"} {
		s.explains(i, "All journals are lost")
	}
	s.Operate("name", "stop", "0", "1", "--wait")
	s.Operate("journal", "stop", "0", "1", "2", "--wait")
	volumes := s.Volumes("hdfs")
	version, err := os.ReadFile(filepath.Join(volumes[volume(was)], "name", "current", "VERSION"))
	require.NoError(t, err)
	text := regexp.MustCompile("(?m)^blockpoolID=.*\n").ReplaceAllString(strings.Replace(string(version), "NAME_NODE", "JOURNAL_NODE", 1), "")
	for _, i := range []string{"0", "1", "2"} {
		dir := filepath.Join(volumes[volume(s.Node("journal-"+i))], "journal", "hdfs", "current")
		require.NoError(t, os.MkdirAll(dir, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "VERSION"), []byte(text), 0o644))
	}
	s.Operate("journal", "start", "0", "1", "2")
	for _, i := range []string{"0", "1", "2"} {
		s.AwaitNode("journal-"+i, "ready", func(n frameworks.NodeStatus) bool { return n.Ready })
	}
	sandbox, err := filepath.Glob(filepath.Join(s.Agent(was).Dir(), "slaves/*/frameworks/*/executors", s.Node(was.Name).Task, "runs/latest"))
	require.NoError(t, err)
	require.Len(t, sandbox, 1)
	tool := exec.Command("java", "@tool.args", "org.apache.hadoop.hdfs.server.namenode.NameNode", "-D", "dfs.ha.namenode.id="+was.Name,
		"-D", "dfs.namenode.name.dir=file://"+sandbox[0]+"/volume/name", "-initializeSharedEdits", "-force")
	tool.Dir = sandbox[0]
	said, err := tool.CombinedOutput()
	require.NoError(t, err, "%s", said)
	s.Operate("name", "start", was.Name)
	assert.Equal(t, was.Name, s.role("active").Name)
	s.Operate("name", "start", other.Name)
	s.settled()
	s.more(t, 10)
}

func journalAndName(t *testing.T, s *saga) {
	journal, name := s.Node("journal-2"), s.role("active")
	s.Operate("journal", "replace", "2", "--force")
	s.Operate("name", "replace", name.Name, "--force")
	s.replaced(journal)
	s.replaced(name)
	s.settled()
	s.more(t, 10)
}

func nameAndData(t *testing.T, s *saga) {
	name, data := s.role("active"), s.Node("data-2")
	s.signal(t, name, syscall.SIGKILL)
	s.Operate("data", "replace", "2", "--force")
	s.replaced(data)
	s.settled()
	s.replicated(t, s.role("active"))
	s.more(t, 10)
}

// journalAndData forces the one only: the disk is given up when no block is on it alone.
func journalAndData(t *testing.T, s *saga) {
	journal, data := s.Node("journal-1"), s.Node("data-0")
	s.Operate("journal", "replace", "1", "--force")
	s.Operate("data", "replace", "0")
	s.replaced(journal)
	s.replaced(data)
	s.settled()
	s.replicated(t, s.role("active"))
	s.more(t, 10)
}

// twoData replaces one, and the other as soon as that is granted: what both hold could
// be nowhere else.
func twoData(t *testing.T, s *saga) {
	s.replicated(t, s.role("active"))
	first, second := s.Node("data-1"), s.Node("data-2")
	s.Operate("data", "replace", "1")
	_, complaint, status := clitest.Run(t, "data", "replace", "2", "--api", s.URL)
	assert.Equal(t, 1, status, "both would be empty at once")
	assert.Contains(t, complaint, "data-1 is not ready")
	s.replaced(first)
	s.settled()
	s.Operate("data", "replace", "2")
	s.replaced(second)
	s.settled()
	s.replicated(t, s.role("active"))
	s.more(t, 10)
}

// bothNames loses every copy of the namespace's image: it is made of the journal.
func bothNames(t *testing.T, s *saga) {
	before := s.settled()
	s.Operate("name", "replace", "0", "1", "--force")
	for _, n := range before.Nodes {
		if n.Pod == "name" {
			s.replaced(n)
		}
	}
	s.settled()
	assert.True(t, slices.ContainsFunc(s.Said(), func(line string) bool {
		return strings.Contains(line, "namespace made anew of all edits in the journal")
	}))
	s.more(t, 10)
}

// machineMoves: the machine of the active name node gets another address, with all
// that is on it; its peers get to know, and so do clients.
func machineMoves(t *testing.T, s *saga) {
	s.settled()
	was := s.role("active")
	a := s.Agent(was)
	a.Stop()
	require.NoError(t, s.Mesos.RestartMaster()) // this one never saw it at the old address
	require.NoError(t, a.StartAt(""))
	s.AwaitNode(was.Name, "there", func(n frameworks.NodeStatus) bool { return n.Ready && n.Place.Address != was.Place.Address })
	after := s.settled()
	for _, n := range after.Nodes {
		if n.Place.Agent == was.Place.Agent {
			assert.NotEqual(t, was.Place.Address, n.Place.Address, n.Name)
		}
		if n.Pod == "name" {
			assert.NotContains(t, get(t, "http://"+n.Address("http")+"/conf"), was.Place.Address+":", n.Name)
		}
	}
	s.more(t, 10)
	dir := t.TempDir()
	s.Operate("client-config", dir)
	site, err := os.ReadFile(filepath.Join(dir, "hdfs-site.xml"))
	require.NoError(t, err)
	assert.NotContains(t, string(site), was.Place.Address+":")
}

// nameAdded adds a name node, which all others have to know before it starts.
func nameAdded(t *testing.T, s *saga) {
	s.Operate("name", "add")
	s.nodes++
	s.settled()
	s.more(t, 10)
}
