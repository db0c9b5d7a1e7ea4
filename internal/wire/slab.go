package wire

import (
	"hash/maphash"
	"strings"
)

// slab hands out values from chunks, which grow: an event with one offer costs
// little, and one with many few allocations.
type slab[T any] struct {
	free  []T // of the current chunk
	size  int // of the current chunk
	dirty int // so many of free may hold what a list that was given up has left
}

const (
	firstChunk = 8
	maxChunk   = 4096
)

// one returns a value that nobody else has.
func (s *slab[T]) one() *T {
	if len(s.free) == 0 {
		s.grow(1)
	}
	one := &s.free[0]
	if s.dirty > 0 {
		*one = *new(T)
		s.dirty--
	}
	s.free = s.free[1:]
	return one
}

// open begins a list whose length is not known yet, more makes it one longer,
// and close ends it. A slab has one open list at a time.
func (s *slab[T]) open() []T { return s.free[:0] }

func (s *slab[T]) more(list []T) []T {
	if len(list) == len(s.free) {
		s.grow(len(list) + 1)
		copy(s.free, list)
	}
	list = s.free[:len(list)+1]
	if len(list) <= s.dirty {
		clear(list[len(list)-1:])
	} else {
		s.dirty = len(list)
	}
	return list
}

// close returns the list so that appending to it reallocates.
func (s *slab[T]) close(list []T) []T {
	if len(list) == 0 {
		return nil
	}
	s.free, s.dirty = s.free[len(list):], s.dirty-len(list)
	return list[:len(list):len(list)]
}

// grow begins a chunk with room for n values at least.
func (s *slab[T]) grow(n int) {
	s.size = max(min(2*s.size, maxChunk), firstChunk, n)
	s.free, s.dirty = make([]T, s.size), n-1
}

// cache hands out one value for messages that are equal, byte by byte. It
// remembers a few, and the last one before all: agents of a kind are told of one
// after the other.
type cache[T any] struct {
	last    cached[T]
	entries [64]cached[T]
}

type cached[T any] struct {
	message string // empty: nothing is here
	value   T
}

func (c *cache[T]) at(message string) (value T, found bool) {
	if message == "" {
		return value, false
	}
	if c.last.message != message {
		e := &c.entries[c.place(message)]
		if e.message != message {
			return value, false
		}
		c.last = *e
	}
	return c.last.value, true
}

func (c *cache[T]) put(message string, value T) {
	c.last = cached[T]{message, value}
	c.entries[c.place(message)] = c.last
}

func (c *cache[T]) place(message string) uint64 {
	return maphash.String(seed, message) % uint64(len(c.entries))
}

var seed = maphash.MakeSeed()

// shared hands out one pointer for equal values, as long as they come one after
// the other or alternate between a few.
type shared[T comparable] struct {
	recent [4]*T
	next   int
}

func (s *shared[T]) of(v T) *T {
	for _, p := range s.recent {
		if p != nil && *p == v {
			return p
		}
	}
	p := new(T)
	*p = v
	s.recent[s.next] = p
	s.next = (s.next + 1) % len(s.recent)
	return p
}

// names hands out one pointer for equal texts, as long as they are among the last
// few.
type names struct {
	recent [16]*string
	next   int
}

func (n *names) of(text string, a *arena) *string {
	for _, p := range n.recent {
		if p != nil && *p == text {
			return p
		}
	}
	p := new(string)
	*p = a.keep(text)
	n.recent[n.next] = p
	n.next = (n.next + 1) % len(n.recent)
	return p
}

// arena holds texts one behind the other, in chunks, which grow as those of a
// slab.
type arena struct {
	chunk strings.Builder
	size  int
}

const (
	firstText = 512
	maxText   = 64 << 10
)

// keep returns a copy.
func (a *arena) keep(text string) string {
	if a.chunk.Cap()-a.chunk.Len() < len(text) {
		a.size = max(min(2*a.size, maxText), firstText, len(text))
		a.chunk = strings.Builder{}
		a.chunk.Grow(a.size)
	}
	start := a.chunk.Len()
	a.chunk.WriteString(text) // within its capacity, so that what was kept stays where it is
	return a.chunk.String()[start:]
}
