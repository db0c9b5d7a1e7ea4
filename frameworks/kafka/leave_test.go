package kafka

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
)

func TestRemovable(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		brokers int
		leave   []int
		change  func(*Cluster, *frameworks.Deployment)
		want    string
	}{
		"the last of four":       {4, []int{3}, nil, ""},
		"two of five":            {5, []int{3, 4}, nil, ""},
		"a controller":           {4, []int{1}, nil, "broker-1 is one of the 3 controllers"},
		"another is not ready":   {5, []int{4}, func(_ *Cluster, d *frameworks.Deployment) { d.Nodes[3].Ready = false }, "broker-3 is not ready"},
		"it is not ready itself": {5, []int{4}, func(_ *Cluster, d *frameworks.Deployment) { d.Nodes[4].Ready = false }, ""},
		"another leaves already": {5, []int{4}, func(_ *Cluster, d *frameworks.Deployment) { d.Nodes[3].Goal = frameworks.GoalLeave }, ""},
		"too few for new topics": {5, []int{4}, func(c *Cluster, _ *frameworks.Deployment) {
			c.Options = map[string]string{"default.replication.factor": "5"}
		}, "4 brokers would remain, and default.replication.factor is 5"},
		"too few for Kafka's own":   {4, []int{3}, func(_ *Cluster, d *frameworks.Deployment) { d.Nodes[2].Goal = frameworks.GoalLeave }, "2 brokers would remain, and Kafka's own topics have 3 replicas"},
		"a small cluster, that was": {2, []int{1}, func(_ *Cluster, d *frameworks.Deployment) { d.First[pod] = 1 }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := frameworks.Deployment{First: map[string]int{pod: min(3, c.brokers)}}
			for i := range c.brokers {
				n := node(i, "10.0.0.1", 1, 2)
				n.Ready, n.Goal = true, frameworks.GoalRun
				d.Nodes = append(d.Nodes, n)
			}
			var cluster Cluster
			if c.change != nil {
				c.change(&cluster, &d)
			}
			var leaving []frameworks.Node
			for _, i := range c.leave {
				leaving = append(leaving, d.Nodes[i])
			}
			err := cluster.removable(d, leaving)
			if c.want == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, c.want)
			}
		})
	}
}

func TestEvacuate(t *testing.T) {
	t.Parallel()
	v := view{
		Brokers: []registered{{ID: 0, Rack: "a"}, {ID: 1, Rack: "b"}, {ID: 2, Rack: "c"}, {ID: 3, Rack: "c"}, {ID: 4, Rack: "a"}},
		Partitions: []partition{
			{topic: "x", index: 0, replicas: []int32{3, 0, 1}}, // rack c is left to 2
			{topic: "x", index: 1, replicas: []int32{0, 3, 2}}, // rack b is left to 1
			{topic: "x", index: 2, replicas: []int32{1, 2, 3}}, // rack a is left to 0 and 4: 4 has less
			{topic: "x", index: 3, replicas: []int32{3}},       // any will do: the one with the least
			{topic: "x", index: 4, replicas: []int32{0, 1, 3}}, // on its way
		},
	}
	counts := map[int32]int{0: 4, 1: 3, 2: 2, 3: 5}
	plan, err := v.evacuate(3, []int32{0, 1, 2, 4}, counts, map[string]bool{"x-4": true})
	require.NoError(t, err)
	assert.Equal(t, map[string]map[int32][]int32{"x": {
		0: {2, 0, 1}, 1: {0, 1, 2}, 2: {1, 2, 4}, 3: {4},
	}}, plan, "each takes the leaving broker's place in the list")

	_, err = v.evacuate(3, []int32{0, 1}, counts, nil)
	require.EqualError(t, err, "partition x-0 has 3 replicas, and none of the 2 brokers that stay and are ready can take another")
}

func TestStaying(t *testing.T) {
	t.Parallel()
	var d frameworks.Deployment
	for i := range 4 {
		n := node(i, "10.0.0.1", 1, 2)
		n.Ready, n.Goal = true, frameworks.GoalRun
		d.Nodes = append(d.Nodes, n)
	}
	d.Nodes[0].Ready = false
	d.Nodes[1].Goal = frameworks.GoalLeave
	d.Nodes[2].Replace = true
	assert.Equal(t, []int32{3}, staying(d))
}

func TestKeep(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	d := frameworks.Deployment{}
	for i := range 4 {
		d.Nodes = append(d.Nodes, node(i, "10.0.0.1", 1, 2))
	}
	d.Nodes[0].Role = activeController // it was
	d.Nodes[1].Role = anyController
	d.Nodes[3].Role = anyController // it was
	v := quorumOf(3)
	v.Leader = 2
	v.Brokers = []registered{{ID: 0}, {ID: 1, Fenced: true}, {ID: 2}, {ID: 3}, {ID: 7}, {ID: 8, Fenced: true}, {ID: 9, Fenced: true}}
	memory, orders := keep(now, d, kept{}, frameworks.News[view]{View: &v})
	assert.Equal(t, []frameworks.Order{
		frameworks.Name{Node: "broker-0", Role: anyController},
		frameworks.Name{Node: "broker-2", Role: activeController},
		frameworks.Name{Node: "broker-3", Role: ""},
		frameworks.Do{Name: forget, Input: "8"}, // neither one that is there, nor one that may run
	}, orders)

	memory, orders = keep(now, d, memory, frameworks.News[view]{Done: &frameworks.Done{Err: "no"}})
	assert.Empty(t, orders)
	v.Brokers = v.Brokers[4:]
	_, orders = keep(now.Add(forgetAgain-1), d, memory, frameworks.News[view]{View: &v})
	assert.NotContains(t, orders, frameworks.Do{Name: forget, Input: "8"}, "not at once again")
	_, orders = keep(now.Add(forgetAgain), d, memory, frameworks.News[view]{View: &v})
	assert.Contains(t, orders, frameworks.Do{Name: forget, Input: "8"})
	for _, nothing := range []frameworks.News[view]{{}, {View: &view{}}, {Err: "no answer"}} {
		_, orders = keep(now, d, kept{}, nothing)
		assert.Empty(t, orders)
	}
}
