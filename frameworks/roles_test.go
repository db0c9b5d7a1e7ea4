package frameworks

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// An operator reserved agents for a role above the service's: what it takes of
// them is reserved further, for itself, and goes back to that role.
func TestReservationsOfARoleAboveAreRefined(t *testing.T) {
	t.Parallel()
	s := versionedService(2)
	s.Role = "eng/db"
	w := newWorld(t, s, 2, "cpus(eng):4;mem(eng):4096;disk(eng):10000;ports(eng):[31000-31099]")
	w.until(time.Minute, "ready", w.allReady(2))
	for _, n := range w.status().Nodes {
		for _, r := range n.Place.Resources {
			if assert.Len(t, r.Reservations, 2, "%s: %v", n.Name, r) {
				assert.Equal(t, "eng", r.Reservations[0].GetRole())
				assert.Equal(t, "eng/db", r.Reservations[1].GetRole())
			}
		}
	}
	assert.EqualValues(t, 2000, w.refined("disk"))
	w.do(Uninstall{})
	w.until(time.Hour, "uninstalled", w.tornDown())
	assert.Zero(t, w.refined("disk"))
	assert.EqualValues(t, 20000, w.reserved("disk"), "what was eng's is eng's again")
}

// refined is how much of a scalar is reserved for a role under another.
func (w *world) refined(name string) float64 {
	sum := 0.0
	for _, a := range w.master.GetAgents().Agents {
		for _, r := range a.TotalResources {
			if r.Name == name && len(r.Reservations) > 1 {
				sum += r.GetScalar().GetValue()
			}
		}
	}
	return sum
}
