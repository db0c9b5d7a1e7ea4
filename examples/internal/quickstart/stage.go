package quickstart

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
	"github.com/mesokit/mesokit/scheduler/state"
)

// Stage is where a quickstart plays: the embedded Mesos and, on it, the
// service, whose API the Client asks.
type Stage struct {
	frameworks.Client
	// Mesos is there from Work on.
	Mesos *mesostest.Cluster
	// Dir is a temporary directory, which goes with the stage.
	Dir string

	say      *lines
	cleanups []func() error
}

// Say prints a line with the time since the start.
func (s *Stage) Say(format string, args ...any) { s.say.print(format, args...) }

// Progress is Say for what reports in whole lines.
func (s *Stage) Progress(line string) { s.say.print("%s", line) }

// Cleanup calls a function when all that was started later has ended.
func (s *Stage) Cleanup(end func() error) { s.cleanups = append(s.cleanups, end) }

func (s *Stage) end() error {
	s.say.close()
	var errs []error
	for _, end := range slices.Backward(s.cleanups) {
		errs = append(errs, end())
	}
	return errors.Join(errs...)
}

// serve runs the scheduler in this process. The context that it returns ends
// with the scheduler.
func (s *Stage) serve(ctx context.Context, service *frameworks.Service) (context.Context, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	store, err := state.OpenFile(filepath.Join(s.Dir, "state"))
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	s.Client = frameworks.Client{URL: "http://" + listener.Addr().String()}
	serving, end := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		defer end()
		ended <- frameworks.Run(serving, frameworks.Config{
			Service:   service,
			Listener:  listener,
			Scheduler: scheduler.Config{Master: s.Mesos.Master(), Store: store, Logger: slog.New(s.say)},
		})
	}()
	s.Cleanup(func() error {
		end() // the servers end with their agents
		return errors.Join(<-ended, store.Close())
	})
	return serving, nil
}

// deployTime bounds every wait for the service.
const deployTime = 5 * time.Minute

// Await asks for the status until it is as wanted; what names that for the
// error.
func (s *Stage) Await(ctx context.Context, what string, wanted func(frameworks.Status) bool) (frameworks.Status, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, deployTime, fmt.Errorf("not %s after %v", what, deployTime))
	defer cancel()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		status, err := s.Status(ctx)
		switch {
		case ctx.Err() != nil:
			return status, context.Cause(ctx)
		case err != nil:
			return status, err
		case wanted(status):
			return status, nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
		}
	}
}

// AwaitReady waits until all of so many nodes are ready.
func (s *Stage) AwaitReady(ctx context.Context, nodes int) (frameworks.Status, error) {
	return s.Await(ctx, fmt.Sprintf("%d nodes ready", nodes), func(st frameworks.Status) bool {
		return len(st.Nodes) == nodes && st.Ready == nodes
	})
}

// started is a line of an executor's own log.
var started = regexp.MustCompile(`msg="server started" .*pid=(\d+)`)

// Kill ends a node's server as a lack of memory would: by SIGKILL. The node's
// task must run.
func (s *Stage) Kill(ctx context.Context, n frameworks.NodeStatus) error {
	pid, err := s.pid(ctx, n)
	if err != nil {
		return fmt.Errorf("kill the server of %s: %w", n.Name, err)
	}
	s.Say("kill -9 %d, the server of %s", pid, n.Name)
	process, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return process.Kill()
}

// pid asks the log of the node's executor, which has the task's name, for the
// server that it started last.
func (s *Stage) pid(ctx context.Context, n frameworks.NodeStatus) (int, error) {
	status, err := s.Status(ctx)
	if err != nil {
		return 0, err
	}
	i := slices.IndexFunc(s.Mesos.Agents(), func(a *mesostest.Agent) bool { return n.Place != nil && a.ID() == n.Place.Agent })
	if i < 0 {
		return 0, errors.New("it is on no agent")
	}
	path := filepath.Join(s.Mesos.Agent(i).Sandbox(status.FrameworkID, n.Task), "stderr")
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	all := started.FindAllSubmatch(text, -1)
	if len(all) == 0 {
		return 0, fmt.Errorf("%s tells of no server that was started", path)
	}
	return strconv.Atoi(string(all[len(all)-1][1]))
}

// AwaitReturn waits until the next task of a node is ready, and compares where
// it runs.
func (s *Stage) AwaitReturn(ctx context.Context, before frameworks.NodeStatus) error {
	status, err := s.Await(ctx, before.Name+" back", func(st frameworks.Status) bool {
		n := find(st, before.Name)
		return n.Ready && n.Incarnation > before.Incarnation
	})
	if err != nil {
		return err
	}
	after := find(status, before.Name)
	if was, is := residence(before), residence(after); was != is {
		return fmt.Errorf("%s came back on %s; it was on %s", before.Name, is, was)
	}
	s.Say("%s is back, still on %s", after.Name, residence(after))
	return nil
}

func find(status frameworks.Status, name string) frameworks.NodeStatus {
	for _, n := range status.Nodes {
		if n.Name == name {
			return n
		}
	}
	return frameworks.NodeStatus{}
}

// residence is everything about a node's place that must not change.
func residence(n frameworks.NodeStatus) string {
	if n.Place == nil {
		return "no agent"
	}
	var text strings.Builder
	text.WriteString("agent " + n.Place.Hostname)
	ports := make([]string, 0, len(n.Place.Ports))
	for name, port := range n.Place.Ports {
		ports = append(ports, fmt.Sprintf(", %s port %d", name, port))
	}
	slices.Sort(ports)
	text.WriteString(strings.Join(ports, ""))
	for _, r := range n.Place.Resources {
		if p := r.GetDisk().GetPersistence(); p != nil {
			text.WriteString(", volume " + p.ID)
		}
	}
	return text.String()
}
