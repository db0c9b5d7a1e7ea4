package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/cli/clitest"
)

// patient is the driver's own retry policy, which tries again at the same node
// what the node itself refused, and at the next what the connection broke.
type patient struct {
	gocql.ExponentialBackoffRetryPolicy
}

func (p *patient) GetRetryType(err error) gocql.RetryType {
	if answered := gocql.RequestError(nil); errors.As(err, &answered) {
		return gocql.Retry
	}
	return gocql.RetryNextHost
}

// ready is how the nodes that are ready are connected to.
func ready(st frameworks.Status) *gocql.ClusterConfig {
	cluster := gocql.NewCluster()
	for _, n := range st.Nodes {
		if n.Ready {
			cluster.Hosts = append(cluster.Hosts, n.Address("cql"))
		}
	}
	cluster.Consistency = gocql.Quorum
	cluster.Timeout = 5 * time.Second
	cluster.ConnectTimeout = 5 * time.Second
	cluster.ReconnectInterval = time.Second
	cluster.RetryPolicy = &patient{gocql.ExponentialBackoffRetryPolicy{NumRetries: 20, Min: 50 * time.Millisecond, Max: 2 * time.Second}}
	cluster.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(gocql.RoundRobinHostPolicy())
	cluster.DefaultIdempotence = true
	cluster.Logger = gocql.NewLogger(gocql.LogLevelNone)
	return cluster
}

// define changes the schema. No statement is tried again, however long it takes: two
// nodes that make the same table at once make two, and lose what was written to one.
func define(t *testing.T, st frameworks.Status, statements ...string) {
	t.Helper()
	cluster := ready(st)
	cluster.RetryPolicy, cluster.DefaultIdempotence = nil, false
	cluster.Timeout, cluster.MaxWaitSchemaAgreement = clitest.Patience, clitest.Patience
	session, err := cluster.CreateSession()
	require.NoError(t, err)
	defer session.Close()
	for _, statement := range statements {
		require.NoError(t, session.Query(statement).ExecContext(t.Context()))
	}
}

// load writes rows and reads them back at QUORUM without a pause, until it ends.
type load struct {
	session *gocql.Session
	stop    context.CancelFunc
	wait    sync.WaitGroup

	mu           sync.Mutex
	acknowledged []int
	read         int
	failed       []error
	retried      int
}

// ObserveQuery counts what the driver tried again.
func (l *load) ObserveQuery(_ context.Context, q gocql.ObservedQuery) {
	if q.Attempt > 0 {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.retried++
	}
}

const writers = 2

// newLoad makes a table with three replicas, and begins. It ends with the whole test,
// of which t is a step.
func newLoad(t, whole *testing.T, st frameworks.Status) *load {
	t.Helper()
	define(t, st,
		"CREATE KEYSPACE saga WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 3}",
		"CREATE TABLE saga.numbers (n int PRIMARY KEY, text text)")
	session, err := ready(st).CreateSession()
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	l := &load{session: session, stop: stop}
	whole.Cleanup(l.end)
	for w := range writers {
		l.wait.Go(func() { l.run(ctx, w) })
	}
	return l
}

// run writes every row of a number that leaves the rest w, and reads one written
// before after each.
func (l *load) run(ctx context.Context, w int) {
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	var mine []int
	for n := w; ; n += writers {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return
		}
		err := l.session.Query("INSERT INTO saga.numbers (n, text) VALUES (?, ?)", n, strconv.Itoa(n)).Observer(l).ExecContext(ctx)
		if err == nil {
			mine = append(mine, n)
		}
		l.count(ctx, n, err)
		if len(mine) == 0 {
			continue
		}
		old := mine[n*7919%len(mine)]
		var text string
		err = l.session.Query("SELECT text FROM saga.numbers WHERE n = ?", old).Observer(l).ScanContext(ctx, &text)
		if err == nil && text != strconv.Itoa(old) {
			err = fmt.Errorf("row %d has %q", old, text)
		}
		l.count(ctx, -1, err)
	}
}

// count takes in how the writing of a row, or a reading, ended.
func (l *load) count(ctx context.Context, written int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case ctx.Err() != nil: // it was cut
	case err != nil:
		l.failed = append(l.failed, fmt.Errorf("row %d: %w", written, err))
	case written >= 0:
		l.acknowledged = append(l.acknowledged, written)
	default:
		l.read++
	}
}

// quit ends the load, whose session stays.
func (l *load) quit() {
	l.stop()
	l.wait.Wait()
}

// end leaves nothing behind. The driver's Close waits for a connection that it makes
// anew, where the test has failed and all nodes are gone: nobody waits for it.
func (l *load) end() {
	l.quit()
	go l.session.Close()
}

// during lets something happen, and has none of the operations meanwhile fail.
func (l *load) during(t *testing.T, happens func()) {
	t.Helper()
	state := func() (int, int, int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.acknowledged), l.read, l.retried
	}
	began := time.Now()
	wrote, read, retried := state()
	happens()
	more, _, _ := state()
	require.Eventually(t, func() bool { now, _, _ := state(); return now > more+20 }, clitest.Patience, 20*time.Millisecond, "nothing is written any more")
	w, r, a := state()
	l.mu.Lock()
	assert.Empty(t, l.failed)
	l.failed = nil
	l.mu.Unlock()
	t.Logf("%v: %d rows written and %d read at QUORUM, %d tries again, 0 failed", time.Since(began).Round(100*time.Millisecond), w-wrote, r-read, a-retried)
}

// apart lets a node lose what it held, and be replaced: the other replicas have each
// row, but a quorum of one of them and of the new node, which took its data from the
// other, may not. Nothing else may fail.
func (l *load) apart(t *testing.T, happens func()) {
	t.Helper()
	happens()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, err := range l.failed {
		assert.ErrorIs(t, err, gocql.ErrNotFound)
	}
	t.Logf("%d reads found nothing before the repair", len(l.failed))
	l.failed = nil
}

// lost names the rows that were acknowledged and that QUORUM does not find.
func (l *load) lost(t *testing.T) (lost []int) {
	t.Helper()
	l.mu.Lock()
	acknowledged := slices.Clone(l.acknowledged)
	l.mu.Unlock()
	there := map[int]bool{}
	require.Eventually(t, func() bool {
		rows, n := l.session.Query("SELECT n FROM saga.numbers").Iter(), 0
		for rows.Scan(&n) {
			there[n] = true
		}
		return rows.Close() == nil
	}, clitest.Patience, 100*time.Millisecond, "the table cannot be read")
	for _, n := range acknowledged {
		if !there[n] {
			lost = append(lost, n)
		}
	}
	t.Logf("acknowledged=%d read=%d lost=%d", len(acknowledged), len(there), len(lost))
	return lost
}
