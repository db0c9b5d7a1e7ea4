package simtest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/simtest"
	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

func service() *frameworks.Service {
	return &frameworks.Service{Name: "db", Pods: []frameworks.Pod{{
		Name: "node", Count: 2, Command: "serve", Needs: offers.MustParse("cpus:1;mem:64"),
		Volumes: []frameworks.Volume{{Name: "data", Path: "data", Size: 64_000}}, Place: constraints.MustParse("hostname:UNIQUE"),
		Ready: frameworks.HTTP("http", "/"), Ports: []frameworks.Port{{Name: "http"}},
	}}}
}

func TestService(t *testing.T) {
	t.Parallel()
	seen := mesostest.Simulate(t, 5_000, simtest.Config(service()))
	assert.NotZero(t, seen.Tasks)
	assert.NotZero(t, seen.Faults[mesostest.Operator])
}

// A service whose servers never serve does not reach its goal, and the finding
// says why.
func TestServersThatDoNotServe(t *testing.T) {
	t.Parallel()
	s := service()
	c := simtest.Config(s)
	c.Frameworks[0].Name = "another" // so that no gate sees a task of this one
	c.Shrink = -1
	var found *mesostest.Finding
	require.True(t, errors.As(mesostest.NewSim(1, c).Run(), &found))
	assert.Equal(t, "every goal is reached", found.Rule)
	assert.Contains(t, found.Detail, "does not serve")
}

// Several services have rules and goals each: of two that share a scheduler, the
// one without a place for its nodes is named.
func TestServices(t *testing.T) {
	t.Parallel()
	db, web := service(), service()
	web.Name = "web"
	c := simtest.ServicesConfig(&frameworks.Services{Declared: []*frameworks.Service{db, web}})
	c.Rates = mesostest.DefaultRates()
	c.Rates[mesostest.Operator] = 600 // so that there is one where it is calm, too
	seen := mesostest.Simulate(t, 2_000, c)
	assert.NotZero(t, seen.Faults[mesostest.Operator])

	web.Pods[0].Needs = offers.MustParse("cpus:1000;mem:64")
	c = simtest.ServicesConfig(&frameworks.Services{Declared: []*frameworks.Service{db, web}})
	c.Shrink = -1
	var found *mesostest.Finding
	require.ErrorAs(t, mesostest.NewSim(1, c).Run(), &found)
	assert.Equal(t, "every goal is reached", found.Rule)
	assert.Contains(t, found.Detail, "web: node-0 is placing")
}

// Bugs planted on purpose: a service that does not wait for what its declaration
// says is found out by the rules of another that says it.
func TestOrderOfLaunches(t *testing.T) {
	t.Parallel()
	for name, wait := range map[string]func(s *frameworks.Service){
		"is launched before":    func(s *frameworks.Service) { s.Pods[0].After = []string{"seed"} },
		"have their places":     func(s *frameworks.Service) { s.Pods[0].Together = true },
		"starts, which has not": func(s *frameworks.Service) { s.Pods[0].Serial = true },
		"which has not arrived": func(s *frameworks.Service) {
			s.Pods[0].Join = func(context.Context, frameworks.Deployment, frameworks.Node) error { return nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hasty, strict := service(), service()
			for _, s := range []*frameworks.Service{hasty, strict} {
				s.Pods = append(s.Pods, frameworks.Pod{Name: "seed", Count: 1, Command: "serve", Needs: offers.MustParse("cpus:1;mem:64")})
			}
			wait(strict)
			c := simtest.Config(hasty)
			c.Shrink = -1
			if strict.Pods[0].Together { // there is room for one only
				c.Agents = []mesostest.AgentConfig{{Resources: "cpus:8;mem:16384;disk:100000;ports:[31000-31999]"}}
			}
			c.Frameworks[0].Decision = func(v scheduler.View, ev scheduler.Event, actions []scheduler.Action) error {
				return simtest.Decision(strict, v, ev, actions)
			}
			var found *mesostest.Finding
			require.ErrorAs(t, mesostest.NewSim(1, c).Run(), &found)
			assert.Contains(t, found.Detail, name)
			require.NoError(t, mesostest.NewSim(1, simtest.Config(strict)).Run())
		})
	}
}

// So is one that does not ask whether it may stop a node, or places nodes as it
// likes.
func TestPlacesAndSpares(t *testing.T) {
	t.Parallel()
	for name, declare := range map[string]func(p *frameworks.Pod){
		"Spare did not agree": func(p *frameworks.Pod) {
			p.Spare = func(context.Context, frameworks.Deployment, []frameworks.Node) error { return nil }
		},
		"UNIQUE":   func(p *frameworks.Pod) { p.Place = constraints.MustParse("hostname:UNIQUE") },
		"MAX_PER":  func(p *frameworks.Pod) { p.Place = constraints.MustParse("rack:MAX_PER:1") },
		"GROUP_BY": func(p *frameworks.Pod) { p.Place = constraints.MustParse("rack:GROUP_BY:3") },
		"LIKE":     func(p *frameworks.Pod) { p.Place = constraints.MustParse("rack:LIKE:r[12]") },
		"CLUSTER":  func(p *frameworks.Pod) { p.Place = constraints.MustParse("rack:CLUSTER") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			simulation := func(planted bool) mesostest.SimConfig {
				careless, strict := service(), service()
				careless.Pods[0].Count, strict.Pods[0].Count = 3, 3
				careless.Pods[0].Place, strict.Pods[0].Place = constraints.Rules{}, constraints.Rules{}
				declare(&strict.Pods[0])
				if !planted {
					return simtest.Config(strict)
				}
				c := simtest.Config(careless)
				c.Frameworks[0].Operator = func(pick uint16) any { return frameworks.RestartNode{Node: fmt.Sprint("node-", pick%3)} }
				c.Frameworks[0].Decision = func(v scheduler.View, ev scheduler.Event, actions []scheduler.Action) error {
					return simtest.Decision(strict, v, ev, actions)
				}
				return c
			}
			found := mesostest.MustFind(t, 1, 100_000, func(uint64) mesostest.SimConfig { return simulation(true) }, "decisions take nothing back")
			assert.Contains(t, found.Detail, name)
			require.NoError(t, mesostest.NewSim(1, simulation(false)).Run())
		})
	}
}
