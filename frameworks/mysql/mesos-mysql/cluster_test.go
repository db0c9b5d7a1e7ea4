package main

import (
	"database/sql"
	"fmt"
	"net/http"
	"slices"
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

// TestCluster takes one set of real servers, under writes without a pause, from
// fault to fault: nothing that was acknowledged is lost, and no two members ever
// take writes. The steps build on each other, because servers are dear.
func TestCluster(t *testing.T) {
	t.Parallel() // both flavors mostly wait
	take(t, onMySQL(t, disttest.MySQL(t)))
}

// TestClusterOfMariaDB is the same with the other flavor.
func TestClusterOfMariaDB(t *testing.T) {
	t.Parallel()
	take(t, onMariaDB(t, disttest.MariaDB(t)))
}

// begin starts a set, and writes to it.
func begin(t *testing.T, flags []string) *saga {
	c := mesostest.New(t, clitest.QuickAgents(4, "cpus:1;mem:512;disk:1024;ports:[31000-31009]"))
	state := t.TempDir()
	s := &saga{Scheduler: clitest.New(t, c, append(flags, "--state", state)...), state: state}
	s.Start()
	s.AwaitReady(3)
	s.writer = newWriter(t, s.Client)
	s.more(t, 50)
	return s
}

func take(t *testing.T, flags []string) {
	s := begin(t, flags)
	for _, step := range []struct {
		name string
		run  func(*testing.T, *saga)
	}{
		{"the primary is killed", killed},
		{"the primary freezes", frozen},
		{"the machine of the primary goes away and comes back", machineAway},
		{"a replica outlives its lease", lapsed},
		{"both replicas are stopped", alone},
		{"the configuration is rolled", rolled},
		{"binary logs are purged, and a member is replaced", purged},
		{"a member is added, and one removed", addedAndRemoved},
		{"a replica is made the primary", switched},
		{"the primary is stopped, and hands over first", stopped},
		{"the agent of the primary is drained", drained},
		{"a replica is made writable by hand", meddled},
		{"passwords are kept", kept},
		{"nothing was lost", func(t *testing.T, s *saga) { s.end(t, s.AwaitReady(3)) }},
		{"it is uninstalled", uninstalled},
	} {
		if !t.Run(step.name, func(t *testing.T) { s.In(t); step.run(t, s) }) {
			return
		}
	}
}

// saga is what the steps hand on.
type saga struct {
	*clitest.Scheduler
	*writer
	state string // where the scheduler keeps its state
}

func (s *saga) primary() frameworks.NodeStatus {
	st := s.Await("a primary, and all ready", func(st frameworks.Status) bool {
		_, ok := primaryOf(st)
		return ok && st.Ready == 3
	})
	n, _ := primaryOf(st)
	return n
}

// signal sends a signal to the server of a node.
func (s *saga) signal(t *testing.T, n frameworks.NodeStatus, signal syscall.Signal) {
	t.Helper()
	pids := s.PIDs("mysql", n.Name)[n.Incarnation]
	require.Len(t, pids, 1)
	require.NoError(t, syscall.Kill(pids[0], signal))
}

// another waits until another member is the primary, and writes go on.
func (s *saga) another(t *testing.T, was frameworks.NodeStatus) {
	t.Helper()
	st := s.Await("another primary", func(st frameworks.Status) bool {
		n, ok := primaryOf(st)
		return ok && n.Name != was.Name
	})
	n, _ := primaryOf(st)
	s.more(t, 50)
	t.Logf("after %s, %s is the primary", was.Name, n.Name)
}

func killed(t *testing.T, s *saga) {
	was := s.primary()
	s.signal(t, was, syscall.SIGKILL)
	s.another(t, was)
	s.AwaitReady(3)
}

// frozen stops the primary's process, which keeps its connections. It is ended
// before another takes its part, so it never wakes up as a primary.
func frozen(t *testing.T, s *saga) {
	was := s.primary()
	s.signal(t, was, syscall.SIGSTOP)
	s.another(t, was)
	s.AwaitNode(was.Name, "back as a replica", func(n frameworks.NodeStatus) bool {
		return n.Ready && n.Incarnation > was.Incarnation && n.Role == "replica"
	})
	s.AwaitReady(3)
}

func machineAway(t *testing.T, s *saga) {
	was := s.primary()
	agent := s.Agent(was)
	agent.Stop()
	s.another(t, was)
	require.NoError(t, agent.Start())
	s.AwaitReady(3)
}

// lapsed cuts the agent of a replica off from Mesos until the lease is over: the
// replica stays, and its executor has marked it as one that is not to be promoted,
// until it is heard again.
func lapsed(t *testing.T, s *saga) {
	n := s.Node(s.replica())
	db := openAs("mesokit", s.secret(t, "operator"), n.Address("mysql"))
	defer db.Close()
	level := func() (level int) {
		var name string
		row := db.QueryRowContext(t.Context(), "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('rpl_semi_sync_source_trace_level', 'rpl_semi_sync_master_trace_level')")
		if row.Scan(&name, &level) != nil {
			return -1
		}
		return level
	}
	assert.Equal(t, 32, level())
	agent := s.Agent(n)
	agent.Partition()
	require.Eventually(t, func() bool { return level() == 0 }, clitest.Patience, 100*time.Millisecond, "the end of the lease leaves no mark")
	s.more(t, 50)
	agent.Heal()
	require.Eventually(t, func() bool { return level() == 32 }, clitest.Patience, 100*time.Millisecond, "the mark stays")
	s.AwaitReady(3)
	assert.Equal(t, n.Incarnation, s.Node(n.Name).Incarnation, "it was started anew")
}

// alone takes both replicas away: no write is acknowledged, and the operator
// reads why.
func alone(t *testing.T, s *saga) {
	primary := s.primary()
	var replicas []string
	for _, n := range s.AwaitReady(3).Nodes {
		if n.Name != primary.Name {
			replicas = append(replicas, n.Name)
		}
	}
	s.Operate(append([]string{"member", "stop", "--wait"}, replicas...)...)
	s.Await("it is said why no write is acknowledged", func(st frameworks.Status) bool {
		return len(st.Routines) == 1 && strings.Contains(string(st.Routines[0].Memory), "no replica acknowledges what "+primary.Name+" writes")
	})
	before := s.count()
	s.AwaitNode(primary.Name, "not ready", func(n frameworks.NodeStatus) bool { return !n.Ready })
	assert.LessOrEqual(t, s.count()-before, 1, "writes were acknowledged by nobody but the primary")
	s.Operate(append([]string{"member", "start"}, replicas...)...)
	s.more(t, 50)
	s.AwaitReady(3)
}

// rolled changes an option of all members; the primary hands over.
func rolled(t *testing.T, s *saga) {
	before := s.AwaitReady(3)
	s.Kill()
	s.Flags("--option", "max_connections=123")
	said := len(s.Said())
	s.Start()
	s.Await("rolled", func(st frameworks.Status) bool {
		return st.Ready == 3 && !slices.ContainsFunc(st.Nodes, func(n frameworks.NodeStatus) bool {
			return n.Outdated() || n.Incarnation == before.Nodes[n.Index].Incarnation
		})
	})
	s.AwaitLine(said, "hands over to")
	s.more(t, 50)
	db := open(s.primary().Address("mysql"))
	defer db.Close()
	var connections int
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT @@max_connections").Scan(&connections))
	assert.Equal(t, 123, connections)
}

// purged has no member's binary logs reach back to the beginning. A member that
// is replaced then gets a copy of another.
func purged(t *testing.T, s *saga) {
	before := s.primary()
	for _, n := range s.AwaitReady(3).Nodes {
		purge(t, n.Address("mysql"))
	}
	name := s.replica()
	began := time.Now()
	s.Operate("member", "replace", name, "--wait")
	t.Logf("%s was replaced in %v", name, time.Since(began).Round(100*time.Millisecond))
	assert.Equal(t, before.Name, s.primary().Name)
	s.more(t, 50)
}

// purge leaves of a server's binary logs only the one that it writes now.
func purge(t *testing.T, address string) {
	db := open(address)
	defer db.Close()
	_, err := db.ExecContext(t.Context(), "FLUSH LOCAL BINARY LOGS")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		logs := binaryLogs(t, db)
		_, err := db.ExecContext(t.Context(), "PURGE BINARY LOGS TO '"+logs[len(logs)-1]+"'")
		return err == nil && len(binaryLogs(t, db)) == 1 // a replica may still read the last
	}, clitest.Patience, 100*time.Millisecond, "binary logs are not purged")
}

func binaryLogs(t *testing.T, db *sql.DB) (names []string) {
	rows, err := db.QueryContext(t.Context(), "SHOW BINARY LOGS")
	require.NoError(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(t, err)
	for rows.Next() {
		var name string
		into := []any{&name}
		for range columns[1:] {
			into = append(into, new(any))
		}
		require.NoError(t, rows.Scan(into...))
		names = append(names, name)
	}
	require.NoError(t, rows.Err())
	return names
}

// replica is the last that is one.
func (s *saga) replica() string {
	primary, name := s.primary(), ""
	for _, n := range s.AwaitReady(3).Nodes {
		if n.Name != primary.Name {
			name = n.Name
		}
	}
	return name
}

func addedAndRemoved(t *testing.T, s *saga) {
	s.Operate("member", "add", "--wait")
	s.AwaitReady(4)
	s.more(t, 50)
	s.Operate("member", "remove", "member-3", "--wait")
	s.AwaitReady(3)
	s.more(t, 50)
}

// switched hands over, to a replica that is named, and says where to find it.
func switched(t *testing.T, s *saga) {
	was, to := s.primary(), s.replica()
	began := time.Now()
	assert.Equal(t, to+" is the primary\n", s.Operate("switchover", to))
	t.Logf("switched over from %s to %s in %v", was.Name, to, time.Since(began).Round(10*time.Millisecond))
	s.more(t, 50)
	assert.Equal(t, to, s.primary().Name)
	assert.Equal(t, was.Incarnation, s.Node(was.Name).Incarnation, "it was restarted")
	_, complaint, status := clitest.Run(t, "switchover", to, "--api", s.URL)
	assert.Equal(t, 1, status)
	assert.Contains(t, complaint, to+" is the primary")

	listed := s.Operate("endpoints", "primary", "--wait")
	assert.Contains(t, listed, to+"  primary  mysql")
	assert.Contains(t, listed, s.primary().Address("mysql"))
	s.AwaitReady(3)
}

// stopped stops the primary: it hands over while its executor waits for that.
func stopped(t *testing.T, s *saga) {
	was := s.primary()
	said := len(s.Said())
	began := time.Now()
	s.Operate("member", "stop", was.Name)
	s.another(t, was)
	t.Logf("writes go on after %v", time.Since(began).Round(10*time.Millisecond))
	s.handedOver(t, said)
	s.Operate("member", "start", was.Name)
	s.AwaitReady(3)
}

// drained has Mesos empty the agent of the primary, which hands over first.
func drained(t *testing.T, s *saga) {
	was := s.primary()
	said := len(s.Said())
	agent := s.Agent(was).ID()
	s.call(t, `{"type":"DRAIN_AGENT","drain_agent":{"agent_id":{"value":%q}}}`, agent)
	s.another(t, was)
	s.handedOver(t, said)
	s.AwaitNode(was.Name, "down", func(n frameworks.NodeStatus) bool { return n.Phase != frameworks.Ready })
	require.Eventually(t, func() bool {
		s.call(t, `{"type":"REACTIVATE_AGENT","reactivate_agent":{"agent_id":{"value":%q}}}`, agent)
		return s.Node(was.Name).Phase == frameworks.Ready
	}, clitest.Patience, time.Second, "the drained member does not come back")
	s.AwaitReady(3)
}

// handedOver sees that the last change of the primary was a hand-over. A machine
// may be too busy for that in the seconds that there are; then it was killed.
func (s *saga) handedOver(t *testing.T, from int) {
	said := strings.Join(s.Said()[from:], "\n")
	if !strings.Contains(said, "hands over to") {
		assert.Contains(t, said, "failover: ")
		t.Log("it did not hand over in time")
	}
}

// call is one of an operator of Mesos. It may come too early.
func (s *saga) call(t *testing.T, format, agent string) {
	response, err := http.Post(s.Mesos.URL()+"/api/v1", "application/json", strings.NewReader(fmt.Sprintf(format, agent)))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
}

// uninstalled leaves nothing behind.
func uninstalled(t *testing.T, s *saga) {
	s.Operate("uninstall", "mysql")
	assert.Zero(t, s.Ended())
	assert.Empty(t, s.Volumes("mysql"))
}
