package mysql

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/mesokit/mesokit/frameworks"
)

// rebuild is what a follow says of a member that the primary cannot bring up to
// date.
const rebuild = "rebuild"

// rebuildPause lies between two rebuilds.
const rebuildPause = 30 * time.Second

// tend looks after the others while the primary serves.
func (c *decision) tend(v view, primary member) {
	node, _ := c.d.Node(c.Primary)
	source := node.Address(port)
	members, told, forsaken := map[string]int{}, map[string]time.Time{}, map[string]int{}
	c.Why = ""
	for _, n := range c.d.Pod(pod) {
		if n.Name == c.Primary {
			c.name(n, primaryRole)
			continue
		}
		if c.Members[n.Name] == n.Generation {
			members[n.Name] = n.Generation
		}
		m, ok := v.of(n.Name)
		if at, ok := c.Told[taskName(n)]; ok && !m.follows(source) {
			told[taskName(n)] = at
		}
		switch {
		case !ok && c.Forsaken[n.Name] == n.Generation:
			forsaken[n.Name] = n.Generation
			c.name(n, "")
			c.rebuild(n, lossAccepted)
		case !ok:
			c.name(n, "")
		case m.follows(source) && !m.Semisync:
			members[n.Name] = n.Generation
			c.name(n, replicaRole)
		case m.Source == source && m.Diverged:
			c.name(n, "")
			c.rebuild(n, c.parted())
		default:
			c.name(n, "")
			switch {
			case m.Writable:
				c.Why = n.Name + " takes writes, and is not the primary: it is made read-only"
			case m.Trouble != "":
				c.Why = n.Name + ": " + m.Trouble
			}
			// It may acknowledge from the moment that it follows.
			members[n.Name] = n.Generation
			c.follow(n, m.Source == source || c.Settled)
		}
	}
	c.Told, c.Forsaken = told, forsaken
	c.drop(members)
	c.settle(v, primary, source)
	if primary.Replicas == 0 {
		c.Why = "no replica acknowledges what " + c.Primary + " writes: every write waits until one does"
		return
	}
	if c.Admin != c.mark() {
		c.work(frameworks.Do{Name: admin, Node: c.Primary})
	}
	c.handOver(v, node)
}

// drop forgets members that are none any more: they were removed, or made anew.
func (c *decision) drop(members map[string]int) {
	for name, generation := range c.Members {
		if members[name] != generation {
			c.unsettle()
		}
	}
	c.Members = members
}

// unsettle is for when a member gives up what it has received: what it alone
// had acknowledged is now on the primary only, and safe again when a member has
// caught up.
func (c *decision) unsettle() {
	c.Settled, c.Base, c.Former, c.FormerGeneration = false, "", "", 0
}

// settle notices that a replica has what the primary had in an earlier look, and
// in one that began when nobody was about to give up what it had received.
func (c *decision) settle(v view, primary member, source string) {
	if c.Settled {
		return
	}
	if v.Following || len(c.Following) > 0 {
		c.Base = ""
		return
	}
	base, err := c.flavor.parse(c.Base)
	caughtUp := func(m member) bool {
		has, err := m.has(c.flavor)
		return err == nil && m.follows(source) && has.contains(base)
	}
	switch {
	case err != nil || c.Base == "":
		c.Base = primary.Executed
	case slices.ContainsFunc(v.Members, caughtUp):
		c.Settled, c.Base, c.Former, c.FormerGeneration = true, "", "", 0
	}
}

// follow has a member follow the primary from now on, or again: then what it has
// received and not applied is thrown away, and fetched once more.
func (c *decision) follow(n frameworks.Node, again bool) {
	if c.now.Before(c.Retry) || slices.Contains(c.Following, n.Name) || c.now.Before(c.Told[taskName(n)].Add(connectWithin)) {
		return
	}
	if again && c.Members[n.Name] == n.Generation {
		c.unsettle()
	}
	c.Following = append(slices.Clone(c.Following), n.Name)
	c.work(frameworks.Do{Name: follow + n.Name, Node: n.Name})
}

func (c *decision) name(n frameworks.Node, role string) {
	if n.Role != role {
		c.order(frameworks.Name{Node: n.Name, Role: role})
	}
}

// parted is why a member is made anew that has what the primary does not have, or
// lacks what the primary does not have any more.
func (c *decision) parted() string { return "its history is not that of " + c.Primary }

// rebuild empties a member: one at a time, and not again and again.
func (c *decision) rebuild(n frameworks.Node, why string) {
	busy := func(other frameworks.Node) bool {
		return other.Replace || other.Arrived != other.Generation && other.Name != n.Name
	}
	often := c.now.Before(c.Rebuilt.Add(rebuildPause)) && c.Forsaken[n.Name] != n.Generation // these are made anew once
	if slices.ContainsFunc(c.d.Nodes, busy) || often {
		c.Why = n.Name + " is to be made anew: " + why
		return
	}
	c.Rebuilt = c.now
	c.order(frameworks.Note{Node: n.Name, Text: "is made anew: " + why})
	c.order(frameworks.Rebuild{Node: n.Name})
}

// followed takes in how it went to make a member a replica.
func (c *decision) followed(node string, done frameworks.Done) {
	c.Following = slices.DeleteFunc(slices.Clone(c.Following), func(f string) bool { return f == node })
	if done.Err != "" {
		c.Retry = c.now.Add(pause)
		return
	}
	n, ok := c.d.Node(node)
	switch {
	case !ok:
	case done.Result != rebuild:
		told := map[string]time.Time{}
		maps.Copy(told, c.Told)
		told[taskName(n)] = c.now
		c.Told = told
	case c.Stage == steady:
		c.rebuild(n, c.parted())
	}
}

// handOver has a primary yield that is wanted to stop, or to be a replica, to the
// one that is named or else the first that is not wanted to stop itself.
func (c *decision) handOver(v view, primary frameworks.Node) {
	heir, wanted := c.heir(primary)
	if !wanted || len(c.Following) > 0 || c.now.Before(c.Retry) {
		return
	}
	for _, n := range c.d.Pod(pod) {
		m, ok := v.of(n.Name)
		if heir != "" && n.Name != heir || n.Name == primary.Name || !ok || !n.Ready || !m.follows(primary.Address(port)) || unwanted(c.d, n) {
			continue
		}
		c.Stage, c.Next = yielding, n.Name
		c.order(frameworks.Note{Node: primary.Name, Text: "hands over to " + n.Name})
		return
	}
}

// unwanted says whether a node is to stop in its present task, or cannot stay.
func unwanted(d frameworks.Deployment, n frameworks.Node) bool {
	return d.Stopping(n.Name) != "" || n.Restart || n.Replace || n.Goal != frameworks.GoalRun || n.Outdated()
}

// yielded takes in how a hand-over went. Where it failed, the next look finds the
// primary read-only, and it is promoted again: for an epoch of its own, because
// promotions for the one before come too late now.
func (c *decision) yielded(trouble string) {
	next := c.Next
	c.Stage, c.Next = steady, ""
	c.Epoch++
	if trouble != "" {
		return
	}
	c.count()
	c.crown(next)
	if c.Stage != promoting { // it has ended meanwhile: the one that yielded goes on
		c.Stage = promoting
	}
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
