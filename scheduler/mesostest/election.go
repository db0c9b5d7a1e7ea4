package mesostest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/internal/detector"
)

// candidacy is a master's part in the election: an ephemeral node with its
// MasterInfo. The master whose node has the lowest number leads.
type candidacy struct {
	p        *Master
	server   *http.Server // the run of the process
	ensemble detector.Ensemble
	data     []byte // of the node
	conn     *zk.Conn
	wire     *wire
	cancel   context.CancelFunc // ends the watch on the others
}

// contend makes the master a candidate. It returns when its node is there.
func (p *Master) contend(server *http.Server, info mesos.MasterInfo) error {
	ensemble, err := detector.Parse(p.c.cfg.ZooKeeper)
	if err != nil {
		return fmt.Errorf("mesostest: ZooKeeper: %w", err)
	}
	k := &candidacy{p: p, server: server, ensemble: ensemble, data: toJSON(&info), wire: &wire{}}
	conn, events, err := zk.Connect(ensemble.Servers, p.c.cfg.ZooKeeperSession,
		zk.WithDialer(k.wire.dial), zk.WithLogger(silent{}), zk.WithLogInfo(false))
	if err != nil {
		return fmt.Errorf("mesostest: ZooKeeper: %w", err)
	}
	k.conn = conn
	ctx, cancel := context.WithCancel(p.c.ctx)
	k.cancel = cancel
	if ensemble.User != "" {
		// The client repeats it at every new connection; what fails now shows
		// when the node is made.
		_ = conn.AddAuth("digest", []byte(ensemble.User+":"+ensemble.Password))
	}
	join, end := context.WithTimeout(ctx, patience)
	defer end()
	if err := k.join(join); err != nil {
		k.leave()
		return fmt.Errorf("mesostest: ZooKeeper: %w", err)
	}
	p.mu.Lock()
	up := p.server == server
	if up {
		p.candidacy = k
	}
	p.mu.Unlock()
	if !up {
		k.vanish() // with the process
		return nil
	}
	p.c.work.Go(func() { k.keep(ctx, events) })
	p.c.work.Go(func() { ensemble.Follow(ctx, k.found) })
	return nil
}

// join makes the candidate's node, and those above it. As Mesos does: who has
// credentials keeps others from writing.
func (k *candidacy) join(ctx context.Context) error {
	acl := zk.WorldACL(zk.PermAll)
	if k.ensemble.User != "" {
		acl = append(zk.AuthACL(zk.PermAll), zk.WorldACL(zk.PermRead)...)
	}
	create := func(name string, data []byte, flags int32) error {
		for {
			_, err := k.conn.Create(name, data, flags, acl)
			switch {
			case err == nil || errors.Is(err, zk.ErrNodeExists):
				return nil
			case errors.Is(err, zk.ErrNoServer), errors.Is(err, zk.ErrConnectionClosed):
				if ctx.Err() == nil {
					continue // the client waits a second between its attempts to connect
				}
			}
			return fmt.Errorf("create %s in %s: %w", name, k.ensemble, err)
		}
	}
	// The replicas of the registry meet beside the candidates. The directory
	// is the first thing there, so the first candidate has the number 1.
	above := ""
	for part := range strings.SplitSeq(strings.TrimPrefix(path.Join(k.ensemble.Path, "log_replicas"), "/"), "/") {
		above += "/" + part
		if err := create(above, nil, 0); err != nil {
			return err
		}
	}
	return create(path.Join(k.ensemble.Path, "json.info_"), k.data, zk.FlagEphemeral|zk.FlagSequence)
}

// keep sees to it that the master is a candidate for as long as it lives. A
// leader whose session is over, or who must assume so since ZooKeeper was
// silent for as long as a session lasts, ends: others lead.
func (k *candidacy) keep(ctx context.Context, events <-chan zk.Event) {
	var silence <-chan time.Time
	for {
		expired := false
		select {
		case <-ctx.Done():
			return
		case <-silence:
			k.lost()
			silence = nil
		case e := <-events:
			switch e.State {
			case zk.StateHasSession:
				silence = nil
			case zk.StateDisconnected:
				if silence == nil {
					silence = time.After(k.p.c.cfg.ZooKeeperSession)
				}
			case zk.StateExpired:
				k.lost()
				expired = true
			}
		}
		if expired && ctx.Err() == nil {
			if err := k.join(ctx); err != nil && ctx.Err() == nil {
				k.p.c.cfg.Log.Error("contend again", "error", err)
			}
		}
	}
}

// lost ends a leader. Mesos does the same: it cannot know what the next leader
// has done since.
func (k *candidacy) lost() {
	k.p.running.wait(k.p.c.ctx)
	if k.p.Leads() {
		k.p.c.note("master at %s lost its leadership", k.p.Address())
		k.p.Kill()
	}
}

// found hears who leads.
func (k *candidacy) found(l detector.Leader, err error) {
	k.p.mu.Lock()
	mine, current := k.p.info.ID, k.p.server == k.server
	k.p.mu.Unlock()
	switch {
	case !current:
	case err != nil:
		k.p.redirect("")
	case l.ID != mine:
		k.p.redirect(net.JoinHostPort(l.IP, strconv.Itoa(l.Port)))
	default:
		if err := k.p.c.elect(k.p, k.server); err != nil {
			k.p.c.cfg.Log.Error("lead", "error", err)
		}
	}
}

// leave takes the candidate's node away.
func (k *candidacy) leave() {
	k.cancel()
	k.conn.Close()
}

// vanish ends the candidacy without a word: the node stays until the session
// has expired.
func (k *candidacy) vanish() {
	k.cancel()
	k.wire.cut()
	k.p.c.work.Go(k.conn.Close) // which waits a while for an answer
}

// wire is the way to ZooKeeper, which can be cut.
type wire struct {
	mu    sync.Mutex
	dead  bool
	conns []net.Conn
}

func (w *wire) dial(network, address string, timeout time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout(network, address, timeout)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
	w.conns = append(w.conns, conn)
	return conn, nil
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = true
	for _, conn := range w.conns {
		_ = conn.Close() // perhaps closed by the client before
	}
	w.conns = nil
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = false
}

// silent drops what the client of ZooKeeper logs: what matters comes back as
// an error.
type silent struct{}

func (silent) Printf(string, ...any) {}
