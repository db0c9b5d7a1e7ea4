package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/cassandra"
	"github.com/mesokit/mesokit/frameworks/cli/clitest"
	"github.com/mesokit/mesokit/frameworks/hdfs"
	"github.com/mesokit/mesokit/frameworks/kafka"
	"github.com/mesokit/mesokit/frameworks/mysql"
	"github.com/mesokit/mesokit/internal/dist"
	"github.com/mesokit/mesokit/internal/dist/disttest"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

func TestMain(m *testing.M) { clitest.Main(m, main) }

// patience bounds the wait for seventeen servers, most of them in a JVM.
const patience = 15 * time.Minute

var sizes = map[string]int{"kafka": 3, "cassandra": 3, "hdfs": 8, "mysql": 3}

// Four services share three agents, each of which has nodes of all four; then there
// are six. One of the first is lost for good, and all four heal; nothing of one is
// ever in another's way.
func TestTogether(t *testing.T) {
	file := onThisMachine(t)
	c := mesostest.New(t, func(config *mesostest.Config) { config.Agents = agents()[:3] })
	api := clitest.FreeAddress(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, c.Master(), file, t.TempDir(), api) }()
	t.Cleanup(func() {
		stop()
		assert.NoError(t, <-ended)
	})
	s := &stage{t: t, c: c, client: frameworks.Client{URL: "http://" + api}}

	began := time.Now()
	before := s.await("all are up", "")
	t.Logf("all four were up after %v", time.Since(began).Round(time.Second))
	s.apart(before)

	for _, more := range agents()[3:] {
		_, err := c.AddAgent(more)
		require.NoError(t, err)
	}
	lost := c.Agent(0)
	t.Logf("%s, which has %s, is lost for good", lost.Hostname(), strings.Join(on(before, lost), " "))
	id := lost.ID()
	for name := range before {
		assert.True(t, slices.ContainsFunc(on(before, lost), func(node string) bool { return strings.HasPrefix(node, name+"/") }), name)
	}
	lost.Stop()
	s.gone(id)
	began = time.Now()
	after := s.await("all are up without it", id)
	t.Logf("all four had healed after %v", time.Since(began).Round(time.Second))
	s.apart(after)
	for name, st := range before {
		for i, n := range st.Nodes {
			if n.Place.Agent != id {
				assert.Equal(t, clitest.Residence(n), clitest.Residence(after[name].Nodes[i]), "%s of %s has moved", n.Name, name)
			}
		}
	}
}

// agents have ports of their own each, because an HDFS tells data nodes of one
// machine, which these agents are, apart by their ports.
func agents() (list []mesostest.AgentConfig) {
	for i := range 6 {
		from := 31000 + 50*i
		list = append(list, mesostest.AgentConfig{
			Resources: fmt.Sprintf("cpus:2;mem:3072;disk:6144;ports:[7000-7000,9042-9042,%d-%d]", from, from+49), RetryMin: time.Second,
		})
	}
	return list
}

// onThisMachine writes where the servers are.
func onThisMachine(t *testing.T) string {
	k, c, h, m := disttest.Kafka(t), disttest.Cassandra(t), disttest.HDFS(t), disttest.MySQL(t)
	flags := func(d dist.Distribution, more ...string) []string {
		more = append(more, "-Xms32m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
		if d.ClassArchive != "" {
			more = append(more, "-XX:SharedArchiveFile="+d.ClassArchive)
		}
		return more
	}
	jolokia := slices.IndexFunc(c.Jars, func(jar string) bool { return strings.HasPrefix(filepath.Base(jar), "jolokia-agent-jvm") })
	require.GreaterOrEqual(t, jolokia, 0)
	text, err := json.Marshal(servers{
		Kafka: kafka.Distribution{Java: k.Java, Classpath: k.Classpath(), Flags: flags(k)},
		Cassandra: cassandra.Distribution{Java: c.Java, Classpath: c.Classpath(), Jolokia: c.Jars[jolokia], Flags: flags(c,
			"-Dcassandra.ring_delay_ms=5000", "-Dcassandra.skip_wait_for_gossip_to_settle=0", "-Dcassandra.broadcast_interval_ms=2000")},
		HDFS:      hdfs.Distribution{Java: h.Java, Classpath: h.Classpath(), Flags: flags(h)},
		MySQL:     mysql.Distribution{Dir: m.Dir},
		ZooKeeper: disttest.ZooKeeper(t, "maxSessionTimeout=60000").Address,
		AdminHash: mysql.Hash("a password"),
	})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "servers.json")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	return file
}

// stage is what a test works with.
type stage struct {
	t      *testing.T
	c      *mesostest.Cluster
	client frameworks.Client
}

// await waits until every node of every service is ready, none of them on an
// agent.
func (s *stage) await(what, without string) map[string]frameworks.Status {
	s.t.Helper()
	all := map[string]frameworks.Status{}
	complete := func() bool {
		for name, count := range sizes {
			client := s.client
			client.Service = name
			st, err := client.Status(s.t.Context())
			all[name] = st
			moves := func(n frameworks.NodeStatus) bool { return n.Place == nil || n.Place.Agent == without }
			if err != nil || st.Ready != count || len(st.Nodes) != count || slices.ContainsFunc(st.Nodes, moves) {
				return false
			}
		}
		return true
	}
	if !assert.Eventually(s.t, complete, patience, 500*time.Millisecond, what) {
		for name, st := range all {
			for _, n := range st.Nodes {
				s.t.Logf("%s %s: %s %s %s %s", name, n.Name, n.Phase, n.Waits, n.Refused, n.LastFailure)
			}
		}
		s.t.FailNow()
	}
	return all
}

// on says what runs on an agent.
func on(all map[string]frameworks.Status, a *mesostest.Agent) []string {
	var out []string
	for name, st := range all {
		for _, n := range st.Nodes {
			if n.Place.Agent == a.ID() {
				out = append(out, name+"/"+n.Name)
			}
		}
	}
	slices.Sort(out)
	return out
}

// gone has the operator declare that an agent will not come back.
func (s *stage) gone(id string) {
	call := fmt.Sprintf(`{"type":"MARK_AGENT_GONE","mark_agent_gone":{"agent_id":{"value":%q}}}`, id)
	response, err := http.Post(s.c.URL()+"/api/v1", "application/json", strings.NewReader(call))
	require.NoError(s.t, err)
	defer response.Body.Close()
	require.Equal(s.t, http.StatusOK, response.StatusCode)
}

// apart sees that each service has its own: no port is taken twice, and what is
// reserved is reserved for its role only.
func (s *stage) apart(all map[string]frameworks.Status) {
	taken := map[string]string{}
	for name, st := range all {
		for _, n := range st.Nodes {
			for port, number := range n.Place.Ports {
				key := fmt.Sprintf("%s:%d", n.Place.Agent, number)
				assert.Empty(s.t, taken[key], "%s %s has the port %s of %s", name, n.Name, port, taken[key])
				taken[key] = name + "/" + n.Name
			}
			for _, r := range n.Place.Resources {
				require.NotEmpty(s.t, r.Reservations, "%s %s has %s unreserved", name, n.Name, r.Name)
				assert.Equal(s.t, name, r.Reservations[len(r.Reservations)-1].GetRole())
				if p := r.GetDisk().GetPersistence(); p != nil {
					assert.Contains(s.t, p.ID, name+"."+n.Name+".")
				}
			}
		}
	}
}
