package mysql

import (
	"context"
	"fmt"
	"time"

	"github.com/mesokit/mesokit/frameworks"
)

// SwitchoverPlan is the name of the plan that makes a replica the primary, while
// all is well.
const SwitchoverPlan = "switchover"

// Switchover are its parameters.
type Switchover struct {
	// To is who becomes the primary, such as "member-2"; empty: any replica.
	To string `json:"to"`
}

// switchover is a plan that the failover carries out when it sees it under way:
// nobody else decides who is the primary. Its step only waits.
func (s set) switchover() frameworks.PlanOf[Switchover] {
	return frameworks.PlanOf[Switchover]{
		Name: SwitchoverPlan,
		Layout: func(d frameworks.Deployment, p Switchover) ([]frameworks.Stage, error) {
			to, err := successor(d, p.To)
			if err != nil {
				return nil, err
			}
			return []frameworks.Stage{{Name: "hand over", Steps: []frameworks.Step{{
				Name: to, Nodes: []string{to}, Timeout: switchoverWithin, Attempts: 1,
			}}}}, nil
		},
		Work: func(ctx context.Context, d frameworks.Deployment, _ Switchover, step frameworks.Step) (string, error) {
			return s.awaitPrimary(ctx, d, step.Name)
		},
	}
}

// switchoverWithin is how long a hand-over is tried. It takes about a second.
const switchoverWithin = time.Minute

// successor is the replica that is to be the primary.
func successor(d frameworks.Deployment, to string) (string, error) {
	if _, ok := primaryOf(d); !ok {
		return "", fmt.Errorf("there is no primary that could hand over")
	}
	for _, n := range d.Pod(pod) {
		if to != "" && n.Name != to {
			continue
		}
		switch {
		case n.Role == replicaRole && n.Ready && !unwanted(d, n):
			return n.Name, nil
		case to != "" && n.Role == primaryRole:
			return "", fmt.Errorf("%s is the primary", to)
		case to != "":
			return "", fmt.Errorf("%s is no replica in good order", to)
		}
	}
	if to != "" {
		return "", fmt.Errorf("node %q: %w", to, frameworks.ErrUnknown)
	}
	return "", fmt.Errorf("there is no replica in good order")
}

func (s set) awaitPrimary(ctx context.Context, d frameworks.Deployment, node string) (string, error) {
	n, ok := d.Node(node)
	if !ok {
		return "", fmt.Errorf("node %q: %w", node, frameworks.ErrUnknown)
	}
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		session, m, err := s.reach(ctx, d, n)
		if err == nil {
			session.close()
			if m.Writable {
				return node + " is the primary", nil
			}
			err = fmt.Errorf("%s: %s", node, m.Trouble)
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("it did not become the primary in time: %w", err)
		case <-again.C:
		}
	}
}

// heir is who is to take over from the primary as things stand: whom a
// switchover names, or any where the primary is wanted to stop. False: nobody.
func (c *decision) heir(primary frameworks.Node) (node string, wanted bool) {
	for _, step := range c.under(SwitchoverPlan) {
		return step.Name, step.Name != primary.Name
	}
	return "", unwanted(c.d, primary)
}
