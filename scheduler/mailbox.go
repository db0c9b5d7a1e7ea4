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
	once    sync.Once
	letters chan letter

	mu    sync.Mutex
	ended chan struct{} // closed when the scheduler has ended; nil before it began
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
	select {
	case b.inbox() <- l:
	case <-b.end():
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

func (b *Mailbox) inbox() chan letter {
	b.once.Do(func() { b.letters = make(chan letter) })
	return b.letters
}

// begin is called when a scheduler starts, close when it has ended.
func (b *Mailbox) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = make(chan struct{})
}

func (b *Mailbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.ended)
}

func (b *Mailbox) end() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ended
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
