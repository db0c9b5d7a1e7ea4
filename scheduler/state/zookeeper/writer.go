package zookeeper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-zookeeper/zk"

	"github.com/mesokit/mesokit/scheduler/state"
)

const (
	// compactWeight is the weight of the log below which a snapshot is not
	// worth its writes; about a thousand small batches.
	compactWeight = 4 << 20

	// deleteTogether is how many nodes one transaction deletes.
	deleteTogether = 500
)

// What a write may find instead of what its writer left.
var (
	errHeader    = errors.New("another writer has loaded the state")
	errCandidate = errors.New("the candidate is gone from ZooKeeper")
)

// writer is the right to write, from a Load to the next, of anyone.
type writer struct {
	client    *client
	candidate string // must be there; empty: no election
	header    header
	version   int32 // of the header's node: nobody has loaded since
	part      int   // size of a part
	names     int   // counts the parts that were named
	failed    error // why the outcome of a save is unknown
	retry     int   // weight of the log at which a failed snapshot is tried again
}

// write carries out the operations in one transaction with the checks that
// this is the writer. When a check fails, the error is errHeader or
// errCandidate; it is also errUncertain if an attempt before had no answer.
func (w *writer) write(ctx context.Context, ops ...any) ([]zk.MultiResponse, error) {
	checks := []any{w.client.check(headerNode, w.version)}
	reasons := []error{errHeader}
	if w.candidate != "" {
		checks = append(checks, w.client.check(candidatesNode+"/"+w.candidate, -1))
		reasons = append(reasons, errCandidate)
	}
	results, failed, uncertain, err := w.client.multi(ctx, slices.Concat(checks, ops)...)
	switch {
	case err == nil:
		return results[len(checks):], nil
	case failed >= 0 && failed < len(checks):
		err = reasons[failed]
	}
	if uncertain {
		err = fmt.Errorf("%w, %w", err, errUncertain)
	}
	return nil, err
}

// errUncertain says that an attempt had no answer, so that its outcome is not
// known.
var errUncertain = errors.New("and an attempt before that had no answer")

// append makes the batch durable and puts it into the copy.
func (w *writer) append(ctx context.Context, r *replica, batch []state.Record) error {
	if len(batch) == 0 {
		_, err := w.write(ctx)
		return err
	}
	kind, body := byte(kindBatch), state.AppendBatch(nil, batch)
	var in *parts
	if len(body) > w.part {
		p, err := w.store(ctx, body)
		if err != nil {
			return err
		}
		kind, body, in = kindParts, p.encode(), &p
	}
	node := encodeNode(r.next, kind, body)
	_, err := w.write(ctx, w.client.create(batchNode(r.next), node))
	if errors.Is(err, zk.ErrNodeExists) && errors.Is(err, errUncertain) {
		err = w.recognize(ctx, batchNode(r.next), node)
	}
	if errors.Is(err, errUncertain) && (errors.Is(err, errHeader) || errors.Is(err, errCandidate)) {
		err = w.settle(ctx, r.next, err)
	}
	if errors.Is(err, errUncertain) {
		w.failed = err
	}
	if err != nil {
		return err
	}
	r.take(batch, in, len(node)+nodeWeight)
	return nil
}

// recognize finds that a node was made by an attempt that had no answer.
func (w *writer) recognize(ctx context.Context, node string, want []byte) error {
	data, _, err := w.client.get(ctx, node)
	if err == nil && !bytes.Equal(data, want) {
		err = errors.New("there is another in its place")
	}
	if err != nil {
		return fmt.Errorf("%w: %w", w.client.explain(node, err), errUncertain)
	}
	return nil
}

// settle finds out whether a batch was saved although this writer, which is
// none any more, had no answer: nothing of it can be carried out from now on.
func (w *writer) settle(ctx context.Context, number uint64, lost error) error {
	_, _, err := w.client.get(ctx, batchNode(number))
	h, _, headerErr := w.client.header(ctx)
	if !errors.Is(err, zk.ErrNoNode) || headerErr != nil || h.First > number {
		return lost // it was, or another is in its place, or a snapshot is
	}
	if errors.Is(lost, errCandidate) {
		return errCandidate
	}
	return errHeader
}

// store writes data into parts of a new name. Nothing refers to them yet.
func (w *writer) store(ctx context.Context, data []byte) (parts, error) {
	w.names++
	p, pieces := split(fmt.Sprintf("%d-%d", w.header.Epoch, w.names), data, w.part)
	for i, piece := range pieces {
		_, err := w.write(ctx, w.client.create(p.node(i), piece))
		// The name is new: only an attempt before can have made the node.
		if err != nil && !(errors.Is(err, zk.ErrNodeExists) && errors.Is(err, errUncertain)) {
			return p, err
		}
	}
	return p, nil
}

// snapshot puts the records of the copy in the place of the log.
func (w *writer) snapshot(ctx context.Context, r *replica) error {
	p, err := w.store(ctx, state.AppendBatch(nil, r.records.Sorted()))
	if err != nil {
		return err
	}
	next := w.header
	next.First, next.Snapshot = r.next, &p
	results, err := w.write(ctx, w.client.set(headerNode, next.encode(), w.version))
	var version int32
	switch {
	case err == nil:
		version = results[0].Stat.Version
	case errors.Is(err, errUncertain):
		h, v, lookErr := w.client.header(ctx)
		if lookErr != nil || h.Epoch != next.Epoch || h.Snapshot == nil || h.Snapshot.Name != p.Name {
			w.failed = errors.Join(err, lookErr)
			return w.failed
		}
		version = v
	default:
		return err
	}
	w.header, w.version, w.retry = next, version, 0
	r.base, r.log = p.Bytes+p.Count*nodeWeight, 0
	clear(r.large)
	return nil
}

// clean deletes what is left over from before the snapshot, and from writes
// that were not finished.
func (w *writer) clean(ctx context.Context, r *replica) error {
	batches, err := w.client.children(ctx, logNode)
	if err != nil {
		return w.client.explain(logNode, err)
	}
	var old []any
	for _, name := range batches {
		number, ok := batchNumber(name)
		switch {
		case !ok || number >= r.next:
			return w.client.damaged(logNode+"/"+name, fmt.Errorf("batch %d is missing before it", r.next))
		case number < w.header.First:
			old = append(old, w.client.remove(logNode+"/"+name))
		}
	}
	used := map[string]bool{}
	if w.header.Snapshot != nil {
		used[w.header.Snapshot.Name] = true
	}
	for _, p := range r.large {
		used[p.Name] = true
	}
	pieces, err := w.client.children(ctx, partsNode)
	if err != nil {
		return w.client.explain(partsNode, err)
	}
	for _, name := range pieces {
		if i := strings.LastIndex(name, "-"); i < 0 || !used[name[:i]] {
			old = append(old, w.client.remove(partsNode+"/"+name))
		}
	}
	for some := range slices.Chunk(old, deleteTogether) {
		_, err := w.write(ctx, some...)
		if errors.Is(err, zk.ErrNoNode) && errors.Is(err, errUncertain) {
			continue // they were deleted by an attempt that had no answer
		}
		if err != nil {
			return fmt.Errorf("delete what is left over in %s: %w", w.client.url, err)
		}
	}
	return nil
}
