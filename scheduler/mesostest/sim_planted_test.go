package mesostest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/state"
)

// planted are bugs, each a rule broken on purpose, with the rules of which one
// has to notice. They prove that the simulator can fail.
var planted = []struct {
	name  string
	rules []string
	plant func(r *ring, f *SimFramework)
	rates Rates // that differ, so that it is found soon
}{
	{"acknowledges before it saves", []string{"an update is acknowledged after it is saved"}, func(_ *ring, f *SimFramework) {
		f.early = func(c *sched.Call) bool { return c.Type == sched.Call_ACKNOWLEDGE }
	}, nil},
	{"launches before it saves", []string{"nothing leaves before its record"}, func(_ *ring, f *SimFramework) {
		f.early = func(c *sched.Call) bool { return c.Type == sched.Call_ACCEPT }
	}, nil},
	{"launches without remembering", []string{"nothing leaves before its record"}, func(_ *ring, f *SimFramework) {
		f.tamper = dropRecords("task/")
	}, nil},
	{"forgets its own records", []string{"no node runs twice", "every goal is reached", "a task id is launched once", "a volume is made once"}, func(_ *ring, f *SimFramework) {
		f.tamper = dropRecords("handler/")
	}, nil},
	{"forgets to reconcile", []string{"every goal is reached"}, func(_ *ring, f *SimFramework) {
		f.tamper = dropCalls(sched.Call_RECONCILE)
	}, nil},
	{"never acknowledges", []string{"every goal is reached", "every task taken for running runs"}, func(_ *ring, f *SimFramework) {
		f.tamper = dropCalls(sched.Call_ACKNOWLEDGE)
	}, nil},
	{"kills once", []string{"every goal is reached"}, func(_ *ring, f *SimFramework) { f.tamper = killOnce() }, Rates{
		Operator: 900, LinkBroken: 900, AgentCut: 100,
	}},
	{"does not kill what strayed", []string{"every task that runs is known", "no task is left behind", "no node runs twice", "every goal is reached"}, func(_ *ring, f *SimFramework) { f.tamper = killKnown }, leaves},
	{"revives what ended", []string{"the first end of a task stands"}, func(_ *ring, f *SimFramework) { f.tamper = revive }, leaves},
	{"refuses offers for ever", []string{"every goal is reached"}, func(_ *ring, f *SimFramework) { f.tamper = refuseForEver }, nil},
	{"gives no offer back", []string{"no offer is held for long"}, func(_ *ring, f *SimFramework) {
		f.tamper = dropCalls(sched.Call_DECLINE)
	}, nil},
	{"uses an offer twice", []string{"an offer is used once", "a task id is launched once"}, func(_ *ring, f *SimFramework) { f.tamper = acceptTwice }, nil},
	{"does not hear what is taken back", []string{"an offer that was taken back is not used"}, holdDeaf, Rates{AgentDeactivated: 900}},
	{"sleeps through its alarms", []string{"every goal is reached"}, func(_ *ring, f *SimFramework) {
		f.tamper = func(w *World, e *scheduler.Effects) { e.Wake = e.Wake.AddDate(1, 0, 0) }
	}, nil},
	{"goes on when it is fenced", []string{"nothing leaves before its record", "an update is acknowledged after it is saved"}, func(_ *ring, f *SimFramework) { f.fearless = true }, nil},
	{"unreserves before it destroys", []string{"a volume is destroyed before its reservation is given up"}, func(_ *ring, f *SimFramework) { f.tamper = unreserveFirst }, nil},
	{"never destroys", []string{"every goal is reached"}, func(_ *ring, f *SimFramework) { f.tamper = dropOperations(mesos.Offer_Operation_DESTROY) }, nil},
	{"starts a job twice", []string{"one job of a name runs at a time"}, func(_ *ring, f *SimFramework) {
		f.tamper = func(_ *World, e *scheduler.Effects) { e.Start = append(e.Start, e.Start...) }
	}, nil},
	{"ignores the gate", []string{"nodes join one after the other"}, func(r *ring, _ *SimFramework) { r.ungated = true }, nil},
	{"reuses a task id", []string{"a task id is launched once", "the first end of a task stands"}, func(r *ring, _ *SimFramework) { r.reuses = true }, nil},
	{"does not tell incarnations apart", []string{"no node runs twice", "one task uses a volume", "every goal is reached"}, func(_ *ring, f *SimFramework) { f.mishear = takeForLatest }, nil},
	{"has a memory", []string{"equal views give equal decisions"}, func(_ *ring, f *SimFramework) {
		asked := 0
		inner := f.Handler
		f.Handler = scheduler.HandlerFunc(func(v scheduler.View, ev scheduler.Event) []scheduler.Action {
			asked++
			return append(inner.Handle(v, ev), scheduler.Note{Text: strings.Repeat("!", asked%7)})
		})
	}, nil},
	{"follows the order of a map", []string{"equal views give equal decisions"}, func(_ *ring, f *SimFramework) {
		inner := f.Handler
		f.Handler = scheduler.HandlerFunc(func(v scheduler.View, ev scheduler.Event) []scheduler.Action {
			actions := inner.Handle(v, ev)
			for word := range map[string]bool{"a": true, "b": true, "c": true, "d": true} {
				actions = append(actions, scheduler.Note{Text: word})
			}
			return actions
		})
	}, nil},
}

// leaves are faults after which tasks come back that had been called unknown.
var leaves = Rates{RegistryForgets: 60}

// plantedSteps bounds the search for a planted bug.
const plantedSteps = 300_000

func TestSimFindsPlantedBugs(t *testing.T) {
	t.Parallel()
	for _, bug := range planted {
		t.Run(bug.name, func(t *testing.T) {
			t.Parallel()
			r := ring{name: "ring", nodes: 3}
			plain := SimFramework{}
			bug.plant(&r, &plain)
			f := ringFramework(r)
			bug.plant(&r, &f)
			c := ringConfig(r)
			c.Frameworks[0], c.Shrink, c.Quiet, c.Rates = f, -1, 20*time.Minute, DefaultRates()
			maps.Copy(c.Rates, bug.rates)
			sound := c
			sound.Frameworks = []SimFramework{ringFramework(ring{name: "ring", nodes: 3})}
			var steps uint64
			for seed := uint64(0); ; seed++ {
				s := NewSim(seed, c)
				err := s.Run()
				steps += s.Coverage().Steps
				var found *Finding
				if errors.As(err, &found) {
					if NewSim(seed, sound).Run() != nil {
						continue // it is not what was planted: the ring needs longer, such as after its clock was set back
					}
					assert.Contains(t, bug.rules, found.Rule, found.Detail)
					t.Logf("found with seed %d after %d steps: %s: %s", seed, steps, found.Rule, found.Detail)
					return
				}
				require.NoError(t, err)
				require.Less(t, steps, uint64(plantedSteps), "it is found")
			}
		})
	}
}

// holdDeaf holds what offers the ring gives back, and does not hear that they are
// taken back.
func holdDeaf(_ *ring, f *SimFramework) {
	inner := f.Handler
	f.Handler = scheduler.HandlerFunc(func(v scheduler.View, ev scheduler.Event) []scheduler.Action {
		actions := inner.Handle(v, ev)
		for i, a := range actions {
			if d, ok := a.(scheduler.Decline); ok {
				actions[i] = scheduler.Hold{Offers: d.Offers, Until: v.Now().Add(time.Minute)}
			}
		}
		return actions
	})
	f.mishear = func(_ *simProcess, ev scheduler.Event) scheduler.Event {
		if _, ok := ev.(scheduler.Rescinded); ok {
			return scheduler.Tick{}
		}
		return ev
	}
}

// takeForLatest makes every status one of the node's latest task.
func takeForLatest(p *simProcess, ev scheduler.Event) scheduler.Event {
	up, ok := ev.(scheduler.Updated)
	if !ok {
		return ev
	}
	id := up.Status.TaskID.Value
	node := id[:strings.LastIndexByte(id, '.')+1]
	for n := len(p.facts.launched); n > 0; n-- {
		if latest := fmt.Sprint(node, n); p.facts.launched[latest] {
			up.Status.TaskID.Value = latest
			return up
		}
	}
	return ev
}

func dropCalls(kind sched.Call_Type) func(*World, *scheduler.Effects) {
	return func(_ *World, e *scheduler.Effects) {
		e.Send = slices.DeleteFunc(e.Send, func(c *sched.Call) bool { return c.Type == kind })
	}
}

func dropRecords(prefix string) func(*World, *scheduler.Effects) {
	return func(_ *World, e *scheduler.Effects) {
		e.Save = slices.DeleteFunc(e.Save, func(r state.Record) bool { return strings.HasPrefix(r.Key, prefix) })
	}
}

func dropOperations(kind mesos.Offer_Operation_Type) func(*World, *scheduler.Effects) {
	return func(_ *World, e *scheduler.Effects) {
		for _, c := range e.Send {
			if c.Accept != nil {
				c.Accept.Operations = slices.DeleteFunc(c.Accept.Operations, func(op mesos.Offer_Operation) bool { return op.Type == kind })
			}
		}
	}
}

func killOnce() func(*World, *scheduler.Effects) {
	killed := map[*World]map[string]bool{}
	return func(w *World, e *scheduler.Effects) {
		if killed[w] == nil {
			killed[w] = map[string]bool{}
		}
		e.Send = slices.DeleteFunc(e.Send, func(c *sched.Call) bool {
			if c.Type != sched.Call_KILL {
				return false
			}
			again := killed[w][c.Kill.TaskID.Value]
			killed[w][c.Kill.TaskID.Value] = true
			return again
		})
	}
}

// killKnown kills only tasks of which the scheduler has a record that they run.
func killKnown(w *World, e *scheduler.Effects) {
	e.Send = slices.DeleteFunc(e.Send, func(c *sched.Call) bool {
		if c.Type != sched.Call_KILL {
			return false
		}
		state, known := recorded(w, c.Kill.TaskID.Value)
		return !known || scheduler.Terminal(state)
	})
}

// recorded is the state of a task as the store has it.
func recorded(w *World, task string) (state mesos.TaskState, known bool) {
	for _, f := range w.frameworks {
		for _, p := range f.processes {
			if p.store.has("status/" + task) {
				return p.store.taskState(task), true
			}
		}
	}
	return 0, false
}

// revive takes the word of who says that a task runs which has ended, and does not
// kill it.
func revive(w *World, e *scheduler.Effects) {
	e.Send = slices.DeleteFunc(e.Send, func(c *sched.Call) bool {
		if c.Type != sched.Call_KILL {
			return false
		}
		if state, known := recorded(w, c.Kill.TaskID.Value); !known || !scheduler.Terminal(state) {
			return false
		}
		status, err := (&mesos.TaskStatus{TaskID: c.Kill.TaskID, State: mesos.TASK_RUNNING.Enum()}).Marshal()
		value, err2 := json.Marshal(map[string][]byte{"status": status})
		if err == nil && err2 == nil {
			e.Save = append(e.Save, state.Record{Key: "status/" + c.Kill.TaskID.Value, Value: value})
		}
		return true
	})
}

func refuseForEver(_ *World, e *scheduler.Effects) {
	e.Send = slices.DeleteFunc(e.Send, func(c *sched.Call) bool { return c.Type == sched.Call_REVIVE })
	for _, c := range e.Send {
		if c.Type == sched.Call_DECLINE {
			c.Decline.Filters = &mesos.Filters{RefuseSeconds: new(1e7)}
		}
	}
}

func acceptTwice(_ *World, e *scheduler.Effects) {
	for _, c := range e.Send {
		if c.Type == sched.Call_ACCEPT {
			e.Send = append(e.Send, c)
			return
		}
	}
}

func unreserveFirst(_ *World, e *scheduler.Effects) {
	for _, c := range e.Send {
		if c.Accept != nil {
			slices.SortStableFunc(c.Accept.Operations, func(a, b mesos.Offer_Operation) int {
				switch {
				case a.Type == mesos.Offer_Operation_UNRESERVE && b.Type == mesos.Offer_Operation_DESTROY:
					return -1
				case a.Type == mesos.Offer_Operation_DESTROY && b.Type == mesos.Offer_Operation_UNRESERVE:
					return 1
				}
				return 0
			})
		}
	}
}
