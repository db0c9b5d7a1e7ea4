package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The model as package database/sql sees it: the statements of both flavors.

type modelKey struct{}

// dialModel connects to a server of the model that is in the context.
func dialModel(ctx context.Context, address, _ string) (*session, error) {
	m, ok := ctx.Value(modelKey{}).(*replicas)
	if !ok {
		return nil, errors.New("there is no model")
	}
	m.mu.Lock()
	s := m.at(address)
	m.mu.Unlock()
	if s == nil || s.frozen || s.cut {
		return nil, fmt.Errorf("%s: no connection", address)
	}
	db := sql.OpenDB(&modelConn{m: m, s: s})
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &session{db: db, conn: conn, node: address}, nil
}

// modelConn is a connection, and what makes it.
type modelConn struct {
	m      *replicas
	s      *served
	said   int
	broken bool
}

func (c *modelConn) Connect(context.Context) (driver.Conn, error) { return c, nil }
func (c *modelConn) Driver() driver.Driver                        { return nil }
func (c *modelConn) Prepare(string) (driver.Stmt, error)          { return nil, errors.ErrUnsupported }
func (c *modelConn) Close() error                                 { return nil }
func (c *modelConn) Begin() (driver.Tx, error)                    { return nil, errors.ErrUnsupported }

var errBroken = errors.New("the connection broke")

// breaks says whether the connection breaks before a statement, or after it. It
// does during the storm, now and then.
func (c *modelConn) breaks() (before, after bool) {
	if _, quiet := c.m.w.Quiet(); quiet || c.broken {
		return c.broken, false
	}
	c.said++
	luck := c.m.luck(200, "break", c.s.task, fmt.Sprint(c.said))
	c.broken = luck < 2
	return luck == 0, luck == 1
}

func (c *modelConn) ExecContext(_ context.Context, statement string, _ []driver.NamedValue) (driver.Result, error) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	before, after := c.breaks()
	if before {
		return nil, errBroken
	}
	statement = strings.Join(strings.Fields(statement), " ")
	c.m.w.Say("%s: %s", c.s.name, strings.SplitN(statement, ", ", 2)[0])
	err := c.m.do(c.s, statement)
	if after {
		err = errBroken
	}
	return driver.RowsAffected(0), err
}

var sourceHost = regexp.MustCompile(`_HOST='([^']*)'.*_PORT=(\d+)`)

// do is what a statement does.
func (m *replicas) do(s *served, statement string) error {
	// The flavors differ by a few words.
	said := strings.NewReplacer("SLAVE", "REPLICA", "MASTER TO", "REPLICATION SOURCE TO", "_sync_master_", "_sync_source_", "_sync_slave_", "_sync_replica_").Replace(statement)
	verb := func(prefix string) bool { return strings.HasPrefix(said, prefix) }
	switch {
	case verb("STOP REPLICA IO_THREAD"):
		s.io, s.from = false, nil
	case verb("STOP REPLICA"):
		s.io, s.sql, s.from = false, false, nil
	case verb("START REPLICA") && s.source == "":
		return errors.New("1200: the server is not configured as replica")
	case verb("START REPLICA SQL_THREAD"):
		s.sql = true
	case verb("START REPLICA"):
		s.start(m.maria)
	case (verb("RESET REPLICA ALL") || verb("CHANGE REPLICATION SOURCE TO")) && (s.io || s.sql):
		return errors.New("3021: stop the replica's threads first")
	case verb("RESET REPLICA ALL"):
		s.source, s.relay = "", nil
	case verb("CHANGE REPLICATION SOURCE TO"):
		to := sourceHost.FindStringSubmatch(statement)
		s.source, s.relay, s.errno, s.trouble = to[1]+":"+to[2], nil, 0, ""
	case verb("SET GLOBAL gtid_replica_pos=@@gtid_binlog_pos"), verb("SET GLOBAL gtid_slave_pos=@@gtid_binlog_pos"):
		s.pos = len(s.log)
	case verb("SET GLOBAL rpl_semi_sync_source_enabled="):
		if s.semisync = strings.HasSuffix(said, "=ON"); !s.semisync {
			m.acknowledge(s, len(s.log)) // those that wait go on
		}
	case verb("SET GLOBAL rpl_semi_sync_source_trace_level="):
		s.lapsed = strings.HasSuffix(said, "=0")
	case verb("SET GLOBAL rpl_semi_sync_replica_trace_level="):
		s.epoch = max(s.epoch, numberIn(handOver, said)>>epochShift)
	case verb("SET GLOBAL super_read_only=IF("):
	case verb("SET GLOBAL read_only=IF("):
		if s.readOnly && !s.lapsed && s.epoch <= numberIn(promotion, said) {
			s.readOnly = false
			m.takesWrites(s)
		}
	case verb("SET GLOBAL super_read_only=ON"), verb("SET GLOBAL read_only=ON"):
		return m.stopWriting(s)
	case verb("CREATE USER"), verb("ALTER USER"), verb("GRANT"):
		return m.account(s)
	default:
		return fmt.Errorf("the model knows no statement %q", statement)
	}
	return nil
}

// In promotion and handOver, the number is what they say of their epochs.
var (
	promotion = regexp.MustCompile(`>(\d+),`)
	handOver  = regexp.MustCompile(`, (\d+)\) AS UNSIGNED`)
)

func numberIn(pattern *regexp.Regexp, statement string) int {
	number, err := strconv.Atoi(pattern.FindStringSubmatch(statement)[1])
	if err != nil {
		panic(err) // it matched digits
	}
	return number
}

// start starts the threads of a replica. In MariaDB it throws the relay log away.
func (s *served) start(maria bool) {
	s.io, s.sql, s.errno, s.trouble, s.sqlBroken = true, true, 0, "", ""
	if maria {
		s.relay = nil
	}
	s.heard = s.heard.Add(-1)
}

// told is what a server cannot tell others any more.
func (m *replicas) told(s *served) string {
	switch {
	case s.purged == 0:
		return ""
	case m.maria:
		return m.position(s.log[s.purged-1])
	}
	return setOf(s.log[:s.purged])
}

// settle lets all that is on its way arrive: what waits for it is long enough.
func (m *replicas) settle() {
	for _, name := range sortedKeys(m.servers) {
		if s := m.servers[name]; !s.frozen {
			m.copy(s, true)
			m.apply(s)
		}
	}
}

// stopWriting waits for the transactions under way.
func (m *replicas) stopWriting(s *served) error {
	m.settle()
	if s.waiting > 0 {
		m.waits++
		return errors.New("not done in time: commits are under way")
	}
	s.readOnly = true
	return nil
}

func (m *replicas) account(s *served) error {
	if s.readOnly {
		return errors.New("1290: the server is read-only")
	}
	m.commit(s)
	m.settle()
	if s.waiting > 0 {
		m.waits++
		return errors.New("not done in time: no acknowledgement")
	}
	return nil
}

// modelRows is an answer of one row, or of none.
type modelRows struct {
	columns []string
	values  []driver.Value
	done    bool
}

func (r *modelRows) Columns() []string { return r.columns }
func (r *modelRows) Close() error      { return nil }

func (r *modelRows) Next(into []driver.Value) error {
	if r.done || r.values == nil {
		return io.EOF
	}
	r.done = true
	copy(into, r.values)
	return nil
}

func (r *modelRows) add(column string, value driver.Value) {
	r.columns, r.values = append(r.columns, column), append(r.values, value)
}

func (c *modelConn) QueryContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if before, after := c.breaks(); before || after {
		return nil, errBroken
	}
	query = strings.Join(strings.Fields(query), " ")
	switch {
	case query == "SHOW BINARY LOGS":
		return &modelRows{columns: []string{"Log_name"}, values: []driver.Value{"binlog.000001"}}, nil
	case strings.HasPrefix(query, "SHOW "):
		return c.status(), nil
	case strings.HasPrefix(query, "SELECT BINLOG_GTID_POS("):
		return &modelRows{columns: []string{"before"}, values: []driver.Value{c.m.told(c.s)}}, nil
	case strings.Contains(query, "GTID_SET("), strings.Contains(query, "GTID_WAIT("):
		return c.wait(query)
	}
	rows := &modelRows{}
	for _, item := range variable.FindAllStringSubmatch(query, -1) {
		value, ok := c.variable(item[1] + item[2])
		if !ok {
			return nil, fmt.Errorf("the model knows no variable %q", item[0])
		}
		rows.add(item[0], value)
	}
	return rows, nil
}

var variable = regexp.MustCompile(`@@(\w+)|VARIABLE_NAME='(\w+)'`)

func (c *modelConn) variable(name string) (driver.Value, bool) {
	s := c.s
	switch name {
	case "report_host":
		return s.name, true
	case "read_only":
		return s.readOnly, true
	case "gtid_executed", "gtid_binlog_pos":
		return c.m.executed(s), true
	case "gtid_purged":
		return c.m.told(s), true
	case "rpl_semi_sync_source_enabled", "rpl_semi_sync_master_enabled":
		return s.semisync, true
	case "rpl_semi_sync_source_trace_level", "rpl_semi_sync_master_trace_level":
		return s.lapsed, true // whether it is that of a lease that is over
	case "Rpl_semi_sync_source_clients", "Rpl_semi_sync_master_clients":
		return int64(s.clients), true
	}
	return nil, false
}

// status is what SHOW REPLICA STATUS says.
func (c *modelConn) status() *modelRows {
	s, rows := c.s, &modelRows{}
	if s.source == "" {
		return rows
	}
	word, source, received := "Replica", "Source", "Retrieved_Gtid_Set"
	if c.m.maria {
		word, source, received = "Slave", "Master", "Gtid_IO_Pos"
	}
	yes := func(on bool) string {
		if on {
			return "Yes"
		}
		return "No"
	}
	host, port, _ := strings.Cut(s.source, ":")
	rows.add(source+"_Host", host)
	rows.add(source+"_Port", port)
	rows.add(word+"_IO_Running", yes(s.io && s.from != nil))
	rows.add(word+"_SQL_Running", yes(s.sql))
	rows.add("Last_IO_Errno", fmt.Sprint(s.errno))
	rows.add("Last_IO_Error", s.trouble)
	if s.sqlBroken != "" {
		rows.add("Last_SQL_Errno", "1950")
		rows.add("Last_SQL_Error", s.sqlBroken)
	}
	rows.add(received, c.m.received(s))
	return rows
}

var quoted = regexp.MustCompile(`'([^']*)'`)

// wait says at once what a server says when it has waited: 0, or 1 when it was
// too long.
func (c *modelConn) wait(query string) (driver.Rows, error) {
	want, err := flavors[map[bool]string{false: "mysql", true: "mariadb"}[c.m.maria]].parse(quoted.FindStringSubmatch(query)[1])
	if err != nil {
		return nil, err
	}
	c.m.settle()
	has, err := flavors[map[bool]string{false: "mysql", true: "mariadb"}[c.m.maria]].parse(c.m.executed(c.s))
	if err != nil {
		return nil, err
	}
	rows := &modelRows{}
	rows.add("late", int64(slices.Index([]bool{true, false}, has.contains(want))))
	return rows, nil
}
