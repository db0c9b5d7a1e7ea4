package constraints_test

import (
	"fmt"
	"testing"

	"github.com/mesokit/mesokit/constraints"
)

// The workload: 2,000 tasks of one core in 100 jobs of 20, every job with
// UNIQUE hostname and GROUP_BY zone 3; hosts of 8 cores in 3 zones; each task
// goes to the fullest host that takes it, the first of equals. Every host is
// looked at for every task, and every refusal is counted by its reason.
const (
	benchTasks = 2000
	benchJob   = 20
	benchBatch = 200
	benchCores = 8
	benchZones = 3
)

func benchHosts() []int { return []int{1000, 10000} }

// batches runs fill b.N times over the whole workload and reports the mean time
// of a batch.
func batches(b *testing.B, hosts int, prepare func() (fill func(job int) (placed, refused int))) {
	b.ReportAllocs()
	placed, refused := 0, 0
	for b.Loop() {
		b.StopTimer()
		fill := prepare()
		placed, refused = 0, 0
		b.StartTimer()
		for task := range benchTasks {
			p, r := fill(task / benchJob)
			placed += p
			refused += r
		}
	}
	if placed != benchTasks {
		b.Fatalf("%d of %d tasks placed on %d hosts", placed, benchTasks, hosts)
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N)/(benchTasks/benchBatch), "ms/batch")
	b.ReportMetric(float64(refused)/benchTasks, "refusals/task")
}

func BenchmarkConstraints(b *testing.B) {
	for _, hosts := range benchHosts() {
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) {
			batches(b, hosts, func() func(int) (int, int) {
				var table constraints.Agents
				free := make([]int, hosts+1)
				for i := range hosts {
					k := table.Add(host(fmt.Sprint("host-", i), "zone", fmt.Sprint("zone-", i%benchZones)))
					free[k] = benchCores
				}
				rules := constraints.MustParse("hostname:UNIQUE", "zone:GROUP_BY:3")
				jobs := make([]*constraints.Placement, benchTasks/benchJob)
				for i := range jobs {
					jobs[i] = rules.Over(&table)
				}
				return func(job int) (int, int) { return fillOne(jobs[job], free) }
			})
		})
	}
}

// fillOne places one task and returns how many hosts were refused by rule.
func fillOne(p *constraints.Placement, free []int) (placed, refused int) {
	best, least := 0, benchCores+1
	for k := range p.Allowed().All() {
		if free[k] < least && free[k] > 0 {
			best, least = int(k), free[k]
		}
	}
	refused = p.Refused(0).Len() + p.Refused(1).Len()
	if best == 0 {
		return 0, refused
	}
	free[best]--
	p.PlaceKey(constraints.Key(best))
	return 1, refused
}

// BenchmarkNaive is the baseline to read BenchmarkConstraints against on any
// machine: the same workload by hand, with zones as small numbers, the allowed
// zones computed once per task, a stamp for used hosts, and no reasons.
func BenchmarkNaive(b *testing.B) {
	type machine struct{ free, zone, used int }
	for _, hosts := range benchHosts() {
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) {
			batches(b, hosts, func() func(int) (int, int) {
				machines := make([]machine, hosts)
				for i := range machines {
					machines[i] = machine{benchCores, i % benchZones, -1}
				}
				counts := make([][benchZones]int, benchTasks/benchJob)
				return func(job int) (int, int) {
					var allowed [benchZones]bool
					groups, least := 0, 0
					for _, n := range counts[job] {
						if n > 0 && (groups == 0 || n < least) {
							least = n
						}
						groups += min(n, 1)
					}
					for z, n := range counts[job] {
						allowed[z] = n == 0 || groups >= benchZones && n == least
					}
					best, tightest := -1, benchCores+1
					for i := range machines {
						m := &machines[i]
						if m.free >= 1 && m.used != job && allowed[m.zone] && m.free < tightest {
							best, tightest = i, m.free
						}
					}
					if best < 0 {
						return 0, 0
					}
					machines[best].free--
					machines[best].used = job
					counts[job][machines[best].zone]++
					return 1, 0
				}
			})
		})
	}
}

// BenchmarkCheck is one check with the agent's own values, as a caller without
// a table makes it.
func BenchmarkCheck(b *testing.B) {
	p := constraints.MustParse("hostname:UNIQUE", "rack:GROUP_BY:3").Placement()
	a := host("h", "disk", "ssd", "rack", "a")
	for b.Loop() {
		p.Check(a)
	}
	b.ReportAllocs()
}

func BenchmarkPlaceRemove(b *testing.B) {
	p := constraints.MustParse("hostname:UNIQUE", "rack:GROUP_BY:3").Placement()
	for i := range 10000 {
		p.Place(host(fmt.Sprint(i), "rack", fmt.Sprint(i%40)))
	}
	a := host("h", "disk", "ssd", "rack", "a")
	for b.Loop() {
		p.Place(a)
		p.Remove(a)
	}
	b.ReportAllocs()
}
