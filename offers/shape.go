package offers

import (
	"slices"

	"github.com/mesokit/mesokit/constraints"
)

// shape is what requests of one kind have in common: all that decides on which
// agents they fit, but for what is reserved for a node already. What is
// computed for one of them holds for all.
type shape struct {
	of      *Request
	demands []demand // the lead resource first, if there is one
	prefers bool     // Prefer ranks by the lead resource
	ranked  bool     // more than penalty, free amount and id decides
	gpus    bool     // GPUs are asked for
	ruled   bool     // rules may refuse agents

	from, to int                    // the agents to look at
	rules    *constraints.Placement // counts the peers, and what the batch has placed
	ruleText string

	// unfit are the agents that lack something even with nothing placed on them,
	// so that they need no second try in this batch; nil: none is known. Mixed
	// agents are not among them: there it depends on who asks.
	unfit []bool
	// refused is the state of the batch in which no agent took it; see
	// batch.state. Zero: none.
	refused int
	// explained is what refused the agents that are not mixed, if somebody
	// asked.
	explained *explanation
}

// demand is what a request takes of a column: a need, and the volumes on the
// root disk.
type demand struct {
	column int
	amount Amount
	need   int // in Needs; -1: volumes are in it
}

// shapeOf is that of the request, made if no earlier one had it.
func (b *batch) shapeOf(r *Request) *shape {
	text := r.Place.String()
	for _, s := range b.shapes {
		if text == s.ruleText && r.Place.Dialect() == s.of.Place.Dialect() && sameShape(r, s.of) {
			return s
		}
	}
	s := &shape{of: r, ruleText: text, rules: b.placement(r), demands: b.demands(r)}
	s.from, s.to = b.agentsFor(r.Agent)
	s.ruled = !r.Place.IsZero() || r.Home != ""
	s.gpus = r.Needs.Amount("gpus") > 0
	s.ranked = r.Place.Prefers() || r.Last != ""
	s.prefers = r.Prefer != Any && len(s.demands) > 0
	b.shapes = append(b.shapes, s)
	return s
}

// sameShape leaves the rules to its caller.
func sameShape(a, b *Request) bool {
	return a.Pod == b.Pod && a.Role == b.Role && a.Agent == b.Agent && a.Last == b.Last && a.Prefer == b.Prefer &&
		a.Unreserved == b.Unreserved && a.Revocable == b.Revocable && a.Instances == b.Instances && a.Home == b.Home &&
		a.Needs.Equal(b.Needs) && slices.Equal(a.Ports, b.Ports) &&
		slices.EqualFunc(a.Volumes, b.Volumes, func(x, y Volume) bool {
			x.ID, x.Path = y.ID, y.Path
			return x == y
		}) &&
		slices.EqualFunc(a.Placed, b.Placed, sameAgent) &&
		slices.EqualFunc(a.Others, b.Others, func(x, y Other) bool { return x.Pod == y.Pod && sameAgent(x.Agent, y.Agent) })
}

// sameAgent is quick, and may take one agent for two.
func sameAgent(a, b constraints.Agent) bool {
	if a.Hostname != b.Hostname || a.Region != b.Region || a.Zone != b.Zone || len(a.Attributes) != len(b.Attributes) {
		return false
	}
	return len(a.Attributes) == 0 || &a.Attributes[0] == &b.Attributes[0]
}

// placement counts the peers that are placed already.
func (b *batch) placement(r *Request) *constraints.Placement {
	rules := r.Place.Over(b.table)
	rules.Want(max(r.Instances, 1))
	rules.Home(r.Home)
	for _, peer := range r.Placed {
		rules.Place(peer)
	}
	for _, o := range r.Others {
		rules.PlaceOther(o.Pod, o.Agent)
	}
	return rules
}

// demands are what the request takes of each column. Cpus lead, or else what
// is the first by name.
func (b *batch) demands(r *Request) []demand {
	var list []demand
	for i, q := range r.Needs.items {
		if q.scalar > 0 {
			list = append(list, demand{column: b.column(q.name), amount: q.scalar, need: i})
		}
	}
	var root Amount
	for _, v := range r.Volumes {
		if v.Disk == RootDisk && !v.Shared {
			root += v.Size
		}
	}
	if root > 0 {
		disk := b.column("disk")
		i := slices.IndexFunc(list, func(d demand) bool { return d.column == disk })
		if i < 0 {
			i = len(list)
			list = append(list, demand{column: disk})
		}
		list[i].amount += root
		list[i].need = -1
	}
	lead := slices.IndexFunc(list, func(d demand) bool { return b.columns[d.column].name == "cpus" })
	if lead > 0 {
		list[0], list[lead] = list[lead], list[0]
	}
	return list
}
