package mysql

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/mesokit/mesokit/frameworks"
)

// look asks every member at once.
func (s set) look(ctx context.Context, d frameworks.Deployment, m memory) (view, error) {
	v := s.each(ctx, d, func(*session, *member) error { return nil })
	v.Following = len(m.Following) > 0
	return v, nil
}

// each asks every member at once, and does something with those that answer.
func (s set) each(ctx context.Context, d frameworks.Deployment, do func(*session, *member) error) view {
	nodes := d.Pod(pod)
	v := view{Members: make([]member, len(nodes))}
	var wait sync.WaitGroup
	for i, n := range nodes {
		wait.Go(func() {
			session, m, err := s.reach(ctx, d, n)
			if err == nil {
				defer session.close()
				err = do(session, &m)
			}
			if err != nil {
				m = member{Node: n.Name, Generation: n.Generation, Err: err.Error()}
			}
			v.Members[i] = m
		})
	}
	wait.Wait()
	return v
}

func (s set) work(ctx context.Context, d frameworks.Deployment, m memory, do frameworks.Do) (string, error) {
	n, ok := d.Node(do.Node)
	if !ok && do.Node != "" {
		return "", fmt.Errorf("node %q: %w", do.Node, frameworks.ErrUnknown)
	}
	if !m.wants(do, n) {
		return "", fmt.Errorf("%s of epoch %s: nobody wants that any more", do.Name, do.Input)
	}
	switch {
	case do.Name == seal:
		return s.seal(ctx, d)
	case do.Name == promote:
		return s.promote(ctx, d, n, m.Epoch)
	case do.Name == yield:
		return "", s.yield(ctx, d, m, n)
	case do.Name == admin:
		return s.mark(), s.admin(ctx, d, n)
	case strings.HasPrefix(do.Name, follow):
		return s.follow(ctx, d, m, n)
	}
	return "", fmt.Errorf("work %q: is none of the failover", do.Name)
}

// seal has every member that answers receive no more: from then on nobody
// acknowledges anything that the last primary may still write. What they have is
// read afterwards.
func (s set) seal(ctx context.Context, d frameworks.Deployment) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	v := s.each(ctx, d, func(session *session, m *member) error {
		if m.Writable {
			return errors.New("still takes writes")
		}
		if m.Source != "" {
			if err := session.do(ctx, s.flavor.stopReceiving()); err != nil {
				return err
			}
		}
		sealed, err := s.flavor.look(ctx, session)
		sealed.Node, sealed.Generation = m.Node, m.Generation
		*m = sealed
		return err
	})
	text, err := json.Marshal(v)
	return string(text), err
}

// promote makes a member the primary when it has applied all that it received.
// All is said in one connection, so to no other process than the one that was
// elected. A member without a lease is none: see lapse. One that has handed over since
// is none either: a scheduler that was suspended may come here late.
func (s set) promote(ctx context.Context, d frameworks.Deployment, n frameworks.Node, epoch int) (string, error) {
	session, m, err := s.reach(ctx, d, n)
	if err != nil {
		return "", err
	}
	defer session.close()
	switch {
	case m.Lapsed:
	case m.Writable && m.Semisync:
		return "", nil
	default:
		if err := s.flavor.apply(ctx, session, m); err != nil {
			return s.late(ctx, session, err)
		}
		if err := session.do(ctx, s.flavor.promote(m, epoch)...); err != nil {
			return "", err
		}
		if m, err = s.flavor.look(ctx, session); err != nil || m.Writable && !m.Lapsed {
			return "", err
		}
		if !m.Lapsed {
			return "", fmt.Errorf("%s: promote for epoch %d: %w", n.Name, epoch, errSuperseded)
		}
	}
	return "", errors.Join(errLapsed, session.do(ctx, s.flavor.readOnly()))
}

var (
	errLapsed     = errors.New("its executor has no lease")
	errSuperseded = errors.New("it stays read-only: it has handed over since, to a primary of a later epoch")
	errLate       = fmt.Errorf("not applied within %d s", applyWithin)
)

// applying is what a promotion says of a member that is not through yet with
// what it received. It is given time: to give it up would end its server, and
// MariaDB's then forgets what it has not applied.
const applying = "applying"

// late tells whether a member that has not applied all goes on to do so.
func (s set) late(ctx context.Context, session *session, why error) (string, error) {
	if !errors.Is(why, errLate) {
		return "", why
	}
	m, err := s.flavor.look(ctx, session)
	if err != nil || !m.Applying {
		return "", errors.Join(fmt.Errorf("%w: %s", why, m.Trouble), err)
	}
	return applying, nil
}

// yield has the primary take no more writes, when the next one is close behind,
// and waits until that has them all. If that fails, the primary is promoted again; not here, so that a
// yield that nobody waits for any more makes nobody writable.
func (s set) yield(ctx context.Context, d frameworks.Deployment, m memory, n frameworks.Node) error {
	next, ok := d.Node(m.Next)
	if !ok {
		return fmt.Errorf("node %q: %w", m.Next, frameworks.ErrUnknown)
	}
	session, now, err := s.reach(ctx, d, n)
	if err != nil {
		return err
	}
	defer session.close()
	to, _, err := s.reach(ctx, d, next)
	if err != nil {
		return err
	}
	defer to.close()
	if err := s.flavor.await(ctx, to, now.Executed); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	// From here on only a promotion of a later epoch makes it writable again.
	if err := session.do(ctx, s.flavor.supersede(m.Epoch+1), s.flavor.readOnly()); err != nil {
		return err
	}
	last, err := s.flavor.look(ctx, session)
	if err != nil {
		return err
	}
	return s.flavor.await(ctx, to, last.Executed)
}

// mark tells one administrator's account from another, to everybody who may read
// the status: so it is not the hash itself.
func (s set) mark() string {
	sum := sha256.Sum256([]byte(s.Admin + " " + s.AdminHash))
	return hex.EncodeToString(sum[:4])
}

// admin makes the administrator's account, or changes it.
func (s set) admin(ctx context.Context, d frameworks.Deployment, n frameworks.Node) error {
	session, m, err := s.reach(ctx, d, n)
	if err != nil {
		return err
	}
	defer session.close()
	if !m.Writable {
		return fmt.Errorf("%s: is not the primary", n.Name)
	}
	return session.do(ctx, s.flavor.account(s.Admin, s.AdminHash)...)
}

// follow makes a member a replica of the primary, unless it has what the primary
// does not have, or wants what the primary has no more: then it says so.
func (s set) follow(ctx context.Context, d frameworks.Deployment, m memory, n frameworks.Node) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	primary, ok := d.Node(m.Primary)
	if !ok || primary.Name == n.Name {
		return "", fmt.Errorf("%s: has no primary to follow", n.Name)
	}
	replica, mine, err := s.reach(ctx, d, n)
	if err != nil {
		return "", err
	}
	defer replica.close()
	if mine.Writable { // somebody else's doing; what was written there makes it one that is made anew
		if err := replica.do(ctx, s.flavor.readOnly()); err != nil {
			return "", err
		}
		if mine, err = s.flavor.look(ctx, replica); err != nil {
			return "", err
		}
	}
	source, theirs, err := s.reach(ctx, d, primary) // after the replica, which can only have less
	if err != nil {
		return "", err
	}
	source.close()
	if !theirs.Writable {
		return "", fmt.Errorf("%s: is not the primary", primary.Name)
	}
	if apart, err := s.apart(mine, theirs); apart || err != nil {
		return rebuild, err
	}
	host, number, err := net.SplitHostPort(primary.Address(port))
	if err != nil {
		return "", err
	}
	return "", replica.do(ctx, s.flavor.follow(mine, host, number, d.Secret(copySecret))...)
}

// apart says whether a replica has executed what its primary has not, or lacks
// what the primary's binary logs do not tell any more.
func (s set) apart(replica, primary member) (bool, error) {
	mine, err := s.flavor.parse(replica.Executed)
	if err != nil {
		return false, err
	}
	theirs, err := s.flavor.parse(primary.Executed)
	if err != nil {
		return false, err
	}
	gone, err := s.flavor.parse(primary.Purged)
	if err != nil {
		return false, err
	}
	has, err := replica.has(s.flavor)
	return !theirs.contains(mine) || !has.contains(gone), err
}
