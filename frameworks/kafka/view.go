package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/mesokit/mesokit/frameworks"
)

// view is a Kafka cluster as it tells of itself.
type view struct {
	Brokers    []registered `json:"brokers"` // by id
	Leader     int32        `json:"leader"`  // of the quorum: the active controller
	Voters     []voter      `json:"voters"`
	Partitions []partition  `json:"-"`
}

// registered is a broker that the cluster knows.
type registered struct {
	ID     int32  `json:"id"`
	Rack   string `json:"rack,omitempty"`
	Fenced bool   `json:"fenced,omitempty"` // it does not serve
}

// voter is a controller that counts for the quorum.
type voter struct {
	ID        int32    `json:"id"`
	Directory [16]byte `json:"directory"`
	// Behind is for how long it has not had all that the leader has.
	Behind time.Duration `json:"behind,omitempty"`
}

// partition is one with all its replicas, the preferred leader first.
type partition struct {
	topic         string
	index         int32
	replicas, isr []int32
	least         int // min.insync.replicas
}

func (p partition) String() string { return fmt.Sprintf("%s-%d", p.topic, p.index) }

// connect makes a client that asks the brokers which are ready, if possible
// others than those given. Close it.
func connect(d frameworks.Deployment, besides ...frameworks.Node) (*kgo.Client, error) {
	var seeds, others []string
	for _, n := range d.Pod(pod) {
		same := func(m frameworks.Node) bool { return m.Name == n.Name }
		switch {
		case !n.Ready:
		case slices.ContainsFunc(besides, same):
			others = append(others, n.Address(clientPort))
		default:
			seeds = append(seeds, n.Address(clientPort))
		}
	}
	if len(seeds) == 0 {
		seeds = others
	}
	if len(seeds) == 0 {
		return nil, errors.New("no broker is ready")
	}
	return kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.MetadataMinAge(50*time.Millisecond), kgo.RetryTimeout(10*time.Second))
}

// ask looks through brokers other than the nodes, if possible.
func ask(ctx context.Context, d frameworks.Deployment, nodes ...frameworks.Node) (view, error) {
	client, err := connect(d, nodes...)
	if err != nil {
		return view{}, err
	}
	defer client.Close()
	return look(ctx, client, nodes...)
}

// look asks for what concerns the nodes: the brokers, the quorum, and the
// partitions with a replica on one of them.
func look(ctx context.Context, client *kgo.Client, nodes ...frameworks.Node) (view, error) {
	var v view
	if err := v.askBrokers(ctx, client); err != nil {
		return v, fmt.Errorf("describe cluster: %w", err)
	}
	if err := v.askQuorum(ctx, client); err != nil {
		return v, fmt.Errorf("describe quorum: %w", err)
	}
	if len(nodes) == 0 {
		return v, nil
	}
	if err := v.askPartitions(ctx, client, ids(nodes)); err != nil {
		return v, fmt.Errorf("ask for partitions: %w", err)
	}
	return v, nil
}

func ids(nodes []frameworks.Node) []int32 {
	var out []int32
	for _, n := range nodes {
		out = append(out, int32(n.Index))
	}
	return out
}

func (v *view) askBrokers(ctx context.Context, client *kgo.Client) error {
	request := kmsg.NewPtrDescribeClusterRequest()
	request.IncludeFencedBrokers = true
	answer, err := request.RequestWith(ctx, client)
	if err == nil {
		err = kerr.ErrorForCode(answer.ErrorCode)
	}
	if err != nil {
		return err
	}
	for _, b := range answer.Brokers {
		r := registered{ID: b.NodeID, Fenced: b.IsFenced}
		if b.Rack != nil {
			r.Rack = *b.Rack
		}
		v.Brokers = append(v.Brokers, r)
	}
	slices.SortFunc(v.Brokers, func(a, b registered) int { return int(a.ID - b.ID) })
	return nil
}

// askQuorum asks with all times from the leader's own clock.
func (v *view) askQuorum(ctx context.Context, client *kgo.Client) error {
	request := kmsg.NewPtrDescribeQuorumRequest()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic = "__cluster_metadata"
	topic.Partitions = append(topic.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	request.Topics = append(request.Topics, topic)
	answer, err := request.RequestWith(ctx, client)
	if err == nil {
		err = kerr.ErrorForCode(answer.ErrorCode)
	}
	switch {
	case err != nil:
		return err
	case len(answer.Topics) != 1 || len(answer.Topics[0].Partitions) != 1:
		return fmt.Errorf("the answer is about %d topics", len(answer.Topics))
	}
	quorum := answer.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(quorum.ErrorCode); err != nil {
		return err
	}
	v.Leader = quorum.LeaderID
	var now int64 // by the leader, which is never behind itself
	for _, r := range quorum.CurrentVoters {
		now = max(now, r.LastCaughtUpTimestamp)
	}
	for _, r := range quorum.CurrentVoters {
		behind := time.Duration(now-r.LastCaughtUpTimestamp) * time.Millisecond
		v.Voters = append(v.Voters, voter{ID: r.ReplicaID, Directory: r.ReplicaDirectoryID, Behind: behind})
	}
	return nil
}

func (v *view) askPartitions(ctx context.Context, client *kgo.Client, of []int32) error {
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = nil // all
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	var topics []string
	for _, t := range answer.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil || t.Topic == nil {
			return fmt.Errorf("topic %v: %w", t.Topic, err)
		}
		for _, p := range t.Partitions {
			if slices.ContainsFunc(of, func(id int32) bool { return slices.Contains(p.Replicas, id) }) {
				v.Partitions = append(v.Partitions, partition{topic: *t.Topic, index: p.Partition, replicas: p.Replicas, isr: p.ISR})
				topics = append(topics, *t.Topic)
			}
		}
	}
	slices.SortFunc(v.Partitions, comparePartitions)
	slices.Sort(topics)
	least, err := minInSync(ctx, client, slices.Compact(topics))
	for i := range v.Partitions {
		v.Partitions[i].least = least[v.Partitions[i].topic]
	}
	return err
}

func comparePartitions(a, b partition) int {
	if a.topic != b.topic {
		if a.topic < b.topic {
			return -1
		}
		return 1
	}
	return int(a.index - b.index)
}

const minInSyncReplicas = "min.insync.replicas"

// minInSync asks for min.insync.replicas of topics.
func minInSync(ctx context.Context, client *kgo.Client, topics []string) (map[string]int, error) {
	out := map[string]int{}
	if len(topics) == 0 {
		return out, nil
	}
	configs, err := kadm.NewClient(client).DescribeTopicConfigs(ctx, topics...)
	if err != nil {
		return nil, err
	}
	for _, topic := range configs {
		if topic.Err != nil {
			return nil, fmt.Errorf("configuration of topic %s: %w", topic.Name, topic.Err)
		}
		for _, c := range topic.Configs {
			if c.Key != minInSyncReplicas {
				continue
			}
			if out[topic.Name], err = strconv.Atoi(c.MaybeValue()); err != nil {
				return nil, fmt.Errorf("%s of topic %s: %w", minInSyncReplicas, topic.Name, err)
			}
		}
	}
	return out, nil
}
