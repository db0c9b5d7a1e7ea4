package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mesokit/mesokit/examples/internal/quickstart"
	"github.com/mesokit/mesokit/frameworks"
)

const (
	topic      = "quickstart"
	partitions = 6
	count      = 100_000
)

// messages are the numbers 0 to count-1, each in a message of its own.
type messages struct {
	*quickstart.Ledger
	client *kgo.Client
}

// newMessages makes the topic.
func newMessages(ctx context.Context, brokers []frameworks.NodeStatus) (*messages, error) {
	var seeds []string
	for _, n := range brokers {
		seeds = append(seeds, n.Address("client"))
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.DefaultProduceTopic(topic),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		return nil, err
	}
	two := "2"
	_, err = kadm.NewClient(client).CreateTopic(ctx, partitions, 3, map[string]*string{"min.insync.replicas": &two}, topic)
	if err != nil {
		client.Close()
		return nil, fmt.Errorf("make topic %s: %w", topic, err)
	}
	return &messages{Ledger: quickstart.NewLedger(count), client: client}, nil
}

func (m *messages) close() { m.client.Close() }

// produce returns when every message was acknowledged or given up. It calls
// middle when a third was acknowledged, and goes on meanwhile.
func (m *messages) produce(ctx context.Context, middle func() error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 3*time.Minute, errors.New("producing took more than 3 minutes"))
	defer cancel()
	reached := make(chan error, 1)
	for i := range count {
		// The number is the key: it alone decides about the partition.
		record := kgo.KeySliceRecord([]byte(strconv.Itoa(i)), fmt.Appendf(nil, "message %d of %d", i, count))
		m.client.Produce(ctx, record, func(_ *kgo.Record, err error) {
			if err != nil {
				return // not acknowledged, so it cannot be lost
			}
			if m.Acknowledge(i) == count/3 {
				go func() { reached <- middle() }()
			}
		})
	}
	err := m.client.Flush(ctx)
	if n := m.Acknowledged(); n < count/3 {
		return errors.Join(fmt.Errorf("only %d of %d messages were acknowledged", n, count), err)
	}
	return <-reached
}

// consume reads every partition from its beginning to its present end.
func (m *messages) consume(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("reading took more than 2 minutes"))
	defer cancel()
	ends, err := kadm.NewClient(m.client).ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("where topic %s ends: %w", topic, err)
	}
	from := map[int32]kgo.Offset{}
	left := map[int32]int64{} // partitions and the offset that ends them
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			from[o.Partition], left[o.Partition] = kgo.NewOffset().AtStart(), o.Offset
		}
	})
	m.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	for len(left) > 0 {
		fetches := m.client.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("%w; %d partitions left", context.Cause(ctx), len(left))
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if i, err := strconv.Atoi(string(r.Key)); err == nil {
				m.Read(i)
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return nil
}
