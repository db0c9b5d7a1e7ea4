package mesostest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/mesokit/mesokit/internal/model"
	"github.com/mesokit/mesokit/internal/sandbox"
)

// container is what runs for one executor: the process of a custom executor,
// or, with the executor that Mesos has for them played by this program, a
// command task or task groups.
type container struct {
	a     *Agent
	id    string
	start model.StartContainer

	ctx      context.Context // ends the launch
	cancel   context.CancelFunc
	finished chan struct{} // closed when nothing of it is left

	mu      sync.Mutex
	process *sandbox.Container // of a custom executor
	task    *sandbox.Task      // of a command task
	pod     *pod               // of the default executor
	acts    *pretence          // of any executor on an agent that pretends
	stopped bool

	subscribed *gate // the agent knows the executor that is played here
}

// gate is a condition that can be waited for, and taken back.
type gate struct {
	mu   sync.Mutex
	open chan struct{}
}

func newGate() *gate { return &gate{open: make(chan struct{})} }

func (g *gate) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.open:
		if !open {
			g.open = make(chan struct{})
		}
	default:
		if open {
			close(g.open)
		}
	}
}

func (g *gate) isOpen() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.open:
		return true
	default:
		return false
	}
}

// wait reports whether the gate is open, or was opened before ctx ended.
func (g *gate) wait(ctx context.Context) bool {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	select {
	case <-open:
		return true
	case <-ctx.Done():
		return false
	}
}

// contain does what the agent's machine wants done to the operating system.
// The agent's lock is held, so nothing here may wait.
func (a *Agent) contain(out model.AgentOutput) {
	switch out := out.(type) {
	case model.StartContainer:
		ctx, cancel := context.WithCancel(a.c.ctx)
		c := &container{a: a, id: out.Container, start: out, ctx: ctx, cancel: cancel, finished: make(chan struct{}), subscribed: newGate()}
		a.containers[c.id] = c
		a.c.work.Go(c.run)
	case model.StopContainer:
		if c := a.containers[out.Container]; c != nil {
			a.c.work.Go(c.stop)
		}
	case model.AttachVolumes:
		if c := a.containers[out.Container]; c != nil && !a.cfg.Pretend {
			if err := c.attach(out.Volumes); err != nil {
				a.c.cfg.Log.Error("attach volume", "container", out.Container, "error", err)
			}
		}
	case model.MakeVolume:
		if err := a.dir.CreateVolume(out.Volume); err != nil {
			a.c.cfg.Log.Error("create volume", "agent", a.cfg.Hostname, "error", err)
		}
	case model.RemoveVolume:
		if err := a.dir.DestroyVolume(out.Volume); err != nil {
			a.c.cfg.Log.Error("destroy volume", "agent", a.cfg.Hostname, "error", err)
		}
	}
}

// destroyAll kills everything on the machine.
func (a *Agent) destroyAll() {
	a.mu.Lock()
	var all []*container
	for _, c := range a.containers {
		all = append(all, c)
	}
	a.mu.Unlock()
	var wg sync.WaitGroup
	for _, c := range all {
		wg.Go(c.stop)
	}
	wg.Wait()
	a.mu.Lock()
	for _, c := range all {
		delete(a.containers, c.id)
	}
	a.mu.Unlock()
}

// commands returns the containers whose executor is played here. The agent's lock is held.
func (a *Agent) commands() []*container {
	var out []*container
	for _, c := range a.containers {
		if a.cfg.Pretend || c.start.Task != nil || c.start.Executor.Type == mesos.ExecutorInfo_DEFAULT {
			out = append(out, c)
		}
	}
	return out
}

func (c *container) run() {
	defer c.cancel()
	if refused := refuseContainer(c.start.Executor.Container); refused != nil && !c.a.cfg.Pretend {
		close(c.finished)
		refused.Container = c.id
		c.tell(*refused)
		return
	}
	status, err := c.launch()
	close(c.finished)
	var failed *sandbox.LaunchError
	switch {
	case errors.As(err, &failed):
		c.a.c.cfg.Log.Warn("launch failed", "container", c.id, "error", err)
		status = -1
		if failed.Fetching {
			status = int(syscall.SIGKILL)
		}
		c.tell(model.ContainerFailed{Container: c.id, Message: failed.Message, Status: status})
	case err != nil:
		c.tell(model.ContainerFailed{Container: c.id, Message: launchFailed + err.Error(), Status: -1})
	default:
		c.tell(model.ContainerExited{Container: c.id, Status: status})
	}
}

const launchFailed = "Failed to launch container: "

// refuseContainer says why a container cannot be, or returns nil: there are no
// images, no volumes but those in the resources, and no networks, as on an
// agent with the isolators of a new installation (posix/cpu, posix/mem and
// filesystem/posix) and without the Docker containerizer.
func refuseContainer(info *mesos.ContainerInfo) *model.ContainerFailed {
	if info == nil {
		return nil
	}
	if info.GetType() != mesos.ContainerInfo_MESOS {
		return &model.ContainerFailed{Message: "Abnormal executor termination: unknown container",
			Reason: mesos.REASON_EXECUTOR_TERMINATED, Status: -1}
	}
	if text := unsupported(info); text != "" {
		return &model.ContainerFailed{Message: launchFailed + text, Status: -1}
	}
	return nil
}

func unsupported(info *mesos.ContainerInfo) string {
	if image := info.GetMesos().GetImage(); image != nil {
		return "Unsupported container image type: " + image.GetType().String()
	}
	if len(info.GetVolumes()) > 0 {
		return "Volumes in ContainerInfo is not supported"
	}
	for _, n := range info.GetNetworkInfos() {
		if n.Name != nil {
			return "Unknown CNI network '" + *n.Name + "'"
		}
	}
	return ""
}

// tell steps the agent with the end of the container. An agent that is down
// learns it when it is started.
func (c *container) tell(in model.AgentInput) {
	c.a.mu.Lock()
	defer c.a.mu.Unlock()
	switch {
	case c.a.containers[c.id] != c: // the machine was stopped, and knows
	case !c.a.up:
		c.a.pending = append(c.a.pending, func() { c.tell(in) })
	default:
		delete(c.a.containers, c.id)
		c.a.stepLocked(in)
	}
}

// launch starts the container, waits for its end and clears up behind it. It
// returns the status of the process.
func (c *container) launch() (int, error) {
	if c.a.cfg.Pretend {
		return c.pretend()
	}
	cfg := c.config()
	if c.start.Executor.Type == mesos.ExecutorInfo_DEFAULT {
		return c.runDefault(cfg)
	}
	if c.start.Task != nil {
		return c.runTask(cfg)
	}
	p, err := sandbox.Start(c.ctx, cfg)
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	c.process = p
	stopped := c.stopped
	c.mu.Unlock()
	if stopped {
		c.destroy()
	}
	c.a.step(model.ContainerStarted{Container: c.id, PID: p.PID()})
	<-p.Done()
	status, err := p.Wait(context.Background())
	if err != nil {
		status = 1 << 8 // ended, and nobody knows how
	}
	c.destroy()
	return int(status), nil
}

func (c *container) config() sandbox.Config {
	e := &c.start.Executor
	command := mesos.CommandInfo{}
	if e.Command != nil {
		command = *e.Command
	}
	role := ""
	var resources []mesos.Resource
	resources = append(resources, c.start.Volumes...)
	if t := c.start.Task; t != nil && len(t.Resources) > 0 {
		role = t.Resources[0].GetAllocationInfo().GetRole()
	}
	grace := c.a.cfg.ShutdownGrace
	if grace == 0 {
		grace = 5 * time.Second
	}
	if g := e.ShutdownGracePeriod; g != nil {
		grace = time.Duration(g.Nanoseconds)
	}
	return sandbox.Config{
		WorkDir: c.a.workDir(),
		Run: sandbox.Run{
			AgentID: c.a.ID(), FrameworkID: c.start.Framework.ID.GetValue(),
			ExecutorID: e.ExecutorID.Value, ContainerID: c.id,
		},
		Command: command, Resources: resources, Fetcher: c.a.fetcher, User: c.start.Framework.User,
		Environment: sandbox.Environment{
			Endpoint: c.a.endpoint(), Checkpoint: c.start.Framework.GetCheckpoint(), ShutdownGrace: grace,
			RecoveryTimeout: c.a.cfg.RecoveryTimeout, BackoffMax: 2 * time.Second, Role: role,
			Extra: c.a.cfg.Environment,
		},
	}
}

// runTask runs a command task and plays its executor towards the agent.
func (c *container) runTask(cfg sandbox.Config) (int, error) {
	t, err := sandbox.StartTask(c.ctx, sandbox.TaskConfig{
		Container: cfg, Task: *c.start.Task, Killing: c.killing(), Address: c.a.Address(), Report: c.report,
	})
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	c.task = t
	stopped := c.stopped
	c.mu.Unlock()
	if stopped {
		c.destroy()
	}
	c.a.step(model.ContainerStarted{Container: c.id, PID: t.Container().PID()})
	c.resubscribe()
	<-t.Done()
	return 0, nil
}

// report passes a status on as soon as the agent will have it.
func (c *container) report(s mesos.TaskStatus) {
	for c.subscribed.wait(c.ctx) {
		reply := c.a.step(model.ExecutorCall{Call: c.call(executor.Call_UPDATE, s)})
		if reply.Status != 503 && reply.Status != 403 {
			return
		}
		// The agent went down since. It lets us subscribe when it is back.
		c.subscribed.set(false)
		c.a.whenUp(c.resubscribe)
	}
}

func (c *container) call(kind executor.Call_Type, s mesos.TaskStatus) *executor.Call {
	call := &executor.Call{
		Type: kind, ExecutorID: c.start.Executor.ExecutorID, FrameworkID: *c.start.Framework.ID,
	}
	if kind == executor.Call_UPDATE {
		call.Update = &executor.Call_Update{Status: s}
	} else {
		call.Subscribe = &executor.Call_Subscribe{}
		if p := c.acts; p != nil {
			call.Subscribe.UnacknowledgedTasks = p.tasks()
		} else if p := c.pod; p != nil {
			call.Subscribe.UnacknowledgedTasks = p.tasks()
		} else if c.start.Task != nil {
			call.Subscribe.UnacknowledgedTasks = []mesos.TaskInfo{*c.start.Task}
		}
	}
	return call
}

// resubscribe makes the agent know the executor that is played here.
func (c *container) resubscribe() {
	c.mu.Lock()
	ready := c.task != nil || c.pod != nil || c.acts != nil
	c.mu.Unlock()
	if !ready {
		return // it will, when it has started
	}
	// Each subscription has a name of its own: the end of the last one must
	// not end this one.
	reply := c.a.subscribe(randomUUID(), c.call(executor.Call_SUBSCRIBE, mesos.TaskStatus{}), c.event, func() { c.subscribed.set(false) })
	if reply.Status == 200 {
		c.subscribed.set(true)
	}
}

// event takes an event for the executor that is played here. The agent's lock
// is held; what comes of it happens elsewhere.
func (c *container) event(e *executor.Event) {
	c.mu.Lock()
	t, p, acts := c.task, c.pod, c.acts
	c.mu.Unlock()
	if acts != nil {
		acts.inbox.push(e)
		return
	}
	if p != nil {
		p.event(e)
		return
	}
	switch e.Type {
	case executor.Event_KILL:
		c.a.c.work.Go(func() { t.Kill(e.Kill.KillPolicy) })
	case executor.Event_SHUTDOWN:
		c.a.c.work.Go(t.Shutdown)
	}
}

// stop kills the container and waits until nothing of it is left.
func (c *container) stop() {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.cancel()
	c.destroy()
	<-c.finished
}

// destroy kills all processes.
func (c *container) destroy() {
	c.mu.Lock()
	p, t, pod := c.process, c.task, c.pod
	c.mu.Unlock()
	var err error
	switch {
	case pod != nil:
		pod.destroy(context.Background())
	case t != nil:
		err = t.Destroy(context.Background())
	case p != nil:
		err = p.Destroy(context.Background())
	}
	if err != nil {
		c.a.c.cfg.Log.Error("destroy container", "container", c.id, "error", err)
	}
}

// runDefault plays the executor of task groups until its last task has ended.
func (c *container) runDefault(cfg sandbox.Config) (int, error) {
	if err := cfg.WorkDir.Create(cfg.Run); err != nil {
		return 0, err
	}
	p := newPod(c, cfg)
	c.mu.Lock()
	c.pod = p
	stopped := c.stopped
	c.mu.Unlock()
	if stopped {
		c.destroy()
	}
	c.a.step(model.ContainerStarted{Container: c.id})
	c.resubscribe()
	<-p.done
	return 0, nil
}

// attach links the volumes of a further task into the sandbox. The agent's lock
// is held.
func (c *container) attach(volumes []mesos.Resource) error {
	dir := c.a.dir.Sandbox(sandbox.Run{
		AgentID: c.a.machine.ID(), FrameworkID: c.start.Framework.ID.GetValue(),
		ExecutorID: c.start.Executor.ExecutorID.Value, ContainerID: c.id,
	})
	for _, v := range volumes {
		name := v.GetDisk().GetVolume().GetContainerPath()
		if !filepath.IsLocal(name) {
			return fmt.Errorf("container path %q leads out of the sandbox", name)
		}
		path, err := c.a.dir.VolumePath(v)
		if err != nil {
			return err
		}
		link := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(path, link); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// killing reports whether the framework wants to know TASK_KILLING.
func (c *container) killing() bool {
	return slices.ContainsFunc(c.start.Framework.Capabilities, func(x mesos.FrameworkInfo_Capability) bool {
		return x.Type == mesos.FrameworkInfo_Capability_TASK_KILLING_STATE
	})
}
