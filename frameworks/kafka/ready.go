package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/mesokit/mesokit/frameworks"
)

// unfenced lets a broker pass when, by its own listener, the cluster knows it
// and does not fence it: it is registered, caught up with the metadata, and
// its heartbeats arrive. (After a clean stop a broker stays listed until its
// session ends; that the answer comes from its own listener says that it
// lives.) DescribeCluster shows fenced brokers since version 2, KIP-1073.
func unfenced(ctx context.Context, _ frameworks.Deployment, n frameworks.Node) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(n.Address(clientPort)), kgo.RequestRetries(0))
	if err != nil {
		return fmt.Errorf("client of %s: %w", n.Name, err)
	}
	defer client.Close()
	request := kmsg.NewPtrDescribeClusterRequest()
	request.IncludeFencedBrokers = true
	answer, err := client.SeedBrokers()[0].Request(ctx, request)
	if err != nil {
		return fmt.Errorf("ask %s: %w", n.Address(clientPort), err)
	}
	cluster := answer.(*kmsg.DescribeClusterResponse)
	if err := kerr.ErrorForCode(cluster.ErrorCode); err != nil {
		return fmt.Errorf("describe cluster: %w", err)
	}
	for _, broker := range cluster.Brokers {
		if int(broker.NodeID) != n.Index {
			continue
		}
		if broker.IsFenced {
			return fmt.Errorf("broker %d is fenced", n.Index)
		}
		return nil
	}
	return fmt.Errorf("broker %d is not registered", n.Index)
}
