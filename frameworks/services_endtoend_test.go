package frameworks_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
	"github.com/mesokit/mesokit/scheduler/state"
)

// Two services of two roles compete for the same agents, each of which has room
// for one node of each; a third is added while they run.
func TestServicesOnRealMesos(t *testing.T) {
	t.Parallel()
	sized := func(name string, count int) *frameworks.Service {
		s := web(t)
		s.Name, s.Pods[0].Count = name, count
		return s
	}
	c := mesostest.New(t, mesostest.Agents(2, "cpus:0.3;mem:1024;disk:2048;ports:[31000-31999]"))
	store := state.NewMemory()
	run := func(store state.Store) (client frameworks.Client, stop func()) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() {
			ended <- frameworks.Run(ctx, frameworks.Config{
				Services: &frameworks.Services{
					Declared: []*frameworks.Service{sized("one", 2), sized("two", 2)},
					New: func(name string, options json.RawMessage) (*frameworks.Service, error) {
						var count int
						return sized(name, 1), json.Unmarshal(options, &count)
					},
				},
				Listener:  listener,
				Scheduler: scheduler.Config{Master: c.Master(), Store: store},
			})
		}()
		return frameworks.Client{URL: "http://" + listener.Addr().String()}, func() {
			cancel()
			assert.NoError(t, <-ended)
		}
	}
	client, stop := run(store)
	of := func(client frameworks.Client, service string) *deployed {
		client.Service = service
		return &deployed{t: t, Client: client}
	}
	of(client, "one").until("one is ready", ready(2))
	of(client, "two").until("two is ready", ready(2))
	all, err := client.Add(t.Context(), "three", 1)
	require.NoError(t, err)
	assert.Len(t, all.Services, 3)
	before := of(client, "three").until("three is ready", ready(1))

	_, err = of(client, "two").Restart(t.Context(), "web-1")
	require.NoError(t, err)
	of(client, "two").until("restarted", func(s frameworks.Status) bool { return s.Ready == 2 && s.Nodes[1].Incarnation == 2 })
	_, err = of(client, "four").Status(t.Context())
	require.ErrorIs(t, err, frameworks.ErrUnknown)
	health, err := http.Get(client.URL + "/v1/health")
	require.NoError(t, err)
	body, err := io.ReadAll(health.Body)
	require.NoError(t, err)
	health.Body.Close()
	assert.JSONEq(t, `{"connected":true,"reconciled":true}`, string(body))

	stop()
	client, stop = run(store.Open())
	defer stop()
	after := of(client, "three").until("another scheduler has found it", ready(1))
	assert.Equal(t, before.Nodes[0].Task, after.Nodes[0].Task)
	of(client, "one").until("one is found", ready(2))
	all, err = client.Overview(t.Context())
	require.NoError(t, err)
	assert.True(t, all.Reconciled)
	assert.Equal(t, frameworks.ServiceSummary{Service: "three", Role: "three", Nodes: 1, Ready: 1, Added: true}, all.Services[2])
}
