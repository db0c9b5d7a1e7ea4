package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/mesokit/mesokit/frameworks"
)

// The accounts of the framework itself. They are made with the data directory,
// in none of the binary logs.
const (
	operator = "mesokit"         // looks, promotes, and so on
	copier   = "mesokit_replica" // replicas log in with it
)

const (
	dialWithin  = 3 * time.Second
	askWithin   = 5 * time.Second
	applyWithin = 40 // seconds
)

// session is one connection to a server. It is never made anew: what is said in
// it is said to one process.
type session struct {
	db   *sql.DB
	conn *sql.Conn
	node string
}

// dial connects to whatever server listens there.
func dial(ctx context.Context, address, password string) (*session, error) {
	config := driver.NewConfig()
	config.User, config.Passwd, config.Net, config.Addr = operator, password, "tcp", address
	config.Timeout = dialWithin
	config.TLSConfig = "skip-verify" // against listeners; whom it talks to, the task's name says
	config.AllowFallbackToPlaintext = true
	config.Logger = silent{}
	connector, err := driver.NewConnector(config)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &session{db: db, conn: conn, node: address}, nil
}

// silent: what the driver has to say is in its errors too.
type silent struct{}

func (silent) Print(...any) {}

// reach connects to the server of a node's present task, and looks at it.
func (s set) reach(ctx context.Context, d frameworks.Deployment, n frameworks.Node) (*session, member, error) {
	short, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	connect := dial
	if s.dial != nil {
		connect = s.dial
	}
	session, err := connect(short, n.Address(port), d.Secret(operatorSecret))
	if err != nil {
		return nil, member{}, fmt.Errorf("%s: %w", n.Name, err)
	}
	session.node = n.Name
	m, err := s.flavor.look(short, session)
	if err == nil && m.Task != taskName(n) {
		err = fmt.Errorf("%s answers there", m.Task)
	}
	if err != nil {
		session.close()
		return nil, member{}, fmt.Errorf("%s: %w", n.Name, err)
	}
	m.Node, m.Generation = n.Name, n.Generation
	return session, m, nil
}

// taskName tells the servers of a node apart that follow one another.
func taskName(n frameworks.Node) string { return fmt.Sprintf("%s.%d", n.Name, n.Incarnation) }

func (s *session) close() {
	s.conn.Close()
	s.db.Close()
}

// do runs statements in order.
func (s *session) do(ctx context.Context, statements ...string) error {
	for _, statement := range statements {
		if _, err := s.conn.ExecContext(ctx, statement); err != nil {
			verb, _, _ := strings.Cut(statement, "'") // what follows may be a password
			return fmt.Errorf("%s: %s: %w", s.node, verb, err)
		}
	}
	return nil
}

func (s *session) row(ctx context.Context, query string, into ...any) error {
	if err := s.conn.QueryRowContext(ctx, query).Scan(into...); err != nil {
		return fmt.Errorf("%s: %w", s.node, err)
	}
	return nil
}

// table returns the only row of an answer by its columns; nil: there is none.
func (s *session) table(ctx context.Context, query string) (map[string]string, error) {
	rows, err := s.conn.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", s.node, query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil || !rows.Next() {
		return nil, errors.Join(err, rows.Err())
	}
	values := make([]sql.NullString, len(columns))
	into := make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	if err := rows.Scan(into...); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", s.node, query, err)
	}
	out := map[string]string{}
	for i, column := range columns {
		out[column] = values[i].String
	}
	return out, rows.Err()
}
