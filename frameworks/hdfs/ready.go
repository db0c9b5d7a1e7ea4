package hdfs

import (
	"context"
	"fmt"
	"slices"

	"github.com/mesokit/mesokit/frameworks"
)

// What a name node is called by its part, and a lost data node of which all blocks
// are elsewhere.
const (
	activeRole  = "active"
	standbyRole = "standby"
	copiedRole  = "copied"
)

// active finds the active name node by asking all.
func active(ctx context.Context, d frameworks.Deployment) (frameworks.Node, nameState, error) {
	for _, n := range d.Pod(namePod) {
		if s, err := askName(ctx, n.Address(httpPort)); err == nil && s.Active {
			return n, s, nil
		}
	}
	return frameworks.Node{}, nameState{}, fmt.Errorf("no name node is active")
}

// arrived says whether a name node has ever been ready: whether there is a
// namespace.
func arrived(d frameworks.Deployment) bool {
	return slices.ContainsFunc(d.Nodes, func(n frameworks.Node) bool { return n.Pod == namePod && n.Arrived > 0 })
}

// journalReady lets a journal node pass that has its journal and, once there is a
// namespace, takes part in what the active name node writes and has all that the
// others have.
func (c Cluster) journalReady(ctx context.Context, d frameworks.Deployment, n frameworks.Node) error {
	if err := askJournal(ctx, n.Address(httpPort), c.Name, identify(d)); err != nil {
		return err
	}
	if n.Arrived == n.Generation || !arrived(d) {
		return nil // whether it takes part, its peers' Spare asks
	}
	writer, _, err := active(ctx, d)
	if err != nil {
		return err
	}
	inSync, err := askWriter(ctx, writer.Address(httpPort))
	if err != nil {
		return err
	}
	if !inSync[n.Address(rpcPort)] {
		return fmt.Errorf("%s does not write to it yet", writer.Name)
	}
	return c.filled(ctx, d, n)
}

// filled says whether a journal node has every edit that another has.
func (c Cluster) filled(ctx context.Context, d frameworks.Deployment, n frameworks.Node) error {
	l := c.layout(d, n, c.Journal)
	h := c.calls.history(ctx, l)
	mine, err := c.calls.journal(ctx, l.self(l.Journals), c.Name)
	if err != nil {
		return err
	}
	return h.lacks(mine)
}

// nameReady lets a name node pass that serves, out of safe mode, in a cluster that
// has an active one.
func (c Cluster) nameReady(ctx context.Context, d frameworks.Deployment, n frameworks.Node) error {
	s, err := askName(ctx, n.Address(httpPort))
	switch {
	case err != nil:
		return err
	case s.Cluster != identify(d).Cluster:
		return fmt.Errorf("serves cluster %s, not %s", s.Cluster, identify(d).Cluster)
	case s.SafeMode != "":
		return fmt.Errorf("in safe mode: %s", s.SafeMode)
	case s.Active:
		return nil
	}
	_, _, err = active(ctx, d)
	return err
}

// joinName lets a further name node be launched when all others know it: their
// controllers could not fence it before.
func joinName(_ context.Context, d frameworks.Deployment, n frameworks.Node) error {
	if n.Arrived > 0 {
		return nil // they know it by its former address, and take over from there
	}
	for _, peer := range d.Pod(namePod) {
		if peer.Name != n.Name && peer.Arrived > 0 && peer.Outdated() {
			return fmt.Errorf("%s does not know of it yet", peer.Name)
		}
	}
	return nil
}

// dataReady lets a data node pass that the active name node counts on.
func (c Cluster) dataReady(ctx context.Context, d frameworks.Deployment, n frameworks.Node) error {
	_, s, err := active(ctx, d)
	if err != nil {
		return err
	}
	if err := registered(ctx, d, n); err != nil {
		return err
	}
	if _, ok := s.Live[dataKey(n)]; !ok {
		return fmt.Errorf("the active name node does not list %s", dataKey(n))
	}
	return nil
}

// registered asks a data node itself whether it reports to the name nodes that
// are ready.
func registered(ctx context.Context, d frameworks.Deployment, n frameworks.Node) error {
	b, err := bean(ctx, n.Address(httpPort), "Hadoop:service=DataNode,name=DataNodeInfo")
	if err != nil {
		return err
	}
	var actors []struct{ NamenodeAddress, ActorState, LastBlockReport string }
	if err := unpack(b, "BPServiceActorInfo", &actors); err != nil {
		return err
	}
	for _, name := range d.Pod(namePod) {
		if !name.Ready {
			continue
		}
		i := slices.IndexFunc(actors, func(a struct{ NamenodeAddress, ActorState, LastBlockReport string }) bool {
			return a.NamenodeAddress == name.Address(rpcPort)
		})
		if i < 0 || actors[i].ActorState != "RUNNING" {
			return fmt.Errorf("does not report to %s yet", name.Name)
		}
	}
	return nil
}

// dataKey is what name nodes list a data node by: the address under which it calls
// itself, and its port.
func dataKey(n frameworks.Node) string { return n.Address(dataPort) }
