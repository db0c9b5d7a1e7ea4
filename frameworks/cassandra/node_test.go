package cassandra

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/internal/dist"
)

var update = flag.Bool("update", false, "rewrite the golden files and options.txt")

// small are flags with which a node starts quickly and needs little.
var small = []string{
	"-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
	"-Dcassandra.skip_wait_for_gossip_to_settle=0", "-Dcassandra.ring_delay_ms=5000",
	"-Dcassandra.shutdown_announce_in_ms=500",
}

// jolokiaOf is the jar of the agent in a distribution.
func jolokiaOf(t *testing.T, d dist.Distribution) string {
	t.Helper()
	for _, jar := range d.Jars {
		if strings.HasPrefix(filepath.Base(jar), "jolokia-agent-jvm") {
			return jar
		}
	}
	require.FailNow(t, "no Jolokia among the jars")
	return ""
}

// node is a node at an address, as the engine would have placed it.
func node(index int, address string, storage, cql, admin uint64) frameworks.Node {
	return frameworks.Node{
		Name: fmt.Sprintf("%s-%d", pod, index), Pod: pod, Index: index, Goal: frameworks.GoalRun, Generation: 1, Founding: 1,
		Place: &frameworks.Place{
			Agent: fmt.Sprintf("agent-%d", index), Hostname: fmt.Sprintf("host-%d", index), Address: address,
			Ports:     map[string]uint64{storagePort: storage, cqlPort: cql, adminPort: admin},
			Resources: []mesos.Resource{{Name: "mem", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: 4096}}},
		},
	}
}

const password = "a password"

// single is a ring of one real node, which runs without Mesos.
type single struct {
	cluster    Cluster
	deployment frameworks.Deployment
	dir        string
	process    *exec.Cmd
}

func newSingle(t *testing.T, d dist.Distribution) *single {
	t.Helper()
	n := node(0, "127.0.0.1", freePort(t), freePort(t), freePort(t))
	s := &single{
		cluster: Cluster{
			Nodes: 1, Mem: 512, Heap: 192, Tokens: 4,
			Distribution: Distribution{Java: d.Java, Classpath: d.Classpath(), Jolokia: jolokiaOf(t, d), Flags: small},
		}.withDefaults(),
		deployment: frameworks.Deployment{Service: "cassandra", Nodes: []frameworks.Node{n}, First: map[string]int{pod: 1}},
		dir:        t.TempDir(),
	}
	require.NoError(t, os.MkdirAll(filepath.Join(s.dir, volume), 0o755))
	return s
}

func freePort(t *testing.T) uint64 {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return uint64(l.Addr().(*net.TCPAddr).Port)
}

func (s *single) node() frameworks.Node { return s.deployment.Nodes[0] }

func (s *single) server() *jolokia {
	return &jolokia{address: s.node().Address(adminPort), password: password}
}

// sandbox writes the files of the node's task as the executor does.
func (s *single) sandbox(t *testing.T) (executor.Task, executor.Sandbox) {
	t.Helper()
	task, err := s.cluster.task(s.deployment, s.node())
	require.NoError(t, err)
	env := map[string]string{"MESOS_SANDBOX": s.dir, "NODE": s.node().Name, "HOST": s.node().Place.Address}
	env["PORT_ADMIN"] = fmt.Sprint(s.node().Place.Ports[adminPort])
	expand := func(text string) string {
		return os.Expand(text, func(name string) string {
			if name == "$" {
				return "$"
			}
			return env[name]
		})
	}
	for _, f := range task.Files {
		content := string(f.Content)
		if f.Expand {
			content = expand(content)
		}
		require.NoError(t, os.WriteFile(filepath.Join(s.dir, f.Path), []byte(content), 0o644))
	}
	require.NoError(t, os.MkdirAll(filepath.Join(s.dir, "secrets"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, secretFile), []byte(password), 0o600))
	box := executor.Sandbox{Dir: s.dir, TaskID: "cassandra.node-0.1", Log: new(bytes.Buffer), Report: func(string) {}}
	for key, value := range task.Env {
		env[key] = expand(value)
	}
	for key, value := range env {
		box.Env = append(box.Env, key+"="+value)
	}
	return task, box
}

// prepare runs the first step, and returns what it reported.
func (s *single) prepare(t *testing.T) (reported string, err error) {
	t.Helper()
	_, box := s.sandbox(t)
	box.Report = func(message string) { reported = message }
	err = Steps()[prepareStep](t.Context(), box)
	return reported, err
}

// start runs the node until it is stopped or the test ends.
func (s *single) start(t *testing.T) {
	t.Helper()
	task, _ := s.sandbox(t)
	log, err := os.OpenFile(filepath.Join(s.dir, "stdout"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	require.NoError(t, err)
	c := exec.Command(task.Command[0], task.Command[1:]...)
	c.Dir, c.Stdout, c.Stderr = s.dir, log, log
	require.NoError(t, c.Start())
	s.process = c
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
		log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the end of the node's log:\n%s", text[max(0, len(text)-4000):])
		}
	})
}

// stop ends the node as the executor does.
func (s *single) stop(t *testing.T) {
	t.Helper()
	task, box := s.sandbox(t)
	for _, step := range task.Stop.Before {
		ctx, cancel := context.WithTimeout(t.Context(), step.Timeout)
		require.NoError(t, Steps()[step.Func](ctx, box), step.Name)
		cancel()
	}
	require.NoError(t, s.process.Process.Signal(syscall.SIGTERM))
	s.process.Wait() // with status 143
}

// awaitReady asks the gate until it lets the node pass, and returns what it
// said before.
func (s *single) awaitReady(t *testing.T) (waited []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	gates := ring{reach: func(frameworks.Deployment, frameworks.Node) server { return s.server() }}
	for {
		err := gates.ready(ctx, s.deployment, s.node())
		if err == nil {
			return waited
		}
		if said := err.Error(); len(waited) == 0 || waited[len(waited)-1] != said {
			waited = append(waited, said)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			require.FailNow(t, "the node is not ready", "%s", strings.Join(waited, "\n"))
		}
	}
}
