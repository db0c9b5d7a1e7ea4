package cassandra

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/internal/dist/disttest"
)

// TestSingleNode takes one real node through what the framework asks and tells
// it, one step upon the other.
func TestSingleNode(t *testing.T) {
	s := newSingle(t, disttest.Cassandra(t))
	reported, err := s.prepare(t)
	require.NoError(t, err)
	require.Equal(t, "prepared", reported)
	s.start(t)
	t.Log(s.awaitReady(t))
	v, err := s.server().look(t.Context())
	t.Logf("%+v %v", v, err)
	r, err := s.server().replicas(t.Context())
	t.Logf("%+v %v", r, err)
	s.stop(t)
}
