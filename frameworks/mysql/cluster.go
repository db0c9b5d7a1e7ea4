package mysql

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/offers"
)

// Cluster declares a primary and its replicas. The zero value of a field means
// what its comment says.
type Cluster struct {
	Name string // of the service; empty: "mysql"
	// Flavor is "mysql" (8.0.26 or newer of that series) or "mariadb" (10.11);
	// empty: "mysql".
	Flavor  string
	Members int     // at the first deployment, 3 or more; zero: 3
	CPUs    float64 // of each member; zero: 1
	Mem     int     // of each member, in MiB; zero: 1024
	Buffer  int     // InnoDB's buffer pool, in MiB; zero: half of Mem
	Disk    int     // of each member's volume, in MiB; zero: 5120

	// Place says which agents will do; empty: "hostname:UNIQUE".
	Place constraints.Rules
	// Port bounds the choice of ports; zero: any that is offered.
	Port frameworks.Port

	// Admin is the account for people and programs, which the framework makes
	// once there is a primary; empty: "admin". It may do everything but write on
	// a member that is read-only.
	Admin string
	// AdminHash is the hash of its password; see Hash. Where it changes, so does
	// the account.
	AdminHash string

	// Options are lines of the server's configuration, such as
	// "max_connections": "500". What the framework itself sets is refused.
	Options map[string]string

	Distribution Distribution
	// Lease is how long a member may go on taking writes that the scheduler
	// cannot reach, and so how long a failover waits for one whose end it cannot
	// see; at least 3 seconds; zero: 20 seconds. A primary also stops when there
	// is no scheduler for that long.
	Lease time.Duration
	// ReplaceAfter is how long a member that is lost with its agent is waited for
	// before it is made anew on another; zero: for ever. One whose agent an operator
	// declares gone is made anew at once, when all others are in good order.
	ReplaceAfter time.Duration
	// Grace is how long a server may take to stop; zero: 60 seconds.
	Grace   time.Duration
	Backoff frameworks.Backoff

	Role, Principal, User string
	Binary                frameworks.Binary
}

// Distribution says where agents find the server, by paths that hold on every
// agent.
type Distribution struct {
	// Dir holds bin/mysqld, lib/plugin and share of MySQL, or sbin/mariadbd, bin
	// and share of MariaDB: "/usr" where that is installed.
	Dir string
	// Libraries is a directory of shared libraries that the server needs and the
	// machine does not have; empty: it has them.
	Libraries string
}

// The pod, its port, its volume, and its secrets.
const (
	pod            = "member"
	port           = "mysql"
	copiesPort     = "copies" // where the server itself hands out none
	volume         = "data"
	operatorSecret = "operator"
	copySecret     = "replication"
)

// leastMembers is with how many a write that was acknowledged is on one machine
// more when one is lost, and writes go on.
const leastMembers = 3

// besideBuffer is what a server was seen to need beside its buffer pool, in MiB.
const besideBuffer = 160

const leastLease = 3 * time.Second

func (c Cluster) withDefaults() Cluster {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	name := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	name(&c.Name, "mysql")
	name(&c.Flavor, "mysql")
	name(&c.Admin, "admin")
	if c.CPUs == 0 {
		c.CPUs = 1
	}
	set(&c.Members, leastMembers)
	set(&c.Mem, 1024)
	set(&c.Buffer, c.Mem/2)
	set(&c.Disk, 5120)
	if c.Place.String() == "" {
		c.Place = constraints.MustParse("hostname:UNIQUE")
	}
	if c.Lease == 0 {
		c.Lease = 20 * time.Second
	}
	if c.Grace == 0 {
		c.Grace = time.Minute
	}
	c.Port.Name = port
	return c
}

var (
	accountName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
	hash        = regexp.MustCompile(`^\*[0-9A-F]{40}$`)
	optionName  = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

// Validate says what of the cluster cannot be, field by field.
func (c Cluster) Validate() error {
	c = c.withDefaults()
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, fmt.Errorf("%s: %v: %s", "Cluster."+field, value, want))
	}
	if _, ok := flavors[c.Flavor]; !ok {
		bad("Flavor", c.Flavor, `wants "mysql" or "mariadb"`)
	}
	if c.Members < leastMembers {
		bad("Members", c.Members, "wants 3 or more: with fewer, no write could be acknowledged while one is down")
	}
	if c.CPUs <= 0 {
		bad("CPUs", c.CPUs, "wants more than 0")
	}
	if c.Buffer < 8 || c.Buffer+besideBuffer > c.Mem {
		bad("Buffer", c.Buffer, fmt.Sprintf("wants 8 to %d MiB, which is Mem (%d) less the %d that the server needs beside it",
			c.Mem-besideBuffer, c.Mem, besideBuffer))
	}
	if c.Disk < 256 {
		bad("Disk", c.Disk, "wants 256 MiB or more: an empty server takes about 100")
	}
	if !accountName.MatchString(c.Admin) || c.Admin == operator || c.Admin == copier || c.Admin == "root" {
		bad("Admin", c.Admin, "wants lower case letters, digits and underscores, and none of root, "+operator+" and "+copier)
	}
	if !hash.MatchString(c.AdminHash) {
		bad("AdminHash", fmt.Sprintf("%q", c.AdminHash), "wants what Hash makes of a password: * and 40 hexadecimal digits")
	}
	if c.Lease < leastLease {
		bad("Lease", c.Lease, "wants 3s or more")
	}
	if c.ReplaceAfter < 0 {
		bad("ReplaceAfter", c.ReplaceAfter, "wants 0 or more")
	}
	if c.Grace < 0 {
		bad("Grace", c.Grace, "wants 0 or more")
	}
	if c.Distribution.Dir == "" {
		bad("Distribution.Dir", `""`, "wants the directory of the server on the agents")
	}
	return errors.Join(append(errs, c.checkOptions()...)...)
}

// owned are the options that the framework sets, and what sets them instead.
var owned = map[string]string{
	"datadir": "the data is on the member's volume; use Cluster.Disk", "basedir": "use Cluster.Distribution",
	"port": "use Cluster.Port", "bind_address": "it is the address of the agent", "socket": "it is in the data directory",
	"user": "use Cluster.User", "server_id": "it tells members and their places apart", "report_host": "it tells tasks apart",
	"innodb_buffer_pool_size": "use Cluster.Buffer",
	"read_only":               "only a promotion makes a member writable",
	"super_read_only":         "only a promotion makes a member writable",
	"log_bin":                 "replicas need it", "gtid_mode": "elections need it", "gtid_strict_mode": "elections need it",
	"gtid_domain_id": "elections need one domain", "relay_log_recovery": "it would throw away what was acknowledged",
	"sync_binlog": "what is acknowledged has to outlive a crash", "innodb_flush_log_at_trx_commit": "what is acknowledged has to outlive a crash",
	"init_rpl_role": "it may throw away what was acknowledged",
}

func (c Cluster) checkOptions() []error {
	var errs []error
	settings := ""
	if f, ok := flavors[c.Flavor]; ok {
		settings = f.settings()
	}
	for _, key := range slices.Sorted(maps.Keys(c.Options)) {
		bad := func(want string) { errs = append(errs, fmt.Errorf("Cluster.Options: %s: %s", key, want)) }
		switch {
		case !optionName.MatchString(key):
			bad("wants the name of a system variable, in lower case with underscores")
		case owned[key] != "":
			bad("is set by the framework: " + owned[key])
		case strings.Contains("\n"+settings, "\n"+key+"="):
			bad("is set by the framework")
		case strings.HasPrefix(key, "rpl_semi_sync"):
			bad("is set by the framework: on it depends that nothing is lost")
		case strings.ContainsAny(c.Options[key], "\r\n"):
			bad("wants one line")
		}
	}
	return errs
}

// Hash is what a member keeps of a password (mysql_native_password, which both
// flavors know): SHA-1 of SHA-1, in hexadecimal after a *. Whoever has it cannot
// log in with it, but can try passwords.
func Hash(password string) string {
	once := sha1.Sum([]byte(password))
	return fmt.Sprintf("*%X", sha1.Sum(once[:]))
}

// Service is the cluster as the engine runs it.
func (c Cluster) Service() *frameworks.Service { return c.service(func(*set) {}) }

// service is the cluster with changes that a test makes.
func (c Cluster) service(change func(*set)) *frameworks.Service {
	invalid := c.Validate()
	c = c.withDefaults()
	needs, err := offers.Parse(fmt.Sprintf("cpus:%g;mem:%d", c.CPUs, c.Mem))
	s := set{Cluster: c, flavor: flavors[c.Flavor]}
	change(&s)
	ports := []frameworks.Port{c.Port}
	if invalid == nil && s.flavor.handsOut() {
		ports = append(ports, frameworks.Port{Name: copiesPort})
	}
	return &frameworks.Service{
		Name: c.Name, Role: c.Role, Principal: c.Principal, User: c.User, Binary: c.Binary,
		Invalid:  errors.Join(invalid, err),
		Routines: []frameworks.Routine{s.failover().Routine()},
		Plans:    []frameworks.Plan{s.switchover().Plan(), s.acceptance().Plan()},
		Pods: []frameworks.Pod{{
			Name:        pod,
			Count:       c.Members,
			Needs:       needs,
			Ports:       ports,
			Volumes:     []frameworks.Volume{{Name: volume, Path: volume, Size: offers.Amount(c.Disk) * 1000}},
			Place:       c.Place,
			Secrets:     []string{operatorSecret, copySecret},
			Task:        s.task,
			Ready:       s.ready,
			Replaceable: replaceable,
			Rollout:     frameworks.Rollout{Order: primaryLast},
			Spare:       s.spare,
			Removable:   removable,
			Recovery:    frameworks.Recovery{After: c.ReplaceAfter},
			Backoff:     c.Backoff,
			Grace:       c.Grace,
		}},
	}
}

// set is a replication set: the cluster in its flavor.
type set struct {
	Cluster
	flavor flavor
	// What tests put in the place of dial, of elect and of Deployment.Under; nil:
	// these.
	dial  func(ctx context.Context, address, password string) (*session, error)
	elect func([]candidate) (string, error)
	under func(plan string) []frameworks.Step
}
