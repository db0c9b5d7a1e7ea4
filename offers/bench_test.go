package offers

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/constraints"
)

// fillJobs is the workload of Fenzo's TestLotsOfTasks: tasks that fill the
// cluster exactly, of 1 core (20 % of the cores, and what the others leave),
// half a host (40 %) and three quarters of a host (40 %), 1000 MB a core and
// one port each, shuffled.
func fillJobs(hosts, cores int) []int {
	r := rand.New(rand.NewPCG(1, 1))
	total := hosts * cores
	var jobs []int
	add := func(cores, share int) {
		for used := 0; used+cores <= share; used += cores {
			jobs = append(jobs, cores)
			total -= cores
		}
	}
	add(cores*3/4, total*4/10)
	add(cores/2, hosts*cores*4/10)
	for ; total > 0; total-- {
		jobs = append(jobs, 1)
	}
	r.Shuffle(len(jobs), func(i, j int) { jobs[i], jobs[j] = jobs[j], jobs[i] })
	return jobs
}

const batchSize = 200

// BenchmarkFill fills a cluster in batches of 200 tasks, packing by cpus; what
// a batch used is offered again, with the clock stopped, before the next. The
// first batch is not counted, as in Fenzo's figures.
func BenchmarkFill(b *testing.B) {
	for _, hosts := range []int{2000, 10000} {
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) {
			jobs, batches, used := fillJobs(hosts, 8), 0, 0
			b.ReportAllocs()
			b.StopTimer()
			b.ResetTimer()
			for range b.N {
				n, cores := fillOnce(b, hosts, jobs)
				batches, used = batches+n, cores
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(batches), "ms/batch")
			b.ReportMetric(100*float64(used)/float64(hosts*8), "%used")
		})
	}
}

func fillOnce(b *testing.B, hosts int, jobs []int) (batches, used int) {
	var p Pool
	held := make([]mesos.Offer, hosts)
	index := map[string]int{}
	for i := range held {
		held[i] = offer(fmt.Sprint("o", i), i, "cpus:8;mem:8000;ports:[1-100]")
		index[held[i].AgentID.Value] = i
	}
	p.Add(morning, held...)
	for from := 0; from < len(jobs); from += batchSize {
		var requests []Request
		for i, cores := range jobs[from:min(from+batchSize, len(jobs))] {
			requests = append(requests, Request{
				Node: fmt.Sprint("task-", from+i), Role: "db", Unreserved: true, Prefer: Pack, Ports: []Port{{Name: "a"}},
				Needs: Resources{}.With("cpus", Amount(cores*1000)).With("mem", Amount(cores*1000_000)),
			})
		}
		if from > 0 {
			b.StartTimer()
			batches++
		}
		matches, _ := p.Reserve(requests)
		b.StopTimer()
		for _, m := range matches {
			used += int(Sum(m.Resources).Amount("cpus") / 1000)
			i := index[m.Agent]
			rest, ok := Minus(held[i].Resources, m.Resources)
			if !ok {
				b.Fatalf("%s has not what %s got", m.Agent, m.Node)
			}
			held[i].Resources = rest
		}
		for _, accept := range Accepts(matches) {
			p.Accept(accept)
			p.Add(morning, held[index[accept.Agent]])
		}
	}
	return batches, used
}

// BenchmarkNaiveFill is the same workload for the simplest matcher that there
// is: a slice of structs, no roles, no reasons, nothing but cpus, memory and a
// count of ports.
func BenchmarkNaiveFill(b *testing.B) {
	type host struct{ cpus, mem, ports int }
	for _, hosts := range []int{2000, 10000} {
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) {
			jobs, batches := fillJobs(hosts, 8), 0
			for b.Loop() {
				free := make([]host, hosts)
				for i := range free {
					free[i] = host{8, 8000, 100}
				}
				for i, cores := range jobs {
					best := -1
					for h := range free {
						f := &free[h]
						if f.cpus >= cores && f.mem >= cores*1000 && f.ports >= 1 && (best < 0 || f.cpus < free[best].cpus) {
							best = h
						}
					}
					if best >= 0 {
						free[best].cpus -= cores
						free[best].mem -= cores * 1000
						free[best].ports--
					}
					if i%batchSize == 0 {
						batches++
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(batches), "ms/batch")
		})
	}
}

// fullOffers are offers as a master sends them, with all that it sets, decoded
// from JSON one by one, so that nothing is shared among them.
func fullOffers(tb testing.TB, n int, resources string) []mesos.Offer {
	tb.Helper()
	held := make([]mesos.Offer, n)
	for at, i := range rand.New(rand.NewPCG(3, 3)).Perm(n) {
		o := offer(fmt.Sprintf("20c1f0ad-0c2f-4f2c-9e5b-1d5a9d0c0a3e-O%d", i), i, resources)
		o.AgentID.Value = fmt.Sprintf("20c1f0ad-0c2f-4f2c-9e5b-1d5a9d0c0a3e-S%d", i)
		o.FrameworkID.Value = "20c1f0ad-0c2f-4f2c-9e5b-1d5a9d0c0a3e-0000"
		o.Domain = &mesos.DomainInfo{FaultDomain: &mesos.DomainInfo_FaultDomain{}}
		o.Domain.FaultDomain.Region.Name, o.Domain.FaultDomain.Zone.Name = "eu", fmt.Sprintf("eu-%d", i%3)
		for k := range 5 {
			o.Attributes = append(o.Attributes, mesos.Attribute{Name: fmt.Sprint("attribute", k), Type: mesos.TEXT,
				Text: &mesos.Value_Text{Value: fmt.Sprint("value", i%7)}})
		}
		text, err := json.Marshal(o)
		if err != nil {
			tb.Fatal(err)
		}
		if err := json.Unmarshal(text, &held[at]); err != nil {
			tb.Fatal(err)
		}
	}
	return held
}

// BenchmarkMatch places one stateful node, from the event as decoded to the
// operations.
func BenchmarkMatch(b *testing.B) {
	held := fullOffers(b, 10000, fullAgent)
	request := broker(0)
	request.Place = constraints.MustParse("hostname:UNIQUE", "rack:GROUP_BY:2")
	request.Ports = append(request.Ports, Port{Name: "c", Begin: 31000, End: 31005}, Port{Name: "d"})
	for i := range 20 {
		o := &held[i*37]
		request.Placed = append(request.Placed, constraints.AgentOf(o.Hostname, o.Attributes, o.Domain))
	}
	b.ReportAllocs()
	for b.Loop() {
		matches, report := Reserve(heldAs(held), []Request{request})
		if len(matches) != 1 {
			b.Fatal(report.String())
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms")
}

// BenchmarkStatic places 50 nodes on 10,000 agents, of each of which the
// operator reserved a part for the role.
func BenchmarkStatic(b *testing.B) {
	held := fullOffers(b, 10000, "cpus:1;mem:512;ports:[9092-9092,31000-31009]")
	for i := range held {
		held[i] = with(held[i], reservedStatically("db", "cpus:3;mem:1536;disk:4000")...)
	}
	var requests []Request
	for n := range 50 {
		requests = append(requests, broker(n))
	}
	var p Pool
	p.Add(morning, held...)
	p.Reserve(requests)
	b.ReportAllocs()
	for b.Loop() {
		if matches, report := p.Reserve(requests); len(matches) != len(requests) {
			b.Fatal(report.String())
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms")
}

// BenchmarkReport asks why 50 nodes do not fit on 10,000 agents, which a pool
// knows from the time before, or which are seen for the first time; and why the
// last does not where the other 49 do.
func BenchmarkReport(b *testing.B) {
	port := func(r *Request) { r.Ports[0] = Port{Name: "client", Begin: 9999, End: 9999} }
	cases := []struct {
		name   string
		change func(*Request)
		fit    int
	}{
		{"mem", func(r *Request) { r.Needs = r.Needs.With("mem", 4096_000) }, 0},
		{"rule", func(r *Request) { r.Place = constraints.MustParse("hostname:UNIQUE", "rack:CLUSTER:nowhere") }, 0},
		{"port", port, 0},
		{"last", port, 49},
	}
	for _, c := range cases {
		var requests []Request
		for n := range 50 {
			r := broker(n)
			c.change(&r)
			requests = append(requests, r)
		}
		held := fullOffers(b, 10000, fullAgent)
		for i := range c.fit {
			held[i*199].Resources = allocated("db", MustParse(fullAgent+";ports:[9999-9999]").List())
		}
		measure := func(b *testing.B, reserve func() ([]Match, Report)) {
			b.ReportAllocs()
			for b.Loop() {
				matches, report := reserve()
				if len(matches) != c.fit || len(report.Refusals) != 50-c.fit || report.Refusals[0].Agents != 10000 {
					b.Fatalf("%d fit", len(matches))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms")
		}
		b.Run(c.name+"/known", func(b *testing.B) {
			var p Pool
			p.Add(morning, held...)
			p.Reserve(requests)
			measure(b, func() ([]Match, Report) { return p.Reserve(requests) })
		})
		b.Run(c.name+"/new", func(b *testing.B) {
			measure(b, func() ([]Match, Report) { return Reserve(heldAs(held), requests) })
		})
	}
}
