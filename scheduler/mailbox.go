package scheduler

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrStopped is what a Send gets whose scheduler has ended before it answered.
// Whether the command took effect is unknown.
var ErrStopped = errors.New("the scheduler has stopped")

// Mailbox takes commands to a running scheduler. The zero value is ready: put
// its address into Config.Mailbox. Several goroutines may send at once.
type Mailbox struct {
	mu      sync.Mutex
	letters chan letter   // nil before anybody asked for it
	ended   chan struct{} // closed when the scheduler has ended; made with letters
}

type letter struct {
	ctx   context.Context
	value any
	reply chan Answer // has room for the one answer
}

// Send hands value to the handler as a Command, and returns the value and the
// error of its Answer, which comes after everything decided with it is
// durable. It waits for a scheduler that has yet to start. The error is that
// of ctx when it ends first, and ErrStopped when the scheduler does.
func (b *Mailbox) Send(ctx context.Context, value any) (any, error) {
	l := letter{ctx, value, make(chan Answer, 1)}
	letters, ended := b.open()
	select {
	case letters <- l:
	case <-ended:
		return nil, ErrStopped
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	select {
	case a := <-l.reply:
		return a.Value, a.Err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (b *Mailbox) open() (chan letter, chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.letters == nil {
		b.letters, b.ended = make(chan letter), make(chan struct{})
	}
	return b.letters, b.ended
}

// begin is called when a scheduler starts, and close when it has ended. Who
// sent before the first start waits for that one.
func (b *Mailbox) begin() <-chan letter {
	letters, ended := b.open()
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-ended: // of the scheduler before this one
		b.ended = make(chan struct{})
	default:
	}
	return letters
}

func (b *Mailbox) close() {
	_, ended := b.open()
	close(ended)
}

// correspondence is the commands that wait for an answer.
type correspondence struct {
	last    uint64
	waiting map[uint64]letter
}

// newCorrespondence numbers commands from the time on, so that a handler that
// kept the number of a command of an earlier process answers nobody.
func newCorrespondence() *correspondence {
	return &correspondence{last: uint64(time.Now().UnixNano()), waiting: map[uint64]letter{}}
}

func (c *correspondence) open(l letter) Command {
	for id, other := range c.waiting {
		if other.ctx.Err() != nil {
			delete(c.waiting, id) // the sender has gone
		}
	}
	c.last++
	c.waiting[c.last] = l
	return Command{ID: c.last, Value: l.value}
}

func (c *correspondence) answer(a Answer) {
	if l, ok := c.waiting[a.Command]; ok {
		delete(c.waiting, a.Command)
		l.reply <- a
	}
}

func (c *correspondence) close() {
	for id := range c.waiting {
		c.answer(Answer{Command: id, Err: ErrStopped})
	}
}
