package constraints

// Key stands for an agent in [Agents].
type Key int32

// scratch is the key that Check uses for an agent which is not in the table.
const scratch Key = 0

// Agents is a table of agents that several placements share. It keeps each
// value once and gives it a number, so that checking an agent against a rule is
// two array reads. The zero value is an empty table. Not safe for concurrent
// use.
type Agents struct {
	agents  []Agent // by key; [scratch] is nobody's
	free    []Key
	columns []*column
}

// column holds what all agents have for one reading.
type column struct {
	reading reading
	ids     map[string]int32 // of texts, in values
	values  []value          // [absent] is that of agents without the field
	at      []int32          // index in values, by key
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
		t.agents[k] = a
	} else {
		t.agents = append(t.agents, a)
	}
	for _, c := range t.columns {
		c.set(k, &t.agents[k])
	}
	return k
}

// Drop removes an agent. What is placed on it stays counted: that is for the
// caller to remove, before. The key is given to a later agent.
func (t *Agents) Drop(k Key) {
	t.agents[k] = Agent{}
	t.free = append(t.free, k)
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
	c := &column{reading: r, ids: map[string]int32{}, values: make([]value, 1), at: make([]int32, max(1, len(t.agents)))}
	for k := 1; k < len(t.agents); k++ {
		c.set(Key(k), &t.agents[k])
	}
	t.columns = append(t.columns, c)
	return c
}

func (c *column) set(k Key, a *Agent) {
	for int(k) >= len(c.at) {
		c.at = append(c.at, absent)
	}
	c.at[k] = c.intern(c.reading.of(a))
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
	c.values = append(c.values, v)
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
	v := c.values[id]
	if c.reading.source != fromEach || len(v.parts) < 2 {
		visit(id)
		return
	}
	for _, part := range v.parts {
		visit(c.ids[part])
	}
}
