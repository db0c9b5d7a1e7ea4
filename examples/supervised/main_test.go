package main

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// TestMain makes this test binary the example where an agent or an executor
// starts it.
func TestMain(m *testing.M) {
	if os.Getenv(executor.Marker) != "" || len(os.Args) > 1 && os.Args[1] == "serve" {
		main()
	}
	os.Exit(m.Run())
}

func TestSupervised(t *testing.T) {
	t.Parallel()
	c := mesostest.New(t, mesostest.Agents(1, "cpus:1;mem:256;ports:[31000-31099]"))
	var log bytes.Buffer
	var stages []string
	last := ""
	cfg := config(c.Master(), os.Args[0])
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	cfg.Observe = func(ev scheduler.Event, _ scheduler.Effects) {
		if update, ok := ev.(scheduler.Updated); ok && update.Status.GetMessage() != last { // agents repeat
			last = update.Status.GetMessage()
			stage, _, _ := strings.Cut(last, " pid")
			stage, _, _ = strings.Cut(stage, ";")
			stages = append(stages, stage)
		}
	}
	require.NoError(t, scheduler.Run(t.Context(), cfg))
	assert.Contains(t, log.String(), "GET /", "the log of the server")
	assert.Equal(t, []string{
		"files written", "started", "ready",
		"stopping: drain", "drained", "sent SIGTERM, SIGKILL after 10s", "server was ended by SIGTERM",
	}, stages)
	assert.Contains(t, last, "takes no more requests")
}
