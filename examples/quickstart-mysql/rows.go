package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/mesokit/mesokit/examples/internal/quickstart"
	"github.com/mesokit/mesokit/frameworks"
)

const (
	count   = 5_000
	writers = 4
)

func primaryOf(status frameworks.Status) (frameworks.NodeStatus, bool) {
	i := slices.IndexFunc(status.Nodes, func(n frameworks.NodeStatus) bool { return n.Role == "primary" })
	if i < 0 {
		return frameworks.NodeStatus{}, false
	}
	return status.Nodes[i], true
}

// rows are the numbers 0 to count-1, each in a row of its own.
type rows struct {
	*quickstart.Ledger
	api frameworks.Client
	gap time.Duration // the longest between two acknowledgements

	mu      sync.Mutex
	db      *sql.DB
	address string
	last    time.Time
}

// newRows makes the table. The administrator's account is made right after the
// first promotion, so it is waited for.
func newRows(ctx context.Context, api frameworks.Client) (*rows, error) {
	r := &rows{Ledger: quickstart.NewLedger(count), api: api}
	for _, statement := range []string{
		"CREATE DATABASE IF NOT EXISTS quickstart",
		"CREATE TABLE IF NOT EXISTS quickstart.numbers (n INT PRIMARY KEY)",
	} {
		if err := r.insist(ctx, statement); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *rows) close() {
	if r.db != nil {
		r.db.Close()
	}
}

// primary is a connection pool to who the API says is the primary.
func (r *rows) primary(ctx context.Context) (*sql.DB, error) {
	status, err := r.api.Status(ctx)
	if err != nil {
		return nil, err
	}
	n, ok := primaryOf(status)
	if !ok {
		return nil, errors.New("there is no primary")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if address := n.Address("mysql"); address != r.address {
		if r.db != nil {
			r.db.Close()
		}
		config := mysql.NewConfig()
		config.User, config.Passwd, config.Net, config.Addr = account, password, "tcp", address
		config.Timeout = time.Second
		config.RejectReadOnly = true
		config.Logger = &mysql.NopLogger{}
		connector, err := mysql.NewConnector(config)
		if err != nil {
			return nil, err
		}
		r.db, r.address = sql.OpenDB(connector), address
	}
	return r.db, nil
}

// insist carries out a statement that may be repeated, on whoever is the primary
// then, until it is acknowledged.
func (r *rows) insist(ctx context.Context, statement string, args ...any) error {
	r.mu.Lock()
	db := r.db
	r.mu.Unlock()
	for {
		var err error
		if db != nil {
			if _, err = db.ExecContext(ctx, statement, args...); err == nil {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", statement, errors.Join(context.Cause(ctx), err))
		case <-time.After(50 * time.Millisecond):
		}
		if now, err := r.primary(ctx); err == nil {
			db = now
		}
	}
}

// write returns when every row was acknowledged. It calls middle when a third
// was, and goes on meanwhile.
func (r *rows) write(ctx context.Context, middle func() error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 3*time.Minute, errors.New("writing took more than 3 minutes"))
	defer cancel()
	reached, failed := make(chan error, 1), make(chan error, writers)
	var next atomic.Int64
	for range writers {
		go func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= count {
					failed <- nil
					return
				}
				if err := r.insist(ctx, "INSERT IGNORE INTO quickstart.numbers VALUES (?)", i); err != nil {
					failed <- err
					return
				}
				if r.acknowledge(i) == count/3 {
					go func() { reached <- middle() }()
				}
			}
		}()
	}
	var errs error
	for range writers {
		errs = errors.Join(errs, <-failed)
	}
	if errs != nil {
		return errs
	}
	return <-reached
}

func (r *rows) acknowledge(i int) int {
	r.mu.Lock()
	now := time.Now()
	if !r.last.IsZero() {
		r.gap = max(r.gap, now.Sub(r.last).Round(time.Millisecond))
	}
	r.last = now
	r.mu.Unlock()
	return r.Acknowledge(i)
}

// read reads the table from the primary.
func (r *rows) read(ctx context.Context) error {
	db, err := r.primary(ctx)
	if err != nil {
		return err
	}
	found, err := db.QueryContext(ctx, "SELECT n FROM quickstart.numbers")
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		var i int
		if err := found.Scan(&i); err != nil {
			return err
		}
		r.Read(i)
	}
	return found.Err()
}
