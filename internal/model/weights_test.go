package model

import (
	"fmt"
	"math"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

func weightOf(role string, w float64) mesos.WeightInfo {
	return mesos.WeightInfo{Role: &role, Weight: w}
}

func TestWeightsShareTheCluster(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		roles   []string // one framework each
		weights []mesos.WeightInfo
		want    []int // agents offered to each, of 12
	}{
		{"equal", []string{"a", "b"}, nil, []int{6, 6}},
		{"two to one", []string{"a", "b"}, []mesos.WeightInfo{weightOf("a", 2)}, []int{8, 4}},
		{"a tenant's roles share its share", []string{"a/x", "a/y", "b"}, nil, []int{3, 3, 6}},
		{"weights of a level", []string{"a/x", "a/y", "b"}, []mesos.WeightInfo{weightOf("a/x", 2), weightOf("a", 1)}, []int{4, 2, 6}},
		{"a role beside those below it", []string{"a", "a/y", "b"}, nil, []int{3, 3, 6}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 12)
			var cs []*client
			for _, r := range tc.roles {
				cs = append(cs, w.subscribe(r))
			}
			for _, c := range cs {
				c.offers()
			}
			// No round before all is set: an offer stays with who has it.
			w.operate(SetWeights{append([]mesos.WeightInfo{weightOf(tc.roles[0], 1)}, tc.weights...)}, 200, "")
			w.sleep(time.Second)
			var got []int
			for _, c := range cs {
				got = append(got, len(c.offers()))
			}
			want(t, "offers", fmt.Sprint(got), fmt.Sprint(tc.want))
			w.master = NewMaster(w.cfg, w.master.Registry(), w.now)
			want(t, "weights after a failover", len(w.master.Weights()) >= 1, true)
		})
	}
}

func TestWeightErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	c := w.subscribe("a")
	const text = "Failed to validate update weights request JSON"
	w.operate(SetWeights{[]mesos.WeightInfo{weightOf("b", 1), weightOf("/x", 1)}}, 400,
		text+": Invalid role '/x': Role '/x' cannot start with a slash")
	for _, bad := range []float64{0, -1, math.NaN()} {
		w.operate(SetWeights{[]mesos.WeightInfo{weightOf("a", bad)}}, 400,
			text+fmt.Sprintf(" for role 'a': Invalid weight '%v': Weights must be positive", bad))
	}
	want(t, "weights", len(w.master.Weights()), 0)
	want(t, "offers", len(c.offers()), 1)
	// A role that nobody has changes nothing for others.
	w.operate(SetWeights{[]mesos.WeightInfo{weightOf(" b ", 3)}}, 200, "")
	want(t, "role", w.master.Weights()[0].GetRole(), "b")
	want(t, "events", len(w.streams[c.stream]), 0)
}
