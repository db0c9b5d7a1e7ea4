package executor

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// deaf is a supervisor with a function that goes on until it is released, whatever
// becomes of its context.
func deaf() (s *supervisor, calls *atomic.Int64, release chan struct{}) {
	calls, release = new(atomic.Int64), make(chan struct{})
	s = &supervisor{stdout: brokenWriter{}, log: slog.New(slog.DiscardHandler)}
	s.server = newProgram(s, Sidecar{}, nil, 0)
	s.steps = map[string]StepFunc{"deaf": func(context.Context, Sandbox) error {
		calls.Add(1)
		<-release
		return nil
	}}
	return s, calls, release
}

// A function that does not heed the end of its context keeps nobody waiting.
func TestFunctionIsLeftBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _, release := deaf()
		begin := time.Now()
		_, err := s.step(t.Context(), Step{Name: "format", Func: "deaf", Timeout: time.Second})
		assert.ErrorIs(t, err, errLeft)
		assert.ErrorContains(t, err, "not done within 1s")
		assert.Equal(t, time.Second+stepGrace, time.Since(begin))

		request := Request{Name: "dump", Within: time.Second}
		_, err = s.request(t.Context(), request, map[string]RequestFunc{
			"dump": func(ctx context.Context, box Sandbox, _ json.RawMessage) (any, error) {
				return nil, s.steps["deaf"](ctx, box)
			},
		})
		assert.ErrorIs(t, err, errLeft)
		assert.ErrorContains(t, err, "dump: not done within 1s")
		close(release)
	})
}

// A probe does not call its function again before that has returned.
func TestProbeLeavesOneFunctionBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, calls, release := deaf()
		check, err := (&programRun{program: s.server}).check(Probe{Func: "deaf"})
		require.NoError(t, err)
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			assert.ErrorIs(t, check(ctx), errLeft)
			cancel()
		}
		assert.EqualValues(t, 1, calls.Load())
		close(release)
		synctest.Wait()
		assert.NoError(t, check(t.Context()))
		assert.EqualValues(t, 2, calls.Load())
	})
}

type panicker struct{}

func (panicker) MarshalJSON() ([]byte, error) { panic("no form") }

// A request that comes before the task has looked up its user does not run as
// another, and one whose answer has no form ends nobody.
func TestRequestThatCannotBe(t *testing.T) {
	t.Parallel()
	s, calls, release := deaf()
	close(release)
	functions := map[string]RequestFunc{"dump": func(ctx context.Context, box Sandbox, _ json.RawMessage) (any, error) {
		return panicker{}, s.steps["deaf"](ctx, box)
	}}
	_, err := s.request(t.Context(), Request{Name: "dump"}, functions)
	assert.ErrorContains(t, err, "panic: no form")
	assert.EqualValues(t, 1, calls.Load())

	s, calls, _ = deaf()
	s.task.User = "no-such-user-of-mesokit"
	_, err = s.request(t.Context(), Request{Name: "dump"}, functions)
	assert.ErrorContains(t, err, `user "no-such-user-of-mesokit"`)
	assert.Zero(t, calls.Load())
}

// The lease that comes back while the server is being stopped does not make its
// task run again.
func TestLeaseComesBackTooLate(t *testing.T) {
	t.Parallel()
	s, _, _ := deaf()
	s.task.Lease = &Lease{Again: &Step{Name: "open"}}
	s.tell = func(r report) { t.Errorf("told %v: %s", r.state, r.message) }
	for phase, err := range map[stopPhase]error{preparing: nil, signalled: nil, terminated: assert.AnError} {
		r := &programRun{program: s.server, phase: phase}
		r.lease = leaseRun{lapsed: true, end: make(chan time.Time), undo: func() {}}
		r.leaseUndone(t.Context(), err)
		assert.Equal(t, err != nil, r.lease.lapsed)
		assert.Nil(t, r.lease.undone)
	}
}
