package mysql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mesokit/mesokit/frameworks"
)

// Where members are gone that may have acknowledged what nobody else has, the
// failover promotes nobody, and waits for them as long as it takes. An operator
// who knows that they do not come back may accept the loss: then the best of those
// that are left is promoted, and the others are made anew as copies of it. That
// changes who may be elected, and nothing else: the former primary is fenced as in
// any failover, before anybody is asked for what it has.

// AcceptLossPlan is the name of the plan that promotes a member although others
// may have acknowledged what it does not have.
const AcceptLossPlan = "accept-loss"

// AcceptLoss are its parameters.
type AcceptLoss struct {
	// To is who becomes the primary, such as "member-2"; see Impasse.Best.
	To string `json:"to"`
	// Epoch is that of the impasse which the operator knows: what another one would
	// cost is not accepted.
	Epoch int `json:"epoch"`
}

// acceptWithin is how long the plan waits for the promotion: where nobody else is
// left, a copy of the member is made first, and that may be of very much.
const acceptWithin = initialiseWithin

// Impasse is why nobody is promoted, and what there is to choose from. The
// failover remembers it as long as it lasts.
type Impasse struct {
	Epoch int    `json:"epoch"`
	Why   string `json:"why"`
	// Absent are those that may have acknowledged what nobody else has, each with
	// what is the matter.
	Absent []string `json:"absent,omitempty"`
	// Survivors are the members that answer.
	Survivors []Survivor `json:"survivors,omitempty"`
}

// Survivor is a member that answers.
type Survivor struct {
	Node string `json:"node"`
	// Has are the transactions that it executed or received, Lacks those of other
	// survivors that it did not, as sets of GTIDs.
	Has   string `json:"has"`
	Lacks string `json:"lacks,omitempty"`
	// Unable: it cannot be promoted before Mesos reaches its executor again.
	Unable bool `json:"unable,omitempty"`
}

// ImpasseOf reads it from the status of a set; the error says that there is none.
func ImpasseOf(s frameworks.Status) (Impasse, error) {
	var m memory
	for _, r := range s.Routines {
		if err := json.Unmarshal(r.Memory, &m); r.Name == failoverName && err != nil {
			return Impasse{}, err
		}
	}
	switch {
	case m.Impasse != nil:
		return *m.Impasse, nil
	case m.Epoch == 0:
		return Impasse{}, errors.New("nobody has been the primary yet: the first is elected when all members answer")
	case m.Stage == steady:
		return Impasse{}, fmt.Errorf("%s is the primary, and there is no loss to accept; \"switchover\" makes another the primary", m.Primary)
	}
	return Impasse{}, fmt.Errorf("a failover from %s is under way (%s), and it is not known yet whether anything could be lost", m.Primary, m.Stage)
}

// Best is the survivor whose promotion loses least: one that has all that any of
// them has. Empty: there is none that could be promoted now.
func (i Impasse) Best() string {
	for _, s := range i.Survivors {
		if s.Lacks == "" && !s.Unable {
			return s.Node
		}
	}
	return ""
}

// survivor is the one of that name, if it may be promoted.
func (i Impasse) survivor(node string) (Survivor, error) {
	at := slices.IndexFunc(i.Survivors, func(s Survivor) bool { return s.Node == node })
	best := i.Best()
	switch {
	case at < 0:
		return Survivor{}, fmt.Errorf("%s does not answer", node)
	case i.Survivors[at].Unable:
		return Survivor{}, fmt.Errorf("%s cannot be promoted while Mesos does not reach its executor", node)
	case i.Survivors[at].Lacks != "" && best != "":
		return Survivor{}, fmt.Errorf("%s lacks what %s has: %s; promote %s", node, best, i.Survivors[at].Lacks, best)
	}
	return i.Survivors[at], nil
}

// Cost says for people what is lost where a survivor is promoted; the error is why
// it is not to be.
func (i Impasse) Cost(node string) (string, error) {
	s, err := i.survivor(node)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	fmt.Fprintf(&out, "nobody is promoted: %s\n", i.Why)
	fmt.Fprintf(&out, "%s has %s\n", s.Node, orNothing(s.Has))
	if s.Lacks != "" {
		fmt.Fprintf(&out, "lost: %s, which others that answer have\n", s.Lacks)
	}
	for _, absent := range i.Absent {
		fmt.Fprintf(&out, "lost: whatever was acknowledged that only %s; how much that is nobody can tell\n", absent)
	}
	fmt.Fprintf(&out, "all others become copies of %s; what else is on their volumes is destroyed, also on those that come back later\n", s.Node)
	return out.String(), nil
}

func orNothing(set string) string {
	if set == "" {
		return "no transactions"
	}
	return set
}

// acceptance is a plan that the failover carries out when it sees it under way.
func (s set) acceptance() frameworks.PlanOf[AcceptLoss] {
	return frameworks.PlanOf[AcceptLoss]{
		Name: AcceptLossPlan,
		Layout: func(d frameworks.Deployment, p AcceptLoss) ([]frameworks.Stage, error) {
			n, ok := d.Node(p.To)
			if primary, there := primaryOf(d); there {
				return nil, fmt.Errorf("%s is the primary: there is no loss to accept", primary.Name)
			}
			if !ok || !n.Alive {
				return nil, fmt.Errorf("to: %q: wants a member that runs", p.To)
			}
			if p.Epoch < 1 {
				return nil, fmt.Errorf("epoch: %d: wants that of the impasse, as the memory of routine %s has it", p.Epoch, failoverName)
			}
			return []frameworks.Stage{{Name: "promote", Steps: []frameworks.Step{{
				Name: p.To, Nodes: []string{p.To}, Down: true, Input: strconv.Itoa(p.Epoch), Timeout: acceptWithin, Attempts: 1,
			}}}}, nil
		},
		Work: func(ctx context.Context, d frameworks.Deployment, _ AcceptLoss, step frameworks.Step) (string, error) {
			return s.awaitAnyPrimary(ctx, d, step.Name)
		},
	}
}

// awaitAnyPrimary waits until a member takes writes; it is an error where that is
// another than the one that is named, for who was missed may have come back.
func (s set) awaitAnyPrimary(ctx context.Context, d frameworks.Deployment, node string) (string, error) {
	again := time.NewTicker(500 * time.Millisecond)
	defer again.Stop()
	for {
		v, err := s.look(ctx, d, memory{})
		for _, m := range v.Members {
			switch {
			case m.Err != "" || !m.Writable:
			case m.Node == node:
				return node + " is the primary", nil
			default:
				return "", fmt.Errorf("%s is the primary: it came back, or was the better choice", m.Node)
			}
		}
		select {
		case <-ctx.Done():
			return "", errors.Join(fmt.Errorf("%s did not become the primary in time", node), err)
		case <-again.C:
		}
	}
}

// impasse says what there is to choose from, where an election has failed.
func (c *decision) impasse(heard view, why error) *Impasse {
	out := &Impasse{Epoch: c.Epoch, Why: why.Error()}
	may := maps.Clone(c.Members) // that acknowledged what nobody else has
	if may == nil {
		may = map[string]int{}
	}
	if c.Primary != "" {
		may[c.Primary] = c.Generation
	}
	if c.Former != "" && !c.Settled {
		may[c.Former] = c.FormerGeneration
	}
	sets := map[string]gtids{}
	for _, m := range heard.Members {
		if has, err := m.has(c.flavor); m.Err == "" && err == nil {
			sets[m.Node] = has
			if !m.Unsure && may[m.Node] == m.Generation {
				delete(may, m.Node)
			}
		}
	}
	for _, m := range heard.Members {
		has, ok := sets[m.Node]
		if !ok {
			continue
		}
		lacks := gtids{}
		for _, name := range sortedKeys(sets) {
			lacks = lacks.union(sets[name].minus(has))
		}
		out.Survivors = append(out.Survivors, Survivor{Node: m.Node, Has: has.String(), Lacks: lacks.String(), Unable: !c.able(m)})
	}
	for _, name := range sortedKeys(may) {
		text := name
		if name == c.Primary {
			text += ", the last primary,"
		}
		out.Absent = append(out.Absent, fmt.Sprintf("%s had (%s)", text, c.absence(name, heard)))
	}
	return out
}

// concede is whom an operator wants promoted in this impasse; empty: nobody, or it
// cannot be, and Why says so.
func (c *decision) concede() string {
	for _, step := range c.under(AcceptLossPlan) {
		if step.Input != strconv.Itoa(c.Epoch) {
			continue
		}
		if _, err := c.Impasse.survivor(step.Name); err != nil {
			c.Why = fmt.Sprintf("%s is not promoted: %v", step.Name, err)
			continue
		}
		return step.Name
	}
	return ""
}

// under are the steps of a plan that are under way.
func (c *decision) under(plan string) []frameworks.Step {
	if c.set.under != nil {
		return c.set.under(plan)
	}
	return c.d.Under(plan)
}

// forsake goes on without those that were missed: they are waited for no more, and
// are made anew, whatever they have.
func (c *decision) forsake(i Impasse, heard view) {
	members, forsaken := map[string]int{}, map[string]int{}
	for _, n := range c.d.Pod(pod) {
		_, answers := heard.of(n.Name)
		switch {
		case n.Name == c.Primary:
		case answers:
			members[n.Name] = n.Generation
		default:
			forsaken[n.Name] = n.Generation
		}
	}
	c.Members, c.Forsaken, c.Former, c.FormerGeneration = members, forsaken, "", 0
	c.Alone = len(members) == 0
	text := "an operator has accepted a loss: " + i.Why
	c.order(frameworks.Note{Node: c.Primary, Text: text})
}

// accompany has the first of those that were given up become a copy of the member
// that is elected, before that takes writes.
func (c *decision) accompany(v *view) {
	c.Why = c.Primary + " is elected, and takes writes when another member is there: until then none could be acknowledged"
	n, ok := c.d.Node(c.Primary)
	if !ok || v == nil {
		return
	}
	c.name(n, electedRole)
	for _, other := range c.d.Pod(pod) {
		if other.Name == c.Primary {
			continue
		}
		if _, answers := v.of(other.Name); answers {
			c.Alone, c.Why = false, ""
			return
		}
		if c.Forsaken[other.Name] == other.Generation {
			c.rebuild(other, lossAccepted)
		}
	}
}

// lossAccepted is why a member is made anew that was given up.
const lossAccepted = "an operator has accepted the loss of what it has"
