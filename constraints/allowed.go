package constraints

// Allowed returns the agents of the table that may take one more task. It says
// the same as asking [Placement.Refusal] about each, but costs what has changed
// since the last call and a few words per rule, not the size of the table. The
// set is valid until the next call, and is not to be changed.
func (p *Placement) Allowed() Keys {
	p.update()
	p.allowed = append(p.allowed[:0], p.agents.present...)
	for i := range p.hard {
		subtract(p.allowed, p.refusedBy(&p.hard[i]))
	}
	return p.allowed
}

// Refused returns the agents of the table that a rule refuses, by the rule's
// index as [Placement.Refusal] returns it, whatever the other rules say. The
// set is valid until the next call, and is not to be changed.
func (p *Placement) Refused(i int) Keys {
	p.update()
	p.refused = append(p.refused[:0], p.agents.present...)
	for w, word := range p.refusedBy(&p.hard[i]) {
		p.refused[w] &= word
	}
	return p.refused
}

func subtract(from, what Keys) {
	for w, word := range what {
		from[w] &^= word
	}
}

// refusedBy returns the agents on which an expression does not hold. It is as
// long as the table's set, and may have keys that the table no longer has.
func (p *Placement) refusedBy(t *term) Keys {
	switch t.expr.(type) {
	case *rule:
		return p.leaves[t.leaf].refused
	case not:
		t.refused = append(t.refused[:0], p.agents.present...)
		subtract(t.refused, p.refusedBy(&t.kids[0]))
		return t.refused
	case all:
		t.refused = append(t.refused[:0], p.agents.present...)
		clear(t.refused)
		for i := range t.kids {
			for w, word := range p.refusedBy(&t.kids[i]) {
				t.refused[w] |= word
			}
		}
	case anyOf:
		t.refused = append(t.refused[:0], p.agents.present...)
		for i := range t.kids {
			for w, word := range p.refusedBy(&t.kids[i]) {
				t.refused[w] &= word
			}
		}
	}
	return t.refused
}

// update brings the sets of all leaves up to date.
func (p *Placement) update() {
	anew := p.epoch != p.agents.epoch+1
	for i := range p.leaves {
		l := &p.leaves[i]
		if anew || !l.tracked {
			l.tracked, l.stale = true, true
			l.verdicts = l.verdicts[:0]
			clear(l.refused)
		} else {
			for _, k := range p.agents.changed[p.seen:] {
				id := l.column.at[k]
				l.refused.put(k, int(id) < len(l.verdicts) && l.verdicts[id])
			}
		}
		l.refused.grow(len(p.agents.present))
		l.refresh()
	}
	p.epoch, p.seen = p.agents.epoch+1, len(p.agents.changed)
}

// refresh moves the agents of every value on which the verdict has changed.
func (l *leaf) refresh() {
	l.grow()
	known := len(l.verdicts)
	l.verdicts = append(l.verdicts, make([]bool, len(l.column.values)-known)...)
	if l.stale {
		known = 0
	} else {
		for _, id := range l.touched {
			l.judge(id)
		}
	}
	for id := known; id < len(l.verdicts); id++ {
		if l.cells[id] == 0 && l.lo <= 0 && !l.verdicts[id] {
			continue // nothing placed there, as on most values
		}
		l.judge(int32(id))
	}
	l.stale, l.touched = false, l.touched[:0]
}

// judge brings the verdict on a value up to date, and with it its agents.
func (l *leaf) judge(id int32) {
	refused := !l.allowsValue(id)
	if refused == l.verdicts[id] {
		return
	}
	l.verdicts[id] = refused
	if l.column.count[id] < manyKeys {
		for k := l.column.first[id]; k != scratch; k = l.column.next[k] {
			l.refused.put(k, refused)
		}
		return
	}
	for w, word := range l.column.keys(id) {
		if refused {
			l.refused[w] |= word
		} else {
			l.refused[w] &^= word
		}
	}
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
