package main

import (
	"testing"

	"github.com/mesokit/mesokit/frameworks/simtest"
	"github.com/mesokit/mesokit/internal/dist"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

func simulated() mesostest.SimConfig {
	c := cluster(dist.Distribution{Dir: "/opt/kafka", Jars: []string{"/opt/kafka/libs/kafka.jar"}, Java: "/usr/bin/java"})
	c.Binary.Path = "/opt/quickstart"
	return simtest.Config(c.Service())
}

func TestSimulated(t *testing.T) {
	t.Parallel()
	mesostest.Simulate(t, 5_000, simulated())
}

func TestSimulatedForLong(t *testing.T) { mesostest.SoakTest(t, simulated) }
