package offers

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// The master of these tests: slow, plain, and independent of the package. It
// keeps every resource as a line of text and how much there is of it, and
// carries out operations as Mesos does, or says what Mesos would refuse.
type ledger struct {
	scalars map[string]int64           // thousandths by identity
	items   map[string]map[string]bool // ports and set items by identity
}

func newLedger() *ledger {
	return &ledger{scalars: map[string]int64{}, items: map[string]map[string]bool{}}
}

// identity is everything about a resource but how much it is.
func identity(t *testing.T, r mesos.Resource) string {
	t.Helper()
	r.Scalar, r.Ranges, r.Set = nil, nil, nil
	if r.Disk != nil {
		disk := *r.Disk
		disk.Volume = nil
		if disk.Persistence != nil {
			disk.Persistence = &mesos.Resource_DiskInfo_Persistence{ID: disk.Persistence.ID}
		}
		r.Disk = &disk
	}
	reservations := append([]mesos.Resource_ReservationInfo{}, r.Reservations...)
	for i := range reservations {
		if l := reservations[i].Labels; l != nil {
			labels := slices.Clone(l.Labels)
			sort.Slice(labels, func(a, b int) bool { return fmt.Sprint(labels[a]) < fmt.Sprint(labels[b]) })
			reservations[i].Labels = &mesos.Labels{Labels: labels}
		}
	}
	r.Reservations = reservations
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func items(r mesos.Resource) []string {
	var list []string
	for _, x := range r.GetRanges().GetRange() {
		for n := x.Begin; n <= x.End; n++ {
			list = append(list, fmt.Sprint(n))
		}
	}
	return append(list, r.GetSet().GetItem()...)
}

func (l *ledger) put(t *testing.T, rs ...mesos.Resource) {
	t.Helper()
	for _, r := range rs {
		id := identity(t, r)
		l.scalars[id] += int64(math.Round(r.GetScalar().GetValue() * 1000))
		if l.items[id] == nil {
			l.items[id] = map[string]bool{}
		}
		for _, item := range items(r) {
			if l.items[id][item] {
				t.Errorf("%s is there twice", item)
			}
			l.items[id][item] = true
		}
	}
}

func (l *ledger) take(t *testing.T, rs ...mesos.Resource) {
	t.Helper()
	for _, r := range rs {
		id := identity(t, r)
		want := int64(math.Round(r.GetScalar().GetValue() * 1000))
		if strings.Contains(id, "persistence") && l.scalars[id] != want {
			t.Errorf("a volume is taken in part: %s", id)
		}
		if l.scalars[id] -= want; l.scalars[id] < 0 {
			t.Errorf("%d thousandths too many are taken of %s", -l.scalars[id], id)
		}
		for _, item := range items(r) {
			if !l.items[id][item] {
				t.Errorf("%s is taken, but not there, of %s", item, id)
			}
			delete(l.items[id], item)
		}
	}
}

// apply carries out one operation.
func (l *ledger) apply(t *testing.T, op mesos.Offer_Operation) {
	t.Helper()
	switch op.Type {
	case mesos.Offer_Operation_RESERVE:
		for _, r := range op.Reserve.Resources {
			n := len(r.Reservations)
			if n == 0 || r.Reservations[n-1].GetType() != mesos.Resource_ReservationInfo_DYNAMIC {
				t.Fatalf("RESERVE of %v: the last reservation is not dynamic", r)
			}
			role := r.Reservations[n-1].GetRole()
			if role != r.GetAllocationInfo().GetRole() {
				t.Errorf("RESERVE for role %q of what is allocated to %q", role, r.GetAllocationInfo().GetRole())
			}
			if n > 1 && !strings.HasPrefix(role, r.Reservations[n-2].GetRole()+"/") {
				t.Errorf("RESERVE for %q does not refine %q", role, r.Reservations[n-2].GetRole())
			}
			if r.GetDisk().GetPersistence() != nil || r.Revocable != nil {
				t.Errorf("RESERVE of a volume or of something revocable: %v", r)
			}
			below := r
			below.Reservations = slices.Clone(r.Reservations[:n-1])
			l.take(t, below)
			l.put(t, r)
		}
	case mesos.Offer_Operation_UNRESERVE:
		for _, r := range op.Unreserve.Resources {
			l.take(t, r)
			r.Reservations = slices.Clone(r.Reservations[:len(r.Reservations)-1])
			l.put(t, r)
		}
	case mesos.Offer_Operation_CREATE:
		for _, v := range op.Create.Volumes {
			if len(v.Reservations) == 0 || v.GetDisk().GetVolume().GetMode() != mesos.RW {
				t.Errorf("CREATE of what Mesos refuses: %v", v)
			}
			bare := v
			bare.Disk, bare.Shared = nil, nil
			if v.Disk.Source != nil {
				bare.Disk = &mesos.Resource_DiskInfo{Source: v.Disk.Source}
			}
			l.take(t, bare)
			if id := identity(t, v); l.scalars[id] != 0 {
				t.Errorf("CREATE of a volume that is: %s", id)
			}
			l.put(t, v)
		}
	case mesos.Offer_Operation_DESTROY:
		for _, v := range op.Destroy.Volumes {
			l.take(t, v)
			v.Shared = nil
			if v.Disk = (&mesos.Resource_DiskInfo{Source: v.Disk.Source}); v.Disk.Source == nil {
				v.Disk = nil
			}
			l.put(t, v)
		}
	default:
		t.Fatalf("operation %v is not expected here", op.Type)
	}
}

// resources are all that the ledger holds, for offering it again.
func (l *ledger) resources(t *testing.T) []mesos.Resource {
	t.Helper()
	ids := map[string]bool{}
	for id := range l.scalars {
		ids[id] = true
	}
	var list []mesos.Resource
	for _, id := range slices.Sorted(func(yield func(string) bool) {
		for id := range ids {
			if !yield(id) {
				return
			}
		}
	}) {
		var r mesos.Resource
		if err := json.Unmarshal([]byte(id), &r); err != nil {
			t.Fatal(err)
		}
		switch r.GetType() {
		case mesos.SCALAR:
			if l.scalars[id] == 0 {
				continue
			}
			r.Scalar = &mesos.Value_Scalar{Value: float64(l.scalars[id]) / 1000}
		case mesos.RANGES:
			if len(l.items[id]) == 0 {
				continue
			}
			r.Ranges = &mesos.Value_Ranges{}
			for item := range l.items[id] {
				var n uint64
				fmt.Sscan(item, &n)
				r.Ranges.Range = append(r.Ranges.Range, mesos.Value_Range{Begin: n, End: n})
			}
		case mesos.SET:
			if len(l.items[id]) == 0 {
				continue
			}
			r.Set = &mesos.Value_Set{Item: slices.Sorted(func(yield func(string) bool) {
				for item := range l.items[id] {
					if !yield(item) {
						return
					}
				}
			})}
		}
		list = append(list, r)
	}
	return list
}

// checkMatches carries out the operations on what is offered, and then takes
// what every match says that its node has, and holds it against the request.
func checkMatches(t *testing.T, held []mesos.Offer, requests []Request, matches []Match) {
	t.Helper()
	agents := map[string]*ledger{}
	agentOfOffer := map[string]string{}
	for _, o := range held {
		if agents[o.AgentID.Value] == nil {
			agents[o.AgentID.Value] = newLedger()
		}
		agents[o.AgentID.Value].put(t, o.Resources...)
		agentOfOffer[o.ID.Value] = o.AgentID.Value
	}
	accepted := map[string]bool{}
	for _, accept := range Accepts(matches) {
		for _, id := range accept.Offers {
			if accepted[id.Value] {
				t.Errorf("offer %s is accepted twice", id.Value)
			}
			accepted[id.Value] = true
			if agentOfOffer[id.Value] != accept.Agent {
				t.Errorf("offer %s is not of agent %s", id.Value, accept.Agent)
			}
		}
		for _, op := range accept.Operations {
			agents[accept.Agent].apply(t, op)
		}
	}
	for _, m := range matches {
		agents[m.Agent].take(t, m.Resources...)
		i := slices.IndexFunc(requests, func(r Request) bool { return r.Node == m.Node })
		if i < 0 {
			t.Fatalf("match for %q, which nobody asked for", m.Node)
		}
		checkMatch(t, requests[i], m)
	}
}

// checkMatch holds a match against its request: all of it and nothing else.
func checkMatch(t *testing.T, r Request, m Match) {
	t.Helper()
	got, volumes, ports := map[string]int64{}, map[string]int64{}, map[string]bool{}
	for _, res := range m.Resources {
		n := len(res.Reservations)
		if n == 0 {
			t.Errorf("%s: %v is not reserved", r.Node, res)
			continue
		}
		if top := res.Reservations[n-1]; top.GetType() == mesos.Resource_ReservationInfo_DYNAMIC {
			if top.GetPrincipal() != r.Principal || fmt.Sprint(top.GetLabels().GetLabels()) != fmt.Sprint(r.Labels) {
				t.Errorf("%s: %v is reserved for somebody else", r.Node, res)
			}
		} else if top.GetRole() != r.Role {
			t.Errorf("%s: %v is reserved for another role", r.Node, res)
		}
		switch {
		case res.Disk != nil:
			if v := res.GetDisk().GetVolume().GetContainerPath(); v != "" {
				volumes[res.GetDisk().GetPersistence().GetID()+" "+v] += int64(math.Round(res.Scalar.Value * 1000))
			}
		case res.Name == "ports":
			for _, item := range items(res) {
				ports[item] = true
			}
		default:
			got[res.Name] += int64(math.Round(res.GetScalar().GetValue() * 1000))
		}
	}
	for name, amount := range r.Needs.Scalars() {
		if got[name] != int64(amount) {
			t.Errorf("%s: got %d of %s, wants %d", r.Node, got[name], name, amount)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("%s: got %v unasked", r.Node, got)
	}
	if len(volumes) != len(r.Volumes) {
		t.Errorf("%s: volumes %v, wants %v", r.Node, volumes, r.Volumes)
	}
	for _, v := range r.Volumes {
		size := volumes[v.ID+" "+v.Path]
		if size < int64(v.Size) || size > int64(v.Size) && v.Disk != MountDisk {
			t.Errorf("%s: volume %s has %d, wants %d", r.Node, v.ID, size, v.Size)
		}
	}
	if len(ports) != len(r.Ports) || len(m.Ports) != len(r.Ports) {
		t.Errorf("%s: ports %v, names %v, wants %v", r.Node, ports, m.Ports, r.Ports)
	}
	for _, p := range r.Ports {
		n, ok := m.Ports[p.Name]
		if begin, end := p.bounds(); !ok || n < begin || n > end || !ports[fmt.Sprint(n)] {
			t.Errorf("%s: port %v got %d", r.Node, p, n)
		}
		delete(ports, fmt.Sprint(n)) // so that none serves twice
	}
}
