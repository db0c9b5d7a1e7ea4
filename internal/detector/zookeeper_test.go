package detector_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/internal/detector"
	"github.com/mesokit/mesokit/internal/dist/disttest"
)

const patience = 30 * time.Second

// election is a client that stands for the masters.
type election struct {
	t    *testing.T
	conn *zk.Conn
	acl  []zk.ACL
}

func newElection(t *testing.T, server *disttest.ZooKeeperServer) *election {
	conn, _, err := zk.Connect([]string{server.Address}, 10*time.Second, zk.WithLogInfo(false))
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	e := &election{t, conn, zk.WorldACL(zk.PermAll)}
	e.create("/mesos", 0, "")
	return e
}

func (e *election) create(path string, flags int32, data string) string {
	e.t.Helper()
	var name string
	require.Eventually(e.t, func() (ok bool) {
		var err error
		name, err = e.conn.Create(path, []byte(data), flags, e.acl)
		return err == nil
	}, patience, 50*time.Millisecond)
	return name
}

func (e *election) join(port int) string {
	return e.create("/mesos/json.info_", zk.FlagSequence,
		fmt.Sprintf(`{"address":{"hostname":"m","ip":"127.0.0.1","port":%d}}`, port))
}

func (e *election) leave(node string) {
	e.t.Helper()
	require.Eventually(e.t, func() bool { // the connection may be coming back
		err := e.conn.Delete(node, -1)
		return err == nil || errors.Is(err, zk.ErrNoNode)
	}, patience, 50*time.Millisecond)
}

// follow tells outcomes as text.
func follow(t *testing.T, url string) func() string {
	ensemble, err := detector.Parse(url)
	require.NoError(t, err)
	outcomes := make(chan string, 64)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ensemble.Follow(ctx, func(l detector.Leader, err error) {
			outcomes <- fmt.Sprint(l.Port, " ", err)
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return func() string {
		t.Helper()
		select {
		case o := <-outcomes:
			return o
		case <-time.After(patience):
			t.Fatal("nothing is told")
			return ""
		}
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	server := disttest.ZooKeeper(t)
	next := follow(t, "zk://"+server.Address+"/mesos")
	assert.Contains(t, next(), "does not exist")

	e := newElection(t, server)
	e.create("/mesos/log_replicas", 0, "")
	for outcome := next(); outcome != "5051 <nil>"; outcome = next() {
		assert.Contains(t, outcome, "no master is there")
		e.join(5051)
	}
	second := e.join(5052)
	children, _, err := e.conn.Children("/mesos")
	require.NoError(t, err)
	for _, child := range children {
		if node := "/mesos/" + child; node != second && child != "log_replicas" {
			e.leave(node)
		}
	}
	assert.Equal(t, "5052 <nil>", next())
	e.leave(second)
	assert.Contains(t, next(), "no master is there")
	e.create("/mesos/info_", zk.FlagSequence, "protobuf")
	assert.Contains(t, next(), "before Mesos 0.24")
	bad := e.create("/mesos/json.info_", zk.FlagSequence, "{}")
	assert.Contains(t, next(), "has no address")
	e.leave(bad)
	assert.Contains(t, next(), "before Mesos 0.24")
	e.join(5053)
	assert.Equal(t, "5053 <nil>", next())
}

func TestFollowOutlivesTheServer(t *testing.T) {
	t.Parallel()
	server := disttest.ZooKeeper(t)
	e := newElection(t, server)
	first := e.join(5051)
	next := follow(t, "zk://"+server.Address+"/mesos")
	assert.Equal(t, "5051 <nil>", next())

	// The server comes back and knows the session: the watch goes on.
	server.Stop(t)
	server.Start(t)
	e.join(5052)
	e.leave(first)
	assert.Equal(t, "5052 <nil>", next())
}

func TestFollowOutlivesItsSession(t *testing.T) {
	t.Parallel()
	server := disttest.ZooKeeper(t)
	e := newElection(t, server)
	first := e.join(5051)
	before := server.Sessions(t)
	line := newLine(t, server.Address)
	next := follow(t, "zk://"+line.address()+"/mesos")
	assert.Equal(t, "5051 <nil>", next())
	require.Equal(t, before+1, server.Sessions(t))

	line.cut()
	require.Eventually(t, func() bool { return server.Sessions(t) == before }, patience, 50*time.Millisecond)
	e.join(5052)
	e.leave(first)
	line.mend()
	for outcome := next(); outcome != "5052 <nil>"; outcome = next() {
		assert.NotContains(t, outcome, "<nil>", "only errors on the way")
	}
}

// TestFollowOutlivesASilentServer: one that is starting may accept and never
// answer. The client library alone would wait for longer than this test.
func TestFollowOutlivesASilentServer(t *testing.T) {
	t.Parallel()
	server := disttest.ZooKeeper(t)
	newElection(t, server).join(5051)
	line := newLine(t, server.Address)
	line.mu.Lock()
	line.mute = 1
	line.mu.Unlock()
	next := follow(t, "zk://"+line.address()+"/mesos")
	for outcome := next(); outcome != "5051 <nil>"; outcome = next() {
		assert.NotContains(t, outcome, "<nil>", "only errors on the way")
	}
}

// TestFollowSaysWhoIsOutOfReach, also where a name is unknown: it may become
// known later.
func TestFollowSaysWhoIsOutOfReach(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	gone := l.Addr().String()
	require.NoError(t, l.Close())
	outcome := follow(t, "zk://"+gone+"/mesos")()
	assert.Contains(t, outcome, "read zk://"+gone+"/mesos")
	assert.Contains(t, outcome, "connection refused")
	assert.Contains(t, follow(t, "zk://nowhere.invalid/mesos")(), "nowhere.invalid")
}

// line is a TCP connection to a server that can be cut.
type line struct {
	net.Listener
	mu    sync.Mutex
	dead  bool
	mute  int // so many connections are accepted and never answered
	conns []net.Conn
}

func newLine(t *testing.T, to string) *line {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := &line{Listener: listener}
	var copying sync.WaitGroup
	copying.Go(func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			if l.silent(in) {
				continue
			}
			out, err := net.Dial("tcp", to)
			if err != nil || !l.add(in, out) {
				_ = in.Close()
				continue
			}
			copying.Go(func() { _, _ = io.Copy(in, out); _ = in.Close() })
			copying.Go(func() { _, _ = io.Copy(out, in); _ = out.Close() })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		l.cut()
		copying.Wait()
	})
	return l
}

func (l *line) address() string { return l.Addr().String() }

func (l *line) add(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		for _, c := range conns {
			_ = c.Close()
		}
		return false
	}
	l.conns = append(l.conns, conns...)
	return true
}

// silent says that a connection is to stay without an answer.
func (l *line) silent(in net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mute == 0 {
		return false
	}
	l.mute--
	l.conns = append(l.conns, in)
	return true
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = true
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.conns = nil
}

func (l *line) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = false
}

func TestFollowAuthenticates(t *testing.T) {
	t.Parallel()
	server := disttest.ZooKeeper(t)
	e := newElection(t, server)
	e.join(5051)
	_, err := e.conn.SetACL("/mesos", zk.DigestACL(zk.PermAll, "me", "secret"), -1)
	require.NoError(t, err)
	assert.Contains(t, follow(t, "zk://"+server.Address+"/mesos")(), "may not be read")
	assert.Contains(t, follow(t, "zk://me:wrong@"+server.Address+"/mesos")(), "may not be read")
	assert.Equal(t, "5051 <nil>", follow(t, "zk://me:secret@"+server.Address+"/mesos")())
}
