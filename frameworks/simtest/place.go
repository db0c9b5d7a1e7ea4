package simtest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/scheduler"
)

// change is a node as it was remembered before a decision and as it is after it;
// before is zero where it is new.
type change struct{ before, after frameworks.Node }

// changes are those of nodes that a decision remembers, in its order.
func changes(s *frameworks.Service, v scheduler.View, actions []scheduler.Action) (out []change, err error) {
	for _, a := range actions {
		r, ok := a.(scheduler.Remember)
		if !ok || r.Value == nil || !strings.HasPrefix(r.Key, s.Name+"/node/") {
			continue
		}
		var c change
		if before, known := v.Record(r.Key); known {
			if c.before, err = recorded[frameworks.Node](before); err != nil {
				return nil, fmt.Errorf("%s: %w", r.Key, err)
			}
		}
		if c.after, err = recorded[frameworks.Node](r.Value); err != nil {
			return nil, fmt.Errorf("%s: %w", r.Key, err)
		}
		out = append(out, c)
	}
	return out, nil
}

// inPlace says what a decision places against the rules of its pod, as package
// constraints reads them: there has to be an order in which each of the new places
// is allowed beside all that were there.
func inPlace(s *frameworks.Service, v scheduler.View, actions []scheduler.Action, made []change) error {
	fresh := map[string]bool{}
	for _, c := range made {
		if c.after.Place != nil && (c.before.Place == nil || c.before.Generation != c.after.Generation) {
			fresh[c.after.Name] = true
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	var placed, rest []frameworks.Node
	records := remembered(v, actions, s.Name+"/node/")
	for _, key := range slices.Sorted(maps.Keys(records)) {
		n, err := recorded[frameworks.Node](records[key])
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", key, err)
		case fresh[n.Name]:
			rest = append(rest, n)
		case n.Place != nil:
			placed = append(placed, n)
		}
	}
	for len(rest) > 0 {
		var refused []error
		i := slices.IndexFunc(rest, func(n frameworks.Node) bool {
			err := allowed(s, v, actions, n, placed)
			refused = append(refused, err)
			return err == nil
		})
		if i < 0 {
			return errors.Join(refused...)
		}
		placed, rest = append(placed, rest[i]), slices.Delete(rest, i, i+1)
	}
	return nil
}

// allowed says why a node may not have its place beside others.
func allowed(s *frameworks.Service, v scheduler.View, actions []scheduler.Action, n frameworks.Node, placed []frameworks.Node) error {
	i := podOf(s, n.Name)
	if i < 0 || s.Pods[i].Place.IsZero() {
		return nil
	}
	key := s.Name + "/pod/" + n.Pod
	pod, err := recorded[struct {
		Count int `json:"count"`
	}](remembered(v, actions, key)[key])
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	rules := s.Pods[i].Place.Placement()
	rules.Want(max(pod.Count, 1))
	for _, m := range placed {
		if m.Pod == n.Pod {
			rules.Place(agentOf(m.Place))
		} else {
			rules.PlaceOther(m.Pod, agentOf(m.Place))
		}
	}
	if broken, ok := rules.Check(agentOf(n.Place)); !ok {
		return fmt.Errorf("%s is placed on %s, against its pod's rules: %s", n.Name, n.Place.Hostname, broken)
	}
	return nil
}

func agentOf(p *frameworks.Place) constraints.Agent {
	return constraints.AgentOf(p.Hostname, p.Attributes, p.Domain)
}
