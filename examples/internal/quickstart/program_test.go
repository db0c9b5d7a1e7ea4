package quickstart

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/mesokit/mesokit/examples/internal/quickstart/quickstarttest"
	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/offers"
)

// loses in the environment makes the quickstart lose a number, and fails makes
// its work fail.
const (
	loses = "QUICKSTART_TEST_LOSES"
	fails = "QUICKSTART_TEST_FAILS"
)

func TestMain(m *testing.M) {
	quickstarttest.Main(m, func() {
		Main(Program{
			Agents:  Agents(2, 2, "cpus:1;mem:128;disk:128;ports:[31000-31009]"),
			Declare: declareSleepers,
			Work:    workWithSleepers,
			Try:     []string{"go run ./sleepers status"},
		})
	})
}

// declareSleepers declares two servers that do nothing, with all that a
// quickstart looks at.
func declareSleepers(_ context.Context, s *Stage) (*frameworks.Service, error) {
	s.Cleanup(func() error {
		_, err := os.Stat(s.Dir)
		return err // it goes after what was started in it
	})
	return &frameworks.Service{Name: "sleepers", Pods: []frameworks.Pod{{
		Name: "sleeper", Count: 2,
		Needs: offers.MustParse("cpus:0.1;mem:16"),
		Ports: []frameworks.Port{{Name: "door"}},
		Volumes: []frameworks.Volume{{
			Name: "bed", Path: "bed", Size: 16_000,
		}},
		Task: func(frameworks.Deployment, frameworks.Node) (executor.Task, error) {
			return executor.Task{Command: []string{"sleep", "1000"}}, nil
		},
	}}}, nil
}

func workWithSleepers(ctx context.Context, s *Stage) (Result, error) {
	status, err := s.AwaitReady(ctx, 2)
	if err != nil {
		return Result{}, err
	}
	if os.Getenv(fails) != "" {
		return Result{}, errors.New("a nightmare")
	}
	l := NewLedger(2)
	l.Acknowledge(0)
	l.Acknowledge(1)
	if err := s.Kill(ctx, status.Nodes[1]); err != nil {
		return Result{}, err
	}
	if err := s.AwaitReturn(ctx, status.Nodes[1]); err != nil {
		return Result{}, err
	}
	l.Read(0)
	if os.Getenv(loses) == "" {
		l.Read(1)
	}
	return l.Result(), nil
}

func TestOnce(t *testing.T) {
	t.Parallel()
	run := quickstarttest.Once(t)
	assert.Equal(t, "acknowledged=2 read=2 lost=0", run.Lines[len(run.Lines)-1])
	run.InOrder("mesos: a master at http://127.0.0.1:", "sleeper-1  launched", "sleeper-1  ready", "kill -9 ",
		"sleeper-1  failed  state=TASK_FAILED  message=server was ended by SIGKILL", "sleeper-1 is back, still on agent 127.", "acknowledged=")
	assert.Regexp(t, `(?m)still on agent 127\S+, door port 310\d\d, volume sleepers\.sleeper-1\.1-\S+$`, strings.Join(run.Lines, "\n"))
}

func TestStaysUntilInterrupted(t *testing.T) {
	t.Parallel()
	assert.Regexp(t, `(?m)^    go run ./sleepers status --api http://127\.0\.0\.1:\d+$`, quickstarttest.Stays(t))
}

func TestInterruptedMidway(t *testing.T) {
	t.Parallel()
	quickstarttest.Interrupted(t, "launched")
}

// A quickstart that has lost something, or that failed, says so and leaves
// nothing behind either.
func TestEndsBadly(t *testing.T) {
	for _, test := range []struct{ variable, complaint, last string }{
		{loses, "lost: 1 of 2 that were acknowledged", "acknowledged=2 read=1 lost=1"},
		{fails, "a nightmare", ""},
	} {
		t.Run(test.variable, func(t *testing.T) {
			t.Setenv(test.variable, "1")
			run := quickstarttest.Run(t, "", "-once")
			assert.Equal(t, 1, run.Status)
			assert.Contains(t, run.Complaint, test.complaint)
			if last := run.Lines[len(run.Lines)-1]; test.last != "" {
				assert.Equal(t, test.last, last)
			}
		})
	}
}

func TestUnknownFlag(t *testing.T) {
	t.Parallel()
	run := quickstarttest.Run(t, "", "-twice")
	assert.Equal(t, 2, run.Status)
	assert.Contains(t, run.Complaint, "flag provided but not defined: -twice")
}
