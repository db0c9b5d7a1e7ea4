package cassandra

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRepair: every node repairs its own ranges of every keyspace, while none is
// restarted.
func TestRepair(t *testing.T) {
	t.Parallel()
	d := placed(4, 3)
	l, r := newLab(d)
	l.ranges["payments"], l.ranges[tracesKeyspace] = l.ranges["orders"], l.ranges["orders"]
	plan := r.repairing()
	stages, err := plan.Layout(d, Repair{})
	require.NoError(t, err)
	require.Len(t, stages, 1)
	for i, step := range stages[0].Steps {
		assert.Equal(t, fmt.Sprint("node-", i), step.Name)
		assert.Equal(t, []string{"node-0", "node-1", "node-2"}, step.Nodes)
	}
	result, err := plan.Work(t.Context(), d, Repair{}, stages[0].Steps[1])
	require.NoError(t, err)
	assert.Equal(t, "orders, payments", result)
	_, err = plan.Work(t.Context(), d, Repair{Keyspaces: []string{"payments"}}, stages[0].Steps[2])
	require.NoError(t, err)
	assert.Equal(t, []string{"node-1 repairs orders", "node-1 repairs payments", "node-2 repairs payments"}, l.told)
	_, err = plan.Work(t.Context(), d, Repair{Keyspaces: []string{"order"}}, stages[0].Steps[2])
	require.EqualError(t, err, `keyspace "order": wants one that has replicas: orders, payments`)
	l.refuse = errors.New("endpoint not alive")
	_, err = plan.Work(t.Context(), d, Repair{}, stages[0].Steps[0])
	require.EqualError(t, err, "keyspace orders: endpoint not alive")
	_, err = plan.Layout(placed(3, 0), Repair{})
	require.EqualError(t, err, "there is no ring yet")
}
