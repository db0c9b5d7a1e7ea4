package zookeeper_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/internal/dist/disttest"
	"github.com/mesokit/mesokit/scheduler/state"
	"github.com/mesokit/mesokit/scheduler/state/statetest"
	"github.com/mesokit/mesokit/scheduler/state/zookeeper"
)

const (
	patience = time.Minute

	// forever is a session timeout that no pause of the machine reaches.
	forever = 2 * time.Minute
)

type silent struct{}

func (silent) Printf(string, ...any) {}

var quiet = slog.New(slog.DiscardHandler)

// place is a path of its own on the server that the tests share.
type place struct {
	server string
	path   string
}

// TestRealServer runs all tests that can do with one ZooKeeper.
func TestRealServer(t *testing.T) {
	t.Parallel()
	server := disttest.ZooKeeper(t, "maxSessionTimeout=120000")
	for i, c := range []struct {
		name string
		test func(t *testing.T, p place)
	}{
		{"suite", testSuite},
		{"standby takes over", testStandby},
		{"expired session", testExpired},
		{"cut off", testCutOff},
		{"candidate removed", testCandidateRemoved},
		{"lead given up", testGivenUp},
		{"who waits no more", testStopsWaiting},
		{"elected one is not robbed", testTaken},
		{"standby is warm", testWarm},
		{"standby over a snapshot", testFollowsSnapshots},
		{"lost answers", testLostAnswers},
		{"unknown outcome", testUnknownOutcome},
		{"unknown outcome and another writer", testUnknownAndFenced},
		{"left-overs", testLeftOvers},
		{"log stays small", testCompacts},
		{"damage", testDamage},
		{"newer layout", testNewerLayout},
		{"strangers", testStrangers},
		{"read", testRead},
		{"silent server", testSilentServer},
		{"closed", testClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, place{server.Address, fmt.Sprintf("/tests/%d", i)})
		})
	}
}

// config is that of a process which reaches ZooKeeper at an address.
func (p place) config(address string) zookeeper.Config {
	return zookeeper.Config{URL: "zk://me:secret@" + address + p.path, SessionTimeout: forever, Logger: quiet}
}

func (p place) open(t testing.TB) *zookeeper.Store { return opened(t, p.config(p.server)) }

// behind opens the store of a process whose connection is in the test's hands.
func (p place) behind(t testing.TB) (*zookeeper.Store, *proxy) {
	x := newProxy(t, p.server)
	return opened(t, p.config(x.address)), x
}

func opened(t testing.TB, c zookeeper.Config) *zookeeper.Store {
	t.Helper()
	s, err := zookeeper.Open(c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// conn is a client of its own that sees and changes what is in ZooKeeper.
func (p place) conn(t testing.TB) *zk.Conn {
	t.Helper()
	conn, _, err := zk.Connect([]string{p.server}, 20*time.Second, zk.WithLogger(silent{}), zk.WithLogInfo(false))
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	require.NoError(t, conn.AddAuth("digest", []byte("me:secret")))
	return conn
}

func record(key, value string) state.Record {
	return state.Record{Key: key, Value: []byte(value)}
}

func load(t testing.TB, s state.Store, want ...state.Record) {
	t.Helper()
	got, err := s.Load(t.Context())
	require.NoError(t, err)
	if len(want) > 0 || len(got) > 0 {
		require.Equal(t, want, got)
	}
}

func save(t testing.TB, s state.Store, batch ...state.Record) {
	t.Helper()
	require.NoError(t, s.Save(t.Context(), batch))
}

func fenced(t testing.TB, s state.Store, batch ...state.Record) {
	t.Helper()
	require.ErrorIs(t, s.Save(t.Context(), batch), state.ErrFenced)
}

// lead makes s lead at once.
func lead(t testing.TB, s *zookeeper.Store) context.Context {
	t.Helper()
	ctx, err := s.Lead(t.Context())
	require.NoError(t, err)
	return ctx
}

// ended waits for the end of a lead.
func ended(t testing.TB, lead context.Context) {
	t.Helper()
	select {
	case <-lead.Done():
		require.ErrorIs(t, context.Cause(lead), state.ErrFenced)
	case <-time.After(patience):
		t.Fatal("the lead does not end")
	}
}

// standby is a store that waits to lead.
type standby struct {
	*zookeeper.Store
	leads chan context.Context
}

// standsBy returns when s waits in the queue behind so many others.
func (p place) standsBy(t testing.TB, s *zookeeper.Store, behind int) standby {
	t.Helper()
	b := standby{s, make(chan context.Context, 1)}
	go func() {
		ctx, err := s.Lead(t.Context())
		if err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
		b.leads <- ctx
	}()
	p.waitCandidates(t, behind+1)
	return b
}

func (p place) waitCandidates(t testing.TB, count int) {
	t.Helper()
	conn := p.conn(t)
	require.Eventually(t, func() bool {
		names, _, err := conn.Children(p.path + "/candidates")
		return err == nil && len(names) == count
	}, patience, 20*time.Millisecond, "%d candidates", count)
}

func (b standby) elected(t testing.TB) context.Context {
	t.Helper()
	select {
	case ctx := <-b.leads:
		require.NotNil(t, ctx)
		return ctx
	case <-time.After(patience):
		t.Fatal("the standby does not lead")
		return nil
	}
}

// testSuite holds the store to the contract of all stores. To crash is to be
// cut off in a write: before the server has it, or before the answer.
func testSuite(t *testing.T, p place) {
	var places atomic.Int32
	statetest.Run(t, func(t *testing.T) statetest.Place {
		at := place{p.server, fmt.Sprintf("%s/%d", p.path, places.Add(1))}
		machine := &machine{t: t, place: at}
		return statetest.Place{Open: machine.open, Crash: machine.crash}
	})
}

// machine runs one process at a time; a crash cuts it off for good.
type machine struct {
	t     *testing.T
	place place
	proxy *proxy
	die   context.CancelCauseFunc
}

func (m *machine) open() (state.Store, error) {
	m.proxy = newProxy(m.t, m.place.server)
	alive, die := context.WithCancelCause(m.t.Context())
	m.die = die
	m.t.Cleanup(func() { die(nil) })
	s, err := zookeeper.Open(m.place.config(m.proxy.address))
	return process{s, alive}, err
}

var errCrashed = errors.New("the machine has crashed")

func (m *machine) crash(n int, seed uint64) {
	p, die := m.proxy, m.die
	p.intercept(func(op int32, _ []byte) fate {
		switch op {
		case opCreate, opDelete, opSet, opMulti:
		default:
			return delivered
		}
		if n > 0 {
			n--
			return delivered
		}
		p.cut = true // whoever asks holds the lock
		die(errCrashed)
		if seed%2 == 0 {
			return lost
		}
		return unanswered
	})
}

// process is a store whose calls end with the process.
type process struct {
	*zookeeper.Store
	alive context.Context
}

func (s process) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.alive, cancel)
	return ctx, func() { stop(); cancel() }
}

func (s process) Load(ctx context.Context) ([]state.Record, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	return s.Store.Load(ctx)
}

func (s process) Save(ctx context.Context, batch []state.Record) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	return s.Store.Save(ctx, batch)
}
