package offers

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var morning = time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC)

func ids(names ...string) (list []mesos.OfferID) {
	for _, name := range names {
		list = append(list, mesos.OfferID{Value: name})
	}
	return list
}

func TestPoolBounds(t *testing.T) {
	t.Parallel()
	p := Pool{Hold: time.Minute, Most: 2}
	assert.Empty(t, p.Add(morning, offer("a", 1, fullAgent)))
	surplus := p.Add(morning.Add(time.Second), offer("b", 2, fullAgent), offer("c", 3, fullAgent))
	assert.Equal(t, []Declined{{Offers: ids("c"), Why: Surplus}}, surplus)
	assert.Empty(t, p.Add(morning.Add(2*time.Second), offer("a", 1, fullAgent)), "held again, not twice")
	assert.Equal(t, 2, p.Len())

	next, ok := p.Next()
	require.True(t, ok)
	assert.Empty(t, p.Expire(next.Add(-time.Nanosecond)))
	var gone []Declined
	for ok {
		gone = append(gone, p.Expire(next)...)
		next, ok = p.Next()
	}
	assert.Equal(t, []Declined{{Offers: ids("b"), Why: Expired}, {Offers: ids("a"), Why: Expired}}, gone)
	assert.Zero(t, p.Len())
	assert.False(t, p.Remove("a"))
}

func TestPoolRemembersAgents(t *testing.T) {
	t.Parallel()
	var p Pool
	p.Add(morning, offer("a", 1, fullAgent), offer("b", 2, "cpus:9"))
	request := []Request{broker(0)}
	matches, _ := p.Reserve(request)
	require.Len(t, matches, 1)
	p.Accept(Accepts(matches)[0])
	matches, report := p.Reserve(request)
	assert.Empty(t, matches)
	assert.Equal(t, 1, report.Refusals[0].Agents, "agent 1 offers nothing now")
	matches, _ = p.DryRun(request)
	assert.Len(t, matches, 1, "but it would fit")
	p.Forget("agent-1")
	_, report = p.DryRun(request)
	assert.Equal(t, 1, report.Refusals[0].Agents)
	p.Clear()
	_, report = p.Reserve(request)
	assert.Equal(t, "broker-0: no agent is offered", report.String())
}

// However offers come and go, the pool decides as if it were new, and deciding
// changes nothing.
func TestPoolForgetsHowItCameAbout(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		held, requests := cluster(r)
		var p Pool
		for range 3 {
			for _, i := range r.Perm(len(held)) {
				if r.IntN(2) == 0 {
					p.Add(morning, held[i])
				} else {
					p.Remove(held[i].ID.Value)
				}
			}
			p.Reserve(requests)
		}
		now := slices.Collect(p.Offers())
		assert.Len(t, now, p.Len())
		matches, report := Reserve(slices.Values(now), requests)
		for range 2 {
			poolMatches, poolReport := p.Reserve(requests)
			assert.Equal(t, matches, poolMatches)
			assert.Equal(t, report, poolReport)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestWhy(t *testing.T) {
	t.Parallel()
	for w := Idle; w <= Unready; w++ {
		assert.NotEmpty(t, w.String(), "%d", w)
		assert.Positive(t, w.Refuse(), "%v", w)
	}
	assert.Greater(t, Idle.Refuse(), Unfit.Refuse())
	assert.Equal(t, Unready.Refuse(), Why(99).Refuse())
	assert.Equal(t, "DiskType(9)", DiskType(9).String())
}

// BenchmarkPool measures that an offer is rescinded and another one comes.
func BenchmarkPool(b *testing.B) {
	for _, hosts := range []int{1000, 10000} {
		b.Run(fmt.Sprintf("rescind/hosts=%d", hosts), func(b *testing.B) {
			var p Pool
			held := make([]mesos.Offer, hosts)
			for i := range held {
				held[i] = offer(fmt.Sprint("o", i), i, fullAgent)
			}
			p.Add(morning, held...)
			p.Reserve(nil)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				o := held[i%hosts : i%hosts+1]
				p.Remove(o[0].ID.Value)
				p.Add(morning, o...)
			}
		})
	}
}
