package frameworks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
)

const agentResources = "cpus:4;mem:4096;disk:10000;ports:[31000-31099]"

// quorum is a service whose nodes have to know each other before they start.
func quorum(count int) *Service {
	return &Service{
		Name:    "db",
		Binary:  Binary{Path: "/bin/db"},
		Recheck: time.Hour,
		Pods: []Pod{{
			Name: "node", Count: count, Together: true,
			Needs:   offers.MustParse("cpus:1;mem:512"),
			Ports:   []Port{{Name: "peer"}},
			Volumes: []Volume{{Name: "data", Path: "data", Size: 1_000_000}},
			Place:   constraints.MustParse("hostname:UNIQUE"),
			Task: func(d Deployment, n Node) (executor.Task, error) {
				var peers []string
				for _, p := range d.Pod("node") {
					peers = append(peers, p.Address("peer"))
				}
				return executor.Task{
					Command: []string{"db", "-id", d.ID("cluster"), "-peers", strings.Join(peers, ",")},
				}, nil
			},
			Ready: func(_ context.Context, _ Deployment, _ Node) error { return nil },
		}},
	}
}

func TestDeploysTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(3), 4, agentResources)
	w.until(time.Minute, "three nodes are ready", w.allReady(3))
	agents := map[string]bool{}
	for _, n := range w.status().Nodes {
		agents[n.Place.Agent] = true
		assert.Equal(t, 1, n.Incarnation, n.Name)
		assert.Equal(t, 1, w.made[volumeOf(n)], n.Name)
	}
	assert.Len(t, agents, 3, "hostname:UNIQUE")
	first := strings.Index(strings.Join(w.notes, "\n"), "launched")
	assert.Equal(t, 3, strings.Count(strings.Join(w.notes, "\n")[:first], "reserved node="), "all are reserved before the first is launched")
}

// The scheduler dies at each point between two effects of a deployment, in a
// run of its own, and another goes on from the store.
func TestSurvivesDeathAtEveryPoint(t *testing.T) {
	t.Parallel()
	calm := newWorld(t, quorum(3), 4, agentResources)
	calm.until(time.Minute, "ready", calm.allReady(3))
	require.Greater(t, calm.points, 30)
	for at := range deaths(calm.points) {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, quorum(3), 4, agentResources)
			w.dieAt = at
			w.until(5*time.Minute, "ready", w.allReady(3))
			ids := map[string]bool{}
			for _, n := range w.status().Nodes {
				assert.Zero(t, n.Failures, "%s: a scheduler's death is no failure of its server", n.Name)
				assert.Equal(t, 1, n.Generation, "%s kept its place", n.Name)
				id := volumeOf(n)
				assert.Equal(t, 1, w.made[id], "volume %s", id)
				assert.LessOrEqual(t, n.Incarnation, 2, n.Name)
				ids[n.Name] = true
			}
			assert.Empty(t, w.removed)
			for task, n := range w.started {
				assert.Equal(t, 1, n, task)
			}
			assert.Len(t, w.started, 3, "no node was started again")
		})
	}
}

func TestRestartsInPlaceWithBackoff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(3), 4, agentResources)
	deaths := 0
	w.behave = func(w *world, e *fakeExecutor, task mesos.TaskInfo) {
		w.update(e, task.TaskID.Value, mesos.TASK_STARTING, "formatted")
		if task.Name == "node-1" && deaths < 3 {
			deaths++
			w.end(e, task.TaskID.Value, mesos.TASK_FAILED, fmt.Sprintf("exit status 1\nERROR number %d", deaths))
			return
		}
		w.update(e, task.TaskID.Value, mesos.TASK_RUNNING, "started")
	}
	w.until(time.Minute, "it died three times", func() bool { return deaths == 3 && w.status().Nodes[1].Failures == 3 })
	n := w.status().Nodes[1]
	assert.Equal(t, BackingOff, n.Phase)
	assert.Contains(t, n.LastFailure, "ERROR number 3")
	assert.Contains(t, n.Waits, "it failed 3 times in a row, the last time: exit status 1")
	require.Len(t, n.Past, 3, "newest first")
	for i, past := range n.Past {
		assert.Equal(t, fmt.Sprintf("exit status 1\nERROR number %d", 3-i), past.Text)
		assert.Equal(t, fmt.Sprintf("db.node-1.%d", 3-i), past.Task)
	}
	assert.Equal(t, 4*time.Second, n.Retry.Sub(w.now).Round(time.Second), "1 s, 2 s, 4 s")
	place := n.Place.Agent
	w.until(time.Minute, "it is ready in the end", w.allReady(3))
	n = w.status().Nodes[1]
	assert.Equal(t, place, n.Place.Agent)
	w.until(10*time.Minute, "it is forgiven once it has been steady", func() bool { return w.status().Nodes[1].Failures == 0 })
	assert.Equal(t, 1, w.made[volumeOf(n)])
}

func TestStopAndStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(3), 4, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	_, err := w.command(StopNode{"node-2"})
	require.NoError(t, err)
	w.until(time.Minute, "stopped", func() bool { return w.status().Nodes[2].Phase == Stopped })
	hour := w.now.Add(time.Hour)
	w.until(2*time.Hour, "an hour has passed", func() bool { return w.now.After(hour) })
	assert.Equal(t, Stopped, w.status().Nodes[2].Phase)
	_, err = w.command(StartNode{"node-2"})
	require.NoError(t, err)
	w.until(time.Minute, "ready", w.allReady(3))
	n := w.status().Nodes[2]
	assert.Equal(t, 2, n.Incarnation)
	assert.Zero(t, n.Failures, "a stop that was asked for is no failure")
}

func TestReplaceFindsANewPlaceAndFreesTheOldOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(3), 4, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	old := w.status().Nodes[0]
	_, err := w.command(ReplaceNode{Node: "node-0"})
	require.NoError(t, err)
	w.until(time.Minute, "ready in a new place", func() bool {
		n := w.status().Nodes[0]
		return n.Phase == Ready && n.Generation == 2
	})
	w.until(time.Minute, "the old volume is gone", func() bool { return w.removed[volumeOf(old)] == 1 })
	assert.NotEqual(t, old.Incarnation, w.status().Nodes[0].Incarnation)
	assert.Len(t, w.removed, 1, "nobody else's volume was touched")
}

func TestAgentAwayAndBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(3), 4, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	host := w.status().Nodes[1].Place.Hostname
	var away *fakeAgent
	for _, a := range w.agents {
		if fmt.Sprintf("agent-%d", a.index) == host {
			away = a
		}
	}
	away.cut = true
	w.until(5*time.Minute, "unreachable", func() bool { return w.status().Nodes[1].Phase == Unreachable })
	w.heal(away)
	w.until(5*time.Minute, "ready again", w.allReady(3))
	assert.Equal(t, 1, w.status().Nodes[1].Incarnation, "it was not restarted")
}

func TestScale(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(3), 5, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	_, err := w.command(ScalePod{Pod: "node", Count: 5})
	require.NoError(t, err)
	w.until(time.Minute, "five are ready", w.allReady(5))
	_, err = w.command(ScalePod{Pod: "node", Count: -1})
	require.ErrorIs(t, err, ErrRefused)
	_, err = w.command(ScalePod{Pod: "nod", Count: 7})
	require.ErrorIs(t, err, ErrUnknown)
	_, err = w.command(StopNode{"node-9"})
	require.ErrorIs(t, err, ErrUnknown)
}

func TestSaysWhyANodeFindsNoPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(3), 2, agentResources)
	w.until(time.Minute, "two have a place", func() bool {
		s := w.status()
		return s.Nodes[0].Place != nil && s.Nodes[1].Place != nil && s.Nodes[2].Refused != ""
	})
	w.until(time.Minute, "both agents are counted", func() bool {
		return strings.Contains(w.status().Nodes[2].Refused, "2 × hostname:UNIQUE")
	})

	big := quorum(1)
	big.Pods[0].Needs = offers.MustParse("cpus:1;mem:8192")
	w = newWorld(t, big, 3, agentResources)
	w.until(time.Minute, "three agents are short of memory", func() bool {
		return strings.Contains(w.status().Nodes[0].Refused, "3 × mem: wants 8192, best 4096 on agent-0 (short by 4096)")
	})
}

func TestGateIsAskedUntilItPasses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(1), 1, agentResources)
	asked := 0
	w.gate = func(job scheduler.Job) error {
		if asked++; asked < 4 {
			return errors.New("still fenced")
		}
		return nil
	}
	w.until(time.Minute, "it waits", func() bool { return w.status().Nodes[0].Waits == "still fenced" })
	assert.Equal(t, Started, w.status().Nodes[0].Phase)
	w.until(time.Minute, "ready", w.allReady(1))
	assert.Equal(t, 4, asked)
}

func TestRefusesAStoreItCannotRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(1), 1, agentResources)
	w.until(time.Minute, "ready", w.allReady(1))
	records := w.records()
	for i, r := range records {
		if strings.HasSuffix(r.Key, "db/node/node-0") {
			records[i].Value = bytes.Replace(r.Value, []byte(`"version":1`), []byte(`"version":9`), 1)
		}
	}
	require.NoError(t, w.store.Save(t.Context(), records))
	w.crash()
	w.deliver()
	_, err := w.command(AskStatus{})
	require.ErrorContains(t, err, "record db/node/node-0: format version 9")
	assert.Contains(t, strings.Join(w.notes, "\n"), "cannot decide")
}

func TestRunRefusesAWrongDeclaration(t *testing.T) {
	t.Parallel()
	wrong := quorum(1)
	wrong.Pods[0].Ports = append(wrong.Pods[0].Ports, Port{Name: "peer"})
	err := scheduler.Run(t.Context(), scheduler.Config{Master: "127.0.0.1:1", Handler: wrong})
	require.ErrorContains(t, err, `Service.Pods[0].Ports[1].Name: "peer": wants lower case letters, digits and hyphens, and a name that no other port of the pod has`)
}

// The agent's connection breaks while an ACCEPT is on its way, for a
// reservation and then for a launch: the offer is not good any more.
func TestStaleOffers(t *testing.T) {
	t.Parallel()
	for _, kind := range []mesos.Offer_Operation_Type{mesos.Offer_Operation_RESERVE, mesos.Offer_Operation_LAUNCH} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, quorum(3), 3, agentResources)
			broken := false
			w.before = func(call *sched.Call) {
				if call.Accept == nil || call.Accept.Operations[0].Type != kind || broken {
					return
				}
				broken = true
				for _, a := range w.agents {
					a.cut = true
					w.heal(a)
				}
			}
			w.until(5*time.Minute, "ready", w.allReady(3))
			assert.True(t, broken)
			for _, n := range w.status().Nodes {
				assert.Equal(t, 1, w.made[volumeOf(n)], n.Name)
			}
		})
	}
}
