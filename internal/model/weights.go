package model

import (
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
