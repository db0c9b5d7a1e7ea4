// Mesos-mysql runs a replication set of MySQL or MariaDB on Apache Mesos. One
// binary is everything: the scheduler, which agents fetch this same binary from
// to supervise their server, and the commands of an operator.
//
//	mesos-mysql scheduler --master zk://zk1:2181/mesos --state /var/lib/mesos-mysql \
//	    --api 10.0.0.7:7000 --server /opt/mysql --admin-password-file /etc/mesos-mysql/admin
//	mesos-mysql status
//	mesos-mysql member restart 1 --wait
//	mesos-mysql endpoints primary
//	mesos-mysql switchover 2
//	mesos-mysql promote --accept-loss
//
// Package cli says what the commands and exit statuses are; here is what only
// MySQL has.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/cli"
	"github.com/mesokit/mesokit/frameworks/mysql"
)

func main() {
	cli.Main(cli.App{
		Name:        "mesos-mysql",
		Short:       "Run MySQL or MariaDB, a primary and its replicas, on Apache Mesos",
		Executor:    executor.Config{Steps: mysql.Steps()},
		Declaration: new(declaration),
		Fields: map[string]string{
			"Cluster.Distribution.Dir": "server",
			"Cluster.AdminHash":        "admin-password-file",
			"Cluster.Options":          "option",
		},
		Commands: func(api *frameworks.Client) []*cobra.Command {
			return []*cobra.Command{switchover(api), promote(api)}
		},
		Pods: []cli.Pod{{
			Name:    "member",
			Port:    "mysql",
			Add:     "A member that is added follows the primary.",
			Replace: "Another member that is not ready may hold the only other copy.",
		}},
	})
}

// declaration is a cluster that is made of flags.
type declaration struct{ mysql.Cluster }

// AddFlags adds what only MySQL has.
func (d *declaration) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&d.Flavor, "flavor", "mysql", `"mysql" or "mariadb"`)
	f.StringVar(&d.Distribution.Dir, "server", "", "the server on the agents: the directory that holds bin/mysqld or sbin/mariadbd")
	f.StringVar(&d.Distribution.Libraries, "libraries", "", "directory of shared libraries that the server needs and the agents do not have")
	f.IntVar(&d.Members, "members", 3, "number of members of a new set; later: member add")
	f.Float64Var(&d.CPUs, "cpus", 1, "of each member")
	f.IntVar(&d.Mem, "mem", 1024, "of each member, in MiB")
	f.IntVar(&d.Buffer, "buffer", 0, "InnoDB's buffer pool, in MiB (default half of --mem)")
	f.IntVar(&d.Disk, "disk", 5120, "of each member's volume, in MiB")
	f.StringVar(&d.Admin, "admin", "admin", "account for people and programs")
	f.Var(passwordFile{&d.AdminHash}, "admin-password-file", "file with its password; only a hash of it is kept")
	f.DurationVar(&d.Lease, "lease", 0, "how long a primary that cannot be reached may go on, at least 3s (default 20s)")
	f.DurationVar(&d.ReplaceAfter, "replace-after", 0, "how long a member that is lost with its agent is waited for before it is made anew on another (default for ever)")
	cli.PortVar(f, &d.Port, "port", `port of the clients, or a range "3306-3310" to choose from (default any that is offered)`)
	cli.PairsVar(f, &d.Options, "option", `line of the server's configuration, such as "max_connections=500" (repeatable)`)
}

// Service is the cluster with what every framework has.
func (d *declaration) Service(c cli.Common) *frameworks.Service {
	m := d.Cluster
	m.Name, m.Role, m.Principal, m.User = c.Name, c.Role, c.Principal, c.User
	m.Place, m.Backoff, m.Grace, m.Binary = c.Place, c.Backoff, c.Grace, c.Binary
	return m.Service()
}

// passwordFile is a flag that names a file with a password, and keeps the hash.
type passwordFile struct{ hash *string }

func (p passwordFile) String() string { return "" }
func (p passwordFile) Type() string   { return "file" }

func (p passwordFile) Set(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	password := strings.TrimRight(string(text), "\r\n")
	if password == "" {
		return fmt.Errorf("%s is empty: wants a password", path)
	}
	*p.hash = mysql.Hash(password)
	return nil
}
