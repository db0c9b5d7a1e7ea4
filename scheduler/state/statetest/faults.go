package statetest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/mesokit/mesokit/scheduler/state"
)

// testTaken opens a place twice that admits one store at a time.
func testTaken(t *testing.T, p Place) {
	s := writer(t, p)
	save(t, s, record("a", "1"))
	second, err := p.Open()
	if err == nil {
		shut(t, second)
		t.Fatal("Open: a second store was let in, want a TakenError")
	}
	taken, ok := errors.AsType[*state.TakenError](err)
	if !ok || taken.Dir == "" || taken.Holder == "" {
		t.Errorf("Open: got error %v, want a TakenError with directory and holder", err)
	}
	save(t, s, record("b", "2"))
	reopened(t, p, s, record("a", "1"), record("b", "2"))
}

// testFenced lets two stores take the lead from each other.
func testFenced(t *testing.T, p Place) {
	a := writer(t, p)
	save(t, a, record("a", "1"))

	b := open(t, p)
	save(t, a, record("a", "2")) // b is open and has not loaded
	holds(t, b, record("a", "2"))

	fenced(t, a, record("a", "lost"), without("b"))
	fenced(t, a, record("never", "there"))
	fenced(t, a)
	save(t, b, record("b", "1"))

	holds(t, a, record("a", "2"), record("b", "1"))
	fenced(t, b, record("b", "lost"))
	save(t, a, without("a"))

	c := writer(t, p, record("b", "1"))
	fenced(t, a, record("a", "lost"))
	fenced(t, b, record("b", "lost"))
	save(t, c, record("c", "1"))
	holds(t, c, record("b", "1"), record("c", "1"))
}

// testCrash crashes a history of saves and restarts at each of its writes, and
// each crash several times with other losses. What was saved must be there,
// the batch under way whole or not at all, and the store must go on.
func testCrash(t *testing.T, fresh func(t *testing.T) Place) {
	const losses = 4
	for n := 0; ; n++ {
		crashed := false
		for seed := range uint64(losses) {
			ok := t.Run(fmt.Sprintf("write %d loss %d", n, seed), func(t *testing.T) {
				crashed = crashAt(t, fresh(t), n, seed)
			})
			if !ok {
				return
			}
		}
		if !crashed {
			if n < 3 {
				t.Errorf("only %d writes seen: Crash does not work", n)
			}
			return
		}
	}
}

// crashAt reports whether the history was long enough to crash at write n.
func crashAt(t *testing.T, p Place, n int, seed uint64) (crashed bool) {
	random := rand.New(rand.NewPCG(3, 4))
	truth := map[string]state.Record{}
	s := writer(t, p)
	batch := randomBatch(random)
	save(t, s, batch...)
	change(truth, batch)

	p.Crash(n, seed)
	underWay := maps.Clone(truth)
	for step := 0; step < 12 && !crashed; step++ {
		if step == 6 {
			got, err := s.Load(t.Context())
			if crashed = err != nil; !crashed {
				if diff := difference(got, ordered(truth)); diff != "" {
					t.Fatalf("Load: %s", diff)
				}
			}
			continue
		}
		batch := randomBatch(random)
		change(underWay, batch)
		if crashed = s.Save(t.Context(), batch) != nil; !crashed {
			change(truth, batch)
		}
	}
	if !crashed {
		return false
	}
	if err := s.Save(t.Context(), []state.Record{record("late", "v")}); err == nil {
		t.Fatal("Save: succeeded after the crash")
	}

	// The dead process closes nothing; the place is the next one's.
	next := open(t, p)
	got, err := next.Load(t.Context())
	if err != nil {
		t.Fatalf("Load after the crash: %v", err)
	}
	if diff := difference(got, ordered(truth)); diff != "" {
		if whole := difference(got, ordered(underWay)); whole != "" {
			t.Fatalf("Load after the crash: without the batch under way: %s; with it: %s", diff, whole)
		}
		truth = underWay
	}
	save(t, next, record("after", "v"))
	change(truth, []state.Record{record("after", "v")})
	reopened(t, p, next, ordered(truth)...)
	return true
}
