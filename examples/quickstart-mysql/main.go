// Quickstart-mysql runs a MySQL primary and two replicas on an embedded Mesos,
// kills the primary while rows are written, and counts what came back.
//
//	go run ./examples/quickstart-mysql          # stays up until Ctrl-C
//	go run ./examples/quickstart-mysql -once    # ends by itself
//	FLAVOR=mariadb go run ./examples/quickstart-mysql
//
// MySQL is obtained by mvn the first time, MariaDB by apt-get (Debian 12). All
// files but the cached server are in a temporary directory and go with it. It
// exits with 0 only if every acknowledged row came back.
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/mesokit/mesokit/examples/internal/quickstart"
	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/mysql"
	"github.com/mesokit/mesokit/internal/dist"
)

func main() {
	quickstart.Main(quickstart.Program{
		Executor: executor.Config{Steps: mysql.Steps()},
		Agents:   quickstart.Agents(4, 2, "cpus:2;mem:1024;disk:4096;ports:[31000-31099]"),
		Declare:  declare,
		Work:     work,
		Try: []string{
			"go run ./frameworks/mysql/mesos-mysql status",
			"go run ./frameworks/mysql/mesos-mysql endpoints primary",
			"go run ./frameworks/mysql/mesos-mysql switchover",
			"go run ./frameworks/mysql/mesos-mysql member restart 2 --wait",
			"go run ./frameworks/mysql/mesos-mysql member add",
		},
	})
}

const (
	members  = 3
	account  = "admin"
	password = "quickstart" // of a database on loopback that ends with this program
)

// declare obtains the server, and declares members that need little.
func declare(ctx context.Context, s *quickstart.Stage) (*frameworks.Service, error) {
	obtain, flavor := dist.MySQL, os.Getenv("FLAVOR")
	if flavor == "mariadb" {
		obtain = dist.MariaDB
	}
	server, err := obtain(ctx, s.Progress)
	if err != nil {
		return nil, err
	}
	s.Say("%s %s is in %s", cmp.Or(flavor, "mysql"), server.Version, server.Dir)
	return cluster(flavor, server.Dir).Service(), nil
}

func cluster(flavor, dir string) mysql.Cluster {
	c := mysql.Cluster{
		Flavor: flavor, Members: members, CPUs: 0.5, Mem: 512, Buffer: 64, Disk: 1024,
		Admin: account, AdminHash: mysql.Hash(password),
		Distribution: mysql.Distribution{Dir: dir},
		Options:      map[string]string{"innodb_redo_log_capacity": "32M"},
	}
	if flavor == "mariadb" {
		c.Distribution.Dir = filepath.Join(dir, "usr")
		c.Distribution.Libraries = filepath.Join(dir, "usr", "lib", "x86_64-linux-gnu")
		c.Options = map[string]string{"innodb_log_file_size": "16M"}
	}
	return c
}

// work writes rows while the primary dies, and counts what came back.
func work(ctx context.Context, s *quickstart.Stage) (quickstart.Result, error) {
	status, err := s.AwaitReady(ctx, members)
	if err != nil {
		return quickstart.Result{}, err
	}
	primary, ok := primaryOf(status)
	if !ok {
		return quickstart.Result{}, fmt.Errorf("all are ready, and none is the primary")
	}
	r, err := newRows(ctx, s.Client)
	if err != nil {
		return quickstart.Result{}, err
	}
	defer r.close()
	s.Say("writing %d rows; each is acknowledged when a replica has it too", count)
	if err := r.write(ctx, func() error { return s.Kill(ctx, primary) }); err != nil {
		return quickstart.Result{}, err
	}
	s.Say("%d rows acknowledged; at most %s between two of them", r.Acknowledged(), r.gap)
	// It returns in its place as a replica; or in a new one, if it had written what
	// no replica has: nobody was told that this was done.
	back := func(st frameworks.Status) bool {
		return st.Ready == members && slices.ContainsFunc(st.Nodes, func(n frameworks.NodeStatus) bool {
			return n.Name == primary.Name && n.Incarnation > primary.Incarnation
		})
	}
	if _, err := s.Await(ctx, primary.Name+" back as a replica", back); err != nil {
		return quickstart.Result{}, err
	}
	if err := r.read(ctx); err != nil {
		return quickstart.Result{}, err
	}
	return r.Result(), nil
}
