package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path"
	"reflect"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/mesokit/mesokit/internal/detector"
	"github.com/mesokit/mesokit/internal/zkconn"
)

// retry is the pause before a request is sent again on a new connection.
const retry = 50 * time.Millisecond

// client is a connection to ZooKeeper, with sessions that follow each other.
type client struct {
	conn *zk.Conn
	root string // path of the state
	url  string // of the state, without the password
	auth string // user:password, or empty
	acl  []zk.ACL
	log  *slog.Logger
	// lost is called when no lead can be relied on any more. It must not block.
	lost func(reason string)

	authenticating sync.Mutex
	authenticated  bool

	closing context.Context // done by close
	close   context.CancelFunc

	mu        sync.Mutex
	requests  sync.WaitGroup // none is added once closing is done
	connected bool
	unreached bool          // and it was said
	timeout   time.Duration // of the session, as the servers granted it
	grace     *time.Timer   // runs while not connected
}

func connect(c Config, e detector.Ensemble, lost func(reason string)) (*client, error) {
	k := &client{root: e.Path, url: e.String(), acl: zk.WorldACL(zk.PermAll), log: c.Logger, lost: lost, timeout: c.SessionTimeout}
	if e.User != "" {
		k.auth = e.User + ":" + e.Password
		k.acl = zk.DigestACL(zk.PermAll, e.User, e.Password)
	}
	k.closing, k.close = context.WithCancel(context.Background())
	conn, _, err := zk.Connect(e.Servers, c.SessionTimeout,
		zk.WithLogger(silent{}), zk.WithLogInfo(false), zk.WithHostProvider(&zkconn.Hosts{}), zk.WithDialer(k.dial), zk.WithEventCallback(k.session))
	if err != nil {
		k.close()
		return nil, fmt.Errorf("connect to %s: %w", k.url, err)
	}
	k.conn = conn
	return k, nil
}

// end closes the session, which ends the lead at once, and waits for requests.
func (k *client) end() {
	k.mu.Lock()
	k.close()
	connected := k.connected
	k.mu.Unlock()
	if connected {
		k.conn.Close()
	} else {
		go k.conn.Close() // it waits a second for an answer that will not come
	}
	k.requests.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.grace != nil {
		k.grace.Stop()
	}
}

// dial connects to a server and listens to its greeting.
func (k *client) dial(network, address string, timeout time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout(network, address, timeout)
	if err != nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		if !k.unreached && k.closing.Err() == nil {
			k.log.Warn("ZooKeeper cannot be reached; trying on", "server", address, "err", err)
		}
		k.unreached = true
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return zkconn.Greet(conn, k.timeout, func(timeout time.Duration) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.timeout = timeout
	}), nil
}

// session follows the connection. A lead is not to be relied on when the
// session has expired, and before it can have: the library cuts a silent
// connection after two thirds of the timeout, and a quarter more is short of
// the whole.
func (k *client) session(ev zk.Event) {
	if ev.Type != zk.EventSession {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch ev.State {
	case zk.StateHasSession:
		if k.grace != nil {
			k.grace.Stop()
		}
		if !k.connected {
			k.log.Info("connected to ZooKeeper", "server", ev.Server, "session_timeout", k.timeout)
		}
		k.connected, k.unreached = true, false
	case zk.StateDisconnected:
		if k.connected && k.closing.Err() == nil {
			k.log.Warn("the connection to ZooKeeper is lost", "server", ev.Server)
			k.countDown()
		}
		k.connected = false
	case zk.StateExpired:
		k.log.Warn("the session with ZooKeeper has expired")
		k.lost("the session with ZooKeeper has expired")
	}
}

// watch makes sure that the count-down runs if there is no connection now.
func (k *client) watch() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.connected {
		k.countDown()
	}
}

func (k *client) countDown() {
	if k.grace != nil {
		k.grace.Stop()
	}
	k.grace = time.AfterFunc(k.timeout/4, func() { k.lost("ZooKeeper is out of reach") })
}

// request has do carried out, again after each loss of the connection: then
// the attempt before may have been carried out as well. It returns when there
// is an answer, when ctx ends (do may go on then), or when the client does.
func request[T any](ctx context.Context, k *client, do func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	var none T
	for {
		answers := make(chan answer, 1)
		started := k.begin(func() {
			var a answer
			if a.err = k.authenticate(); a.err == nil {
				a.value, a.err = do()
			}
			answers <- a
		})
		if !started {
			return none, fs.ErrClosed
		}
		select {
		case a := <-answers:
			if !unanswered(a.err) {
				return a.value, a.err
			}
		case <-ctx.Done():
			return none, ctx.Err()
		}
		select {
		case <-time.After(retry):
		case <-k.closing.Done():
		case <-ctx.Done():
			return none, ctx.Err()
		}
	}
}

// begin runs do in a goroutine that end waits for.
func (k *client) begin(do func()) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closing.Err() != nil {
		return false
	}
	k.requests.Go(do)
	return true
}

// authenticate tells ZooKeeper who this is. The library repeats it on later
// connections, but only what has succeeded once.
func (k *client) authenticate() error {
	k.authenticating.Lock()
	defer k.authenticating.Unlock()
	if k.auth == "" || k.authenticated {
		return nil
	}
	err := k.conn.AddAuth("digest", []byte(k.auth))
	k.authenticated = err == nil
	return err
}

// unanswered says that an error is one of the connection.
func unanswered(err error) bool {
	for _, lost := range []error{
		zk.ErrConnectionClosed, zk.ErrNoServer, zk.ErrSessionExpired, zk.ErrSessionMoved, zk.ErrClosing,
		io.EOF, net.ErrClosed, os.ErrDeadlineExceeded,
	} {
		if errors.Is(err, lost) {
			return true
		}
	}
	_, ok := errors.AsType[*net.OpError](err)
	return ok
}

// explain turns ZooKeeper's words into what can be done.
func (k *client) explain(node string, err error) error {
	switch {
	case errors.Is(err, zk.ErrNoAuth):
		return fmt.Errorf("%s%s is closed to this user: give the user and password with which it was made: %w", k.url, node, err)
	case errors.Is(err, zk.ErrNoNode):
		return fmt.Errorf("%s%s: %w", k.url, node, fs.ErrNotExist)
	}
	return fmt.Errorf("%s%s: %w", k.url, node, err)
}

func (k *client) get(ctx context.Context, node string) ([]byte, *zk.Stat, error) {
	type result struct {
		data []byte
		stat *zk.Stat
	}
	r, err := request(ctx, k, func() (r result, err error) {
		r.data, r.stat, err = k.conn.Get(k.root + node)
		return r, err
	})
	return r.data, r.stat, err
}

func (k *client) children(ctx context.Context, node string) ([]string, error) {
	return request(ctx, k, func() ([]string, error) {
		names, _, err := k.conn.Children(k.root + node)
		return names, err
	})
}

// awaits returns a channel that tells of the next change of the node: that it
// is made, changed or gone.
func (k *client) awaits(ctx context.Context, node string) (exists bool, changed <-chan zk.Event, err error) {
	type result struct {
		exists  bool
		changed <-chan zk.Event
	}
	r, err := request(ctx, k, func() (r result, err error) {
		r.exists, _, r.changed, err = k.conn.ExistsW(k.root + node)
		return r, err
	})
	return r.exists, r.changed, err
}

// multi carries out all or none of the operations. If none, failed is the
// index of the one that could not be. uncertain says that an attempt before
// had no answer: what it would have changed may have been changed by it.
func (k *client) multi(ctx context.Context, ops ...any) (results []zk.MultiResponse, failed int, uncertain bool, err error) {
	attempts := 0
	results, err = request(ctx, k, func() ([]zk.MultiResponse, error) {
		attempts++
		return k.conn.Multi(ops...)
	})
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil, -1, true, err // the attempt may still run
	}
	failed = -1
	for i := len(results) - 1; i >= 0 && err != nil; i-- {
		if errors.Is(results[i].Error, err) {
			failed = i
		}
	}
	return results, failed, attempts > 1, err
}

// prepare makes what is missing of the state's nodes, and sees that they are
// for whom they should be.
func (k *client) prepare(ctx context.Context) error {
	for i, c := range k.root {
		if c == '/' && i > 0 {
			if err := k.make(ctx, k.root[:i], nil, zk.WorldACL(zk.PermAll)); err != nil {
				return fmt.Errorf("make %s: %w", k.root[:i], err)
			}
		}
	}
	for _, node := range []string{"", logNode, partsNode, candidatesNode, headerNode} {
		var data []byte
		if node == headerNode {
			data = header{Layout: layoutVersion, First: 1}.encode()
		}
		if err := k.make(ctx, k.root+node, data, k.acl); err != nil {
			return k.explain(node, err)
		}
	}
	acl, err := request(ctx, k, func() ([]zk.ACL, error) {
		acl, _, err := k.conn.GetACL(k.root + headerNode)
		return acl, err
	})
	if err != nil {
		return k.explain(headerNode, err)
	}
	if !reflect.DeepEqual(acl, k.acl) {
		return fmt.Errorf("%s was made for others than this user: open it as before, or export it and import it under another path", k.url)
	}
	return nil
}

// make creates a node unless it exists.
func (k *client) make(ctx context.Context, node string, data []byte, acl []zk.ACL) error {
	exists, err := request(ctx, k, func() (bool, error) {
		exists, _, err := k.conn.Exists(node)
		return exists, err
	})
	if err != nil || exists {
		return err
	}
	_, err = request(ctx, k, func() (string, error) { return k.conn.Create(node, data, 0, acl) })
	if errors.Is(err, zk.ErrNodeExists) {
		return nil
	}
	return err
}

// create, remove, set and check are operations of a multi.
func (k *client) create(node string, data []byte) any {
	return &zk.CreateRequest{Path: path.Join(k.root, node), Data: data, Acl: k.acl}
}

func (k *client) remove(node string) any {
	return &zk.DeleteRequest{Path: path.Join(k.root, node), Version: -1}
}

func (k *client) set(node string, data []byte, version int32) any {
	return &zk.SetDataRequest{Path: path.Join(k.root, node), Data: data, Version: version}
}

func (k *client) check(node string, version int32) any {
	return &zk.CheckVersionRequest{Path: path.Join(k.root, node), Version: version}
}

// silent drops what the client library logs: what matters comes back as an
// error or an event.
type silent struct{}

func (silent) Printf(string, ...any) {}
