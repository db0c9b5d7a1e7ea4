package constraints

// Key stands for an agent in [Agents].
type Key int32

// scratch is the key that Check uses for an agent which is not in the table. It
// also ends the lists of keys.
const scratch Key = 0

// Agents is a table of agents that several placements share. It keeps each
// value once and gives it a number, so that checking an agent against a rule is
// two array reads. The zero value is an empty table. Not safe for concurrent
// use.
type Agents struct {
	agents  []Agent // by key; [scratch] is nobody's
	present Keys    // those that are added and not dropped
	free    []Key
	columns []*column

	// changed are the keys that were added or dropped in this epoch; a new epoch
	// begins when the list gets longer than the table.
	changed []Key
	epoch   int
}

// column holds what all agents have for one reading.
type column struct {
	reading reading
	ids     map[string]int32 // of texts, in values
	values  []value          // [absent] is that of agents without the field
	first   []Key            // by value: the first key that has it
	count   []int32          // by value: how many keys have it
	sets    map[int32]Keys   // by value, where it was wanted: the keys that have it

	// By key: the value, and the neighbours in the list of the keys with it.
	at         []int32
	next, prev []Key
}

// absent is the number of the missing value in every column.
const absent = 0

// Add enters an agent and returns its key, which stays valid until Drop.
func (t *Agents) Add(a Agent) Key {
	if len(t.agents) == 0 {
		t.agents = make([]Agent, 1)
	}
	k := Key(len(t.agents))
	if n := len(t.free); n > 0 {
		k, t.free = t.free[n-1], t.free[:n-1]
	} else {
		t.agents = append(t.agents, Agent{})
	}
	t.present.put(k, true)
	t.set(k, a)
	return k
}

// Drop removes an agent. What is placed on it stays counted: that is for the
// caller to remove, before. The key is given to a later agent.
func (t *Agents) Drop(k Key) {
	t.present.put(k, false)
	t.set(k, Agent{})
	t.free = append(t.free, k)
}

func (t *Agents) set(k Key, a Agent) {
	t.agents[k] = a
	for _, c := range t.columns {
		c.set(k, &t.agents[k])
	}
	if len(t.changed) > len(t.agents) {
		t.changed = t.changed[:0]
		t.epoch++
	}
	t.changed = append(t.changed, k)
}

// Agent returns the agent of a key.
func (t *Agents) Agent(k Key) Agent { return t.agents[k] }

// column returns the column of a reading, and makes and fills it if need be.
func (t *Agents) column(r reading) *column {
	for _, c := range t.columns {
		if c.reading == r {
			return c
		}
	}
	c := &column{
		reading: r, ids: map[string]int32{}, sets: map[int32]Keys{}, values: make([]value, 1), first: make([]Key, 1), count: make([]int32, 1),
		at: make([]int32, 1), next: make([]Key, 1), prev: make([]Key, 1),
	}
	for k := 1; k < len(t.agents); k++ {
		c.set(Key(k), &t.agents[k])
	}
	t.columns = append(t.columns, c)
	return c
}

// set moves a key to the list of the value that the agent has.
func (c *column) set(k Key, a *Agent) {
	if int(k) < len(c.at) {
		c.count[c.at[k]]--
		c.put(c.at[k], k, false)
		before, after := c.prev[k], c.next[k]
		if before == scratch {
			c.first[c.at[k]] = after
		} else {
			c.next[before] = after
		}
		if after != scratch {
			c.prev[after] = before
		}
	} else {
		c.at, c.next, c.prev = append(c.at, absent), append(c.next, scratch), append(c.prev, scratch)
	}
	id := c.intern(c.reading.of(a))
	after := c.first[id]
	c.at[k], c.next[k], c.prev[k] = id, after, scratch
	if after != scratch {
		c.prev[after] = k
	}
	c.first[id] = k
	c.count[id]++
	c.put(id, k, true)
}

// manyKeys is from how many keys on a value is worth a set.
const manyKeys = 64

// keys returns the set of the keys that have a value.
func (c *column) keys(id int32) Keys {
	s, ok := c.sets[id]
	if !ok {
		for k := c.first[id]; k != scratch; k = c.next[k] {
			s.put(k, true)
		}
		c.sets[id] = s
	}
	return s
}

// put keeps the set of a value, if there is one.
func (c *column) put(id int32, k Key, in bool) {
	if s, ok := c.sets[id]; ok {
		s.put(k, in)
		c.sets[id] = s
	}
}

// intern returns the number of a value.
func (c *column) intern(v value) int32 {
	if !v.present {
		return absent
	}
	if id, ok := c.ids[v.text]; ok {
		return id
	}
	id := int32(len(c.values))
	c.values, c.first, c.count = append(c.values, v), append(c.first, scratch), append(c.count, 0)
	c.ids[v.text] = id
	if len(v.parts) > 1 && c.reading.source == fromEach {
		for _, part := range v.parts {
			c.intern(partsValue([]string{part}))
		}
	}
	return id
}

// each calls visit with the numbers that a task on value id counts for: itself,
// or the parts of a value that is made of several.
func (c *column) each(id int32, visit func(int32)) {
	if !c.composite(id) {
		visit(id)
		return
	}
	for _, part := range c.values[id].parts {
		visit(c.ids[part])
	}
}

// composite reports whether a value stands for several that are counted apart.
func (c *column) composite(id int32) bool {
	return c.reading.source == fromEach && len(c.values[id].parts) > 1
}
