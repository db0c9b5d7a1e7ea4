package wire

// slab hands out values from chunks, which grow: an event with one offer costs
// little, and one with many few allocations.
type slab[T any] struct {
	free []T // of the current chunk
	size int // of the current chunk
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
	clear(list[len(list)-1:]) // a list that was given up may have left something
	return list
}

// close returns the list so that appending to it reallocates.
func (s *slab[T]) close(list []T) []T {
	if len(list) == 0 {
		return nil
	}
	s.free = s.free[len(list):]
	return list[:len(list):len(list)]
}

// grow begins a chunk with room for n values at least.
func (s *slab[T]) grow(n int) {
	s.size = max(min(2*s.size, maxChunk), firstChunk, n)
	s.free = make([]T, s.size)
}

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
