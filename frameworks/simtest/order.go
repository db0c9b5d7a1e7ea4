package simtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/scheduler"
)

// launches are what a decision launches, with what its service remembers after it.
type launches struct {
	s     *frameworks.Service
	view  scheduler.View
	nodes []frameworks.Node
	tasks map[string]bool // by node: it is launched now
}

// inOrder says what a decision launches too early, of the nodes that have not
// arrived in their place: before the pods that its pod comes After, before the
// places of all nodes of a pod with Together, and beside another of a pod that
// starts one at a time.
func inOrder(s *frameworks.Service, v scheduler.View, actions []scheduler.Action) error {
	l := launches{s: s, view: v, tasks: map[string]bool{}}
	for _, a := range actions {
		accept, _ := a.(scheduler.Accept)
		for _, op := range accept.Operations {
			for _, task := range op.GetLaunch().GetTaskInfos() {
				if id, ok := strings.CutPrefix(task.TaskID.Value, s.Name+"."); ok {
					node, _, _ := strings.Cut(id, ".")
					l.tasks[node] = true
				}
			}
		}
	}
	if len(l.tasks) == 0 {
		return nil
	}
	records := remembered(v, actions, s.Name+"/node/")
	for _, key := range slices.Sorted(maps.Keys(records)) {
		n, err := recorded[frameworks.Node](records[key])
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		l.nodes = append(l.nodes, n)
	}
	var errs []error
	for _, n := range l.nodes {
		if l.tasks[n.Name] && n.Arrived != n.Generation {
			errs = append(errs, l.after(n), l.together(n, actions), l.alone(n))
		}
	}
	return errors.Join(errs...)
}

// remembered are the records of a prefix as they are after a decision.
func remembered(v scheduler.View, actions []scheduler.Action, prefix string) map[string][]byte {
	out := maps.Collect(v.Records(prefix))
	for _, a := range actions {
		r, ok := a.(scheduler.Remember)
		switch {
		case !ok || !strings.HasPrefix(r.Key, prefix):
		case r.Value == nil:
			delete(out, r.Key)
		default:
			out[r.Key] = r.Value
		}
	}
	return out
}

// recorded is what a record of the engine holds.
func recorded[T any](record []byte) (T, error) {
	var r struct{ Value T }
	err := json.Unmarshal(record, &r)
	return r.Value, err
}

func (l launches) pod(name string) frameworks.Pod {
	if i := slices.IndexFunc(l.s.Pods, func(p frameworks.Pod) bool { return p.Name == name }); i >= 0 {
		return l.s.Pods[i]
	}
	return frameworks.Pod{}
}

func (l launches) after(n frameworks.Node) error {
	for _, name := range l.pod(n.Pod).After {
		for _, m := range l.nodes {
			if m.Pod == name && m.Arrived == 0 && m.Goal != frameworks.GoalLeave && !m.Excused {
				return fmt.Errorf("%s is launched before %s has arrived", n.Name, m.Name)
			}
		}
	}
	return nil
}

func (l launches) together(n frameworks.Node, actions []scheduler.Action) error {
	key := l.s.Name + "/pod/" + n.Pod
	record, err := recorded[struct{ Deployed bool }](remembered(l.view, actions, key)[key])
	if !l.pod(n.Pod).Together || err == nil && record.Deployed {
		return nil
	}
	return fmt.Errorf("%s is launched before all of pod %s have their places", n.Name, n.Pod)
}

func (l launches) alone(n frameworks.Node) error {
	if p := l.pod(n.Pod); !p.Serial && p.Join == nil {
		return nil
	}
	for _, m := range l.nodes {
		if m.Pod != n.Pod || m.Name == n.Name || m.Arrived == m.Generation || m.Excused {
			continue
		}
		task, known := l.view.Task(fmt.Sprintf("%s.%s.%d", l.s.Name, m.Name, m.Incarnation))
		// One that was there, or is not waited for, does not wait for who comes after it.
		now := l.tasks[m.Name] && n.Arrived != n.Generation && !n.Excused
		if now || known && !scheduler.Terminal(task.Status.GetState()) {
			return fmt.Errorf("%s is launched while %s starts, which has not arrived", n.Name, m.Name)
		}
	}
	return nil
}
