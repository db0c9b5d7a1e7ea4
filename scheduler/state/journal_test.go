package state

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// written is a journal with the history that it tells.
type written struct {
	data   []byte
	base   int
	starts []int // of the frames
	// states[i] is what the first i batches after the snapshot make.
	states []Records
}

// write returns a journal with a snapshot and batches of the given value
// sizes. No value has a zero byte.
func write(epoch uint64, sizes ...int) written {
	records := Records{
		"a": {Key: "a", Version: 1, Value: []byte("snapshot")},
		"b": {Key: "b", Value: []byte("snapshot")},
	}
	data, j := image(epoch, records.Sorted())
	w := written{data: data, base: len(data), starts: []int{headerSize}, states: []Records{maps.Clone(records)}}
	for i, size := range sizes {
		batch := []Record{
			{Key: fmt.Sprint("key", i), Version: uint32(i), Value: bytes.Repeat([]byte{byte('0' + i)}, size)},
			{Key: "b"},
			{Key: "a", Value: []byte{}},
		}
		w.starts = append(w.starts, len(w.data))
		w.data = j.appendFrame(w.data, batch)
		j.next++
		records.Apply(batch)
		w.states = append(w.states, maps.Clone(records))
	}
	return w
}

// frame returns the bytes of frame i, the snapshot being frame 0.
func (w written) frame(i int) []byte {
	if i+1 < len(w.starts) {
		return w.data[w.starts[i]:w.starts[i+1]]
	}
	return w.data[w.starts[i]:]
}

// at returns where the frame that holds an offset begins; 0 is the header.
func (w written) at(offset int) int64 {
	start := 0
	for _, s := range w.starts {
		if s <= offset {
			start = s
		}
	}
	return int64(start)
}

func TestReplayReadsTheWholeHistory(t *testing.T) {
	t.Parallel()
	w := write(7, 10, 0, 2000, 1)
	j, records, err := replay(w.data)
	if err != nil {
		t.Fatal(err)
	}
	if want := (journal{epoch: 7, base: int64(w.base), size: int64(len(w.data)), next: 5}); j != want {
		t.Errorf("got %+v, want %+v", j, want)
	}
	if !reflect.DeepEqual(records, w.states[4]) {
		t.Errorf("got %v, want %v", records, w.states[4])
	}
}

func TestReplayOfEveryBeginning(t *testing.T) {
	t.Parallel()
	w := write(7, 10, 700, 3)
	for n := range w.data {
		j, records, err := replay(w.data[:n])
		if n < w.base {
			if damaged := (*DamagedError)(nil); !errors.As(err, &damaged) {
				t.Fatalf("%d bytes, within the snapshot: got error %v, want a DamagedError", n, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		whole := 0
		for whole+2 < len(w.starts) && w.starts[whole+2] <= n {
			whole++
		}
		if want := int64(w.starts[whole+1]); j.size != want {
			t.Fatalf("%d bytes: read up to %d, want %d", n, j.size, want)
		}
		if !reflect.DeepEqual(records, w.states[whole]) {
			t.Fatalf("%d bytes: got %v, want %v", n, records, w.states[whole])
		}
	}
}

func TestReplayNoticesEveryChangedByte(t *testing.T) {
	t.Parallel()
	w := write(7, 10, 700, 3)
	for i := range w.data {
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			data := bytes.Clone(w.data)
			data[i] ^= flip
			_, _, err := replay(data)
			damaged, ok := errors.AsType[*DamagedError](err)
			if !ok {
				t.Fatalf("byte %d changed: got error %v, want a DamagedError", i, err)
			}
			if damaged.Offset != w.at(i) {
				t.Fatalf("byte %d changed: the error names offset %d, want %d", i, damaged.Offset, w.at(i))
			}
		}
	}
}

func TestReplayRefusesFramesOutOfPlace(t *testing.T) {
	t.Parallel()
	w, other := write(7, 10, 20, 30), write(8, 10, 20, 30)
	join := func(parts ...[]byte) []byte { return slices.Concat(parts...) }
	head := w.data[:headerSize]
	for _, c := range []struct {
		name   string
		data   []byte
		reason string
	}{
		{"one missing", join(head, w.frame(0), w.frame(1), w.frame(3)), "batch 3 is where batch 2 belongs"},
		{"one twice", join(head, w.frame(0), w.frame(1), w.frame(1), w.frame(2)), "batch 1 is where batch 2 belongs"},
		{"last one twice", join(w.data, w.frame(3)), "batch 3 is where batch 4 belongs"},
		{"two swapped", join(head, w.frame(0), w.frame(2), w.frame(1)), "batch 2 is where batch 1 belongs"},
		{"of another epoch", join(w.data[:w.starts[3]], other.frame(3)), "does not match its check"},
		{"text behind the end", join(w.data, []byte("a line that somebody put here")), "does not match its check"},
		{"no journal", bytes.Repeat([]byte("x"), 100), "not a journal"},
		{"empty", nil, "the header has 0 of 32 bytes"},
		{"zeros", make([]byte, 4096), "not a journal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := replay(c.data)
			if damaged, ok := errors.AsType[*DamagedError](err); !ok || !strings.Contains(damaged.Reason, c.reason) {
				t.Errorf("got error %v, want a DamagedError with %q", err, c.reason)
			}
		})
	}
}

// TestReplayOfMissingSectors loses sectors: of the last batch that is what a
// power cut does, anywhere else it is damage.
func TestReplayOfMissingSectors(t *testing.T) {
	t.Parallel()
	w := write(7, 100, 5000, 5000)
	last := w.starts[3]
	for from := 0; from < len(w.data); from += sector {
		data := bytes.Clone(w.data)
		clear(data[from:min(from+sector, len(data))])
		_, records, err := replay(data)
		switch damaged, ok := errors.AsType[*DamagedError](err); {
		case from >= last && (err != nil || !reflect.DeepEqual(records, w.states[2])):
			t.Errorf("sector at %d, in the last batch: got error %v, want the state before it", from, err)
		case from < last && !ok:
			t.Errorf("sector at %d, before the last batch: got error %v, want a DamagedError", from, err)
		case ok && damaged.Offset > int64(from):
			t.Errorf("sector at %d: the error names offset %d", from, damaged.Offset)
		}
	}
	// A lost head, with the rest of the frame in place.
	data := bytes.Clone(w.data)
	clear(data[last : last+sector-last%sector])
	if _, records, err := replay(data); err != nil || !reflect.DeepEqual(records, w.states[2]) {
		t.Errorf("first sector of the last batch: got error %v, want the state before it", err)
	}
	// Nothing of it written, only the file's size.
	data = append(bytes.Clone(w.data), make([]byte, 9000)...)
	if _, records, err := replay(data); err != nil || !reflect.DeepEqual(records, w.states[3]) {
		t.Errorf("zeros behind the last batch: got error %v, want the whole state", err)
	}
}

func TestReplayRefusesNewerLayout(t *testing.T) {
	t.Parallel()
	data := header(2, 1, headerSize)
	_, _, err := replay(data)
	const want = "the journal has layout 2, this program knows up to 1: it was written by a newer release"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want %q", err, want)
	}
	if _, _, err := replay(header(0, 1, headerSize)); err == nil {
		t.Error("layout 0 was read")
	}
}

func TestImageOfManyRecords(t *testing.T) {
	t.Parallel()
	records := Records{}
	for i := range 5000 {
		key := fmt.Sprintf("%05d", i)
		records[key] = Record{Key: key, Value: bytes.Repeat([]byte("v"), 1000)}
	}
	records["big"] = Record{Key: "big", Value: bytes.Repeat([]byte("v"), 3*snapshotFrame)}
	data, made := image(1, records.Sorted())
	read, got, err := replay(data)
	if err != nil || read != made || !reflect.DeepEqual(got, records) {
		t.Errorf("got %+v with %d records, error %v; want %+v with %d", read, len(got), err, made, len(records))
	}
	if made.next < 5 {
		t.Errorf("the snapshot has %d frames, want one for each MiB", made.next)
	}
}

// FuzzReplay reads anything: it may refuse, and what it accepts it must be
// able to write and read again.
func FuzzReplay(f *testing.F) {
	f.Add([]byte{})
	f.Add(write(1).data)
	f.Add(write(2, 3, 600).data)
	f.Add(header(1, 1, headerSize))
	f.Fuzz(func(t *testing.T, data []byte) {
		j, records, err := replay(data)
		if err != nil {
			return
		}
		if j.size < j.base || j.size > int64(len(data)) {
			t.Fatalf("read up to %d of %d bytes, base %d", j.size, len(data), j.base)
		}
		again, _ := image(j.epoch+1, records.Sorted())
		if _, got, err := replay(again); err != nil || !reflect.DeepEqual(got, records) {
			t.Fatalf("got %v, error %v; want %v", got, err, records)
		}
	})
}

// FuzzDamage overwrites, inserts and cuts at random places of a good journal.
// What is read then was once the state, and no whole batch is left out.
func FuzzDamage(f *testing.F) {
	f.Add(uint16(100), []byte{0, 0, 0}, uint16(0))
	f.Add(uint16(40), []byte("text"), uint16(20))
	f.Add(uint16(1200), []byte{}, uint16(700))
	f.Add(uint16(897), []byte("B"), uint16(653))
	f.Fuzz(func(t *testing.T, at uint16, put []byte, cut uint16) {
		w := write(7, 10, 700, 3, 600)
		from := int(at) % (len(w.data) + 1)
		to := min(from+int(cut), len(w.data))
		data := slices.Concat(w.data[:from], put, w.data[to:])
		j, records, err := replay(data)
		if err != nil {
			return
		}
		n := int(j.next) - 1
		if n >= len(w.states) || !reflect.DeepEqual(records, w.states[n]) {
			t.Fatalf("replaced %d bytes at %d of %d by %d: read %d batches into a state that never was", to-from, from, len(w.data), len(put), n)
		}
		for i := n + 1; i < len(w.starts); i++ {
			if bytes.Contains(data[j.size:], w.frame(i)) {
				t.Fatalf("replaced %d bytes at %d of %d by %d: batch %d is whole and was left out", to-from, from, len(w.data), len(put), i)
			}
		}
	})
}
