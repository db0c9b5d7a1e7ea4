package main

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// Three web servers run, each on an agent and in a rack of its own, and answer.
func TestHello(t *testing.T) {
	t.Parallel()
	var options []mesostest.Option
	for _, a := range agents {
		options = append(options, mesostest.With(a))
	}
	c := mesostest.New(t, options...)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- scheduler.Run(ctx, scheduler.Config{Master: c.Master(), Handler: hello()}) }()
	c.WaitRunning(t, 3)
	racks := map[string]bool{}
	for _, task := range c.Tasks() {
		racks[task.AgentID] = true
	}
	assert.Len(t, racks, 3)
	for _, a := range c.Agents() {
		require.NoError(t, c.Wait(t.Context(), func() bool { return answers(t, a.Address(), 31000) }), a.Address())
	}
	stop()
	assert.NoError(t, <-ended)
}

// answers says whether a web server is there.
func answers(t *testing.T, host string, port int) bool {
	t.Helper()
	answer, err := http.Get("http://" + host + ":" + strconv.Itoa(port) + "/")
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err == nil && answer.StatusCode == http.StatusOK
}
