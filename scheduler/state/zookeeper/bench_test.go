package zookeeper_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/internal/dist/disttest"
	"github.com/mesokit/mesokit/scheduler/state"
)

// tasks are records of the size of a task's.
func tasks(n int) []state.Record {
	batch := make([]state.Record, n)
	for i := range batch {
		batch[i] = record(fmt.Sprintf("task/%05d", i), strings.Repeat("v", 300))
	}
	return batch
}

// BenchmarkSave is one server on this machine: what a Save costs besides the
// network and the followers.
func BenchmarkSave(b *testing.B) {
	server := disttest.ZooKeeper(b, "maxSessionTimeout=120000")
	for _, n := range []int{0, 1, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := place{server.Address, fmt.Sprintf("/bench/%d", n)}.open(b)
			lead(b, s)
			_, err := s.Load(b.Context())
			require.NoError(b, err)
			batch := tasks(n)
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Save(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkLoad is the Load of 50,000 records by a process that has just begun,
// and by one that has followed.
func BenchmarkLoad(b *testing.B) {
	const records = 50_000
	server := disttest.ZooKeeper(b, "maxSessionTimeout=120000")
	p := place{server.Address, "/bench/load"}
	warm := p.open(b)
	load(b, warm)
	save(b, warm, tasks(records)...)
	b.Run("cold", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if got, err := p.open(b).Load(b.Context()); err != nil || len(got) != records {
				b.Fatal(len(got), err)
			}
		}
	})
	b.Run("warm", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if got, err := warm.Load(b.Context()); err != nil || len(got) != records {
				b.Fatal(len(got), err)
			}
		}
	})
}
