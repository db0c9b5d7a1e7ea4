package frameworks_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
	"github.com/mesokit/mesokit/scheduler/state"
)

// TestMain makes this binary what agents run as well: the executor of pods
// with a Task, and the server of all pods.
func TestMain(m *testing.M) {
	executor.Main(executor.Config{})
	if os.Getenv("SERVE") != "" {
		serve()
	}
	os.Exit(m.Run())
}

// serve answers with the process id and the content of data/name, if any.
func serve() {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		name, _ := os.ReadFile("data/name")
		fmt.Fprintf(w, "%d %s", os.Getpid(), name)
	})
	fmt.Fprintln(os.Stderr, http.ListenAndServe(os.Getenv("HOST")+":"+os.Getenv("PORT_HTTP"), handler))
	os.Exit(1)
}

// web is a service of plain commands.
func web(t *testing.T) *frameworks.Service {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return &frameworks.Service{Name: "hello", Pods: []frameworks.Pod{{
		Name: "web", Count: 3, Command: "SERVE=1 exec " + self,
		Needs:   offers.MustParse("cpus:0.1;mem:32"),
		Ports:   []frameworks.Port{{Name: "http"}},
		Place:   constraints.MustParse("hostname:UNIQUE"),
		Ready:   frameworks.HTTP("http", "/"),
		Backoff: frameworks.Backoff{First: 10 * time.Millisecond},
	}}}
}

// deployed is a service that runs on an embedded Mesos.
type deployed struct {
	t *testing.T
	frameworks.Client
	stop func() error // ends the scheduler, and leaves the tasks
}

func deploy(t *testing.T, c *mesostest.Cluster, s *frameworks.Service, store state.Store) *deployed {
	t.Helper()
	return deployGuarded(t, c, s, store, "")
}

// deployGuarded is deploy with a token for the API and the program.
func deployGuarded(t *testing.T, c *mesostest.Cluster, s *frameworks.Service, store state.Store, token string) *deployed {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- frameworks.Run(ctx, frameworks.Config{
			Service: s, Listener: listener, Token: token,
			Scheduler: scheduler.Config{Master: c.Master(), Store: store},
		})
	}()
	d := &deployed{t: t, Client: frameworks.Client{URL: "http://" + listener.Addr().String(), Token: token}}
	d.stop = func() error {
		cancel()
		err := <-ended
		ended <- nil // so that it can be stopped again
		return err
	}
	t.Cleanup(func() { assert.NoError(t, d.stop()) })
	return d
}

// until asks for the status until it is as it should be.
func (d *deployed) until(what string, holds func(frameworks.Status) bool) frameworks.Status {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), time.Minute)
	defer cancel()
	for pause := time.NewTicker(20 * time.Millisecond); ; {
		s, err := d.Status(ctx)
		if err == nil && holds(s) {
			return s
		}
		select {
		case <-ctx.Done():
			d.t.Fatalf("not within a minute: %s; error %v, status %+v", what, err, s)
		case <-pause.C:
		}
	}
}

func ready(n int) func(frameworks.Status) bool {
	return func(s frameworks.Status) bool { return s.Ready == n && s.Reconciled }
}

func ask(t *testing.T, n frameworks.NodeStatus) (pid int, name string) {
	t.Helper()
	answer, err := http.Get("http://" + n.Address("http"))
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	number, name, _ := strings.Cut(string(body), " ")
	pid, err = strconv.Atoi(number)
	require.NoError(t, err)
	return pid, name
}

const machine = "cpus:2;mem:1024;disk:2048;ports:[31000-31999]"

func TestCommandsOnRealMesos(t *testing.T) {
	t.Parallel()
	c := mesostest.New(t, mesostest.Agents(4, machine))
	store := state.NewMemory()
	d := deploy(t, c, web(t), store)
	before := d.until("three are ready", ready(3))

	// A server that dies comes back in its place.
	pid, _ := ask(t, before.Nodes[1])
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	after := d.until("it is back", func(s frameworks.Status) bool { return s.Ready == 3 && s.Nodes[1].Incarnation == 2 })
	assert.Equal(t, before.Nodes[1].Place.Agent, after.Nodes[1].Place.Agent)
	assert.Equal(t, before.Nodes[1].Address("http"), after.Nodes[1].Address("http"))

	// The scheduler ends, and another goes on: nothing is started again.
	require.NoError(t, d.stop())
	d = deploy(t, c, web(t), store.Open())
	again := d.until("the next scheduler has found them", ready(3))
	for i, n := range again.Nodes {
		assert.Equal(t, after.Nodes[i].Task, n.Task)
	}

	// So does a master.
	require.NoError(t, c.RestartMaster())
	again = d.until("the master has come back", ready(3))
	assert.Equal(t, after.Nodes[0].Task, again.Nodes[0].Task)
}

func TestOperatorOnRealMesos(t *testing.T) {
	t.Parallel()
	c := mesostest.New(t, mesostest.Agents(4, machine))
	d := deploy(t, c, web(t), nil)
	d.until("three are ready", ready(3))
	ctx := t.Context()

	_, err := d.Stop(ctx, "web-0")
	require.NoError(t, err)
	d.until("stopped", func(s frameworks.Status) bool { return s.Nodes[0].Phase == frameworks.Stopped })
	_, err = d.Start(ctx, "web-0")
	require.NoError(t, err)
	d.until("started", ready(3))
	n, err := d.Restart(ctx, "web-2")
	require.NoError(t, err)
	assert.Equal(t, frameworks.Stopping, n.Phase)
	d.until("restarted", func(s frameworks.Status) bool { return s.Ready == 3 && s.Nodes[2].Incarnation == 2 })
	s, err := d.Scale(ctx, "web", 4)
	require.NoError(t, err)
	assert.Len(t, s.Nodes, 4)
	d.until("four are ready", ready(4))

	_, err = d.Scale(ctx, "web", 2)
	require.NoError(t, err)
	d.until("two are left", func(s frameworks.Status) bool { return s.Ready == 2 && len(s.Nodes) == 2 })
	_, err = d.Stop(ctx, "web-7")
	require.ErrorIs(t, err, frameworks.ErrUnknown)
	assert.EqualError(t, err, `node "web-7": not found; there are web-0, web-1`)

	health, err := http.Get(d.URL + "/v1/health")
	require.NoError(t, err)
	health.Body.Close()
	assert.Equal(t, http.StatusOK, health.StatusCode)
}

// A pod with a Task: supervised by this binary, fetched from the scheduler,
// with a volume that outlives its tasks and goes with its place.
func TestSupervisedOnRealMesos(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	s := web(t)
	pod := &s.Pods[0]
	pod.Name, pod.Count, pod.Command, pod.Together = "node", 2, "", true
	pod.Volumes = []frameworks.Volume{{Name: "data", Path: "data", Size: 64_000}}
	pod.Task = func(d frameworks.Deployment, n frameworks.Node) (executor.Task, error) {
		return executor.Task{
			Env:     map[string]string{"SERVE": "1"},
			Init:    []executor.Step{{Name: "name", Done: "named", Unless: "data/name", Command: []string{"sh", "-c", "echo -n " + n.Name + "." + strconv.Itoa(n.Generation) + " > data/name"}}},
			Command: []string{self},
		}, nil
	}
	c := mesostest.New(t, mesostest.Agents(3, machine))
	d := deploy(t, c, s, nil)
	first := d.until("two are ready", ready(2))
	pid, name := ask(t, first.Nodes[0])
	assert.Equal(t, "node-0.1", name)

	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	second := d.until("it is back", func(s frameworks.Status) bool { return s.Ready == 2 && s.Nodes[0].Incarnation == 2 })
	_, name = ask(t, second.Nodes[0])
	assert.Equal(t, "node-0.1", name, "the volume is the same")

	_, err = d.Replace(t.Context(), "node-0")
	require.NoError(t, err)
	third := d.until("it has another place", func(s frameworks.Status) bool { return s.Ready == 2 && s.Nodes[0].Generation == 2 })
	_, name = ask(t, third.Nodes[0])
	assert.Equal(t, "node-0.2", name, "the volume is new")
}

// A machine comes back with another address: its node goes on from its volume,
// where the machine is now, and its peer gets to know.
func TestAMachineMovesOnRealMesos(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	s := web(t)
	pod := &s.Pods[0]
	pod.Count, pod.Command, pod.Together = 2, "", true
	pod.Volumes = []frameworks.Volume{{Name: "data", Path: "data", Size: 64_000}}
	pod.Task = func(d frameworks.Deployment, n frameworks.Node) (executor.Task, error) {
		peers := ""
		for _, p := range d.Nodes {
			peers += p.Address("http") + " "
		}
		return executor.Task{
			Env:     map[string]string{"SERVE": "1", "PEERS": peers},
			Init:    []executor.Step{{Name: "name", Done: "named", Unless: "data/name", Command: []string{"sh", "-c", "echo -n " + n.Name + "." + strconv.Itoa(n.Generation) + " > data/name"}}},
			Command: []string{self},
		}, nil
	}
	c := mesostest.New(t, mesostest.Agents(2, machine))
	d := deploy(t, c, s, nil)
	before := d.until("two are ready", ready(2))
	for _, a := range c.Agents() {
		if a.ID() == before.Nodes[0].Place.Agent {
			a.Stop()
			require.NoError(t, c.RestartMaster()) // this one never saw it at the old address
			require.NoError(t, a.StartAt(""))
		}
	}
	after := d.until("both run with the new address", func(s frameworks.Status) bool {
		return settled(2)(s) && s.Nodes[0].Place.Address != before.Nodes[0].Place.Address && s.Nodes[1].Incarnation == 2
	})
	_, name := ask(t, after.Nodes[0])
	assert.Equal(t, "web-0.1", name, "the volume is the same")
	assert.Equal(t, before.Nodes[0].Place.Hostname, after.Nodes[0].Place.Hostname)
}
