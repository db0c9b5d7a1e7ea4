// Mesos-cassandra runs a Cassandra ring on Apache Mesos. One binary is
// everything: the scheduler, which agents fetch this same binary from to
// supervise their node, and the commands of an operator.
//
//	mesos-cassandra scheduler --master zk://zk1:2181/mesos --state /var/lib/mesos-cassandra \
//	    --api 10.0.0.7:7000 --cassandra /opt/cassandra --jolokia /opt/jolokia-agent-jvm.jar
//	mesos-cassandra status
//	mesos-cassandra node restart 1 --wait
//
// Package cli says what the commands and exit statuses are; here is what only
// Cassandra has.
package main

import (
	"github.com/spf13/pflag"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/cassandra"
	"github.com/mesokit/mesokit/frameworks/cli"
)

func main() {
	cli.Main(cli.App{
		Name:        "mesos-cassandra",
		Short:       "Run a Cassandra ring on Apache Mesos",
		Executor:    executor.Config{Steps: cassandra.Steps()},
		Declaration: new(declaration),
		Fields: map[string]string{
			"Cluster.Distribution.Java":      "java",
			"Cluster.Distribution.Classpath": "cassandra",
			"Cluster.Distribution.Jolokia":   "jolokia",
			"Cluster.Distribution.Flags":     "jvm-flag",
			"Cluster.Options":                "option",
		},
		Pods: []cli.Pod{{
			Name:    "node",
			Port:    "cql",
			Add:     "A node that is added joins the ring, one at a time, and takes over its part of the data.",
			Replace: "Its part of the data is streamed from the other replicas.",
		}},
	})
}

// declaration is a ring that is made of flags.
type declaration struct{ cassandra.Cluster }

// AddFlags adds what only Cassandra has.
func (d *declaration) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&d.Distribution.Classpath, "cassandra", "", "Cassandra on the agents: the directory of a distribution, or a classpath of jars")
	f.StringVar(&d.Distribution.Jolokia, "jolokia", "", "the jar of the Jolokia JVM agent on the agents")
	f.StringVar(&d.Distribution.Java, "java", "java", "the java program on the agents, 17")
	f.StringArrayVar(&d.Distribution.Flags, "jvm-flag", nil, `further flag of the JVM, such as "-XX:+UseZGC" (repeatable)`)
	f.IntVar(&d.Nodes, "nodes", 3, "number of nodes of a new ring; later: node add")
	f.Float64Var(&d.CPUs, "cpus", 1, "of each node")
	f.IntVar(&d.Mem, "mem", 4096, "of each node, in MiB")
	f.IntVar(&d.Heap, "heap", 0, "of each JVM, in MiB (default half of --mem)")
	f.IntVar(&d.Disk, "disk", 10240, "of each node's volume, in MiB")
	f.StringVar(&d.Datacenter, "datacenter", "dc1", "its name, for ever")
	f.StringVar(&d.RackAttribute, "rack-attribute", "", "agent attribute that becomes the rack (default: all are in rack1)")
	f.IntVar(&d.Tokens, "tokens", 16, "num_tokens of each node, for ever")
	f.Uint64Var(&d.StoragePort, "storage-port", 7000, "port of the ring, the same on all agents")
	cli.PortVar(f, &d.CQLPort, "cql-port", `port of the clients, or a range "9042-9049" to choose from (default 9042)`)
	cli.PortVar(f, &d.AdminPort, "admin-port", "port for this framework to manage nodes (default any that is offered)")
	f.DurationVar(&d.ReplaceAfter, "replace-after", 0, "replace a node that is lost with its agent after so long (default never)")
	cli.PairsVar(f, &d.Options, "option", `line of cassandra.yaml, such as "concurrent_reads=64" (repeatable)`)
}

// Service is the ring with what every framework has.
func (d *declaration) Service(c cli.Common) *frameworks.Service {
	r := d.Cluster
	r.Name, r.Role, r.Principal, r.User = c.Name, c.Role, c.Principal, c.User
	r.Place, r.Backoff, r.Grace, r.Binary = c.Place, c.Backoff, c.Grace, c.Binary
	return r.Service()
}
