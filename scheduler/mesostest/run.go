package mesostest

import (
	"cmp"
	"context"
	"testing"

	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/state"
)

// Run runs a scheduler with the handler on the cluster, in the background and
// with a store in memory, until the test ends. The function that it returns
// stops the scheduler before that and may be called again. Options change its
// configuration; with [Config.TLS] they must set the scheduler's TLS, so that it
// trusts the certificate. The test fails if the scheduler ends by itself with an error.
func (c *Cluster) Run(t testing.TB, h scheduler.Handler, options ...func(*scheduler.Config)) (stop func()) {
	t.Helper()
	cfg := scheduler.Config{Master: cmp.Or(c.cfg.ZooKeeper, c.URL()), Handler: h, Store: state.NewMemory(), Logger: c.cfg.Log}
	if d, ok := h.(scheduler.Described); !ok || d.Framework().Name == "" {
		cfg.Framework.Name = cmp.Or(t.Name(), "test")
	}
	for _, o := range options {
		o(&cfg)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := scheduler.Run(ctx, cfg); err != nil && ctx.Err() == nil {
			t.Errorf("mesostest: scheduler: %s", err)
		}
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}
