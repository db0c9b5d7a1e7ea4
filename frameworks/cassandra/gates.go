package cassandra

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mesokit/mesokit/frameworks"
)

// ring asks the nodes of a ring.
type ring struct {
	reach  func(d frameworks.Deployment, n frameworks.Node) server
	port   uint64        // of the ring
	settle time.Duration // as hintsSettle
	rack   func(frameworks.Node) (string, error)
}

// look asks nodes how they are, all at once. The first error in the order of
// the nodes is who does not answer; there may be views nevertheless.
func (r ring) look(ctx context.Context, d frameworks.Deployment, nodes []frameworks.Node) (views, error) {
	seen, failed := make([]view, len(nodes)), make([]error, len(nodes))
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() { seen[i], failed[i] = r.reach(d, n).look(ctx) })
	}
	all.Wait()
	out := views{}
	var first error
	for i, n := range nodes {
		if failed[i] == nil {
			out[n.Name] = seen[i]
		} else if first == nil {
			first = fmt.Errorf("%s does not answer: %w", n.Name, failed[i])
		}
	}
	return out, first
}

// lookPast is look for members, past those that leave, do not answer, and are out of
// the ring already, as all say who do answer, and those witnesses: they are not started
// again (prepare), and it may not be their turn yet to be told that they have left.
func (r ring) lookPast(ctx context.Context, d frameworks.Deployment, nodes []frameworks.Node, witnesses views) (views, error) {
	all, err := r.look(ctx, d, nodes)
	if err == nil {
		return all, nil
	}
	known := maps.Clone(all)
	maps.Copy(known, witnesses)
	if len(known) == 0 || slices.ContainsFunc(slices.Collect(maps.Values(known)), func(v view) bool { return v.serves() != nil }) {
		return all, err // one that has just started knows of nobody yet
	}
	there := slices.DeleteFunc(slices.Clone(nodes), func(m frameworks.Node) bool {
		_, answers := all[m.Name]
		return !answers && m.Goal == frameworks.GoalLeave && !known.mention(endpointOf(m))
	})
	if len(there) == len(nodes) {
		return all, err
	}
	return r.look(ctx, d, there)
}

// others are nodes without some of them.
func others(nodes []frameworks.Node, without ...frameworks.Node) []frameworks.Node {
	var out []frameworks.Node
	for _, n := range nodes {
		if !named(without, n.Name) {
			out = append(out, n)
		}
	}
	return out
}

func named(nodes []frameworks.Node, name string) bool {
	return slices.ContainsFunc(nodes, func(n frameworks.Node) bool { return n.Name == name })
}

// ready lets a node pass that serves, and that those who serve count on, as it
// counts on them. One that has passed does not fail because a peer does.
func (r ring) ready(ctx context.Context, d frameworks.Deployment, n frameworks.Node) error {
	mine, err := r.reach(d, n).look(ctx)
	if err != nil {
		return err
	}
	if err := mine.serves(); err != nil && !(n.Goal == frameworks.GoalLeave && n.Ready) {
		return err
	}
	if n.Ready {
		return nil
	}
	var serving []frameworks.Node
	for _, m := range others(members(d), n) {
		if m.Ready && m.Goal != frameworks.GoalLeave {
			serving = append(serving, m)
		}
	}
	all, err := r.look(ctx, d, serving)
	if err != nil {
		return err
	}
	if hosts := all.hosts(); !member(n) && len(hosts) > 0 && !mine.has("", hosts) {
		return fmt.Errorf("is in a ring of its own, and not in that of %s: %s", serving[0].Name, replaceIt)
	}
	for _, m := range serving {
		if err := all[m.Name].knows(mine.self()); err != nil {
			return fmt.Errorf("%s %w", m.Name, err)
		}
		if err := mine.knows(all[m.Name].self()); err != nil {
			return err
		}
	}
	// Rarely, and only where ring_delay_ms was set too low, a node joins before it
	// has heard of its peers, and takes over nothing from them.
	if !member(n) && len(serving) > 0 && mine.Received <= 0 {
		return errors.New("joined without any data: have it stream what it owns (nodetool rebuild), or remove it and add another")
	}
	all[n.Name] = mine
	return all.oneSchema()
}

// join lets a node join, or take the place of its former self, when every member
// serves, all agree about the ring, and nobody else is on the way: Cassandra
// would give it ranges that another is about to take.
func (r ring) join(ctx context.Context, d frameworks.Deployment, n frameworks.Node) error {
	there := others(members(d), n)
	if len(there) == 0 {
		return mayFound(d, n)
	}
	all, err := r.lookPast(ctx, d, there, nil)
	if err != nil {
		return err
	}
	rack, err := r.rack(n)
	if err != nil {
		return err
	}
	self, was := endpointOf(n), former(d, n, r.port)
	if err := all.agree(self); err != nil { // except for what an attempt of its own left behind
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, endpoint := range []string{self, was} {
			if all[name].elsewhere(endpoint, rack) && slices.Contains(all[name].Owners, endpoint) {
				return fmt.Errorf("its agent is in rack %s, and %s, whose part it would take, was in %s: that is to be taken out of the ring first",
					rack, endpoint, all[name].Racks[endpoint])
			}
		}
		part := all[name].part(self, was, rack)
		if part != "" && part != self && slices.Contains(all[name].Live, part) {
			return fmt.Errorf("%s still sees %s alive, whose part it is to take", name, part)
		}
		// Who takes the part of a dead node comes before those who leave, who would not
		// get rid of what they hold beside it; all others after.
		if leaver := onItsWay(d, n, frameworks.GoalLeave); part == "" && leaver != "" {
			return fmt.Errorf("%s is to leave first", leaver)
		}
		// Beside a dead node Cassandra lets nobody join, but who takes a part.
		if dead := all.strangers(self); part == "" && len(dead) > 0 {
			return fmt.Errorf("%s still counts on %s, which is gone: it has to be replaced or removed first", name, strings.Join(dead, ", "))
		}
	}
	return nil
}

// onItsWay is another node that runs to join, or is to leave; empty: there is none.
func onItsWay(d frameworks.Deployment, n frameworks.Node, goal frameworks.Goal) string {
	for _, m := range d.Pod(pod) {
		joins := goal == frameworks.GoalRun && !member(m) && m.Alive
		leaves := goal == frameworks.GoalLeave && m.Place != nil && m.Place.Used && !m.Departed
		if m.Name != n.Name && m.Goal == goal && (joins || leaves) {
			return m.Name
		}
	}
	return ""
}

// mayFound lets one of the nodes found the ring, of which there is no member: also
// where all of them were replaced at once. A lost one is not waited for.
func mayFound(d frameworks.Deployment, n frameworks.Node) error {
	for _, m := range d.Pod(pod) {
		if m.Index < n.Index && m.Goal == frameworks.GoalRun && !m.Excused && !m.Gone && m.Lost.IsZero() {
			return fmt.Errorf("%s is to found the ring", m.Name)
		}
	}
	return nil
}

// spare asks whether the ring can do without nodes at once, and, where volumes are
// destroyed, whether the hints on them have been delivered.
func (r ring) spare(ctx context.Context, d frameworks.Deployment, nodes []frameworks.Node) error {
	err := r.remains(ctx, d, nodes)
	var emptied []frameworks.Node
	for _, n := range nodes {
		if n.Replace && !n.Spared && member(n) {
			emptied = append(emptied, n)
		}
	}
	if err != nil || len(emptied) == 0 {
		return err
	}
	if err := r.delivered(ctx, d, others(members(d), nodes...), emptied); err != nil {
		return err
	}
	return r.remains(ctx, d, nodes) // that took a while
}

// remains asks whether the others agree about the ring, and have a quorum of the
// replicas of each part of each keyspace.
func (r ring) remains(ctx context.Context, d frameworks.Deployment, nodes []frameworks.Node) error {
	rest := others(members(d), nodes...)
	if len(rest) == 0 {
		if slices.ContainsFunc(nodes, func(n frameworks.Node) bool { return n.Replace }) {
			return errors.New("nobody else has its data")
		}
		return nil
	}
	all, err := r.look(ctx, d, rest)
	if err != nil {
		return err
	}
	var emptied []string
	for _, n := range nodes {
		if n.Replace {
			emptied = append(emptied, endpointOf(n))
		}
	}
	if err := all.agree(); err != nil {
		return err
	}
	replicas, err := r.reach(d, rest[0]).replicas(ctx)
	if err != nil {
		return fmt.Errorf("ask %s for the replicas: %w", rest[0].Name, err)
	}
	var up []string
	for _, v := range all {
		up = append(up, v.self())
	}
	return unspared(replicas, up, emptied, len(nodes) == 1)
}

// leave has a node hand over its ranges and leave the ring, when nobody else is
// on the way. A node that was lost with its agent is taken out by its peers.
//
// Nobody has to wait for hints: who leaves streams what it has itself to whoever
// comes in its stead, so that each acknowledged row is on as many replicas as before.
func (r ring) leave(ctx context.Context, d frameworks.Deployment, n frameworks.Node) error {
	rest := others(members(d), n)
	self := r.reach(d, n)
	mine, failed := self.look(ctx)
	switch {
	case failed != nil && member(n):
		return r.leaveUnheard(ctx, d, n, rest, failed)
	case mine.Mode == decommissioned:
		return nil
	case mine.Mode == leaving:
		return errors.New("it streams its data to the others")
	case mine.Mode != normal && mine.Mode != failedToLeave:
		if member(n) {
			return fmt.Errorf("it is %s", mine.Mode)
		}
		return nil // it holds nothing yet; what it leaves in the ring, tidying takes out
	}
	witnesses := views{}
	if member(n) {
		witnesses[n.Name] = mine
	}
	all, err := r.lookPast(ctx, d, rest, witnesses)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return nil // it is the last, and somebody has forced it
	}
	if !member(n) && !mine.has("", all.hosts()) {
		return nil // it is in a ring of its own
	}
	// An attempt that failed leaves it leaving for its peers.
	if err := all.agree(mine.self()); err != nil {
		return err
	}
	if joiner := onItsWay(d, n, frameworks.GoalRun); joiner != "" {
		return fmt.Errorf("%s is to join first", joiner)
	}
	all[n.Name] = mine
	if dead := all.strangers(); len(dead) > 0 {
		return fmt.Errorf("the ring still counts on %s, which is gone: it has to be replaced or removed first", strings.Join(dead, ", "))
	}
	// Fewer than Cassandra itself allows can only be meant to be forced.
	if err := self.decommission(ctx, len(all)-1 < leastNodes); err != nil {
		return fmt.Errorf("decommission: %w", err)
	}
	return errors.New("it begins to hand over its data")
}

// leaveUnheard has a node leave that does not answer. It may be out of the ring
// already, and then Cassandra does not start it again. One that is lost with its
// agent is taken out by its peers; any other has to come back.
func (r ring) leaveUnheard(ctx context.Context, d frameworks.Deployment, n frameworks.Node, rest []frameworks.Node, failed error) error {
	all, err := r.look(ctx, d, rest)
	if err != nil {
		return err
	}
	// One that has just started knows of nobody yet.
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if err := all[name].serves(); err != nil {
			return fmt.Errorf("%s %w", name, err)
		}
	}
	self := endpointOf(n)
	if !all.mention(self) {
		return nil
	}
	if !n.Gone && n.Lost.IsZero() {
		return fmt.Errorf("it has to run to hand over what it holds: %w", failed)
	}
	if err := all.agree(self); err != nil {
		return err
	}
	first := rest[0]
	v := all[first.Name]
	if slices.Contains(v.Live, self) {
		return fmt.Errorf("%s sees it alive, although its agent is lost", first.Name)
	}
	if err := r.reach(d, first).remove(ctx, v.HostIDs[self]); err != nil {
		return fmt.Errorf("have %s take it out of the ring: %w", first.Name, err)
	}
	return errors.New("its peers take over its part of the data")
}

// replaceable refuses to empty a second volume: while another node does not
// serve, this one may have the only copy of what was acknowledged. Spare asks what
// only this one has, and which hints; but not for a node that was stopped.
func replaceable(d frameworks.Deployment, n frameworks.Node) error {
	if !member(n) {
		return nil
	}
	if n.Goal == frameworks.GoalStop && !n.Gone && n.Lost.IsZero() {
		return errors.New("it is stopped, and the ring is asked only while it runs what would be lost with it: start it first")
	}
	rest := 0
	for _, peer := range d.Pod(pod) {
		if peer.Name == n.Name {
			continue
		}
		rest++
		if !peer.Ready || peer.Replace {
			return fmt.Errorf("%s is not ready, and what both of them hold could be lost", peer.Name)
		}
	}
	if rest == 0 {
		return errors.New("nobody else has its data")
	}
	return nil
}

// leastNodes is how many Cassandra's own keyspace system_distributed wants, which
// has three replicas in every ring.
const leastNodes = 3

// removable refuses to let nodes leave where Cassandra would.
func removable(d frameworks.Deployment, nodes []frameworks.Node) error {
	remain := 0
	for _, n := range d.Pod(pod) {
		if n.Goal != frameworks.GoalLeave && !named(nodes, n.Name) {
			remain++
		}
	}
	if remain < leastNodes {
		return fmt.Errorf("%d nodes would remain, and Cassandra's own keyspaces have %d replicas", remain, leastNodes)
	}
	return nil
}
