package main

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/cli/clitest"
)

// rolled changes an option of all brokers while messages are produced without a
// pause.
func rolled(t *testing.T, s *saga) {
	before := s.AwaitReady(3)
	s.Await("the active controller named", func(st frameworks.Status) bool {
		return slices.ContainsFunc(st.Nodes, func(n frameworks.NodeStatus) bool { return n.Role == "active controller" })
	})
	stop := s.load()
	s.Kill()
	s.Flags("--option", "log.retention.hours=100")
	s.Start()
	after := s.Await("rolled", func(st frameworks.Status) bool {
		return len(st.Nodes) == 3 && !slices.ContainsFunc(st.Nodes, func(n frameworks.NodeStatus) bool {
			return n.Phase != frameworks.Ready || n.Outdated() || n.Incarnation == before.Nodes[n.Index].Incarnation
		})
	})
	t.Logf("%d messages were acknowledged meanwhile", stop())
	for i, n := range after.Nodes {
		assert.Equal(t, clitest.Residence(before.Nodes[i]), clitest.Residence(n))
		assert.Equal(t, before.Nodes[i].Incarnation+1, n.Incarnation, "%s was restarted once", n.Name)
	}
	configs, err := kadm.NewClient(s.client()).DescribeBrokerConfigs(t.Context(), 2)
	require.NoError(t, err)
	_, err = configs.On("2", func(r *kadm.ResourceConfig) error {
		for _, c := range r.Configs {
			if c.Key == "log.retention.hours" {
				assert.Equal(t, "100", c.MaybeValue())
			}
		}
		return r.Err
	})
	require.NoError(t, err)
}

// load produces up to 1,000 messages a second until stop is called, which returns how many were
// acknowledged. None may fail.
func (s *saga) load() (stop func() int) {
	ctx, cancel := context.WithTimeout(s.t.Context(), clitest.Patience)
	client := s.client()
	told, ended := make(chan struct{}), make(chan error, 1)
	first := s.sent
	pace := time.NewTicker(20 * time.Millisecond)
	go func() {
		defer pace.Stop()
		for {
			select {
			case <-told:
				ended <- nil
				return
			case <-pace.C:
			}
			var records []*kgo.Record
			for i := range 20 {
				records = append(records, &kgo.Record{Topic: topic, Value: []byte(strconv.Itoa(s.sent + i))})
			}
			if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
				ended <- err
				return
			}
			s.sent += len(records)
		}
	}()
	return func() int {
		defer cancel()
		close(told)
		require.NoError(s.t, <-ended)
		return s.sent - first
	}
}

// left removes the broker that was added, after a topic was made that has
// replicas on it.
func left(t *testing.T, s *saga) {
	client := kadm.NewClient(s.client())
	_, err := client.CreateTopic(t.Context(), 8, 3, nil, later)
	require.NoError(t, err)
	s.sendTo(later, 500)
	require.NotZero(t, s.replicas(3), "the broker holds nothing")

	_, complaint, status := clitest.Run(t, "broker", "remove", "2", "--api", s.URL)
	assert.Equal(t, 1, status)
	assert.Contains(t, complaint, "broker-2 is one of the 3 controllers")

	s.Operate("broker", "remove", "3", "--wait")
	s.AwaitReady(3)
	assert.Zero(t, s.replicas(3), "its partitions have moved")
	s.Await("forgotten by the cluster, with its volume destroyed", func(frameworks.Status) bool {
		return s.registered() == 3 && slices.Equal(s.volumes(), []string{"kafka.broker-0.1.data", "kafka.broker-1.1.data", "kafka.broker-2.2.data"})
	})
	assert.Len(t, s.voters(), 3)
}

// replicas counts what a broker holds.
func (s *saga) replicas(broker int32) (n int) {
	s.t.Helper()
	metadata, err := kadm.NewClient(s.client()).Metadata(s.t.Context())
	require.NoError(s.t, err)
	metadata.Topics.EachPartition(func(p kadm.PartitionDetail) {
		if slices.Contains(p.Replicas, broker) {
			n++
		}
	})
	return n
}

// registered counts the brokers that the cluster knows, fenced or not.
func (s *saga) registered() int {
	s.t.Helper()
	request := kmsg.NewPtrDescribeClusterRequest()
	request.IncludeFencedBrokers = true
	answer, err := request.RequestWith(s.t.Context(), s.client())
	require.NoError(s.t, err)
	return len(answer.Brokers)
}

// uninstalled: neither a process nor a volume is left, nor a reservation.
func uninstalled(t *testing.T, s *saga) {
	s.Start()
	s.AwaitReady(3)
	s.Operate("uninstall", "kafka", "--wait")
	assert.Zero(t, s.Ended(), "the scheduler ends by itself")
	assert.Empty(t, s.volumes())
	assert.Empty(t, s.Mesos.Tasks())
	for _, a := range s.Mesos.Agents() {
		assert.Empty(t, a.Processes(), a.Hostname())
	}
}
