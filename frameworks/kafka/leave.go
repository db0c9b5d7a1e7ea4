package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/mesokit/mesokit/frameworks"
)

// cordoned is the option of a broker that gets no new replicas, "*" for all of
// its directories (KIP-1066, since Kafka 4.3).
const cordoned = "cordoned.log.dirs"

// removable refuses to let brokers leave that the cluster cannot do without as
// it was declared. What its topics want, leave asks.
func (c Cluster) removable(d frameworks.Deployment, nodes []frameworks.Node) error {
	remain := 0
	for _, n := range d.Nodes {
		leaves := slices.ContainsFunc(nodes, func(m frameworks.Node) bool { return m.Name == n.Name })
		switch {
		case leaves && controller(d, n):
			return fmt.Errorf("%s is one of the %d controllers: remove one that was added later, or replace it", n.Name, quorum(d))
		case leaves || n.Goal == frameworks.GoalLeave:
		case !n.Ready:
			return fmt.Errorf("%s is not ready, and what the leaving hold is to move to those that stay", n.Name)
		default:
			remain++
		}
	}
	for _, key := range []string{"default.replication.factor", "offsets.topic.replication.factor", "transaction.state.log.replication.factor"} {
		if factor, err := strconv.Atoi(c.Options[key]); err == nil && remain < factor {
			return fmt.Errorf("%d brokers would remain, and %s is %d", remain, key, factor)
		}
	}
	if factor := min(3, d.First[pod]); remain < factor {
		return fmt.Errorf("%d brokers would remain, and Kafka's own topics have %d replicas", remain, factor)
	}
	return nil
}

// leave moves the partitions of a broker to those that stay, and returns nil
// when it holds none. It is called until then.
func leave(ctx context.Context, d frameworks.Deployment, n frameworks.Node) error {
	if n.Arrived == 0 {
		return nil // it may not be known to the cluster
	}
	client, err := connect(d, n)
	if err != nil {
		return err
	}
	defer client.Close()
	leaving := int32(n.Index)
	if err := cordon(ctx, client, leaving); err != nil {
		return err
	}
	v, err := look(ctx, client, n)
	if err != nil {
		return err
	}
	if len(v.Partitions) == 0 {
		return nil
	}
	under, err := moving(ctx, client)
	if err != nil {
		return err
	}
	counts, err := replicas(ctx, client)
	if err != nil {
		return err
	}
	plan, err := v.evacuate(leaving, staying(d), counts, under)
	if err != nil {
		return err
	}
	if err := move(ctx, client, plan); err != nil {
		return err
	}
	return fmt.Errorf("%d of its partitions are still to be moved to others", len(v.Partitions))
}

// staying are the brokers that partitions may move to.
func staying(d frameworks.Deployment) []int32 {
	var out []int32
	for _, n := range d.Pod(pod) {
		if n.Goal == frameworks.GoalRun && n.Ready && !n.Replace {
			out = append(out, int32(n.Index))
		}
	}
	return out
}

// evacuate plans where the replicas on a broker go: each to a broker that has
// none of the partition, rather in a rack that has none, rather with fewer
// replicas, rather with a smaller id. What moves already is left alone.
func (v view) evacuate(leaving int32, staying []int32, counts map[int32]int, under map[string]bool) (map[string]map[int32][]int32, error) {
	racks := map[int32]string{}
	for _, b := range v.Brokers {
		racks[b.ID] = b.Rack
	}
	plan := map[string]map[int32][]int32{}
	for _, p := range v.Partitions {
		if under[p.String()] {
			continue
		}
		used := map[string]bool{}
		for _, id := range p.replicas {
			used[racks[id]] = used[racks[id]] || id != leaving
		}
		var to []int32
		for _, id := range staying {
			if !slices.Contains(p.replicas, id) {
				to = append(to, id)
			}
		}
		if len(to) == 0 {
			return nil, fmt.Errorf("partition %v has %d replicas, and none of the %d brokers that stay and are ready can take another", p, len(p.replicas), len(staying))
		}
		slices.SortFunc(to, func(a, b int32) int {
			if used[racks[a]] != used[racks[b]] {
				if used[racks[b]] {
					return -1
				}
				return 1
			}
			if counts[a] != counts[b] {
				return counts[a] - counts[b]
			}
			return int(a - b)
		})
		counts[to[0]]++
		moved := slices.Clone(p.replicas)
		moved[slices.Index(moved, leaving)] = to[0]
		if plan[p.topic] == nil {
			plan[p.topic] = map[int32][]int32{}
		}
		plan[p.topic][p.index] = moved
	}
	return plan, nil
}

// cordon keeps new topics off a broker, where Kafka knows how.
func cordon(ctx context.Context, client *kgo.Client, id int32) error {
	all := "*"
	answers, err := kadm.NewClient(client).AlterBrokerConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: cordoned, Value: &all}}, id)
	for _, a := range answers {
		if !unknownOption(a.Err) {
			err = errors.Join(err, a.Err)
		}
	}
	if err != nil {
		return fmt.Errorf("cordon broker %d: %w", id, err)
	}
	return nil
}

// unknownOption is what Kafka answers that does not have an option.
func unknownOption(err error) bool {
	return errors.Is(err, kerr.InvalidConfig) || errors.Is(err, kerr.InvalidRequest)
}

// moving are the partitions whose replicas are on their way.
func moving(ctx context.Context, client *kgo.Client) (map[string]bool, error) {
	answer, err := kadm.NewClient(client).ListPartitionReassignments(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("list reassignments: %w", err)
	}
	out := map[string]bool{}
	answer.Each(func(r kadm.ListPartitionReassignmentsResponse) {
		out[partition{topic: r.Topic, index: r.Partition}.String()] = true
	})
	return out, nil
}

// replicas counts what each broker holds.
func replicas(ctx context.Context, client *kgo.Client) (map[int32]int, error) {
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = nil // all
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("count replicas: %w", err)
	}
	out := map[int32]int{}
	for _, t := range answer.Topics {
		for _, p := range t.Partitions {
			for _, id := range p.Replicas {
				out[id]++
			}
		}
	}
	return out, nil
}

// move begins the planned reassignments.
func move(ctx context.Context, client *kgo.Client, plan map[string]map[int32][]int32) error {
	var request kadm.AlterPartitionAssignmentsReq
	for topic, partitions := range plan {
		for index, to := range partitions {
			request.Assign(topic, index, to)
		}
	}
	if len(plan) == 0 {
		return nil
	}
	answers, err := kadm.NewClient(client).AlterPartitionAssignments(ctx, request)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		return fmt.Errorf("move partitions: %w", err)
	}
	return nil
}
