package executor

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ok" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "check"), []byte("#!/bin/sh\ntest \"$1\" = \"$WANT\"\n"), 0o755))
	env := []string{"PATH=" + os.Getenv("PATH"), "ADDRESS=" + listener.Addr().String(), "URL=" + server.URL, "WANT=yes"}
	tests := []struct {
		name  string
		probe Probe
		want  string // in the error; empty: it passes
	}{
		{"TCP", Probe{TCP: "$ADDRESS"}, ""},
		{"TCP refused", Probe{TCP: "127.0.0.1:1"}, "connection refused"},
		{"TCP without a port", Probe{TCP: "127.0.0.1"}, "missing port"},
		{"HTTP", Probe{HTTP: "${URL}/ok"}, ""},
		{"HTTP status", Probe{HTTP: "$URL/other"}, "/other: 503 Service Unavailable"},
		{"HTTP refused", Probe{HTTP: "http://127.0.0.1:1/"}, "connection refused"},
		{"command", Probe{Command: []string{"./check", "$WANT"}}, ""},
		{"command in PATH", Probe{Command: []string{"true"}}, ""},
		{"command fails", Probe{Command: []string{"./check", "no"}}, "exit status 1"},
		{"command says why", Probe{Command: []string{"sh", "-c", "echo no quorum; exit 2"}}, "exit status 2: no quorum"},
		{"command says much", Probe{Command: []string{"sh", "-c", "yes | head -c 100000; exit 2"}}, "exit status 2: y\ny\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := newCheck(tt.probe, command{env: env, dir: dir})
			require.NoError(t, err)
			err = c(t.Context())
			if tt.want == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, tt.want)
			assert.Less(t, len(err.Error()), 300)
		})
	}
}

func TestCheckThatCannotBe(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]Probe{
		`tcp "$NO:1": variable NO is not set`:        {TCP: "$NO:1"},
		`http "http://$NO": variable NO is not set`:  {HTTP: "http://$NO"},
		`command "$NO": variable NO is not set`:      {Command: []string{"true", "$NO"}},
		`command: program "nothing": not found`:      {Command: []string{"nothing"}},
		`command: program "/no/such" does not exist`: {Command: []string{"/no/such"}},
	} {
		_, err := newCheck(p, command{env: []string{"PATH=/bin"}, dir: "/"})
		assert.ErrorContains(t, err, want)
	}
}

// A command that hangs is ended with what it has started.
func TestCheckIsEndedAsAWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, err := newCheck(Probe{Command: []string{"sh", "-c", "sleep 1000 & echo $! > pid; wait"}}, command{env: []string{"PATH=" + os.Getenv("PATH")}, dir: dir})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c(ctx) }()
	var pid int
	require.Eventually(t, func() bool {
		data, err := os.ReadFile(filepath.Join(dir, "pid"))
		pid, _ = strconv.Atoi(strings.TrimSpace(string(data)))
		return err == nil && pid > 0
	}, time.Minute, 5*time.Millisecond)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.Eventually(t, func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }, time.Minute, 5*time.Millisecond)
}
