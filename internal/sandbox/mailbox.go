package sandbox

import (
	"context"
	"iter"
	"sync"
)

// mailbox is a queue without a bound between two goroutines: putting never
// blocks.
type mailbox[T any] struct {
	mu     sync.Mutex
	queue  []T
	closed bool
	signal chan struct{} // holds one token if the queue may have changed
}

func newMailbox[T any]() *mailbox[T] { return &mailbox[T]{signal: make(chan struct{}, 1)} }

func (m *mailbox[T]) put(v T) { m.change(func() { m.queue = append(m.queue, v) }) }

// close says that nothing more is put.
func (m *mailbox[T]) close() { m.change(func() { m.closed = true }) }

func (m *mailbox[T]) change(do func()) {
	m.mu.Lock()
	do()
	m.mu.Unlock()
	select {
	case m.signal <- struct{}{}:
	default:
	}
}

// all yields what is put, in order, until the mailbox is closed and empty or
// the context ends. Only one goroutine may range over it.
func (m *mailbox[T]) all(ctx context.Context) iter.Seq[T] {
	return func(yield func(T) bool) {
		for {
			m.mu.Lock()
			batch, closed := m.queue, m.closed
			m.queue = nil
			m.mu.Unlock()
			for _, v := range batch {
				if ctx.Err() != nil || !yield(v) {
					return
				}
			}
			if closed {
				return
			}
			select {
			case <-m.signal:
			case <-ctx.Done():
				return
			}
		}
	}
}
