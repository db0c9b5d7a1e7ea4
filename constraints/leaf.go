package constraints

import "math"

// leaf is one rule with its counts. Whatever the operator, an agent is allowed
// exactly if the cell of its value lies in the window.
type leaf struct {
	rule   *rule
	column *column

	// cells by the value's number. For a rule that counts: the tasks placed
	// there. For a rule that judges values: 0 if allowed, 1 if not. For CLUSTER
	// without a value: 0 for the first placed value, else 1. unknown where the
	// window cannot say: then settle does.
	cells []int32
	// lo and hi are the window, both inclusive; it is empty if lo > hi.
	lo, hi int32

	tally   tally // of GROUP_BY
	missing int32 // tasks on agents without the field
	over    int32 // of GROUP_BY by quota: tasks above the quota, all groups together
	quota   int32 // and that quota

	queue queue // of CLUSTER without a value

	// Of [Placement.Allowed], once it is tracked: the agents that the rule
	// refuses, by which verdict on each value (true: refused), and where that may
	// be out of date: everywhere, or at some values.
	refused  Keys
	verdicts []bool
	touched  []int32
	tracked  bool
	stale    bool
}

// unknown is outside every window.
const unknown = -1

func newLeaf(r *rule, c *column) leaf {
	l := leaf{rule: r, column: c, queue: queue{head: none}}
	switch r.op {
	case opUnique, opMaxPer:
		l.hi = r.number - 1
	case opNear:
		l.lo, l.hi = 1, math.MaxInt32
	case opCluster:
		if !r.judges() {
			l.hi = 1
		}
	}
	l.rebalance(1)
	return l
}

// allows is the inner loop of matching.
func (l *leaf) allows(k Key) bool { return l.allowsValue(l.column.at[k]) }

func (l *leaf) allowsValue(id int32) bool {
	if uint(id) < uint(len(l.cells)) {
		if cell := l.cells[id]; cell >= l.lo && cell <= l.hi {
			return true
		} else if cell != unknown {
			return false
		}
	}
	return l.settle(id)
}

// settle decides where the cell does not say, and fills it in if it can.
func (l *leaf) settle(id int32) bool {
	l.grow()
	if id == absent {
		return l.rule.acceptsAbsent()
	}
	if l.rule.judges() && l.cells[id] == unknown {
		l.cells[id] = 1
		if l.rule.verdict(l.column.values[id]) {
			l.cells[id] = 0
		}
	}
	ok := true
	l.column.each(id, func(part int32) {
		ok = ok && l.cells[part] >= l.lo && l.cells[part] <= l.hi
	})
	return ok
}

// grow gives every value of the column a cell.
func (l *leaf) grow() {
	known, n := len(l.cells), len(l.column.values)
	if known == n {
		return
	}
	l.cells = append(l.cells, make([]int32, n-known)...)
	l.cells[absent] = unknown
	if !l.rule.judges() && l.rule.op != opCluster && l.column.reading.source != fromEach {
		return // counts begin at zero
	}
	for id := max(known, absent+1); id < n; id++ {
		switch {
		case l.rule.judges(), l.column.composite(int32(id)):
			l.cells[id] = unknown
		case l.rule.op == opCluster:
			l.cells[id] = 1
		}
	}
}

// place counts one task on the agent.
func (l *leaf) place(k Key, want int32) {
	id := l.column.at[k]
	switch {
	case l.rule.judges():
	case l.rule.op == opUnique, l.rule.op == opMaxPer:
		l.count(id, 1)
	case l.rule.op == opGroupBy:
		l.group(id, 1, want)
	case l.rule.op == opCluster:
		if id != absent || l.countsMissing() {
			l.follow(l.queue.push(id))
		}
	}
}

// remove takes back one place.
func (l *leaf) remove(k Key, want int32) {
	id := l.column.at[k]
	switch {
	case l.rule.judges():
	case l.rule.op == opUnique, l.rule.op == opMaxPer:
		l.count(id, -1)
	case l.rule.op == opGroupBy:
		l.group(id, -1, want)
	case l.rule.op == opCluster:
		l.follow(l.queue.drop(id))
	}
}

// count adds n to the cells of a value, never below zero.
func (l *leaf) count(id, n int32) {
	l.grow()
	if id == absent {
		l.missing = max(0, l.missing+n)
		return
	}
	l.column.each(id, func(part int32) { l.cells[part] = max(0, l.cells[part]+n) })
	l.touch(id)
}

// countsMissing reports whether tasks on agents without the field count as a
// group of their own, as they do in Marathon.
func (l *leaf) countsMissing() bool {
	return l.rule.dialect == Marathon || l.rule.dialect == MarathonQuota
}

// group counts a task in or out of its group and sets the window anew.
func (l *leaf) group(id, n, want int32) {
	l.grow()
	if id == absent && !l.countsMissing() {
		return
	}
	count := &l.missing
	if id != absent {
		count = &l.cells[id]
	}
	switch {
	case n > 0:
		l.tally.up(*count)
		if *count >= l.quota {
			l.over++
		}
	case *count == 0:
		return // was never placed
	default:
		l.tally.down(*count)
		if *count > l.quota {
			l.over--
		}
	}
	*count += n
	l.touch(id)
	l.window(want)
}

// rebalance sets the quota anew after a change of the wanted instances.
func (l *leaf) rebalance(want int32) {
	if l.rule.op != opGroupBy {
		return
	}
	if l.rule.dialect == MarathonQuota {
		l.quota = want / l.rule.number
		l.over = max(0, l.missing-l.quota)
		for _, count := range l.cells {
			l.over += max(0, count-l.quota)
		}
	}
	l.window(want)
}

// window sets what counts GROUP_BY allows, by the dialect's rule. With G groups
// and N demanded:
//
//	marathon, dcos: a new group always; else the emptiest, once G >= N
//	kafka:          a new group while G < N; afterwards the emptiest of the known
//	marathon-quota: a new group while G < N; a known one up to its quota, and
//	                beyond by one while the remainder lasts
func (l *leaf) window(want int32) {
	lo, hi := l.lo, l.hi
	defer func() { l.stale = l.stale || lo != l.lo || hi != l.hi }()
	groups, least := l.tally.groups, l.tally.least()
	switch l.rule.dialect {
	case Kafka:
		l.lo, l.hi = 0, 0
		if groups >= l.rule.number {
			l.lo, l.hi = least, least
		}
	case MarathonQuota:
		l.lo, l.hi = 0, l.quota-1
		if l.over < want%l.rule.number {
			l.hi = l.quota
		}
		if groups >= l.rule.number {
			l.lo = 1
		} else {
			l.hi = max(0, l.hi)
		}
	default:
		l.lo, l.hi = 0, 0
		if groups >= l.rule.number {
			l.hi = least
		}
	}
}

// follow makes the value that was placed first the only one that CLUSTER allows.
func (l *leaf) follow(before int32) {
	head := l.queue.head
	if before == head {
		return
	}
	l.grow()
	l.stale = true
	l.hi = 0
	if head == none {
		l.hi = 1 // nothing is placed: every value is allowed
	}
	if before > absent {
		l.cells[before] = 1
	}
	if head > absent {
		l.cells[head] = 0
	}
}
