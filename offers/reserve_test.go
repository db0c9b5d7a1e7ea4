package offers

import (
	"fmt"
	"iter"
	"slices"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
)

// offer is one offer of agent n, with what the text says, to role db.
func offer(id string, n int, text string) mesos.Offer {
	o := mesos.Offer{
		ID: mesos.OfferID{Value: id}, AgentID: mesos.AgentID{Value: fmt.Sprintf("agent-%d", n)},
		Hostname:       fmt.Sprintf("host%d", n),
		Resources:      allocated("db", MustParse(text).List()),
		AllocationInfo: &mesos.Resource_AllocationInfo{Role: new("db")},
	}
	o.Attributes = []mesos.Attribute{{Name: "rack", Type: mesos.TEXT, Text: &mesos.Value_Text{Value: fmt.Sprintf("r%d", n%2)}}}
	return o
}

func allocated(role string, rs []mesos.Resource) []mesos.Resource {
	for i := range rs {
		rs[i].AllocationInfo = &mesos.Resource_AllocationInfo{Role: new(role)}
	}
	return rs
}

func with(o mesos.Offer, rs ...mesos.Resource) mesos.Offer {
	o.Resources = append(slices.Clone(o.Resources), allocated("db", rs)...)
	return o
}

func heldAs(held []mesos.Offer) iter.Seq[*mesos.Offer] {
	return func(yield func(*mesos.Offer) bool) {
		for i := range held {
			if !yield(&held[i]) {
				return
			}
		}
	}
}

func broker(n int) Request {
	return Request{
		Node: fmt.Sprintf("broker-%d", n), Pod: "broker", Role: "db", Principal: "kafka",
		Labels:  []mesos.Label{{Key: "service", Value: new("kafka")}, {Key: "node", Value: new(fmt.Sprintf("broker-%d", n))}},
		Needs:   MustParse("cpus:0.5;mem:512"),
		Ports:   []Port{{Name: "client", Begin: 9092, End: 9092}, {Name: "jmx"}},
		Volumes: []Volume{{ID: fmt.Sprintf("kafka-%d", n), Path: "data", Size: 1024_000}},
		Place:   constraints.MustParse("hostname:UNIQUE"),
	}
}

const fullAgent = "cpus:4;mem:2048;disk:4096;ports:[9092-9092,31000-31009]"

func TestReserve(t *testing.T) {
	t.Parallel()
	held := []mesos.Offer{offer("o2", 2, fullAgent), offer("o1", 1, fullAgent), offer("o3", 3, fullAgent)}
	requests := []Request{broker(0), broker(1), broker(2)}
	matches, report := Reserve(heldAs(held), requests)
	require.Len(t, matches, 3, report.String())
	assert.Empty(t, report.Refusals)
	checkMatches(t, held, requests, matches)
	for i, m := range matches {
		assert.Equal(t, fmt.Sprintf("agent-%d", i+1), m.Agent, "ties go by agent id")
		assert.Equal(t, map[string]uint64{"client": 9092, "jmx": 31000}, m.Ports)
	}
}

func TestReserveJoinsOffersOfOneAgent(t *testing.T) {
	t.Parallel()
	held := []mesos.Offer{
		offer("o1", 1, "cpus:0.3;mem:500;disk:600"), offer("o2", 1, "cpus:0.2;mem:12;disk:424;ports:[9092-9093]"),
	}
	requests := []Request{broker(0)}
	matches, report := Reserve(heldAs(held), requests)
	require.Len(t, matches, 1, report.String())
	checkMatches(t, held, requests, matches)
	assert.Equal(t, []mesos.OfferID{{Value: "o1"}, {Value: "o2"}}, matches[0].Offers)
}

func TestReserveSaysWhyNot(t *testing.T) {
	t.Parallel()
	held := []mesos.Offer{
		offer("o1", 1, fullAgent), offer("o2", 2, "cpus:4;mem:256;disk:4096;ports:[9092-9093]"),
		offer("o3", 3, "cpus:4;mem:384;disk:4096;ports:[9092-9093]"), offer("o4", 4, "cpus:4;mem:2048;disk:4096;ports:[1-2]"),
	}
	requests := []Request{broker(0), broker(1)}
	matches, report := Reserve(heldAs(held), requests)
	require.Len(t, matches, 1)
	checkMatches(t, held, requests, matches)
	assert.Equal(t, "broker-1: 4 agents looked at: "+
		"2 × mem: wants 512, best 384 on host3 (short by 128); "+
		`1 × hostname:UNIQUE: hostname is "host1", placed: 1 on "host1"; one that nothing is placed on yet would do; `+
		"1 × ports: client (9092) not free. It would fit with "+
		"one more agent that hostname:UNIQUE takes (hostname: one that nothing is placed on yet would do), "+
		"or with mem 384, or with other ports than client (9092)", report.String())
}

// What a match left must be found again, when it is offered as Mesos offers it
// after the operations; and released it must be what it was at first.
func TestReserveClaimRelease(t *testing.T) {
	t.Parallel()
	static := MustParse("cpus:0.1").List()[0]
	static.Reservations = []mesos.Resource_ReservationInfo{{
		Type: mesos.Resource_ReservationInfo_STATIC.Enum(), Role: new("db")}}
	mount := MustParse("disk:2048").List()[0]
	mount.Disk = &mesos.Resource_DiskInfo{Source: &mesos.Resource_DiskInfo_Source{
		Type: mesos.Resource_DiskInfo_Source_MOUNT, Mount: &mesos.Resource_DiskInfo_Source_Mount{Root: new("/mnt/a")}}}
	held := []mesos.Offer{with(offer("o1", 1, fullAgent), static, mount)}
	request := broker(0)
	request.Volumes = append(request.Volumes, Volume{ID: "log", Path: "log", Size: 1000_000, Disk: MountDisk})
	matches, report := Reserve(heldAs(held), []Request{request})
	require.Len(t, matches, 1, report.String())
	checkMatches(t, held, []Request{request}, matches)

	after := newLedger()
	after.put(t, held[0].Resources...)
	for _, op := range matches[0].Operations {
		after.apply(t, op)
	}
	again := held[0]
	again.Resources = after.resources(t)

	claimed, ok := Claim(heldAs([]mesos.Offer{again}), "agent-1", matches[0].Resources)
	assert.True(t, ok, "missing: %v", claimed.Missing)
	assert.Empty(t, claimed.Operations)

	rematched, _ := Reserve(heldAs([]mesos.Offer{again}), []Request{request})
	require.Len(t, rematched, 1)
	assert.Empty(t, rematched[0].Operations, "it goes back to what it has")
	assert.True(t, Contains(matches[0].Resources, rematched[0].Resources))
	assert.True(t, Contains(rematched[0].Resources, matches[0].Resources))
	assert.Equal(t, matches[0].Ports, rematched[0].Ports)

	owned := Owned(heldAs([]mesos.Offer{again}), HasLabel("service", "kafka"))
	require.Len(t, owned, 1)
	for _, op := range Release(owned[0].Resources) {
		after.apply(t, op)
	}
	assert.True(t, Contains(after.resources(t), held[0].Resources))
	assert.True(t, Contains(held[0].Resources, after.resources(t)))
}

// A reserve that was cut at any point is completed by Claim.
func TestClaimCompletes(t *testing.T) {
	t.Parallel()
	held := []mesos.Offer{offer("o1", 1, fullAgent)}
	matches, _ := Reserve(heldAs(held), []Request{broker(0)})
	require.Len(t, matches, 1)
	for done := range len(matches[0].Operations) + 1 {
		after := newLedger()
		after.put(t, held[0].Resources...)
		for _, op := range matches[0].Operations[:done] {
			after.apply(t, op)
		}
		cut := held[0]
		cut.Resources = after.resources(t)
		claimed, ok := Claim(heldAs([]mesos.Offer{cut}), "agent-1", matches[0].Resources)
		assert.Equal(t, done == len(matches[0].Operations), ok)
		assert.Len(t, claimed.Operations, len(matches[0].Operations)-done)
		for _, op := range claimed.Operations {
			after.apply(t, op)
		}
		after.take(t, matches[0].Resources...)
	}
}

func TestClaimSaysWhatIsShort(t *testing.T) {
	t.Parallel()
	matches, _ := Reserve(heldAs([]mesos.Offer{offer("o1", 1, fullAgent)}), []Request{broker(0)})
	require.Len(t, matches, 1)
	claimed, ok := Claim(heldAs([]mesos.Offer{offer("o9", 1, "cpus:0.2;mem:2048;disk:4096;ports:[9092-9092]")}),
		"agent-1", matches[0].Resources)
	assert.False(t, ok)
	assert.Empty(t, claimed.Operations, "all or nothing")
	assert.Equal(t, "cpus:0.5;ports:[9092-9092,31000-31000]", claimed.Short.String())
	_, ok = Claim(heldAs(nil), "agent-1", matches[0].Resources)
	assert.False(t, ok)
}

func TestReserveLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	reserve := func(r mesos.Resource, role string, labels ...mesos.Label) mesos.Resource {
		return reserved(&r, mesos.Resource_ReservationInfo{
			Type: mesos.Resource_ReservationInfo_DYNAMIC.Enum(), Role: &role, Labels: &mesos.Labels{Labels: labels}})
	}
	all := MustParse(fullAgent).List()
	cases := map[string]func(mesos.Resource) mesos.Resource{
		"of another node": func(r mesos.Resource) mesos.Resource {
			return reserve(r, "db", mesos.Label{Key: "node", Value: new("other")})
		},
		"without labels": func(r mesos.Resource) mesos.Resource { return reserve(r, "db") },
		"revocable": func(r mesos.Resource) mesos.Resource {
			r.Revocable = &mesos.Resource_RevocableInfo{}
			return r
		},
		"of a role above, dynamically": func(r mesos.Resource) mesos.Resource { return reserve(r, "d") },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed := make([]mesos.Resource, len(all))
			for i := range all {
				changed[i] = change(all[i])
			}
			matches, report := Reserve(heldAs([]mesos.Offer{with(offer("o1", 1, ""), changed...)}), []Request{broker(0)})
			assert.Empty(t, matches)
			assert.Contains(t, report.String(), "none is offered")
		})
	}
}
