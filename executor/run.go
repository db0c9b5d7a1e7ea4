package executor

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/mesokit/mesokit/executor/internal/proc"
)

// Main makes the binary that calls it its own executor. In a process that an
// agent has started as an executor, which the variables of Mesos and Marker
// tell, it calls Run and exits; in any other it returns at once. It belongs at
// the beginning of main:
//
//	func main() {
//		executor.Main(executor.Config{})
//		...
func Main(cfg Config) {
	if os.Getenv(Marker) == "" || os.Getenv("MESOS_EXECUTOR_ID") == "" {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := Run(ctx, cfg)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Run is an executor, configured by the environment that the agent has set. It
// returns when the tasks that it was given have ended and the agent knows that,
// when the agent shuts it down, when the agent stays away for longer than
// MESOS_RECOVERY_TIMEOUT (or goes away at all, for a framework without
// checkpoints), or when ctx ends. In each case the servers are stopped first.
// The error is nil unless the environment is not that of an executor.
func Run(ctx context.Context, cfg Config) error {
	env, err := readEnvironment(os.Getenv)
	if err != nil {
		return fmt.Errorf("executor: %w", err)
	}
	if err := cfg.validate(); err != nil {
		return fmt.Errorf("executor: %w", err)
	}
	e := &runner{
		cfg:     cfg,
		env:     env,
		agent:   newAgent(env, cfg.JSON),
		journal: newJournal(env.sandbox),
		core:    core{env: env, uuid: randomUUID, jitter: mathrand.Float64},
		events:  make(chan event),
		tasks:   map[string]*supervisor{},
		stdout:  &logFile{file: os.Stdout, path: filepath.Join(env.sandbox, "stdout")},
		stderr:  &logFile{file: os.Stderr, path: filepath.Join(env.sandbox, "stderr")},
	}
	if e.log = cfg.Logger; e.log == nil {
		e.log = slog.New(slog.NewTextHandler(e.stderr, nil))
	}
	e.core.decorators = decorators{cfg.Decorators, e.log}
	if err := guards.adopt(); err != nil {
		e.log.Warn("daemons survive a guard that is killed", "error", err)
	}
	if err := e.run(ctx); err != nil {
		return fmt.Errorf("executor: %w", err)
	}
	return nil
}

// randomUUID is a version 4 UUID, as Mesos wants for updates: 16 bytes.
func randomUUID() []byte {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

// runner carries out what its core decides. The goroutine of run owns it; all
// others send it events.
type runner struct {
	cfg     Config
	env     environment
	log     *slog.Logger
	agent   *agent
	journal journal
	core    core
	events  chan event
	others  sync.WaitGroup         // the goroutines that send events
	tasks   map[string]*supervisor // those that have not ended

	stdout *logFile
	stderr *logFile
	outbox *outbox // of the present subscription

	trim sync.Once // gives memory back
}

func (e *runner) run(ctx context.Context) error {
	saved, err := e.journal.load()
	if err != nil {
		return err
	}
	// The subscription and the supervisors outlive ctx: what they have to do when
	// it ends takes time.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer e.drain()
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	ended := ctx.Done()
	var ev event = begin{saved}
	for {
		eff := e.core.step(time.Now(), ev)
		e.carryOut(work, eff)
		if eff.done {
			return nil
		}
		timer.Stop()
		if !eff.wake.IsZero() {
			timer.Reset(time.Until(eff.wake))
		}
		select {
		case ev = <-e.events:
			e.note(ev)
			if p, ok := ev.(progress); ok && terminal(p.state) {
				delete(e.tasks, p.task)
			}
		case <-timer.C:
			ev = tick{}
		case <-ended:
			ended = nil
			e.log.Info("asked to end")
			ev = shutdown{}
		}
	}
}

// drain waits for all other goroutines, whose events nobody wants any more. A
// function that does not heed the end of its context is left behind.
func (e *runner) drain() {
	gone := make(chan struct{})
	go func() { e.others.Wait(); close(gone) }()
	patience := time.After(stepGrace)
	for {
		select {
		case <-e.events:
		case <-gone:
			return
		case <-patience:
			return
		}
	}
}

// note logs changes of state that an event brings.
func (e *runner) note(ev event) {
	switch ev := ev.(type) {
	case subscribed:
		e.log.Info("subscribed", "agent", e.env.endpoint)
	case acknowledged:
		e.trim.Do(proc.Trim) // one round of all that will be done again is over
	case shutdown:
		e.log.Info("shut down by the agent")
	case killed:
		e.log.Info("kill", "task", ev.task)
	case progress:
		message, _, _ := strings.Cut(ev.message, lastLines) // they are in the sandbox already
		e.log.Info("task", "task", ev.task, "state", ev.state, "message", message)
	}
}

func (e *runner) carryOut(ctx context.Context, eff effects) {
	if eff.save {
		// A full disk must not end a server that runs: the updates are also in
		// memory, and the next save tries again.
		if err := e.journal.save(e.core.saved()); err != nil {
			e.log.Error("updates are kept in memory only", "error", err)
		}
	}
	for _, t := range eff.start {
		e.supervise(ctx, t)
	}
	for _, s := range eff.stop {
		select {
		case e.tasks[s.task].stops <- s.grace:
		default: // so many requests to stop are waiting that one more tells nothing
		}
	}
	for _, d := range eff.deliver {
		select {
		case e.tasks[d.task].inbox <- d.Message:
		default: // messages may be lost anyway; the task will ask again
		}
	}
	for _, r := range eff.requests {
		s := e.tasks[r.Task]
		e.others.Go(func() {
			body, err := s.request(ctx, r, e.cfg.Requests)
			e.events <- answered{r, body, err}
		})
	}
	if eff.subscribe != nil {
		e.subscribe(ctx, eff.subscribe)
	}
	for _, call := range eff.send {
		e.outbox.put(call)
	}
}

// supervise starts the supervisor of a task.
func (e *runner) supervise(ctx context.Context, t *task) {
	id := t.info.TaskID.Value
	s := &supervisor{
		id:     id,
		task:   t.spec,
		places: placesOf(e.env.sandbox, t.info, e.core.self),
		steps:  e.cfg.Steps,
		stdout: e.stdout,
		stderr: e.stderr,
		log:    e.log.With("task", id),
		stops:  make(chan time.Duration, 16),
		inbox:  make(chan Message, 64),
		failed: make(chan string, len(t.spec.Sidecars)),
	}
	s.server = newProgram(s, t.spec.server(), s.stops, gracePeriod(t, nil))
	for _, spec := range t.spec.Sidecars {
		s.sidecars = append(s.sidecars, newSidecar(s, spec))
	}
	s.env, s.envErr = taskEnvironment(os.Environ(), t.spec.Env, e.env.sandbox)
	s.say = func(m Message) { e.events <- said{m} }
	s.tell = func(r report) { e.events <- progress{id, r} }
	for _, l := range []*logFile{e.stdout, e.stderr} {
		if err := l.limit(t.spec.Logs); err != nil {
			e.log.Warn("output is not limited", "error", err)
		}
	}
	e.tasks[id] = s
	e.others.Go(func() { s.run(ctx) })
}

// subscribe opens a subscription in place of the last one.
func (e *runner) subscribe(ctx context.Context, call *executor.Call) {
	e.outbox = newOutbox()
	link := &subscription{agent: e.agent, log: e.log, outbox: e.outbox}
	e.others.Go(func() {
		err := link.run(ctx, call, func(ev event) { e.events <- ev })
		e.log.Info("not subscribed", "error", err)
		e.events <- disconnected{}
	})
}
