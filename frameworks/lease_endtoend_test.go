package frameworks_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/scheduler/mesostest"
	"github.com/mesokit/mesokit/scheduler/state"
)

// supervised is web with nodes under this binary's own executor.
func supervised(t *testing.T, count int, task executor.Task) *frameworks.Service {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	s := web(t)
	pod := &s.Pods[0]
	pod.Count, pod.Command = count, ""
	pod.Task = func(frameworks.Deployment, frameworks.Node) (executor.Task, error) {
		task := task
		task.Env, task.Command = map[string]string{"SERVE": "1"}, []string{self}
		return task, nil
	}
	return s
}

// A server is cut off with its agent. Its place is given away only when its
// executor has ended it, as nobody went on granting its lease.
func TestLeaseEndsInAPartition(t *testing.T) {
	t.Parallel()
	s := supervised(t, 1, executor.Task{Lease: &executor.Lease{Within: 3 * time.Second}})
	c := mesostest.New(t, mesostest.Agents(2, machine))
	d := deploy(t, c, s, nil)
	first := d.until("one is ready", ready(1)).Nodes[0]
	for _, a := range c.Agents() {
		if a.ID() == first.Place.Agent {
			a.Partition()
		}
	}
	d.until("unreachable", func(s frameworks.Status) bool { return s.Nodes[0].Phase == frameworks.Unreachable })
	_, err := d.ForceReplace(t.Context(), "web-0")
	require.NoError(t, err)
	d.until("its place is given away", func(s frameworks.Status) bool { return s.Nodes[0].Generation == 2 })
	answer, err := http.Get("http://" + first.Address("http"))
	if err == nil {
		answer.Body.Close()
	}
	require.Error(t, err, "the server that was cut off still serves")
	second := d.until("ready elsewhere", ready(1)).Nodes[0]
	assert.NotEqual(t, first.Place.Agent, second.Place.Agent)
}

// A secret is in the file that is meant for it, whose mode is 0600, and in the
// scheduler's store; not in any other file, answer or log.
func TestSecretIsNowhereElse(t *testing.T) {
	t.Parallel()
	s := supervised(t, 1, executor.Task{Secrets: []executor.SecretFile{{Name: "root", Path: "data/name"}}})
	s.Pods[0].Volumes = []frameworks.Volume{{Name: "data", Path: "data", Size: 64_000}}
	s.Pods[0].Secrets = []string{"root"}
	told := make(chan string, 1)
	s.Pods[0].Ready = func(ctx context.Context, d frameworks.Deployment, n frameworks.Node) error {
		select {
		case told <- d.Secret("root"):
		default:
		}
		return frameworks.HTTP("http", "/")(ctx, d, n)
	}
	c := mesostest.New(t, mesostest.Agents(1, machine))
	store := state.NewMemory()
	d := deploy(t, c, s, store)
	status := d.until("one is ready", ready(1))
	_, secret := ask(t, status.Nodes[0])
	require.Len(t, secret, 22)
	assert.Equal(t, secret, <-told, "the gate knows it")

	var places []string
	find := func(place string, content []byte) {
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))} {
			if bytes.Contains(content, []byte(form)) {
				places = append(places, place)
			}
		}
	}
	for _, path := range []string{c.URL() + "/state", c.URL() + "/tasks", d.URL + "/v1/status"} {
		answer, err := http.Get(path)
		require.NoError(t, err)
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		answer.Body.Close()
		require.Equal(t, http.StatusOK, answer.StatusCode, path)
		find(path, body)
	}
	find("journal", []byte(c.Journal()))
	require.NoError(t, filepath.WalkDir(c.Dir(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil // a sandbox may go while it is read
		}
		if content, err := os.ReadFile(path); err == nil {
			find(path, content)
		}
		return nil
	}))
	require.Len(t, places, 1, "%q", places)
	assert.True(t, strings.HasSuffix(places[0], "/name"), places[0])
	info, err := os.Stat(places[0])
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o600), info.Mode().Perm())

	require.NoError(t, d.stop())
	d = deploy(t, c, s, store.Open())
	_, err = d.Restart(t.Context(), "web-0")
	require.NoError(t, err)
	status = d.until("restarted", func(s frameworks.Status) bool { return s.Ready == 1 && s.Nodes[0].Incarnation == 2 })
	_, again := ask(t, status.Nodes[0])
	assert.Equal(t, secret, again, "it is made once")
}
