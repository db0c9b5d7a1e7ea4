package frameworks

import (
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"
	"github.com/stretchr/testify/assert"

	"github.com/mesokit/mesokit/internal/model"
	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
)

// Seeds decide faults: schedulers that die between two effects, streams that
// break, agents that cannot be reached, servers that die or never get ready,
// operators who change their mind. Once they stop, everything must be ready
// again, with one volume for each node's place and none destroyed without a
// wish.
func TestFaultsThenQuiet(t *testing.T) {
	t.Parallel()
	for name, service := range map[string]func() *Service{
		"together": func() *Service { return quorum(3) },
		"two pods": func() *Service { return twoPods(1, 3) },
	} {
		for seed := range seeds(4) {
			t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) {
				t.Parallel()
				c := &chaos{world: newWorld(t, service(), 5, agentResources), random: rand.New(rand.NewSource(seed))}
				c.run(80)
			})
		}
	}
}

type chaos struct {
	*world
	random   *rand.Rand
	quiet    bool
	replaced map[string]bool // volumes given up by an operator's wish
	used     map[string]bool // volumes that a server ran on
}

func (c *chaos) run(faults int) {
	c.replaced, c.used = map[string]bool{}, map[string]bool{}
	c.behave = c.serve
	c.world.gate = func(scheduler.Job) error {
		if !c.quiet && c.random.Intn(4) == 0 {
			return fmt.Errorf("not yet")
		}
		return nil
	}
	for range faults {
		c.fault()
		bound := c.now.Add(time.Duration(c.random.Intn(20_000)) * time.Millisecond)
		c.until(time.Hour, "time passes", func() bool { return c.now.After(bound) })
		c.explained()
	}
	c.quiet, c.dieAt = true, 0
	for _, a := range c.agents {
		c.heal(a)
	}
	c.mesos(model.Operate{Request: model.SetSchedule{}})
	for _, plan := range []string{"deploy", "update", "recovery", "leave"} {
		c.do(ResumePlan{Plan: plan})
	}
	for _, n := range c.status().Nodes {
		if n.Goal == GoalStop {
			c.do(StartNode{n.Name})
		}
	}
	c.until(6*time.Hour, "all are ready, and as they are declared", func() bool {
		s := c.status()
		for _, n := range s.Nodes {
			if n.Outdated() || n.Goal == GoalLeave {
				return false
			}
		}
		return s.Ready == len(s.Nodes)
	})
	for id := range c.removed {
		assert.True(c.t, c.replaced[id] || !c.used[id], "volume %s was destroyed, and nobody asked for it; notes:\n%s", id, strings.Join(c.notes, "\n"))
	}
	c.until(48*time.Hour, "nothing is left over", func() bool {
		held := 0.0
		for _, n := range c.status().Nodes {
			held += heldBy(n).Amount("disk").Value()
		}
		return c.reserved("disk") == held
	})
	for _, n := range c.status().Nodes {
		id := volumeOf(n)
		assert.Equal(c.t, 1, c.made[id], "volume %s", id)
	}
}

// explained: every node that is not as it is wanted says what it waits for.
func (c *chaos) explained() {
	for _, n := range c.status().Nodes {
		if n.Phase == Ready && !n.Outdated() && n.Goal == GoalRun || n.Phase == Stopped || n.Phase == Finished {
			continue
		}
		assert.NotEmpty(c.t, n.Waits+n.Refused, "%s: %s, %s", n.Name, n.Phase, n.Goal)
	}
}

// serve is a server that may die at start or later.
func (c *chaos) serve(w *world, e *fakeExecutor, task mesos.TaskInfo) {
	id := task.TaskID.Value
	for _, r := range task.Resources {
		c.used[r.GetDisk().GetPersistence().GetID()] = true
	}
	w.update(e, id, mesos.TASK_STARTING, "formatted")
	fate := c.random.Intn(10)
	if !c.quiet && fate == 0 {
		w.end(e, id, mesos.TASK_FAILED, "ERROR bad luck")
		return
	}
	w.update(e, id, mesos.TASK_RUNNING, "started")
	if !c.quiet && fate == 1 {
		w.after(time.Duration(c.random.Intn(30))*time.Second, func() { w.exit(e.agent, e.container, 9) })
	}
}

func (c *chaos) fault() {
	agent := c.agents[c.random.Intn(len(c.agents))]
	nodes := c.status().Nodes
	node := nodes[c.random.Intn(len(nodes))]
	switch c.random.Intn(16) {
	case 0, 1, 2:
		c.dieAt = c.points + 1 + c.random.Intn(30)
	case 3:
		agent.cut = true
	case 4:
		c.heal(agent)
	case 5:
		c.mesos(model.StreamClosed{Stream: c.stream})
		c.stream = ""
		c.step(scheduler.Disconnected{Reason: "the stream broke"})
		c.subscribe()
	case 6:
		c.operate(RestartNode{Node: node.Name})
	case 7:
		c.operate([]any{StopNode{node.Name}, StartNode{node.Name}}[c.random.Intn(2)])
	case 8:
		c.gaveUp(node)
		c.operate(ReplaceNode{Node: node.Name})
	case 9:
		if len(nodes) < 5 {
			c.operate(ScalePod{Pod: node.Pod, Count: podSize(nodes, node.Pod) + 1})
		}
	case 10:
		if podSize(nodes, node.Pod) > 1 {
			c.gaveUp(node)
			c.operate(RemoveNode{Node: node.Name})
		}
	case 11, 12:
		c.redeclare(func(p *Pod) { version(fmt.Sprint(c.points))(p) })
	case 13:
		c.redeclare(func(p *Pod) {
			p.Volumes = slices.Clone(p.Volumes)
			p.Volumes[0].Size = max(p.Volumes[0].Size, offers.Amount(1000+c.random.Intn(500))*1000)
			p.Needs = offers.MustParse(fmt.Sprintf("cpus:1;mem:%d", 400+c.random.Intn(200)))
		})
	case 14:
		if c.random.Intn(2) == 0 && !agent.cut && c.registered(agent) {
			c.schedule(time.Duration(c.random.Intn(600))*time.Second, time.Duration(c.random.Intn(600))*time.Second, agent)
		} else {
			c.mesos(model.Operate{Request: model.SetSchedule{}})
		}
	case 15:
		plan := []string{"deploy", "update", "recovery", "leave"}[c.random.Intn(4)]
		c.operate([]any{PausePlan{Plan: plan}, ResumePlan{Plan: plan}}[c.random.Intn(2)])
	}
}

// gaveUp notes that a node's volume is to be destroyed.
func (c *chaos) gaveUp(n NodeStatus) {
	if n.Place != nil {
		c.replaced[volumeOf(n)] = true
	}
}

// redeclare starts the scheduler again with another declaration of a pod.
func (c *chaos) redeclare(change func(*Pod)) {
	change(&c.service.Pods[c.random.Intn(len(c.service.Pods))])
	c.mesos(model.StreamClosed{Stream: c.stream})
	c.stream = ""
	c.start()
}

func (c *chaos) registered(a *fakeAgent) bool {
	return slices.ContainsFunc(c.master.GetAgents().Agents, func(i mesosmaster.Response_GetAgents_Agent) bool {
		return i.Active && i.AgentInfo.ID.Value == a.model.ID()
	})
}

func podSize(nodes []NodeStatus, pod string) int {
	count := 0
	for _, n := range nodes {
		if n.Pod == pod && n.Goal != GoalLeave {
			count++
		}
	}
	return count
}

func (c *chaos) operate(command any) {
	_, err := c.command(command)
	// A node that is stopped is not restarted, and one may have left meanwhile.
	if !errors.Is(err, ErrRefused) && !errors.Is(err, ErrUnknown) {
		assert.NoError(c.t, err)
	}
}
