package scheduler_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/state"
)

func TestHealthErr(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	connected := scheduler.Status{Connected: true}
	for _, c := range []struct {
		name   string
		health scheduler.Health
		want   string // empty: it can do its work
	}{
		{"before Run", scheduler.Health{}, "does not run"},
		{"after Run", scheduler.Health{Trouble: "the disk is full"}, "does not run: the disk is full"},
		{"no master yet", scheduler.Health{Running: true, Since: since, Trouble: "dial: refused"}, "since 2026-01-02T03:04:05Z: dial: refused"},
		{"at work", scheduler.Health{Running: true, Status: connected, Busy: time.Second}, ""},
		{"stuck", scheduler.Health{Running: true, Status: connected, Busy: 31 * time.Second}, "one step for 31s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.want == "" {
				require.NoError(t, c.health.Err())
				return
			}
			require.ErrorContains(t, c.health.Err(), c.want)
		})
	}
}

// TestMonitorFollowsRun takes a scheduler through its life.
func TestMonitorFollowsRun(t *testing.T) {
	t.Parallel()
	var monitor scheduler.Monitor
	require.Error(t, monitor.Health().Err(), "nothing runs")
	until := func(what string, is func(scheduler.Health) bool) {
		t.Helper()
		require.Eventually(t, func() bool { return is(monitor.Health()) }, patience, time.Millisecond, what)
	}
	m := newMaster(t)
	m.replies(func(*http.Request, *sched.Call) (int, string, string) {
		return http.StatusServiceUnavailable, "Master has not finished recovery", ""
	})
	full, block := make(chan error, 1), make(chan struct{})
	r := start(t, scheduler.Config{
		Master: m.address(), Monitor: &monitor, Handler: scheduler.HandlerFunc(launchOne),
		Store: spy{state.NewMemory(), func(batch []state.Record) error {
			if len(batch) > 1 {
				<-block
				return <-full
			}
			return nil
		}},
	})
	until("why there is no subscription", func(h scheduler.Health) bool {
		return h.Running && !h.Connected && h.Err() != nil && h.Trouble != ""
	})
	assert.ErrorContains(t, monitor.Health().Err(), "not finished recovery")
	m.replies(func(*http.Request, *sched.Call) (int, string, string) { return 0, "", "" })
	s := m.subscribed()
	until("it can work", func(h scheduler.Health) bool { return h.Err() == nil && h.Connected && h.Reconciled && h.Trouble == "" })

	s.cut("")
	until("the subscription is gone", func(h scheduler.Health) bool { return !h.Connected && h.Trouble != "" })
	s = m.subscribed()
	until("and back", func(h scheduler.Health) bool { return h.Err() == nil })

	s.send(offersEvent(offer("o1", "a1")))
	until("a store that does not return shows", func(h scheduler.Health) bool { return h.Busy > 0 })
	full <- state.ErrFenced
	close(block)
	require.ErrorIs(t, r.end(), scheduler.ErrFailedOver)
	assert.ErrorContains(t, monitor.Health().Err(), "another scheduler")
}

func TestMonitorServes(t *testing.T) {
	t.Parallel()
	var monitor scheduler.Monitor
	ask := func() (int, map[string]any) {
		w := httptest.NewRecorder()
		monitor.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/health", nil))
		var answer map[string]any
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
		return w.Code, answer
	}
	code, answer := ask()
	assert.Equal(t, http.StatusServiceUnavailable, code)
	assert.Equal(t, "the scheduler does not run", answer["error"])

	cluster := newCluster(t, 1)
	ready := make(chan struct{}, 1024)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- scheduler.Run(ctx, scheduler.Config{
			Master: cluster.Master(), Monitor: &monitor, Framework: mesos.FrameworkInfo{Name: "test"}, Logger: quiet(),
			Handler: scheduler.HandlerFunc(launchOne),
			Observe: func(ev scheduler.Event, _ scheduler.Effects) {
				if _, ok := ev.(scheduler.Updated); ok {
					ready <- struct{}{}
				}
			},
		})
	}()
	<-ready
	code, answer = ask()
	assert.Equal(t, http.StatusOK, code)
	assert.NotContains(t, answer, "error")
	assert.Equal(t, true, answer["connected"])
	assert.InDelta(t, 1, answer["tasks"], 0)
	assert.Equal(t, "1.12.0", answer["master"].(map[string]any)["version"])
	cancel()
	require.NoError(t, <-ended)
}
