package kafka

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mesokit/mesokit/frameworks"
)

// spare asks whether the cluster can do without brokers at once.
func spare(ctx context.Context, d frameworks.Deployment, nodes []frameworks.Node) error {
	v, err := ask(ctx, d, nodes...)
	if err != nil {
		return err
	}
	var emptied []frameworks.Node
	for _, n := range nodes {
		if n.Replace {
			emptied = append(emptied, n)
		}
	}
	if err := v.keeps(ids(emptied)); err != nil {
		return err
	}
	return v.spares(ids(nodes))
}

// keeps says which partitions would be lost with the data of brokers.
func (v view) keeps(emptied []int32) error {
	var lost []string
	for _, p := range v.Partitions {
		if len(p.isr) > 0 && remaining(p.isr, emptied) == 0 {
			lost = append(lost, p.String())
		}
	}
	if len(lost) > 0 {
		return fmt.Errorf("nobody else has all of %s", some(lost))
	}
	return nil
}

// remaining is how many of the replicas are not on the given brokers.
func remaining(replicas, without []int32) (n int) {
	for _, id := range replicas {
		if !slices.Contains(without, id) {
			n++
		}
	}
	return n
}

// caughtUp is how far a controller may be behind and still count; those that
// live fetch twice a second.
const caughtUp = 5 * time.Second

// spares says what stands against it that these brokers stop at once: a quorum
// of the controllers and, of each partition, as many in-sync replicas as it
// takes to write, must remain. What a single broker's stop breaks however things
// stand, as of a partition with one replica or of a quorum of one, does not
// stand against it; but then all that there is must be in sync.
func (v view) spares(stop []int32) error {
	stops := func(id int32) bool { return slices.Contains(stop, id) }
	live, remain := 0, 0
	for _, voter := range v.Voters {
		if voter.Behind > caughtUp {
			continue
		}
		live++
		if !stops(voter.ID) {
			remain++
		}
	}
	inevitable := len(stop) == 1 && len(v.Voters) == 1
	if live-remain > 0 && remain <= len(v.Voters)/2 && !inevitable {
		return fmt.Errorf("%d of the %d controllers would remain, and the quorum takes %d", remain, len(v.Voters), len(v.Voters)/2+1)
	}
	var short []string
	for _, p := range v.Partitions {
		if !p.spares(stop) {
			short = append(short, p.String())
		}
	}
	if len(short) > 0 {
		return fmt.Errorf("too few in-sync replicas would remain of %s", some(short))
	}
	return nil
}

// spares says whether the partition can still be written to without brokers,
// or could not at all without a single one and misses none.
func (p partition) spares(stop []int32) bool {
	least := max(p.least, 1)
	switch isr := remaining(p.isr, stop); {
	case isr == len(p.isr): // it does without them already
		return true
	case isr >= least:
		return true
	}
	return len(stop) == 1 && remaining(p.replicas, stop) < least && len(p.isr) == len(p.replicas)
}

// some names the first of many.
func some(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// activeLast is the order of a rollout: brokers first, then controllers, and
// last the active one, so that the lead moves once.
func activeLast(d frameworks.Deployment, nodes []frameworks.Node) []frameworks.Node {
	rank := func(n frameworks.Node) int {
		switch {
		case n.Role == activeController:
			return 2
		case controller(d, n):
			return 1
		}
		return 0
	}
	out := slices.Clone(nodes)
	slices.SortStableFunc(out, func(a, b frameworks.Node) int { return rank(a) - rank(b) })
	return out
}
