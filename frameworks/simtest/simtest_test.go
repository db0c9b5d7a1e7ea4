package simtest_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/simtest"
	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

func service() *frameworks.Service {
	return &frameworks.Service{Name: "db", Pods: []frameworks.Pod{{
		Name: "node", Count: 2, Command: "serve", Needs: offers.MustParse("cpus:1;mem:64"),
		Volumes: []frameworks.Volume{{Name: "data", Path: "data", Size: 64_000}}, Place: constraints.MustParse("hostname:UNIQUE"),
		Ready: frameworks.HTTP("http", "/"), Ports: []frameworks.Port{{Name: "http"}},
	}}}
}

func TestService(t *testing.T) {
	t.Parallel()
	seen := mesostest.Simulate(t, 5_000, simtest.Config(service()))
	assert.NotZero(t, seen.Tasks)
	assert.NotZero(t, seen.Faults[mesostest.Operator])
}

// A service whose servers never serve does not reach its goal, and the finding
// says why.
func TestServersThatDoNotServe(t *testing.T) {
	t.Parallel()
	s := service()
	c := simtest.Config(s)
	c.Frameworks[0].Name = "another" // so that no gate sees a task of this one
	c.Shrink = -1
	var found *mesostest.Finding
	require.True(t, errors.As(mesostest.NewSim(1, c).Run(), &found))
	assert.Equal(t, "every goal is reached", found.Rule)
	assert.Contains(t, found.Detail, "does not serve")
}
