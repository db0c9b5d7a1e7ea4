package mesostest

import "container/heap"

// agenda is what is going to happen in a simulation, in the order of time, and
// at one time in the order in which it was decided.
type agenda struct {
	items []planned
	seq   uint64
}

type planned struct {
	at  int64 // nanoseconds since the simulation began
	seq uint64
	do  func()
}

func (a *agenda) add(at int64, do func()) {
	a.seq++
	heap.Push((*agendaHeap)(&a.items), planned{at, a.seq, do})
}

func (a *agenda) next() (planned, bool) {
	if len(a.items) == 0 {
		return planned{}, false
	}
	return heap.Pop((*agendaHeap)(&a.items)).(planned), true
}

type agendaHeap []planned

func (h agendaHeap) Len() int      { return len(h) }
func (h agendaHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *agendaHeap) Push(x any)   { *h = append(*h, x.(planned)) }

func (h agendaHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}

func (h *agendaHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = planned{}
	*h = (*h)[:last]
	return x
}
