package mesostest

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func ringConfig(r ring) SimConfig {
	return SimConfig{Frameworks: []SimFramework{ringFramework(r)}, Rules: []Rule{gateHolds(r.name)}}
}

func requireSound(t *testing.T, s *Sim) {
	t.Helper()
	err := s.Run()
	var f *Finding
	if errors.As(err, &f) {
		t.Fatalf("%v\n%s", err, f.Text())
	}
	require.NoError(t, err)
}

func TestSimCalm(t *testing.T) {
	t.Parallel()
	c := ringConfig(ring{name: "ring", nodes: 3})
	c.Rates = Rates{}
	s := NewSim(1, c)
	requireSound(t, s)
	t.Log(s.Coverage())
}

func TestSimStorm(t *testing.T) {
	t.Parallel()
	var all Coverage
	for seed := range uint64(20) {
		s := NewSim(seed, ringConfig(ring{name: "ring", nodes: 3}))
		requireSound(t, s)
		all.Add(s.Coverage())
	}
	t.Log(all)
}

// Each kind of fault alone.
func TestSimEveryKind(t *testing.T) {
	t.Parallel()
	for k := range FaultKind(faultKinds) {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel()
			c := ringConfig(ring{name: "ring", nodes: 3})
			c.Rates = Rates{TaskDies: 60, AgentWiped: 60, AgentCut: 20, k: 60}
			struck := uint64(0)
			for seed := uint64(1); struck == 0; seed++ {
				require.Less(t, seed, uint64(20), "it strikes")
				s := NewSim(seed, c)
				requireSound(t, s)
				struck = s.Coverage().Faults[k]
			}
		})
	}
}

func TestSimSoak(t *testing.T) { SoakTest(t, ringConfig(ring{name: "ring", nodes: 3})) }
