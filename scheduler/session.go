package scheduler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/mesokit/mesokit/internal/recordio"
	"github.com/mesokit/mesokit/internal/wire"
)

var (
	// ErrFailedOver ends Run when another scheduler has subscribed as the same
	// framework, or loaded the same store. This one must not come back by itself, or the two would take
	// the framework from each other for ever.
	ErrFailedOver = errors.New("another scheduler has taken over the framework")

	// ErrRemoved ends Run when the master has removed the framework: it was
	// torn down, or nobody subscribed within its failover timeout. Its tasks
	// are gone and its id is of no more use.
	ErrRemoved = errors.New("the master has removed the framework and ended its tasks: start again with Config.RegisterAnew (reservations and volumes stay), or with an empty store")

	// ErrRefused ends Run when the framework cannot subscribe with this master,
	// for a reason that does not go away by itself.
	ErrRefused = errors.New("no subscription with this master")
)

var errTornDown = errors.New("the framework was torn down")

const (
	// Between attempts to subscribe; the wait is between half of it and all.
	firstBackoff = 250 * time.Millisecond
	maxBackoff   = 15 * time.Second

	// A stream is given up after this many heartbeats in a row are missing, as
	// docs/scheduler-http-api.md of Mesos advises; the interval is the
	// master's default where it has not said another.
	missedHeartbeats = 5
	defaultHeartbeat = 15 * time.Second
)

// session is one subscription, from looking for the leader to its end.
type session struct {
	transport *transport
	masters   masters
	log       *slog.Logger
	monitor   *Monitor
	maxFrame  int
	subscribe outgoing
	leads     func(context.Context) error // fails when another leads; asked before each attempt
	wait      time.Duration               // before the first attempt
	events    chan<- Event                // the last thing on it is sessionEnded
	outbox    *outbox
	found     string // host and port of the master that was asked first
}

// sessionEnded is told to the loop and not to the machine.
type sessionEnded struct {
	err        error
	subscribed bool          // SUBSCRIBED had come
	lasted     time.Duration // since SUBSCRIBED
}

func (sessionEnded) event() {}

// run lives until the subscription ends or parent does.
func (s *session) run(parent context.Context) {
	ctx, cancel := context.WithCancelCause(parent)
	ended := sessionEnded{}
	stream, err := s.open(ctx)
	if err == nil {
		ended, err = s.read(ctx, cancel, stream)
	}
	cancel(err)
	// What made the context end says more than the read that failed for it.
	if cause := context.Cause(ctx); errors.Is(err, context.Canceled) && cause != nil {
		err = cause
	}
	ended.err = err
	_ = s.emit(parent, ended) // fails when Run ends, and then nobody asks
}

// emit hands an event to the loop, and blocks while the loop is behind: TCP is
// the queue.
func (s *session) emit(ctx context.Context, ev Event) error {
	select {
	case s.events <- ev:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// open subscribes with the leader, and goes on trying until it has or cannot.
func (s *session) open(ctx context.Context) (*answer, error) {
	wait, said := s.wait, ""
	for {
		if err := pause(ctx, wait); err != nil {
			return nil, err
		}
		u, err := s.masters.next(ctx)
		if err != nil {
			return nil, err
		}
		// A scheduler that woke up late must not take the framework back.
		if err := s.leads(ctx); err != nil {
			return nil, err
		}
		s.found = u.Host
		stream, err := s.transport.post(ctx, u, "", s.subscribe)
		if err == nil {
			return stream, nil
		}
		var status *statusError
		if errors.As(err, &status) && status.final() {
			return nil, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if text := err.Error(); text != said {
			s.log.Info("no subscription yet", slog.String("error", text))
			s.monitor.trouble(text)
			said = text
		}
		s.masters.failed()
		wait = min(max(2*wait, firstBackoff), maxBackoff)
	}
}

// pause waits for between half of d and all of it, so that schedulers which
// lost a master together do not come back together.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d/2 + rand.N(d/2+1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// read takes events from the stream until it ends. Calls leave meanwhile.
func (s *session) read(ctx context.Context, cancel context.CancelCauseFunc, stream *answer) (sessionEnded, error) {
	var beside sync.WaitGroup // what goes on while this reads
	var ended sessionEnded
	defer beside.Wait()
	defer cancel(io.EOF) // the sender ends with the stream; the first cause stays
	defer stream.body.Close()

	dog := newWatchdog(cancel)
	defer dog.stop()
	frames := recordio.NewReader(stream.body, s.maxFrame)
	var since time.Time
	for {
		frame, err := frames.Next()
		if err != nil {
			ended.lasted = lasted(since)
			if cause := context.Cause(ctx); cause != nil {
				return ended, cause
			}
			return ended, fmt.Errorf("stream of %s: %w", stream.url.Host, err)
		}
		dog.stop()
		event, err := wire.Event(frame)
		if err != nil {
			return ended, fmt.Errorf("stream of %s: %w", stream.url.Host, err)
		}
		if event.Type == sched.Event_ERROR {
			ended.lasted = lasted(since)
			return ended, streamError(event.GetError().GetMessage(), ended.subscribed)
		}
		ev := EventOf(event)
		if sub, ok := ev.(Subscribed); ok && !ended.subscribed {
			if err := checkVersion(sub.Master.GetVersion()); err != nil {
				return ended, err
			}
			ended.subscribed, since = true, time.Now()
			dog.heartbeat(sub.Heartbeat)
			out := &sender{s.transport, s.log, stream.url, stream.streamID, cancel}
			beside.Go(func() { out.run(ctx, s.outbox) })
			beside.Go(func() { s.watchLeader(ctx, cancel, stream.url.Host) })
		}
		if ev != nil {
			if err := s.emit(ctx, ev); err != nil {
				return ended, err
			}
		}
		dog.start()
	}
}

// watchLeader ends the subscription when another master leads.
func (s *session) watchLeader(ctx context.Context, cancel context.CancelCauseFunc, host string) {
	// The master that was found may have redirected, to a name that ZooKeeper
	// does not know.
	if leader := s.masters.replaced(ctx, host, s.found); leader != "" {
		cancel(fmt.Errorf("%s leads in place of %s", leader, host))
	}
}

func lasted(since time.Time) time.Duration {
	if since.IsZero() {
		return 0
	}
	return time.Since(since)
}

// streamError says what an ERROR event means. Mesos has no codes for it.
func streamError(message string, subscribed bool) error {
	switch {
	case strings.Contains(message, "failed over"):
		return ErrFailedOver
	case strings.Contains(message, "has been removed"), strings.Contains(message, "Completed framework"):
		return ErrRemoved
	case !subscribed:
		return fmt.Errorf("%w: %s", ErrRefused, message)
	}
	return fmt.Errorf("the master ended the subscription: %s", message)
}

// watchdog gives a stream up that has gone silent. It sleeps while an event is
// being handed on, since then it is we who are late.
type watchdog struct {
	interval time.Duration
	timer    *time.Timer
}

func newWatchdog(cancel context.CancelCauseFunc) *watchdog {
	d := &watchdog{interval: defaultHeartbeat}
	d.timer = time.AfterFunc(d.patience(), func() {
		cancel(fmt.Errorf("nothing came from the master for %v", d.patience()))
	})
	return d
}

func (d *watchdog) patience() time.Duration { return missedHeartbeats * d.interval }
func (d *watchdog) start()                  { d.timer.Reset(d.patience()) }
func (d *watchdog) stop()                   { d.timer.Stop() }

func (d *watchdog) heartbeat(interval time.Duration) {
	if interval > 0 {
		d.interval = interval
	}
}
