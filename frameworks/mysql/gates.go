package mysql

import (
	"context"
	"fmt"
	"slices"

	"github.com/mesokit/mesokit/frameworks"
)

// What a member is called by its part in the set.
const (
	primaryRole = "primary"
	replicaRole = "replica"
	// electedRole is that of a primary to be, until it is not alone any more.
	electedRole = "elected"
)

// ready lets a member pass that does its part: a primary that takes writes and
// has a replica to acknowledge them, a replica that receives and applies what
// the primary writes. Both say so themselves.
func (s set) ready(ctx context.Context, d frameworks.Deployment, n frameworks.Node) error {
	session, m, err := s.reach(ctx, d, n)
	if err != nil {
		return err
	}
	session.close()
	if m.Writable {
		if !m.Semisync || m.Replicas < 1 {
			return fmt.Errorf("is the primary, and no replica acknowledges what it writes: every write waits")
		}
		return nil
	}
	primary, ok := primaryOf(d)
	switch {
	case !ok:
		return fmt.Errorf("there is no primary to follow yet")
	case m.Source != primary.Address(port):
		return fmt.Errorf("does not follow %s yet", primary.Name)
	case !m.follows(m.Source):
		return fmt.Errorf("does not receive and apply what %s writes: %s", primary.Name, m.Trouble)
	}
	return nil
}

func primaryOf(d frameworks.Deployment) (frameworks.Node, bool) {
	i := slices.IndexFunc(d.Nodes, func(n frameworks.Node) bool { return n.Role == primaryRole })
	if i < 0 {
		return frameworks.Node{}, false
	}
	return d.Nodes[i], true
}

// spare lets replicas stop as long as one is left that acknowledges. The primary
// stops only as a replica: the failover hands over when it sees that the primary
// is wanted to stop.
func (s set) spare(ctx context.Context, d frameworks.Deployment, nodes []frameworks.Node) error {
	primary, ok := primaryOf(d)
	if !ok {
		return fmt.Errorf("there is no primary")
	}
	out := func(n frameworks.Node) bool {
		return slices.ContainsFunc(nodes, func(o frameworks.Node) bool { return o.Name == n.Name })
	}
	if out(primary) {
		return fmt.Errorf("%s is the primary, and hands over first", primary.Name)
	}
	following := 0
	for _, n := range d.Pod(pod) {
		if n.Name == primary.Name || out(n) {
			continue
		}
		if session, m, err := s.reach(ctx, d, n); err == nil {
			session.close()
			if m.follows(primary.Address(port)) {
				following++
			}
		}
	}
	if following == 0 {
		return fmt.Errorf("no other replica acknowledges what %s writes: writes would wait", primary.Name)
	}
	return nil
}

// primaryLast takes the replicas first, so that the primary hands over once.
func primaryLast(_ frameworks.Deployment, nodes []frameworks.Node) []frameworks.Node {
	slices.SortStableFunc(nodes, func(a, b frameworks.Node) int {
		switch {
		case (a.Role == primaryRole) == (b.Role == primaryRole):
			return 0
		case a.Role == primaryRole:
			return 1
		}
		return -1
	})
	return nodes
}

// replaceable refuses to empty a volume while another member is not ready: this
// one may be the only one that has what was acknowledged.
func replaceable(d frameworks.Deployment, n frameworks.Node) error {
	for _, peer := range d.Nodes {
		if peer.Name != n.Name && (!peer.Ready || peer.Replace) {
			return fmt.Errorf("%s is not ready, and what was acknowledged could be on %s alone", peer.Name, n.Name)
		}
	}
	return nil
}

// removable keeps as many as are needed to go on when one is lost.
func removable(d frameworks.Deployment, nodes []frameworks.Node) error {
	if left := len(d.Pod(pod)) - len(nodes); left < leastMembers {
		return fmt.Errorf("%d would remain: wants %d or more", left, leastMembers)
	}
	return nil
}
