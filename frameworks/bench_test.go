package frameworks

import (
	"fmt"
	"testing"
	"time"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/scheduler"
)

// plenty is a machine that holds as many nodes as a test wants.
const plenty = "cpus:4000;mem:4000000;disk:9000000;ports:[20000-59999]"

// large is a service of many nodes on few agents.
func large(name string, count int) *Service {
	s := quorum(count)
	s.Name = name
	p := &s.Pods[0]
	p.Place, p.Together = constraints.Rules{}, false
	p.Volumes[0].Size = 1000
	return s
}

func TestLargeDeploys(t *testing.T) {
	t.Parallel()
	for _, n := range []int{50, 100, 200} {
		w := newWorld(t, large("db", n), 4, plenty)
		began := time.Now()
		w.until(time.Hour, "all are ready", w.allReady(n))
		t.Log(n, time.Since(began))
	}
}

// BenchmarkStep is what one event costs that concerns one node, in a service of
// so many nodes, all of them ready.
func BenchmarkStep(b *testing.B) {
	for _, n := range []int{10, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			t := &testing.T{}
			w := newWorld(t, large("db", n), 4, plenty)
			w.until(time.Hour, "all are ready", w.allReady(n))
			b.ResetTimer()
			for range b.N {
				w.machine.Step(w.now, scheduler.ExecutorLost{})
			}
		})
	}
}
