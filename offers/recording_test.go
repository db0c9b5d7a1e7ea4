package offers

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// step is a line of a recording: what one agent offered, or what was done.
type step struct {
	Offered  *mesos.Offer            `json:"offered"`
	Accepted []mesos.Offer_Operation `json:"accepted"`
}

// The operations are those that a Mesos 1.12 master took, and what it offered
// after them is found again.
func TestAgainstRecording(t *testing.T) {
	t.Parallel()
	file, err := os.Open("testdata/reserve_create_launch_destroy_unreserve.jsonl")
	require.NoError(t, err)
	defer func() { assert.NoError(t, file.Close()) }()
	var steps []step
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var s step
		require.NoError(t, json.Unmarshal(lines.Bytes(), &s))
		steps = append(steps, s)
	}
	require.NoError(t, lines.Err())
	require.Len(t, steps, 7)

	request := Request{
		Node: "t1", Role: "db", Labels: []mesos.Label{{Key: "resource_id", Value: new("r-1")}},
		Needs:   MustParse("cpus:1;mem:128"),
		Volumes: []Volume{{ID: "vol-1", Path: "data", Size: 256_000}},
	}
	offered := func(i int) []mesos.Offer { return []mesos.Offer{*steps[i].Offered} }
	matches, report := Reserve(heldAs(offered(0)), []Request{request})
	require.Len(t, matches, 1, report.String())
	recorded := steps[1].Accepted
	require.Len(t, matches[0].Operations, 2)
	sameResources(t, recorded[0].Reserve.Resources, matches[0].Operations[0].Reserve.Resources)
	sameResources(t, recorded[1].Create.Volumes, matches[0].Operations[1].Create.Volumes)
	sameResources(t, recorded[2].Launch.TaskInfos[0].Resources, matches[0].Resources)

	for _, i := range []int{2, 4} {
		claimed, ok := Claim(heldAs(offered(i)), "<agent-1>", matches[0].Resources)
		assert.True(t, ok, "%v", claimed.Missing)
		task := mesos.TaskInfo{TaskID: mesos.TaskID{Value: "t2"}, Resources: matches[0].Resources}
		launch := Launch(claimed.Agent, task)
		assert.Equal(t, "<agent-1>", launch.Launch.TaskInfos[0].AgentID.Value)
	}
	owned := Owned(heldAs(offered(4)), HasLabel("resource_id", "r-1"))
	require.Len(t, owned, 1)
	released := Release(owned[0].Resources)
	require.Len(t, released, 2)
	sameResources(t, steps[5].Accepted[0].Destroy.Volumes, released[0].Destroy.Volumes)
	sameResources(t, steps[5].Accepted[1].Unreserve.Resources, released[1].Unreserve.Resources)
	_, ok := Claim(heldAs(offered(6)), "<agent-1>", matches[0].Resources)
	assert.False(t, ok)
}

// sameResources compares field by field, in any order.
func sameResources(t *testing.T, want, got []mesos.Resource) {
	t.Helper()
	texts := func(list []mesos.Resource) []string {
		var all []string
		for i := range list {
			text, err := json.Marshal(list[i])
			require.NoError(t, err)
			all = append(all, string(text))
		}
		slices.Sort(all)
		return all
	}
	assert.Equal(t, texts(want), texts(got))
}
