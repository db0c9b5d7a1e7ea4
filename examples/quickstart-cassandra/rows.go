package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"github.com/mesokit/mesokit/examples/internal/quickstart"
	"github.com/mesokit/mesokit/frameworks"
)

const (
	count   = 10_000
	writers = 8
)

// rows are the numbers 0 to count-1, each in a row of its own.
type rows struct {
	*quickstart.Ledger
	session *gocql.Session
	again   atomic.Int64 // statements that the driver tried again
}

// ObserveQuery counts what the driver tries again.
func (r *rows) ObserveQuery(_ context.Context, q gocql.ObservedQuery) {
	if q.Attempt > 0 {
		r.again.Add(1)
	}
}

// newRows makes the table.
func newRows(ctx context.Context, nodes []frameworks.NodeStatus) (*rows, error) {
	cluster := gocql.NewCluster()
	for _, n := range nodes {
		cluster.Hosts = append(cluster.Hosts, n.Address("cql"))
	}
	cluster.Logger = gocql.NewLogger(gocql.LogLevelNone)
	cluster.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(gocql.RoundRobinHostPolicy())
	// Every row may be written twice; a driver tries only such statements again.
	cluster.DefaultIdempotence = true
	cluster.RetryPolicy = &gocql.ExponentialBackoffRetryPolicy{NumRetries: 5, Min: 50 * time.Millisecond, Max: time.Second}
	cluster.ReconnectInterval = time.Second
	r := &rows{Ledger: quickstart.NewLedger(count)}
	cluster.QueryObserver = r
	var err error
	if r.session, err = cluster.CreateSession(); err != nil {
		return nil, err
	}
	// A table that two nodes make at once is made twice, and what was written to one of
	// them is lost.
	for _, statement := range []string{
		"CREATE KEYSPACE quickstart WITH replication = {'class': 'NetworkTopologyStrategy', '" + datacenter + "': 3}",
		"CREATE TABLE quickstart.numbers (n int PRIMARY KEY)",
	} {
		if err := r.session.Query(statement).Idempotent(false).ExecContext(ctx); err != nil {
			r.session.Close()
			return nil, fmt.Errorf("%s: %w", statement, err)
		}
	}
	return r, nil
}

// insert writes a row until a quorum of its replicas has acknowledged it.
func (r *rows) insert(ctx context.Context, i int) error {
	for {
		err := r.session.Query("INSERT INTO quickstart.numbers (n) VALUES (?)", i).Consistency(gocql.Quorum).ExecContext(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(100 * time.Millisecond):
			r.again.Add(1)
		}
	}
}

// write returns when every row was acknowledged. It calls middle when a third
// was, and goes on meanwhile.
func (r *rows) write(ctx context.Context, middle func() error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Minute, errors.New("writing took more than 5 minutes"))
	defer cancel()
	todo, reached := make(chan int), make(chan error, 1)
	var failed error
	var once sync.Once
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for i := range todo {
				if err := r.insert(ctx, i); err != nil {
					once.Do(func() { failed = fmt.Errorf("row %d: %w", i, err) })
					cancel()
				} else if r.Acknowledge(i) == count/3 {
					go func() { reached <- middle() }()
				}
			}
		})
	}
	for i := range count {
		todo <- i
	}
	close(todo)
	all.Wait()
	if failed != nil {
		return failed
	}
	return <-reached
}

// read reads the table from a quorum.
func (r *rows) read(ctx context.Context) error {
	found, i := r.session.Query("SELECT n FROM quickstart.numbers").Consistency(gocql.Quorum).IterContext(ctx), 0
	for found.Scan(&i) {
		r.Read(i)
	}
	return found.Close()
}
