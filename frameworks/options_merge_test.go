package frameworks

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var mergeSchema = []Option{{Name: "nodes"}, {Name: "mem"}, {Name: "backup.every"}, {Name: "backup.to"}, {Name: "extra"}}

func TestAnUpdateKeepsWhatItLeavesOut(t *testing.T) {
	t.Parallel()
	const inForce = `{"nodes":6,"mem":512,"backup":{"every":3,"to":["a","b"]},"extra":{"x":"1","y":"2"}}`
	for update, want := range map[string]string{
		`{}`:             inForce,
		`{"mem":4096}`:   `{"nodes":6,"mem":4096,"backup":{"every":3,"to":["a","b"]},"extra":{"x":"1","y":"2"}}`,
		`{"nodes":null}`: `{"mem":512,"backup":{"every":3,"to":["a","b"]},"extra":{"x":"1","y":"2"}}`,
		`{"backup":{"to":["c"]},"extra":{"x":"1"}}`: `{"nodes":6,"mem":512,"backup":{"every":3,"to":["c"]},"extra":{"x":"1"}}`,
		`{"backup":{"every":null},"other":null}`:    `{"nodes":6,"mem":512,"backup":{"to":["a","b"]},"extra":{"x":"1","y":"2"}}`,
		`{"NODES":4,"more":1}`:                      `{"nodes":4,"mem":512,"backup":{"every":3,"to":["a","b"]},"extra":{"x":"1","y":"2"},"more":1}`,
		`{"nodes":4,"nodes":5}`:                     `{"nodes":5,"mem":512,"backup":{"every":3,"to":["a","b"]},"extra":{"x":"1","y":"2"}}`,
		`{"backup":7}`:                              `{"nodes":6,"mem":512,"backup":7,"extra":{"x":"1","y":"2"}}`,
		`[1]`:                                       `[1]`,
		`null`:                                      `null`,
	} {
		assert.Equal(t, want, string(merged(json.RawMessage(inForce), json.RawMessage(update), mergeSchema)), update)
	}
	assert.Equal(t, `{"a":{"c":2}}`, string(merged([]byte(`{"a":{"b":1}}`), []byte(`{"a":{"c":2}}`), nil)), "without a schema nobody knows what is inside")
	assert.Equal(t, `{"a":1}`, string(merged(nil, []byte(`{"a":1}`), nil)))
}

// What changes says, merged, makes the one document of the other.
func FuzzChangesMerge(f *testing.F) {
	for _, pair := range [][2]string{
		{`{"nodes":3,"mem":1}`, `{"nodes":3,"mem":2,"extra":{"a":"b"}}`},
		{`{"backup":{"every":1,"to":[]}}`, `{"backup":{"to":["x"]},"nodes":null}`},
		{`{"backup":{"every":1}}`, `{}`}, {`1`, `{"a":1}`}, {`{"a":1}`, `"x"`}, {`{"backup":3}`, `{"backup":{"to":1}}`},
		{`{"":{},"a":{"":1}}`, `{"a":{"":2}}`},
	} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, from, to string) {
		if !json.Valid([]byte(from)) || !json.Valid([]byte(to)) {
			return
		}
		got := merged([]byte(from), changes([]byte(from), []byte(to), mergeSchema), mergeSchema)
		require.True(t, json.Valid(got), string(got))
		want, isObject := fieldsIn([]byte(to))
		is, has := fieldsIn(got)
		require.Equal(t, isObject, has)
		for _, field := range want {
			if string(field.value) != "null" && spelled(mergeSchema, "", field.name) == field.name {
				require.GreaterOrEqual(t, is.at(field.name), 0, field.name)
			}
		}
	})
}

func TestAnotherStartChangesOnlyWhatItsFlagsChange(t *testing.T) {
	t.Parallel()
	first := settings{Nodes: 3, Version: "1", Disk: 1000}
	w := newWorld(t, databaseOf(t, first), 6, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	w.do(Update{Options: json.RawMessage(`{"nodes":5}`)})
	w.until(5*time.Minute, "two more", w.updated(5))
	assert.JSONEq(t, string(optionsOf(t, settings{Nodes: 5, Version: "1", Disk: 1000})), string(w.status().Options.Target))

	second := first
	second.Version, second.Disk = "2", 500 // a volume does not shrink
	start := func(o settings) {
		*w.service = *databaseOf(t, o)
		w.crash()
	}
	start(second)
	w.until(time.Minute, "it says so", func() bool { o := w.status().Options; return o != nil && o.Trouble != "" })
	start(first)
	w.until(time.Minute, "all is as it was", func() bool { o := w.status().Options; return o != nil && o.Trouble == "" })

	start(second)
	w.until(time.Minute, "it says so", func() bool { o := w.status().Options; return o != nil && o.Trouble != "" })
	second.Disk = 1000
	start(second)
	w.until(5*time.Minute, "rolled", func() bool { return w.updated(5)() && w.incarnations()[4] == 2 })
	status := w.status().Options
	assert.JSONEq(t, string(optionsOf(t, settings{Nodes: 5, Version: "2", Disk: 1000})), string(status.Target))
	assert.Empty(t, status.Trouble)
}
