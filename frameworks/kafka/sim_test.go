package kafka

import (
	"fmt"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/simtest"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// simulated is a cluster of three brokers under faults, with brokers that
// serve while they run.
func simulated() mesostest.SimConfig {
	c := simtest.Config(Cluster{
		Name: "events", Brokers: 3, Distribution: Distribution{Java: "/usr/bin/java", Classpath: "/opt/kafka/libs/*"},
		Binary: frameworks.Binary{Path: "/opt/mesos-kafka"}, RackAttribute: "rack",
	}.Service())
	f := &c.Frameworks[0]
	f.Task = func(_ mesos.TaskInfo, luck uint64) mesostest.TaskPlan {
		return mesostest.TaskPlan{
			Start: time.Duration(luck%9000) * time.Millisecond, Ready: time.Second, Stop: time.Duration(luck%7000) * time.Millisecond,
		}
	}
	f.Operator = func(pick uint16) any {
		node := fmt.Sprint("broker-", pick%4)
		switch pick >> 4 % 4 {
		case 0:
			return frameworks.ReplaceNode{Node: node, Force: true}
		case 1:
			return frameworks.ScalePod{Pod: "broker", Count: 4}
		}
		return frameworks.RestartNode{Node: node}
	}
	return c
}

func TestSimulated(t *testing.T) {
	t.Parallel()
	mesostest.Simulate(t, 10_000, simulated())
}

func TestSimulatedForLong(t *testing.T) { mesostest.SoakTest(t, simulated) }
