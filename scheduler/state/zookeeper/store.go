package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"

	"github.com/go-zookeeper/zk"

	"github.com/mesokit/mesokit/scheduler/state"
)

// Store is a [state.Store] in ZooKeeper. Its methods may be called from several
// goroutines. While ZooKeeper is out of reach they wait, until their context
// ends.
type Store struct {
	client *client
	log    *slog.Logger

	turn chan struct{} // held by who uses the fields below
	copy *replica      // as far as this process has read; nil: nothing yet
	// writer is nil while this store is not the writer.
	writer *writer

	// Smaller in tests: the weight of the log that is worth a snapshot, and
	// the size of a part.
	least, part int

	mu   sync.Mutex
	lead *lead // the last one; nil before the first
}

// Open returns the store at a URL. It does not wait for ZooKeeper.
func Open(c Config) (*Store, error) {
	c = c.withDefaults()
	ensemble, err := c.validate()
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	s := &Store{log: c.Logger, turn: make(chan struct{}, 1), least: compactWeight, part: maxPart}
	s.client, err = connect(c, ensemble, s.lost)
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	return s, nil
}

// Close ends the session with ZooKeeper, and with it the lead: who stands by
// takes over at once. It is safe to call twice; all else fails afterwards.
func (s *Store) Close() error {
	s.mu.Lock()
	l := s.lead
	s.mu.Unlock()
	if l != nil {
		l.end(context.Canceled)
	}
	s.client.end()
	return nil
}

// Load implements [state.Store]. After [Store.Lead] it makes this store the
// writer as long as the lead lasts; once that is lost it fails with
// [state.ErrFenced], and takes the state from nobody. Without Lead it takes
// the state from whoever loaded last; while a scheduler leads that was elected,
// it fails with a [state.TakenError].
func (s *Store) Load(ctx context.Context) ([]state.Record, error) {
	if err := s.begin(ctx); err != nil {
		return nil, fmt.Errorf("load state: %w", err)
	}
	defer s.end()
	s.writer = nil
	if err := s.client.prepare(ctx); err != nil {
		return nil, fmt.Errorf("load state: %w", err)
	}
	w, err := s.takeOver(ctx)
	if err != nil {
		return nil, fmt.Errorf("load state: %w", err)
	}
	if s.copy == nil {
		s.copy = &replica{}
	}
	err = s.copy.catchUp(ctx, s.client, w.header)
	if errors.Is(err, errGone) { // nobody else deletes now
		err = s.client.damaged(headerNode, err)
	}
	if err == nil {
		err = w.clean(ctx, s.copy)
	}
	if err != nil {
		s.copy = nil
		return nil, fmt.Errorf("load state: %w", err)
	}
	s.writer = w
	return s.copy.records.Snapshot(), nil
}

// takeOver begins a new epoch.
func (s *Store) takeOver(ctx context.Context) (*writer, error) {
	k := s.client
	for {
		l := s.election()
		w := &writer{client: k, part: s.part}
		if l != nil {
			if l.ctx.Err() != nil {
				return nil, state.ErrFenced
			}
			w.candidate = l.candidate
		}
		h, version, err := k.header(ctx)
		if err != nil {
			return nil, err
		}
		if l == nil {
			if err := s.untaken(ctx); err != nil {
				return nil, err
			}
		}
		h.Epoch++
		h.Writer = state.Holder()
		w.header, w.version = h, version
		results, err := w.write(ctx, k.set(headerNode, h.encode(), version))
		switch {
		case err == nil:
			w.version = results[0].Stat.Version
			return w, nil
		case errors.Is(err, errHeader):
			// Another has loaded, or this has without hearing of it. A server
			// may lag behind; sync brings it up to date.
			if _, err := request(ctx, k, func() (string, error) { return k.conn.Sync(k.root) }); err != nil {
				return nil, err
			}
		case errors.Is(err, errCandidate):
			s.lost("the candidate is gone from ZooKeeper")
			return nil, state.ErrFenced
		default:
			return nil, err
		}
	}
}

// untaken fails if a scheduler was elected.
func (s *Store) untaken(ctx context.Context) error {
	candidates, err := s.candidates(ctx)
	if err != nil || len(candidates) == 0 {
		return err
	}
	return &state.TakenError{Dir: s.client.url, Holder: s.holder(ctx, candidates[0])}
}

// Save implements [state.Store]. An error that is neither about the batch nor
// [state.ErrFenced] may leave the outcome unknown; then nothing more is saved
// before the next Load.
func (s *Store) Save(ctx context.Context, batch []state.Record) error {
	if err := state.Check(batch); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	if err := s.begin(ctx); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	defer s.end()
	w := s.writer
	if w == nil {
		return fmt.Errorf("save state: %w", state.ErrFenced)
	}
	if l := s.election(); w.candidate != "" && l.ctx.Err() != nil && errors.Is(context.Cause(l.ctx), state.ErrFenced) {
		return fmt.Errorf("save state: %w", context.Cause(l.ctx))
	}
	if w.failed != nil {
		return fmt.Errorf("save state: an earlier save failed, load again: %w", w.failed)
	}
	err := w.append(ctx, s.copy, batch)
	if errors.Is(err, errHeader) || errors.Is(err, errCandidate) {
		s.lost(err.Error())
		s.writer = nil
		if w.failed == nil {
			err = state.ErrFenced
		}
	}
	if err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	if len(batch) > 0 {
		s.compact(ctx)
	}
	return nil
}

// compact writes a snapshot when the log has become heavy. The batch just saved
// is durable either way, so a failure is only logged and tried again when the
// log has grown by half.
func (s *Store) compact(ctx context.Context) {
	if s.copy.log < max(s.least, s.copy.base, s.writer.retry) {
		return
	}
	err := s.writer.snapshot(ctx, s.copy)
	if err == nil {
		err = s.writer.clean(ctx, s.copy)
	}
	if err != nil {
		s.writer.retry = s.copy.log + s.copy.log/2
		s.log.Warn("cannot compact the state", "state", s.client.url, "log_bytes", s.copy.log, "err", err)
	}
}

// Read returns the records as they are now, and leaves the writer alone: for a
// look at the state of a scheduler that runs. Where there is no state, the
// error is [fs.ErrNotExist].
func (s *Store) Read(ctx context.Context) ([]state.Record, error) {
	// A server may lag behind.
	_, err := request(ctx, s.client, func() (string, error) { return s.client.conn.Sync("/") })
	var r *replica
	if err == nil {
		r, err = s.client.read(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	return r.records.Sorted(), nil
}

// begin waits for the turn of the caller.
func (s *Store) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.client.closing.Err() != nil {
		return fmt.Errorf("%s: %w", s.client.url, fs.ErrClosed)
	}
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) end() { <-s.turn }

// holder names a candidate.
func (s *Store) holder(ctx context.Context, candidate string) string {
	data, _, err := s.client.get(ctx, candidatesNode+"/"+candidate)
	switch {
	case errors.Is(err, zk.ErrNoNode):
		return "a scheduler that has just ended"
	case err != nil:
		return "a scheduler that cannot be named: " + err.Error()
	}
	return strings.TrimSpace(string(data))
}
