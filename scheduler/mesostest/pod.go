package mesostest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/mesokit/mesokit/internal/sandbox"
)

// pod is the default executor of Mesos (src/launcher/default_executor.cpp): it
// runs task groups. When one task of a group ends other than well, or is
// killed, so do the others; when no task is left the executor ends. Each task
// has a sandbox of its own below the executor's.
type pod struct {
	c    *container
	cfg  sandbox.Config
	done chan struct{}

	mu        sync.Mutex
	groups    [][]*member
	left      int // tasks that have not ended
	ended     bool
	unhealthy bool // a task was killed because of its health; those that end later are called unhealthy too
}

// podGrace is the grace period of a task that is killed because of others,
// whatever its own kill policy says.
var podGrace = &mesos.KillPolicy{GracePeriod: &mesos.DurationInfo{Nanoseconds: int64(3 * time.Second)}}

// member is a task of a group.
type member struct {
	info      mesos.TaskInfo
	container string
	cancel    context.CancelFunc
	task      *sandbox.Task // nil until it is started
	launched  chan struct{} // closed when that was tried
	killing   bool          // it was asked to end, which is done once
	killed    *mesos.KillPolicy
	over      bool
}

func newPod(c *container, cfg sandbox.Config) *pod {
	return &pod{c: c, cfg: cfg, done: make(chan struct{})}
}

// event takes an event of the agent. The agent's lock is held.
func (p *pod) event(e *executor.Event) {
	switch e.Type {
	case executor.Event_LAUNCH_GROUP:
		p.launch(e.LaunchGroup.TaskGroup.Tasks)
	case executor.Event_KILL:
		id, policy := e.Kill.TaskID.Value, e.Kill.KillPolicy
		p.c.a.c.work.Go(func() { p.kill(func(m *member) bool { return m.info.TaskID.Value == id }, policy) })
	case executor.Event_SHUTDOWN:
		p.c.a.c.work.Go(p.shutdown)
	}
}

func (p *pod) launch(tasks []mesos.TaskInfo) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	var group []*member
	for i := range tasks {
		ctx, cancel := context.WithCancel(p.c.ctx)
		m := &member{info: tasks[i], container: randomUUID(), cancel: cancel, launched: make(chan struct{})}
		group = append(group, m)
		p.left++
		p.c.a.c.work.Go(func() { p.run(ctx, m) })
	}
	p.groups = append(p.groups, group)
}

// run runs one task to its end.
func (p *pod) run(ctx context.Context, m *member) {
	defer m.cancel()
	cfg := p.cfg
	cfg.Run.Nested = m.container
	cfg.Resources = append(cfg.Resources[:len(cfg.Resources):len(cfg.Resources)], m.info.Resources...)
	if len(m.info.Resources) > 0 {
		cfg.Environment.Role = m.info.Resources[0].GetAllocationInfo().GetRole()
	}
	good := false
	var t *sandbox.Task
	var err error
	if text := unsupported(m.info.Container); text != "" {
		err = errors.New(launchFailed + text)
	} else {
		t, err = sandbox.StartTask(ctx, sandbox.TaskConfig{
			Container: cfg, Task: m.info, Killing: p.c.killing(), Address: p.c.a.Address(),
			Report: func(s mesos.TaskStatus) {
				good = s.GetState() == mesos.TASK_FINISHED
				if good || s.Message != nil { // the last one
					p.blame(&s)
				}
				p.report(m, s)
			},
		})
	}
	if err != nil {
		close(m.launched)
		p.report(m, mesos.TaskStatus{
			TaskID: m.info.TaskID, State: mesos.TASK_FAILED.Enum(), Source: mesos.SOURCE_EXECUTOR.Enum(),
			Message: new(err.Error()), UUID: newUUID(),
		})
	} else {
		p.mu.Lock()
		m.task = t
		policy := m.killed
		p.mu.Unlock()
		close(m.launched)
		if policy != nil {
			t.Kill(policy)
		}
		<-t.Done()
	}
	p.end(m, good)
}

// tasks are the tasks that have not ended.
func (p *pod) tasks() []mesos.TaskInfo {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []mesos.TaskInfo
	for _, g := range p.groups {
		for _, m := range g {
			if !m.over {
				out = append(out, m.info)
			}
		}
	}
	return out
}

// blame says that a task that has ended was not healthy, if it or another was
// killed for that.
func (p *pod) blame(s *mesos.TaskStatus) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unhealthy = p.unhealthy || s.Healthy != nil && !*s.Healthy
	if p.unhealthy {
		s.Healthy = new(false)
	}
}

// report tells the agent of a task in a nested container.
func (p *pod) report(m *member, s mesos.TaskStatus) {
	s.ContainerStatus = &mesos.ContainerStatus{ContainerID: &mesos.ContainerID{
		Value: m.container, Parent: &mesos.ContainerID{Value: p.c.id},
	}}
	if st := s.GetState(); st == mesos.TASK_RUNNING || st == mesos.TASK_KILLING {
		// Only while there is a process does the agent find its status.
		<-m.launched
		if m.task != nil {
			s.ContainerStatus.ExecutorPID = new(uint32(m.task.Container().PID()))
		}
	}
	p.c.report(s)
}

// end draws the consequences of the end of a task.
func (p *pod) end(m *member, good bool) {
	p.mu.Lock()
	m.over = true
	p.left--
	last := p.left == 0 && !p.ended
	if last {
		p.ended = true
	}
	var group []*member
	for _, g := range p.groups {
		for _, x := range g {
			if x == m {
				group = g
			}
		}
	}
	p.mu.Unlock()
	if last {
		close(p.done)
		return
	}
	if !good {
		p.kill(func(x *member) bool {
			return slices.Contains(group, x)
		}, podGrace)
	}
}

// kill asks tasks to end.
func (p *pod) kill(which func(*member) bool, policy *mesos.KillPolicy) {
	p.mu.Lock()
	var tasks []*sandbox.Task
	for _, g := range p.groups {
		for _, m := range g {
			switch {
			case m.over || m.killing || !which(m):
				continue
			case m.task != nil:
				tasks = append(tasks, m.task)
			default:
				m.killed = policy
				if policy == nil {
					m.killed = &mesos.KillPolicy{}
				}
			}
			m.killing = true
		}
	}
	p.mu.Unlock()
	for _, t := range tasks {
		t.Kill(policy)
	}
}

func (p *pod) shutdown() {
	p.mu.Lock()
	idle := p.left == 0 && !p.ended
	if idle {
		p.ended = true
	}
	p.mu.Unlock()
	if idle {
		close(p.done)
		return
	}
	p.kill(func(*member) bool { return true }, podGrace)
}

// destroy kills all processes of all tasks.
func (p *pod) destroy(ctx context.Context) {
	p.mu.Lock()
	var tasks []*sandbox.Task
	idle := p.left == 0 && !p.ended
	if idle {
		p.ended = true
	}
	for _, g := range p.groups {
		for _, m := range g {
			m.cancel()
			if m.task != nil {
				tasks = append(tasks, m.task)
			}
		}
	}
	p.mu.Unlock()
	if idle {
		close(p.done)
	}
	for _, t := range tasks {
		if err := t.Destroy(ctx); err != nil {
			p.c.a.c.cfg.Log.Error("destroy task", "container", p.c.id, "error", err)
		}
	}
}
