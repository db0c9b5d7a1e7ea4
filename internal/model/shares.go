package model

import (
	"cmp"
	"slices"
)

// shares ranks roles and frameworks by their dominant share of the cluster.
//
// Who wants offers is known at once; the sums are made when somebody is to get
// one.
type shares struct {
	m          *Master // nil once the sums are made
	total      map[string]int64
	roles      map[string][]*framework // that want offers
	byRole     map[string]map[string]int64
	byClient   map[filterKey]map[string]int64 // role and framework ID
	weights    map[string]float64
	roleOrder  []string // cached; nil when out of date
	frameOrder map[string][]*framework
}

func (m *Master) newShares() *shares {
	s := &shares{m: m, roles: map[string][]*framework{}, weights: m.registry.Weights}
	for _, f := range m.framesInOrder() {
		if f.stream == "" {
			continue
		}
		for _, r := range f.roles {
			if !f.suppressed[r] {
				s.roles[r] = append(s.roles[r], f)
			}
		}
	}
	return s
}

// sum adds up who holds what, once.
func (s *shares) sum() {
	if s.m == nil {
		return
	}
	m := s.m
	s.m = nil
	s.total, s.byRole, s.byClient = map[string]int64{}, map[string]map[string]int64{}, map[filterKey]map[string]int64{}
	s.frameOrder = map[string][]*framework{}
	for _, a := range m.order {
		a.total.scalars(s.total, 1)
		for _, o := range a.offers {
			s.count(o.framework.id, o.role, o.resources)
		}
		for _, t := range a.tasks {
			s.count(t.framework, t.role, t.held)
		}
		for key, e := range a.executors {
			s.count(key.framework, e.role, e.resources)
		}
	}
}

func (s *shares) count(framework, role string, rs Resources) {
	if s.byRole[role] == nil {
		s.byRole[role] = map[string]int64{}
	}
	rs.scalars(s.byRole[role], 1)
	key := filterKey{role, framework}
	if s.byClient[key] == nil {
		s.byClient[key] = map[string]int64{}
	}
	rs.scalars(s.byClient[key], 1)
}

func (s *shares) add(f *framework, role string, rs Resources) {
	s.count(f.id, role, rs)
	s.roleOrder = nil
	delete(s.frameOrder, role)
}

// dominant is the largest fraction of any resource.
func (s *shares) dominant(have map[string]int64) float64 {
	most := 0.0
	for name, v := range have {
		if t := s.total[name]; t > 0 {
			most = max(most, float64(v)/float64(t))
		}
	}
	return most
}

func (s *shares) sortedFrameworks(role string) []*framework {
	s.sum()
	if order, ok := s.frameOrder[role]; ok {
		return order
	}
	share := map[*framework]float64{}
	for _, f := range s.roles[role] {
		share[f] = s.dominant(s.byClient[filterKey{role, f.id}])
	}
	order := slices.Clone(s.roles[role])
	slices.SortStableFunc(order, func(a, b *framework) int { return cmp.Compare(share[a], share[b]) })
	s.frameOrder[role] = order
	return order
}

// sortedRoles ranks the roles that want offers, the one to be served next
// first: level by level of the hierarchy, by the share that a role has
// together with those below it, divided by its weight.
func (s *shares) sortedRoles() []string {
	s.sum()
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
