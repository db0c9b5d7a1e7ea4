package offers

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/mesokit/mesokit/constraints"
)

// Report says for every request that found no place why not. It is data;
// String makes the text when somebody reads it.
type Report struct {
	Refusals []Refusal `json:"refusals,omitempty"` // in the order of the requests
}

// Refusal is why one node found no place. Every agent looked at is counted
// under the one reason that refused it, rules before resources; so the counts
// of the reasons add up to Agents.
type Refusal struct {
	Node    string   `json:"node"`
	Times   int      `json:"times"`             // how many reports in a row said so: see Report.Add
	Agents  int      `json:"agents"`            // looked at
	Reasons []Reason `json:"reasons,omitempty"` // the most frequent first
	Nearest []Miss   `json:"nearest,omitempty"` // the agents that came nearest, at most three
	Changes []Change `json:"changes,omitempty"` // each of them alone would make it fit
	Only    string   `json:"only,omitempty"`    // the only agent that would do, which is not offered
	Group   string   `json:"group,omitempty"`   // the group that waits for a place for all
	Invalid string   `json:"invalid,omitempty"` // what is wrong with the request itself
}

// Reason is a rule or a lack, and how many agents it refused.
type Reason struct {
	Agents    int                    `json:"agents"`
	Violation *constraints.Violation `json:"violation,omitempty"` // of the first such agent
	Lack      *Lack                  `json:"lack,omitempty"`      // of the agent that has most
}

// Miss is an agent and all that stands against it.
type Miss struct {
	Agent     string                 `json:"agent"`
	Hostname  string                 `json:"hostname"`
	Violation *constraints.Violation `json:"violation,omitempty"`
	Lacks     []Lack                 `json:"lacks,omitempty"`
}

// Lack is something that an agent has too little of.
type Lack struct {
	Resource string `json:"resource"`           // "mem", "ports", "disk", "role"
	Of       string `json:"of,omitempty"`       // the port, the volume, the numbers or the role that is asked for
	Asked    Amount `json:"asked,omitempty"`    // of a scalar
	Best     Amount `json:"best,omitempty"`     // the most that any of the agents has
	Hostname string `json:"hostname,omitempty"` // the first that has it
}

// Change is one thing that would make the request fit: a smaller demand, or
// one more agent that the rule lets pass.
type Change struct {
	Lack      *Lack                  `json:"lack,omitempty"`
	Violation *constraints.Violation `json:"violation,omitempty"`
}

// Short is how much is missing where most is.
func (l Lack) Short() Amount { return l.Asked - l.Best }

// Add is both reports together. Of a node that is in both, the later refusal
// stands, and the times add up.
func (r Report) Add(later Report) Report {
	sum := slices.Clone(r.Refusals)
	for _, refusal := range later.Refusals {
		i := slices.IndexFunc(sum, func(old Refusal) bool { return old.Node == refusal.Node })
		if i < 0 {
			sum = append(sum, refusal)
			continue
		}
		refusal.Times += sum[i].Times
		sum[i] = refusal
	}
	return Report{Refusals: sum}
}

// Totals are how many times agents were refused, by reason and ordered by it:
// "hostname:UNIQUE", "mem", "ports", "role". They are for counters.
func (r Report) Totals() iter.Seq2[string, int] {
	totals := map[string]int{}
	for _, refusal := range r.Refusals {
		for _, reason := range refusal.Reasons {
			totals[reason.key()] += reason.Agents
		}
	}
	return func(yield func(string, int) bool) {
		for _, key := range slices.Sorted(maps.Keys(totals)) {
			if !yield(key, totals[key]) {
				return
			}
		}
	}
}

func (r Reason) key() string {
	if r.Violation != nil {
		return r.Violation.Constraint
	}
	return r.Lack.Resource
}

// String has one line for every node, without an end of line at the last.
func (r Report) String() string {
	lines := make([]string, len(r.Refusals))
	for i, refusal := range r.Refusals {
		lines[i] = refusal.String()
	}
	return strings.Join(lines, "\n")
}

// String is such as "broker-2: 4 agents looked at: 3 × hostname:UNIQUE: …; 1 ×
// mem: wants 2048, best 1536 on host4 (short by 512). It would fit with mem
// 1536".
func (r Refusal) String() string {
	switch {
	case r.Invalid != "":
		return r.Node + ": " + r.Invalid
	case r.Only != "":
		return fmt.Sprintf("%s: agent %s, the only one for it, is not offered", r.Node, r.Only)
	case r.Agents == 0 && r.Group == "":
		return r.Node + ": no agent is offered"
	}
	var parts []string
	for _, reason := range r.Reasons {
		parts = append(parts, reason.String())
	}
	text := r.Node + ": "
	if len(parts) > 0 {
		text += fmt.Sprintf("%d agents looked at: %s", r.Agents, strings.Join(parts, "; "))
		if r.Agents == 1 {
			text = strings.Replace(text, "1 agents", "1 agent", 1)
		}
	} else {
		text += fmt.Sprintf("waits until all of %s fit", r.Group)
	}
	var changes []string
	for _, change := range r.Changes {
		changes = append(changes, change.String())
	}
	if len(changes) > 0 {
		text += ". It would fit with " + strings.Join(changes, ", or with ")
	}
	return text
}

// String is such as "1 × mem: wants 2048, best 1536 on host4 (short by 512)".
func (r Reason) String() string {
	if r.Violation != nil {
		return fmt.Sprintf("%d × %s", r.Agents, r.Violation)
	}
	return fmt.Sprintf("%d × %s", r.Agents, r.Lack)
}

// String is such as "host4: mem: wants 2048, best 1536 on host4 (short by 512)".
func (m Miss) String() string {
	var parts []string
	if m.Violation != nil {
		parts = append(parts, m.Violation.String())
	}
	for _, lack := range m.Lacks {
		parts = append(parts, lack.String())
	}
	return m.Hostname + ": " + strings.Join(parts, "; ")
}

// String is such as "mem: wants 2048, best 1536 on host4 (short by 512)".
func (l Lack) String() string {
	switch {
	case l.Resource == "role":
		return fmt.Sprintf("role: not offered to %q", l.Of)
	case l.Asked == 0:
		return fmt.Sprintf("%s: %s not free", l.Resource, l.Of)
	case l.Best == 0:
		return fmt.Sprintf("%s: wants %v, none is offered", l.name(), l.Asked)
	}
	return fmt.Sprintf("%s: wants %v, best %v on %s (short by %v)", l.name(), l.Asked, l.Best, l.Hostname, l.Short())
}

func (l Lack) name() string {
	if l.Of != "" {
		return l.Resource + " for " + l.Of
	}
	return l.Resource
}

// String is such as "mem 1536", or "one more agent that hostname:UNIQUE takes:
// one that nothing is placed on yet would do".
func (c Change) String() string {
	switch {
	case c.Violation != nil:
		return fmt.Sprintf("one more agent that %s takes (%s: %s)", c.Violation.Constraint, c.Violation.Field, c.Violation.Remedy)
	case c.Lack.Asked == 0:
		return fmt.Sprintf("other %s than %s", c.Lack.Resource, c.Lack.Of)
	default:
		return fmt.Sprintf("%s %v", c.Lack.name(), c.Lack.Best)
	}
}
