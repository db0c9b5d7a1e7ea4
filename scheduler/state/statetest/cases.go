package statetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mesokit/mesokit/scheduler/state"
)

func testEmpty(t *testing.T, p Place) {
	s := writer(t, p)
	save(t, s)
	reopened(t, p, s)
}

func testRoundTrip(t *testing.T, p Place) {
	binary := make([]byte, 256)
	for i := range binary {
		binary[i] = byte(i)
	}
	want := []state.Record{
		{Key: "binary", Version: 1, Value: binary},
		{Key: "empty", Value: []byte{}},
		{Key: "newest version", Version: 1<<32 - 1, Value: []byte("v")},
		{Key: "text", Version: 7, Value: []byte("value")},
		{Key: "zeros", Value: make([]byte, 5000)},
	}
	s := writer(t, p)
	save(t, s, want...)
	holds(t, s, want...)
	s = reopened(t, p, s, want...)
	want[3] = state.Record{Key: "text", Version: 8, Value: []byte("another")}
	save(t, s, want[3])
	reopened(t, p, s, want...)
}

func testDelete(t *testing.T, p Place) {
	s := writer(t, p)
	save(t, s, record("a", "1"), record("b", "2"), record("c", "3"))
	save(t, s, without("b"), without("never there"))
	s = reopened(t, p, s, record("a", "1"), record("c", "3"))
	save(t, s, record("b", "4"))
	s = reopened(t, p, s, record("a", "1"), record("b", "4"), record("c", "3"))
	save(t, s, without("a"), without("b"), without("c"))
	reopened(t, p, s)
}

func testLastWins(t *testing.T, p Place) {
	s := writer(t, p)
	save(t, s,
		record("a", "1"), without("a"), record("a", "2"),
		record("b", "1"), without("b"),
		without("c"), record("c", "1"), record("c", "2"))
	reopened(t, p, s, record("a", "2"), record("c", "2"))
}

func testOrder(t *testing.T, p Place) {
	// Bytes decide, not a locale, and a slash is nothing special.
	names := []string{"a", "A", "a/b", "a-b", "a0", "ab", "b", "é", "z", "a/", "10", "9", "日本"}
	s := writer(t, p)
	for _, r := range keys(names...) {
		save(t, s, r)
	}
	reopened(t, p, s, keys(names...)...)
}

func testOddKeys(t *testing.T, p Place) {
	names := []string{
		" ", ".", "..", "/", "//", "/a", "a/", "a//b", "a/../b", "./a", "*", "%", "%2F", "%00", `\`, `"`,
		"a\nb", "\t", "\x01", "\x7f", "\u0085", "\ufeff", "\ufffd", "\U0001f4be", "zookeeper", "lock", "journal",
		"epoch", strings.Repeat("k", state.MaxKey), strings.Repeat("/", state.MaxKey),
	}
	s := writer(t, p)
	save(t, s, keys(names...)...)
	s = reopened(t, p, s, keys(names...)...)
	for _, name := range names {
		save(t, s, without(name))
	}
	reopened(t, p, s)
}

func testBigValues(t *testing.T, p Place) {
	random := rand.NewChaCha8([32]byte{1})
	value := func(size int) []byte {
		b := make([]byte, size)
		random.Read(b)
		return b
	}
	want := []state.Record{
		{Key: "1 MiB", Value: value(1 << 20)},
		{Key: "3 MiB", Value: value(3 << 20)},
		{Key: "a little more", Value: value(1<<20 + 1)},
	}
	s := writer(t, p)
	save(t, s, want...)
	s = reopened(t, p, s, want...)
	// A value that shrinks leaves nothing of the old one.
	want[1].Value = []byte("small")
	save(t, s, want[1], without("1 MiB"))
	reopened(t, p, s, want[1:]...)
}

func testManyRecords(t *testing.T, p Place) {
	want := make([]state.Record, 1000)
	for i := range want {
		want[i] = record(fmt.Sprintf("task/%04d", i), strings.Repeat("v", 300))
	}
	s := writer(t, p)
	save(t, s, want...)
	s = reopened(t, p, s, want...)
	var half []state.Record
	for i := 0; i < len(want); i += 2 {
		save(t, s, without(want[i].Key))
		half = append(half, want[i+1])
		if i == 50 {
			break
		}
	}
	reopened(t, p, s, append(half, want[52:]...)...)
}

func testCopies(t *testing.T, p Place) {
	s := writer(t, p)
	value := []byte("value")
	save(t, s, state.Record{Key: "a", Value: value})
	copy(value, "xxxxx")
	got, err := s.Load(t.Context())
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	if diff := difference(got, []state.Record{record("a", "value")}); diff != "" {
		t.Fatalf("the store kept the slice that was saved: %s", diff)
	}
	copy(got[0].Value, "yyyyy")
	holds(t, s, record("a", "value"))
}

func testBadBatch(t *testing.T, p Place) {
	s := writer(t, p)
	save(t, s, record("a", "1"))
	for _, key := range []string{"", "a\x00b", "\xff", strings.Repeat("k", state.MaxKey+1)} {
		err := s.Save(t.Context(), []state.Record{record("a", "2"), record(key, "v"), record("b", "3")})
		if err == nil || errors.Is(err, state.ErrFenced) {
			t.Errorf("Save of key %.20q: got error %v, want one about the key", key, err)
		}
	}
	holds(t, s, record("a", "1"))
	save(t, s, record("b", "1"))
	reopened(t, p, s, record("a", "1"), record("b", "1"))
}

func testDoneContext(t *testing.T, p Place) {
	s := writer(t, p)
	save(t, s, record("a", "1"))
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Save(done, []state.Record{record("a", "2")}); !errors.Is(err, context.Canceled) {
		t.Errorf("Save: got error %v, want context.Canceled", err)
	}
	if _, err := s.Load(done); !errors.Is(err, context.Canceled) {
		t.Errorf("Load: got error %v, want context.Canceled", err)
	}
	reopened(t, p, s, record("a", "1"))
}

func testNotLoaded(t *testing.T, p Place) {
	s := open(t, p)
	fenced(t, s, record("a", "1"))
	fenced(t, s)
	holds(t, s)
	save(t, s, record("a", "1"))
	reopened(t, p, s, record("a", "1"))
}

func testConcurrentSaves(t *testing.T, p Place) {
	const savers, each = 8, 10
	s := writer(t, p)
	var want []state.Record
	var wg sync.WaitGroup
	for i := range savers {
		batches := make([]state.Record, each)
		for j := range batches {
			batches[j] = record(fmt.Sprintf("%d/%02d", i, j), "v")
		}
		want = append(want, batches...)
		wg.Go(func() {
			for _, r := range batches {
				if err := s.Save(t.Context(), []state.Record{r}); err != nil {
					t.Errorf("Save: %v", err)
				}
			}
		})
	}
	wg.Wait()
	reopened(t, p, s, want...)
}

// testRandomHistories compares a store with a map over random batches and
// restarts.
func testRandomHistories(t *testing.T, p Place) {
	random := rand.New(rand.NewPCG(1, 2))
	truth := map[string]state.Record{}
	s := writer(t, p)
	for range 150 {
		if random.IntN(10) == 0 {
			s = reopened(t, p, s, ordered(truth)...)
		}
		batch := randomBatch(random)
		save(t, s, batch...)
		change(truth, batch)
	}
	reopened(t, p, s, ordered(truth)...)
}

// randomBatch returns a batch over few keys, so that they meet.
func randomBatch(random *rand.Rand) []state.Record {
	batch := make([]state.Record, 1+random.IntN(6))
	for i := range batch {
		batch[i].Key = fmt.Sprintf("key/%d", random.IntN(12))
		if random.IntN(3) > 0 {
			batch[i].Version = random.Uint32N(3)
			batch[i].Value = bytes.Repeat([]byte{byte(random.IntN(256))}, random.IntN(700))
		}
	}
	return batch
}

// change applies a batch to a map: the contract of Save, in as few words as
// possible.
func change(records map[string]state.Record, batch []state.Record) {
	for _, r := range batch {
		if records[r.Key] = r; r.Value == nil {
			delete(records, r.Key)
		}
	}
}

func ordered(records map[string]state.Record) []state.Record {
	var list []state.Record
	for _, r := range records {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b state.Record) int { return strings.Compare(a.Key, b.Key) })
	return list
}

// difference says how got is not want, or nothing.
func difference(got, want []state.Record) string {
	for i := range min(len(got), len(want)) {
		g, w := got[i], want[i]
		switch {
		case g.Key != w.Key:
			return fmt.Sprintf("record %d is %q, want %q", i, g.Key, w.Key)
		case g.Version != w.Version:
			return fmt.Sprintf("record %q has version %d, want %d", g.Key, g.Version, w.Version)
		case g.Value == nil:
			return fmt.Sprintf("record %q has the value nil, which a store never returns", g.Key)
		case !bytes.Equal(g.Value, w.Value):
			return fmt.Sprintf("record %q has %d bytes %.40q, want %d bytes %.40q", g.Key, len(g.Value), g.Value, len(w.Value), w.Value)
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("got %d records, want %d", len(got), len(want))
	}
	return ""
}
