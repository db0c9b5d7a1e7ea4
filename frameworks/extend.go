package frameworks

import (
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/offers"
)

// A pod may come to declare volumes and ports that the places of its nodes do
// not have. They are reserved on the agents where the nodes live, while these
// still run: a node is not stopped for what its agent has no room for, and of a
// pod with Together none is before all have what is new. With its next launch it
// becomes part of the node's place (extended), and not before.
//
// Nothing is asked for twice: what carries the node's label and is not part of its
// place is taken first (see offers.Request). So the store need not know what is on
// its way. What is wanted no more is given back by trim, volumes as well: none
// that is not part of the place ever held anything.

// Extra is what is reserved for a node beside what its task has: ports and
// volumes that its pod has come to declare.
type Extra struct {
	// For names them, as they are declared.
	For       string           `json:"for"`
	Resources []mesos.Resource `json:"resources"`
}

// missing are the ports and volumes of the pod that a place does not have, or
// has beside it only.
func (p *Place) missing(pod *Pod) (ports []Port, volumes []Volume) {
	for _, port := range pod.Ports {
		if number, ok := p.Ports[port.Name]; !ok || !p.hasPort(number) {
			ports = append(ports, port)
		}
	}
	for _, v := range pod.Volumes {
		if v.Disk != offers.BlockDisk && !p.hasVolume(v.Name) {
			volumes = append(volumes, v)
		}
	}
	return ports, volumes
}

// supposed is the place as if it had the ports that it lacks.
func (p *Place) supposed(pod *Pod) *Place {
	ports, _ := p.missing(pod)
	if len(ports) == 0 {
		return p
	}
	out := *p
	out.Ports = map[string]uint64{}
	maps.Copy(out.Ports, p.Ports)
	for _, port := range ports {
		out.Ports[port.Name] = max(port.Begin, 1)
	}
	return &out
}

func (p *Place) hasPort(number uint64) bool {
	for i := range p.Resources {
		for _, r := range p.Resources[i].GetRanges().GetRange() {
			if p.Resources[i].Name == "ports" && r.Begin <= number && number <= r.End {
				return true
			}
		}
	}
	return false
}

func (p *Place) hasVolume(name string) bool {
	for i := range p.Resources {
		if id := p.Resources[i].GetDisk().GetPersistence().GetID(); id != "" && id[strings.LastIndexByte(id, '.')+1:] == name {
			return true
		}
	}
	return false
}

// wording names ports and volumes as they are declared.
func wording(ports []Port, volumes []Volume) string {
	var out []string
	for _, p := range ports {
		out = append(out, "port "+offers.Port{Name: p.Name, Begin: p.Begin, End: p.End}.String())
	}
	for _, v := range volumes {
		out = append(out, strings.TrimSpace(fmt.Sprintf("volume %s at %s, %v MiB on a %v disk %s", v.Name, v.Path, v.Size, v.Disk, v.Profile)))
	}
	return strings.Join(out, ", ")
}

// lacks names what a node's pod has come to declare and is not yet reserved for
// it; empty: nothing.
func (d *decision) lacks(n *Node) string {
	if n.Place == nil || n.Goal != GoalRun || d.heldFor != "" {
		return ""
	}
	ports, volumes := n.Place.missing(d.pod(n.Pod))
	if len(ports)+len(volumes) == 0 {
		return ""
	}
	text := wording(ports, volumes)
	if n.Place.Extra != nil && n.Place.Extra.For == text {
		return ""
	}
	return text
}

// lacking is a node because of which this one is not to be stopped for what its
// pod declares now: itself, or of a pod with Together any that can be reached.
func (d *decision) lacking(n *Node) *Node {
	switch {
	case d.lacks(n) != "":
		return n
	case n.Goal != GoalRun || !d.pod(n.Pod).Together:
		return nil
	}
	if d.short == nil {
		d.short = map[string]*Node{}
	}
	short, known := d.short[n.Pod]
	if !known {
		all := d.awake()
		if i := slices.IndexFunc(all, func(m *Node) bool { return m.Pod == n.Pod && m.Lost.IsZero() && d.lacks(m) != "" }); i >= 0 {
			short = all[i]
		}
		d.short[n.Pod] = short
	}
	return short
}

// waitsForExtra says what a node waits for before it gets what is new.
func (d *decision) waitsForExtra(n *Node) string {
	m := d.lacking(n)
	if m == nil {
		return ""
	}
	why := "agent " + m.Place.Hostname + " to reserve what is new for " + m.Name + ": " + d.lacks(m)
	if m.Place.Short != "" {
		why += " (" + m.Place.Short + "; replace gives it a new place)"
	}
	return why
}

// extend reserves what places lack, and sees that it is there. For a node that is
// about to be launched it becomes part of the place.
func (d *decision) extend(claims map[*Node]offers.Claimed, free iter.Seq[*mesos.Offer], used map[string]bool) {
	for _, n := range d.awake() {
		if n.Place == nil || n.Goal != GoalRun || d.heldFor != "" {
			continue
		}
		ports, volumes := n.Place.missing(d.pod(n.Pod))
		text := wording(ports, volumes)
		if x := n.Place.Extra; x != nil && x.For != text {
			n.Place.disown() // something else is declared meanwhile
		}
		if text == "" {
			n.Place.Extending, n.Place.Short = time.Time{}, ""
			continue
		}
		if n.Place.Extra == nil && !used[n.Place.Agent] {
			d.extendNode(n, d.request(n, ports, volumes), text, free, used)
		}
		if _, ok := claims[n]; ok && n.Place.Extra != nil && !used[n.Place.Agent] {
			d.extended(n, claims, free)
		}
	}
	d.short = nil
}

// extendNode looks for what a place lacks on its agent, and reserves what of it
// is not.
func (d *decision) extendNode(n *Node, r offers.Request, text string, free iter.Seq[*mesos.Offer], used map[string]bool) {
	r.Agent = n.Place.Agent
	matches, report := offers.Reserve(d.beside(n, free), []offers.Request{r})
	if len(matches) == 0 {
		if why := report.Refusals[0]; why.Agents > 0 && n.Place.Short != why.String() {
			n.Place.Short = why.String()
			d.note(n, "its agent has no room for what is new", slog.String("agent", n.Place.Hostname), slog.String("why", n.Place.Short))
		}
		return
	}
	m := matches[0]
	if len(m.Operations) == 0 {
		n.Place.Extra = &Extra{For: text, Resources: m.Resources}
		n.Place.Extending, n.Place.Short = time.Time{}, ""
		ports := map[string]uint64{}
		maps.Copy(ports, n.Place.Ports)
		maps.Copy(ports, m.Ports)
		n.Place.Ports = ports
		d.note(n, "what is new is reserved", slog.String("agent", n.Place.Hostname), slog.String("what", text))
		return
	}
	if d.within(settleTime, n.Place.Extending) {
		return // it is on its way
	}
	n.Place.Extending = d.now
	d.note(n, "reserving what is new", slog.String("agent", n.Place.Hostname), slog.String("what", text))
	d.accept(offers.Accept{Agent: m.Agent, Offers: m.Offers, Operations: m.Operations}, used)
}

// beside is what a node's agent offers without the node's place.
func (d *decision) beside(n *Node, free iter.Seq[*mesos.Offer]) iter.Seq[*mesos.Offer] {
	var place []mesos.Resource // each of its ports alone, for what is offered may have others beside them
	for _, r := range n.Place.Resources {
		if r.Name != "ports" {
			place = append(place, r)
			continue
		}
		for _, all := range r.GetRanges().GetRange() {
			for number := all.Begin; number <= all.End; number++ {
				port := r
				port.Ranges = &mesos.Value_Ranges{Range: []mesos.Value_Range{{Begin: number, End: number}}}
				place = append(place, port)
			}
		}
	}
	return func(yield func(*mesos.Offer) bool) {
		for o := range d.reservable(free) {
			if o.AgentID.Value != n.Place.Agent {
				continue
			}
			less := *o
			for i := range place {
				less.Resources, _ = offers.Minus(less.Resources, place[i:i+1])
			}
			if !yield(&less) {
				return
			}
		}
	}
}

// extended makes what a node has beside its place part of it. If that is not
// offered with the place, it is looked for anew.
func (d *decision) extended(n *Node, claims map[*Node]offers.Claimed, free iter.Seq[*mesos.Offer]) {
	all := slices.Concat(n.Place.Resources, n.Place.Extra.Resources)
	claimed, ok := offers.Claim(free, n.Place.Agent, all)
	if !ok {
		n.Place.disown()
		n.Place.Extending = d.now
		return
	}
	claims[n] = claimed
	if n.Place.Before == nil {
		n.Place.Before = n.Place.Resources
	}
	d.note(n, "its place is extended", slog.String("agent", n.Place.Hostname), slog.String("by", n.Place.Extra.For))
	n.Place.Resources, n.Place.Extra, n.Place.Asked = all, nil, d.now
}

// disown leaves what is beside a place to be given back.
func (p *Place) disown() {
	p.Extra = nil
	p.Ports = maps.Clone(p.Ports)
	maps.DeleteFunc(p.Ports, func(_ string, number uint64) bool { return !p.hasPort(number) })
}

// toExtend says what offers are wanted for, so that places get what they lack.
func (d *decision) toExtend() []string {
	var wants []string
	for _, n := range d.awake() {
		if d.lacks(n) == "" {
			continue
		}
		want := n.Name + " extends"
		if due := n.Place.Extending.Add(settleTime); d.now.Before(due) {
			d.wakeAt(due)
		} else if !n.Place.Extending.IsZero() {
			want += " again"
		}
		wants = append(wants, want)
	}
	return wants
}
