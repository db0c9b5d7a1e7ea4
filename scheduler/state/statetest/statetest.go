package statetest

import (
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/mesokit/mesokit/scheduler/state"
)

// Place is where records outlive the stores that are opened on them: a
// directory, a path in ZooKeeper. A store that is an [io.Closer] is closed
// when its test is done with it.
type Place struct {
	// Open opens a store on the place, as a new process would.
	Open func() (state.Store, error)

	// Exclusive says that Open fails with a [state.TakenError] while another
	// store is open, where other places let it in and fence the older one.
	Exclusive bool

	// Crash makes the write after the next n be the last that reaches the
	// place: it is cut short somewhere, it and everything after it fail, and
	// what was not durable may be lost. The next Open finds what a machine
	// finds after a power cut. How much is lost is drawn from seed. Nil: the
	// tests of crashes are left out, and the log of the suite says so.
	Crash func(n int, seed uint64)
}

// Run tests the stores on places that fresh makes, each new and empty. The
// subtests run in parallel.
func Run(t *testing.T, fresh func(t *testing.T) Place) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, p Place)
	}{
		{"new place is empty", testEmpty},
		{"round trip", testRoundTrip},
		{"delete", testDelete},
		{"last of a key wins", testLastWins},
		{"order of keys", testOrder},
		{"odd keys", testOddKeys},
		{"big values", testBigValues},
		{"many records", testManyRecords},
		{"values are copied", testCopies},
		{"bad batch is refused whole", testBadBatch},
		{"done context", testDoneContext},
		{"no save before load", testNotLoaded},
		{"concurrent saves", testConcurrentSaves},
		{"random histories", testRandomHistories},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, fresh(t))
		})
	}
	t.Run("two writers", func(t *testing.T) {
		t.Parallel()
		if p := fresh(t); p.Exclusive {
			testTaken(t, p)
		} else {
			testFenced(t, p)
		}
	})
	t.Run("crash", func(t *testing.T) {
		if fresh(t).Crash == nil {
			t.Log("not tested: this place has no way to crash")
			return
		}
		t.Parallel()
		testCrash(t, fresh)
	})
}

// open opens a store that is closed at the end of the test.
func open(t *testing.T, p Place) state.Store {
	t.Helper()
	s, err := p.Open()
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { shut(t, s) })
	return s
}

// shut closes a store that can be closed; stores allow that twice.
func shut(t *testing.T, s state.Store) {
	t.Helper()
	if c, ok := s.(io.Closer); ok {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

// writer opens a store and loads it, which must give want.
func writer(t *testing.T, p Place, want ...state.Record) state.Store {
	t.Helper()
	s := open(t, p)
	holds(t, s, want...)
	return s
}

// reopened closes s and returns another writer, as after a restart.
func reopened(t *testing.T, p Place, s state.Store, want ...state.Record) state.Store {
	t.Helper()
	shut(t, s)
	return writer(t, p, want...)
}

func holds(t *testing.T, s state.Store, want ...state.Record) {
	t.Helper()
	got, err := s.Load(t.Context())
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	if diff := difference(got, want); diff != "" {
		t.Fatalf("Load: %s", diff)
	}
}

func save(t *testing.T, s state.Store, batch ...state.Record) {
	t.Helper()
	if err := s.Save(t.Context(), batch); err != nil {
		t.Fatalf("Save: %v", err)
	}
}

func fenced(t *testing.T, s state.Store, batch ...state.Record) {
	t.Helper()
	if err := s.Save(t.Context(), batch); !errors.Is(err, state.ErrFenced) {
		t.Fatalf("Save: got error %v, want ErrFenced", err)
	}
}

func record(key, value string) state.Record {
	return state.Record{Key: key, Value: []byte(value)}
}

func without(key string) state.Record { return state.Record{Key: key} }

// keys returns records with the given keys in order, each the value of its
// own.
func keys(names ...string) []state.Record {
	var records []state.Record
	for _, name := range slices.Sorted(slices.Values(names)) {
		records = append(records, record(name, "value of "+name))
	}
	return records
}
