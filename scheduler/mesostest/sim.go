package mesostest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/mesokit/mesokit/scheduler"
)

// SimConfig says what a [Sim] simulates. Frameworks has to be set.
type SimConfig struct {
	Frameworks []SimFramework

	// Agents of the cluster; nil: six with 8 cpus in three racks. Only
	// Hostname, Resources, Attributes, Region and Zone have a meaning.
	Agents []AgentConfig

	// Rates of the faults; nil: DefaultRates. An empty map: no faults.
	Rates Rates
	// Storm is how long faults happen. 10 minutes of virtual time.
	Storm time.Duration
	// Quiet is how long after the storm every goal has to be reached. 4 hours.
	Quiet time.Duration
	// Steps bounds the simulation. 2,000,000.
	Steps uint64

	// Rules are checked beside those of the simulator, after every step of a
	// scheduler and every start and end of a task. All of them are pure
	// functions of the world.
	Rules []Rule
	// Model makes a part of the world that is the test's own; nil: there is none.
	Model func(w *World) SimModel

	thorough bool // the master's books are checked after every step

	// Shrink is how many simulations a finding may cost to make it small. 400;
	// less than 0: none. All of them together take 400,000 steps at most, and in
	// a test of [Simulate] a minute.
	Shrink int
}

// Rule is something that must always hold.
type Rule struct {
	Name  string // such as "one primary at a time"
	Check func(w *World) error
}

// SimModel is a part of the world that a test adds: what servers do, and what
// they have on their disks, so that jobs find it there, and rules can speak of
// it. Each simulation makes one of its own; who needs it asks [World.Model].
type SimModel interface {
	// Started is called when the server of a task has started, and Stopped when
	// it has ended, in whatever way.
	Started(w *World, task SimTask)
	Stopped(w *World, task SimTask)
}

// SimFramework is one framework of a simulation. Where the data of its tasks is
// an executor.Task, and they have an executor of their own, they behave as under
// package executor: the server starts when its secrets have come and its lease
// is granted, does not outlive its lease, and is killed where it does not stop
// within its grace.
type SimFramework struct {
	// Name in transcripts; as that of the FrameworkInfo unless given.
	Name    string
	Handler scheduler.Handler
	// Info is as scheduler.Config.Framework.
	Info mesos.FrameworkInfo

	// Goal returns nil when the framework is where it wants to be, and what
	// is missing otherwise. It is asked once the storm is over, with the view
	// of the handler, and has to come true in time and stay so. Nil: the
	// framework has no goal. A framework that was torn down has reached it.
	Goal func(v scheduler.View, w *World) error
	// Task says how a task behaves. luck is a number that depends on the seed
	// and the task's id. Nil: it runs at once, until it is killed.
	Task func(task mesos.TaskInfo, luck uint64) TaskPlan
	// Node names what a task is an incarnation of: two tasks of one node must
	// never run at once, but for one on an agent that Mesos has called
	// unreachable or gone before the other was launched. Empty or nil: tasks
	// may run side by side.
	Node func(task mesos.TaskInfo) string
	// Lapse is the executor.Lease.End of a task: it reports whether the server
	// was made harmless and stays. Nil, or false: it is killed.
	Lapse func(w *World, task SimTask) bool
	// Again is the executor.Lease.Again of a task that Lapse let stay: its lease
	// is granted anew. Nil: nothing is to be undone.
	Again func(w *World, task SimTask)
	// Hear is what the executor of a task answers to a message of the scheduler,
	// for those that package executor does not answer by itself. Nil: nothing.
	Hear func(w *World, task SimTask, data []byte) [][]byte
	// Decision says what is wrong with a decision of the handler: what may be
	// asked for in such a view, after such an event. Nil: nothing can be.
	Decision func(v scheduler.View, ev scheduler.Event, actions []scheduler.Action) error
	// Work is what jobs find out, in place of scheduler.Worker. It is called
	// when the job ends. Nil: every job succeeds, with no result.
	Work func(w *World, job scheduler.Job) ([]byte, error)
	// Operator makes a command of a number, for faults of kind Operator. Nil:
	// there are none.
	Operator func(pick uint16) any
	// Settle is an operator who helps the framework to its goal once the storm
	// is over, as one would whose agents did not come back: it returns the
	// commands that are needed now. Nil: there is none.
	Settle func(v scheduler.View, w *World) []any
	// Smaller returns the same framework with less to do, such as a node
	// fewer, and false where it cannot be less. Shrinking uses it. Nil: never.
	Smaller func() (SimFramework, bool)

	// What breaks rules on purpose, for the tests of the rules: mishear changes
	// an event before a step, tamper the effects after it; early calls leave
	// before the save; and a fearless scheduler goes on after a failed one.
	mishear  func(p *simProcess, ev scheduler.Event) scheduler.Event
	tamper   func(w *World, e *scheduler.Effects)
	early    func(call *sched.Call) bool
	fearless bool
}

// TaskPlan is how a task behaves when nothing goes wrong.
type TaskPlan struct {
	Start time.Duration // from its launch until it runs
	// Ready is how long after that a health check passes; 0: it has none.
	Ready time.Duration
	// Sick is how long after that the check fails, and Well how long after this it
	// passes again, and so on while the storm lasts; 0: neither.
	Sick, Well time.Duration
	Run        time.Duration   // until it ends by itself; 0: it does not
	End        mesos.TaskState // how; zero: TASK_FINISHED
	Stop       time.Duration   // from a kill until it has ended
}

// Sim runs frameworks on a modelled Mesos in one goroutine and virtual time,
// with faults, and checks after every step that nothing happens which must
// not. Seed and configuration decide everything: a run can be repeated.
type Sim struct {
	seed     uint64
	cfg      SimConfig
	coverage Coverage
}

// NewSim returns a simulation.
func NewSim(seed uint64, c SimConfig) *Sim {
	return &Sim{seed: seed, cfg: c.withDefaults()}
}

func (c SimConfig) withDefaults() SimConfig {
	if c.Agents == nil {
		for i := range 6 {
			c.Agents = append(c.Agents, AgentConfig{
				Resources: "cpus:8;mem:16384;disk:100000;ports:[31000-31999]", Attributes: fmt.Sprintf("rack:r%d", i%3),
			})
		}
	}
	c.Agents = slices.Clone(c.Agents)
	for i := range c.Agents {
		c.Agents[i].Hostname = cmp.Or(c.Agents[i].Hostname, fmt.Sprintf("agent-%d", i))
		c.Agents[i].Address = fmt.Sprintf("10.0.%d.%d", i/250, i%250+1)
	}
	if c.Rates == nil {
		c.Rates = DefaultRates()
	}
	c.Storm = cmp.Or(c.Storm, 10*time.Minute)
	c.Quiet = cmp.Or(c.Quiet, 4*time.Hour)
	c.Steps = cmp.Or(c.Steps, 2_000_000)
	c.Shrink = cmp.Or(c.Shrink, 400)
	return c
}

func (c SimConfig) validate() error {
	if len(c.Frameworks) == 0 {
		return errors.New("mesostest: SimConfig.Frameworks: is empty: want at least one framework")
	}
	for i, f := range c.Frameworks {
		if f.Handler == nil {
			return fmt.Errorf("mesostest: SimConfig.Frameworks[%d].Handler: is nil: want a policy", i)
		}
		if v, ok := f.Handler.(scheduler.Validated); ok {
			if err := v.Validate(); err != nil {
				return fmt.Errorf("mesostest: SimConfig.Frameworks[%d].Handler: %w", i, err)
			}
		}
	}
	for i, a := range c.Agents {
		if _, err := parseResources(a.Resources); err != nil {
			return fmt.Errorf("mesostest: SimConfig.Agents[%d].Resources: %w", i, err)
		}
		if _, err := parseAttributes(a.Attributes); err != nil {
			return fmt.Errorf("mesostest: SimConfig.Agents[%d].Attributes: %w", i, err)
		}
	}
	for k, rate := range c.Rates {
		if k < 0 || int(k) >= faultKinds || !(rate >= 0 && rate <= 1e6) {
			return fmt.Errorf("mesostest: SimConfig.Rates[%s]: %v: want a known kind and 0 to 1,000,000 an hour", k, rate)
		}
	}
	return nil
}

// Script is what the seed decides: the faults of the run. Of three seeds in a
// row the first has them at the rates of the configuration, the others a third
// and a tenth as often: some states are reached only where it is calm for a
// while.
func (s *Sim) Script() Script {
	rates := s.cfg.Rates.Times([]float64{1, 1. / 3, 1. / 10}[s.seed%3])
	return Script{Seed: s.seed, Storm: s.cfg.Storm, Faults: rates.faults(s.seed, s.cfg.Storm)}
}

// Run simulates. The error is a [*Finding] when a rule was broken, made as
// small as it gets, or says what is wrong with the configuration.
func (s *Sim) Run() error {
	err := s.Replay(s.Script())
	var f *Finding
	if errors.As(err, &f) {
		return s.shrink(f)
	}
	return err
}

// Replay simulates what a script says. The error is a [*Finding] with the
// script as it is.
func (s *Sim) Replay(script Script) error {
	if err := s.cfg.validate(); err != nil {
		return err
	}
	w, err := s.world(script)
	if err != nil {
		return err
	}
	w.run()
	s.coverage.Add(w.coverage)
	if w.broken == nil {
		return nil
	}
	return &Finding{Script: script, Rule: w.broken.rule, Detail: w.broken.detail, At: w.since(), Steps: w.coverage.Steps}
}

// Coverage is what all runs of s have seen together.
func (s *Sim) Coverage() Coverage { return s.coverage }

// scaled returns the frameworks as the script wants them.
func (s *Sim) scaled(script Script) ([]SimFramework, error) {
	out := slices.Clone(s.cfg.Frameworks)
	for i, n := range script.Sizes {
		for range n {
			if i >= len(out) || out[i].Smaller == nil {
				return nil, fmt.Errorf("mesostest: script: framework %d cannot be made smaller", i)
			}
			next, ok := out[i].Smaller()
			if !ok {
				return nil, fmt.Errorf("mesostest: script: framework %d cannot be made smaller %d times", i, n)
			}
			out[i] = next
		}
	}
	return out, nil
}
