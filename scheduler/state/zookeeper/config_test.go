package zookeeper_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler/state/zookeeper"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		config zookeeper.Config
		want   string
	}{
		{"nothing", zookeeper.Config{}, "Config.URL: want zk://"},
		{"no path", zookeeper.Config{URL: "zk://h:2181"}, "Config.URL: the path is missing"},
		{"no host", zookeeper.Config{URL: "zk:///state"}, "Config.URL: a host is empty"},
		{"timeout", zookeeper.Config{URL: "zk://h/state", SessionTimeout: -time.Second}, "Config.SessionTimeout is -1s: want a time such as 10s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := zookeeper.Open(c.config)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}
