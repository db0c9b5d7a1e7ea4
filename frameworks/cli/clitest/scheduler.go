package clitest

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// Scheduler is a framework's scheduler process, which can be killed and started
// again, with what all its runs said. Its methods fail the test; those that
// wait give up after Patience. It is for one goroutine at a time.
type Scheduler struct {
	frameworks.Client
	// Mesos is the cluster that it runs on.
	Mesos *mesostest.Cluster

	t    testing.TB
	args []string
	run  *exec.Cmd // nil while none runs

	mu    sync.Mutex
	lines []string
	news  chan struct{} // closed at the next line
}

// New describes a scheduler with a state of its own on a cluster, with further
// flags. Start starts it. It ends with the test, and prints what it said if
// that failed.
func New(t testing.TB, c *mesostest.Cluster, flags ...string) *Scheduler {
	t.Helper()
	api := FreeAddress(t)
	s := &Scheduler{
		Client: frameworks.Client{URL: "http://" + api}, Mesos: c, t: t, news: make(chan struct{}),
		args: append([]string{"scheduler", "--master", c.Master(), "--state", t.TempDir(), "--api", api}, flags...),
	}
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("the scheduler said:\n%s", strings.Join(s.Said(), "\n"))
		}
	})
	return s
}

// In makes t, a subtest of the one that the scheduler lives in, the test that
// failures belong to.
func (s *Scheduler) In(t testing.TB) *Scheduler {
	s.t = t
	return s
}

// Flags adds flags to the next start. Of a flag that is given twice and can be
// given once, the last holds.
func (s *Scheduler) Flags(flags ...string) { s.args = append(s.args, flags...) }

// Start starts the process, which must not run.
func (s *Scheduler) Start() {
	s.t.Helper()
	require.Nil(s.t, s.run, "the scheduler runs already")
	s.run = command(context.WithoutCancel(s.t.Context()), s.args...)
	out, err := s.run.StderrPipe()
	require.NoError(s.t, err)
	require.NoError(s.t, s.run.Start())
	go func() {
		for text := bufio.NewScanner(out); text.Scan(); {
			s.mu.Lock()
			s.lines = append(s.lines, text.Text())
			close(s.news)
			s.news = make(chan struct{})
			s.mu.Unlock()
		}
	}()
}

// Kill ends the process without a chance to do anything more.
func (s *Scheduler) Kill() {
	if s.run != nil {
		_ = s.run.Process.Kill() // it may have ended
		_ = s.run.Wait()
		s.run = nil
	}
}

// Terminate asks the process to end, and returns its exit status.
func (s *Scheduler) Terminate() int {
	s.t.Helper()
	require.NoError(s.t, s.run.Process.Signal(syscall.SIGTERM))
	return s.Ended()
}

// Ended waits for the end of a process that ends by itself, and returns its
// exit status.
func (s *Scheduler) Ended() int {
	s.t.Helper()
	late := time.AfterFunc(Patience, func() { _ = s.run.Process.Kill() })
	defer late.Stop()
	_ = s.run.Wait() // the status is what the test asks for
	status := s.run.ProcessState.ExitCode()
	s.run = nil
	return status
}

// Said are the lines that all runs so far have written.
func (s *Scheduler) Said() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines)
}

// AwaitLine waits until a line after the first from contains the text. A
// scheduler that was killed may never have written it.
func (s *Scheduler) AwaitLine(from int, text string) {
	s.t.Helper()
	deadline := time.After(Patience)
	for {
		s.mu.Lock()
		lines, news := s.lines, s.news
		s.mu.Unlock()
		for _, line := range lines[from:] {
			if strings.Contains(line, text) {
				return
			}
		}
		select {
		case <-news:
		case <-deadline:
			require.FailNow(s.t, "the scheduler never said", "%q", text)
		}
	}
}

// Await asks for the status until it is as wanted.
func (s *Scheduler) Await(what string, wanted func(frameworks.Status) bool) frameworks.Status {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), Patience)
	defer cancel()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		status, err := s.Status(ctx)
		if err == nil && wanted(status) {
			return status
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			require.FailNow(s.t, "never "+what, "%+v %v", status, err)
		}
	}
}

// AwaitReady waits until there are n nodes and all are ready.
func (s *Scheduler) AwaitReady(n int) frameworks.Status {
	s.t.Helper()
	return s.Await(fmt.Sprintf("%d nodes ready", n), func(st frameworks.Status) bool { return st.Ready == n && len(st.Nodes) == n })
}

// AwaitNode waits for one node, named as in "broker-1".
func (s *Scheduler) AwaitNode(name, what string, wanted func(frameworks.NodeStatus) bool) frameworks.NodeStatus {
	s.t.Helper()
	return node(s.Await(name+" "+what, func(st frameworks.Status) bool {
		n := node(st, name)
		return n.Name != "" && wanted(n)
	}), name)
}

// Node is one node as it stands.
func (s *Scheduler) Node(name string) frameworks.NodeStatus {
	s.t.Helper()
	return s.AwaitNode(name, "there", func(frameworks.NodeStatus) bool { return true })
}

func node(s frameworks.Status, name string) frameworks.NodeStatus {
	for _, n := range s.Nodes {
		if n.Name == name {
			return n
		}
	}
	return frameworks.NodeStatus{}
}

// Operate gives an operator's command, which must be granted, and returns what
// it printed.
func (s *Scheduler) Operate(args ...string) string {
	s.t.Helper()
	out, complaint, status := Run(s.t, append(args, "--api", s.URL)...)
	require.Zero(s.t, status, complaint)
	return out
}
