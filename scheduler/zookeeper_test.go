package scheduler_test

import (
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/internal/dist/disttest"
	"github.com/mesokit/mesokit/scheduler"
)

func TestRunFindsTheLeaderInZooKeeper(t *testing.T) {
	t.Parallel()
	server := disttest.ZooKeeper(t)
	conn, _, err := zk.Connect([]string{server.Address}, 10*time.Second, zk.WithLogInfo(false))
	require.NoError(t, err)
	defer conn.Close()
	elect := func(m *scriptedMaster) string {
		_, port, err := net.SplitHostPort(m.address())
		require.NoError(t, err)
		info := fmt.Sprintf(`{"address":{"ip":"127.0.0.1","port":%s}}`, port)
		node, err := conn.Create("/mesos/json.info_", []byte(info), zk.FlagSequence, zk.WorldACL(zk.PermAll))
		require.NoError(t, err)
		return node
	}
	start(t, scheduler.Config{
		Master: "zk://" + server.Address + "/mesos", Handler: scheduler.HandlerFunc(launchOne),
	})
	_, err = conn.Create("/mesos", nil, 0, zk.WorldACL(zk.PermAll))
	require.NoError(t, err)

	first, second := newMaster(t), newMaster(t)
	node := elect(first)
	last := elect(second)
	s := first.subscribed()

	// ZooKeeper is away: the subscription goes on, and comes back without it.
	server.Stop(t)
	s.cut("")
	s = first.subscribed()
	server.Start(t)

	require.Eventually(t, func() bool { return conn.Delete(node, -1) == nil }, patience, 50*time.Millisecond)
	first.replies(func(*http.Request, *sched.Call) (int, string, string) {
		return http.StatusServiceUnavailable, "", ""
	})
	s.cut("")
	s = second.subscribed()
	assert.Equal(t, "fw-1", s.call.FrameworkID.Value)

	// ZooKeeper names another leader while the old one goes on as if it led:
	// its stream is given up.
	third := newMaster(t)
	elect(third)
	require.NoError(t, conn.Delete(last, -1))
	third.subscribed()
	select {
	case <-s.gone:
	case <-time.After(patience):
		t.Fatal("the stream of the old leader goes on")
	}
}
