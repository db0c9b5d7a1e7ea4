package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/cli/clitest"
	"github.com/mesokit/mesokit/internal/dist/disttest"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// TestCluster takes one cluster of real servers, while files are written without a
// pause, from loss to loss: no file that was acknowledged is lost, and the
// namespace is made once. The steps build on each other, because servers are dear.
func TestCluster(t *testing.T) {
	run(t, []step{
		{"deployed", deployed},
		{"the active name node is killed", activeKilled},
		{"a journal node is replaced", journalReplaced},
		{"the active name node is replaced", nameReplaced},
		{"a data node loses its disk", dataReplaced},
		{"the power fails", powerFails},
		{"an option is rolled out", rolled},
		{"a data node leaves", dataLeaves},
		{"nothing was lost", nothingLost},
	})
}

// step is a part of a saga.
type step struct {
	name string
	run  func(*testing.T, *saga)
}

// run takes a cluster through steps.
func run(t *testing.T, steps []step) {
	server := disttest.HDFS(t)
	z := disttest.ZooKeeper(t, "maxSessionTimeout=20000")
	c := mesostest.New(t, agents(5))
	s := &saga{Scheduler: clitest.New(t, c, onHDFS(t, server, z)...), zookeeper: z, nodes: 8}
	t.Cleanup(func() {
		if s.writer != nil {
			s.halt()
		}
	})
	for _, step := range steps {
		if !t.Run(step.name, func(t *testing.T) { s.In(t); step.run(t, s) }) {
			return
		}
	}
}

// saga is what the steps hand on.
type saga struct {
	*clitest.Scheduler
	*writer
	zookeeper *disttest.ZooKeeperServer
	nodes     int
	identity  string // of the namespace
}

// role waits for a name node that is the active one, or a standby, and ready.
func (s *saga) role(role string) frameworks.NodeStatus {
	is := func(n frameworks.NodeStatus) bool { return n.Role == role && n.Ready }
	st := s.Await("a name node "+role, func(st frameworks.Status) bool { return slices.ContainsFunc(st.Nodes, is) })
	return st.Nodes[slices.IndexFunc(st.Nodes, is)]
}

// settled waits until all nodes are ready and none is out of date.
func (s *saga) settled() frameworks.Status {
	return s.Await("all ready and up to date", func(st frameworks.Status) bool {
		return st.Ready == s.nodes && len(st.Nodes) == s.nodes &&
			!slices.ContainsFunc(st.Nodes, func(n frameworks.NodeStatus) bool { return n.Outdated() || n.Replace })
	})
}

// signal sends a signal to the server of a node.
func (s *saga) signal(t *testing.T, n frameworks.NodeStatus, signal syscall.Signal) {
	t.Helper()
	pids := s.PIDs("hdfs", n.Name)[n.Incarnation]
	require.Len(t, pids, 1)
	require.NoError(t, syscall.Kill(pids[0], signal))
}

// namespace is what the volume of a name or journal node says that it belongs to.
func (s *saga) namespace(t *testing.T, volume string, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append(append([]string{s.Volumes("hdfs")[volume]}, path...), "current", "VERSION")...))
	require.NoError(t, err)
	var out []string
	for line := range strings.Lines(string(text)) {
		if key, _, _ := strings.Cut(line, "="); key == "namespaceID" || key == "clusterID" || key == "cTime" {
			out = append(out, strings.TrimSpace(line))
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// formats counts how often the namespace was made.
func (s *saga) formats() (count int) {
	for _, line := range s.Said() {
		if strings.Contains(line, `msg="namespace formatted"`) {
			count++
		}
	}
	return count
}

func deployed(t *testing.T, s *saga) {
	s.Start()
	pod := func(pod string, n int) {
		s.Await(pod+" nodes ready", func(st frameworks.Status) bool {
			ready := 0
			for _, node := range st.Nodes {
				if node.Pod == pod && node.Ready {
					ready++
				}
			}
			return ready == n
		})
	}
	pod("journal", 3)
	pod("name", 2)
	pod("data", 3)
	s.identity = s.namespace(t, "hdfs.name-0.1.volume", "name")
	for _, volume := range []string{"hdfs.journal-0.1.volume", "hdfs.journal-1.1.volume", "hdfs.journal-2.1.volume"} {
		assert.Equal(t, s.identity, s.namespace(t, volume, "journal", "hdfs"))
	}
	assert.Equal(t, s.identity, s.namespace(t, "hdfs.name-1.1.volume", "name"))
	assert.Equal(t, 1, s.formats())
	s.role("active")
	s.role("standby")
	s.writer = newWriter(s.Client)
	s.more(t, 20)
}

func activeKilled(t *testing.T, s *saga) {
	was := s.role("active")
	s.signal(t, was, syscall.SIGKILL)
	s.Await("another is active", func(st frameworks.Status) bool {
		return slices.ContainsFunc(st.Nodes, func(n frameworks.NodeStatus) bool { return n.Role == "active" && n.Name != was.Name })
	})
	s.more(t, 10)
	back := s.AwaitNode(was.Name, "back as a standby", func(n frameworks.NodeStatus) bool {
		return n.Ready && n.Incarnation > was.Incarnation && n.Role == "standby"
	})
	assert.Equal(t, clitest.Residence(was), clitest.Residence(back))
}

func journalReplaced(t *testing.T, s *saga) {
	was := s.Node("journal-1")
	s.Operate("journal", "replace", "1")
	s.AwaitNode("journal-1", "filled in a new place", func(n frameworks.NodeStatus) bool { return n.Ready && n.Generation == was.Generation+1 })
	s.settled()
	assert.Equal(t, s.identity, s.namespace(t, "hdfs.journal-1.2.volume", "journal", "hdfs"))
	s.more(t, 10)
}

func nameReplaced(t *testing.T, s *saga) {
	was := s.role("active")
	s.Operate("name", "replace", was.Name)
	s.AwaitNode(was.Name, "ready in a new place", func(n frameworks.NodeStatus) bool { return n.Ready && n.Generation == was.Generation+1 })
	s.settled()
	assert.Equal(t, s.identity, s.namespace(t, "hdfs."+was.Name+".2.volume", "name"))
	s.more(t, 10)
}

// dataReplaced takes the disk of a data node away, with what it holds.
func dataReplaced(t *testing.T, s *saga) {
	was := s.Node("data-1")
	s.Operate("data", "replace", "1", "--force")
	s.AwaitNode("data-1", "ready with an empty disk", func(n frameworks.NodeStatus) bool { return n.Ready && n.Generation == was.Generation+1 })
	s.replicated(t, s.role("active"))
	s.more(t, 10)
}

// powerFails ends every process on all machines at once.
func powerFails(t *testing.T, s *saga) {
	before := s.settled()
	for _, a := range s.Mesos.Agents() {
		a.Stop()
	}
	s.Kill()
	for _, a := range s.Mesos.Agents() {
		require.NoError(t, a.Start())
	}
	s.Start()
	s.Await("all started again", func(st frameworks.Status) bool {
		return !slices.ContainsFunc(st.Nodes, func(n frameworks.NodeStatus) bool {
			return n.Incarnation == before.Nodes[slices.IndexFunc(before.Nodes, func(b frameworks.NodeStatus) bool { return b.Name == n.Name })].Incarnation
		})
	})
	after := s.settled()
	for i := range before.Nodes {
		assert.Equal(t, clitest.Residence(before.Nodes[i]), clitest.Residence(after.Nodes[i]))
	}
	s.more(t, 10)
}

// dataLeaves adds a data node, and has another hand over its blocks and go.
func dataLeaves(t *testing.T, s *saga) {
	s.Operate("data", "add")
	s.AwaitReady(9)
	s.Operate("data", "remove", "0")
	s.Await("gone", func(st frameworks.Status) bool {
		return !slices.ContainsFunc(st.Nodes, func(n frameworks.NodeStatus) bool { return n.Name == "data-0" })
	})
	s.replicated(t, s.role("active"))
	s.more(t, 10)
}

func nothingLost(t *testing.T, s *saga) {
	st := s.settled()
	s.end(t)
	healthy(t, s.role("active").Address("http"))
	assert.Equal(t, 1, s.formats(), "the namespace was made again")
	for _, n := range st.Nodes {
		switch n.Pod {
		case "journal":
			assert.Equal(t, s.identity, s.namespace(t, volume(n), "journal", "hdfs"))
		case "name":
			assert.Equal(t, s.identity, s.namespace(t, volume(n), "name"))
		}
	}
	dir := t.TempDir()
	s.Operate("client-config", dir)
	site, err := os.ReadFile(filepath.Join(dir, "hdfs-site.xml"))
	require.NoError(t, err)
	assert.Contains(t, string(site), s.role("active").Address("rpc"))
}
