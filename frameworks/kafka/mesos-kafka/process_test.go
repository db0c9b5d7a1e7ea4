package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/internal/dist"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// asMain in the environment makes the test's binary mesos-kafka.
const asMain = "MESOS_KAFKA_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" || os.Getenv(executor.Marker) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// patience bounds every wait; a machine that is busy with other tests needs it.
const patience = 3 * time.Minute

// command is mesos-kafka with arguments.
func command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, os.Args[0], args...)
	c.Env = append(os.Environ(), asMain+"=1")
	return c
}

// mesosKafka runs a command to its end.
func mesosKafka(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, complaint bytes.Buffer
	c := command(t.Context(), args...)
	c.Stdout, c.Stderr = &out, &complaint
	_ = c.Run() // the status is what the test asks for
	return out.String(), complaint.String(), c.ProcessState.ExitCode()
}

// framework is a scheduler process that can be killed and started again, with
// what all its runs said.
type framework struct {
	frameworks.Client
	t    *testing.T
	args []string

	run *exec.Cmd // nil while none runs

	mu    sync.Mutex
	lines []string
	news  chan struct{} // closed at the next line
}

// newFramework describes a scheduler on a cluster; start starts it.
func newFramework(t *testing.T, master string, args ...string) *framework {
	t.Helper()
	api := freeAddress(t)
	f := &framework{
		Client: frameworks.Client{URL: "http://" + api}, t: t, news: make(chan struct{}),
		args: append([]string{"scheduler", "--master", master, "--state", t.TempDir(), "--api", api}, args...),
	}
	t.Cleanup(func() {
		f.kill()
		if t.Failed() {
			t.Logf("the scheduler said:\n%s", strings.Join(f.said(), "\n"))
		}
	})
	return f
}

// quickAgents are agents that tell soon again what was not acknowledged.
func quickAgents(n int, resources string) mesostest.Option {
	return func(c *mesostest.Config) {
		for range n {
			c.Agents = append(c.Agents, mesostest.AgentConfig{Resources: resources, RetryMin: time.Second})
		}
	}
}

// onKafka are the flags for small brokers.
func onKafka(d dist.Distribution, more ...string) []string {
	args := []string{
		"--kafka", d.Classpath(), "--java", d.Java,
		"--cpus", "0.2", "--mem", "384", "--heap", "128", "--disk", "512",
		"--jvm-flag", "-Xms32m", "--jvm-flag", "-XX:+UseSerialGC", "--jvm-flag", "-XX:TieredStopAtLevel=1",
		"--option", "broker.session.timeout.ms=3000", "--option", "broker.heartbeat.interval.ms=500",
	}
	if d.ClassArchive != "" {
		args = append(args, "--jvm-flag", "-XX:SharedArchiveFile="+d.ClassArchive)
	}
	return append(args, more...)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func (f *framework) start() {
	f.t.Helper()
	require.Nil(f.t, f.run)
	f.run = command(context.WithoutCancel(f.t.Context()), f.args...)
	out, err := f.run.StderrPipe()
	require.NoError(f.t, err)
	require.NoError(f.t, f.run.Start())
	go func() {
		for text := bufio.NewScanner(out); text.Scan(); {
			f.mu.Lock()
			f.lines = append(f.lines, text.Text())
			close(f.news)
			f.news = make(chan struct{})
			f.mu.Unlock()
		}
	}()
}

// kill ends the scheduler without a chance to do anything more.
func (f *framework) kill() {
	if f.run != nil {
		_ = f.run.Process.Kill() // it may have ended
		_ = f.run.Wait()
		f.run = nil
	}
}

// terminate asks the scheduler to end, and returns its exit status.
func (f *framework) terminate() int {
	require.NoError(f.t, f.run.Process.Signal(syscall.SIGTERM))
	_ = f.run.Wait() // the status is what the test asks for
	status := f.run.ProcessState.ExitCode()
	f.run = nil
	return status
}

func (f *framework) said() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.lines...)
}

// awaitLine waits until a line after the first from contains the text.
func (f *framework) awaitLine(from int, text string) {
	f.t.Helper()
	deadline := time.After(patience)
	for {
		f.mu.Lock()
		lines, news := f.lines, f.news
		f.mu.Unlock()
		for _, line := range lines[from:] {
			if strings.Contains(line, text) {
				return
			}
		}
		select {
		case <-news:
		case <-deadline:
			require.FailNow(f.t, "the scheduler never said", "%q", text)
		}
	}
}

// await asks for the status until it is as wanted.
func (f *framework) await(what string, wanted func(frameworks.Status) bool) frameworks.Status {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		status, err := f.Status(ctx)
		if err == nil && wanted(status) {
			return status
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			require.FailNow(f.t, "never "+what, "%+v %v", status, err)
		}
	}
}

func (f *framework) awaitReady(n int) frameworks.Status {
	f.t.Helper()
	return f.await(fmt.Sprintf("%d brokers ready", n), func(s frameworks.Status) bool { return s.Ready == n && len(s.Nodes) == n })
}

// awaitNode waits for one broker.
func (f *framework) awaitNode(i int, what string, wanted func(frameworks.NodeStatus) bool) frameworks.NodeStatus {
	f.t.Helper()
	return f.await(fmt.Sprintf("broker %d %s", i, what), func(s frameworks.Status) bool {
		return len(s.Nodes) > i && wanted(s.Nodes[i])
	}).Nodes[i]
}

// operate gives a command to the scheduler, which must take it.
func (f *framework) operate(args ...string) string {
	f.t.Helper()
	out, complaint, status := mesosKafka(f.t, append(args, "--api", f.URL)...)
	require.Zero(f.t, status, complaint)
	return out
}
