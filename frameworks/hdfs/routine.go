package hdfs

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mesokit/mesokit/frameworks"
)

// exclude is the work that tells name nodes which data nodes leave.
const exclude = "exclude"

// kept is what the routine remembers: nothing that it could not see again.
type kept struct {
	// Quiet: nobody leaves, and the list of those who do was seen empty.
	Quiet bool `json:"quiet,omitempty"`
	// Why there is no active name node, or what else keeps the cluster from
	// serving.
	Why string `json:"why,omitempty"`
	// Trust is said as long as Cluster.Trust is set.
	Trust string `json:"trust,omitempty"`
}

// view is what a look sees.
type view struct {
	Roles map[string]string `json:"roles"` // of the name nodes that answer
	// Addresses are where clients are sent for a data node, by node.
	Addresses map[string]string `json:"addresses,omitempty"`
	Exclude   string            `json:"exclude"` // as ZooKeeper has it
	Missing   int64             `json:"missing,omitempty"`
	// Copied are the lost data nodes that the name node has given up, and without
	// which it misses no block.
	Copied []string `json:"copied,omitempty"`
}

// keeping is what the framework does as long as the cluster lives: it names the
// active name node, so that a rollout takes it last, and tells the name nodes,
// through ZooKeeper and their executors, which data nodes leave.
func (c Cluster) keeping() frameworks.RoutineOf[kept, view] {
	return frameworks.RoutineOf[kept, view]{
		Name:   "keeping",
		Every:  2 * time.Second,
		Look:   c.look,
		Decide: c.keep,
		Work: func(ctx context.Context, _ frameworks.Deployment, _ kept, do frameworks.Do) (string, error) {
			return "", c.calls.writeExclude(ctx, c.ZooKeeper, c.Name, do.Input)
		},
	}
}

func (c Cluster) look(ctx context.Context, d frameworks.Deployment, memory kept) (view, error) {
	v := view{Roles: map[string]string{}, Addresses: map[string]string{}}
	if !arrived(d) {
		return v, nil
	}
	for _, n := range d.Pod(namePod) {
		s, err := askName(ctx, n.Address(httpPort))
		if err != nil {
			continue
		}
		v.Roles[n.Name] = standbyRole
		if !s.Active {
			continue
		}
		v.Roles[n.Name] = activeRole
		for _, data := range d.Pod(dataPod) {
			state, ok := s.Live[dataKey(data)]
			if !ok {
				state = s.Dead[dataKey(data)]
			}
			v.Addresses[data.Name] = state.Address
		}
		b, err := askBlocks(ctx, n.Address(httpPort))
		if err != nil {
			return v, err
		}
		v.Missing, v.Copied = b.missing, c.copied(ctx, d, n, s)
	}
	if memory.Quiet && !slices.ContainsFunc(d.Nodes, leaves) {
		return v, nil
	}
	var err error
	v.Exclude, err = c.calls.readExclude(ctx, c.ZooKeeper, c.Name)
	return v, err
}

// copied are the lost data nodes without which the active name node misses no block.
func (c Cluster) copied(ctx context.Context, d frameworks.Deployment, writer frameworks.Node, s nameState) (names []string) {
	for _, n := range d.Pod(dataPod) {
		if _, live := s.Live[dataKey(n)]; !n.Lost.IsZero() && !live {
			names = append(names, n.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	if b, err := c.settledBlocks(ctx, writer, s); err != nil || b.missing+b.corrupt > 0 {
		return nil // it does not know, or somebody holds the last replica of a block
	}
	return names
}

func (c Cluster) keep(_ time.Time, d frameworks.Deployment, memory kept, news frameworks.News[view]) (kept, []frameworks.Order) {
	v := news.View
	memory.Trust = c.trusting(d)
	if v == nil || !arrived(d) {
		return memory, nil
	}
	var orders []frameworks.Order
	actives := 0
	for _, n := range d.Pod(namePod) {
		role := v.Roles[n.Name]
		if role == activeRole {
			actives++
		}
		if n.Role != role {
			orders = append(orders, frameworks.Name{Node: n.Name, Role: role})
		}
	}
	for _, n := range d.Pod(dataPod) {
		role := ""
		if slices.Contains(v.Copied, n.Name) {
			role = copiedRole
		}
		if n.Role != role {
			orders = append(orders, frameworks.Name{Node: n.Name, Role: role})
		}
	}
	memory.Why = ""
	switch {
	case actives == 0:
		memory.Why = "no name node is active: " + strings.Join(unready(d), ", ")
		return memory, orders
	case v.Missing > 0:
		memory.Why = fmt.Sprintf("%d blocks are missing", v.Missing)
	}
	var leaving []string
	for _, n := range d.Nodes {
		if leaves(n) && v.Addresses[n.Name] != "" {
			leaving = append(leaving, v.Addresses[n.Name])
		}
	}
	list := lines(leaving)
	if list != v.Exclude {
		orders = append(orders, frameworks.Do{Name: exclude, Input: list})
	}
	memory.Quiet = list == "" && v.Exclude == "" && !slices.ContainsFunc(d.Nodes, leaves)
	return memory, orders
}

// trusting says that an operator's word for a journal node still holds, and whether
// it is wanted: it would be taken when another journal is lost, too.
func (c Cluster) trusting(d frameworks.Deployment) string {
	if c.Trust == "" {
		return ""
	}
	for _, n := range d.Pod(journalPod) {
		if !n.Ready {
			return fmt.Sprintf("journals are filled from %s alone (Cluster.Trust)", c.Trust)
		}
	}
	return fmt.Sprintf("%s is still trusted alone, and all journal nodes are ready: take it out of Cluster.Trust (--trust)", c.Trust)
}

// leaves says whether a node is a data node that has to hand over its blocks.
func leaves(n frameworks.Node) bool {
	return n.Pod == dataPod && n.Goal == frameworks.GoalLeave
}

// unready names the journal and name nodes that are not ready.
func unready(d frameworks.Deployment) []string {
	var out []string
	for _, n := range d.Nodes {
		if n.Pod != dataPod && !n.Ready {
			out = append(out, strings.TrimSuffix(n.Name+" is not ready: "+n.Waits, ": "))
		}
	}
	slices.Sort(out)
	return out
}
