package quickstart

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestLedger(t *testing.T) {
	t.Parallel()
	l := NewLedger(4)
	assert.Equal(t, 1, l.Acknowledge(0))
	assert.Equal(t, 2, l.Acknowledge(1))
	assert.Equal(t, 2, l.Acknowledge(1), "once is enough")
	l.Read(1)
	l.Read(2)
	l.Read(-1)
	l.Read(4)
	assert.Equal(t, 2, l.Acknowledged())
	assert.Equal(t, Result{Acknowledged: 2, Read: 2, Lost: 1}, l.Result(), "one came back that was not acknowledged")
	assert.Equal(t, "acknowledged=2 read=2 lost=1", l.Result().String())
}

func TestAgents(t *testing.T) {
	t.Parallel()
	var attributes []string
	for _, a := range Agents(5, 2, "cpus:1") {
		assert.Equal(t, "cpus:1", a.Resources)
		attributes = append(attributes, a.Attributes)
	}
	assert.Equal(t, []string{"rack:r1", "rack:r1", "rack:r1", "rack:r2", "rack:r2"}, attributes)
	assert.Equal(t, 2, racks(Agents(4, 2, "")))
}
