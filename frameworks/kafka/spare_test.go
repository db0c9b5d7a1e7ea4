package kafka

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
)

// quorumOf are controllers, the given ones out of touch.
func quorumOf(size int, behind ...int32) view {
	var v view
	for id := range int32(size) {
		v.Voters = append(v.Voters, voter{ID: id})
	}
	for _, id := range behind {
		v.Voters[id].Behind = time.Minute
	}
	return v
}

func TestSpares(t *testing.T) {
	t.Parallel()
	with := func(v view, partitions ...partition) view {
		v.Partitions = partitions
		return v
	}
	of := func(least int, replicas, isr []int32) partition {
		return partition{topic: "orders", replicas: replicas, isr: isr, least: least}
	}
	three := []int32{0, 1, 2}
	for name, c := range map[string]struct {
		view view
		stop []int32
		want string // part of the refusal; empty: they can be spared
	}{
		"one of three":                          {with(quorumOf(3), of(2, three, three)), []int32{1}, ""},
		"two of three controllers":              {quorumOf(3), []int32{0, 1}, "1 of the 3 controllers would remain, and the quorum takes 2"},
		"a second controller":                   {quorumOf(3, 2), []int32{0}, "1 of the 3 controllers would remain"},
		"the controller that is behind":         {quorumOf(3, 2), []int32{2}, ""},
		"no controller":                         {quorumOf(3), []int32{3, 4}, ""},
		"no controller, the quorum limps":       {quorumOf(3, 1, 2), []int32{3}, ""},
		"the only controller":                   {quorumOf(1), []int32{0}, ""},
		"the only controller and another":       {quorumOf(1), []int32{0, 1}, "0 of the 1 controllers would remain"},
		"one of two, as while one is replaced":  {quorumOf(2), []int32{0}, "1 of the 2 controllers would remain, and the quorum takes 2"},
		"an in-sync replica too many":           {with(quorumOf(3), of(2, three, []int32{0, 1})), []int32{1}, "too few in-sync replicas would remain of orders-0"},
		"a replica that is not in sync":         {with(quorumOf(3), of(2, three, []int32{0, 1})), []int32{2}, ""},
		"two replicas of one partition":         {with(quorumOf(5), of(2, []int32{3, 4, 5}, []int32{3, 4, 5})), []int32{4, 5}, "too few in-sync replicas"},
		"two replicas of two partitions":        {with(quorumOf(5), of(1, []int32{3, 4}, []int32{3, 4}), of(1, []int32{5, 6}, []int32{5, 6})), []int32{4, 5}, ""},
		"the only replica":                      {with(quorumOf(3), of(1, []int32{1}, []int32{1})), []int32{1}, ""},
		"as many wanted as there are":           {with(quorumOf(3), of(3, three, three)), []int32{1}, ""},
		"as many wanted as there are, one lags": {with(quorumOf(3), of(3, three, []int32{0, 1})), []int32{1}, "too few in-sync replicas"},
		"the only replica, with another":        {with(quorumOf(3), of(1, []int32{1}, []int32{1})), []int32{1, 3}, "too few in-sync replicas"},
		"the last in sync":                      {with(quorumOf(3), of(1, three, []int32{1})), []int32{1}, "too few in-sync replicas"},
		"offline already":                       {with(quorumOf(3), of(1, three, nil)), []int32{1}, ""},
		"min.insync.replicas unknown":           {with(quorumOf(3), of(0, three, []int32{1})), []int32{1}, "too few in-sync replicas"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := c.view.spares(c.stop)
			if c.want == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, c.want)
			}
		})
	}
}

// TestKeeps: a broker that is to be replaced loses what it has.
func TestKeeps(t *testing.T) {
	t.Parallel()
	v := view{Partitions: []partition{
		{topic: "a", replicas: []int32{0, 1, 2}, isr: []int32{0, 1, 2}},
		{topic: "b", replicas: []int32{1}, isr: []int32{1}},
		{topic: "c", replicas: []int32{0, 1}, isr: []int32{1}},
		{topic: "d", replicas: []int32{1, 2}, isr: nil},
	}}
	require.NoError(t, v.keeps(nil))
	require.NoError(t, v.keeps([]int32{0}))
	require.EqualError(t, v.keeps([]int32{1}), "nobody else has all of b-0, c-0")
	require.EqualError(t, v.keeps([]int32{0, 1, 2}), "nobody else has all of a-0, b-0, c-0")
	for i := range 3 {
		v.Partitions = append(v.Partitions, partition{topic: "e", index: int32(i), replicas: []int32{1}, isr: []int32{1}})
	}
	require.EqualError(t, v.keeps([]int32{1}), "nobody else has all of b-0, c-0, e-0 and 2 more")
}

func TestTheActiveControllerGoesLast(t *testing.T) {
	t.Parallel()
	d := frameworks.Deployment{First: map[string]int{pod: 3}}
	for i := range 5 {
		d.Nodes = append(d.Nodes, node(i, "10.0.0.1", 1, 2))
	}
	d.Nodes[1].Role = activeController
	var order []int
	for _, n := range activeLast(d, d.Nodes) {
		order = append(order, n.Index)
	}
	assert.Equal(t, []int{3, 4, 0, 2, 1}, order)
}

func TestNobodyToAsk(t *testing.T) {
	t.Parallel()
	alone := node(0, "10.0.0.1", 1, 2)
	alone.Arrived = 1
	d := frameworks.Deployment{Nodes: []frameworks.Node{alone}}
	require.EqualError(t, spare(t.Context(), d, d.Nodes), "no broker is ready")
	require.EqualError(t, leave(t.Context(), d, d.Nodes[0]), "no broker is ready")
}
