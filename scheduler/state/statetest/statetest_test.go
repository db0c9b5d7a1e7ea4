package statetest_test

import (
	"testing"

	"github.com/mesokit/mesokit/scheduler/state"
	"github.com/mesokit/mesokit/scheduler/state/statetest"
)

func TestRun(t *testing.T) {
	t.Parallel()
	statetest.Run(t, func(*testing.T) statetest.Place {
		m := state.NewMemory()
		return statetest.Place{Open: func() (state.Store, error) { return m.Open(), nil }}
	})
}
