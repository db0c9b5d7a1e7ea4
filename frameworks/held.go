package frameworks

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/offers"
)

// A service is held while its program cannot look after it as it stands: the
// program refuses the options in force, or declares it no more, or declares what
// does not fit the places that its nodes have, so that data would be lost. Its
// servers run on, their leases are granted, and what an earlier wish gave up is
// freed; but none is launched, asked for, updated or moved. The status says why.
// Operators can stop nodes, uninstall it, and update it to options that hold.

// errUndeclared is why a service is held that the program does not name.
var errUndeclared = errors.New("declared by no program: uninstall it, or declare it again")

// agreed is the declaration to decide with, and why the service is held: then
// it is a stand-in. Anew: the program may be another than that of the last
// decision.
func (s *Service) agreed(l *ledger, anew bool) (*Service, string) {
	current, err := s.current(l.service.Options.Target)
	if err == nil && (anew || l.lacks(current)) {
		l.service.Held = errorText(l.disagreement(current))
	}
	switch {
	case err != nil:
		return s.standIn(l), err.Error()
	case l.service.Held != "":
		return s.standIn(l), l.service.Held
	}
	return current, ""
}

// lacks says whether a pod of the ledger is not declared.
func (l *ledger) lacks(s *Service) bool {
	for pod := range l.pods {
		if s.pod(pod) == nil {
			return true
		}
	}
	return false
}

// standIn declares what the ledger says of a service that is held.
func (s *Service) standIn(l *ledger) *Service {
	out := &Service{
		Name: s.Name, Role: l.reservedRole(s), Principal: s.Principal, User: s.User, Binary: s.Binary,
		Options: l.service.Options.Target, Revise: s.Revise, Change: s.Change, memo: s.memo,
	}
	for _, name := range sortedKeys(l.pods) {
		if !l.pods[name].Ended {
			out.Pods = append(out.Pods, Pod{Name: name, Count: l.pods[name].Count, Aim: l.pods[name].Aim, Secrets: sortedKeys(l.secrets)})
		}
	}
	return out
}

// reservedRole is that of the reservations.
func (l *ledger) reservedRole(s *Service) string {
	if l.service.Role != "" {
		return l.service.Role
	}
	for _, n := range l.nodes {
		if r := n.reservation(); r != nil {
			return r.GetRole()
		}
	}
	return s.role()
}

// reservation is the one that all resources of the node's place have.
func (n *Node) reservation() *mesos.Resource_ReservationInfo {
	if n.Place == nil || len(n.Place.Resources) == 0 {
		return nil
	}
	all := n.Place.Resources[0].Reservations
	if len(all) == 0 {
		return nil
	}
	return &all[len(all)-1]
}

// disagreement says what of a declaration does not fit the places that nodes
// have.
func (l *ledger) disagreement(s *Service) error {
	var refusals refusals
	reserved := len(l.discards) > 0
	for _, n := range l.nodes {
		r := n.reservation()
		reserved = reserved || r != nil
		if r != nil && r.GetPrincipal() != s.Principal && len(refusals) == 0 {
			refusals.add("Service.Principal", s.Principal, fmt.Sprintf("the reservations are those of %q", r.GetPrincipal()))
		}
	}
	if role := l.reservedRole(s); reserved && role != s.role() {
		refusals.add("Service.Role", s.role(), "the reservations are those of "+role)
	}
	for _, pod := range sortedKeys(l.pods) {
		if s.pod(pod) == nil {
			l.undeclared(pod, &refusals)
			continue
		}
		l.fits(s.pod(pod), smallerStays, &refusals)
	}
	return refusals.join()
}

// undeclared says that a pod has nodes and cannot be left out.
func (l *ledger) undeclared(pod string, refusals *refusals) {
	if slices.ContainsFunc(l.nodes, func(n *Node) bool { return n.Pod == pod }) {
		refusals.add("Pod", pod, fmt.Sprintf("it has %d nodes: let them leave first", l.pods[pod].Count))
	}
}

// fits says what of a pod does not fit the places that its nodes have: of the
// first for which that is so.
func (l *ledger) fits(p *Pod, volumes smaller, refusals *refusals) {
	before := len(*refusals)
	for _, n := range l.nodes {
		if n.Pod == p.Name && (n.Home != "") != p.Everywhere && len(*refusals) == before {
			refusals.add("Pod "+p.Name+": Everywhere", p.Everywhere, "its nodes were made otherwise: let them leave first")
		}
		if n.Pod == p.Name && n.Place != nil && len(*refusals) == before {
			n.Place.fits(p, volumes, refusals)
		}
	}
}

func (p *Place) fits(pod *Pod, volumes smaller, refusals *refusals) {
	if slices.ContainsFunc(pod.Ports, func(port Port) bool {
		number, ok := p.Ports[port.Name]
		return ok && p.hasPort(number) && port.End > 0 && (number < port.Begin || number > port.End)
	}) {
		refusals.add("Pod "+pod.Name+": Ports", pod.Ports, fmt.Sprintf("its nodes keep theirs: %v", p.Ports))
	}
	have := p.volumes()
	if want, got := blocks(pod.Volumes), p.blocks(); want > got {
		refusals.add("Pod "+pod.Name+": Volumes", want, fmt.Sprintf("its nodes have %d disks of blocks, and get no more in the places that they have", got))
	}
	for _, v := range have {
		field := "Pod " + pod.Name + ": Volume " + v.Name
		i := slices.IndexFunc(pod.Volumes, v.is)
		switch {
		case i < 0 && (volumes == allStay || slices.Contains(p.Retired, v.Name)):
			if j := slices.IndexFunc(pod.Volumes, func(w Volume) bool { return path.Clean(w.Path) == path.Clean(v.Path) }); j >= 0 {
				w := pod.Volumes[j]
				refusals.add("Pod "+pod.Name+": Volume "+w.Name, w.Path, "volume "+v.Name+" is there, which a rollback has left in its place; wants another path")
			}
			continue
		case i < 0:
			refusals.add(field, v.Size, "it holds data, and cannot be left out; only a rollback to options without it keeps it in its place, unused")
			continue
		}
		switch w := pod.Volumes[i]; {
		case volumes == smallerRefused && w.Size < v.Size && v.Disk != offers.MountDisk:
			refusals.add(field, w.Size, fmt.Sprintf("it holds data, and cannot become smaller than %v MiB, unless the update allows it to shrink", v.Size))
		case w.Disk != v.Disk || w.Profile != v.Profile:
			refusals.add(field, w.Disk, "it is on a "+v.Disk.String()+" disk")
		case w.Size > v.Size && v.Disk == offers.MountDisk:
			refusals.add(field, w.Size, "it is a MOUNT disk, which has the size that it has")
		case w.Path != v.Path:
			refusals.add(field, w.Path, "its data is at "+v.Path)
		}
	}
}

// retire notes which of the place's volumes its pod declares no more. They stay, and
// are mounted where they were, until the place is given up.
func (p *Place) retire(pod *Pod) {
	p.Retired = nil
	for _, v := range p.volumes() {
		if !slices.ContainsFunc(pod.Volumes, v.is) {
			p.Retired = append(p.Retired, v.Name)
		}
	}
}

// blocks counts the disks of blocks that are declared.
func blocks(volumes []Volume) int {
	count := 0
	for _, v := range volumes {
		if v.Disk == offers.BlockDisk {
			count++
		}
	}
	return count
}

// blocks counts those that the place has.
func (p *Place) blocks() int {
	count := 0
	for i := range p.Resources {
		if disk, ok := offers.DiskTypeOf(&p.Resources[i]); ok && disk == offers.BlockDisk {
			count++
		}
	}
	return count
}

func (v Volume) is(other Volume) bool { return v.Name == other.Name }

// volumes are those that the place has. (A disk of blocks has no name of its
// own there.)
func (p *Place) volumes() []Volume {
	var out []Volume
	for _, r := range p.Resources {
		id := r.GetDisk().GetPersistence().GetID()
		if id == "" {
			continue
		}
		disk, _ := offers.DiskTypeOf(&r)
		out = append(out, Volume{
			Name: id[strings.LastIndex(id, ".")+1:], Path: r.Disk.GetVolume().GetContainerPath(),
			Size: offers.AmountOf(r.GetScalar().GetValue()), Disk: disk, Profile: r.Disk.GetSource().GetProfile(),
		})
	}
	return out
}

// heldBack refuses commands that a service which is held cannot follow.
func (d *decision) heldBack(c any) error {
	switch c.(type) {
	case AskStatus, AskOptions, StopNode, Update, Rollback, Uninstall, PausePlan, ResumePlan:
		return nil
	}
	if d.heldFor != "" {
		return fmt.Errorf("%T: %w: the service is held: %s", c, ErrRefused, d.heldFor)
	}
	return nil
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
