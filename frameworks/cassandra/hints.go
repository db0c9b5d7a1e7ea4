package cassandra

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mesokit/mesokit/frameworks"
)

// hints are what a node acknowledged in the stead of peers that were away, and has
// yet to deliver to them.
type hints struct {
	For     []string // host ids of the peers for whom there are files
	Busy    bool     // some are being delivered, or made
	Written int      // since the node started; they are in a file only after a while
}

// hintsSettle is how long hints may be in no file: hints_flush_period in a buffer
// (10 seconds), and 10 more until the file is closed.
const hintsSettle = 25 * time.Second

// delivered says which hints stand against it that volumes are destroyed. Those on
// them would be lost. And while a peer lacks what others acknowledged, whoever is
// replaced may take over its data from that peer, and a quorum lack it.
func (r ring) delivered(ctx context.Context, d frameworks.Deployment, rest, emptied []frameworks.Node) error {
	nodes := slices.Concat(rest, emptied)
	before, err := r.hints(ctx, d, nodes, rest)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(before, func(h hints) bool { return h.Written > 0 }) {
		return nil
	}
	select {
	case <-time.After(r.settle):
	case <-ctx.Done():
		return ctx.Err()
	}
	now, err := r.hints(ctx, d, nodes, rest)
	if err != nil {
		return err
	}
	for i, n := range nodes {
		if now[i].Written != before[i].Written {
			return fmt.Errorf("%s has just written hints: what a peer of it missed", n.Name)
		}
	}
	return nil
}

// hints asks nodes, one after the other, for their hints. An error says who has
// some for a node that stays.
func (r ring) hints(ctx context.Context, d frameworks.Deployment, nodes, stay []frameworks.Node) ([]hints, error) {
	all, err := r.look(ctx, d, stay)
	if err != nil {
		return nil, err
	}
	var out []hints
	for _, n := range nodes {
		h, err := r.reach(d, n).hints(ctx)
		if err != nil {
			return nil, fmt.Errorf("ask %s for its hints: %w", n.Name, err)
		}
		for _, m := range stay {
			if slices.Contains(h.For, all[m.Name].HostID) {
				return nil, fmt.Errorf("%s has hints for %s, which it has to deliver first", n.Name, m.Name)
			}
		}
		if h.Busy {
			return nil, fmt.Errorf("%s delivers hints", n.Name)
		}
		out = append(out, h)
	}
	return out, nil
}

const (
	hintsService  = "org.apache.cassandra.hints:type=HintsService"
	storageMetric = "org.apache.cassandra.metrics:type=Storage,name="
	// A file that is being delivered is not among the pending.
	dispatchMetric = "org.apache.cassandra.metrics:type=ThreadPools,path=internal,scope=HintsDispatcher,name="
)

func (j *jolokia) hints(ctx context.Context) (hints, error) {
	read := func(bean, attribute string) request {
		return request{Type: "read", MBean: bean, Attribute: attribute}
	}
	values, err := j.ask(ctx,
		// What is made first is asked for first: else it could pass from one to the
		// next unseen.
		read(storageMetric+"TotalHintsInProgress", "Count"),
		read(storageMetric+"TotalHints", "Count"),
		read(hintsService, "PendingHints"),
		read(dispatchMetric+"ActiveTasks", "Value"),
		read(dispatchMetric+"PendingTasks", "Value"),
		read(hintsService, "PendingHints")) // what could not be delivered is pending again
	if err != nil {
		return hints{}, err
	}
	var making, active, waiting int
	var out hints
	err = errors.Join(json.Unmarshal(values[0], &making), json.Unmarshal(values[1], &out.Written),
		json.Unmarshal(values[3], &active), json.Unmarshal(values[4], &waiting))
	for _, value := range []json.RawMessage{values[2], values[5]} {
		var pending []struct {
			HostID string `json:"host_id"`
		}
		err = errors.Join(err, json.Unmarshal(value, &pending))
		for _, p := range pending {
			out.For = append(out.For, p.HostID)
		}
	}
	if err != nil {
		return hints{}, fmt.Errorf("hints of %s: %w", j.address, err)
	}
	out.Busy = making+active+waiting > 0
	return out, nil
}
