package mysql

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
)

// Paths in the sandbox.
const (
	configFile   = "my.cnf"
	dataDir      = volume + "/mysql" // on the volume, so that the volume's own files stay out of the server's way
	pidFile      = "mysqld.pid"
	secretsDir   = "secrets/"
	temporaryDir = "tmp"
)

// What the functions of the executor find in their environment.
const (
	envFlavor = "MYSQL_FLAVOR"
	envBase   = "MYSQL_BASE"
	envMember = "MYSQL_MEMBER" // "true": the volume holds a member that has been in the set
	// "true": somebody has been a member, so that a new one is a copy of it.
	envFounded = "MYSQL_FOUNDED"
	envDonors  = "MYSQL_DONORS" // of whom
)

const (
	initialiseWithin = 24 * time.Hour // it may be a copy of very much
	harmlessWithin   = 2 * time.Second
	handOverWithin   = 8 * time.Second
	probeInterval    = 300 * time.Millisecond
)

// task renders how a member runs: a pure function of the cluster, the
// deployment and the node. Every member is rendered alike and starts read-only;
// who is the primary is said over connections, never in a file.
func (s set) task(d frameworks.Deployment, n frameworks.Node) (executor.Task, error) {
	config, err := s.config(n)
	if err != nil {
		return executor.Task{}, err
	}
	env := map[string]string{
		envFlavor: s.Flavor,
		envBase:   literal(s.Distribution.Dir),
		envMember: strconv.FormatBool(n.Arrived == n.Generation),
	}
	if list, founded := donors(d, n); founded && n.Arrived != n.Generation {
		env[envFounded], env[envDonors] = "true", writeDonors(list)
	}
	steps := []executor.Step{{Name: "initialise", Done: "initialised", Func: initialiseStep, Timeout: initialiseWithin}}
	if s.flavor.handsOut() {
		steps = append(steps, executor.Step{Name: "hand out copies", Done: "hands out copies", Func: copiesStep})
	}
	if s.Distribution.Libraries != "" {
		env["LD_LIBRARY_PATH"] = literal(s.Distribution.Libraries)
	}
	return executor.Task{
		Files: []executor.File{{Path: configFile, Content: []byte(config), Expand: true}},
		Secrets: []executor.SecretFile{
			{Name: operatorSecret, Path: secretsDir + operatorSecret},
			{Name: copySecret, Path: secretsDir + copySecret},
		},
		Env:  env,
		Init: steps,
		Command: []string{literal(s.Distribution.Dir) + "/" + s.flavor.server(),
			"--defaults-file=$MESOS_SANDBOX/" + configFile},
		Lease: &executor.Lease{
			Within: s.Lease,
			End:    &executor.Step{Name: "be harmless", Done: "is read-only", Func: lapseStep, Timeout: harmlessWithin},
			Again:  &executor.Step{Name: "may be promoted", Done: "may be promoted", Func: leaseStep, Timeout: harmlessWithin},
		},
		Ready: &executor.Probe{TCP: n.Address(port), Interval: probeInterval},
		Stop: executor.Stop{
			Before: []executor.Step{{Name: "kill a primary", Done: "may end by itself", Func: endPrimaryStep, Timeout: handOverWithin + 2*harmlessWithin}},
			Grace:  s.Grace,
		},
		Logs: executor.Logs{MaxBytes: 64 << 20, Keep: 2, Tail: 40},
	}, nil
}

// literal is a path that the executor is not to expand.
func literal(path string) string { return strings.ReplaceAll(path, "$", "$$") }

// serverID is another one in each place: a replica skips what was written under
// its own, and with an empty volume it needs what it wrote in its former place.
func serverID(n frameworks.Node) int { return n.Generation<<12 + n.Index + 1 }

// config renders my.cnf: what the user set, and last, so that it holds, what
// the framework must know.
func (s set) config(n frameworks.Node) (string, error) {
	if n.Address(port) == "" {
		return "", fmt.Errorf("node %s: has no address yet", n.Name)
	}
	var text strings.Builder
	line := func(key string, value any) { fmt.Fprintf(&text, "%s=%v\n", key, value) }
	text.WriteString("[mysqld]\n")
	line("binlog_expire_logs_seconds", 30*24*60*60) // as MySQL has it; MariaDB would keep them until the disk is full
	for _, key := range slices.Sorted(maps.Keys(s.Options)) {
		line(key, literal(s.Options[key]))
	}
	user := s.User
	if user == "" {
		user = "root" // as which the server runs only where told so; for others it is no more than a warning
	}
	line("user", user)
	line("basedir", literal(s.Distribution.Dir))
	line("datadir", "$MESOS_SANDBOX/"+dataDir)
	line("tmpdir", "$MESOS_SANDBOX/"+temporaryDir)
	line("pid_file", "$MESOS_SANDBOX/"+pidFile)
	line("socket", "mysqld.sock") // in the data directory; a whole path may be too long for a socket
	line("bind_address", n.Place.Address)
	line("port", n.Place.Ports[port])
	line("skip_name_resolve", "ON")
	line("server_id", serverID(n))
	line("report_host", taskName(n))
	line("innodb_buffer_pool_size", fmt.Sprintf("%dM", s.Buffer))
	line("log_bin", "binlog")
	line("relay_log", "relay")
	line("sync_binlog", 1)
	line("innodb_flush_log_at_trx_commit", 1)
	text.WriteString(s.flavor.settings())
	return text.String(), nil
}
