package constraints

// tally knows how many groups there are and how small the smallest is. Groups
// are ordered by their size in a list of sizes that occur, so that growing or
// shrinking one takes constant time. The zero value has no groups.
type tally struct {
	groups int32
	// sizes[n] tells of groups with n tasks; sizes[0] is the head of the list.
	sizes []size
}

// size is an element of the list. Sizes without groups are not linked.
type size struct {
	groups     int32
	prev, next int32 // neighbouring sizes; 0 is the head, which closes the ring
}

// least is the size of the smallest group; 0 if there is none.
func (t *tally) least() int32 {
	if len(t.sizes) == 0 {
		return 0
	}
	return t.sizes[0].next
}

// up moves a group from size n to n+1; from 0 it is a new one.
func (t *tally) up(n int32) {
	for int(n)+1 >= len(t.sizes) {
		t.sizes = append(t.sizes, size{})
	}
	t.link(n+1, n, t.sizes[n].next)
	t.unlink(n)
	if n == 0 {
		t.groups++
	}
}

// down moves a group from size n to n-1; at 0 it is gone.
func (t *tally) down(n int32) {
	if n > 1 {
		t.link(n-1, t.sizes[n].prev, n)
	} else {
		t.groups--
	}
	t.unlink(n)
}

// link adds a group of size n, which lies between two sizes that are linked.
func (t *tally) link(n, prev, next int32) {
	t.sizes[n].groups++
	if t.sizes[n].groups > 1 {
		return
	}
	t.sizes[n].prev, t.sizes[n].next = prev, next
	t.sizes[prev].next, t.sizes[next].prev = n, n
}

// unlink takes away a group of size n.
func (t *tally) unlink(n int32) {
	if n == 0 {
		return
	}
	s := &t.sizes[n]
	s.groups--
	if s.groups == 0 {
		t.sizes[s.prev].next, t.sizes[s.next].prev = s.next, s.prev
	}
}
