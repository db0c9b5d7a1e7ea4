package main

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// simulated is the policy under faults, with an executor that answers with the
// log: it comes to its end, whatever is lost on the way.
func simulated() mesostest.SimConfig {
	return mesostest.SimConfig{Frameworks: []mesostest.SimFramework{{
		Name: "supervised", Handler: policy{"/opt/supervised"},
		Task: func(_ mesos.TaskInfo, luck uint64) mesostest.TaskPlan {
			return mesostest.TaskPlan{Start: time.Duration(luck%4000) * time.Millisecond, Ready: time.Second, Stop: time.Second}
		},
		Hear: func(_ *mesostest.World, task mesostest.SimTask, data []byte) [][]byte {
			m, err := executor.DecodeMessage(data)
			request, ok := m.(executor.Request)
			if err != nil || !ok || request.Task != task.Info.TaskID.Value {
				return nil
			}
			answer, err := executor.EncodeMessage(executor.Response{ID: request.ID, Task: request.Task, Parts: 1, Body: json.RawMessage("GET /")})
			if err != nil {
				return nil
			}
			return [][]byte{answer}
		},
		Goal: func(scheduler.View, *mesostest.World) error { return errors.New("it has not ended") },
	}}}
}

func TestSimulated(t *testing.T) {
	t.Parallel()
	mesostest.Simulate(t, 5_000, simulated())
}

func TestSimulatedForLong(t *testing.T) { mesostest.SoakTest(t, simulated) }
