package scheduler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A clock that was set is noticed, and one that was only slowed down is not.
func TestSteady(t *testing.T) {
	t.Parallel()
	assert.False(t, wasSet(time.Hour, time.Hour+clockError))
	assert.True(t, wasSet(time.Hour, 0), "set forward, or suspended")
	assert.True(t, wasSet(-time.Hour, time.Second), "set back")

	var seen []time.Time
	look := HandlerFunc(func(v View, _ Event) []Action {
		seen = append(seen, v.Steady())
		return nil
	})
	m, err := NewMachine(look, []byte("seed"), nil)
	require.NoError(t, err)
	began := time.Now()
	m.Step(began, Tick{})
	m.Step(began.Add(time.Hour), Tick{})
	assert.Equal(t, []time.Time{began, began}, seen)
}
