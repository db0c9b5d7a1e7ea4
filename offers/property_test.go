package offers

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"

	"github.com/mesokit/mesokit/constraints"
)

// cluster makes offers and requests of every kind out of a seed.
func cluster(r *rand.Rand) (held []mesos.Offer, requests []Request) {
	for n := range 1 + r.IntN(6) {
		o := offer(fmt.Sprintf("o%d", n), n, fmt.Sprintf("cpus:%d.%d;mem:%d;disk:%d;ports:[9092-%d,31000-%d]",
			r.IntN(4), r.IntN(10), 256*r.IntN(9), 500*r.IntN(9), 9092+r.IntN(2), 31000+r.IntN(4)))
		if r.IntN(3) == 0 {
			o = with(o, reservedStatically("db", "cpus:0.7;mem:128;disk:300")...)
		}
		if r.IntN(4) == 0 {
			o = with(o, reservedStatically("d", "cpus:9;mem:9000;disk:9000")...)
		}
		if r.IntN(3) == 0 {
			o = with(o, mount("disk:1500", fmt.Sprintf("/mnt/%d", n)))
		}
		if r.IntN(5) == 0 {
			o.Unavailability = &mesos.Unavailability{}
		}
		held = append(held, o)
		if r.IntN(2) == 0 {
			held = append(held, offer(fmt.Sprintf("p%d", n), n, fmt.Sprintf("cpus:0.%d;mem:%d;ports:[32000-32001]", r.IntN(10), 64*r.IntN(9))))
		}
	}
	rules := []string{"hostname:UNIQUE", "rack:GROUP_BY:2", "rack:MAX_PER:2", "rack:CLUSTER", "hostname:UNLIKE:host0"}
	ruleOf := map[string]string{"broker": rules[r.IntN(len(rules))], "other": rules[r.IntN(len(rules))]}
	for n := range 1 + r.IntN(6) {
		q := broker(n)
		q.Needs = MustParse(fmt.Sprintf("cpus:0.%d;mem:%d;disk:%d", 1+r.IntN(9), 64*r.IntN(12), r.IntN(2)*100))
		q.Pod = []string{"broker", "other"}[r.IntN(2)]
		q.Place = constraints.MustParse(ruleOf[q.Pod])
		q.Ports = q.Ports[:r.IntN(3)]
		q.Prefer = Preference(r.IntN(3))
		q.Volumes[0].Size = Amount(100_000*r.IntN(12)) + 1
		switch r.IntN(4) {
		case 0:
			q.Volumes[0].Disk = MountDisk
		case 1:
			q.Volumes = nil
		}
		if r.IntN(4) == 0 {
			q.Group = "group"
		}
		requests = append(requests, q)
	}
	return held, requests
}

func reservedStatically(role, text string) []mesos.Resource {
	list := MustParse(text).List()
	for i := range list {
		list[i].Reservations = []mesos.Resource_ReservationInfo{{
			Type: mesos.Resource_ReservationInfo_STATIC.Enum(), Role: new(role)}}
	}
	return list
}

func mount(text, root string) mesos.Resource {
	r := MustParse(text).List()[0]
	r.Disk = &mesos.Resource_DiskInfo{Source: &mesos.Resource_DiskInfo_Source{
		Type: mesos.Resource_DiskInfo_Source_MOUNT, Mount: &mesos.Resource_DiskInfo_Source_Mount{Root: &root}}}
	return r
}

// firstFit is what a naive framework places: every request in turn on the first
// agent that takes it, one agent at a time.
func firstFit(t *testing.T, held []mesos.Offer, requests []Request) (n int) {
	t.Helper()
	left := slices.Clone(held)
	slices.SortFunc(left, func(a, b mesos.Offer) int { return strings.Compare(a.AgentID.Value, b.AgentID.Value) })
	var placed []Other
	for _, q := range requests {
		for _, o := range placed {
			if o.Pod == q.Pod {
				q.Placed = append(q.Placed, o.Agent)
			}
		}
		for i := 0; i < len(left); {
			var one []mesos.Offer
			for _, o := range left[i:] {
				if o.AgentID == left[i].AgentID {
					one = append(one, o)
				}
			}
			matches, _ := Reserve(heldAs(one), []Request{q})
			if len(matches) == 0 {
				i += len(one)
				continue
			}
			n++
			placed = append(placed, Other{Pod: q.Pod, Agent: matches[0].Where})
			after := newLedger()
			for _, o := range one {
				after.put(t, o.Resources...)
			}
			for _, op := range matches[0].Operations {
				after.apply(t, op)
			}
			after.take(t, matches[0].Resources...)
			one[0].Resources = after.resources(t)
			left = slices.Replace(left, i, i+len(one), one[0])
			break
		}
	}
	return n
}

func TestReserveProperties(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		held, requests := cluster(r)
		matches, report := Reserve(heldAs(held), requests)
		checkMatches(t, held, requests, matches)
		checkRules(t, requests, matches)
		checkGroups(t, requests, matches)
		checkReport(t, held, requests, matches, report)

		shuffled := slices.Clone(held)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		again, reportAgain := Reserve(heldAs(shuffled), requests)
		assert.Equal(t, matches, again, "the order of offers decides nothing")
		assert.Equal(t, report, reportAgain)
		for i := range requests {
			requests[i].Group = ""
		}
		matches, _ = Reserve(heldAs(held), requests)
		assert.GreaterOrEqual(t, len(matches), firstFit(t, held, requests), "no fewer than first fit")
		if t.Failed() {
			t.Fatalf("seed %d: %v\n%v", seed, requests, report)
		}
	}
}

// placeAll says whether all requests fit at once, by trying every way.
func placeAll(t *testing.T, held []mesos.Offer, requests []Request, placed []Other) bool {
	t.Helper()
	if len(requests) == 0 {
		return true
	}
	q := requests[0]
	for _, o := range placed {
		if o.Pod == q.Pod {
			q.Placed = append(q.Placed, o.Agent)
		}
	}
	for i := range held {
		matches, _ := Reserve(heldAs(held[i:i+1]), []Request{q})
		if len(matches) == 0 {
			continue
		}
		after := newLedger()
		after.put(t, held[i].Resources...)
		for _, op := range matches[0].Operations {
			after.apply(t, op)
		}
		after.take(t, matches[0].Resources...)
		next := slices.Clone(held)
		next[i].Resources = after.resources(t)
		if placeAll(t, next, requests[1:], append(slices.Clone(placed), Other{Pod: q.Pod, Agent: matches[0].Where})) {
			return true
		}
	}
	return false
}

// Where all fit at once, all are placed.
func TestReserveFindsTheOnlyWay(t *testing.T) {
	t.Parallel()
	possible := 0
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 3))
		var held []mesos.Offer
		for n := range 3 {
			held = append(held, offer(fmt.Sprint("o", n), n, fmt.Sprintf("cpus:%d;mem:%d", 1+r.IntN(5), 1+r.IntN(5))))
		}
		var requests []Request
		rule := []string{"hostname:UNIQUE", "rack:GROUP_BY:2", "hostname:MAX_PER:2"}[r.IntN(3)]
		for n := range 4 {
			q := plain(fmt.Sprint("node-", n), fmt.Sprintf("cpus:%d;mem:%d", 1+r.IntN(3), 1+r.IntN(3)))
			if r.IntN(2) == 0 {
				q.Place = constraints.MustParse(rule)
			} else {
				q.Pod = "other"
			}
			q.Prefer = Preference(r.IntN(3))
			requests = append(requests, q)
		}
		if !placeAll(t, held, requests, nil) {
			continue
		}
		possible++
		matches, report := Reserve(heldAs(held), requests)
		checkMatches(t, held, requests, matches)
		if len(matches) != len(requests) {
			t.Fatalf("seed %d: %v", seed, report)
		}
	}
	assert.Greater(t, possible, 20)
}

// checkRules counts by hand what is placed where.
func checkRules(t *testing.T, requests []Request, matches []Match) {
	t.Helper()
	request := func(node string) Request {
		return requests[slices.IndexFunc(requests, func(r Request) bool { return r.Node == node })]
	}
	for _, m := range matches {
		q, sameHost, racks := request(m.Node), 0, map[string]int{}
		for _, other := range matches {
			if request(other.Node).Pod == q.Pod {
				racks[other.Where.Attributes[0].Text.Value]++
				if other.Hostname == m.Hostname {
					sameHost++
				}
			}
		}
		switch rule := q.Place.String(); rule {
		case "hostname:UNIQUE":
			assert.Equal(t, 1, sameHost)
		case "hostname:UNLIKE:host0":
			assert.NotEqual(t, "host0", m.Hostname)
		case "rack:MAX_PER:2":
			assert.LessOrEqual(t, max(racks["r0"], racks["r1"]), 2)
		case "rack:CLUSTER":
			assert.Len(t, racks, 1)
		case "rack:GROUP_BY:2":
			assert.LessOrEqual(t, max(racks["r0"]-racks["r1"], racks["r1"]-racks["r0"]), 1)
		default:
			t.Fatalf("rule %q is not known here", rule)
		}
	}
}

// checkGroups says that of a group all or none are placed.
func checkGroups(t *testing.T, requests []Request, matches []Match) {
	t.Helper()
	asked, placed := 0, 0
	for _, q := range requests {
		if q.Group != "" {
			asked++
			if slices.ContainsFunc(matches, func(m Match) bool { return m.Node == q.Node }) {
				placed++
			}
		}
	}
	if placed != 0 && placed != asked {
		t.Errorf("%d of a group of %d are placed", placed, asked)
	}
}

func checkReport(t *testing.T, held []mesos.Offer, requests []Request, matches []Match, report Report) {
	t.Helper()
	agents := map[string]bool{}
	for _, o := range held {
		agents[o.AgentID.Value] = true
	}
	assert.Len(t, report.Refusals, len(requests)-len(matches))
	for _, refusal := range report.Refusals {
		sum := 0
		for _, reason := range refusal.Reasons {
			sum += reason.Agents
		}
		assert.Equal(t, refusal.Agents, sum, "%v", refusal)
		if refusal.Group == "" {
			assert.Equal(t, len(agents), refusal.Agents, "%v", refusal)
		}
		assert.NotEmpty(t, refusal.String())
	}
}
