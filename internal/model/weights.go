package model

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// SetWeights changes the weights of the roles that are named: their shares
// relate as their weights.
type SetWeights struct{ Weights []mesos.WeightInfo }

func (SetWeights) operatorRequest() {}

// setWeights checks and sets weights (src/master/weights_handler.cpp). If a
// role in use is among them, all offers are taken back, for the next round to
// make by the new weights.
func (m *Master) setWeights(r SetWeights) {
	fail := func(format string, args ...any) {
		m.do(Reply{statusBadRequest, "Failed to validate update weights request JSON" + fmt.Sprintf(format, args...)})
	}
	inUse := map[string]bool{}
	for _, f := range m.frameworks {
		for _, role := range f.roles {
			inUse[role] = true
		}
	}
	for i := range r.Weights {
		role := strings.TrimSpace(r.Weights[i].GetRole())
		if err := validateRole(role); err != nil {
			fail(": Invalid role '%s': %s", role, err)
			return
		}
		if w := r.Weights[i].Weight; !(w > 0) {
			fail(" for role '%s': Invalid weight '%v': Weights must be positive", role, w)
			return
		}
	}
	m.do(Reply{Status: statusOK})
	used := false
	for i := range r.Weights {
		role := strings.TrimSpace(r.Weights[i].GetRole())
		m.registry.Weights[role] = r.Weights[i].Weight
		used = used || inUse[role]
	}
	if used {
		for _, a := range slices.Clone(m.order) {
			m.rescindAgent(a)
		}
	}
}

// Weights returns the weights that were set, by role.
func (m *Master) Weights() []mesos.WeightInfo {
	var out []mesos.WeightInfo
	for _, role := range sortedKeys(m.registry.Weights) {
		out = append(out, mesos.WeightInfo{Role: &role, Weight: m.registry.Weights[role]})
	}
	return out
}

// sortedRoles ranks the roles that want offers, the one to be served next
// first: level by level of the hierarchy, by the share that a role has
// together with those below it, divided by its weight.
func (s *shares) sortedRoles() []string {
	if s.roleOrder != nil {
		return s.roleOrder
	}
	below := map[string]map[string]int64{} // by node of the tree, all that is held there
	for role, have := range s.byRole {
		for _, node := range nodes(role) {
			if below[node] == nil {
				below[node] = map[string]int64{}
			}
			for name, v := range have {
				below[node][name] += v
			}
		}
	}
	share := func(node string) float64 { return s.dominant(below[node]) / cmp.Or(s.weights[node], 1) }
	path := map[string][]string{}
	for r := range s.roles {
		path[r] = nodes(r)
	}
	s.roleOrder = sortedKeys(s.roles)
	slices.SortStableFunc(s.roleOrder, func(a, b string) int {
		x, y := path[a], path[b]
		for i := range min(len(x), len(y)) {
			if x[i] != y[i] {
				return cmp.Or(cmp.Compare(share(x[i]), share(y[i])), cmp.Compare(x[i], y[i]))
			}
		}
		return 0
	})
	return s.roleOrder
}

// nodes is the way from the root of the hierarchy to a role. A role that has
// others below it competes with them by what it holds itself, as the leaf "."
// (src/master/allocator/mesos/sorter/drf/sorter.cpp), and so weighs 1 there.
func nodes(role string) []string {
	var out []string
	for i, c := range role {
		if c == '/' {
			out = append(out, role[:i])
		}
	}
	return append(out, role, role+"/.")
}
