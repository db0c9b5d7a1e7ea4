package cassandra

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
)

// TestTidying: a dead node of the past is taken out when all agree, and nobody
// else is.
func TestTidying(t *testing.T) {
	t.Parallel()
	const ghost = "10.0.0.9:7000"
	owns := func(v *view) { v.Owners = append(v.Owners, ghost) }
	joins := func(v *view) { v.Joining = []string{ghost} }
	inRack := func(rack string) func(*view) {
		return func(v *view) { v.Owners, v.Racks = append(v.Owners, ghost), map[string]string{ghost: rack} }
	}
	for _, test := range []struct {
		name   string
		had    past
		sees   func(*view)
		change func(*lab, frameworks.Deployment)
		want   string
	}{
		{"it owns tokens", past{ghost: true}, owns, nil, removeWork},
		{"it died when it joined", past{ghost: true}, joins, nil, assassinateWork},
		{"it died when it joined, and is to join again", past{}, joins, func(_ *lab, d frameworks.Deployment) {
			d.Nodes[3].Place.Address, d.Nodes[3].Incarnation = "10.0.0.9", 1
		}, assassinateWork},
		{"it joins", past{}, joins, func(_ *lab, d frameworks.Deployment) {
			d.Nodes[3].Place.Address, d.Nodes[3].Incarnation, d.Nodes[3].Alive = "10.0.0.9", 1, true
		}, ""},
		{"it has joined, and not arrived", past{}, owns, func(_ *lab, d frameworks.Deployment) {
			d.Nodes[3].Place.Address, d.Nodes[3].Incarnation = "10.0.0.9", 1
		}, ""},
		{"it never was ours", past{}, owns, nil, ""},
		{"it is seen alive", past{ghost: true}, owns, func(l *lab, _ frameworks.Deployment) {
			l.see("node-2", func(v *view) { v.Live = append(v.Live, ghost) })
		}, ""},
		{"not all see it", past{ghost: true}, owns, func(l *lab, _ frameworks.Deployment) {
			l.see("node-2", func(v *view) { v.Owners = without(v.Owners, ghost) })
		}, ""},
		{"somebody is to take its part", past{ghost: true}, owns, func(_ *lab, d frameworks.Deployment) {
			d.Nodes[3].Former, d.Nodes[3].Place = "10.0.0.9", nil
		}, ""},
		{"somebody is to take its part, and is in its rack", past{ghost: true}, inRack("r1"), func(_ *lab, d frameworks.Deployment) {
			d.Nodes[3].Former, d.Nodes[3].Incarnation = "10.0.0.9", 1
		}, ""},
		{"somebody was to take its part, and is in another rack", past{ghost: true}, inRack("r7"), func(_ *lab, d frameworks.Deployment) {
			d.Nodes[3].Former, d.Nodes[3].Incarnation = "10.0.0.9", 1
		}, removeWork},
		{"somebody has come to its address, which is in another rack now", past{}, inRack("r7"), func(_ *lab, d frameworks.Deployment) {
			d.Nodes[3].Place.Address, d.Nodes[3].Incarnation = "10.0.0.9", 1
		}, removeWork},
		{"another is joining", past{ghost: true}, owns, func(l *lab, _ frameworks.Deployment) { l.see("node-2", func(v *view) { v.Joining = []string{fourth} }) }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := placed(4, 3)
			l, r := newLab(d)
			for name := range l.views {
				l.see(name, test.sees)
			}
			if test.change != nil {
				test.change(l, d)
			}
			seen := l.views
			memory, orders := r.decide(time.Time{}, d, test.had, frameworks.News[views]{View: &seen})
			assert.True(t, memory[first], "its own nodes are remembered")
			if test.want == "" {
				assert.Empty(t, orders)
				return
			}
			do := frameworks.Do{Name: test.want, Input: ghost}
			require.Equal(t, []frameworks.Order{do}, orders)
			_, err := r.tidy(t.Context(), d, memory, do)
			require.NoError(t, err)
			assert.Len(t, l.told, 1)
		})
	}
	d := placed(3, 3)
	l, r := newLab(d)
	memory, _ := r.decide(time.Time{}, d, past{ghost: true}, frameworks.News[views]{View: &l.views})
	assert.Equal(t, past{first: true, second: true, third: true}, memory, "nobody speaks of it any more")
}

// TestTidyingBesideTheLost: a lost member that leaves may wait for what is tidied.
func TestTidyingBesideTheLost(t *testing.T) {
	t.Parallel()
	d := placed(3, 3)
	l, r := newLab(d)
	delete(l.views, "node-2")
	d.Nodes[2].Ready, d.Nodes[2].Gone = false, true
	seen, err := r.lookAtAll(t.Context(), d, nil)
	require.NoError(t, err)
	assert.Nil(t, seen, "it may come back")
	d.Nodes[2].Goal = frameworks.GoalLeave
	seen, err = r.lookAtAll(t.Context(), d, nil)
	require.NoError(t, err)
	assert.Len(t, seen, 2)
}
