package scheduler

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/mesokit/mesokit/scheduler/state"
)

const (
	// maxBatch is how many events are saved together, at most, and how many
	// wait for the loop before the stream does.
	maxBatch = 1000

	seedSize = 32
)

// Run subscribes with the leading master and carries out what the handler
// decides, until ctx ends or the framework was torn down: then it returns nil.
// It goes on through lost connections and changes of leader. It returns an
// error when the configuration is wrong, when the store fails, and with
// ErrFailedOver, ErrRemoved or ErrRefused; with ErrFailedOver also when ctx ends
// and its cause is state.ErrFenced, as that of an elected leader does. When it
// returns, all its goroutines have ended, jobs included.
//
// A panic of the handler is not caught: nothing of the decision was saved or
// sent, and the next start goes on from the state before it.
func Run(ctx context.Context, c Config) error {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return fmt.Errorf("scheduler: %w", err)
	}
	masters, err := parseMasters(c.Master, c.scheme())
	if err != nil {
		return fmt.Errorf("scheduler: %w", err)
	}
	records, err := c.Store.Load(ctx)
	if err != nil {
		return fmt.Errorf("scheduler: %w", failedOver(err))
	}
	seed := make([]byte, seedSize)
	rand.Read(seed) // never fails
	machine, err := NewMachine(c.Handler, seed, records)
	if err != nil {
		return err
	}
	machine.AdoptUnknown = c.AdoptUnknown
	l := &loop{
		Config:    c,
		machine:   machine,
		masters:   masters,
		transport: newTransport(c),
		outbox:    newOutbox(),
		events:    make(chan Event, maxBatch),
		shop:      newWorkshop(c.Handler),
		letters:   newCorrespondence(),
	}
	return l.run(ctx)
}

// loop owns the machine. Only its goroutine touches it.
type loop struct {
	Config
	machine   *Machine
	masters   masters
	transport *transport
	sessions  sync.WaitGroup // one at a time
	events    chan Event     // of the session
	outbox    *outbox        // of the session
	shop      *workshop
	inbox     <-chan letter
	letters   *correspondence
	backoff   time.Duration
	wake      *time.Timer
	done      bool
}

func (l *loop) run(ctx context.Context) (err error) {
	l.Monitor.running(true, nil)
	defer func() { l.Monitor.running(false, err) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // also when the handler panics; only a return waits
	l.wake = time.NewTimer(maxBackoff)
	l.wake.Stop() // nothing is due before the first Step
	l.inbox = l.Mailbox.begin()
	defer l.Mailbox.close()
	defer l.letters.close()

	var following sync.WaitGroup
	following.Go(func() { l.masters.follow(ctx, l.Logger) })
	err = l.begin(ctx)
	if err == nil {
		err = l.serve(ctx)
	}
	stopped, cause := ctx.Err() != nil, context.Cause(ctx)
	cancel()
	following.Wait()
	l.sessions.Wait()
	l.shop.running.Wait()
	l.transport.client.CloseIdleConnections()
	if errors.Is(cause, state.ErrFenced) {
		return fmt.Errorf("scheduler: %w", failedOver(cause))
	}
	if err != nil && !stopped {
		return fmt.Errorf("scheduler: %w", err)
	}
	return nil
}

// begin asks the handler before the first subscription, so that this one says
// what is wanted and the master does not offer what is of no use. The store is
// written once before anything depends on it.
func (l *loop) begin(ctx context.Context) error {
	if err := l.step(ctx, Tick{}); err != nil {
		return err
	}
	l.connect(ctx)
	return nil
}

func (l *loop) serve(ctx context.Context) error {
	for !l.done {
		var err error
		select {
		case ev := <-l.events:
			err = l.receive(ctx, ev)
		case news := <-l.shop.news:
			l.shop.taken(news)
			err = l.step(ctx, news)
		case letter := <-l.inbox:
			err = l.step(ctx, l.letters.open(letter))
		case <-l.wake.C:
			err = l.step(ctx, Tick{})
		case <-ctx.Done():
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// receive takes what waits in the stream, so that a burst of updates is saved
// at once.
func (l *loop) receive(ctx context.Context, ev Event) error {
	var batch []Event
	for {
		ended, ok := ev.(sessionEnded)
		if !ok {
			batch = append(batch, ev)
		}
		if ok || len(batch) == maxBatch || len(l.events) == 0 {
			if err := l.step(ctx, batch...); err != nil || !ok || l.done {
				return err
			}
			return l.reconnect(ctx, ended)
		}
		ev = <-l.events
	}
}

// step lets the machine decide about events, one after the other, and carries
// out the effects of all of them together: first everything is saved.
func (l *loop) step(ctx context.Context, events ...Event) error {
	if len(events) == 0 {
		return nil
	}
	l.Monitor.begin()
	var all Effects
	var calls []outgoing
	effects := make([]Effects, 0, len(events))
	for _, ev := range events {
		e := l.machine.Step(time.Now(), ev)
		effects = append(effects, e)
		all.Save = append(all.Save, e.Save...)
		calls = append(calls, outgoings(e)...)
		all.Start = append(all.Start, e.Start...)
		all.Cancel = append(all.Cancel, e.Cancel...)
		all.Answer = append(all.Answer, e.Answer...)
		all.Note = append(all.Note, e.Note...)
		all.Wake, all.Done = e.Wake, all.Done || e.Done
	}
	if err := l.carryOut(ctx, all, calls); err != nil {
		return err
	}
	l.Monitor.end(l.machine.Status())
	for i, ev := range events {
		l.Observe(ev, effects[i])
	}
	return nil
}

func (l *loop) carryOut(ctx context.Context, e Effects, calls []outgoing) error {
	// With nothing to save this asks whether to act is still ours.
	if len(e.Save)+len(calls)+len(e.Start) > 0 {
		if err := l.Store.Save(ctx, e.Save); err != nil {
			return failedOver(err)
		}
	}
	l.outbox.put(calls)
	for _, job := range e.Start {
		l.shop.start(ctx, job)
	}
	for _, name := range e.Cancel {
		l.shop.cancel(name)
	}
	for _, answer := range e.Answer {
		l.letters.answer(answer)
	}
	for _, note := range e.Note {
		l.Logger.LogAttrs(ctx, slog.LevelInfo, note.Text, note.Attrs...)
	}
	l.wake.Stop()
	if !e.Wake.IsZero() {
		l.wake.Reset(max(time.Until(e.Wake), 0))
	}
	l.done = l.done || e.Done
	return nil
}

// connect starts a session. The one before it has ended.
func (l *loop) connect(ctx context.Context) {
	l.outbox = newOutbox()
	s := &session{
		transport: l.transport,
		masters:   l.masters,
		log:       l.Logger,
		monitor:   l.Monitor,
		maxFrame:  l.MaxFrame,
		subscribe: outgoing{l.machine.Subscribe(l.Framework), l.machine.OfferConstraints()},
		leads:     l.leads,
		wait:      l.backoff,
		events:    l.events,
		outbox:    l.outbox,
	}
	l.sessions.Go(func() { s.run(ctx) })
}

// leads asks the store whether this scheduler is the writer still.
func (l *loop) leads(ctx context.Context) error {
	if err := l.Store.Save(ctx, nil); err != nil {
		return fmt.Errorf("%w: %w", errStore, failedOver(err))
	}
	return nil
}

// reconnect goes on after a session has ended, or says why not.
func (l *loop) reconnect(ctx context.Context, ended sessionEnded) error {
	tornDown := errors.Is(ended.err, errTornDown) || errors.Is(ended.err, ErrRemoved) && l.machine.identity.Teardown
	switch {
	case ctx.Err() != nil:
		return nil
	case tornDown, errors.Is(ended.err, ErrRemoved) && l.RegisterAnew:
		if err := l.step(ctx, Removed{}); err != nil || l.done {
			return err
		}
	case errors.Is(ended.err, errStore), errors.Is(ended.err, ErrFailedOver), errors.Is(ended.err, ErrRemoved), errors.Is(ended.err, ErrRefused):
		return ended.err
	case ended.subscribed:
		l.Monitor.trouble(ended.err.Error())
		if err := l.step(ctx, Disconnected{Reason: ended.err.Error()}); err != nil {
			return err
		}
	}
	l.backoff = min(max(2*l.backoff, firstBackoff), maxBackoff)
	if ended.lasted > maxBackoff {
		l.backoff = firstBackoff
	}
	l.connect(ctx)
	return nil
}
