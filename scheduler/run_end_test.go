package scheduler_test

import (
	"errors"
	"net/http"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/state"
)

func TestRunEndsWhenTheMasterRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		code  int
		body  string
		event string
		want  error
		text  string
	}{
		{name: "unauthorized", code: 401, body: "401 Unauthorized.", want: scheduler.ErrRefused, text: "Config.Credential"},
		{name: "forbidden", code: 403, want: scheduler.ErrRefused, text: "ACL"},
		{name: "invalid", code: 400, body: "does not match principal", want: scheduler.ErrRefused, text: "does not match principal"},
		{name: "no master", code: 404, want: scheduler.ErrRefused, text: "address of a Mesos master"},
		{name: "role", event: "'FrameworkInfo.roles' contains invalid role", want: scheduler.ErrRefused, text: "invalid role"},
		{name: "removed", event: "Framework has been removed", want: scheduler.ErrRemoved, text: "RegisterAnew"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := newMaster(t)
			m.replies(func(*http.Request, *sched.Call) (int, string, string) { return c.code, c.body, "" })
			r := start(t, scheduler.Config{Master: m.address(), Handler: scheduler.HandlerFunc(launchOne)})
			if c.event != "" {
				m.stream().send(errorEvent(c.event))
			}
			err := r.end()
			require.ErrorIs(t, err, c.want)
			assert.ErrorContains(t, err, c.text)
		})
	}
}

func TestRunEndsWhenTheMasterIsTooOld(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	r := start(t, scheduler.Config{Master: m.address(), Handler: scheduler.HandlerFunc(launchOne)})
	version, ev := "1.3.2", subscribedEvent("fw-1", 15)
	ev.Subscribed.MasterInfo = &mesos.MasterInfo{ID: "m", Version: &version, Port: new(uint32)}
	m.stream().send(ev)
	err := r.end()
	require.ErrorIs(t, err, scheduler.ErrRefused)
	assert.ErrorContains(t, err, "Mesos 1.3.2")
}

func TestRunEndsWhenFailedOver(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	r := start(t, scheduler.Config{Master: m.address(), Handler: scheduler.HandlerFunc(launchOne)})
	m.subscribed().send(errorEvent("Framework failed over"))
	require.ErrorIs(t, r.end(), scheduler.ErrFailedOver)
	assert.Empty(t, m.streams, "it must not subscribe again")
}

func TestRunEndsWhenTheStoreFails(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	r := start(t, scheduler.Config{Master: m.address(), Handler: scheduler.HandlerFunc(launchOne),
		Store: spy{state.NewMemory(), func(batch []state.Record) error {
			if len(batch) > 1 {
				return errors.New("the disk is full")
			}
			return nil
		}}})
	m.subscribed().send(offersEvent(offer("o1", "a1")))
	assert.ErrorContains(t, r.end(), "the disk is full")
	assert.Empty(t, m.calls, "nothing leaves that was not saved")
}

func TestRunLeavesAPanicAlone(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	store := state.NewMemory()
	caught := make(chan any, 1)
	go func() {
		defer func() { caught <- recover() }()
		err := scheduler.Run(t.Context(), scheduler.Config{
			Master: m.address(), Store: store, Framework: mesos.FrameworkInfo{Name: "test"},
			Logger: quiet(),
			Handler: scheduler.HandlerFunc(func(_ scheduler.View, ev scheduler.Event) []scheduler.Action {
				if _, ok := ev.(scheduler.Offered); ok {
					panic("a fault of the policy")
				}
				return nil
			}),
		})
		t.Errorf("Run returned %v", err)
	}()
	m.subscribed().send(offersEvent(offer("o1", "a1")))
	assert.Equal(t, "a fault of the policy", <-caught)
	assert.Empty(t, m.calls)
	_, err := store.Open().Load(t.Context())
	require.NoError(t, err)
}

func TestRunTearsDown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		reply int
	}{{"taken", 0}, {"taken, and the reply lost", http.StatusInternalServerError}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := newMaster(t)
			store := state.NewMemory()
			m.replies(func(_ *http.Request, call *sched.Call) (int, string, string) {
				if call.Type == sched.Call_TEARDOWN {
					return c.reply, "", ""
				}
				return 0, "", ""
			})
			r := start(t, scheduler.Config{Master: m.address(), Store: store,
				Handler: scheduler.HandlerFunc(func(v scheduler.View, ev scheduler.Event) []scheduler.Action {
					if _, ok := ev.(scheduler.Offered); ok {
						return append(launchOne(v, ev), scheduler.Teardown{})
					}
					return nil
				})})
			s := m.subscribed()
			s.send(offersEvent(offer("o1", "a1")))
			if c.reply != 0 {
				m.call(sched.Call_ACCEPT)
				s.cut("")
				m.stream().send(errorEvent("Framework has been removed"))
			}
			require.NoError(t, r.end())
			records, err := store.Open().Load(t.Context())
			require.NoError(t, err)
			assert.Empty(t, records, "nothing is left of a framework that was torn down")
		})
	}
}
