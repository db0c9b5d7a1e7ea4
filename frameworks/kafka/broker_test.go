package kafka

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/internal/dist"
)

var update = flag.Bool("update", false, "rewrite the golden files and options.txt")

// small are flags with which a broker starts quickly and needs little.
func small(d dist.Distribution) []string {
	flags := []string{"-Xms32m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}
	if d.ClassArchive != "" {
		flags = append(flags, "-XX:SharedArchiveFile="+d.ClassArchive)
	}
	return flags
}

// node is a broker at an address, as the engine would have placed it.
func node(index int, address string, client, controller uint64) frameworks.Node {
	return frameworks.Node{
		Name: fmt.Sprintf("%s-%d", pod, index), Pod: pod, Index: index, Generation: 1, Founding: 1,
		Place: &frameworks.Place{
			Agent: fmt.Sprintf("agent-%d", index), Hostname: fmt.Sprintf("host-%d", index), Address: address,
			Ports:     map[string]uint64{clientPort: client, controllerPort: controller},
			Resources: []mesos.Resource{{Name: "mem", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: 2048}}},
		},
	}
}

// single is a cluster of one real broker, which runs without Mesos.
type single struct {
	cluster    Cluster
	deployment frameworks.Deployment
	dir        string
}

func newSingle(t *testing.T, d dist.Distribution) *single {
	t.Helper()
	n := node(0, "127.0.0.1", freePort(t), freePort(t))
	s := &single{
		cluster: Cluster{
			Brokers: 1, Mem: 512, Heap: 128,
			Distribution: Distribution{Java: d.Java, Classpath: d.Classpath(), Flags: small(d)},
		}.withDefaults(),
		deployment: frameworks.Deployment{Service: "kafka", Nodes: []frameworks.Node{n}, First: map[string]int{pod: 1}},
		dir:        t.TempDir(),
	}
	require.NoError(t, os.Mkdir(filepath.Join(s.dir, volume), 0o755))
	return s
}

func freePort(t *testing.T) uint64 {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return uint64(l.Addr().(*net.TCPAddr).Port)
}

// task writes the files of the broker's task.
func (s *single) task(t *testing.T) executor.Task {
	t.Helper()
	task, err := s.cluster.task(s.deployment, s.deployment.Nodes[0])
	require.NoError(t, err)
	for _, f := range task.Files {
		require.NoError(t, os.WriteFile(filepath.Join(s.dir, f.Path), f.Content, 0o644))
	}
	return task
}

// format runs the step as the executor does, and returns what it reported.
func (s *single) format(t *testing.T) (reported string, err error) {
	t.Helper()
	task := s.task(t)
	env := os.Environ()
	for key, value := range task.Env {
		env = append(env, key+"="+value)
	}
	var log bytes.Buffer
	err = Steps()[task.Init[0].Func](t.Context(), executor.Sandbox{
		Dir: s.dir, TaskID: "kafka.broker-0.1", Env: env, Log: &log,
		Report: func(message string) { reported = message },
	})
	t.Log(log.String())
	return reported, err
}

// start runs the broker until the test ends.
func (s *single) start(t *testing.T) {
	t.Helper()
	task := s.task(t)
	log, err := os.Create(filepath.Join(s.dir, "stdout"))
	require.NoError(t, err)
	c := exec.Command(task.Command[0], task.Command[1:]...)
	c.Dir, c.Stdout, c.Stderr = s.dir, log, log
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
		log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the end of the broker's log:\n%s", text[max(0, len(text)-4000):])
		}
	})
}

// awaitReady asks the gate until it lets the broker pass, and returns what it
// said before.
func (s *single) awaitReady(t *testing.T) (waited []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	ask := time.NewTicker(100 * time.Millisecond)
	defer ask.Stop()
	for {
		err := unfenced(ctx, s.deployment, s.deployment.Nodes[0])
		if err == nil {
			return waited
		}
		if said := err.Error(); len(waited) == 0 || waited[len(waited)-1] != said {
			waited = append(waited, said)
		}
		select {
		case <-ask.C:
		case <-ctx.Done():
			require.FailNow(t, "the broker is not ready", "%s", strings.Join(waited, "\n"))
		}
	}
}

func (s *single) address() string { return s.deployment.Nodes[0].Address(clientPort) }

// files are the contents of all files below the broker's directory.
func (s *single) files(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	root := filepath.Join(s.dir, logDir)
	require.NoError(t, filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, root)] = strconv.Itoa(len(content)) + ":" + string(content)
		return err
	}))
	return out
}
