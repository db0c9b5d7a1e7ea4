package main

import (
	"testing"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/cassandra"
	"github.com/mesokit/mesokit/frameworks/hdfs"
	"github.com/mesokit/mesokit/frameworks/kafka"
	"github.com/mesokit/mesokit/frameworks/mysql"
	"github.com/mesokit/mesokit/frameworks/simtest"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// simulated has the four services on the agents of the test with real servers.
// Gates pass while their nodes run: models of the servers are for the tests of
// their packages.
func simulated() mesostest.SimConfig {
	declared := servers{
		Kafka:     kafka.Distribution{Java: "/usr/bin/java", Classpath: "/opt/kafka/libs/*"},
		Cassandra: cassandra.Distribution{Java: "/usr/bin/java", Classpath: "/opt/cassandra/lib/*", Jolokia: "/opt/jolokia.jar"},
		HDFS:      hdfs.Distribution{Java: "/usr/bin/java", Classpath: "/opt/hadoop/share/*"},
		MySQL:     mysql.Distribution{Dir: "/opt/mysql"},
		ZooKeeper: "127.0.0.1:2181", AdminHash: mysql.Hash("a password"),
	}.services()
	for _, s := range declared {
		s.Binary = frameworks.Binary{Path: "/opt/together"}
	}
	c := simtest.ServicesConfig(&frameworks.Services{Declared: declared})
	c.Agents = agents()
	return c
}

func TestSimulated(t *testing.T) {
	t.Parallel()
	mesostest.Simulate(t, 1_000, simulated())
}

func TestSimulatedForLong(t *testing.T) { mesostest.SoakTest(t, simulated) }
