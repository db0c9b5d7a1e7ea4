// Package metrics tells Prometheus what a scheduler does.
//
// A [Metrics] has a registry of its own. [Metrics.Watch] puts it into the
// configuration of a run, and it is an http.Handler for the scraper:
//
//	m := metrics.New()
//	http.Handle("/metrics", m)
//	err := scheduler.Run(ctx, m.Watch(config))
//
// All names begin with mesokit_scheduler_. Counters are of the process; gauges
// say how it is at the moment of the scrape.
//
//	connected, running, reconciled        gauges, 0 or 1
//	unanswered                            tasks that reconciliation still asks for
//	tasks, kills, operations, offers_held, jobs
//	step_seconds                          how long the step under way has taken; it should be near 0
//	events_total{event}                   what the machine was told
//	calls_total{call}                     what it sent
//	subscriptions_total, disconnections_total
//	offers_total, declines_total{reason}, accepts_total
//	launches_total, updates_total{state}
//	saves_seconds                         a histogram: its count is how many
//	saved_records_total, save_failures_total
//	jobs_started_total, jobs_done_total{outcome}
package metrics
