package mesostest

import (
	"context"
	"sync"
)

// queue is an unbounded queue: whoever steps a machine must never wait for
// whoever takes its outputs.
type queue[T any] struct {
	mu     sync.Mutex
	items  []T
	closed bool
	signal chan struct{} // buffered by one: something changed
}

func newQueue[T any]() *queue[T] { return &queue[T]{signal: make(chan struct{}, 1)} }

// push appends v, unless the queue was closed.
func (q *queue[T]) push(v T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.items = append(q.items, v)
		q.wake()
	}
}

// close lets pop end after what was pushed before.
func (q *queue[T]) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake()
}

func (q *queue[T]) wake() {
	select {
	case q.signal <- struct{}{}:
	default:
	}
}

// take returns all that is queued, and whether more may come.
func (q *queue[T]) take() (items []T, open bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	items, q.items = q.items, nil
	return items, !q.closed
}

// each calls f with every item in order until the queue is closed or ctx ends.
// Only one goroutine may do so.
func (q *queue[T]) each(ctx context.Context, f func(T)) {
	for {
		items, open := q.take()
		for _, v := range items {
			if ctx.Err() != nil {
				return
			}
			f(v)
		}
		if !open {
			return
		}
		select {
		case <-q.signal:
		case <-ctx.Done():
			return
		}
	}
}
