package mysql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/simtest"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// simulated is a set of three members under faults. All of the framework is
// real but the servers, which are modelled at the level of their statements, and
// the executor with its leases, which is the simulator's.
func simulated(flavor string, change func(*set)) mesostest.SimConfig {
	c := Cluster{
		Name: "db", Flavor: flavor, AdminHash: Hash("secret"), Distribution: Distribution{Dir: "/opt/mysql"},
		Binary: frameworks.Binary{Path: "/opt/mesos-mysql"},
	}
	s := c.service(func(s *set) {
		s.dial = dialModel
		change(s)
	})
	rates := mesostest.DefaultRates()
	// A clock that is set forward shortens leases, as the documentation says.
	delete(rates, mesostest.ClockStep)
	for _, often := range []mesostest.FaultKind{mesostest.TaskHangs, mesostest.TaskDies, mesostest.AgentCut} {
		rates[often] = 60
	}
	// More than one volume in three is no failure to be survived.
	rates[mesostest.AgentWiped], rates[mesostest.AgentGone] = 3, 3
	return mesostest.SimConfig{
		Frameworks: []mesostest.SimFramework{simulatedSet(s)},
		Rates:      rates,
		Model:      func(w *mesostest.World) mesostest.SimModel { return newReplicas(w, flavor) },
		Rules: []mesostest.Rule{
			{Name: "one member takes writes", Check: oneWritable},
			{Name: "nothing that was acknowledged is lost", Check: nothingLost},
		},
	}
}

// modelOf is the model of a simulation, as of this moment.
func modelOf(w *mesostest.World) *replicas {
	m := w.Model().(*replicas)
	m.refresh()
	return m
}

func simulatedSet(s *frameworks.Service) mesostest.SimFramework {
	return mesostest.SimFramework{
		Name: "db", Handler: s,
		Node: func(task mesos.TaskInfo) string { return task.Name },
		Task: func(_ mesos.TaskInfo, luck uint64) mesostest.TaskPlan {
			return mesostest.TaskPlan{
				Start: time.Duration(luck%6000) * time.Millisecond, Ready: 500 * time.Millisecond, Stop: time.Duration(luck%3000) * time.Millisecond,
			}
		},
		Work: func(w *mesostest.World, job scheduler.Job) ([]byte, error) {
			m := modelOf(w)
			ctx := context.WithValue(context.Background(), modelKey{}, m)
			if late, ok := m.goesOn(); ok {
				_, _ = s.Work(ctx, late) // nobody hears of it
			}
			m.suspends(job)
			if job.Kind == "step" { // it waits in real time
				return []byte("asked for"), nil
			}
			return s.Work(ctx, job)
		},
		Lapse: func(w *mesostest.World, task mesostest.SimTask) bool {
			server := modelOf(w).servers[task.Info.TaskID.Value]
			if server == nil || !server.readOnly {
				return false
			}
			server.lapsed = true
			return true
		},
		Again: func(w *mesostest.World, task mesostest.SimTask) {
			if server := modelOf(w).servers[task.Info.TaskID.Value]; server != nil {
				server.lapsed = false
			}
		},
		Operator: func(pick uint16) any {
			node := fmt.Sprint("member-", pick%4)
			switch pick >> 4 % 8 {
			case 0:
				return frameworks.ReplaceNode{Node: node}
			case 1:
				return frameworks.ScalePod{Pod: pod, Count: 4}
			case 2:
				return frameworks.StopNode{Node: node}
			case 3:
				return frameworks.StartNode{Node: node}
			case 4:
				return switchOver
			}
			return frameworks.RestartNode{Node: node}
		},
		Goal: func(v scheduler.View, w *mesostest.World) error { return healed(s, v, w) },
		Settle: func(v scheduler.View, w *mesostest.World) []any {
			return simtest.Settle(s, v, w)
		},
	}
}

var switchOver = frameworks.StartPlan{Plan: SwitchoverPlan, Parameters: json.RawMessage("{}")}

func oneWritable(w *mesostest.World) error {
	first := ""
	m := w.Model().(*replicas)
	for _, name := range sortedKeys(m.servers) {
		switch {
		case m.servers[name].readOnly:
		case first != "":
			return fmt.Errorf("%s and %s", first, name)
		default:
			first = name
		}
	}
	return nil
}

func nothingLost(w *mesostest.World) error {
	if m := w.Model().(*replicas); m.lost != "" {
		return errors.New(m.lost)
	}
	return nil
}

// healed: all members are ready, and one takes writes that has all that was ever
// acknowledged. Where so much was taken away that this cannot be, nobody may. (What
// an operator accepts is no part of the simulation: the plan's step waits in real
// time. TestLossesThatAreAccepted has it.)
func healed(s *frameworks.Service, v scheduler.View, w *mesostest.World) error {
	m := modelOf(w)
	if m.gone(w) > 1 {
		return nil // who may have had what was acknowledged is no more
	}
	if m.gone(w) == 1 && waitsForTheLast(s, v) {
		return nil // so may the only other copy of what a replica was just throwing away
	}
	if err := simtest.Healed(s, v, w); err != nil {
		return err
	}
	for _, server := range m.servers {
		if !server.readOnly {
			return nil
		}
	}
	return errors.New("nobody takes writes")
}

// waitsForTheLast: nobody is promoted, because what was acknowledged may be on the
// last primary only.
func waitsForTheLast(s *frameworks.Service, v scheduler.View) bool {
	status, err := simtest.Status(s, v)
	var mind memory
	return err == nil && len(status.Routines) == 1 && json.Unmarshal(status.Routines[0].Memory, &mind) == nil &&
		mind.Stage == sealing && strings.Contains(mind.Why, "no replica is known to have caught up")
}

var flavored = []string{"mysql", "mariadb"}

func TestSimulated(t *testing.T) {
	t.Parallel()
	for _, flavor := range flavored {
		t.Run(flavor, func(t *testing.T) {
			t.Parallel()
			seen := mesostest.Simulate(t, 5_000, simulated(flavor, func(*set) {}))
			assert.NotZero(t, seen.Tasks)
		})
	}
}

func TestSimulatedForLong(t *testing.T) {
	for _, flavor := range flavored {
		t.Run(flavor, func(t *testing.T) {
			mesostest.SoakTest(t, func() mesostest.SimConfig { return simulated(flavor, func(*set) {}) })
		})
	}
}

// The rules find what they are for: an election that takes the shortest history.
// It does harm only where a primary is lost while a replica lags, as they do here
// most of the time.
func TestSimulatedFindsABadElection(t *testing.T) {
	t.Parallel()
	for _, flavor := range flavored {
		t.Run(flavor, func(t *testing.T) {
			t.Parallel()
			c := simulated(flavor, func(s *set) { s.elect = shortest })
			c.Frameworks[0].Goal = nil // what does no harm is not looked for
			c.Model = func(w *mesostest.World) mesostest.SimModel {
				m := newReplicas(w, flavor)
				m.lags = 6
				return m
			}
			mesostest.MustFind(t, 1, 500_000, func(uint64) mesostest.SimConfig { return c }, "nothing that was acknowledged is lost")
		})
	}
}

func shortest(candidates []candidate) (string, error) {
	if len(candidates) == 0 {
		return "", errors.New("no member answers")
	}
	least := candidates[0]
	for _, c := range candidates[1:] {
		if least.has.contains(c.has) {
			least = c
		}
	}
	return least.node, nil
}

// hasty is a flavor whose promotions do not ask the server whether they come too late.
type hasty struct{ flavor }

func (h hasty) promote(m member, _ int) []string { return h.flavor.promote(m, 1<<20) }

// A scheduler that was suspended in the middle of a promotion, and goes on after the
// member has handed over to another, would make two of them writable. Here nothing else
// goes wrong, and an operator asks for one switchover after the other.
func TestSimulatedFindsALatePromotion(t *testing.T) {
	t.Parallel()
	for _, flavor := range flavored {
		t.Run(flavor, func(t *testing.T) {
			t.Parallel()
			c := simulated(flavor, func(s *set) { s.flavor = hasty{s.flavor} })
			c.Rates = mesostest.Rates{mesostest.Operator: 600}
			c.Frameworks[0].Operator = func(uint16) any { return switchOver }
			c.Frameworks[0].Goal = nil
			mesostest.MustFind(t, 1, 100_000, func(uint64) mesostest.SimConfig { return c }, "one member takes writes")
		})
	}
}
