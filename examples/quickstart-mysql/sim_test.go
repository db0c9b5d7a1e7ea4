package main

import (
	"testing"

	"github.com/mesokit/mesokit/frameworks/simtest"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// simulated has no model of what is replicated, which is for the tests of package
// mysql: here nobody is ever promoted, and members only come and go.
func simulated() mesostest.SimConfig {
	c := cluster("", "/opt/mysql")
	c.Binary.Path = "/opt/quickstart"
	return simtest.Config(c.Service())
}

func TestSimulated(t *testing.T) {
	t.Parallel()
	mesostest.Simulate(t, 3_000, simulated())
}

func TestSimulatedForLong(t *testing.T) { mesostest.SoakTest(t, simulated) }
