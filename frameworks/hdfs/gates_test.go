package hdfs

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
)

// beans is a server of Hadoop that has these beans, by name.
type beans map[string]map[string]any

func (b beans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/stacks" {
		text, _ := b["/stacks"]["threads"].(string)
		_, _ = w.Write([]byte(text))
		return
	}
	found := []map[string]any{}
	for name, attributes := range b {
		if ok, _ := path.Match(r.URL.Query().Get("qry"), name); ok {
			attributes["name"] = name
			found = append(found, attributes)
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"beans": found})
}

// serve has a node answer over HTTP.
func serve(t *testing.T, d frameworks.Deployment, node string, b beans) {
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	host, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	number, err := strconv.ParseUint(port, 10, 16)
	require.NoError(t, err)
	for i, n := range d.Nodes {
		if n.Name == node {
			d.Nodes[i].Place.Address, d.Nodes[i].Place.Ports[httpPort] = host, number
		}
	}
}

const (
	replicated = "Hadoop:service=NameNode,name=ReplicatedBlocksState"
	namesystem = "Hadoop:service=NameNode,name=FSNamesystemState"
	isActive   = "Thread 7 (org.apache.hadoop.hdfs.server.namenode.FSNamesystem$NameNodeEditLogRoller@1f):\n"
)

// nameBeans are those of a name node.
func nameBeans(d frameworks.Deployment, state, safeMode, live string) beans {
	return beans{
		"Hadoop:service=NameNode,name=NameNodeStatus": {"State": state},
		"Hadoop:service=NameNode,name=NameNodeInfo": {
			"ClusterId": identify(d).Cluster, "Safemode": safeMode, "LiveNodes": live, "DeadNodes": "{}",
			"DecomNodes": `{"10.0.0.1:4000":{"underReplicatedBlocks":5,"underReplicateInOpenFiles":2}}`,
		},
		replicated: {"MissingReplicatedBlocks": 0, "CorruptReplicatedBlocks": 0, "LowRedundancyReplicatedBlocks": 0},
		"Hadoop:service=NameNode,name=ECBlockGroupsState": {"MissingECBlockGroups": 0, "CorruptECBlockGroups": 0, "LowRedundancyECBlockGroups": 0},
		namesystem: {"UnderReplicatedBlocks": 0, "PendingReplicationBlocks": 0},
		"/stacks":  {"threads": isActive},
	}
}

// writes adds which journal nodes take part.
func (b beans) writes(d frameworks.Deployment, inSync ...string) beans {
	for _, n := range d.Pod(journalPod) {
		host, port, _ := net.SplitHostPort(n.Address(rpcPort))
		out := "true"
		for _, name := range inSync {
			if name == n.Name {
				out = "false"
			}
		}
		b["Hadoop:service=NameNode,name=IPCLoggerChannel-"+host+"-"+port] = map[string]any{"tag.IsOutOfSync": out}
	}
	return b
}

func named(t *testing.T, d frameworks.Deployment, name string) frameworks.Node {
	n, ok := d.Node(name)
	require.True(t, ok)
	return n
}

const bothLive = `{"10.0.0.0:4000":{"xferaddr":"192.168.0.1:4000","adminState":"In Service"},"10.0.0.1:4000":{"xferaddr":"192.168.0.2:4000","adminState":"Decommission In Progress"}}`

func TestNameGates(t *testing.T) {
	c, d := valid().withDefaults(), deployment()
	ctx := t.Context()
	serve(t, d, "name-0", nameBeans(d, "active", "", bothLive).writes(d, "journal-0", "journal-1"))
	serve(t, d, "name-1", nameBeans(d, "standby", "", bothLive))
	assert.NoError(t, c.nameReady(ctx, d, named(t, d, "name-0")))
	assert.NoError(t, c.nameReady(ctx, d, named(t, d, "name-1")))
	assert.NoError(t, c.nameSpare(ctx, d, []frameworks.Node{named(t, d, "name-0")}), "the other takes over")
	assert.ErrorContains(t, c.nameSpare(ctx, d, d.Pod(namePod)), "no other name node could take over")

	serve(t, d, "name-1", nameBeans(d, "standby", "Safe mode is ON.", bothLive))
	assert.ErrorContains(t, c.nameReady(ctx, d, named(t, d, "name-1")), "in safe mode")
	assert.ErrorContains(t, c.nameSpare(ctx, d, []frameworks.Node{named(t, d, "name-0")}), "name-1: is in safe mode")

	serve(t, d, "name-0", nameBeans(d, "standby", "", bothLive))
	assert.ErrorContains(t, c.nameReady(ctx, d, named(t, d, "name-0")), "no name node is active")
}

func TestJournalGates(t *testing.T) {
	c, d := valid().withDefaults(), deployment()
	ctx := t.Context()
	serve(t, d, "name-0", nameBeans(d, "active", "", bothLive).writes(d, "journal-0", "journal-1"))
	one := func(name string) []frameworks.Node { return []frameworks.Node{named(t, d, name)} }
	assert.NoError(t, c.journalSpare(ctx, d, one("journal-2")), "it takes no part")
	assert.ErrorContains(t, c.journalSpare(ctx, d, one("journal-1")), "1 of the 2 other journal nodes take part")

	serve(t, d, "journal-0", beans{"Hadoop:service=JournalNode,name=JournalNodeInfo": {"HostAndPort": "x", "JournalsStatus": `{"hdfs":{"Formatted":"true"}}`}})
	assert.NoError(t, c.journalReady(ctx, d, named(t, d, "journal-0")))
	serve(t, d, "journal-0", beans{"Hadoop:service=JournalNode,name=JournalNodeInfo": {"HostAndPort": "x", "JournalsStatus": `{"hdfs":{"Formatted":"false"}}`}})
	assert.ErrorContains(t, c.journalReady(ctx, d, named(t, d, "journal-0")), "has no journal of hdfs")
	assert.NoError(t, journalReplaceable(d, named(t, d, "journal-0")))
	d.Nodes[2].Ready = false
	assert.ErrorContains(t, journalReplaceable(d, named(t, d, "journal-0")), "journal-2 is not ready")
}

// haunted is a network where the name node counts on data nodes that it calls dead.
type haunted struct {
	network
	dead []string
}

func (h *haunted) ghosts(context.Context, frameworks.Node) ([]string, error) { return h.dead, nil }

func TestDataGates(t *testing.T) {
	c, d := valid().withDefaults(), deployment()
	asked := &haunted{}
	c.calls = asked
	ctx := t.Context()
	active := nameBeans(d, "active", "", bothLive)
	serve(t, d, "name-0", active)
	serve(t, d, "name-1", nameBeans(d, "standby", "", bothLive))
	first, second := named(t, d, "data-0"), named(t, d, "data-1")
	assert.NoError(t, c.dataSpare(ctx, d, []frameworks.Node{first}))
	assert.ErrorContains(t, c.dataLeave(ctx, d, second), "Decommission In Progress: 5 blocks have too few replicas elsewhere, 2 of them in files that are open")
	assert.ErrorContains(t, c.dataLeave(ctx, d, first), "name-0 is to be told that it leaves")
	assert.ErrorContains(t, c.dataRemovable(d, []frameworks.Node{first}), "1 data nodes would remain, and blocks have 3 replicas")

	first.Replace = true
	assert.NoError(t, c.dataSpare(ctx, d, []frameworks.Node{first}))
	active[namesystem]["PendingReplicationBlocks"] = 3
	assert.ErrorContains(t, c.dataSpare(ctx, d, []frameworks.Node{first}), "3 blocks are being copied")
	active[namesystem]["PendingReplicationBlocks"] = 0
	asked.dead = []string{"10.0.0.9:4000"}
	assert.EqualError(t, c.dataSpare(ctx, d, []frameworks.Node{first}), "name-0 still counts on what 10.0.0.9:4000 held, which it calls dead")
	asked.dead = nil
	former := `,"10.0.0.8:4000":{"adminState":"Decommissioned"},"10.0.0.9:4000":{"adminState":"In Service"}}`
	active["Hadoop:service=NameNode,name=NameNodeInfo"]["LiveNodes"] = strings.TrimSuffix(bothLive, "}") + former
	assert.EqualError(t, c.dataSpare(ctx, d, []frameworks.Node{first}), "name-0 still counts on 10.0.0.9:4000, which no data node is any more")
	first.Replace = false
	assert.NoError(t, c.dataSpare(ctx, d, []frameworks.Node{first}), "it keeps its disk")
	active["Hadoop:service=NameNode,name=NameNodeInfo"]["LiveNodes"] = bothLive

	gone := second
	gone.Place = &frameworks.Place{Address: "10.0.0.9", Ports: second.Place.Ports}
	assert.NoError(t, c.dataLeave(ctx, d, gone), "it is dead, and every block has its replicas")
	unseen := second
	unseen.Arrived, unseen.Ready = 0, false
	assert.ErrorContains(t, c.dataLeave(ctx, d, unseen), "Decommission In Progress", "its gate has never passed, and it has blocks")
	unseen.Place = gone.Place
	active[namesystem]["UnderReplicatedBlocks"] = 7
	assert.NoError(t, c.dataLeave(ctx, d, unseen), "no name node knows it")
	active[namesystem]["UnderReplicatedBlocks"] = 0

	active[namesystem]["UnderReplicatedBlocks"] = 7
	assert.ErrorContains(t, c.dataLeave(ctx, d, gone), "7 have too few replicas")
	assert.ErrorContains(t, c.dataSpare(ctx, d, []frameworks.Node{first}), "7 blocks have too few replicas")
	active[replicated]["MissingReplicatedBlocks"] = 1
	assert.ErrorContains(t, c.dataSpare(ctx, d, []frameworks.Node{first}), "1 blocks are missing or corrupt")
	active["Hadoop:service=NameNode,name=NameNodeInfo"]["LiveNodes"] = "{}"
	assert.ErrorContains(t, c.dataSpare(ctx, d, []frameworks.Node{first}), "data-1 is away too")
}

// TestCountsAreWaitedFor: a name node that has just become active says that no block
// has too few replicas, and does not know yet.
func TestCountsAreWaitedFor(t *testing.T) {
	c, d := valid().withDefaults(), deployment()
	c.calls = &haunted{}
	gone := named(t, d, "data-1")
	gone.Place = &frameworks.Place{Address: "10.0.0.9", Ports: gone.Place.Ports}
	for _, test := range []struct {
		name, safeMode, threads string
		change                  func(beans)
		want                    string
	}{
		{"it looks for them", "", isActive + "Thread 9 (Reconstruction Queue Initializer):\n", nil, "name-0 has just become active, and still looks for"},
		{"it has not begun", "", "Thread 1 (main):\n", nil, "name-0 is becoming active"},
		{"safe mode", "Safe mode is ON.", isActive, nil, "name-0 is in safe mode"},
		{"it knows of some, and its summary not yet", "", isActive, func(b beans) { b[replicated]["LowRedundancyReplicatedBlocks"] = 2 }, "2 "},
		{"it knows of none", "", isActive, nil, ""},
	} {
		b := nameBeans(d, "active", test.safeMode, bothLive)
		b["/stacks"]["threads"] = test.threads
		if test.change != nil {
			test.change(b)
		}
		serve(t, d, "name-0", b)
		spare, leave := c.dataSpare(t.Context(), d, d.Pod(dataPod)[:1]), c.dataLeave(t.Context(), d, gone)
		if test.want == "" {
			assert.NoError(t, spare, test.name)
			assert.NoError(t, leave, test.name)
			continue
		}
		assert.ErrorContains(t, spare, test.want, test.name)
		assert.ErrorContains(t, leave, test.want, test.name)
	}
}

// TestOneDiskAtATime: what is on two disks only survives.
func TestOneDiskAtATime(t *testing.T) {
	c, d := valid().withDefaults(), deployment()
	data := d.Pod(dataPod)
	assert.NoError(t, c.dataReplaceable(d, data[0]))
	for i, n := range d.Nodes {
		if n.Name == "data-1" {
			d.Nodes[i].Replace = true
		}
	}
	assert.ErrorContains(t, c.dataReplaceable(d, data[0]), "data-1 is not ready")
	data[0].Gone = true
	assert.NoError(t, c.dataReplaceable(d, data[0]), "its disk is gone as it is")
	c.Options = map[string]string{"dfs.replication": "1"}
	assert.ErrorContains(t, c.dataReplaceable(deployment(), data[1]), "data-1 may hold the only replica of a block")
	data[1].Ready = false
	assert.ErrorContains(t, c.dataReplaceable(deployment(), data[1]), "it is not ready")
	data[1].Lost = time.Now()
	assert.ErrorContains(t, c.dataReplaceable(deployment(), data[1]), "would be lost if its machine came back")
	data[1].Role = copiedRole
	assert.NoError(t, c.dataReplaceable(deployment(), data[1]))
}

func TestKeep(t *testing.T) {
	d := deployment()
	seen := view{
		Roles:     map[string]string{"name-0": activeRole, "name-1": standbyRole},
		Addresses: map[string]string{"data-0": "192.168.0.1:4000", "data-1": "192.168.0.2:4000"},
	}
	decide := func(v view) (kept, []frameworks.Order) {
		return Cluster{}.keep(time.Time{}, d, kept{}, frameworks.News[view]{View: &v})
	}
	_, orders := decide(seen)
	assert.Equal(t, []frameworks.Order{frameworks.Name{Node: "name-0", Role: activeRole}, frameworks.Name{Node: "name-1", Role: standbyRole}}, orders)

	for i := range d.Nodes {
		d.Nodes[i].Role = seen.Roles[d.Nodes[i].Name]
		if d.Nodes[i].Name == "data-1" {
			d.Nodes[i].Goal = frameworks.GoalLeave
		}
	}
	_, orders = decide(seen)
	assert.Equal(t, []frameworks.Order{frameworks.Do{Name: exclude, Input: "192.168.0.2:4000\n"}}, orders)
	seen.Exclude = "192.168.0.2:4000\n"
	_, orders = decide(seen)
	assert.Empty(t, orders, "they know it")

	memory, _ := Cluster{}.keep(time.Time{}, deployment(), kept{}, frameworks.News[view]{View: &view{}})
	assert.Contains(t, memory.Why, "no name node is active")
}

// TestLostDisksAreWaitedFor: a lost data node is called copied when the active name
// node has given it up, and misses no block.
func TestLostDisksAreWaitedFor(t *testing.T) {
	c, d := valid().withDefaults(), deployment()
	asked := &haunted{}
	c.calls = asked
	serve(t, d, "name-1", nameBeans(d, "standby", "", bothLive))
	b := nameBeans(d, "active", "", bothLive)
	info := b["Hadoop:service=NameNode,name=NameNodeInfo"]
	serve(t, d, "name-0", b)
	looked := func() []string {
		v, err := c.look(t.Context(), d, kept{Quiet: true})
		require.NoError(t, err)
		return v.Copied
	}
	assert.Empty(t, looked(), "nobody is lost")
	for i := range d.Nodes {
		if d.Nodes[i].Name == "data-1" {
			d.Nodes[i].Lost = time.Now()
		}
	}
	assert.Empty(t, looked(), "the name node counts on it")
	info["LiveNodes"] = "{}"
	asked.dead = []string{"10.0.0.1:4000"}
	assert.Empty(t, looked(), "the name node calls it dead, and counts on it still")
	asked.dead = nil
	assert.Equal(t, []string{"data-1"}, looked())
	b[replicated]["MissingReplicatedBlocks"] = 1
	assert.Empty(t, looked(), "it may hold that block")
	b[replicated]["MissingReplicatedBlocks"] = 0
	b["/stacks"]["threads"] = "main"
	assert.Empty(t, looked(), "the name node does not know")

	_, orders := c.keep(time.Time{}, d, kept{}, frameworks.News[view]{View: &view{Roles: map[string]string{"name-0": activeRole}, Copied: []string{"data-1"}}})
	assert.Contains(t, orders, frameworks.Order(frameworks.Name{Node: "data-1", Role: copiedRole}))
}

func TestTrustIsNotForgotten(t *testing.T) {
	c, d := valid(), deployment()
	said := func() string {
		memory, _ := c.keep(time.Time{}, d, kept{Trust: "of before"}, frameworks.News[view]{})
		return memory.Trust
	}
	assert.Empty(t, said())
	c.Trust = "journal-1"
	assert.Equal(t, "journal-1 is still trusted alone, and all journal nodes are ready: take it out of Cluster.Trust (--trust)", said())
	d.Nodes[0].Ready = false
	assert.Equal(t, "journals are filled from journal-1 alone (Cluster.Trust)", said())
}
