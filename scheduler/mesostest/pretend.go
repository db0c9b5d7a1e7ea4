package mesostest

import (
	"net"
	"slices"
	"strconv"
	"sync"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/mesokit/mesokit/internal/model"
)

// pretence is an executor of an agent that only pretends: its tasks run from
// the moment they are launched until they are killed.
type pretence struct {
	c     *container
	inbox *queue[*executor.Event]

	mu      sync.Mutex
	groups  int
	running []pretended
}

// pretended is a task that seems to run, alone or with the others of its group.
type pretended struct {
	task  mesos.TaskInfo
	group int
}

// pretendAddress is the address of an agent that serves nothing.
func (a *Agent) pretendAddress() string {
	const ports = 1<<16 - agentPort
	return net.JoinHostPort(a.cfg.Address, strconv.Itoa(agentPort+a.index%ports))
}

// pretend plays an executor until it is told to end, or its last task has ended
// if it is one that then ends.
func (c *container) pretend() (int, error) {
	p := &pretence{c: c, inbox: newQueue[*executor.Event]()}
	c.mu.Lock()
	c.acts = p
	c.mu.Unlock()
	c.a.step(model.ContainerStarted{Container: c.id})
	c.resubscribe()
	p.inbox.each(c.ctx, p.act)
	return 0, nil
}

func (p *pretence) act(e *executor.Event) {
	switch e.Type {
	case executor.Event_LAUNCH:
		p.launch(e.Launch.Task)
	case executor.Event_LAUNCH_GROUP:
		p.launch(e.LaunchGroup.TaskGroup.Tasks...)
	case executor.Event_KILL:
		p.kill(e.Kill.TaskID)
	case executor.Event_SHUTDOWN:
		for _, t := range p.tasks() {
			p.kill(t.TaskID)
		}
		p.inbox.close()
	}
}

func (p *pretence) launch(tasks ...mesos.TaskInfo) {
	p.mu.Lock()
	p.groups++
	for _, t := range tasks {
		p.running = append(p.running, pretended{task: t, group: p.groups})
	}
	p.mu.Unlock()
	for _, t := range tasks {
		p.report(t.TaskID, mesos.TASK_STARTING)
		p.report(t.TaskID, mesos.TASK_RUNNING)
	}
}

// kill ends a task and with it its group.
func (p *pretence) kill(task mesos.TaskID) {
	var ended, left []pretended
	p.mu.Lock()
	group := slices.IndexFunc(p.running, func(r pretended) bool { return r.task.TaskID == task })
	for _, r := range p.running {
		if group >= 0 && r.group == p.running[group].group {
			ended = append(ended, r)
		} else {
			left = append(left, r)
		}
	}
	p.running = left
	p.mu.Unlock()
	for _, r := range ended {
		p.report(r.task.TaskID, mesos.TASK_KILLED)
	}
	custom := p.c.start.Task == nil && p.c.start.Executor.Type != mesos.ExecutorInfo_DEFAULT
	if len(left) == 0 && !custom {
		p.inbox.close()
	}
}

func (p *pretence) tasks() []mesos.TaskInfo {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []mesos.TaskInfo
	for _, r := range p.running {
		out = append(out, r.task)
	}
	return out
}

func (p *pretence) report(task mesos.TaskID, state mesos.TaskState) {
	p.c.report(mesos.TaskStatus{TaskID: task, State: &state, Source: mesos.SOURCE_EXECUTOR.Enum(), UUID: newUUID()})
}
