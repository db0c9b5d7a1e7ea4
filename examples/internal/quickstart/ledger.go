package quickstart

import (
	"fmt"
	"sync/atomic"
)

// Ledger says of the numbers 0 to n-1 which were acknowledged when they were
// written, and which came back. Its methods may be called from any goroutine.
type Ledger struct {
	acknowledged, read []atomic.Bool
	count              atomic.Int64 // of the acknowledged
}

// NewLedger makes a ledger of n numbers.
func NewLedger(n int) *Ledger {
	return &Ledger{acknowledged: make([]atomic.Bool, n), read: make([]atomic.Bool, n)}
}

// Acknowledge notes that the service has promised to keep number i, and returns
// how many it has promised to keep.
func (l *Ledger) Acknowledge(i int) int {
	if l.acknowledged[i].Swap(true) {
		return int(l.count.Load())
	}
	return int(l.count.Add(1))
}

// Acknowledged is how many were.
func (l *Ledger) Acknowledged() int { return int(l.count.Load()) }

// Read notes that number i came back whole. What is no number of this ledger
// counts for nothing.
func (l *Ledger) Read(i int) {
	if i >= 0 && i < len(l.read) {
		l.read[i].Store(true)
	}
}

// Result is what became of the numbers.
func (l *Ledger) Result() Result {
	var r Result
	for i := range l.acknowledged {
		acknowledged, read := l.acknowledged[i].Load(), l.read[i].Load()
		if acknowledged {
			r.Acknowledged++
		}
		if read {
			r.Read++
		}
		if acknowledged && !read {
			r.Lost++
		}
	}
	return r
}

// Result counts what was written and what came back.
type Result struct {
	Acknowledged, Read int
	Lost               int // acknowledged and not read
}

// String is the last line of a quickstart.
func (r Result) String() string {
	return fmt.Sprintf("acknowledged=%d read=%d lost=%d", r.Acknowledged, r.Read, r.Lost)
}
