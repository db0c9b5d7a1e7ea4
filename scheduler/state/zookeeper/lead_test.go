package zookeeper_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/internal/dist/disttest"
	"github.com/mesokit/mesokit/scheduler/state"
	"github.com/mesokit/mesokit/scheduler/state/zookeeper"
)

func testStandby(t *testing.T, p place) {
	first := p.open(t)
	lead(t, first)
	load(t, first)
	save(t, first, record("a", "1"))
	second := p.standsBy(t, p.open(t), 1)
	third := p.standsBy(t, p.open(t), 2)
	save(t, first, record("b", "2"))

	require.NoError(t, first.Close())
	second.elected(t)
	load(t, second, record("a", "1"), record("b", "2"))
	save(t, second, record("c", "3"))

	require.NoError(t, second.Close())
	third.elected(t)
	load(t, third, record("a", "1"), record("b", "2"), record("c", "3"))
}

// testExpired: the session ends while nobody hears of it, as when the process
// was stopped.
func testExpired(t *testing.T, p place) {
	first, connection := p.behind(t)
	firstLead := lead(t, first)
	load(t, first)
	save(t, first, record("a", "first"))
	second := p.standsBy(t, p.open(t), 1)

	connection.expire(t)
	second.elected(t)
	fenced(t, first, record("a", "late")) // before the second has loaded
	load(t, second, record("a", "first"))
	save(t, second, record("a", "second"))
	ended(t, firstLead)
	fenced(t, first, record("a", "late"))
	fenced(t, first)
	_, err := first.Load(t.Context())
	require.ErrorIs(t, err, state.ErrFenced)
	save(t, second, record("b", "second"))

	// It can stand by again.
	again := p.standsBy(t, first, 1)
	require.NoError(t, second.Close())
	again.elected(t)
	load(t, first, record("a", "second"), record("b", "second"))
	save(t, first, record("a", "again"))
}

// testCutOff: the lead ends before the session can have expired, and is given
// up as soon as ZooKeeper is in reach again.
func testCutOff(t *testing.T, p place) {
	connection := newProxy(t, p.server)
	config := p.config(connection.address)
	config.SessionTimeout = 8 * time.Second
	first := opened(t, config)
	firstLead := lead(t, first)
	load(t, first)
	save(t, first, record("a", "1"))

	second := p.standsBy(t, p.open(t), 1)
	connection.setCut(true)
	ended(t, firstLead)
	fenced(t, first, record("a", "2"))
	connection.setCut(false)
	second.elected(t)
	load(t, second, record("a", "1"))
	fenced(t, first, record("a", "2"))
}

func testCandidateRemoved(t *testing.T, p place) {
	s := p.open(t)
	ctx := lead(t, s)
	load(t, s)
	conn := p.conn(t)
	names, _, err := conn.Children(p.path + "/candidates")
	require.NoError(t, err)
	require.Len(t, names, 1)
	require.NoError(t, conn.Delete(p.path+"/candidates/"+names[0], -1))
	fenced(t, s, record("a", "1"))
	ended(t, ctx)
}

// testGivenUp calls Lead again, which lets the next one lead.
func testGivenUp(t *testing.T, p place) {
	first, second := p.open(t), p.open(t)
	before := lead(t, first)
	load(t, first)
	next := p.standsBy(t, second, 1)
	again := make(chan context.Context, 1)
	go func() {
		ctx, err := first.Lead(t.Context())
		assert.NoError(t, err)
		again <- ctx
	}()
	ended(t, before)
	next.elected(t)
	load(t, second)
	save(t, second, record("a", "1"))
	require.NoError(t, second.Close())
	standby{first, again}.elected(t)
	fenced(t, first) // it has not loaded
	load(t, first, record("a", "1"))
}

func testStopsWaiting(t *testing.T, p place) {
	first, second, third := p.open(t), p.open(t), p.open(t)
	lead(t, first)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() {
		_, err := second.Lead(ctx)
		stopped <- err
	}()
	p.waitCandidates(t, 2)
	last := p.standsBy(t, third, 2)
	cancel()
	require.ErrorIs(t, <-stopped, context.Canceled)
	p.waitCandidates(t, 2)
	require.NoError(t, first.Close())
	last.elected(t)
}

func testTaken(t *testing.T, p place) {
	single := p.open(t)
	load(t, single)
	save(t, single, record("a", "1"))

	// One that is elected takes the state from one that is not,
	elected := p.open(t)
	lead(t, elected)
	save(t, single, record("a", "2"))
	load(t, elected, record("a", "2"))
	fenced(t, single)
	// which cannot take it back.
	_, err := single.Load(t.Context())
	taken := &state.TakenError{}
	require.ErrorAs(t, err, &taken)
	assert.Contains(t, taken.Holder, "process ")
	assert.Contains(t, taken.Dir, p.path)
	assert.NotContains(t, err.Error(), "secret")
	save(t, elected, record("a", "3"))
}

// testWarm counts what a standby reads when it takes over.
func testWarm(t *testing.T, p place) {
	first := p.open(t)
	lead(t, first)
	load(t, first)
	standbyStore, connection := p.behind(t)
	var read atomic.Int32
	var awaited atomic.Uint64 // the batch that it waits for when it has read all before
	connection.intercept(func(op int32, request []byte) fate {
		_, batch, found := strings.Cut(string(request), "/log/")
		switch {
		case found && op == opGet:
			read.Add(1)
		case found && op == opExists:
			number, err := strconv.ParseUint(batch[:20], 10, 64)
			assert.NoError(t, err)
			awaited.Store(number)
		}
		return delivered
	})
	second := p.standsBy(t, standbyStore, 1)
	for range 100 {
		save(t, first, record("a", strings.Repeat("v", 1000)))
	}
	names, _, err := p.conn(t).Children(p.path + "/log")
	require.NoError(t, err)
	last, err := strconv.ParseUint(slices.Max(names), 10, 64)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return awaited.Load() > last }, patience, 10*time.Millisecond, "it has read batch %d", last)
	require.NoError(t, first.Close())
	second.elected(t)
	read.Store(0)
	load(t, second, record("a", strings.Repeat("v", 1000)))
	assert.Less(t, read.Load(), int32(10), "batches read by Load")
}

// testFollowsSnapshots lets the leader write snapshots while others follow.
func testFollowsSnapshots(t *testing.T, p place) {
	first := p.open(t)
	first.SetLeast(50_000)
	first.SetPart(10_000)
	lead(t, first)
	load(t, first)
	second := p.standsBy(t, p.open(t), 1)
	big := record("big", strings.Repeat("b", 40_000))
	var last state.Record
	for i := range 300 {
		last = record("a", strings.Repeat("v", i))
		if i%50 == 0 {
			save(t, first, big)
		}
		save(t, first, last)
	}
	require.NoError(t, first.Close())
	second.elected(t)
	load(t, second, last, big)
}

// TestRestartedServer: a lead outlasts the server.
func TestRestartedServer(t *testing.T) {
	t.Parallel()
	server := disttest.ZooKeeper(t, "maxSessionTimeout=120000")
	p := place{server.Address, "/restarted"}
	first, second := p.open(t), p.open(t)
	ctx := lead(t, first)
	load(t, first)
	save(t, first, record("a", "1"))
	next := p.standsBy(t, second, 1)

	server.Stop(t)
	saved := make(chan error, 1)
	go func() { saved <- first.Save(t.Context(), []state.Record{record("b", "2")}) }()
	server.Start(t)
	select {
	case err := <-saved:
		require.NoError(t, err)
	case <-time.After(patience):
		t.Fatal("the save that waited for the server does not return")
	}
	require.NoError(t, ctx.Err())
	require.NoError(t, first.Close())
	next.elected(t)
	load(t, second, record("a", "1"), record("b", "2"))
}

// TestServerComesLate opens a store before there is a server.
func TestServerComesLate(t *testing.T) {
	t.Parallel()
	server := disttest.ZooKeeper(t, "maxSessionTimeout=120000")
	server.Stop(t)
	p := place{server.Address, "/late"}
	s := p.open(t)
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := s.Load(short)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = s.Lead(short)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	server.Start(t)
	lead(t, s)
	load(t, s)
	save(t, s, record("a", "1"))
}

var _ state.Store = (*zookeeper.Store)(nil)
