package frameworks_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// several services in one scheduler: two that the program declares, and one that
// operators add.
type several struct {
	*frameworks.Services
	each []operated
	less int
}

func severally(number uint64, less int) several {
	var each []operated
	for i, name := range []string{"ants", "bees", "cats"} {
		s := operate(name, 3*number+uint64(i), less)
		s.framework, s.ends = "all", i == 2
		each = append(each, s)
	}
	return several{each: each, less: less, Services: &frameworks.Services{
		Declared: []*frameworks.Service{each[0].Service, each[1].Service},
		New: func(name string, options json.RawMessage) (*frameworks.Service, error) {
			made, err := each[2].Revise(options)
			if err != nil || name != "cats" {
				return nil, cmp.Or(err, errors.New("there are cats only"))
			}
			out := *made
			out.Options, out.Revise = options, each[2].Revise
			return &out, nil
		},
		Binary: frameworks.Binary{Path: "/bin/cats"},
	}}
}

func (s several) simulated() mesostest.SimFramework {
	return mesostest.SimFramework{
		Name: "all", Handler: s.Services, Goal: s.goal, Operator: s.command, Settle: s.settle, Node: serviceNode, Task: s.task,
		Work: s.work,
		Decision: func(v scheduler.View, ev scheduler.Event, actions []scheduler.Action) error {
			var errs []error
			for _, one := range s.each {
				errs = append(errs, one.decision(v, ev, actions))
			}
			return errors.Join(errs...)
		},
		Smaller: func() (mesostest.SimFramework, bool) {
			return severally(s.each[0].number/3, s.less+1).simulated(), s.less < 6
		},
	}
}

func (s several) task(task mesos.TaskInfo, luck uint64) mesostest.TaskPlan {
	i := slices.IndexFunc(s.each, func(one operated) bool { return strings.HasPrefix(task.TaskID.Value, one.Name+".") })
	return s.each[i].task(task, luck)
}

// work is that of the service whose job it is.
func (s several) work(w *mesostest.World, job scheduler.Job) ([]byte, error) {
	one := s.each[0]
	one.worker = s.Services
	return one.work(w, job)
}

// overview of all services, with the status of each.
func (s several) overview(v scheduler.View) (map[string]frameworks.Status, error) {
	out := map[string]frameworks.Status{}
	for _, a := range s.Handle(v, scheduler.Command{ID: 1, Value: frameworks.ListServices{}}) {
		answer, ok := a.(scheduler.Answer)
		if !ok {
			continue
		}
		overview, ok := answer.Value.(frameworks.Overview)
		if !ok || answer.Err != nil {
			return nil, answer.Err
		}
		for _, one := range overview.Services {
			if one.Trouble != "" {
				return nil, fmt.Errorf("service %s: %s", one.Service, one.Trouble)
			}
			status, err := statusOf(s.Services, v, frameworks.ToService{Service: one.Service, Command: frameworks.AskStatus{}})
			if err != nil {
				return nil, err
			}
			out[one.Service] = status
		}
	}
	return out, nil
}

// goal: those that are declared are as they should be, and what was added is
// gone, with all that it had.
func (s several) goal(v scheduler.View, w *mesostest.World) error {
	all, err := s.overview(v)
	if err != nil {
		return err
	}
	for i, one := range s.each {
		status, there := all[one.Name]
		switch {
		case there && i == 2:
			return errors.New("the one that was added is not uninstalled")
		case there:
			err = one.settled(status, w)
		case i < 2:
			err = fmt.Errorf("%s is not there", one.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s several) settle(v scheduler.View, w *mesostest.World) []any {
	all, err := s.overview(v)
	if err != nil {
		return nil
	}
	var out []any
	for i, one := range s.each {
		status, there := all[one.Name]
		if !there && i < 2 {
			out = append(out, frameworks.AddService{Name: one.Name, Options: firstOptions.json()})
		}
		if there {
			for _, c := range one.mend(status, w) {
				out = append(out, frameworks.ToService{Service: one.Name, Command: c})
			}
		}
	}
	return out
}

func (s several) command(pick uint16) any {
	random := rand.New(rand.NewPCG(uint64(pick), 7))
	one := s.each[random.IntN(len(s.each))]
	switch random.IntN(8) {
	case 0:
		return frameworks.AddService{Name: "cats", Options: goodOptions(random).json()}
	case 1:
		if one.ends {
			return frameworks.ToService{Service: one.Name, Command: frameworks.Uninstall{}}
		}
	}
	return frameworks.ToService{Service: one.Name, Command: one.command(uint16(random.Uint32()))}
}

func (s several) config() mesostest.SimConfig {
	c := mesostest.SimConfig{Frameworks: []mesostest.SimFramework{s.simulated()}}
	for _, one := range s.each[:2] {
		c.Rules = append(c.Rules, one.rules()...)
	}
	crowded := func(one operated) bool {
		return slices.ContainsFunc(one.Pods, func(p frameworks.Pod) bool { return p.Everywhere || strings.Contains(p.Place.String(), "rack:") })
	}
	if slices.ContainsFunc(s.each, crowded) {
		c.Agents = roomy() // none may be full of the others
	}
	return c
}

// roomy are six agents of which each has room for all nodes.
func roomy() (out []mesostest.AgentConfig) {
	for i := range 6 {
		out = append(out, mesostest.AgentConfig{
			Resources: "cpus:24;mem:32768;disk:100000;ports:[31000-31999]", Attributes: fmt.Sprintf("rack:r%d", i%3),
		})
	}
	return out
}

const severalNumbers = 4

// Several services in one scheduler, under all faults and commands.
func TestSimulatedServices(t *testing.T) {
	t.Parallel()
	for number := range uint64(severalNumbers) {
		t.Run(fmt.Sprint(number), func(t *testing.T) {
			t.Parallel()
			steps := uint64(0) // only what was found before
			if number < 2 {
				steps = 3_000
			}
			seen := mesostest.Simulate(t, steps, severally(number, 0).config())
			assert.Equal(t, seen.Runs > 0, seen.Tasks > 0)
		})
	}
}

// As long as somebody asks for: see make soak.
func TestSimulatedServicesForLong(t *testing.T) {
	for number := range uint64(severalNumbers) {
		t.Run(fmt.Sprint(number), func(t *testing.T) {
			mesostest.SoakTest(t, func() mesostest.SimConfig { return severally(number, 0).config() })
		})
	}
}
