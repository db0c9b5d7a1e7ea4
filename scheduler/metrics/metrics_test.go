package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/metrics"
	"github.com/mesokit/mesokit/scheduler/state"
)

// scrape is what Prometheus reads, by metric.
func scrape(t testing.TB, m *metrics.Metrics) map[string]string {
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, w.Code)
	values := map[string]string{}
	for line := range strings.Lines(w.Body.String()) {
		line = strings.TrimSpace(line)
		if i := strings.LastIndex(line, " "); i > 0 && !strings.HasPrefix(line, "#") { // a label may hold spaces
			values[strings.TrimPrefix(line[:i], "mesokit_scheduler_")] = line[i+1:]
		}
	}
	return values
}

func TestWatchCounts(t *testing.T) {
	t.Parallel()
	m := metrics.New()
	var seen int
	c := m.Watch(scheduler.Config{Observe: func(scheduler.Event, scheduler.Effects) { seen++ }})
	offers := []mesos.OfferID{{Value: "o1"}, {Value: "o2"}}
	launch := mesos.Offer_Operation{Type: mesos.Offer_Operation_LAUNCH, Launch: &mesos.Offer_Operation_Launch{TaskInfos: make([]mesos.TaskInfo, 3)}}
	group := mesos.Offer_Operation{Type: mesos.Offer_Operation_LAUNCH_GROUP, LaunchGroup: &mesos.Offer_Operation_LaunchGroup{
		TaskGroup: mesos.TaskGroupInfo{Tasks: make([]mesos.TaskInfo, 2)}}}
	c.Observe(scheduler.Subscribed{}, scheduler.Effects{})
	c.Observe(scheduler.Offered{Offers: make([]mesos.Offer, 5)}, scheduler.Effects{
		Send:     []*sched.Call{{Type: sched.Call_ACCEPT, Accept: &sched.Call_Accept{OfferIDs: offers, Operations: []mesos.Offer_Operation{launch, group}}}},
		Declined: []scheduler.Decline{{Offers: offers, Reason: "does not fit"}, {Offers: offers[:1]}},
		Start:    []scheduler.Job{{Name: "j"}},
	})
	c.Observe(scheduler.Updated{Status: mesos.TaskStatus{State: mesos.TASK_RUNNING.Enum()}}, scheduler.Effects{
		Send: []*sched.Call{{Type: sched.Call_ACKNOWLEDGE}},
	})
	c.Observe(scheduler.JobDone{Name: "j"}, scheduler.Effects{})
	c.Observe(scheduler.JobDone{Name: "k", Err: "no ring"}, scheduler.Effects{})
	c.Observe(scheduler.Disconnected{}, scheduler.Effects{})
	got := scrape(t, m)
	for name, want := range map[string]string{
		"subscriptions_total": "1", "disconnections_total": "1", "offers_total": "5", "accepts_total": "2", "launches_total": "5",
		`declines_total{reason="does not fit"}`: "2", `declines_total{reason="none given"}`: "1",
		`updates_total{state="running"}`: "1", `calls_total{call="accept"}`: "1", `calls_total{call="acknowledge"}`: "1",
		`events_total{event="jobdone"}`: "2", "jobs_started_total": "1",
		`jobs_done_total{outcome="success"}`: "1", `jobs_done_total{outcome="failure"}`: "1",
		"running": "0", "connected": "0",
	} {
		assert.Equal(t, want, got[name], name)
	}
	assert.Equal(t, 6, seen, "the Observe that was there is called too")
}

// TestReasonsAreBounded holds that a policy which puts a name into each reason
// does not make a time series of each.
func TestReasonsAreBounded(t *testing.T) {
	t.Parallel()
	m := metrics.New()
	c := m.Watch(scheduler.Config{})
	for i := range 1000 {
		c.Observe(scheduler.Offered{}, scheduler.Effects{Declined: []scheduler.Decline{{
			Offers: make([]mesos.OfferID, 1), Reason: fmt.Sprint("no agent fits broker-", i),
		}}})
	}
	series := 0
	for name := range scrape(t, m) {
		if strings.HasPrefix(name, "declines_total") {
			series++
		}
	}
	assert.Equal(t, 51, series)
	assert.Equal(t, "950", scrape(t, m)[`declines_total{reason="other"}`])
}

// broken is a store whose disk is full.
type broken struct{ state.Store }

func (broken) Save(context.Context, []state.Record) error { return errors.New("the disk is full") }

func TestSavesAreTimed(t *testing.T) {
	t.Parallel()
	m := metrics.New()
	c := m.Watch(scheduler.Config{})
	_, err := c.Store.Load(t.Context())
	require.NoError(t, err)
	require.NoError(t, c.Store.Save(t.Context(), []state.Record{{Key: "a", Value: []byte("1")}, {Key: "b", Value: []byte("2")}}))
	got := scrape(t, m)
	assert.Equal(t, "1", got["saves_seconds_count"])
	assert.Equal(t, "2", got["saved_records_total"])

	m = metrics.New()
	require.Error(t, m.Watch(scheduler.Config{Store: broken{}}).Store.Save(t.Context(), nil))
	assert.Equal(t, "1", scrape(t, m)["save_failures_total"])
}

// TestGaugesAreOfNow runs a scheduler with no master to be found.
func TestGaugesAreOfNow(t *testing.T) {
	t.Parallel()
	m := metrics.New()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	began := make(chan struct{})
	var once sync.Once
	go func() {
		done <- scheduler.Run(ctx, m.Watch(scheduler.Config{
			Master: "127.0.0.1:1", Framework: mesos.FrameworkInfo{Name: "test"},
			Handler: scheduler.HandlerFunc(func(scheduler.View, scheduler.Event) []scheduler.Action {
				return []scheduler.Action{scheduler.Start{Job: scheduler.Job{Name: "j", Delay: time.Hour}}}
			}),
			Observe: func(scheduler.Event, scheduler.Effects) { once.Do(func() { close(began) }) },
		}))
	}()
	<-began
	got := scrape(t, m)
	assert.Equal(t, "1", got["running"])
	assert.Equal(t, "1", got["jobs"])
	assert.Equal(t, "0", got["connected"])
	cancel()
	require.NoError(t, <-done)
	assert.Equal(t, "0", scrape(t, m)["running"])
}
