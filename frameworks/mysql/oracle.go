package mysql

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/mesokit/mesokit/executor"
)

// oracle is MySQL 8.0.
type oracle struct{}

func (oracle) server() string { return "bin/mysqld" }

// The plugins are not loaded while a data directory is made, so what belongs to
// them is loose_. Source-side waiting is switched on by a promotion only: on a
// replica, the applier would wait for an acknowledgement that nobody gives.
func (oracle) settings() string {
	return `mysqlx=OFF
performance_schema=ON
gtid_mode=ON
enforce_gtid_consistency=ON
read_only=ON
super_read_only=ON
skip_replica_start=ON
relay_log_recovery=OFF
replica_net_timeout=4
plugin-load-add=semisync_source.so
plugin-load-add=semisync_replica.so
plugin-load-add=mysql_clone.so
loose_rpl_semi_sync_replica_enabled=ON
loose_rpl_semi_sync_source_wait_point=AFTER_SYNC
loose_rpl_semi_sync_source_timeout=4294967295
loose_rpl_semi_sync_source_wait_for_replica_count=1
loose_rpl_semi_sync_source_wait_no_replica=ON
`
}

func (o oracle) initialise(ctx context.Context, s executor.Sandbox, base, dir, sql string) error {
	// Without a binary log, for these are no transactions of the set.
	file := dir + ".sql"
	if err := os.WriteFile(file, []byte("SET sql_log_bin=0;\n"+sql), 0o600); err != nil {
		return err
	}
	defer os.Remove(file)
	return s.Run(ctx, base+"/"+o.server(), "--defaults-file="+s.Dir+"/"+configFile, "--initialize-insecure",
		"--datadir="+dir, "--init-file="+file)
}

func (oracle) handsOut() bool { return false }

// copy clones the donor, by a server that is there for that only.
func (o oracle) copy(ctx context.Context, m maker, from donor, dir string) error {
	password, err := secret(m.Sandbox, operatorSecret)
	if err != nil {
		return err
	}
	seed := dir + seedSuffix
	if err := m.initialise(ctx, seed); err != nil {
		return err
	}
	defer os.RemoveAll(seed)
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- m.Run(running, m.base()+"/"+o.server(), "--defaults-file="+m.Dir+"/"+configFile, "--datadir="+seed,
			"--report-host="+seedName, "--skip-log-bin", "--innodb-buffer-pool-size=16M")
	}()
	defer func() {
		stop()
		<-ended
	}()
	server, err := m.dialSeed(ctx, password)
	if err != nil {
		return err
	}
	defer server.close()
	host, port, err := net.SplitHostPort(from.address)
	if err != nil {
		return err
	}
	return server.do(ctx,
		fmt.Sprintf("SET GLOBAL clone_valid_donor_list='%s'", from.address),
		fmt.Sprintf("CLONE INSTANCE FROM '%s'@'%s':%s IDENTIFIED BY '%s' DATA DIRECTORY='%s'",
			operator, host, port, password, dir))
}

// seedName is what a server calls itself that only fetches a copy: no member.
const (
	seedName   = "seed"
	seedSuffix = ".seed" // of its directory, beside the copy
)

// seedWithin is how long its start may take.
const seedWithin = time.Minute

// dialSeed connects to the member's own address when its seed listens there.
func (m maker) dialSeed(ctx context.Context, password string) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, seedWithin)
	defer cancel()
	for {
		s, err := dial(ctx, net.JoinHostPort(m.env["HOST"], m.env["PORT_MYSQL"]), password)
		if err == nil {
			s.node = seedName
			return s, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("start a server to fetch the copy: %w", err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (o oracle) tellsAll(ctx context.Context, m maker, from donor) (bool, error) {
	password, err := secret(m.Sandbox, operatorSecret)
	if err != nil {
		return false, err
	}
	s, err := dial(ctx, from.address, password)
	if err != nil {
		return false, err
	}
	defer s.close()
	seen, err := o.look(ctx, s)
	return seen.Purged == "", err
}

func (oracle) parse(text string) (gtids, error) { return parseUUIDs(text) }

func (oracle) look(ctx context.Context, s *session) (member, error) {
	var m member
	var readOnly bool
	err := s.row(ctx, fmt.Sprintf(`SELECT @@report_host, @@read_only, @@gtid_executed, @@gtid_purged, @@rpl_semi_sync_source_enabled,
		@@rpl_semi_sync_source_trace_level=%d, (SELECT VARIABLE_VALUE FROM performance_schema.global_status WHERE VARIABLE_NAME='Rpl_semi_sync_source_clients')`, lapsedLevel),
		&m.Task, &readOnly, &m.Executed, &m.Purged, &m.Semisync, &m.Lapsed, &m.Replicas)
	if err != nil {
		return member{}, err
	}
	m.Writable = !readOnly
	status, err := s.table(ctx, "SHOW REPLICA STATUS")
	if err != nil {
		return member{}, err
	}
	m.replication(status, "Replica", "Source")
	m.Executed, m.Received = oneLine(m.Executed), oneLine(status["Retrieved_Gtid_Set"])
	m.Purged = oneLine(m.Purged)
	return m, nil
}

func oneLine(set string) string { return strings.ReplaceAll(set, "\n", "") }

func (oracle) stopReceiving() string { return "STOP REPLICA IO_THREAD" }

func (o oracle) apply(ctx context.Context, s *session, m member) error {
	if m.Source == "" {
		return nil
	}
	if err := s.do(ctx, "START REPLICA SQL_THREAD"); err != nil {
		return err
	}
	return o.await(ctx, s, m.Received)
}

func (oracle) await(ctx context.Context, s *session, set string) error {
	var late bool
	if err := s.row(ctx, fmt.Sprintf("SELECT WAIT_FOR_EXECUTED_GTID_SET('%s', %d)", set, applyWithin), &late); err != nil {
		return err
	}
	if late {
		return fmt.Errorf("%s: %w", set, errLate)
	}
	return nil
}

func (oracle) promote(m member, epoch int) []string {
	var first []string
	if m.Source != "" {
		first = []string{"STOP REPLICA", "RESET REPLICA ALL"}
	}
	closed := closed("rpl_semi_sync_source_trace_level", "rpl_semi_sync_replica_trace_level", epoch)
	return append(first, "SET GLOBAL rpl_semi_sync_source_enabled=ON", "SET GLOBAL super_read_only="+closed, "SET GLOBAL read_only="+closed)
}

func (oracle) supersede(epoch int) string {
	return superseded("rpl_semi_sync_replica_trace_level", epoch)
}

func (oracle) follow(m member, host, port, password string) []string {
	return []string{
		"SET GLOBAL rpl_semi_sync_source_enabled=OFF",
		"STOP REPLICA",
		"RESET REPLICA ALL", // a copy of a replica refers to relay logs that it does not have
		fmt.Sprintf(`CHANGE REPLICATION SOURCE TO SOURCE_HOST='%s', SOURCE_PORT=%s, SOURCE_USER='%s', SOURCE_PASSWORD='%s',
			SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1, SOURCE_CONNECT_RETRY=1, SOURCE_HEARTBEAT_PERIOD=1`, host, port, copier, password),
		"START REPLICA",
	}
}

func (oracle) readOnly() string { return "SET GLOBAL super_read_only=ON" }

func (oracle) lapse(over bool) string {
	return fmt.Sprintf("SET GLOBAL rpl_semi_sync_source_trace_level=%d", levelOf(over))
}

func (oracle) account(name, hash string) []string {
	return []string{
		fmt.Sprintf("CREATE USER IF NOT EXISTS '%s'@'%%' IDENTIFIED WITH mysql_native_password AS '%s'", name, hash),
		fmt.Sprintf("ALTER USER '%s'@'%%' IDENTIFIED WITH mysql_native_password AS '%s'", name, hash),
		fmt.Sprintf("GRANT ALL ON *.* TO '%s'@'%%' WITH GRANT OPTION", name),
	}
}
