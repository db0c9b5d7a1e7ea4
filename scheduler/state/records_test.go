package state_test

import (
	"reflect"
	"testing"

	"github.com/mesokit/mesokit/scheduler/state"
)

func TestRecords(t *testing.T) {
	t.Parallel()
	value := []byte("2")
	records := state.Records{}
	records.Apply([]state.Record{{Key: "b", Value: []byte("1")}, {Key: "a", Value: value}, {Key: "b"}, {Key: "c", Value: []byte{}}})
	value[0] = 'x'
	snapshot := records.Snapshot()
	want := []state.Record{{Key: "a", Value: []byte("2")}, {Key: "c", Value: []byte{}}}
	if !reflect.DeepEqual(snapshot, want) {
		t.Errorf("got %v, want %v", snapshot, want)
	}
	snapshot[0].Value[0] = 'y'
	if got := records.Sorted(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v after the snapshot was changed, want %v", got, want)
	}
}

func TestParseBatchRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, data string }{
		{"nothing", ""},
		{"more than one", "\x00\x00"},
		{"fewer records than counted", "\x02\x01a\x00"},
		{"endless number", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"},
		{"cut value", "\x01\x01a\x01\x00\x03ab"},
		{"neither value nor delete", "\x01\x01a\x02"},
		{"version too big", "\x01\x01a\x01\xff\xff\xff\xff\x1f\x00"},
		{"key that Check refuses", "\x01\x00\x00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if batch, err := state.ParseBatch([]byte(c.data)); err == nil {
				t.Errorf("got %v", batch)
			}
		})
	}
}

func FuzzParseBatch(f *testing.F) {
	f.Add([]byte{0})
	f.Add([]byte("\x02\x01a\x00\x01b\x01\x05\x03abc"))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		batch, err := state.ParseBatch(data)
		if err != nil {
			return
		}
		again, err := state.ParseBatch(state.AppendBatch(nil, batch))
		if err != nil || !reflect.DeepEqual(again, batch) {
			t.Fatalf("got %v, error %v; want %v", again, err, batch)
		}
	})
}
