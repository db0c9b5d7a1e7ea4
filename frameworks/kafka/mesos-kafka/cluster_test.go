package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/cli/clitest"
	"github.com/mesokit/mesokit/internal/dist/disttest"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// TestCluster takes one cluster of real brokers, on an embedded Mesos and run
// by real scheduler processes, through what happens to it over the years.
// The steps build on each other, because brokers are dear.
func TestCluster(t *testing.T) {
	server := disttest.Kafka(t)
	c := mesostest.New(t, clitest.QuickAgents(5, "cpus:1;mem:512;disk:1024;ports:[31000-31009]"))
	s := &saga{Scheduler: clitest.New(t, c, onKafka(server)...)}

	for _, step := range []struct {
		name string
		run  func(*testing.T, *saga)
	}{
		{"deployed by a scheduler that keeps dying", deployKilling},
		{"takes messages", takesMessages},
		{"a JVM is killed", jvmKilled},
		{"the master is restarted", masterRestarted},
		{"a broker is added", brokerAdded},
		{"a broker is stopped and started", stoppedAndStarted},
		{"an agent is cut off", cutOff},
		{"a machine goes away and comes back", machineAwayAndBack},
		{"a controller is replaced", replaced},
		{"a broker that holds data leaves", left},
		{"the configuration is rolled under load", rolled},
		{"nothing was lost", nothingLost},
		{"the scheduler ends, the brokers do not", schedulerEnds},
		{"all of it is uninstalled", uninstalled},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(t, s.in(t)) }) {
			return
		}
	}
}

// saga is what the steps hand on.
type saga struct {
	*clitest.Scheduler
	t    *testing.T
	id   string // of the Kafka cluster
	sent int    // messages
}

func (s *saga) in(t *testing.T) *saga {
	s.t = t
	s.In(t)
	return s
}

// volumes are the persistent volumes on all agents.
func (s *saga) volumes() []string { return slices.Sorted(maps.Keys(s.Volumes("kafka"))) }

// identity is one line of the meta.properties of a volume.
func (s *saga) identity(volume, key string) string {
	text, err := os.ReadFile(filepath.Join(s.Volumes("kafka")[volume], "kafka", "meta.properties"))
	require.NoError(s.t, err)
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			return value
		}
	}
	return ""
}

func (s *saga) client() *kgo.Client {
	s.t.Helper()
	status, err := s.Status(s.t.Context())
	require.NoError(s.t, err)
	var seeds []string
	for _, n := range status.Nodes {
		if n.Phase == frameworks.Ready {
			seeds = append(seeds, n.Address("client"))
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.MetadataMinAge(50*time.Millisecond))
	require.NoError(s.t, err)
	s.t.Cleanup(client.Close)
	return client
}

// voters are the controllers of the quorum with their directories, as the
// cluster tells.
func (s *saga) voters() map[int32]string {
	s.t.Helper()
	request := kmsg.NewPtrDescribeQuorumRequest()
	part := kmsg.NewDescribeQuorumRequestTopicPartition()
	top := kmsg.NewDescribeQuorumRequestTopic()
	top.Topic, top.Partitions = "__cluster_metadata", append(top.Partitions, part)
	request.Topics = append(request.Topics, top)
	answer, err := request.RequestWith(s.t.Context(), s.client())
	require.NoError(s.t, err)
	out := map[int32]string{}
	for _, v := range answer.Topics[0].Partitions[0].CurrentVoters {
		out[v.ReplicaID] = fmt.Sprintf("%x", v.ReplicaDirectoryID)
	}
	return out
}

// The topics: the second is made when there are four brokers.
const (
	topic = "orders"
	later = "returns"
)

// deployKilling kills the scheduler with SIGKILL just after it has saved and
// told of each state of a deployment.
func deployKilling(t *testing.T, s *saga) {
	for _, point := range []string{"msg=reserving", "msg=reserved", "msg=launched", "msg=formatted", `msg="started pid`, "msg=ready"} {
		from := len(s.Said())
		s.Start()
		s.AwaitLine(from, point)
		s.Kill()
	}
	s.Start()
	status := s.AwaitReady(3)
	for _, n := range status.Nodes {
		pids := s.PIDs("kafka", n.Name)
		assert.Len(t, pids, 1, "%s was started more than once: %v", n.Name, pids)
		assert.Len(t, pids[n.Incarnation], 1, "%s", n.Name)
		assert.Equal(t, 1, n.Generation)
	}
	require.Equal(t, []string{"kafka.broker-0.1.data", "kafka.broker-1.1.data", "kafka.broker-2.1.data"}, s.volumes())
	s.id = s.identity("kafka.broker-0.1.data", "cluster.id")
	assert.Len(t, s.id, 22)
	for _, volume := range s.volumes() {
		assert.Equal(t, s.id, s.identity(volume, "cluster.id"))
	}
	assert.Len(t, s.voters(), 3)
	agents := map[string]bool{}
	for _, n := range status.Nodes {
		agents[n.Place.Agent] = true
	}
	assert.Len(t, agents, 3, "hostname:UNIQUE by default")
}

func takesMessages(t *testing.T, s *saga) {
	client := s.client()
	two := "2"
	_, err := kadm.NewClient(client).CreateTopic(t.Context(), 3, 3, map[string]*string{"min.insync.replicas": &two}, topic)
	require.NoError(t, err)
	s.send(1000)
	table := s.Operate("status")
	assert.Contains(t, table, "kafka: 3 of 3 brokers ready; framework ")
	assert.Regexp(t, `(?m)^broker-1  ready  (?:(?:-|controller|active controller) +)?127\.0\.\d+\.\d+ +127\.0\.\d+\.\d+:\d+ +kafka\.broker-1\.\d+ +\d+s +0$`, table)
	assert.Contains(t, s.Operate("status", "--json"), `"ready": 3`)
}

func (s *saga) send(n int) {
	s.t.Helper()
	s.sendTo(topic, n)
}

// sendTo produces messages with acks=all and waits for each.
func (s *saga) sendTo(topic string, n int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), clitest.Patience)
	defer cancel()
	var records []*kgo.Record
	for range n {
		records = append(records, &kgo.Record{Topic: topic, Value: []byte(strconv.Itoa(s.sent))})
		s.sent++
	}
	require.NoError(s.t, s.client().ProduceSync(ctx, records...).FirstErr())
}

func jvmKilled(t *testing.T, s *saga) {
	before := s.AwaitReady(3).Nodes[1]
	pids := s.PIDs("kafka", before.Name)[before.Incarnation]
	require.Len(t, pids, 1)
	require.NoError(t, syscall.Kill(pids[0], syscall.SIGKILL))
	s.send(500)
	after := s.AwaitNode("broker-1", "is back", func(n frameworks.NodeStatus) bool {
		return n.Phase == frameworks.Ready && n.Incarnation > before.Incarnation
	})
	assert.Equal(t, clitest.Residence(before), clitest.Residence(after))
	assert.Equal(t, 1, after.Failures, "it was a failure, and is forgotten when it has been ready for a while")
	assert.Equal(t, s.id, s.identity("kafka.broker-1.1.data", "cluster.id"))
}

func masterRestarted(t *testing.T, s *saga) {
	before := s.AwaitReady(3)
	require.NoError(t, s.Mesos.RestartMaster())
	s.Await("connected again", func(st frameworks.Status) bool { return st.Connected && st.Reconciled })
	after := s.AwaitReady(3)
	for i := range before.Nodes {
		assert.Equal(t, before.Nodes[i].Task, after.Nodes[i].Task)
	}
}

func brokerAdded(t *testing.T, s *saga) {
	assert.Contains(t, s.Operate("broker", "add"), "broker-3")
	s.AwaitReady(4)
	brokers, err := kadm.NewClient(s.client()).ListBrokers(t.Context())
	require.NoError(t, err)
	assert.Len(t, brokers, 4)
	voters := s.voters()
	assert.Len(t, voters, 3)
	assert.NotContains(t, voters, int32(3), "an added broker is no controller")
}

func stoppedAndStarted(t *testing.T, s *saga) {
	before := s.AwaitReady(4).Nodes[3]
	s.Operate("broker", "stop", "3", "--wait")
	stopped := s.Node("broker-3")
	assert.Equal(t, frameworks.Stopped, stopped.Phase)
	assert.Equal(t, clitest.Residence(before), clitest.Residence(stopped))
	assert.Zero(t, stopped.Failures)
	s.Operate("broker", "start", "broker-3")
	after := s.AwaitReady(4).Nodes[3]
	assert.Equal(t, clitest.Residence(before), clitest.Residence(after))
	assert.Greater(t, after.Incarnation, before.Incarnation)

	assert.Contains(t, s.Operate("broker", "list"), after.Task)

	_, complaint, status := clitest.Run(t, "broker", "stop", "0", "9", "--api", s.URL)
	assert.Equal(t, 1, status)
	assert.Equal(t, `mesos-kafka: stop: broker "broker-9": not found; there are broker-0, broker-1, broker-2, broker-3`+"\n", complaint)
	assert.Equal(t, frameworks.GoalRun, s.Node("broker-0").Goal, "none is stopped if one is not there")
}

// cutOff cuts off the agent of the added broker, which runs on.
func cutOff(t *testing.T, s *saga) {
	before := s.AwaitReady(4).Nodes[3]
	agent := s.Agent(before)
	agent.Partition()
	s.AwaitNode("broker-3", "unreachable", func(n frameworks.NodeStatus) bool { return n.Phase == frameworks.Unreachable })
	agent.Heal()
	after := s.AwaitReady(4).Nodes[3]
	assert.Equal(t, before.Task, after.Task, "it ran all the time")
	assert.Equal(t, clitest.Residence(before), clitest.Residence(after))
}

// machineAwayAndBack takes the machine of the added broker away, with all its
// processes, and kills the scheduler before it is back.
func machineAwayAndBack(t *testing.T, s *saga) {
	before := s.AwaitReady(4).Nodes[3]
	agent := s.Agent(before)
	agent.Stop()
	away := s.AwaitNode("broker-3", "unreachable", func(n frameworks.NodeStatus) bool { return n.Phase == frameworks.Unreachable })
	assert.Equal(t, clitest.Residence(before), clitest.Residence(away), "a machine that is away may still run it")
	// A master does not tell of a task that was gone when its agent came back.
	// The scheduler asks for it every minute, and at once when it starts.
	s.Kill()
	require.NoError(t, agent.Start())
	s.Mesos.WaitAgents(t, 5)
	s.Start()
	after := s.AwaitReady(4).Nodes[3]
	assert.Equal(t, clitest.Residence(before), clitest.Residence(after))
	assert.Greater(t, after.Incarnation, before.Incarnation)
}

func replaced(t *testing.T, s *saga) {
	was, voters := s.AwaitReady(4).Nodes[2], s.voters()
	s.Operate("broker", "replace", "2")
	is := s.AwaitNode("broker-2", "ready in a new place", func(n frameworks.NodeStatus) bool {
		return n.Phase == frameworks.Ready && n.Generation == was.Generation+1
	})
	assert.NotEqual(t, clitest.Residence(was), clitest.Residence(is))
	s.Await("the old volume destroyed", func(frameworks.Status) bool {
		return slices.Equal(s.volumes(), []string{"kafka.broker-0.1.data", "kafka.broker-1.1.data", "kafka.broker-2.2.data", "kafka.broker-3.1.data"})
	})
	s.Await("a voter again", func(frameworks.Status) bool {
		now := s.voters()
		return len(now) == 3 && now[2] != "" && now[2] != voters[2]
	})
	assert.Equal(t, s.id, s.identity("kafka.broker-2.2.data", "cluster.id"))
}

func nothingLost(t *testing.T, s *saga) {
	ctx, cancel := context.WithTimeout(t.Context(), clitest.Patience)
	defer cancel()
	client := s.client()
	client.AddConsumeTopics(topic, later)
	missing := map[string]bool{}
	for i := range s.sent {
		missing[strconv.Itoa(i)] = true
	}
	for len(missing) > 0 {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) { delete(missing, string(r.Value)) })
		require.NoError(t, ctx.Err(), "%d of %d messages are missing", len(missing), s.sent)
	}
}

func schedulerEnds(t *testing.T, s *saga) {
	status := s.AwaitReady(3)
	assert.Zero(t, s.Terminate())
	for _, n := range status.Nodes {
		conn, err := net.Dial("tcp", n.Address("client"))
		require.NoError(t, err, n.Name)
		require.NoError(t, conn.Close())
	}
}
