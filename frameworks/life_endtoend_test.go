package frameworks_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler/mesostest"
	"github.com/mesokit/mesokit/scheduler/state"
)

// shape is the options of a small server with a volume.
type shape struct {
	Nodes   int     `json:"nodes"`
	Version string  `json:"version"`
	Disk    float64 `json:"disk"`
	Log     float64 `json:"log"` // a second volume, and a port beside it; zero: neither
}

// shaped declares it. Servers of version "bad" do not start.
func shaped(options json.RawMessage) (*frameworks.Service, error) {
	var o shape
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := []string{self}
	if o.Version == "bad" {
		command = []string{"sh", "-c", "echo ERROR no such option >&2; exit 1"}
	}
	ports := []frameworks.Port{{Name: "http"}}
	volumes := []frameworks.Volume{{Name: "data", Path: "data", Size: offers.AmountOf(o.Disk)}}
	if o.Log > 0 {
		ports = append(ports, frameworks.Port{Name: "admin"})
		volumes = append(volumes, frameworks.Volume{Name: "log", Path: "log", Size: offers.AmountOf(o.Log)})
	}
	return &frameworks.Service{Name: "hello", Options: options, Revise: shaped, Pods: []frameworks.Pod{{
		Name: "node", Count: o.Nodes,
		Needs:   offers.MustParse("cpus:0.1;mem:32"),
		Ports:   ports,
		Volumes: volumes,
		Place:   constraints.MustParse("hostname:UNIQUE"),
		Task: func(_ frameworks.Deployment, n frameworks.Node) (executor.Task, error) {
			return executor.Task{
				Env:     map[string]string{"SERVE": "1", "VERSION": o.Version},
				Init:    []executor.Step{{Name: "name", Done: "named", Unless: "data/name", Command: []string{"sh", "-c", fmt.Sprintf("echo -n %s.%d > data/name", n.Name, n.Generation)}}},
				Command: command,
			}, nil
		},
		Ready:    frameworks.HTTP("http", "/"),
		Rollout:  frameworks.Rollout{Rollback: true},
		Recovery: frameworks.Recovery{After: 2 * time.Second},
		Backoff:  frameworks.Backoff{First: 10 * time.Millisecond},
	}}}, nil
}

func shapedAs(t *testing.T, o shape) *frameworks.Service {
	t.Helper()
	options, err := json.Marshal(o)
	require.NoError(t, err)
	s, err := shaped(options)
	require.NoError(t, err)
	return s
}

// settled says that so many nodes are ready and none is out of date or missing.
func settled(n int) func(frameworks.Status) bool {
	return func(s frameworks.Status) bool {
		for _, node := range s.Nodes {
			if node.Outdated() {
				return false
			}
		}
		return s.Ready == n && len(s.Nodes) == n && s.Reconciled
	}
}

func namesOnDisk(t *testing.T, s frameworks.Status) string {
	t.Helper()
	var out []string
	for _, n := range s.Nodes {
		_, name := ask(t, n)
		out = append(out, name)
	}
	return strings.Join(out, " ")
}

// 3 nodes become 6, are updated while the scheduler dies, refuse what does not
// start, get larger volumes and new ones, become 2, get smaller volumes, and are
// uninstalled.
func TestLifeUnderChangeOnRealMesos(t *testing.T) {
	t.Parallel()
	o := shape{Nodes: 3, Version: "1", Disk: 64}
	c := mesostest.New(t, mesostest.Agents(6, machine), mesostest.Configure(func(cfg *mesostest.Config) {
		for i := range cfg.Agents {
			cfg.Agents[i].RetryMin = 200 * time.Millisecond // what a dead scheduler did not acknowledge
		}
	}))
	store := state.NewMemory()
	d := deploy(t, c, shapedAs(t, o), store)
	d.until("three are ready", settled(3))
	ctx := t.Context()

	_, err := d.Scale(ctx, "node", 6)
	require.NoError(t, err)
	d.until("six are ready", settled(6))

	o.Version = "2"
	_, err = d.Update(ctx, o)
	require.NoError(t, err)
	taken := 0
	for taken < 6 { // the scheduler dies after each node
		s := d.until("one more is updated, or all", func(s frameworks.Status) bool {
			n := 0
			for _, node := range s.Nodes {
				if node.Incarnation > 1 && !node.Outdated() && node.Ready {
					n++
				}
			}
			more := n > taken
			taken = max(taken, n)
			return more
		})
		require.Len(t, s.Nodes, 6)
		require.NoError(t, d.stop())
		d = deploy(t, c, shapedAs(t, shape{Nodes: 3, Version: "1", Disk: 64}), store.Open())
	}
	good := d.until("all are updated, and that is good", func(s frameworks.Status) bool {
		var good shape
		return settled(6)(s) && s.Options != nil && json.Unmarshal(s.Options.Good, &good) == nil && good.Version == "2"
	})

	o.Version = "bad"
	_, err = d.Update(ctx, o)
	require.NoError(t, err)
	back := d.until("it went back by itself", func(s frameworks.Status) bool {
		return settled(6)(s) && strings.Contains(s.Options.Trouble, "no such option")
	})
	touched := 0
	for i, n := range back.Nodes {
		if n.Incarnation > good.Nodes[i].Incarnation {
			touched++
		}
	}
	assert.Equal(t, 1, touched, "only the first node was taken")

	o.Version, o.Disk, o.Log = "2", 128, 32
	_, err = d.Update(ctx, o)
	require.NoError(t, err)
	grown := d.until("the volumes have grown, and there are others", func(s frameworks.Status) bool {
		return settled(6)(s) && offers.Sum(s.Nodes[5].Place.Resources).Amount("disk") == offers.AmountOf(128+32)
	})
	assert.NotEmpty(t, grown.Nodes[0].Address("admin"))
	assert.Equal(t, "node-0.1 node-1.1 node-2.1 node-3.1 node-4.1 node-5.1", namesOnDisk(t, grown), "nobody lost what it had")
	o.Disk = 64
	_, err = d.Update(ctx, o)
	require.ErrorIs(t, err, frameworks.ErrRefused)
	require.ErrorContains(t, err, "Pod node: Volume data: 64: it holds data, and cannot become smaller than 128 MiB")

	_, err = d.Scale(ctx, "node", 2)
	require.NoError(t, err)
	d.until("two are left", settled(2))
	_, err = d.UpdateAndShrink(ctx, o)
	require.NoError(t, err)
	shrunk := d.until("the volumes have shrunk", func(s frameworks.Status) bool {
		return settled(2)(s) && offers.Sum(s.Nodes[1].Place.Resources).Amount("disk") == offers.AmountOf(64+32)
	})
	assert.Equal(t, "node-0.1 node-1.1", namesOnDisk(t, shrunk), "nobody lost what it had")
	_, err = d.Uninstall(ctx)
	require.NoError(t, err)
	require.NoError(t, c.Wait(ctx, func() bool { return len(c.Tasks()) == 0 && reservedOn(t, c) == 0 }))
}

// reservedOn is how much disk is reserved on all agents, in MiB.
func reservedOn(t *testing.T, c *mesostest.Cluster) float64 {
	t.Helper()
	answer, err := http.Get(c.URL() + "/slaves")
	require.NoError(t, err)
	defer answer.Body.Close()
	var body struct {
		Slaves []struct {
			Reserved map[string]struct {
				Disk float64 `json:"disk"`
			} `json:"reserved_resources"`
		} `json:"slaves"`
	}
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&body))
	sum := 0.0
	for _, agent := range body.Slaves {
		for _, role := range agent.Reserved {
			sum += role.Disk
		}
	}
	return sum
}

func agentOf(t *testing.T, c *mesostest.Cluster, n frameworks.NodeStatus) *mesostest.Agent {
	t.Helper()
	for _, a := range c.Agents() {
		if a.ID() == n.Place.Agent {
			return a
		}
	}
	t.Fatalf("%s is on no agent", n.Name)
	return nil
}

func TestAgentLostForGoodOnRealMesos(t *testing.T) {
	t.Parallel()
	c := mesostest.New(t, mesostest.Agents(4, machine))
	d := deploy(t, c, shapedAs(t, shape{Nodes: 3, Version: "1", Disk: 64}), nil)
	before := d.until("three are ready", settled(3)).Nodes[1]
	lost := agentOf(t, c, before)
	lost.Partition()
	after := d.until("it is replaced by itself", func(s frameworks.Status) bool { return settled(3)(s) && s.Nodes[1].Generation == 2 })
	assert.NotEqual(t, before.Place.Agent, after.Nodes[1].Place.Agent)
	_, name := ask(t, after.Nodes[1])
	assert.Equal(t, "node-1.2", name, "on a new volume")
	lost.Heal()
	require.NoError(t, c.Wait(t.Context(), func() bool { return len(c.Tasks()) == 3 && reservedOn(t, c) == 3*64 }),
		"what comes back is put out")
}

// A rack goes with both its agents: that looks like more than two broken machines,
// so its nodes wait, and say so, until an operator has them replaced.
func TestRackLostOnRealMesos(t *testing.T) {
	t.Parallel()
	c := mesostest.New(t, mesostest.Agents(2, machine, "rack:a"), mesostest.Agents(2, machine, "rack:b"), mesostest.Agents(2, machine, "rack:c"))
	s := shapedAs(t, shape{Nodes: 4, Version: "1", Disk: 64})
	s.Pods[0].Place = constraints.MustParse("hostname:UNIQUE", "rack:MAX_PER:2")
	s.Pods[0].Recovery = frameworks.Recovery{After: 10 * time.Second}
	s.Revise, s.Options = nil, nil
	d := deploy(t, c, s, nil)
	before := d.until("four are ready", settled(4))

	racks := map[string][]frameworks.NodeStatus{}
	rack := ""
	for _, n := range before.Nodes {
		r := n.Place.Attribute("rack")
		if racks[r] = append(racks[r], n); len(racks[r]) == 2 {
			rack = r
		}
	}
	lost := racks[rack]
	require.Len(t, lost, 2, "four nodes in three racks")
	agents := []*mesostest.Agent{agentOf(t, c, lost[0]), agentOf(t, c, lost[1])}
	for _, a := range agents {
		a.Partition()
	}
	d.until("both wait and say why", func(s frameworks.Status) bool {
		waiting := 0
		for _, n := range s.Nodes {
			if strings.Contains(n.Waits, "2 nodes are lost at once") {
				waiting++
			}
		}
		return s.Ready == 2 && waiting == 2
	})
	for _, n := range lost {
		_, err := d.Replace(t.Context(), n.Name)
		require.NoError(t, err)
	}
	after := d.until("both are elsewhere", settled(4))
	for _, n := range after.Nodes {
		assert.NotEqual(t, rack, n.Place.Attribute("rack"), n.Name)
	}
	for _, a := range agents {
		a.Heal()
	}
	require.NoError(t, c.Wait(t.Context(), func() bool { return len(c.Tasks()) == 4 && reservedOn(t, c) == 4*64 }),
		"what comes back is put out")
}

func postTo(t *testing.T, url, body string) {
	t.Helper()
	answer, err := http.Post(url, "application/json", strings.NewReader(body))
	require.NoError(t, err)
	answer.Body.Close()
	require.Equal(t, http.StatusOK, answer.StatusCode, "%s %s", url, body)
}

// An agent is asked back for maintenance, and another is drained; the nodes
// leave it one after the other, and come back to their volumes.
func TestMaintenanceAndDrainOnRealMesos(t *testing.T) {
	t.Parallel()
	c := mesostest.New(t, mesostest.Agents(3, machine))
	s := shapedAs(t, shape{Nodes: 3, Version: "1", Disk: 64})
	s.Pods[0].Recovery = frameworks.Recovery{}
	s.Revise, s.Options = nil, nil
	d := deploy(t, c, s, nil)
	first := d.until("three are ready", settled(3))

	a := agentOf(t, c, first.Nodes[0])
	postTo(t, c.URL()+"/maintenance/schedule", fmt.Sprintf(
		`{"windows":[{"machine_ids":[{"hostname":%q,"ip":%q}],"unavailability":{"start":{"nanoseconds":%d}}}]}`,
		a.Hostname(), a.Address(), time.Now().UnixNano()))
	d.until("it has left the agent", func(s frameworks.Status) bool {
		return s.Ready == 2 && s.Nodes[0].Phase == frameworks.Reserved && strings.Contains(s.Nodes[0].Waits, "maintenance")
	})
	postTo(t, c.URL()+"/maintenance/schedule", `{"windows":[]}`)
	d.until("it is back", settled(3))

	postTo(t, c.URL()+"/api/v1", fmt.Sprintf(`{"type":"DRAIN_AGENT","drain_agent":{"agent_id":{"value":%q}}}`, first.Nodes[1].Place.Agent))
	d.until("it is drained", func(s frameworks.Status) bool { return s.Ready == 2 && s.Nodes[1].Phase == frameworks.Reserved })
	postTo(t, c.URL()+"/api/v1", fmt.Sprintf(`{"type":"REACTIVATE_AGENT","reactivate_agent":{"agent_id":{"value":%q}}}`, first.Nodes[1].Place.Agent))
	last := d.until("it is back", settled(3))
	assert.Equal(t, "node-0.1 node-1.1 node-2.1", namesOnDisk(t, last))
	for _, n := range last.Nodes {
		assert.Zero(t, n.Failures, n.Name)
	}
}
