package constraints_test

import (
	"fmt"
	"slices"
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

// batches places the whole workload once per iteration and reports the mean time
// of a batch. fill places one task of a job and returns its host, counted from
// zero, and how many hosts refused it.
func batches(b *testing.B, hosts int, prepare func() (fill func(job int) (host, refused int))) {
	b.ReportAllocs()
	refused, chosen := 0, make([]int, benchTasks)
	for b.Loop() {
		b.StopTimer()
		fill := prepare()
		refused = 0
		b.StartTimer()
		for task := range chosen {
			h, r := fill(task / benchJob)
			chosen[task] = h
			refused += r
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N)/(benchTasks/benchBatch), "ms/batch")
	b.ReportMetric(float64(refused)/benchTasks, "refusals/task")
	requireValid(b, chosen, hosts)
}

// requireValid checks the chosen hosts by hand: cores, one task of a job per
// host, and zones that never differ by more than one while a job grows.
func requireValid(b *testing.B, chosen []int, hosts int) {
	used := make([]int, hosts)
	for job := range benchTasks / benchJob {
		zones, own := make([]int, benchZones), map[int]bool{}
		for _, h := range chosen[job*benchJob : (job+1)*benchJob] {
			if h < 0 || own[h] {
				b.Fatalf("job %d on host %d twice or nowhere", job, h)
			}
			own[h] = true
			used[h]++
			zones[h%benchZones]++
			if slices.Max(zones)-slices.Min(zones) > 1 {
				b.Fatalf("job %d has zones %v", job, zones)
			}
		}
	}
	if slices.Max(used) > benchCores {
		b.Fatalf("%d tasks on a host of %d cores", slices.Max(used), benchCores)
	}
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

// fillOne places one task and returns its host and how many hosts each rule
// refused, together.
func fillOne(p *constraints.Placement, free []int) (host, refused int) {
	best, least := 0, benchCores+1
	for k := range p.Allowed().All() {
		if free[k] < least && free[k] > 0 {
			best, least = int(k), free[k]
		}
	}
	refused = p.Refused(0).Len() + p.Refused(1).Len()
	if best == 0 {
		return -1, refused
	}
	free[best]--
	p.PlaceKey(constraints.Key(best))
	return best - 1, refused // keys begin at one
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
						return best, 0
					}
					machines[best].free--
					machines[best].used = job
					counts[job][machines[best].zone]++
					return best, 0
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
