package scheduler_test

import (
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/state"
)

// savedTask is what a machine saves of a task with limits, whose protobuf
// encoding has no fixed order.
func savedTask(t *testing.T) []state.Record {
	handler := scheduler.HandlerFunc(func(v scheduler.View, _ scheduler.Event) []scheduler.Action {
		for o := range v.Offers() {
			accept := launch(o, "t")
			accept.Operations[0].Launch.TaskInfos[0].Limits = map[string]mesos.Value_Scalar{"mem": {Value: 64}, "cpus": {Value: 2.5}}
			return []scheduler.Action{accept}
		}
		return nil
	})
	m, err := scheduler.NewMachine(handler, []byte("seed"), nil)
	require.NoError(t, err)
	now := time.Unix(1_800_000_000, 0).UTC()
	records := m.Step(now, scheduler.Subscribed{FrameworkID: "fw"}).Save
	return append(records, m.Step(now, scheduler.Offered{Offers: []mesos.Offer{offer("o1", "a1")}}).Save...)
}

func TestMachineSavesEqualBytes(t *testing.T) {
	t.Parallel()
	first := savedTask(t)
	for range 50 {
		require.Equal(t, first, savedTask(t))
	}
	m, err := scheduler.NewMachine(scheduler.HandlerFunc(launchOne), nil, first)
	require.NoError(t, err)
	m.Look(func(v scheduler.View) {
		task, ok := v.Task("t")
		require.True(t, ok)
		assert.InDelta(t, 2.5, task.Info.Limits["cpus"].Value, 0)
		assert.InDelta(t, 64, task.Info.Limits["mem"].Value, 0)
	})
}

func TestMachineRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		edit func(records []state.Record) []state.Record
		want string
	}{
		{"another program's key", func(r []state.Record) []state.Record {
			return append(r, state.Record{Key: "zoo", Value: []byte("x")})
		}, `record "zoo"`},
		{"a newer format", func(r []state.Record) []state.Record {
			r[1].Version = 7
			return r
		}, "newer release"},
		{"a task without status", func(r []state.Record) []state.Record { return r[:2] }, `has no record "status/t"`},
		{"a status without task", func(r []state.Record) []state.Record { return append(r[:1:1], r[2]) }, `has no record "task/t"`},
		{"a damaged identity", damage(0, "{"), `record "identity"`},
		{"a damaged task", damage(1, "{"), `record "task/t"`},
		{"a task that is no protobuf", damage(1, `{"info":"/////w=="}`), `record "task/t"`},
		{"a damaged status", damage(2, "{"), `record "status/t"`},
		{"a status that is no protobuf", damage(2, `{"status":"/////w=="}`), `record "status/t"`},
		{"a damaged operation", func(r []state.Record) []state.Record {
			return append(r, state.Record{Key: "operation/x", Value: []byte("{")})
		}, `record "operation/x"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := scheduler.NewMachine(scheduler.HandlerFunc(launchOne), nil, c.edit(savedTask(t)[:3]))
			require.Error(t, err)
			assert.Contains(t, err.Error(), c.want)
			assert.True(t, strings.HasPrefix(err.Error(), "scheduler: "), err)
		})
	}
	_, err := scheduler.NewMachine(nil, nil, nil)
	require.ErrorContains(t, err, "the handler is nil")
}

func damage(i int, value string) func([]state.Record) []state.Record {
	return func(records []state.Record) []state.Record {
		records[i].Value = []byte(value)
		return records
	}
}

// TestMachineRefusesATaskThatCannotBeSent holds that a fault of the handler is
// noted and harms nothing.
func TestMachineRefusesATaskThatCannotBeSent(t *testing.T) {
	t.Parallel()
	m, err := scheduler.NewMachine(scheduler.HandlerFunc(func(v scheduler.View, _ scheduler.Event) []scheduler.Action {
		for o := range v.Offers() {
			accept := launch(o, "t")
			accept.Operations[0].Launch.TaskInfos[0].Resources = []mesos.Resource{{Name: "cpus"}} // has no type
			return []scheduler.Action{accept}
		}
		return nil
	}), []byte("seed"), nil)
	require.NoError(t, err)
	m.Step(time.Unix(1, 0), scheduler.Subscribed{FrameworkID: "fw"})
	e := m.Step(time.Unix(1, 0), scheduler.Offered{Offers: []mesos.Offer{offer("o1", "a1")}})
	assert.Empty(t, e.Save)
	require.Len(t, e.Note, 1)
	assert.Equal(t, "accept refused", e.Note[0].Text)
	require.Len(t, e.Send, 1)
	assert.Equal(t, "o1", e.Send[0].Decline.OfferIDs[0].Value)
}
