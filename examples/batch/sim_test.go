package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// simulated is a batch under faults: every task comes to a good end once, no
// two attempts at one run side by side, and then the framework ends.
func simulated() mesostest.SimConfig {
	return mesostest.SimConfig{Frameworks: []mesostest.SimFramework{{
		Name: "batch", Handler: batch{count: 200, command: "true", needs: offers.MustParse("cpus:2;mem:512")},
		Node: func(task mesos.TaskInfo) string {
			index, _, _ := strings.Cut(task.TaskID.Value, ".")
			return index
		},
		Task: func(_ mesos.TaskInfo, luck uint64) mesostest.TaskPlan {
			return mesostest.TaskPlan{Run: time.Duration(1+luck%60) * time.Second}
		},
		Goal: func(scheduler.View, *mesostest.World) error { return errors.New("the batch has not ended") },
	}}}
}

func TestSimulated(t *testing.T) {
	t.Parallel()
	mesostest.Simulate(t, 10_000, simulated())
}

func TestSimulatedForLong(t *testing.T) { mesostest.SoakTest(t, simulated) }
