package executor

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func label(key, value string) mesos.Label { return mesos.Label{Key: key, Value: &value} }

// racks is a decorator that knows the place of a task.
var racks = Decorator{
	Task: func(info mesos.TaskInfo) ([]mesos.Label, map[string]string) {
		return []mesos.Label{label("rack", "r1")}, map[string]string{"RACK": "r1", "ID": info.TaskID.Value}
	},
	Status: func(_ mesos.TaskInfo, s mesos.TaskStatus) []mesos.Label {
		return []mesos.Label{label("was", s.GetState().String())}
	},
}

var broken = Decorator{
	Status: func(mesos.TaskInfo, mesos.TaskStatus) []mesos.Label { panic("no status") },
	Task:   func(mesos.TaskInfo) ([]mesos.Label, map[string]string) { panic("no task") },
}

func TestDecoratedInTheExecutor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testEnvironment())
	later := Decorator{Task: func(mesos.TaskInfo) ([]mesos.Label, map[string]string) { return nil, map[string]string{"RACK": "r2"} }}
	w.core.decorators = decorators{all: []Decorator{{}, racks, later}}
	w.up()
	info := goodTask("t")
	info.Data = []byte(`{"command":["server"],"env":{"RACK":"r0","A":"b"}}`)
	eff := w.step(launched{[]mesos.TaskInfo{info}})
	require.Len(t, eff.start, 1)
	assert.Equal(t, map[string]string{"A": "b", "ID": "t", "RACK": "r2"}, eff.start[0].spec.Env)
	for _, state := range []mesos.TaskState{mesos.TASK_RUNNING, mesos.TASK_FAILED} {
		got := w.step(is("t", state)).send[0].Update.Status.Labels.Labels
		assert.Equal(t, []mesos.Label{label("rack", "r1"), label("was", state.String())}, got)
	}
	restored := newWorld(t, testEnvironment())
	restored.core.decorators = w.core.decorators
	saved := &executor.Call_Subscribe{UnacknowledgedTasks: []mesos.TaskInfo{info}}
	failed := restored.step(begin{saved}).subscribe.Subscribe.UnacknowledgedUpdates[0].Status
	assert.Equal(t, []mesos.Label{label("rack", "r1"), label("was", "TASK_FAILED")}, failed.Labels.Labels)
	assert.Equal(t, info, w.core.saved().UnacknowledgedTasks[0], "the agent knows it as it came")
}

func TestBrokenDecorators(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	w := newWorld(t, testEnvironment())
	w.core.decorators = decorators{[]Decorator{broken}, slog.New(slog.NewTextHandler(&log, nil))}
	w.up()
	status := w.step(launched{[]mesos.TaskInfo{goodTask("t")}}).send[0].Update.Status
	assert.Equal(t, mesos.TASK_ERROR, status.GetState())
	assert.Equal(t, "task t: decorate t: panic: no task", status.GetMessage())
	assert.Contains(t, log.String(), "no status", "the status went all the same")
}

func TestDecorate(t *testing.T) {
	t.Parallel()
	old, command := "r0", "server"
	shell := mesos.TaskInfo{
		TaskID: mesos.TaskID{Value: "t"},
		Labels: &mesos.Labels{Labels: []mesos.Label{label("a", "b")}},
		Command: &mesos.CommandInfo{Value: &command, Environment: &mesos.Environment{
			Variables: []mesos.Environment_Variable{{Name: "RACK", Value: &old}, {Name: "A", Value: &old}},
		}},
	}
	before, err := shell.Marshal()
	require.NoError(t, err)
	got, err := Decorate(shell, racks)
	require.NoError(t, err)
	assert.Equal(t, []mesos.Label{label("a", "b"), label("rack", "r1")}, got.Labels.Labels)
	env := map[string]string{}
	for _, v := range got.Command.Environment.Variables {
		env[v.Name] = v.GetValue()
	}
	assert.Equal(t, map[string]string{"A": "r0", "ID": "t", "RACK": "r1"}, env)
	assert.Len(t, got.Command.Environment.Variables, 3)
	after, err := shell.Marshal()
	require.NoError(t, err)
	assert.Equal(t, before, after)

	supervised := goodTask("t")
	got, err = Decorate(supervised, racks, Decorator{})
	require.NoError(t, err)
	task, err := ParseTask(got.Data)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"ID": "t", "RACK": "r1"}, task.Env)
	plain, err := Decorate(supervised)
	require.NoError(t, err)
	assert.Equal(t, supervised, plain)

	_, err = Decorate(mesos.TaskInfo{TaskID: mesos.TaskID{Value: "t"}, Data: json.RawMessage("{}")}, racks)
	assert.ErrorContains(t, err, "decorate t: command is empty")
	_, err = Decorate(supervised, broken)
	assert.EqualError(t, err, "decorate t: panic: no task")
}
