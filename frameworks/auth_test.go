package frameworks

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/state"
)

func TestOnlyWhoKnowsTheTokenIsAnOperator(t *testing.T) {
	t.Parallel()
	asked := 0
	server := httptest.NewServer(Authenticated("secret", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		reply(w, http.StatusOK, Status{Service: "db"}, nil)
	})))
	defer server.Close()
	for _, token := range []string{"", "wrong", "secret2", "secre"} {
		_, err := Client{URL: server.URL, Token: token}.Status(t.Context())
		require.EqualError(t, err, "wants the token of the API", token)
	}
	assert.Zero(t, asked)
	answer, err := http.Get(server.URL + "/v1/health")
	require.NoError(t, err)
	answer.Body.Close()
	assert.Equal(t, http.StatusOK, answer.StatusCode, "its health is no secret")
	status, err := Client{URL: server.URL, Token: "secret", HTTP: server.Client()}.Status(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "db", status.Service)
	_, err = http.Post(server.URL+"/v1/health", "", nil)
	require.NoError(t, err)
	assert.Equal(t, 2, asked)
}

func TestTheProgramIsGuarded(t *testing.T) {
	t.Parallel()
	b, err := OpenOwnBinary()
	require.NoError(t, err)
	defer b.Close()
	plain := b.At("http://x").URI
	b.Guard("secret")
	guarded := b.At("http://x")
	assert.NotEqual(t, plain, guarded.URI)
	assert.NotContains(t, guarded.URI, "secret")
	assert.Equal(t, filepath.Base(plain), filepath.Base(guarded.URI), "the name in the sandbox")
	for uri, code := range map[string]int{plain: http.StatusNotFound, guarded.URI: http.StatusOK} {
		w := httptest.NewRecorder()
		b.ServeHTTP(w, httptest.NewRequest(http.MethodHead, strings.TrimPrefix(uri, "http://x"), nil))
		assert.Equal(t, code, w.Code, uri)
	}
}

// The agent's shell runs the program that it should be, and no other.
func TestTheProgramIsCheckedOnTheAgent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := "#!/bin/sh\necho it runs $0\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mesos-db"), []byte(program), 0o700))
	sum := sha256.Sum256([]byte(program))
	run := func(sum string) (string, error) {
		var command mesos.CommandInfo
		Binary{URI: "http://x/v1/binary/1/mesos-db", SHA256: sum}.verify(&command)
		require.True(t, command.GetShell())
		shell := exec.Command("sh", "-c", command.GetValue())
		shell.Dir = dir
		out, err := shell.Output()
		return string(out), err
	}
	out, err := run(hex.EncodeToString(sum[:]))
	require.NoError(t, err)
	assert.Equal(t, "it runs ./mesos-db\n", out)
	out, err = run(strings.Repeat("ab", 32))
	require.Error(t, err)
	assert.Empty(t, out)
	s := quorum(1)
	s.Binary.SHA256 = "ab"
	assert.ErrorContains(t, s.Validate(), `Service.Binary.SHA256: "ab": wants 64 hexadecimal digits`)
}

// A scheduler that moves serves the program elsewhere: what runs is left alone,
// and what starts later fetches it there.
func TestASchedulerThatMovesDisturbsNobody(t *testing.T) {
	t.Parallel()
	s := versionedService(2)
	s.Binary = Binary{URI: "http://10.0.0.1:7000/v1/binary/1/db"}
	w := newWorld(t, s, 2, agentResources)
	w.until(time.Minute, "ready", w.allReady(2))
	s.Binary = Binary{URI: "http://10.0.0.2:7000/v1/binary/2/db", SHA256: strings.Repeat("ab", 32)}
	w.crash()
	w.pass(2 * time.Hour)
	assert.Equal(t, []int{1, 1}, w.incarnations()[:2])
	assert.False(t, w.status().Nodes[0].Outdated())
	tasks := w.launchedTasks()
	w.do(RestartNode{Node: "node-1"})
	w.until(time.Minute, "restarted", func() bool { return len(*tasks) > 0 && w.status().Ready == 2 })
	assert.Equal(t, s.Binary.URI, (*tasks)[0].Executor.Command.URIs[0].Value)
	assert.Contains(t, (*tasks)[0].Executor.Command.GetValue(), "exec './db'")
}

// With TLS everything that the listener serves is encrypted.
func TestTheAPISpeaksHTTPS(t *testing.T) {
	t.Parallel()
	template := httptest.NewTLSServer(nil) // for its certificate
	defer template.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	ended := make(chan error, 1)
	go func() {
		ended <- Run(t.Context(), Config{
			Service: versionedService(1), Listener: listener, Token: "secret",
			TLS:       &tls.Config{Certificates: template.TLS.Certificates},
			Scheduler: scheduler.Config{Master: "127.0.0.1:1", Store: state.NewMemory()},
		})
	}()
	t.Cleanup(func() { assert.NoError(t, <-ended) })
	client := Client{URL: "https://" + address, Token: "secret", HTTP: template.Client()}
	require.Eventually(t, func() bool { s, err := client.Status(t.Context()); return err == nil && s.Service == "db" }, time.Minute, 10*time.Millisecond)
	_, err = Client{URL: "http://" + address, Token: "secret"}.Status(t.Context())
	require.Error(t, err)
}
