package frameworks_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
)

func TestClientErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		status int
		body   string
		is     error
		want   string
	}{
		{"unknown", 404, `{"error": "node \"x\": not found"}`, frameworks.ErrUnknown, `node "x": not found`},
		{"refused", 409, `{"error": "count 1: refused"}`, frameworks.ErrRefused, "count 1: refused"},
		{"unavailable", 503, `{"error": "the scheduler has stopped"}`, nil, "the scheduler has stopped"},
		{"another server", 404, "404 page not found\n", nil, `404 Not Found: "404 page not found\n": is this the API of a service?`},
		{"no JSON", 202, "fine", nil, "POST /v1/nodes/a%2Fb/stop: the answer: invalid character"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				assert.Equal(t, "/v1/nodes/a%2Fb/stop", r.URL.EscapedPath())
				assert.Equal(t, http.MethodPost, r.Method)
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body)) // the client reads it, or the test fails
			}))
			defer server.Close()
			_, err := frameworks.Client{URL: server.URL + "/"}.Stop(t.Context(), "a/b")
			require.ErrorContains(t, err, test.want)
			if test.is != nil {
				assert.ErrorIs(t, err, test.is)
			}
		})
	}
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	service := &frameworks.Service{Name: "hello", Pods: []frameworks.Pod{{
		Name: "web", Count: 1, Command: "sleep 60", Needs: offers.MustParse("cpus:0.1;mem:32"),
	}}}
	listen := func(address string) net.Listener {
		l, err := net.Listen("tcp", address)
		require.NoError(t, err)
		return l
	}
	for _, test := range []struct {
		name   string
		config frameworks.Config
		want   string
	}{
		{"no service", frameworks.Config{Listener: listen("127.0.0.1:0")}, "Config.Service and Config.Services: wants one of them"},
		{"no listener", frameworks.Config{Service: service}, "Config.Listener is nil"},
		{"every address", frameworks.Config{Service: service, Listener: listen(":0")}, "Config.URL is empty and Config.Listener has [::]:"},
		{"service that cannot be", frameworks.Config{Service: &frameworks.Service{}, Listener: listen("127.0.0.1:0")}, "Service.Name"},
		{"no master", frameworks.Config{Service: service, Listener: listen("127.0.0.1:0")}, "Master"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.ErrorContains(t, frameworks.Run(t.Context(), test.config), test.want)
			if l := test.config.Listener; l != nil {
				_, err := l.Accept()
				require.ErrorIs(t, err, net.ErrClosed)
			}
		})
	}
}

// TestRunEndsWithItsListener takes the API away from a service that runs.
func TestRunEndsWithItsListener(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	err = frameworks.Run(t.Context(), frameworks.Config{
		Service:   &frameworks.Service{Name: "hello", Pods: []frameworks.Pod{{Name: "web", Command: "true"}}},
		Listener:  l,
		Scheduler: scheduler.Config{Master: "127.0.0.1:1"},
	})
	require.ErrorContains(t, err, "serve the API")
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, frameworks.Run(ctx, frameworks.Config{
		Service:   &frameworks.Service{Name: "hello", Pods: []frameworks.Pod{{Name: "web", Command: "true"}}},
		Listener:  l,
		Scheduler: scheduler.Config{Master: "127.0.0.1:1"},
	}))
}
