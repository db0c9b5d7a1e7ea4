package main

import (
	"testing"

	"github.com/mesokit/mesokit/frameworks/simtest"
	"github.com/mesokit/mesokit/internal/dist"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// simulated has no model of a namespace, which is for the tests of package hdfs:
// here the nodes' gates pass while they run.
func simulated() mesostest.SimConfig {
	c := cluster(dist.Distribution{Dir: "/opt/hadoop", Jars: []string{"/opt/hadoop/hdfs.jar"}, Java: "/usr/bin/java"}, "127.0.0.1:2181")
	c.Binary.Path = "/opt/quickstart"
	return simtest.Config(c.Service())
}

func TestSimulated(t *testing.T) {
	t.Parallel()
	mesostest.Simulate(t, 3_000, simulated())
}

func TestSimulatedForLong(t *testing.T) { mesostest.SoakTest(t, simulated) }
