package simtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// ServicesConfig is [Config] for the declared services of a scheduler, with the
// [Rules] of each.
func ServicesConfig(all *frameworks.Services) mesostest.SimConfig {
	s := subject{name: "services", handler: all, services: all.Declared, several: true}
	c := mesostest.SimConfig{Frameworks: []mesostest.SimFramework{s.framework()}}
	for _, service := range s.services {
		c.Rules = append(c.Rules, RulesIn(s.name, service)...)
	}
	return c
}

// subject is what a simulation is about: a service, or several in one scheduler.
type subject struct {
	name     string
	handler  scheduler.Handler
	services []*frameworks.Service
	several  bool
}

func (s subject) framework() mesostest.SimFramework {
	return mesostest.SimFramework{
		Name: s.name, Handler: s.handler, Decision: s.decision, Node: s.node, Task: task, Work: s.work,
		Operator: s.operator, Goal: s.goal, Settle: s.settle,
	}
}

// node is what a task is an incarnation of: "node-0" of "db.node-0.3", or, where
// there are several services, "db.node-0".
func (s subject) node(task mesos.TaskInfo) string {
	if !s.several {
		return task.Name
	}
	return task.TaskID.Value[:strings.LastIndexByte(task.TaskID.Value, '.')]
}

// task is a server's plan. The probe of one in four fails now and then.
func task(_ mesos.TaskInfo, luck uint64) mesostest.TaskPlan {
	p := mesostest.TaskPlan{
		Start: time.Duration(luck%4000) * time.Millisecond, Ready: time.Second, Stop: time.Duration(luck%900) * time.Millisecond,
	}
	if luck>>16%4 == 0 {
		p.Sick, p.Well = time.Duration(10+luck>>20%90)*time.Second, time.Duration(1+luck>>20%40)*time.Second
	}
	return p
}

func (s subject) decision(v scheduler.View, ev scheduler.Event, actions []scheduler.Action) error {
	var errs []error
	for _, service := range s.services {
		errs = append(errs, Decision(service, v, ev, actions))
	}
	return errors.Join(errs...)
}

// work lets a gate pass while the task that it asks runs and is well.
func (s subject) work(w *mesostest.World, job scheduler.Job) ([]byte, error) {
	_, task, _ := strings.Cut(job.Name, "/")
	serves := func(t mesostest.SimTask) bool { return t.Framework == s.name && t.Info.TaskID.Value == task && !t.Sick }
	if (job.Kind == "gate" || job.Kind == "again") && !slices.ContainsFunc(w.Running(), serves) {
		return nil, fmt.Errorf("%s does not serve", task)
	}
	return nil, nil
}

func (s subject) operator(pick uint16) any {
	i := int(pick) % len(s.services)
	return s.to(s.services[i], command(s.services[i], int(pick)/len(s.services)))
}

// to is a command as the service gets it.
func (s subject) to(service *frameworks.Service, command any) any {
	if s.several {
		return frameworks.ToService{Service: service.Name, Command: command}
	}
	return command
}

func (s subject) status(service *frameworks.Service, v scheduler.View) (frameworks.Status, error) {
	return statusOf(s.handler, v, s.to(service, frameworks.AskStatus{}))
}

func (s subject) goal(v scheduler.View, w *mesostest.World) error {
	for _, service := range s.services {
		status, err := s.status(service, v)
		if err == nil {
			err = healed(service, status, w)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", service.Name, err)
		}
	}
	return nil
}

func (s subject) settle(v scheduler.View, w *mesostest.World) (out []any) {
	for _, service := range s.services {
		status, err := s.status(service, v)
		if err != nil {
			continue // it is in the way of the goal as well
		}
		for _, c := range mend(status, w) {
			out = append(out, s.to(service, c))
		}
	}
	return out
}
