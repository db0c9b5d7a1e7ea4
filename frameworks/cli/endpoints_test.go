package cli

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
)

func TestEndpoints(t *testing.T) {
	t.Parallel()
	s := brokers(frameworks.Ready, frameworks.Started, frameworks.Ready)
	for i := range s.Nodes {
		s.Nodes[i].Place = &frameworks.Place{Address: "10.0.0.7", Ports: map[string]uint64{"client": uint64(9092 + i), "admin": 8080}}
	}
	s.Nodes[0].Role, s.Nodes[1].Role = "controller", "controller"
	f := &fake{statuses: []frameworks.Status{s}}
	out, _, err := operate(t.Context(), t, f, "endpoints")
	require.NoError(t, err)
	assert.Equal(t, `NODE      ROLE        PORT    ADDRESS
broker-0  controller  admin   10.0.0.7:8080
broker-0  controller  client  10.0.0.7:9092
broker-2  -           admin   10.0.0.7:8080
broker-2  -           client  10.0.0.7:9094
`, out)
	out, _, err = operate(t.Context(), t, f, "endpoints", "controller", "--json")
	require.NoError(t, err)
	assert.JSONEq(t, `[{"node":"broker-0","role":"controller","port":"admin","address":"10.0.0.7:8080"},
		{"node":"broker-0","role":"controller","port":"client","address":"10.0.0.7:9092"}]`, out)

	none := brokers(frameworks.Started)
	f = &fake{statuses: []frameworks.Status{none, none, s}}
	out, said, err := operate(t.Context(), t, f, "endpoints", "controller", "--wait")
	require.NoError(t, err)
	assert.Contains(t, out, "broker-0  controller  client  10.0.0.7:9092\n")
	assert.Equal(t, "no node is ready: controller\n", said)
}

func TestOneOfSeveralServices(t *testing.T) {
	t.Parallel()
	f := &fake{statuses: []frameworks.Status{brokers(frameworks.Ready)}}
	_, _, err := operate(t.Context(), t, f, "status", "--service", "events")
	require.NoError(t, err)
	assert.Equal(t, []string{"/v1/services/events/status"}, f.read)
}
