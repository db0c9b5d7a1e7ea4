package zookeeper

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/go-zookeeper/zk"

	"github.com/mesokit/mesokit/scheduler/state"
)

// lead is the time from an election to the loss of it.
type lead struct {
	candidacy string // begins the name of its candidate, and of no other store's
	candidate string // name of the node whose life is that of the lead
	ctx       context.Context
	end       context.CancelCauseFunc
}

// Lead waits until this store leads, and meanwhile keeps a copy of the state up
// to date, so that the Load after it takes little time. The context that it
// returns ends with the lead, with [state.ErrFenced] as its cause, and with ctx;
// run the scheduler under it:
//
//	lead, err := store.Lead(ctx)
//	if err != nil {
//		return err
//	}
//	return scheduler.Run(lead, scheduler.Config{Store: store, ...})
//
// The lead lasts until the session with ZooKeeper has expired or could have,
// until [Store.Close], and until Lead is called again, which gives it up and
// joins at the end of those who wait. Once it is lost, Save and Load fail with
// [state.ErrFenced] until Lead has returned again.
func (s *Store) Lead(ctx context.Context) (context.Context, error) {
	l, err := s.stand(ctx)
	if err != nil {
		return nil, fmt.Errorf("lead: %w", err)
	}
	return l.ctx, nil
}

func (s *Store) stand(ctx context.Context) (*lead, error) {
	if err := s.client.prepare(ctx); err != nil {
		return nil, err
	}
	if l := s.election(); l != nil {
		s.lose(l, "it was given up")
		if err := s.withdraw(ctx, l); err != nil {
			return nil, err
		}
	}
	l := &lead{candidacy: rand.Text() + "-"}
	copied, err := s.standBy(ctx, l)
	if err == nil {
		err = s.begin(ctx)
	}
	if err != nil {
		// Who waits no more must not become the first of those who wait.
		s.client.begin(func() { s.giveUp(l) })
		return nil, err
	}
	defer s.end()
	s.copy, s.writer = copied, nil
	l.ctx, l.end = context.WithCancelCause(ctx)
	s.mu.Lock()
	s.lead = l
	s.mu.Unlock()
	s.client.watch()
	s.log.Info("this scheduler leads", "state", s.client.url)
	s.client.begin(func() { s.guard(l) })
	return l, nil
}

// standBy follows the state until this store's candidate is elected.
func (s *Store) standBy(ctx context.Context, l *lead) (*replica, error) {
	waiting, stop := context.WithCancelCause(ctx)
	copied := &replica{}
	var following sync.WaitGroup
	following.Go(func() {
		if err := copied.follow(waiting, s.client); err != nil {
			stop(err)
		}
	})
	err := s.elect(waiting, l)
	if err != nil && waiting.Err() != nil {
		err = context.Cause(waiting)
	}
	stop(nil)
	following.Wait()
	return copied, err
}

// elect waits until the candidate of l is the first of all.
func (s *Store) elect(ctx context.Context, l *lead) error {
	leader := ""
	for {
		candidates, err := s.candidates(ctx)
		if err != nil {
			return err
		}
		mine := slices.IndexFunc(candidates, l.owns)
		if mine == 0 {
			l.candidate = candidates[0]
			return nil
		}
		if mine < 0 {
			if err := s.join(ctx, l); err != nil {
				return err
			}
			continue
		}
		if leader != candidates[0] {
			leader = candidates[0]
			s.log.Info("this scheduler stands by", "state", s.client.url, "leader", s.holder(ctx, leader), "ahead", mine)
		}
		before := candidatesNode + "/" + candidates[mine-1]
		exists, changed, err := s.client.awaits(ctx, before)
		if err != nil {
			return s.client.explain(before, err)
		}
		if !exists {
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// join makes a candidate. If the answer is lost there may be two; all of them
// go when it withdraws.
func (s *Store) join(ctx context.Context, l *lead) error {
	_, err := request(ctx, s.client, func() (string, error) {
		k := s.client
		return k.conn.Create(k.root+candidatesNode+"/"+l.candidacy, []byte(state.Holder()), zk.FlagEphemeral|zk.FlagSequence, k.acl)
	})
	if err != nil {
		return s.client.explain(candidatesNode, err)
	}
	return nil
}

// withdraw deletes the candidate of l.
func (s *Store) withdraw(ctx context.Context, l *lead) error {
	candidates, err := s.candidates(ctx)
	if err != nil {
		return err
	}
	for _, name := range candidates {
		if !l.owns(name) {
			continue
		}
		_, err := request(ctx, s.client, func() (struct{}, error) {
			return struct{}{}, s.client.conn.Delete(s.client.root+candidatesNode+"/"+name, -1)
		})
		if err != nil && !errors.Is(err, zk.ErrNoNode) {
			return s.client.explain(candidatesNode+"/"+name, err)
		}
	}
	return nil
}

// guard ends the lead when its candidate is gone, and takes the candidate away
// when the lead was lost in another way, so that the next can lead.
func (s *Store) guard(l *lead) {
	k := s.client
	for l.ctx.Err() == nil {
		exists, changed, err := k.awaits(l.ctx, candidatesNode+"/"+l.candidate)
		if err != nil {
			break // the lead has ended, or ZooKeeper does not let us look
		}
		if !exists {
			s.lose(l, "the candidate is gone from ZooKeeper")
			return
		}
		select {
		case <-changed:
		case <-l.ctx.Done():
		case <-k.closing.Done():
			return
		}
	}
	if errors.Is(context.Cause(l.ctx), state.ErrFenced) {
		s.giveUp(l)
	}
}

// giveUp lets another lead.
func (s *Store) giveUp(l *lead) {
	k := s.client
	if err := s.withdraw(k.closing, l); err != nil && k.closing.Err() == nil {
		s.log.Warn("the lead cannot be given to another", "state", k.url, "err", err)
	}
}

// lost ends the lead, if there is one.
func (s *Store) lost(reason string) {
	if l := s.election(); l != nil {
		s.lose(l, reason)
	}
}

func (s *Store) lose(l *lead, reason string) {
	if l.ctx.Err() != nil {
		return
	}
	s.log.Warn("this scheduler has lost the lead", "state", s.client.url, "reason", reason)
	l.end(fmt.Errorf("%s: %w", reason, state.ErrFenced))
}

// election returns the last lead, or nil if there was none.
func (s *Store) election() *lead {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lead
}

// candidates are all who lead or stand by, the leader first.
func (s *Store) candidates(ctx context.Context) ([]string, error) {
	names, err := s.client.children(ctx, candidatesNode)
	if err != nil {
		return nil, s.client.explain(candidatesNode, err)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(sequence(a), sequence(b)), cmp.Compare(a, b))
	})
	return names, nil
}

func (l *lead) owns(candidate string) bool { return strings.HasPrefix(candidate, l.candidacy) }

// sequence is the number that ZooKeeper gave to a candidate.
func sequence(name string) int64 {
	_, digits, _ := strings.Cut(name, "-")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 1 << 62 // nobody's: last
	}
	return n
}
