package simtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/scheduler"
)

// spared says which nodes that serve a decision stops, or has chosen to, without
// their pod's Spare having agreed: that is said by its answer only.
func spared(s *frameworks.Service, v scheduler.View, ev scheduler.Event, actions []scheduler.Action, made []change) error {
	asked := func(n frameworks.Node) bool {
		i := podOf(s, n.Name)
		return i >= 0 && s.Pods[i].Spare != nil
	}
	var errs []error
	for _, c := range made {
		done, _ := ev.(scheduler.JobDone)
		agreed := done.Err == "" && strings.HasPrefix(done.Name, fmt.Sprintf("spare/%s.%s/", s.Name, c.after.Pod))
		if asked(c.after) && c.after.Spared && c.after.Ready && !c.before.Spared && !agreed {
			errs = append(errs, fmt.Errorf("%s is to stop, and its pod's Spare did not agree", c.after.Name))
		}
	}
	for _, a := range actions {
		kill, _ := a.(scheduler.Kill)
		if !slices.Contains([]string{"replace", "restart", "maintenance", "update"}, kill.Reason) || !strings.HasPrefix(kill.Task, s.Name+".") {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(kill.Task, s.Name+"."), ".")
		key := s.Name + "/node/" + name
		n, err := recorded[frameworks.Node](remembered(v, actions, key)[key])
		if err == nil && asked(n) && n.Ready && !n.Spared && !n.Forced {
			err = fmt.Errorf("%s is stopped (%s), and its pod's Spare was not asked", name, kill.Reason)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// well says which nodes count as ready though the health check of their task fails.
func well(s *frameworks.Service, v scheduler.View, made []change) error {
	var errs []error
	for _, c := range made {
		task, _ := v.Task(fmt.Sprintf("%s.%s.%d", s.Name, c.after.Name, c.after.Incarnation))
		if healthy := task.Status.Healthy; c.after.Ready && healthy != nil && !*healthy {
			errs = append(errs, fmt.Errorf("%s counts as ready, and its health check fails", c.after.Name))
		}
	}
	return errors.Join(errs...)
}
