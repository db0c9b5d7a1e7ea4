package constraints

// ScaleDown chooses which of the placed tasks to remove, given by their agents,
// so that the groups of every GROUP_BY stay as even as they can: each time one
// of the fullest groups, over all GROUP_BY rules together, the last in the list
// among equals. It returns indices in the order of removal: n of them, or none
// if no rule is a GROUP_BY, and all if there are not more than n.
//
// Marathon has the same rule (for GROUP_BY only); where its choice would leave
// several constraints uneven it stops short of n, and this does not.
func (r Rules) ScaleDown(placed []Agent, n int) []int {
	if n <= 0 {
		return nil
	}
	groups := r.groupings(placed)
	if len(groups) == 0 && n < len(placed) {
		return nil
	}
	gone := make([]bool, len(placed))
	var out []int
	for range min(n, len(placed)) {
		best, most := -1, -1
		for i := range placed {
			if gone[i] {
				continue
			}
			crowd := 0
			for _, g := range groups {
				crowd += g.size[g.of[i]]
			}
			if crowd >= most {
				best, most = i, crowd
			}
		}
		gone[best] = true
		out = append(out, best)
		for _, g := range groups {
			g.size[g.of[best]]--
		}
	}
	return out
}

// grouping is how a GROUP_BY sees the placed tasks.
type grouping struct {
	of   []int32 // group, by task
	size []int   // tasks left, by group
}

func (r Rules) groupings(placed []Agent) []grouping {
	var out []grouping
	for _, e := range r.hard {
		leaves(e, func(rule *rule) {
			if rule.op != opGroupBy {
				return
			}
			c := new(Agents).column(rule.reading)
			g := grouping{}
			for i := range placed {
				g.of = append(g.of, c.intern(rule.reading.of(&placed[i])))
			}
			g.size = make([]int, len(c.values))
			for _, id := range g.of {
				g.size[id]++
			}
			out = append(out, g)
		})
	}
	return out
}
