package mesostest

import (
	"errors"
	"slices"
	"testing"
)

// MustFind proves that rules can fail: it simulates what has a fault on purpose,
// one seed after the other from the first on, until one of the rules named is
// broken. The test fails where another rule is broken before, or where so many
// steps were taken and none is.
func MustFind(t testing.TB, first, steps uint64, config func(seed uint64) SimConfig, rules ...string) *Finding {
	t.Helper()
	var taken uint64
	for seed := first; taken < steps; seed++ {
		sim := NewSim(seed, config(seed))
		err := sim.Replay(sim.Script())
		taken += sim.coverage.Steps
		var found *Finding
		switch {
		case err == nil:
			continue
		case !errors.As(err, &found):
			t.Fatal(err)
		case !slices.Contains(rules, found.Rule):
			t.Fatalf("%v\nwant a finding by one of the rules %q", found, rules)
		}
		t.Logf("found with seed %d after %d steps: %s: %s", seed, taken, found.Rule, found.Detail)
		return found
	}
	t.Fatalf("nothing was found in %d steps from seed %d: want a finding by one of the rules %q", taken, first, rules)
	return nil
}
