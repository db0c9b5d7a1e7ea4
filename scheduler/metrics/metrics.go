package metrics

import (
	"context"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/state"
)

const prefix = "mesokit_scheduler_"

// maxReasons bounds how many reasons of declines are told apart: a policy may
// put a name into each, and a time series for each name is of no use.
const maxReasons = 50

// Metrics counts what a scheduler does. Use New.
type Metrics struct {
	registry *prometheus.Registry
	http     http.Handler

	events, calls, updates, declines, jobsDone        *prometheus.CounterVec
	subscriptions, disconnections, offers, accepts    prometheus.Counter
	launches, savedRecords, saveFailures, jobsStarted prometheus.Counter
	saves                                             prometheus.Histogram

	mu      sync.Mutex
	reasons map[string]bool
}

// New returns metrics that nothing has been counted in.
func New() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), reasons: map[string]bool{}}
	m.http = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
	m.events = m.counters("events_total", "Events that the machine was told of.", "event")
	m.calls = m.counters("calls_total", "Calls for the master that were decided.", "call")
	m.updates = m.counters("updates_total", "Statuses of tasks, those repeated too.", "state")
	m.declines = m.counters("declines_total", "Offers declined.", "reason")
	m.jobsDone = m.counters("jobs_done_total", "Jobs that are done.", "outcome")
	m.subscriptions = m.counter("subscriptions_total", "Subscriptions that the master took.")
	m.disconnections = m.counter("disconnections_total", "Subscriptions that ended.")
	m.offers = m.counter("offers_total", "Offers that came.")
	m.accepts = m.counter("accepts_total", "Offers accepted.")
	m.launches = m.counter("launches_total", "Tasks launched.")
	m.savedRecords = m.counter("saved_records_total", "Records written to the store.")
	m.saveFailures = m.counter("save_failures_total", "Saves that failed; each ends the scheduler.")
	m.jobsStarted = m.counter("jobs_started_total", "Jobs started.")
	m.saves = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: prefix + "saves_seconds", Help: "How long a batch took to be durable.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9), // to 6.5 s
	})
	m.registry.MustRegister(m.saves)
	return m
}

func (m *Metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + name, Help: help})
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) counters(name, help, label string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, []string{label})
	m.registry.MustRegister(c)
	return c
}

// Registry is where the metrics are; a framework may add its own.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// ServeHTTP answers a scrape.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.http.ServeHTTP(w, r) }

// Watch returns the configuration with the metrics in it: an Observe that calls
// the one that was there, a Store that is timed, and a Monitor where there was
// none. Metrics watch one scheduler: Watch is called once.
func (m *Metrics) Watch(c scheduler.Config) scheduler.Config {
	before := c.Observe
	c.Observe = func(ev scheduler.Event, e scheduler.Effects) {
		m.observe(ev, e)
		if before != nil {
			before(ev, e)
		}
	}
	if c.Store == nil {
		c.Store = state.NewMemory()
	}
	c.Store = timed{c.Store, m}
	if c.Monitor == nil {
		c.Monitor = &scheduler.Monitor{}
	}
	m.gauges(c.Monitor)
	return c
}

// timed is a store whose saves are measured.
type timed struct {
	state.Store
	m *Metrics
}

func (s timed) Save(ctx context.Context, batch []state.Record) error {
	began := time.Now()
	err := s.Store.Save(ctx, batch)
	s.m.saves.Observe(time.Since(began).Seconds())
	if err != nil {
		s.m.saveFailures.Inc()
		return err
	}
	s.m.savedRecords.Add(float64(len(batch)))
	return nil
}

// gauges reads the monitor when it is asked.
func (m *Metrics) gauges(monitor *scheduler.Monitor) {
	truth := func(is bool) float64 {
		if is {
			return 1
		}
		return 0
	}
	for _, g := range []struct {
		name, help string
		value      func(scheduler.Health) float64
	}{
		{"running", "1 while the scheduler runs.", func(h scheduler.Health) float64 { return truth(h.Running) }},
		{"connected", "1 while there is a subscription.", func(h scheduler.Health) float64 { return truth(h.Connected) }},
		{"reconciled", "1 when every task has answered since the last subscription.", func(h scheduler.Health) float64 { return truth(h.Reconciled) }},
		{"unanswered", "Tasks that reconciliation still asks for.", func(h scheduler.Health) float64 { return float64(h.Unanswered) }},
		{"tasks", "Tasks known, also those that have ended and are not forgotten.", func(h scheduler.Health) float64 { return float64(h.Tasks) }},
		{"kills", "Tasks that are told to end.", func(h scheduler.Health) float64 { return float64(h.Kills) }},
		{"operations", "Operations under way.", func(h scheduler.Health) float64 { return float64(h.Operations) }},
		{"offers_held", "Offers held.", func(h scheduler.Health) float64 { return float64(h.Offers) }},
		{"jobs", "Jobs that run.", func(h scheduler.Health) float64 { return float64(h.Jobs) }},
		{"step_seconds", "How long the step under way has taken.", func(h scheduler.Health) float64 { return h.Busy.Seconds() }},
	} {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: prefix + g.name, Help: g.help},
			func() float64 { return g.value(monitor.Health()) }))
	}
}

func (m *Metrics) observe(ev scheduler.Event, e scheduler.Effects) {
	m.events.WithLabelValues(strings.ToLower(reflect.TypeOf(ev).Name())).Inc()
	switch ev := ev.(type) {
	case scheduler.Subscribed:
		m.subscriptions.Inc()
	case scheduler.Disconnected:
		m.disconnections.Inc()
	case scheduler.Offered:
		m.offers.Add(float64(len(ev.Offers)))
	case scheduler.Updated:
		m.updates.WithLabelValues(strings.ToLower(strings.TrimPrefix(ev.Status.GetState().String(), "TASK_"))).Inc()
	case scheduler.JobDone:
		outcome := "success"
		if ev.Err != "" {
			outcome = "failure"
		}
		m.jobsDone.WithLabelValues(outcome).Inc()
	}
	for _, call := range e.Send {
		m.call(call)
	}
	for _, d := range e.Declined {
		m.declines.WithLabelValues(m.reason(d.Reason)).Add(float64(len(d.Offers)))
	}
	m.jobsStarted.Add(float64(len(e.Start)))
}

func (m *Metrics) call(call *sched.Call) {
	m.calls.WithLabelValues(strings.ToLower(call.Type.String())).Inc()
	if call.Type != sched.Call_ACCEPT {
		return
	}
	m.accepts.Add(float64(len(call.Accept.OfferIDs)))
	for _, op := range call.Accept.Operations {
		m.launches.Add(float64(len(op.GetLaunch().GetTaskInfos())))
		if group := op.GetLaunchGroup(); group != nil {
			m.launches.Add(float64(len(group.TaskGroup.Tasks)))
		}
	}
}

// reason is the label for a reason: itself, unless there are too many.
func (m *Metrics) reason(text string) string {
	if text == "" {
		return "none given"
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.reasons[text] && len(m.reasons) >= maxReasons {
		return "other"
	}
	m.reasons[text] = true
	return text
}
