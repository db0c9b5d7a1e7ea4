package mesostest

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
)

// leased is a policy that keeps one server running, which must never run twice,
// not even where nobody can reach it: it has a lease. Where its end was not
// seen, another is launched when the lease is over.
type leased struct{ hasty bool }

var leasedTask = executor.Task{
	Secrets: []executor.SecretFile{{Name: "key", Path: "key"}},
	Lease:   &executor.Lease{Within: 3 * time.Minute, End: &executor.Step{Name: "read-only", Func: "harmless", Timeout: 2 * time.Second}},
	Command: []string{"serve"},
}

func (l leased) Handle(v scheduler.View, ev scheduler.Event) []scheduler.Action {
	var actions []scheduler.Action
	last, alive, blocked := 0, "", time.Time{}
	for t := range v.Tasks() {
		id := t.Info.TaskID.Value
		var number int
		_, _ = fmt.Sscanf(id, "leased.%d", &number) // all ids are of this form
		last = max(last, number)
		s := t.Status.GetState()
		unseen := s == mesos.TASK_UNREACHABLE || scheduler.Terminal(s) && t.Status.GetSource() == mesos.SOURCE_MASTER
		switch over := leasedTask.Lease.Over(t.Since); {
		case unseen && !l.hasty && v.Now().Before(over):
			blocked = over
		case unseen, scheduler.Terminal(s):
		default:
			if alive != "" {
				actions = append(actions, scheduler.Kill{Task: alive, Reason: "another runs"})
			}
			alive = id
		}
	}
	if m, ok := ev.(scheduler.Messaged); ok && m.Executor == alive {
		actions = append(actions, l.answer(m)...)
	}
	switch {
	case alive != "":
		return append(actions, scheduler.Want{})
	case !blocked.IsZero():
		return append(actions, scheduler.Want{}, scheduler.WakeAt{Time: blocked})
	}
	return append(actions, l.launch(v, last+1)...)
}

func (leased) answer(m scheduler.Messaged) []scheduler.Action {
	said, err := executor.DecodeMessage(m.Data)
	if err != nil {
		return nil
	}
	var answer executor.Message
	switch said := said.(type) {
	case executor.Hello:
		answer = executor.Secret{Task: said.Task, Name: "key", Value: []byte("x")}
	case executor.Renew:
		answer = executor.Grant(said)
	}
	data, err := executor.EncodeMessage(answer)
	if err != nil {
		return nil
	}
	return []scheduler.Action{scheduler.Message{Agent: m.Agent, Executor: m.Executor, Data: data}}
}

func (leased) launch(v scheduler.View, number int) []scheduler.Action {
	matches, _ := offers.Reserve(v.Offers(), []offers.Request{{Node: "leased", Needs: offers.MustParse("cpus:1;mem:64"), Unreserved: true}})
	if len(matches) == 0 {
		return []scheduler.Action{scheduler.Want{Offers: true}}
	}
	m, id := matches[0], fmt.Sprintf("leased.%d", number)
	data, err := json.Marshal(leasedTask)
	if err != nil {
		return nil
	}
	return []scheduler.Action{scheduler.Accept{Offers: m.Offers, Operations: []mesos.Offer_Operation{offers.Launch(m.Agent, mesos.TaskInfo{
		Name: "leased", TaskID: mesos.TaskID{Value: id}, Resources: m.Resources, Data: data,
		Executor: executor.Info(v.FrameworkID(), id, "/opt/leased"),
	})}}}
}

// harmlessServers is a model in which a server in two becomes harmless when its
// lease ends: it stays, and counts no more.
type harmlessServers map[string]bool

func (harmlessServers) Started(*World, SimTask)          {}
func (m harmlessServers) Stopped(_ *World, task SimTask) { delete(m, task.Info.TaskID.Value) }

func leasedConfig(l leased) SimConfig {
	rates := DefaultRates().Times(0.3)
	rates[AgentCut], rates[AgentHealed], rates[TaskHangs] = 120, 20, 60
	delete(rates, ClockStep) // what was stored would be taken for older than it is
	return SimConfig{
		Rates: rates, Model: func(*World) SimModel { return harmlessServers{} },
		Frameworks: []SimFramework{{
			Name: "leased", Handler: l,
			Lapse: func(w *World, task SimTask) bool {
				id := task.Info.TaskID.Value
				w.Model().(harmlessServers)[id] = w.Luck(id)%2 == 0
				return w.Luck(id)%2 == 0
			},
			Goal: func(_ scheduler.View, w *World) error {
				if len(w.Running()) != 1 {
					return fmt.Errorf("%d run", len(w.Running()))
				}
				return nil
			},
		}},
		Rules: []Rule{{Name: "one server acts", Check: func(w *World) error {
			acts := ""
			for _, t := range w.Running() {
				id := t.Info.TaskID.Value
				switch {
				case w.Model().(harmlessServers)[id]:
				case acts != "":
					return fmt.Errorf("%s and %s", acts, id)
				default:
					acts = id
				}
			}
			return nil
		}}},
	}
}

// Simulated executors wait for secrets and leases, and end their servers with the
// lease: also those that are cut off, and those that are frozen.
func TestSimLease(t *testing.T) {
	t.Parallel()
	seen := Simulate(t, 10_000, leasedConfig(leased{}))
	assert.NotZero(t, seen.Tasks)
	assert.NotZero(t, seen.Events["Messaged"], seen.Events)
}

// A policy that does not wait for the end of the lease is found.
func TestSimLeaseIsNotAwaited(t *testing.T) {
	t.Parallel()
	c := leasedConfig(leased{hasty: true})
	c.Shrink = -1
	for seed := uint64(1); seed < 50; seed++ {
		var found *Finding
		if err := NewSim(seed, c).Run(); errors.As(err, &found) {
			assert.Equal(t, "one server acts", found.Rule, found.Detail)
			return
		} else {
			require.NoError(t, err)
		}
	}
	t.Error("it is not found")
}
