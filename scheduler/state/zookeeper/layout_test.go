package zookeeper

import (
	"bytes"
	"reflect"
	"slices"
	"testing"

	"github.com/mesokit/mesokit/scheduler/state"
)

func TestSplit(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 9, 10, 11, 20, 25} {
		data := bytes.Repeat([]byte("x"), size)
		p, pieces := split("n", data, 10)
		if !bytes.Equal(slices.Concat(pieces...), data) || p.Count != len(pieces) || p.Count != (size+9)/10 || p.Bytes != size {
			t.Errorf("%d bytes: got %+v in %d pieces", size, p, len(pieces))
		}
	}
}

// FuzzDecodeNode reads anything: what it accepts was written for this number.
func FuzzDecodeNode(f *testing.F) {
	batch := []state.Record{{Key: "a", Version: 3, Value: []byte("v")}, {Key: "b"}}
	f.Add(uint64(7), encodeNode(7, kindBatch, state.AppendBatch(nil, batch)))
	f.Add(uint64(8), encodeNode(8, kindParts, parts{Name: "1-1", Count: 2, Bytes: 9}.encode()))
	f.Add(uint64(0), []byte{})
	f.Fuzz(func(t *testing.T, number uint64, node []byte) {
		batch, in, err := decodeNode(number, node)
		if err != nil {
			return
		}
		again := encodeNode(number, kindBatch, state.AppendBatch(nil, batch))
		if in != nil {
			again = encodeNode(number, kindParts, in.encode())
		}
		batch2, in2, err := decodeNode(number, again)
		if err != nil || !reflect.DeepEqual(batch, batch2) || !reflect.DeepEqual(in, in2) {
			t.Fatalf("got %v %v, error %v; want %v %v", batch2, in2, err, batch, in)
		}
		if _, _, err := decodeNode(number+1, again); err == nil {
			t.Fatal("it passes for the next as well")
		}
	})
}

// FuzzDecodeHeader reads anything that somebody may have put there.
func FuzzDecodeHeader(f *testing.F) {
	f.Add(header{Layout: 1, Epoch: 3, First: 7, Snapshot: &parts{Name: "2-1", Count: 1}}.encode())
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := decodeHeader(data)
		if err != nil {
			return
		}
		if again, err := decodeHeader(h.encode()); err != nil || !reflect.DeepEqual(again, h) {
			t.Fatalf("got %+v, error %v; want %+v", again, err, h)
		}
	})
}
