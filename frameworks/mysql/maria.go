package mysql

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/mesokit/mesokit/executor"
)

// maria is MariaDB 10.11.
type maria struct{}

func (maria) server() string { return "sbin/mariadbd" }

func (maria) settings() string {
	return `binlog_format=ROW
log_slave_updates=ON
gtid_domain_id=0
gtid_strict_mode=ON
read_only=ON
skip_slave_start=ON
slave_net_timeout=4
slave_parallel_threads=4
rpl_semi_sync_slave_kill_conn_timeout=1
rpl_semi_sync_slave_enabled=ON
rpl_semi_sync_master_wait_point=AFTER_SYNC
rpl_semi_sync_master_timeout=18446744073709551615
rpl_semi_sync_master_wait_no_slave=ON
`
}

func (maria) initialise(ctx context.Context, s executor.Sandbox, base, dir, statements string) error {
	// It runs without privileges, until they are loaded.
	statements = "FLUSH PRIVILEGES;\nDELETE FROM mysql.global_priv WHERE User='root' AND Host<>'localhost';\nFLUSH PRIVILEGES;\n" + statements
	file := dir + ".sql"
	if err := os.WriteFile(file, []byte(statements), 0o600); err != nil {
		return err
	}
	defer os.Remove(file)
	return s.Run(ctx, base+"/bin/mariadb-install-db", "--defaults-file="+s.Dir+"/"+configFile, "--basedir="+base,
		"--datadir="+dir, "--auth-root-authentication-method=normal", "--skip-test-db", "--extra-file="+file)
}

func (maria) handsOut() bool { return true }

// copy takes what the donor's executor hands out. A new binary log begins where
// the copy ends, as its state says: so that the member is known to have all
// before, and can be a primary.
func (maria) copy(ctx context.Context, m maker, from donor, dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := fetchCopy(ctx, m, from, dir); err != nil {
		return err
	}
	if err := m.Run(ctx, m.base()+"/bin/mariadb-backup", "--prepare", "--target-dir="+dir); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(dir, copiedFrom))
	if err != nil {
		return err
	}
	fields := strings.Fields(string(text)) // file, offset, position
	if len(fields) < 2 {
		return fmt.Errorf(copiedFrom+": %q: wants a file, an offset and a position", text)
	}
	state := strings.ReplaceAll(strings.Join(fields[2:], ""), ",", "\n")
	return os.WriteFile(filepath.Join(dir, "binlog.state"), []byte(state+"\n"), 0o600)
}

// tellsAll asks the donor's executor: while a write waits for an acknowledgement,
// the server does not answer SHOW BINARY LOGS.
func (maria) tellsAll(ctx context.Context, m maker, from donor) (bool, error) {
	answer, err := ask(ctx, m, from, wholePath)
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 100))
	return string(text) == "true", err
}

func (maria) parse(text string) (gtids, error) { return parseDomains(text) }

func (maria) look(ctx context.Context, s *session) (member, error) {
	var m member
	var readOnly bool
	err := s.row(ctx, fmt.Sprintf(`SELECT @@report_host, @@read_only, @@gtid_binlog_pos, @@rpl_semi_sync_master_enabled,
		@@rpl_semi_sync_master_trace_level=%d, (SELECT VARIABLE_VALUE FROM information_schema.global_status WHERE VARIABLE_NAME='Rpl_semi_sync_master_clients')`, lapsedLevel),
		&m.Task, &readOnly, &m.Executed, &m.Semisync, &m.Lapsed, &m.Replicas)
	if err != nil {
		return member{}, err
	}
	m.Writable = !readOnly
	status, err := s.table(ctx, "SHOW SLAVE STATUS")
	if err != nil {
		return member{}, err
	}
	m.replication(status, "Slave", "Master")
	m.Received = status["Gtid_IO_Pos"]
	// Of what lies in its relay log a replica that was started anew knows
	// nothing, and the next START SLAVE throws it away.
	m.Unsure = m.Source != "" && !m.Applying
	return m, nil
}

func (maria) stopReceiving() string { return "STOP SLAVE IO_THREAD" }

func (a maria) apply(ctx context.Context, s *session, m member) error {
	if m.Source == "" || m.Received == "" {
		return nil
	}
	return a.await(ctx, s, m.Received)
}

func (maria) await(ctx context.Context, s *session, set string) error {
	var late int
	if err := s.row(ctx, fmt.Sprintf("SELECT MASTER_GTID_WAIT('%s', %d)", set, applyWithin), &late); err != nil {
		return err
	}
	if late != 0 {
		return fmt.Errorf("%s: %w", set, errLate)
	}
	return nil
}

func (maria) promote(m member, epoch int) []string {
	var first []string
	if m.Source != "" {
		first = []string{"STOP SLAVE", "RESET SLAVE ALL"}
	}
	closed := closed("rpl_semi_sync_master_trace_level", "rpl_semi_sync_slave_trace_level", epoch)
	return append(first, "SET GLOBAL rpl_semi_sync_master_enabled=ON", "SET GLOBAL read_only="+closed)
}

func (maria) supersede(epoch int) string {
	return superseded("rpl_semi_sync_slave_trace_level", epoch)
}

func (maria) follow(m member, host, port, password string) []string {
	statements := []string{"SET GLOBAL rpl_semi_sync_master_enabled=OFF", "STOP SLAVE"}
	if m.Source == "" && strings.TrimSpace(m.Executed) != "" {
		// It was a primary, or a member that was started anew: it goes on after
		// its own binary log.
		statements = append(statements, "SET GLOBAL gtid_slave_pos=@@gtid_binlog_pos")
	}
	return append(statements,
		fmt.Sprintf(`CHANGE MASTER TO MASTER_HOST='%s', MASTER_PORT=%s, MASTER_USER='%s', MASTER_PASSWORD='%s',
			MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1, MASTER_HEARTBEAT_PERIOD=1`, host, port, copier, password),
		"START SLAVE")
}

func (maria) readOnly() string { return "SET GLOBAL read_only=ON" }

func (maria) lapse(over bool) string {
	return fmt.Sprintf("SET GLOBAL rpl_semi_sync_master_trace_level=%d", levelOf(over))
}

func (maria) account(name, hash string) []string {
	return []string{
		fmt.Sprintf("CREATE USER IF NOT EXISTS '%s'@'%%' IDENTIFIED VIA mysql_native_password USING '%s'", name, hash),
		fmt.Sprintf("ALTER USER '%s'@'%%' IDENTIFIED VIA mysql_native_password USING '%s'", name, hash),
		// Not READ_ONLY ADMIN, which all privileges together would contain: it writes
		// on replicas.
		fmt.Sprintf("GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, SHOW DATABASES, CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER, BINLOG MONITOR, BINLOG ADMIN, SLAVE MONITOR, CONNECTION ADMIN ON *.* TO '%s'@'%%' WITH GRANT OPTION", name),
	}
}
