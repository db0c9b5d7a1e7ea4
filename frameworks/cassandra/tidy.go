package cassandra

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/mesokit/mesokit/frameworks"
)

// The works of the routine.
const (
	removeWork      = "remove"      // a dead node of the past, out of the ring
	assassinateWork = "assassinate" // one that never was in it, out of what nodes tell each other
)

// past is what the routine remembers: every endpoint that a node of this service
// had, until the ring knows it no more.
type past map[string]bool

// tidying is what the framework does as long as the ring lives. A node that was
// given up while it joined, or lost and then removed by force, stays in the ring as
// a dead one, and nobody can join. It is taken out when every member agrees that it
// is dead. What never was a node of this service is left alone.
func (r ring) tidying() frameworks.Routine {
	return frameworks.RoutineOf[past, views]{
		Name:   "tidying",
		Every:  10 * time.Second,
		Look:   r.lookAtAll,
		Decide: r.decide,
		Work:   r.tidy,
	}.Routine()
}

// lookAtAll sees nothing while a member does not serve: then not all can agree.
func (r ring) lookAtAll(ctx context.Context, d frameworks.Deployment, _ past) (views, error) {
	nodes := heard(d)
	if slices.ContainsFunc(nodes, func(n frameworks.Node) bool { return !n.Ready }) {
		return nil, nil
	}
	return r.look(ctx, d, nodes)
}

// heard are the members who have to agree: not one that is lost and leaves, which may
// wait for what is tidied.
func heard(d frameworks.Deployment) []frameworks.Node {
	return slices.DeleteFunc(members(d), func(n frameworks.Node) bool {
		return n.Goal == frameworks.GoalLeave && (n.Gone || !n.Lost.IsZero())
	})
}

// decide decides who is to be taken out.
func (r ring) decide(_ time.Time, d frameworks.Deployment, had past, news frameworks.News[views]) (past, []frameworks.Order) {
	had = maps.Clone(had)
	if had == nil {
		had = past{}
	}
	now, down := map[string]bool{}, map[string]bool{}
	racks := map[string]string{} // from where a part is to be taken
	for _, n := range d.Nodes {
		was := former(d, n, r.port)
		if was != "" {
			now[was] = true
		}
		if n.Place != nil && n.Incarnation > 0 {
			at := endpointOf(n)
			now[at], had[at] = true, true
			down[at] = !member(n) && !n.Alive
			if rack, err := r.rack(n); err == nil && down[at] {
				racks[at], racks[was] = rack, rack
			}
		}
	}
	if news.View == nil || len(*news.View) == 0 {
		return had, nil
	}
	all := *news.View
	for endpoint := range had {
		if !now[endpoint] && !all.mention(endpoint) {
			delete(had, endpoint)
		}
	}
	for _, endpoint := range slices.Sorted(maps.Keys(had)) {
		work := all.ghost(endpoint)
		rack, waits := racks[endpoint]
		switch {
		case work == "":
			continue
		// A node that died as it joined may wait for another to take a part, who
		// waits for nobody to be joining.
		case now[endpoint] && work == assassinateWork && !down[endpoint]:
			continue
		// Nobody takes a part from another rack.
		case now[endpoint] && work == removeWork && !(waits && all.elsewhere(endpoint, rack)):
			continue
		}
		return had, []frameworks.Order{frameworks.Do{Name: work, Input: endpoint}}
	}
	return had, nil
}

// mention says whether any node knows an endpoint in any way.
func (all views) mention(endpoint string) bool {
	for _, v := range all {
		if slices.Contains(v.Owners, endpoint) || slices.Contains(v.Joining, endpoint) || slices.Contains(v.Live, endpoint) {
			return true
		}
	}
	return false
}

// elsewhere says whether any node knows that a dead endpoint was in another rack.
func (all views) elsewhere(endpoint, rack string) bool {
	for _, v := range all {
		if v.elsewhere(endpoint, rack) {
			return true
		}
	}
	return false
}

// ghost says how an endpoint that is nobody's is taken out; empty: it need not
// be, or not all agree that it is dead.
func (all views) ghost(endpoint string) string {
	if all.agree(endpoint) != nil {
		return ""
	}
	owns, joins := 0, 0
	for _, v := range all {
		switch {
		case slices.Contains(v.Live, endpoint):
			return ""
		case slices.Contains(v.Joining, endpoint):
			joins++
		case slices.Contains(v.Owners, endpoint):
			owns++
		}
	}
	switch len(all) {
	case owns:
		return removeWork
	case joins:
		return assassinateWork
	}
	return ""
}

// tidy has a member take an endpoint out of the ring, if things are still so.
func (r ring) tidy(ctx context.Context, d frameworks.Deployment, _ past, do frameworks.Do) (string, error) {
	nodes := heard(d)
	all, err := r.look(ctx, d, nodes)
	if err != nil {
		return "", err
	}
	endpoint := do.Input
	if len(nodes) == 0 || all.ghost(endpoint) != do.Name {
		return "it is not as it was", nil
	}
	first := r.reach(d, nodes[0])
	if do.Name == assassinateWork {
		err = first.assassinate(ctx, endpoint)
	} else {
		err = first.remove(ctx, all[nodes[0].Name].HostIDs[endpoint])
	}
	if err != nil {
		return "", fmt.Errorf("have %s take %s out of the ring: %w", nodes[0].Name, endpoint, err)
	}
	return endpoint + " is taken out of the ring", nil
}
