package zookeeper_test

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/internal/dist/disttest"
	"github.com/mesokit/mesokit/scheduler/state"
	"github.com/mesokit/mesokit/scheduler/state/statetest"
	"github.com/mesokit/mesokit/scheduler/state/zookeeper"
)

var quiet = slog.New(slog.DiscardHandler)

func open(t testing.TB, url string) *zookeeper.Store {
	t.Helper()
	s, err := zookeeper.Open(zookeeper.Config{URL: url, SessionTimeout: 10 * time.Second, Logger: quiet})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	server := disttest.ZooKeeper(t)
	var places atomic.Int32
	statetest.Run(t, func(t *testing.T) statetest.Place {
		url := fmt.Sprintf("zk://me:secret@%s/suite/%d", server.Address, places.Add(1))
		return statetest.Place{Open: func() (state.Store, error) { return open(t, url), nil }}
	})
}
