package offers

import (
	"cmp"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// fit looks what a request would take of an agent. It changes nothing but
// itself, and its buffers serve from agent to agent.
type fit struct {
	request *Request
	role    string // to reserve for
	all     bool   // look for everything that is short, not only the first
	fitting *agent // the one that takes are of; nil where the last try failed

	owners []owner  // of each part of the agent
	left   []Amount // of each part, scalars only
	takes  []take
	lacks  []lack // what the agent is short of
}

// take is what is taken of one part for one demand of the request.
type take struct {
	part   int
	of     takeOf
	index  int      // of the volume or the port in the request
	amount Amount   // of a scalar
	items  quantity // of itemTake
	number uint64   // of portTake
}

type takeOf int8

const (
	scalarTake takeOf = iota
	itemTake          // ranges or a set
	portTake
	volumeTake    // disk to make a volume on
	ownVolumeTake // the volume itself
)

// lack is a demand of the request that the agent cannot meet.
type lack struct {
	of    lackOf
	index int    // of the need, the port or the volume in the request
	best  Amount // what there is of a scalar
}

type lackOf int8

const (
	roleLack lackOf = iota
	needLack
	portLack
	volumeLack
)

// try says whether all of the request fits on the agent, of all of which takes
// then holds a part; otherwise lacks says what is short.
func (f *fit) try(a *agent, r *Request) bool {
	a.gather()
	f.request, f.role, f.fitting = r, r.Role, nil
	if f.role == "" {
		f.role = a.role
	}
	f.owners, f.left = f.owners[:0], f.left[:0]
	f.takes, f.lacks = f.takes[:0], f.lacks[:0]
	if !a.offeredTo(f.role) || (f.role == "*" || f.role == "") && !r.Unreserved {
		f.lacks = append(f.lacks, lack{of: roleLack})
		return false
	}
	for i := range a.parts {
		p := &a.parts[i]
		who := nobody
		if !p.plain {
			who = ownerOf(p.of, f.role, r.Labels)
		}
		f.owners = append(f.owners, who)
		f.left = append(f.left, p.left.scalar)
	}
	for i := range r.Volumes {
		if f.takeVolume(a, i); f.failed() {
			return false
		}
	}
	for i := range r.Needs.items {
		if r.Needs.items[i].kind == mesos.SCALAR {
			f.takeScalar(a, i)
		} else {
			f.takeItems(a, i)
		}
		if f.failed() {
			return false
		}
	}
	f.takePorts(a)
	if len(f.lacks) > 0 {
		return false
	}
	f.fitting = a
	return true
}

func (f *fit) failed() bool { return len(f.lacks) > 0 && !f.all }

// own says whether the node has something on the agent already: what is
// reserved with its labels, or a volume of its, which may lie on disk that the
// operator reserved.
func (f *fit) own() bool {
	return slices.ContainsFunc(f.takes, func(t take) bool {
		return f.owners[t.part] == ours || t.of == ownVolumeTake
	})
}

// takeVolume takes the volume itself where it exists, else the disk to make it
// on: of one part, because a volume has one stack of reservations.
func (f *fit) takeVolume(a *agent, index int) {
	v := &f.request.Volumes[index]
	best, bestIsWhole := -1, false
	var most Amount
	for i := range a.parts {
		p := &a.parts[i]
		if p.left.name != "disk" || p.left.kind != mesos.SCALAR {
			continue
		}
		if !p.plain && p.of.GetDisk().GetPersistence() != nil {
			if f.isVolume(v, p.of, f.owners[i]) {
				f.takes = append(f.takes, take{part: i, of: ownVolumeTake, index: index, amount: p.left.scalar})
				f.left[i] = 0
				return
			}
			continue
		}
		if f.owners[i] == other || !madeFor(v, p) {
			continue
		}
		most = max(most, f.left[i])
		if f.left[i] < v.Size {
			continue
		}
		isWhole := !p.plain && whole(p.of)
		if best < 0 || f.owners[i] < f.owners[best] ||
			f.owners[i] == f.owners[best] && bestIsWhole && f.left[i] < f.left[best] {
			best, bestIsWhole = i, isWhole
		}
	}
	if best < 0 {
		f.lacks = append(f.lacks, lack{of: volumeLack, index: index, best: most})
		return
	}
	amount := v.Size
	if bestIsWhole {
		amount = f.left[best]
	}
	f.left[best] -= amount
	f.takes = append(f.takes, take{part: best, of: volumeTake, index: index, amount: amount})
}

// isVolume says whether a persistent volume is the one that is asked for: the
// node's own, or a shared one of the role.
func (f *fit) isVolume(v *Volume, on *mesos.Resource, who owner) bool {
	if on.Disk.Persistence.ID != v.ID || on.Revocable != nil || (on.Shared != nil) != v.Shared {
		return false
	}
	n := reservationCount(on)
	if v.Shared && n > 0 {
		top := reservationAt(on, n-1)
		return top.GetRole() == f.role
	}
	return who <= static
}

// madeFor says whether the volume can be made on the disk.
func madeFor(v *Volume, p *part) bool {
	if p.plain {
		return v.Disk == RootDisk
	}
	on := p.of
	disk, ok := DiskTypeOf(on)
	return ok && disk == v.Disk && on.Revocable == nil && on.GetDisk().GetSource().GetProfile() == v.Profile
}

// divisible says whether a plain amount may be taken of the part: not of a
// volume, nor of a disk beside the root disk.
func divisible(r *mesos.Resource) bool {
	return r.Shared == nil && (r.Disk == nil || r.Disk.Persistence == nil && r.Disk.Source == nil)
}

func (f *fit) takeScalar(a *agent, index int) {
	want := &f.request.Needs.items[index]
	if f.request.Revocable {
		before := len(f.takes)
		if f.takeAmount(a, want, true) == 0 {
			return
		}
		for _, t := range f.takes[before:] {
			f.left[t.part] += t.amount
		}
		f.takes = f.takes[:before]
	}
	if missing := f.takeAmount(a, want, false); missing > 0 {
		f.lacks = append(f.lacks, lack{of: needLack, index: index, best: want.scalar - missing})
	}
}

// takeAmount takes as much as there is, at most what is wanted, and returns
// what is missing. Mesos does not let a task have both revocable and other
// resources of one name.
func (f *fit) takeAmount(a *agent, want *quantity, revocable bool) (missing Amount) {
	missing = want.scalar
	for who := ours; who < other && missing > 0; who++ {
		for i := range a.parts {
			p := &a.parts[i]
			if f.owners[i] != who || f.left[i] == 0 || p.left.name != want.name || p.left.kind != mesos.SCALAR ||
				p.revocable() != revocable || !p.divisible() {
				continue
			}
			some := min(missing, f.left[i])
			f.left[i] -= some
			f.takes = append(f.takes, take{part: i, amount: some})
			if missing -= some; missing == 0 {
				break
			}
		}
	}
	return missing
}

// takeItems takes the very numbers or items that are asked for.
func (f *fit) takeItems(a *agent, index int) {
	want := f.request.Needs.items[index]
	missing := want
	for who := ours; who < other && !missing.empty(); who++ {
		for i := range a.parts {
			p := &a.parts[i]
			if f.owners[i] != who || p.left.name != want.name || p.left.kind != want.kind || p.revocable() {
				continue
			}
			if some := p.left.common(missing); !some.empty() {
				f.takes = append(f.takes, take{part: i, of: itemTake, items: some})
				missing = missing.minus(some)
			}
		}
	}
	if !missing.empty() {
		f.lacks = append(f.lacks, lack{of: needLack, index: index})
	}
}

// takePorts gives every port a number of its own. The node's own numbers go
// first; should that leave a port without one, the lowest that fits does.
func (f *fit) takePorts(a *agent) {
	if len(f.request.Ports) == 0 {
		return
	}
	var few [8]int
	order := few[:0]
	for i := range f.request.Ports {
		order = append(order, i)
	}
	slices.SortFunc(order, func(x, y int) int {
		xBegin, xEnd := f.request.Ports[x].bounds()
		yBegin, yEnd := f.request.Ports[y].bounds()
		return cmp.Or(cmp.Compare(xEnd, yEnd), cmp.Compare(xBegin, yBegin), cmp.Compare(x, y))
	})
	before := len(f.takes)
	if failed := f.assignPorts(a, order, true); failed >= 0 {
		f.takes = f.takes[:before]
		if failed = f.assignPorts(a, order, false); failed >= 0 {
			f.takes = f.takes[:before]
			f.lacks = append(f.lacks, lack{of: portLack, index: failed})
		}
	}
}

// assignPorts goes through the ports in the order in which their ranges end,
// and gives each the lowest number that is free for it: so all find one
// whenever that is possible at all. It returns the port that found none, or -1.
func (f *fit) assignPorts(a *agent, order []int, ownFirst bool) int {
	for _, i := range order {
		if !(ownFirst && f.takePort(a, i, ours, ours)) && !f.takePort(a, i, ours, nobody) {
			return i
		}
	}
	return -1
}

// takePort takes the lowest number for a port that anyone from first to last
// has; for one that may be any, of the longest range: short ones are there for
// those who want these very numbers.
func (f *fit) takePort(a *agent, port int, first, last owner) bool {
	wanted := &f.request.Ports[port]
	begin, end := wanted.bounds()
	best, longest := take{part: -1}, uint64(0)
	for i := range a.parts {
		p := &a.parts[i]
		if f.owners[i] < first || f.owners[i] > last || p.left.name != "ports" || p.revocable() {
			continue
		}
		for _, r := range p.left.ranges {
			length := uint64(0)
			if wanted.open() {
				length = r.End - r.Begin
			}
			if best.part >= 0 && (length < longest || length == longest && r.Begin > best.number) {
				continue
			}
			if n, ok := lowest(r, begin, end, f.portTaken); ok {
				best, longest = take{part: i, of: portTake, index: port, number: n}, length
			}
		}
	}
	if best.part < 0 {
		return false
	}
	f.takes = append(f.takes, best)
	return true
}

func (f *fit) portTaken(n uint64) bool {
	for i := range f.takes {
		if t := &f.takes[i]; t.of == portTake && t.number == n {
			return true
		}
	}
	return false
}

// commit takes from the agent what the last try found.
func (f *fit) commit(a *agent) {
	parts := slices.Clone(a.parts)
	for _, t := range f.takes {
		if p := &parts[t.part]; p.of.Shared == nil {
			p.left = p.left.minus(t.quantity(p))
		}
	}
	a.parts, f.fitting = parts, nil
}
