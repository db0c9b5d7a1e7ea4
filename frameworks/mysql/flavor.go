package mysql

import (
	"context"
	"fmt"
	"net"

	"github.com/mesokit/mesokit/executor"
)

// flavor is what differs between MySQL and MariaDB.
type flavor interface {
	// server is the program, under the directory of the distribution.
	server() string
	// settings are lines of the configuration file.
	settings() string
	// initialise makes the data directory dir; what is in sql is done in it, one
	// statement a line.
	initialise(ctx context.Context, s executor.Sandbox, base, dir, sql string) error
	// copy makes the data directory dir a copy of what a member has that serves.
	copy(ctx context.Context, m maker, from donor, dir string) error
	// tellsAll says whether the binary logs of a member reach back to the beginning.
	tellsAll(ctx context.Context, m maker, from donor) (bool, error)
	// handsOut says whether members hand out copies beside their servers.
	handsOut() bool

	// parse reads a set of transactions.
	parse(text string) (gtids, error)
	// look asks a server how it is, in no words that have to wait for writes.
	look(ctx context.Context, s *session) (member, error)
	// stopReceiving ends what a replica hears of its source; it goes on applying.
	stopReceiving() string
	// apply waits until a replica that receives no more has applied what it has.
	apply(ctx context.Context, s *session, m member) error
	// await waits until a replica has applied a set.
	await(ctx context.Context, s *session, set string) error
	// promote makes a member that was a replica, or nothing, the primary of an epoch,
	// unless its server itself knows better by the time that it is told.
	promote(m member, epoch int) []string
	// supersede has a server let no promotion of an earlier epoch make it writable.
	supersede(epoch int) string
	// follow makes a member a replica of what listens on host and port.
	follow(m member, host, port, password string) []string
	// readOnly ends the taking of writes, when those under way have ended.
	readOnly() string
	// lapse marks a server whose lease is over, or has it forget that.
	lapse(over bool) string
	// account makes an account, or changes its password.
	account(name, hash string) []string
}

var flavors = map[string]flavor{"mysql": oracle{}, "mariadb": maria{}}

// member is what a look saw of one.
type member struct {
	Node       string `json:"node"`
	Generation int    `json:"generation"`
	// Task is what the server calls itself by, "member-0.3": node and incarnation.
	Task string `json:"task,omitempty"`
	// Err is why it did not answer; the rest is empty then.
	Err string `json:"err,omitempty"`

	Writable bool   `json:"writable,omitempty"`
	Executed string `json:"executed,omitempty"`
	Received string `json:"received,omitempty"` // beyond what was executed, or not
	Purged   string `json:"purged,omitempty"`   // what it can tell no replica any more
	// Unsure: what it received and did not apply cannot be known.
	Unsure bool `json:"unsure,omitempty"`

	Source    string `json:"source,omitempty"` // host:port that it follows; empty: nobody
	Receiving bool   `json:"receiving,omitempty"`
	Applying  bool   `json:"applying,omitempty"`
	// Diverged: its source refuses it for good.
	Diverged bool   `json:"diverged,omitempty"`
	Trouble  string `json:"trouble,omitempty"` // of receiving or applying

	// Lapsed: its executor has no lease. Nobody would end it as a primary.
	Lapsed bool `json:"lapsed,omitempty"`

	Semisync bool `json:"semisync,omitempty"` // as a source: waits for a replica
	Replicas int  `json:"replicas,omitempty"` // that acknowledge
}

// lapsedLevel is what a server traces of the acknowledgements that it waits for
// while its lease is over: nothing. A member that takes no writes waits for none,
// so it makes no difference; and the server itself is the only place where its
// executor and whoever promotes it can leave each other a mark.
const (
	lapsedLevel = 0
	leasedLevel = 32 // as servers start with
)

// epochShift leaves the lower bits of the other trace level, that of a replica's
// acknowledgements, as servers start with; above them is the epoch of supersede. A
// scheduler that is suspended in the middle of a promotion, and goes on after another
// one has taken over, finds there that it comes too late: whatever it has read before.
const epochShift = 8

// closed is an expression that is 1 where a server must not take writes in an epoch,
// and else 0; the names are those of its two trace levels. It is evaluated by the
// server in the statement that would make it writable.
func closed(source, replica string, epoch int) string {
	return fmt.Sprintf("IF(@@GLOBAL.%s=%d OR (@@GLOBAL.%s>>%d)>%d, 1, 0)", source, lapsedLevel, replica, epochShift, epoch)
}

// superseded is the statement of supersede, for that trace level. It never takes an
// epoch back: a hand-over may come late as well.
func superseded(replica string, epoch int) string {
	return fmt.Sprintf("SET GLOBAL %[1]s=CAST(GREATEST(@@GLOBAL.%[1]s, %[2]d) AS UNSIGNED)", replica, epoch<<epochShift+leasedLevel)
}

// levelOf is what lapse sets.
func levelOf(over bool) int {
	if over {
		return lapsedLevel
	}
	return leasedLevel
}

// has is all that the member executed or received.
func (m member) has(f flavor) (gtids, error) {
	executed, err := f.parse(m.Executed)
	if err != nil {
		return nil, err
	}
	received, err := f.parse(m.Received)
	if err != nil {
		return nil, err
	}
	return executed.union(received), nil
}

// follows says whether the member is a replica of what listens there, and in
// good order.
func (m member) follows(source string) bool {
	return m.Err == "" && !m.Writable && m.Source == source && m.Receiving && m.Applying
}

// replication fills in what SHOW REPLICA STATUS says, whose columns differ by
// one word.
func (m *member) replication(row map[string]string, word, source string) {
	if row == nil {
		return
	}
	m.Source = net.JoinHostPort(row[source+"_Host"], row[source+"_Port"])
	m.Receiving = row[word+"_IO_Running"] == "Yes"
	m.Applying = row[word+"_SQL_Running"] == "Yes"
	// 1236, and 13114 around it: the source cannot give what the replica wants next.
	m.Diverged = row["Last_IO_Errno"] == "1236" || row["Last_IO_Errno"] == "13114"
	for _, kind := range []string{"IO", "SQL"} {
		if errno := row["Last_"+kind+"_Errno"]; errno != "" && errno != "0" {
			m.Trouble = fmt.Sprintf("error %s: %s", errno, row["Last_"+kind+"_Error"])
		}
	}
}
