package frameworks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosexec "github.com/mesos/mesos-go/api/v1/lib/executor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
)

// writers is a world of servers of which one at a time may take writes: the
// one that was promoted last. Every server has a lease.
type writers struct {
	*world
	servers  map[string]*server // by container
	promoted int
	// fails says whether a promotion ends in an error, although it may have
	// been carried out; nil: never.
	fails func() bool
}

// server is what an executor supervises, with the executor's side of a lease.
type server struct {
	executor *fakeExecutor
	lease    *executor.Lease
	asked    []time.Time
	until    time.Time
	writable bool
}

// ballot is what the routine remembers.
type ballot struct {
	Primary   string   `json:"primary,omitempty"`
	Candidate string   `json:"candidate,omitempty"`
	Deposed   []string `json:"deposed,omitempty"` // each withheld, and perhaps still writable
}

func newWriters(t *testing.T, agents int) *writers {
	w := &writers{servers: map[string]*server{}}
	s := quorum(3)
	s.Pods[0].Task = func(Deployment, Node) (executor.Task, error) {
		return executor.Task{Command: []string{"db"}, Lease: &executor.Lease{Within: 8 * time.Second}}, nil
	}
	s.Routines = []Routine{RoutineOf[ballot, []string]{
		Name: "failover", Every: 2 * time.Second, Look: w.look, Decide: elect, Work: w.promote,
	}.Routine()}
	w.world = newWorld(t, s, agents, agentResources)
	w.behave = w.begin
	w.hears = w.hear
	w.holds = w.oneWriter
	return w
}

// look sees which nodes answer.
func (w *writers) look(context.Context, Deployment, ballot) ([]string, error) {
	var answer []string
	for _, id := range sortedKeys(w.servers) {
		if s := w.servers[id]; s.executor.serves && !s.executor.agent.cut {
			node, _, _ := w.service.owner(s.executor.id)
			answer = append(answer, node)
		}
	}
	return answer, nil
}

// elect keeps one primary: the next is promoted only when those before it can
// do no harm.
func elect(now time.Time, d Deployment, b ballot, news News[[]string]) (ballot, []Order) {
	var orders []Order
	depose := func(node string) {
		b.Deposed = append(b.Deposed, node)
		orders = append(orders, Withhold{node}, Name{node, ""})
	}
	if done := news.Done; done != nil && done.Do.Name == "promote" {
		if done.Err != "" {
			depose(b.Candidate) // it may have been carried out
		} else {
			b.Primary = b.Candidate
			orders = append(orders, Name{b.Primary, "primary"})
			for _, node := range b.Deposed {
				orders = append(orders, Renew{node})
			}
			b.Deposed = nil
		}
		b.Candidate = ""
	}
	if news.View == nil || b.Candidate != "" {
		return b, orders
	}
	if b.Primary != "" && !slices.Contains(*news.View, b.Primary) {
		depose(b.Primary)
		b.Primary = ""
	}
	for _, node := range b.Deposed {
		if n, _ := d.Node(node); !n.Harmless(now) {
			return b, append(orders, Note{node, "waits for the end of its lease"})
		}
	}
	if b.Primary == "" {
		if len(b.Deposed) == 3 { // all have had their turn
			orders, b.Deposed = append(orders, Renew{b.Deposed[0]}), b.Deposed[1:]
		}
		for _, node := range *news.View {
			if !slices.Contains(b.Deposed, node) {
				b.Candidate = node
				return b, append(orders, Do{Name: "promote", Node: node})
			}
		}
	}
	return b, orders
}

func (w *writers) promote(_ context.Context, _ Deployment, _ ballot, do Do) (string, error) {
	for _, s := range w.servers {
		node, _, _ := w.service.owner(s.executor.id)
		if node != do.Node || !s.executor.serves || s.executor.agent.cut {
			continue
		}
		failed := w.fails != nil && w.fails()
		if !failed || len(s.asked)%2 == 0 {
			s.writable = true
			w.promoted++
		}
		if failed {
			return "", errors.New("connection lost")
		}
		return "done", nil
	}
	return "", errors.New("connection refused")
}

// oneWriter is the invariant of it all.
func (w *writers) oneWriter() {
	var all []string
	for _, id := range sortedKeys(w.servers) {
		if s := w.servers[id]; s.writable && s.executor.serves && !s.executor.ended {
			all = append(all, s.executor.id)
		}
	}
	require.LessOrEqual(w.t, len(all), 1, "two take writes: %v; notes:\n%s", all, strings.Join(w.notes, "\n"))
}

func (w *writers) writer() string {
	for _, id := range sortedKeys(w.servers) {
		if s := w.servers[id]; s.writable && s.executor.serves && !s.executor.ended {
			node, _, _ := w.service.owner(s.executor.id)
			return node
		}
	}
	return ""
}

func (w *writers) begin(_ *world, e *fakeExecutor, task mesos.TaskInfo) {
	var spec executor.Task
	require.NoError(w.t, json.Unmarshal(task.Data, &spec))
	s := &server{executor: e, lease: spec.Lease}
	w.servers[e.container] = s
	w.update(e, task.TaskID.Value, mesos.TASK_STARTING, "files written")
	w.renew(s)
}

// renew asks for the lease, again and again. The executor's clock is a little
// slow.
func (w *writers) renew(s *server) {
	if s.executor.ended {
		return
	}
	s.asked = append(s.asked, w.now)
	data, err := executor.EncodeMessage(executor.Renew{Task: s.executor.id, Number: len(s.asked) - 1})
	require.NoError(w.t, err)
	w.say(s.executor, &mesosexec.Call{Type: mesosexec.Call_MESSAGE, Message: &mesosexec.Call_Message{Data: data}})
	w.after(s.lease.Within/4, func() { w.renew(s) })
}

func (w *writers) hear(e *fakeExecutor, data []byte) {
	s := w.servers[e.container]
	m, err := executor.DecodeMessage(data)
	require.NoError(w.t, err)
	grant, ok := m.(executor.Grant)
	if !ok || e.ended {
		return
	}
	until := s.asked[grant.Number].Add(s.lease.Within * 104 / 100)
	if !until.After(s.until) || !until.After(w.now) {
		return
	}
	if s.until.IsZero() {
		w.update(e, grant.Task, mesos.TASK_RUNNING, "started")
	}
	s.until = until
	w.after(until.Sub(w.now), func() {
		if !w.now.Before(s.until) {
			w.exit(e.agent, e.container, 9)
		}
	})
}

func (w *writers) primary() string {
	for _, n := range w.status().Nodes {
		if n.Role == "primary" {
			return n.Name
		}
	}
	return ""
}

func TestRoutineFailsOverBehindALease(t *testing.T) {
	t.Parallel()
	w := newWriters(t, 3)
	w.until(5*time.Minute, "there is a primary", func() bool { return w.primary() != "" && w.status().Ready == 3 })
	first := w.primary()
	assert.Equal(t, first, w.writer())

	var old NodeStatus
	for _, n := range w.status().Nodes {
		if n.Name == first {
			old = n
		}
	}
	cut := w.now
	w.cutAgentOf(old)
	w.until(time.Minute, "another is the primary", func() bool { p := w.primary(); return p != "" && p != first })
	assert.GreaterOrEqual(t, w.now.Sub(cut), 8*time.Second, "not before the lease is over")
	assert.Less(t, w.now.Sub(cut), 20*time.Second)
	for _, a := range w.agents {
		w.heal(a)
	}
	w.until(5*time.Minute, "the old one is back, and no primary", func() bool { return w.status().Ready == 3 })
	assert.NotEqual(t, first, w.writer())
	assert.Equal(t, 2, w.promoted)
}

// The scheduler dies at each point of a failover, in a run of its own.
func TestRoutineSurvivesDeathAtEveryPoint(t *testing.T) {
	t.Parallel()
	failover := func(t *testing.T, dieAfter int) *writers {
		w := newWriters(t, 3)
		w.until(5*time.Minute, "there is a primary", func() bool { return w.primary() != "" && w.status().Ready == 3 })
		first := w.primary()
		before := w.points
		if dieAfter > 0 {
			w.dieAt = w.points + dieAfter
		}
		for _, n := range w.status().Nodes {
			if n.Name == first {
				w.cutAgentOf(n)
			}
		}
		w.until(5*time.Minute, "another is the primary", func() bool { p := w.primary(); return p != "" && p != first })
		assert.NotEqual(t, first, w.writer())
		w.points -= before
		return w
	}
	calm := failover(t, 0)
	for at := range deaths(calm.points) {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			t.Parallel()
			w := failover(t, at)
			assert.LessOrEqual(t, w.promoted, 3, "a promotion is begun again only where the scheduler died over it")
		})
	}
}

// Whatever happens, no two servers take writes at once; and when it is quiet,
// one does.
func TestOneWriterUnderFaults(t *testing.T) {
	t.Parallel()
	for seed := range seeds(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newWriters(t, 4)
			random := rand.New(rand.NewSource(seed))
			quiet := false
			w.fails = func() bool { return !quiet && random.Intn(3) == 0 }
			for range 50 {
				w.disturb(random)
				bound := w.now.Add(time.Duration(random.Intn(15_000)) * time.Millisecond)
				w.until(time.Hour, "time passes", func() bool { return w.now.After(bound) })
			}
			quiet, w.dieAt = true, 0
			for _, a := range w.agents {
				w.heal(a)
			}
			w.until(3*time.Hour, "one is the primary, and all are ready", func() bool {
				return w.status().Ready == 3 && w.primary() != "" && w.primary() == w.writer()
			})
		})
	}
}

func (w *writers) disturb(random *rand.Rand) {
	agent := w.agents[random.Intn(len(w.agents))]
	node := w.status().Nodes[random.Intn(3)]
	switch random.Intn(8) {
	case 0, 1:
		w.dieAt = w.points + 1 + random.Intn(20)
	case 2, 3:
		agent.cut = true
	case 4, 5:
		w.heal(agent)
	case 6:
		for _, id := range sortedKeys(w.servers) {
			if s := w.servers[id]; s.executor.agent == agent {
				w.exit(agent, id, 9)
			}
		}
	case 7:
		_, err := w.command([]any{RestartNode{Node: node.Name}, ReplaceNode{Node: node.Name}}[random.Intn(2)])
		assert.NoError(w.t, err)
	}
}

// A place whose server may still run where nobody can see it is not given away
// before the lease is over, and neither is a task launched again.
func TestReplaceWaitsForTheLease(t *testing.T) {
	t.Parallel()
	w := newWriters(t, 4)
	w.until(5*time.Minute, "there is a primary", func() bool { return w.primary() != "" && w.status().Ready == 3 })
	old := w.status().Nodes[2]
	w.cutAgentOf(old)
	w.until(5*time.Minute, "unreachable", func() bool { return w.status().Nodes[2].Phase == Unreachable })
	asked := w.now
	_, err := w.command(ReplaceNode{Node: old.Name, Force: true})
	require.NoError(t, err)
	assert.Equal(t, 1, w.status().Nodes[2].Generation)
	w.until(time.Minute, "its place is given up", func() bool { return w.status().Nodes[2].Generation == 2 })
	assert.Equal(t, 10*time.Second*21/20, w.now.Sub(asked).Round(100*time.Millisecond))
	w.until(5*time.Minute, "ready elsewhere", w.allReady(3))
	assert.True(t, w.status().Nodes[2].Withheld.IsZero())
}

func TestFenceAllowAndRebuild(t *testing.T) {
	t.Parallel()
	s := quorum(1)
	var order Order
	s.Routines = []Routine{RoutineOf[int, int]{
		Name: "keeper", Every: time.Second,
		Look: func(context.Context, Deployment, int) (int, error) { return 0, nil },
		Decide: func(_ time.Time, _ Deployment, n int, _ News[int]) (int, []Order) {
			if o := order; o != nil {
				order = nil
				return n + 1, []Order{o}
			}
			return n, nil
		},
	}.Routine()}
	w := newWorld(t, s, 2, agentResources)
	w.until(time.Minute, "ready", w.allReady(1))
	order = Fence{"node-0"}
	w.until(time.Minute, "fenced", func() bool { return w.status().Nodes[0].Phase == Fenced })
	w.pass(10 * time.Minute)
	assert.Equal(t, Fenced, w.status().Nodes[0].Phase)
	assert.Zero(t, w.status().Nodes[0].Failures, "a fence is no failure")
	order = Allow{"node-0"}
	w.until(time.Minute, "ready again", w.allReady(1))
	assert.Equal(t, 2, w.status().Nodes[0].Incarnation)

	volume := volumeOf(w.status().Nodes[0])
	order = Rebuild{"node-0"}
	w.until(time.Minute, "ready on new volumes", func() bool { return w.status().Ready == 1 && w.status().Nodes[0].Generation == 2 })
	w.until(time.Minute, "the old ones are gone", func() bool { return w.removed[volume] == 1 })

	order = Fence{"node-9"}
	w.until(time.Minute, "an order that cannot be is told", func() bool {
		return strings.Contains(strings.Join(w.notes, "\n"), `order refused routine=keeper error=node "node-9": not found`)
	})
	assert.JSONEq(t, "4", string(w.status().Routines[0].Memory))
}

// A routine sees which step of a plan is under way, and carries it out.
func TestRoutineSeesStepsUnderWay(t *testing.T) {
	t.Parallel()
	s := quorum(1)
	seen := map[string]bool{}
	done := false
	s.Plans = []Plan{PlanOf[struct{}]{
		Name: "hand-over",
		Layout: func(Deployment, struct{}) ([]Stage, error) {
			return []Stage{{Name: "all", Steps: []Step{{Name: "one", Nodes: []string{"node-0"}}}}}, nil
		},
		Work: func(context.Context, Deployment, struct{}, Step) (string, error) {
			if !done {
				return "", errors.New("not yet")
			}
			return "done", nil
		},
	}.Plan()}
	s.Routines = []Routine{RoutineOf[int, int]{
		Name: "keeper", Every: time.Second,
		Look: func(_ context.Context, d Deployment, _ int) (int, error) {
			assert.Nil(t, d.Under("hand-over"))
			return 0, nil
		},
		Decide: func(_ time.Time, d Deployment, n int, _ News[int]) (int, []Order) {
			for _, step := range d.Under("hand-over") {
				seen[step.Name], done = true, true
			}
			return n, nil
		},
	}.Routine()}
	w := newWorld(t, s, 1, agentResources)
	w.until(time.Minute, "ready", w.allReady(1))
	w.pass(time.Minute)
	assert.Empty(t, seen)
	w.do(StartPlan{Plan: "hand-over"})
	w.until(5*time.Minute, "complete", func() bool { return len(seen) > 0 })
	assert.Equal(t, map[string]bool{"one": true}, seen)
}

func TestRoutineThatCannotLook(t *testing.T) {
	t.Parallel()
	s := quorum(1)
	looks := 0
	var told []string
	s.Routines = []Routine{RoutineOf[int, int]{
		Name: "blind", Every: 10 * time.Second,
		Look: func(context.Context, Deployment, int) (int, error) { looks++; return 0, errors.New("no route to host") },
		Decide: func(_ time.Time, _ Deployment, n int, news News[int]) (int, []Order) {
			if news.Err != "" {
				told = append(told, news.Err)
			}
			return n, nil
		},
	}.Routine()}
	w := newWorld(t, s, 1, agentResources)
	w.until(time.Minute, "ready", w.allReady(1))
	looks = 0
	w.pass(100 * time.Second)
	assert.InDelta(t, 10, looks, 2, "it is asked at its pace")
	assert.Contains(t, told, "no route to host")
	assert.Equal(t, "no route to host", w.status().Routines[0].Trouble)
}

// A work that fails, and is ordered again at once, is begun at a pace.
func TestWorkThatFailsIsPaced(t *testing.T) {
	t.Parallel()
	s := quorum(1)
	var begun []time.Time
	var w *world
	s.Routines = []Routine{RoutineOf[int, int]{
		Name: "stubborn", Every: 2 * time.Second,
		Look: func(context.Context, Deployment, int) (int, error) { return 0, nil },
		Decide: func(_ time.Time, _ Deployment, n int, _ News[int]) (int, []Order) {
			return n, []Order{Do{Name: "open", Input: "the door"}}
		},
		Work: func(context.Context, Deployment, int, Do) (string, error) {
			begun = append(begun, w.now)
			if len(begun) == 4 {
				return "opened", nil
			}
			return "", errors.New("locked")
		},
	}.Routine()}
	w = newWorld(t, s, 1, agentResources)
	w.until(time.Minute, "it was tried five times", func() bool { return len(begun) >= 5 })
	var pauses []time.Duration
	for i := range 4 {
		pauses = append(pauses, begun[i+1].Sub(begun[i]).Round(time.Second))
	}
	assert.Equal(t, []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 0}, pauses, "and without one after it succeeded")
}

func TestRoutinesAreValidated(t *testing.T) {
	t.Parallel()
	s := quorum(1)
	r := RoutineOf[int, int]{Name: "Fail Over"}.Routine()
	s.Routines = []Routine{r}
	err := s.Validate()
	require.ErrorContains(t, err, `Service.Routines[0].Name: "Fail Over": wants lower case letters`)
	require.ErrorContains(t, err, `Service.Routines[0].Look: "Fail Over": wants a Look and a Decide`)
}
