package main

import (
	"testing"

	"github.com/mesokit/mesokit/frameworks/simtest"
	"github.com/mesokit/mesokit/internal/dist"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// simulated has no model of a ring, which is for the tests of package cassandra:
// here the nodes' gates pass while they run.
func simulated() mesostest.SimConfig {
	ring := cluster(dist.Distribution{Dir: "/opt/cassandra", Jars: []string{"/opt/cassandra/lib/cassandra.jar"}, Java: "/usr/bin/java"}, "/opt/jolokia.jar")
	ring.Binary.Path = "/opt/quickstart"
	c := simtest.Config(ring.Service())
	c.Agents = agents()
	return c
}

func TestSimulated(t *testing.T) {
	t.Parallel()
	mesostest.Simulate(t, 3_000, simulated())
}

func TestSimulatedForLong(t *testing.T) { mesostest.SoakTest(t, simulated) }
