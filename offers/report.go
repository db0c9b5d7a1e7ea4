package offers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mesokit/mesokit/constraints"
)

// Report says for every request that found no place why not. It is data;
// String makes the text when somebody reads it.
type Report struct {
	Refusals []Refusal `json:"refusals,omitempty"`
}

// Refusal is why one node found no place. Every agent looked at is counted
// under the one reason that refused it, rules before resources; so the counts
// of the reasons add up to Agents.
type Refusal struct {
	Node    string   `json:"node"`
	Agents  int      `json:"agents"`            // looked at
	Reasons []Reason `json:"reasons,omitempty"` // the most frequent first
	Only    string   `json:"only,omitempty"`    // the only agent that would do, which is not offered
	Invalid string   `json:"invalid,omitempty"` // what is wrong with the request itself
}

// Reason is a rule or a lack, and how many agents it refused.
type Reason struct {
	Agents    int                    `json:"agents"`
	Violation *constraints.Violation `json:"violation,omitempty"` // of the first such agent
	Lack      *Lack                  `json:"lack,omitempty"`      // of the agent that came nearest
}

// Lack is something that an agent has too little of.
type Lack struct {
	Resource string `json:"resource"`        // "mem", "ports", "disk", "role"
	Of       string `json:"of,omitempty"`    // the port, the volume, the numbers or the role that is asked for
	Asked    Amount `json:"asked,omitempty"` // of a scalar
	Best     Amount `json:"best,omitempty"`  // the most that any of the agents has
	Agent    string `json:"agent,omitempty"` // which has it
}

// Short is how much is missing where most is.
func (l Lack) Short() Amount { return l.Asked - l.Best }

// describe makes data for people of what a try found short.
func (f *fit) describe(a *agent, l lack) Lack {
	switch r := f.request; l.of {
	case needLack:
		q := r.Needs.items[l.index]
		lack := Lack{Resource: q.name, Asked: q.scalar, Best: l.best, Agent: a.where.Hostname}
		if q.scalar == 0 {
			lack.Of = q.value()
		}
		return lack
	case portLack:
		return Lack{Resource: "ports", Of: r.Ports[l.index].String()}
	case volumeLack:
		v := r.Volumes[l.index]
		return Lack{Resource: "disk", Of: "volume " + v.ID + " on " + v.Disk.String() + " disk",
			Asked: v.Size, Best: l.best, Agent: a.where.Hostname}
	default:
		return Lack{Resource: "role", Of: f.role}
	}
}

func (r *Refusal) addViolation(v constraints.Violation) {
	for i := range r.Reasons {
		if known := r.Reasons[i].Violation; known != nil && known.Constraint == v.Constraint {
			r.Reasons[i].Agents++
			return
		}
	}
	r.Reasons = append(r.Reasons, Reason{Agents: 1, Violation: &v})
}

func (r *Refusal) addLack(l Lack) {
	for i := range r.Reasons {
		known := r.Reasons[i].Lack
		if known == nil || known.Resource != l.Resource || known.Of != l.Of {
			continue
		}
		r.Reasons[i].Agents++
		if l.Best > known.Best {
			*known = l
		}
		return
	}
	r.Reasons = append(r.Reasons, Reason{Agents: 1, Lack: &l})
}

// Add is both reports together: the later refusal of a node replaces the
// earlier one.
func (r Report) Add(later Report) Report {
	sum := slices.DeleteFunc(slices.Clone(r.Refusals), func(old Refusal) bool {
		return slices.ContainsFunc(later.Refusals, func(f Refusal) bool { return f.Node == old.Node })
	})
	return Report{Refusals: append(sum, later.Refusals...)}
}

// String has one line for every node, without an end of line at the last.
func (r Report) String() string {
	lines := make([]string, len(r.Refusals))
	for i, refusal := range r.Refusals {
		lines[i] = refusal.String()
	}
	return strings.Join(lines, "\n")
}

// String is such as "broker-2: 4 agents looked at: 3 × hostname:UNIQUE …; 1 ×
// mem: wants 2048, best 1536 (short by 512)".
func (r Refusal) String() string {
	switch {
	case r.Invalid != "":
		return r.Node + ": " + r.Invalid
	case r.Only != "":
		return fmt.Sprintf("%s: agent %s, the only one for it, is not offered", r.Node, r.Only)
	case r.Agents == 0:
		return r.Node + ": no agent is offered"
	}
	reasons := make([]string, len(r.Reasons))
	for i, reason := range r.Reasons {
		reasons[i] = reason.String()
	}
	agents := "agents"
	if r.Agents == 1 {
		agents = "agent"
	}
	return fmt.Sprintf("%s: %d %s looked at: %s", r.Node, r.Agents, agents, strings.Join(reasons, "; "))
}

// String is such as "1 × mem: wants 2048, best 1536 (short by 512)".
func (r Reason) String() string {
	if r.Violation != nil {
		return fmt.Sprintf("%d × %s", r.Agents, r.Violation)
	}
	return fmt.Sprintf("%d × %s", r.Agents, r.Lack)
}

// String is such as "mem: wants 2048, best 1536 (short by 512)".
func (l Lack) String() string {
	switch {
	case l.Resource == "role":
		return fmt.Sprintf("role: not offered to %q", l.Of)
	case l.Asked == 0:
		return fmt.Sprintf("%s: %s is not free", l.Resource, l.Of)
	}
	what := l.Resource
	if l.Of != "" {
		what += " (" + l.Of + ")"
	}
	return fmt.Sprintf("%s: wants %v, best %v (short by %v)", what, l.Asked, l.Best, l.Short())
}
