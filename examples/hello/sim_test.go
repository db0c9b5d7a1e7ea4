package main

import (
	"testing"

	"github.com/mesokit/mesokit/frameworks/simtest"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// The service under faults: servers die, machines go away, the scheduler
// crashes, and once that has stopped all three serve again.
func TestSimulated(t *testing.T) {
	t.Parallel()
	mesostest.Simulate(t, 5_000, simtest.Config(hello()))
}

func TestSimulatedForLong(t *testing.T) {
	mesostest.SoakTest(t, func() mesostest.SimConfig { return simtest.Config(hello()) })
}
