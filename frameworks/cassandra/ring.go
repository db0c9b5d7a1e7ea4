package cassandra

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The modes of a node, as it calls them.
const (
	normal         = "NORMAL"
	failedToJoin   = "JOINING_FAILED"
	leaving        = "LEAVING"
	decommissioned = "DECOMMISSIONED"
	failedToLeave  = "DECOMMISSION_FAILED"
	drained        = "DRAINED"
)

// tracesKeyspace is one that nobody misses.
const tracesKeyspace = "system_traces"

// views are what nodes see, by their names.
type views map[string]view

// serves says why a node does not do its part.
func (v view) serves() error {
	switch {
	case v.Mode != normal:
		return fmt.Errorf("is %s, not %s", v.Mode, normal)
	case !v.Clients:
		return errors.New("takes no clients")
	case v.self() == "":
		return errors.New("knows no address of its own")
	}
	return nil
}

// knows says why a node does not count on a peer.
func (v view) knows(peer string) error {
	switch {
	case !slices.Contains(v.Live, peer):
		return fmt.Errorf("does not see %s alive", peer)
	case slices.Contains(v.Joining, peer):
		return fmt.Errorf("sees %s joining", peer)
	case slices.Contains(v.Leaving, peer):
		return fmt.Errorf("sees %s leaving", peer)
	case slices.Contains(v.Moving, peer):
		return fmt.Errorf("sees %s moving", peer)
	case !slices.Contains(v.Owners, peer):
		return fmt.Errorf("knows no tokens of %s", peer)
	}
	return nil
}

// part is whose part in the ring a node takes that is no member: of whoever was
// at its own address, of its former self, or, empty, nobody's. It does not take its
// former self's if that was in another rack.
func (v view) part(self, former, rack string) string {
	for _, endpoint := range []string{self, former} {
		if slices.Contains(v.Owners, endpoint) && !slices.Contains(v.Joining, endpoint) && (endpoint == self || !v.elsewhere(endpoint, rack)) {
			return endpoint
		}
	}
	return ""
}

// elsewhere says whether a dead endpoint was in another rack. Its tokens must not be
// taken over from there: NetworkTopologyStrategy would count other nodes, of both
// racks, as replicas of ranges of which they have nothing, and a quorum of them miss
// what was acknowledged.
func (v view) elsewhere(endpoint, rack string) bool {
	was, known := v.Racks[endpoint]
	return known && was != rack
}

// has says whether the ring is the one in which there is, or was, a node at this
// endpoint, or one of these host ids.
func (v view) has(endpoint string, hosts []string) bool {
	if slices.Contains(v.Owners, endpoint) || slices.Contains(v.Joining, endpoint) {
		return true
	}
	for _, id := range v.HostIDs {
		if slices.Contains(hosts, id) {
			return true
		}
	}
	return false
}

// hosts are the ids of those who were asked.
func (all views) hosts() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[name].HostID)
	}
	return out
}

// still says who is on the way, other than those endpoints.
func (v view) still(except ...string) error {
	for _, way := range []struct {
		doing string
		nodes []string
	}{{"joining", v.Joining}, {"leaving", v.Leaving}, {"moving", v.Moving}} {
		for _, endpoint := range way.nodes {
			if !slices.Contains(except, endpoint) {
				return fmt.Errorf("sees %s %s", endpoint, way.doing)
			}
		}
	}
	return nil
}

// agree says what stands against it that the ring changes: every node has to
// serve and to count on every other, nobody may be on the way, except at these
// endpoints, and all must have one schema.
func (all views) agree(except ...string) error {
	names := slices.Sorted(maps.Keys(all))
	for _, name := range names {
		v := all[name]
		err := v.serves()
		if err == nil {
			err = v.still(except...)
		}
		if err != nil {
			return fmt.Errorf("%s %w", name, err)
		}
	}
	for _, name := range names {
		for _, peer := range names {
			if err := all[name].knows(all[peer].self()); err != nil && name != peer {
				return fmt.Errorf("%s %w (%s)", name, err, peer)
			}
		}
	}
	return all.oneSchema()
}

func (all views) oneSchema() error {
	versions := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		versions[all[name].Schema] = append(versions[all[name].Schema], name)
	}
	if len(versions) < 2 {
		return nil
	}
	var camps []string
	for _, version := range slices.Sorted(maps.Keys(versions)) {
		camps = append(camps, strings.Join(versions[version], " and "))
	}
	return fmt.Errorf("the schema is not agreed: %s have different ones", strings.Join(camps, ", "))
}

// strangers are endpoints that own tokens and are nobody's.
func (all views) strangers(except ...string) []string {
	var out []string
	for _, v := range all {
		for _, endpoint := range v.Owners {
			known := slices.Contains(except, endpoint)
			for _, peer := range all {
				known = known || peer.self() == endpoint
			}
			if !known && !slices.Contains(out, endpoint) {
				out = append(out, endpoint)
			}
		}
	}
	slices.Sort(out)
	return out
}

// unspared says what of the data could not be read and written at QUORUM while
// only these endpoints are up; emptied are those whose data is destroyed. What
// the stop of a single node breaks however things stand, as for a keyspace with
// one replica, does not stand against it (single).
func unspared(replicas map[string][][]string, up, emptied []string, single bool) error {
	for _, keyspace := range slices.Sorted(maps.Keys(replicas)) {
		if keyspace == tracesKeyspace {
			continue
		}
		for _, endpoints := range replicas[keyspace] {
			remain, left := 0, 0
			for _, e := range endpoints {
				if slices.Contains(up, e) {
					remain++
				}
				if !slices.Contains(emptied, e) {
					left++
				}
			}
			quorum := len(endpoints)/2 + 1
			switch {
			case left == 0 && len(endpoints) > 0:
				return fmt.Errorf("nobody else has all of keyspace %s", keyspace)
			case remain >= quorum, single && remain == len(endpoints)-1 && len(endpoints) <= 2:
			default:
				return fmt.Errorf("%d of %d replicas of a part of keyspace %s would be up, and a quorum takes %d", remain, len(endpoints), keyspace, quorum)
			}
		}
	}
	return nil
}
