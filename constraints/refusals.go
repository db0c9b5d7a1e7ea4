package constraints

import "math/bits"

// refusals is the verdict on every agent of the table, kept up to date by what
// has changed since it was last asked for.
type refusals struct {
	// mask by key: bit i is set if the rule i refuses the agent.
	mask  []uint32
	epoch int // of the table, and how many of its changes are taken in
	seen  int
}

// Refusals returns the verdicts on all agents of the table, by key: bit i is set
// if the rule i of [Placement.Constraint] refuses the agent, so that zero allows
// one more task; beyond 32 rules the last bit stands for all of the rest. It
// costs what has changed since the last call, not the size of the table. The
// slice is valid until the next call of Refusals, and is not to be changed.
func (p *Placement) Refusals() []uint32 {
	if !p.simple || len(p.hard) > 32 {
		return p.refusalsOfTrees()
	}
	r := &p.refusals
	if r.mask == nil || r.epoch != p.agents.epoch {
		r.mask = make([]uint32, max(1, len(p.agents.agents)))
		r.epoch, r.seen = p.agents.epoch, len(p.agents.changed)
		for i := range p.hard {
			p.leaves[i].forget()
		}
	}
	for _, k := range p.agents.changed[r.seen:] {
		for int(k) >= len(r.mask) {
			r.mask = append(r.mask, 0)
		}
		r.mask[k] = 0
		for i := range p.hard {
			l := &p.leaves[i]
			if id := l.column.at[k]; int(id) < len(l.refused) {
				r.mask[k] |= uint32(l.refused[id]) << i
			}
		}
	}
	r.seen = len(p.agents.changed)
	for i := range p.hard {
		p.leaves[i].refresh(r.mask, i)
	}
	return r.mask
}

// refusalsOfTrees asks about every agent anew: a tree has no single value whose
// agents change together.
func (p *Placement) refusalsOfTrees() []uint32 {
	mask := p.refusals.mask[:0]
	for k := range p.agents.agents {
		word := uint32(0)
		for i := range p.hard {
			if !p.holds(&p.hard[i], Key(k)) {
				word |= ruleBit(i)
			}
		}
		mask = append(mask, word)
	}
	p.refusals.mask = mask
	return mask
}

// ruleBit is the bit of a rule in a mask.
func ruleBit(i int) uint32 { return 1 << min(i, 31) }

// FirstRefusal returns the index of the first rule in a word of
// [Placement.Refusals]; negative if there is none.
func FirstRefusal(word uint32) int {
	if word == 0 {
		return -1
	}
	return bits.TrailingZeros32(word)
}

// forget makes the next refresh look at every value.
func (l *leaf) forget() {
	l.tracked, l.stale, l.touched = true, false, l.touched[:0]
	l.refused = l.refused[:0]
}

// refresh sets the bit of every agent on whose value the verdict has changed:
// through the lists of their keys if these are few, else in one pass.
func (l *leaf) refresh(mask []uint32, rule int) {
	l.grow()
	agents := 0
	known := len(l.refused)
	if n := len(l.column.values) - known; n > 0 {
		l.refused = append(l.refused, make([]uint8, n)...)
	}
	l.flipped = l.flipped[:0]
	if l.stale {
		known = 0
	} else {
		for _, id := range l.touched {
			agents += l.judge(id)
		}
	}
	for id := known; id < len(l.refused); id++ {
		if l.refused[id] == 0 && l.cells[id] == 0 && l.lo <= 0 {
			continue // most values have nothing placed on them
		}
		agents += l.judge(int32(id))
	}
	l.stale, l.touched = false, l.touched[:0]
	if agents > len(mask)/16 {
		refused, at, clear := l.refused, l.column.at, ^(uint32(1) << rule)
		mask = mask[:len(at)]
		for k := range mask {
			mask[k] = mask[k]&clear | uint32(refused[at[k]])<<(rule&31)
		}
		return
	}
	for _, id := range l.flipped {
		for k := l.column.first[id]; k != scratch; k = l.column.next[k] {
			mask[k] ^= 1 << rule
		}
	}
}

// judge brings the verdict on a value up to date and returns how many agents
// that changes.
func (l *leaf) judge(id int32) int {
	refused := uint8(1)
	if l.allowsValue(id) {
		refused = 0
	}
	if refused == l.refused[id] {
		return 0
	}
	l.refused[id] = refused
	l.flipped = append(l.flipped, id)
	return int(l.column.count[id])
}

// touch notes that the verdict on a value may have changed.
func (l *leaf) touch(id int32) {
	switch {
	case !l.tracked || l.stale:
	case l.column.reading.source == fromEach, len(l.touched) > len(l.cells):
		l.stale = true // the parts of several values, or not asked for long
	default:
		l.touched = append(l.touched, id)
	}
}
