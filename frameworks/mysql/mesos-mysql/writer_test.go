package main

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/cli/clitest"
)

// writer writes rows to whoever the API calls the primary, for as long as the
// test lasts, and keeps which were acknowledged. Beside it runs a watch that asks
// every member whether it takes writes.
type writer struct {
	api  frameworks.Client
	stop context.CancelFunc
	wait sync.WaitGroup

	mu           sync.Mutex
	acknowledged map[int]bool
	both         []string // members that took writes at one time
	rounds       int      // of the watch
}

func open(address string) *sql.DB { return openAs("admin", password, address) }

func openAs(user, password, address string) *sql.DB {
	config := mysql.NewConfig()
	config.User, config.Passwd, config.Net, config.Addr = user, password, "tcp", address
	config.Timeout, config.ReadTimeout = time.Second, 2*time.Second
	config.RejectReadOnly = true
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		panic(err) // it is the same in every test
	}
	return sql.OpenDB(connector)
}

func primaryOf(st frameworks.Status) (frameworks.NodeStatus, bool) {
	for _, n := range st.Nodes {
		if n.Role == "primary" {
			return n, true
		}
	}
	return frameworks.NodeStatus{}, false
}

// newWriter begins to write.
func newWriter(t *testing.T, api frameworks.Client) *writer {
	ctx, stop := context.WithCancel(context.Background())
	w := &writer{api: api, stop: stop, acknowledged: map[int]bool{}}
	w.wait.Go(func() { w.write(ctx) })
	w.wait.Go(func() { w.watch(ctx) })
	t.Cleanup(func() {
		stop()
		w.wait.Wait()
	})
	return w
}

func (w *writer) write(ctx context.Context) {
	var db *sql.DB
	var address string
	statements := []string{"CREATE DATABASE IF NOT EXISTS saga", "CREATE TABLE IF NOT EXISTS saga.numbers (n INT PRIMARY KEY)"}
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	for i := 0; ctx.Err() == nil; {
		<-pace.C
		if db == nil {
			status, err := w.api.Status(ctx)
			n, ok := primaryOf(status)
			if err != nil || !ok {
				continue
			}
			address = n.Address("mysql")
			db = open(address)
		}
		err := execute(ctx, db, statements, i)
		if err != nil {
			db.Close()
			db = nil
			continue
		}
		statements = nil
		w.mu.Lock()
		w.acknowledged[i] = true
		w.mu.Unlock()
		i++
	}
	if db != nil {
		db.Close()
	}
}

func execute(ctx context.Context, db *sql.DB, statements []string, i int) error {
	for _, s := range statements {
		if _, err := db.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	_, err := db.ExecContext(ctx, "INSERT IGNORE INTO saga.numbers VALUES (?)", i)
	return err
}

// watch asks all members twice in each round: two that took writes both times
// did so at one time.
func (w *writer) watch(ctx context.Context) {
	pools := map[string]*sql.DB{}
	defer func() {
		for _, db := range pools {
			db.Close()
		}
	}()
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for ctx.Err() == nil {
		<-pace.C
		status, err := w.api.Status(ctx)
		if err != nil {
			continue
		}
		twice := map[string]int{}
		for range 2 {
			for _, n := range status.Nodes {
				if n.Place == nil {
					continue
				}
				address := n.Address("mysql")
				if pools[address] == nil {
					pools[address] = open(address)
				}
				short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
				var readOnly bool
				if pools[address].QueryRowContext(short, "SELECT @@read_only").Scan(&readOnly) == nil && !readOnly {
					twice[n.Name]++
				}
				cancel()
			}
		}
		maps.DeleteFunc(twice, func(_ string, times int) bool { return times < 2 })
		w.mu.Lock()
		w.rounds++
		if len(twice) > 1 {
			for name := range twice {
				w.both = append(w.both, name)
			}
		}
		w.mu.Unlock()
	}
}

// seen are the members of which the watch has seen that two took writes.
func (w *writer) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.both)
}

// forget has the watch begin anew, in rounds that begin from now on.
func (w *writer) forget(t *testing.T) {
	rounds := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.rounds
	}
	from := rounds()
	require.Eventually(t, func() bool { return rounds() > from }, clitest.Patience, 10*time.Millisecond)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.both = nil
}

func (w *writer) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acknowledged)
}

// more waits until n more rows are acknowledged, and returns how long that took.
func (w *writer) more(t *testing.T, n int) time.Duration {
	t.Helper()
	began, from := time.Now(), w.count()
	require.Eventually(t, func() bool { return w.count() >= from+n }, clitest.Patience, 10*time.Millisecond, "no writes are acknowledged")
	return time.Since(began)
}

// end stops writing, and counts what is there on every member.
func (w *writer) end(t *testing.T, st frameworks.Status) {
	w.stop()
	w.wait.Wait()
	assert.Empty(t, w.both, "two members took writes at one time")
	assert.Greater(t, w.rounds, 10)
	for _, n := range st.Nodes {
		db := open(n.Address("mysql"))
		missing := maps.Clone(w.acknowledged)
		require.Eventually(t, func() bool {
			rows, err := db.QueryContext(t.Context(), "SELECT n FROM saga.numbers")
			if err != nil {
				return false
			}
			defer rows.Close()
			for rows.Next() {
				var i int
				if rows.Scan(&i) == nil {
					delete(missing, i)
				}
			}
			return len(missing) == 0
		}, clitest.Patience, 100*time.Millisecond, "rows are missing on %s", n.Name)
		db.Close()
	}
	t.Logf("%d rows acknowledged, all on every member; %d rounds of the watch", len(w.acknowledged), w.rounds)
}
