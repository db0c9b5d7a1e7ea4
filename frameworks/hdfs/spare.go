package hdfs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mesokit/mesokit/frameworks"
)

func among(nodes []frameworks.Node, n frameworks.Node) bool {
	return slices.ContainsFunc(nodes, func(m frameworks.Node) bool { return m.Name == n.Name })
}

// writing counts the journal nodes that take part in what the active name node
// writes, but for some; need is a majority of all.
func (c Cluster) writing(ctx context.Context, d frameworks.Deployment, without ...frameworks.Node) (count, need int, err error) {
	writer, _, err := active(ctx, d)
	if err != nil {
		return 0, 0, err
	}
	inSync, err := askWriter(ctx, writer.Address(httpPort))
	all := d.Pod(journalPod)
	for _, n := range all {
		if inSync[n.Address(rpcPort)] && !among(without, n) {
			count++
		}
	}
	return count, len(all)/2 + 1, err
}

// journalSpare lets a journal node stop while all others take part in what is
// written; and one give up its journal only while they have all of it.
func (c Cluster) journalSpare(ctx context.Context, d frameworks.Deployment, nodes []frameworks.Node) error {
	if !arrived(d) {
		return nil
	}
	count, need, err := c.writing(ctx, d, nodes...)
	if err != nil {
		return err
	}
	if rest := len(d.Pod(journalPod)) - len(nodes); count < max(rest, need) {
		return fmt.Errorf("%d of the %d other journal nodes take part in what is written: wants all", count, rest)
	}
	if slices.ContainsFunc(nodes, func(n frameworks.Node) bool { return n.Replace }) {
		return c.calls.history(ctx, c.layout(d, nodes[0], c.Journal)).each()
	}
	return nil
}

// nameSpare lets a name node stop while another could take over from it: it
// serves, is out of safe mode, and its controller takes part in the election, as
// its task's health tells. The one that stops hands over by itself.
func (c Cluster) nameSpare(ctx context.Context, d frameworks.Deployment, nodes []frameworks.Node) error {
	if _, _, err := active(ctx, d); err != nil {
		return err
	}
	errs := []error{errors.New("no other name node could take over")}
	for _, n := range d.Pod(namePod) {
		if among(nodes, n) {
			continue
		}
		s, err := askName(ctx, n.Address(httpPort))
		switch {
		case err == nil && !n.Ready:
			err = errors.New("is not ready")
		case err == nil && s.SafeMode != "":
			err = errors.New("is in safe mode")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", n.Name, err))
			continue
		}
		// A change of the active one begins a new segment, for which a majority of
		// the journal nodes has to be there; those that moved count then.
		count, need, err := c.writing(ctx, d)
		if err == nil && count < need {
			err = fmt.Errorf("%d of %d journal nodes that are needed take part in what is written", count, need)
		}
		return err
	}
	return errors.Join(errs...)
}

// dataSpare lets a data node stop while no block depends on it: each has as many
// replicas as it is to have. One whose disk is given up leaves a replica less,
// so that it is one of several.
func (c Cluster) dataSpare(ctx context.Context, d frameworks.Deployment, nodes []frameworks.Node) error {
	writer, s, err := active(ctx, d)
	if err != nil {
		return err
	}
	b, err := c.settledBlocks(ctx, writer, s)
	if err != nil {
		return err
	}
	for _, n := range d.Pod(dataPod) {
		if _, live := s.Live[dataKey(n)]; !live && !among(nodes, n) && n.Arrived > 0 {
			return fmt.Errorf("%s is away too", n.Name)
		}
	}
	if few := b.missing + b.corrupt; few > 0 {
		return fmt.Errorf("%d blocks are missing or corrupt", few)
	}
	if b.short > 0 {
		return fmt.Errorf("%d blocks have too few replicas", b.short)
	}
	gone := slices.IndexFunc(nodes, func(n frameworks.Node) bool { return n.Replace })
	switch former := strangers(d, s); {
	case gone < 0:
		return nil
	case c.replication() < 2:
		return onlyReplica(nodes[gone])
	case b.pending > 0: // what is being copied does not count as short
		return fmt.Errorf("%d blocks are being copied", b.pending)
	case len(former) > 0:
		return fmt.Errorf("%s still counts on %s, which no data node is any more", writer.Name, strings.Join(former, ", "))
	}
	return nil
}

// settledBlocks asks the active name node how well blocks are replicated, once it
// knows: in safe mode, and until it has looked at all of them, it counts none; and
// what a dead data node held is short only once it is taken off. The name node is
// asked again at the end whether it is active, because one that has stopped to be
// counts none either.
func (c Cluster) settledBlocks(ctx context.Context, writer frameworks.Node, s nameState) (blocks, error) {
	if s.SafeMode != "" {
		return blocks{}, fmt.Errorf("%s is in safe mode", writer.Name)
	}
	if err := counted(ctx, writer.Address(httpPort)); err != nil {
		return blocks{}, fmt.Errorf("%s %w", writer.Name, err)
	}
	// Before the blocks: who is dead in s, and no ghost now, is short then.
	switch dead, err := c.calls.ghosts(ctx, writer); {
	case err != nil:
		return blocks{}, err
	case len(dead) > 0:
		return blocks{}, fmt.Errorf("%s still counts on what %s held, which it calls dead", writer.Name, strings.Join(dead, ", "))
	}
	b, err := askBlocks(ctx, writer.Address(httpPort))
	if err != nil {
		return b, err
	}
	after, err := askName(ctx, writer.Address(httpPort))
	if err == nil && !after.Active {
		err = fmt.Errorf("%s is active no longer", writer.Name)
	}
	return b, err
}

// strangers are data nodes that a name node believes to live, and that have been
// given up: until it has noticed, no block that they held has too few replicas.
func strangers(d frameworks.Deployment, s nameState) []string {
	ours := map[string]bool{}
	for _, n := range d.Pod(dataPod) {
		ours[dataKey(n)] = true
	}
	var out []string
	for key, state := range s.Live {
		if !ours[key] && state.State != decommissioned {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}

func onlyReplica(n frameworks.Node) error {
	return fmt.Errorf("%s may hold the only replica of a block: add a data node, and remove this one", n.Name)
}

// dataReplaceable refuses to give up a second disk while another node is away, and
// one that may hold the only replica of a block. With a machine that is gone for good
// nothing more is lost; one that is only lost may come back with its disk.
func (c Cluster) dataReplaceable(d frameworks.Deployment, n frameworks.Node) error {
	switch {
	case n.Gone || n.Arrived == 0:
		return nil
	case !n.Lost.IsZero() && n.Role != copiedRole:
		return errors.New("no name node has said that nothing is missing without it: blocks of which it has the only replica would be lost if its machine came back")
	case !n.Lost.IsZero():
		return nil
	case !n.Ready:
		return errors.New("it is not ready, and nobody can say whether what it holds is elsewhere")
	}
	for _, peer := range d.Pod(dataPod) {
		if peer.Name != n.Name && peer.Arrived > 0 && (!peer.Ready || peer.Replace) {
			return fmt.Errorf("%s is not ready, and what both of them hold could be lost", peer.Name)
		}
	}
	if c.replication() < 2 {
		return onlyReplica(n)
	}
	return nil
}

// replication is how many replicas blocks have unless a client says otherwise.
func (c Cluster) replication() int {
	if n, err := strconv.Atoi(c.Options["dfs.replication"]); err == nil {
		return n
	}
	return 3
}

// dataLeave waits until a data node that is to leave holds no block that is not
// elsewhere too. That it leaves, the routine tells the name nodes.
func (c Cluster) dataLeave(ctx context.Context, d frameworks.Deployment, n frameworks.Node) error {
	if !arrived(d) {
		return nil // there is no namespace
	}
	writer, s, err := active(ctx, d)
	if err != nil {
		return err
	}
	state, live := s.Live[dataKey(n)]
	_, dead := s.Dead[dataKey(n)]
	switch {
	case n.Arrived == 0 && !live && !dead:
		return nil // it has never told the name node of itself
	case state.State == decommissioned:
		return nil
	case !live:
		b, err := c.settledBlocks(ctx, writer, s)
		if err == nil && b.missing+b.short+b.pending > 0 {
			err = fmt.Errorf("%s does not know it, and %d blocks are missing, %d have too few replicas", writer.Name, b.missing, b.short+b.pending)
		}
		return err // it is dead, and nobody needs what it held
	case state.State == inService:
		return fmt.Errorf("%s is to be told that it leaves", writer.Name)
	}
	few, open, err := askLeaving(ctx, writer.Address(httpPort), dataKey(n))
	if err != nil {
		return err
	}
	return fmt.Errorf("%s: %d blocks have too few replicas elsewhere, %d of them in files that are open", state.State, few, open)
}

// dataRemovable keeps as many data nodes as blocks have replicas.
func (c Cluster) dataRemovable(d frameworks.Deployment, nodes []frameworks.Node) error {
	remain := 0
	for _, n := range d.Pod(dataPod) {
		if !among(nodes, n) && n.Goal != frameworks.GoalLeave {
			remain++
		}
	}
	if least := max(c.replication(), 1); remain < least {
		return fmt.Errorf("%d data nodes would remain, and blocks have %d replicas (dfs.replication)", remain, least)
	}
	return nil
}

// staying refuses to let journal and name nodes go: clients and peers know them.
func staying(_ frameworks.Deployment, nodes []frameworks.Node) error {
	return fmt.Errorf("%s nodes stay: replace one that is lost", nodes[0].Pod)
}

// began says whether a journal node has ever been ready, also one that is being
// replaced now and has no place.
func began(d frameworks.Deployment) bool {
	return slices.ContainsFunc(d.Nodes, func(n frameworks.Node) bool { return n.Pod == journalPod && n.Arrived > 0 })
}

// journalAddable refuses further journal nodes.
func journalAddable(d frameworks.Deployment, _ int) error {
	if began(d) {
		return errors.New("journal nodes are as many for the life of the cluster: " + otherMajority)
	}
	return nil
}

const otherMajority = "a majority of others could lack what a majority of these has promised to keep"

func nameAddable(d frameworks.Deployment, more int) error {
	all := more
	for _, n := range d.Nodes {
		if n.Pod == namePod {
			all++
		}
	}
	if all > maxNames {
		return fmt.Errorf("there would be %d name nodes: wants %d at most", all, maxNames)
	}
	return nil
}

// journalReplaceable refuses to empty a second journal: the third alone may lack
// what both have promised to keep.
func journalReplaceable(d frameworks.Deployment, n frameworks.Node) error {
	for _, peer := range d.Nodes {
		if peer.Pod == journalPod && peer.Name != n.Name && (!peer.Ready || peer.Replace) {
			return fmt.Errorf("%s is not ready, and what was written could be on %s alone", peer.Name, n.Name)
		}
	}
	return nil
}

// nameReplaceable wants another copy of the namespace.
func nameReplaceable(d frameworks.Deployment, n frameworks.Node) error {
	for _, peer := range d.Nodes {
		if peer.Pod == namePod && peer.Name != n.Name && peer.Ready && !peer.Replace {
			return nil
		}
	}
	return fmt.Errorf("no other name node is ready, and the namespace could be on %s alone; with --force it is made of the journal, or is lost where that does not begin with the first edit", n.Name)
}

// activeLast takes the standbys first, so that the active one hands over once.
func activeLast(_ frameworks.Deployment, nodes []frameworks.Node) []frameworks.Node {
	rank := func(n frameworks.Node) int {
		if n.Role == activeRole {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(nodes, func(a, b frameworks.Node) int { return rank(a) - rank(b) })
	return nodes
}
