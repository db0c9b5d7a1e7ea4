package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/cli/clitest"
	"github.com/mesokit/mesokit/internal/dist/disttest"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// TestRing takes one ring of real nodes, under reads and writes at QUORUM without
// a pause, through what happens to it over the years. The steps build on each
// other, because nodes are dear.
func TestRing(t *testing.T) {
	server := disttest.Cassandra(t)
	c := mesostest.New(t, clitest.QuickAgents(6, "cpus:1;mem:512;disk:1024;ports:[31000-31009]"), inRacks)
	flags := append(onCassandra(t, server), "--rack-attribute", "rack", "--constraint", "hostname:UNIQUE", "--constraint", "rack:GROUP_BY:3")
	s := &saga{Scheduler: clitest.New(t, c, flags...), whole: t}
	for _, step := range []struct {
		name string
		run  func(*testing.T, *saga)
	}{
		{"deployed", deployed},
		{"a node is killed", killed},
		{"a node joins", joined},
		{"a node leaves", left},
		{"a member dies while a node joins", joinsAndOneDies},
		{"the configuration is rolled", rolled},
		{"a seed is emptied, and replaced", replaced},
		{"a node is replaced in another rack", replacedElsewhere},
		{"the power fails", powerFails},
		{"nothing was lost", func(t *testing.T, s *saga) {
			s.load.quit()
			assert.Empty(t, s.load.lost(t))
		}},
		{"all of it is uninstalled", uninstalled},
	} {
		if !t.Run(step.name, func(t *testing.T) {
			s.In(t)
			s.t = t
			began := time.Now()
			step.run(t, s)
			t.Logf("it took %v", time.Since(began).Round(100*time.Millisecond))
		}) {
			return
		}
	}
}

// inRacks puts two agents in each rack, so that who is replaced finds another.
func inRacks(c *mesostest.Config) {
	for i := range c.Agents {
		c.Agents[i].Attributes = fmt.Sprintf("rack:r%d", i/2)
	}
}

// saga is what the steps hand on.
type saga struct {
	*clitest.Scheduler
	whole *testing.T // the test, and t its step
	t     *testing.T
	load  *load

	framework string // its id
}

// patience is longer than that of other servers: a node that joins burns 20
// seconds of a processor, and waits for its peers to do as much.
const patience = 10 * time.Minute

// await waits until one node is as wanted.
func (s *saga) await(name, what string, wanted func(frameworks.NodeStatus) bool) (n frameworks.NodeStatus) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		st, err := s.Status(s.t.Context())
		i := slices.IndexFunc(st.Nodes, func(n frameworks.NodeStatus) bool { return n.Name == name })
		if err != nil || i < 0 {
			return false
		}
		n = st.Nodes[i]
		return wanted(n)
	}, patience, 200*time.Millisecond, "%s never %s", name, what)
	return n
}

func deployed(t *testing.T, s *saga) {
	s.Start()
	for i := range 3 { // each in a time of its own: they join one after the other
		s.await(fmt.Sprint("node-", i), "ready", func(n frameworks.NodeStatus) bool { return n.Ready })
	}
	status := s.AwaitReady(3)
	for _, n := range status.Nodes {
		assert.Equal(t, 1, n.Incarnation, "%s was started more than once", n.Name)
	}
	assert.Regexp(t, `(?m)^node-1  ready  127\.0\.\d+\.\d+ +127\.0\.\d+\.\d+:31001 +cassandra\.node-1\.1 +\S+ +0$`, s.Operate("status"))
	s.framework = status.FrameworkID
	s.load = newLoad(t, s.whole, status)
	s.load.during(t, func() {})
	s.racks(t)
}

// racks holds what Cassandra takes for the racks of its nodes to those of their agents.
func (s *saga) racks(t *testing.T) {
	t.Helper()
	want, got := map[string]string{}, map[string]string{}
	for _, n := range s.AwaitReady(3).Nodes {
		want[n.Place.Address] = n.Place.Attribute("rack")
	}
	rows, address, rack := s.load.session.Query("SELECT address, rack FROM system_views.gossip_info").Iter(), "", ""
	for rows.Scan(&address, &rack) {
		got[address] = rack
	}
	require.NoError(t, rows.Close())
	assert.Len(t, slices.Compact(slices.Sorted(maps.Values(got))), 3)
	assert.Equal(t, want, got)
}

// killed kills a node with SIGKILL; it comes back in its place.
func killed(t *testing.T, s *saga) {
	before := s.AwaitReady(3).Nodes[1]
	s.load.during(t, func() {
		s.signal(t, before, syscall.SIGKILL)
		after := s.await(before.Name, "is back", func(n frameworks.NodeStatus) bool {
			return n.Ready && n.Incarnation > before.Incarnation
		})
		assert.Equal(t, clitest.Residence(before), clitest.Residence(after))
		assert.Equal(t, 1, after.Failures)
	})
}

// signal sends a signal to the server of a node.
func (s *saga) signal(t *testing.T, n frameworks.NodeStatus, signal syscall.Signal) {
	t.Helper()
	pids := s.PIDs("cassandra", n.Name)[n.Incarnation]
	require.Len(t, pids, 1)
	require.NoError(t, syscall.Kill(pids[0], signal))
}

// grown is how many nodes the ring grows to: to five where there is the time and
// the memory for it.
func grown() int {
	if os.Getenv("MESOKIT_SOAK") != "" {
		return 5
	}
	return 4
}

func joined(t *testing.T, s *saga) {
	s.load.during(t, func() {
		s.Operate("node", "add", strconv.Itoa(grown()-3))
		for i := range grown() { // one joins after the other
			began := time.Now()
			s.await(fmt.Sprint("node-", i), "ready", func(n frameworks.NodeStatus) bool { return n.Ready })
			t.Logf("node-%d is there after %v", i, time.Since(began).Round(100*time.Millisecond))
		}
	})
}

// left removes the nodes that were added; they hand over their data first.
func left(t *testing.T, s *saga) {
	before := s.AwaitReady(grown()).Nodes[3:]
	s.load.during(t, func() {
		for _, n := range slices.Backward(before) {
			began := time.Now()
			s.Operate("node", "remove", n.Name, "--wait")
			t.Logf("%s left within %v", n.Name, time.Since(began).Round(100*time.Millisecond))
		}
		s.AwaitReady(3)
	})
	s.Await("their volumes destroyed", func(frameworks.Status) bool { return len(s.Volumes("cassandra")) == 3 })
	for _, n := range before {
		assert.Contains(t, s.stdout(t, n), "DECOMMISSIONED")
	}
	_, complaint, status := clitest.Run(t, "node", "remove", "1", "--api", s.URL)
	assert.Equal(t, 1, status)
	assert.Contains(t, complaint, "2 nodes would remain")
}

// joinsAndOneDies kills a member of which a node is about to take over data. The node
// stays half joined, for which nobody else may join, and must be started again.
func joinsAndOneDies(t *testing.T, s *saga) {
	if grown() < 5 {
		t.Skip("it takes minutes: see make soak")
	}
	before := s.AwaitReady(3).Nodes[1]
	s.load.during(t, func() {
		s.Operate("node", "add", "1")
		joiner := s.await("node-3", "launched", func(n frameworks.NodeStatus) bool { return n.Task != "" })
		require.Eventually(t, func() bool {
			text, _ := os.ReadFile(s.log(joiner)) // which is not there yet
			return strings.Contains(string(text), "for pending range setup")
		}, patience, 100*time.Millisecond)
		s.signal(t, before, syscall.SIGKILL)
		s.await(before.Name, "is back", func(n frameworks.NodeStatus) bool { return n.Ready && n.Incarnation > before.Incarnation })
		failed := s.await("node-3", "failed", func(n frameworks.NodeStatus) bool { return n.LastFailure != "" })
		t.Logf("it failed: %s", failed.LastFailure)
		s.await("node-3", "ready", func(n frameworks.NodeStatus) bool { return n.Ready })
		s.Operate("node", "remove", "3", "--wait")
	})
}

// stdout is what the server of a node has written.
func (s *saga) stdout(t *testing.T, n frameworks.NodeStatus) string {
	t.Helper()
	text, err := os.ReadFile(s.log(n))
	require.NoError(t, err)
	return string(text)
}

func (s *saga) log(n frameworks.NodeStatus) string {
	return filepath.Join(s.Agent(n).Sandbox(s.framework, n.Task), "stdout")
}

// rolled changes an option of all nodes.
func rolled(t *testing.T, s *saga) {
	before := s.AwaitReady(3)
	s.load.during(t, func() {
		s.Kill()
		s.Flags("--option", "concurrent_reads=17")
		s.Start()
		for _, n := range before.Nodes {
			s.await(n.Name, "rolled", func(now frameworks.NodeStatus) bool {
				return now.Ready && !now.Outdated() && now.Incarnation > n.Incarnation
			})
		}
	})
	for i, n := range s.AwaitReady(3).Nodes {
		assert.Equal(t, clitest.Residence(before.Nodes[i]), clitest.Residence(n))
		assert.Equal(t, before.Nodes[i].Incarnation+1, n.Incarnation, "%s was restarted once", n.Name)
		assert.Contains(t, s.stdout(t, n), "concurrent_reads=17")
		assert.Regexp(t, `(?s)Stop listening for CQL clients.* - DRAINED\n`, s.stdout(t, before.Nodes[i]))
	}
}

// replaced empties the volume of a seed while it is stopped. It must not come
// back as another node; a replacement takes its part, and a repair gives it what
// it has not got from the node that it took its data from.
func replaced(t *testing.T, s *saga) {
	was := s.AwaitReady(3).Nodes[0]
	s.load.during(t, func() {
		s.Operate("node", "stop", "0", "--wait")
		for id, path := range s.Volumes("cassandra") {
			if strings.HasPrefix(id, "cassandra.node-0.") {
				require.NoError(t, os.RemoveAll(filepath.Join(path, "cassandra", "data")))
			}
		}
		s.Operate("node", "start", "0")
		s.await("node-0", "refused", func(n frameworks.NodeStatus) bool {
			return strings.Contains(n.LastFailure, "was emptied: it held a node of the ring")
		})
	})
	s.load.apart(t, func() {
		began := time.Now()
		is := s.await("node-0", "ready in a new place", func(n frameworks.NodeStatus) bool {
			// The wish is dropped where one of its starts fails before it was weighed.
			if n.Generation == was.Generation && !n.Replace {
				clitest.Run(t, "node", "replace", "0", "--api", s.URL)
			}
			return n.Ready && n.Generation == was.Generation+1
		})
		t.Logf("it was replaced within %v", time.Since(began).Round(100*time.Millisecond))
		assert.NotEqual(t, clitest.Residence(was), clitest.Residence(is))
		assert.Equal(t, was.Place.Attribute("rack"), is.Place.Attribute("rack"))
		assert.Contains(t, s.stdout(t, is), "-Dcassandra.replace_address_first_boot="+was.Address("storage"))
		s.AwaitReady(3)
		s.repair()
	})
	s.load.during(t, func() { assert.Empty(t, s.load.lost(t)) })
	s.Await("the old volume destroyed", func(frameworks.Status) bool { return len(s.Volumes("cassandra")) == 3 })
}

// replacedElsewhere replaces a node for which there is no other agent in its rack. It
// does not take over its tokens: they are taken out of the ring, and it joins anew.
func replacedElsewhere(t *testing.T, s *saga) {
	if grown() < 5 {
		t.Skip("it takes minutes: see make soak")
	}
	was := s.AwaitReady(3).Nodes[1]
	anywhere := filepath.Join(t.TempDir(), "options.json")
	require.NoError(t, os.WriteFile(anywhere, []byte(`{"constraints": "hostname:UNIQUE"}`), 0o600))
	s.Operate("update", anywhere)
	for i, a := range s.Mesos.Agents() {
		if fmt.Sprint("r", i/2) == was.Place.Attribute("rack") && a.Hostname() != was.Place.Hostname {
			a.Stop()
		}
	}
	s.load.during(t, func() {
		began := time.Now()
		s.Operate("node", "replace", was.Name)
		is := s.await(was.Name, "ready in another rack", func(n frameworks.NodeStatus) bool { return n.Ready && n.Generation == was.Generation+1 })
		t.Logf("it was replaced within %v", time.Since(began).Round(100*time.Millisecond))
		assert.NotEqual(t, was.Place.Attribute("rack"), is.Place.Attribute("rack"))
		assert.NotContains(t, s.stdout(t, is), "replace_address")
		assert.Empty(t, s.load.lost(t))
	})
}

// repair repairs what the load writes.
func (s *saga) repair() {
	s.t.Helper()
	began := time.Now()
	s.Operate("plan", "start", "repair", `{"keyspaces": ["saga"]}`)
	var plan frameworks.PlanStatus
	require.Eventually(s.t, func() bool {
		st, err := s.Status(s.t.Context())
		i := slices.IndexFunc(st.Plans, func(p frameworks.PlanStatus) bool { return p.Name == "repair" })
		if err != nil || i < 0 {
			return false
		}
		plan = st.Plans[i]
		return plan.State == frameworks.PlanPaused || len(plan.History) > 0
	}, patience, 200*time.Millisecond, "the repair never ends: %+v", &plan)
	require.Len(s.t, plan.History, 1, "%+v", plan)
	require.Equal(s.t, frameworks.PlanComplete, plan.History[0].State)
	s.t.Logf("the repair took %v", time.Since(began).Round(100*time.Millisecond))
}

// powerFails kills all nodes at once. They come back to their data.
func powerFails(t *testing.T, s *saga) {
	before := s.AwaitReady(3)
	for _, n := range before.Nodes {
		s.signal(t, n, syscall.SIGKILL)
	}
	for _, n := range before.Nodes {
		s.await(n.Name, "back", func(now frameworks.NodeStatus) bool { return now.Ready && now.Incarnation > n.Incarnation })
	}
	s.load.mu.Lock()
	t.Logf("%d operations failed meanwhile", len(s.load.failed))
	s.load.failed = nil
	s.load.mu.Unlock()
}

// uninstalled: neither a process nor a volume is left.
func uninstalled(t *testing.T, s *saga) {
	s.load.session.Close()
	s.Operate("uninstall", "cassandra", "--wait")
	assert.Zero(t, s.Ended(), "the scheduler ends by itself")
	assert.Empty(t, s.Volumes("cassandra"))
	assert.Empty(t, s.Mesos.Tasks())
}
