package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"sync"

	"github.com/go-zookeeper/zk"

	"github.com/mesokit/mesokit/scheduler/state"
)

const (
	// nodeWeight is what a node costs besides its bytes, in bytes: to read, to
	// delete, and in ZooKeeper's memory.
	nodeWeight = 4 << 10

	// readAhead is how many batches are asked for at the same time, at most.
	readAhead = 64
)

// replica is a copy of the state up to a batch.
type replica struct {
	records state.Records
	next    uint64           // number of the first batch that is not in it; 0: nothing is
	large   map[uint64]parts // of the batches that lie in parts, by number
	base    int              // weight of the snapshot
	log     int              // weight of the batches after it
}

// errGone says that something was deleted that the header spoke of: the header
// has changed meanwhile, or the state is damaged.
var errGone = errors.New("gone")

// catchUp applies what has been written. The header must be newer than the
// copy.
func (r *replica) catchUp(ctx context.Context, k *client, h header) error {
	if r.next < h.First {
		if err := r.restart(ctx, k, h); err != nil {
			return err
		}
	}
	maps.DeleteFunc(r.large, func(number uint64, _ parts) bool { return number < h.First })
	for window := 1; ; window = min(4*window, readAhead) {
		nodes, err := k.batches(ctx, r.next, window)
		if err != nil {
			return err
		}
		for _, node := range nodes {
			if err := r.apply(ctx, k, node); err != nil {
				return err
			}
		}
		if len(nodes) < window {
			return nil
		}
	}
}

// restart begins with the snapshot.
func (r *replica) restart(ctx context.Context, k *client, h header) error {
	fresh := replica{records: state.Records{}, next: h.First, large: map[uint64]parts{}}
	if h.Snapshot != nil {
		data, err := k.assemble(ctx, *h.Snapshot)
		if err != nil {
			return err
		}
		batch, err := state.ParseBatch(data)
		if err != nil {
			return k.damaged(h.Snapshot.node(0), err)
		}
		fresh.records.Apply(batch)
		fresh.base = h.Snapshot.Bytes + h.Snapshot.Count*nodeWeight
	}
	*r = fresh
	return nil
}

// apply takes over the next batch.
func (r *replica) apply(ctx context.Context, k *client, node []byte) error {
	batch, in, err := decodeNode(r.next, node)
	if err != nil {
		return k.damaged(batchNode(r.next), err)
	}
	weight := len(node) + nodeWeight
	if in != nil {
		data, err := k.assemble(ctx, *in)
		if err != nil {
			return err
		}
		if batch, err = state.ParseBatch(data); err != nil {
			return k.damaged(in.node(0), err)
		}
	}
	r.take(batch, in, weight)
	return nil
}

// take counts a batch that is in the log, and in parts if in is not nil.
func (r *replica) take(batch []state.Record, in *parts, weight int) {
	if in != nil {
		r.large[r.next] = *in
		weight += in.Bytes + in.Count*nodeWeight
	}
	r.records.Apply(batch)
	r.log += weight
	r.next++
}

// batches reads the nodes of the log from a number on, up to the first that is
// not there.
func (k *client) batches(ctx context.Context, from uint64, count int) ([][]byte, error) {
	nodes := make([][]byte, count)
	errs := make([]error, count)
	var reading sync.WaitGroup
	for i := range nodes {
		reading.Go(func() { nodes[i], _, errs[i] = k.get(ctx, batchNode(from+uint64(i))) })
	}
	reading.Wait()
	for i, err := range errs {
		switch {
		case errors.Is(err, zk.ErrNoNode):
			return nodes[:i], nil
		case err != nil:
			return nil, k.explain(batchNode(from+uint64(i)), err)
		}
	}
	return nodes, nil
}

// assemble reads what lies in parts.
func (k *client) assemble(ctx context.Context, p parts) ([]byte, error) {
	var data []byte
	for i := range p.Count {
		piece, _, err := k.get(ctx, p.node(i))
		switch {
		case errors.Is(err, zk.ErrNoNode):
			return nil, fmt.Errorf("%s%s: %w", k.url, p.node(i), errGone)
		case err != nil:
			return nil, k.explain(p.node(i), err)
		}
		data = append(data, piece...)
	}
	if len(data) != p.Bytes || crc32.Checksum(data, castagnoli) != p.Check {
		return nil, k.damaged(p.node(0), errors.New("the parts do not match their check"))
	}
	return data, nil
}

func (k *client) damaged(node string, reason error) error {
	return &state.DamagedError{File: k.url + node, Reason: reason.Error()}
}

func (k *client) header(ctx context.Context) (header, int32, error) {
	data, stat, err := k.get(ctx, headerNode)
	if err != nil {
		return header{}, 0, k.explain(headerNode, err)
	}
	h, err := decodeHeader(data)
	if err != nil {
		return header{}, 0, k.explain(headerNode, err)
	}
	return h, stat.Version, nil
}

// read returns a copy of the state as it is now, whoever writes it.
func (k *client) read(ctx context.Context) (*replica, error) {
	r := &replica{}
	h, version, err := k.header(ctx)
	if err != nil {
		return nil, err
	}
	for {
		err := r.catchUp(ctx, k, h)
		if err != nil && !errors.Is(err, errGone) {
			return nil, err
		}
		newer, newVersion, headerErr := k.header(ctx)
		switch {
		case headerErr != nil:
			return nil, headerErr
		case err == nil && newer.First <= r.next:
			return r, nil
		case newVersion == version:
			return nil, k.damaged(headerNode, err)
		}
		h, version = newer, newVersion
	}
}

// follow keeps r up to date until ctx ends.
func (r *replica) follow(ctx context.Context, k *client) error {
	var h header
	var changed <-chan zk.Event // the header
	for {
		if changed == nil {
			var err error
			if h, changed, err = k.watchHeader(ctx); err != nil {
				return err
			}
		}
		var more <-chan zk.Event // the next batch
		err := r.catchUp(ctx, k, h)
		switch {
		case err == nil:
			exists, made, err := k.awaits(ctx, batchNode(r.next))
			if err != nil {
				return k.explain(batchNode(r.next), err)
			}
			if exists {
				continue
			}
			more = made
		case !errors.Is(err, errGone):
			return err
		}
		select {
		case <-more:
		case <-changed:
			changed = nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (k *client) watchHeader(ctx context.Context) (header, <-chan zk.Event, error) {
	type result struct {
		data    []byte
		changed <-chan zk.Event
	}
	r, err := request(ctx, k, func() (r result, err error) {
		r.data, _, r.changed, err = k.conn.GetW(k.root + headerNode)
		return r, err
	})
	if err != nil {
		return header{}, nil, k.explain(headerNode, err)
	}
	h, err := decodeHeader(r.data)
	if err != nil {
		return header{}, nil, k.explain(headerNode, err)
	}
	return h, r.changed, nil
}
