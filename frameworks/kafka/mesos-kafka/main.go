// Mesos-kafka runs a Kafka cluster on Apache Mesos. One binary is everything:
// the scheduler, which agents fetch this same binary from to supervise their
// broker, and the commands of an operator.
//
//	mesos-kafka scheduler --master zk://zk1:2181/mesos --state /var/lib/mesos-kafka \
//	    --api 10.0.0.7:7000 --kafka /opt/kafka --constraint hostname:UNIQUE
//	mesos-kafka status
//	mesos-kafka broker restart 1 --wait
//
// Package cli says what the commands and exit statuses are; here is what only
// Kafka has.
package main

import (
	"github.com/spf13/pflag"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/cli"
	"github.com/mesokit/mesokit/frameworks/kafka"
)

func main() {
	cli.Main(cli.App{
		Name:        "mesos-kafka",
		Short:       "Run a Kafka cluster on Apache Mesos",
		Executor:    executor.Config{Steps: kafka.Steps()},
		Declaration: new(declaration),
		Fields: map[string]string{
			"Cluster.Distribution.Java":      "java",
			"Cluster.Distribution.Classpath": "kafka",
			"Cluster.Distribution.Flags":     "jvm-flag",
		},
		Pods: []cli.Pod{{
			Name: "broker",
			Port: "client",
			Add: `The first three brokers of a cluster are its controllers; those added later
are brokers only. Partitions are not moved to them by this.`,
			Replace: "Kafka copies its partitions from their other replicas.",
		}},
	})
}

// declaration is a cluster that is made of flags.
type declaration struct{ kafka.Cluster }

// AddFlags adds what only Kafka has.
func (d *declaration) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&d.Distribution.Classpath, "kafka", "", "Kafka on the agents: the directory of a distribution, or a classpath of jars")
	f.StringVar(&d.Distribution.Java, "java", "java", "the java program on the agents, 17 or newer")
	f.StringArrayVar(&d.Distribution.Flags, "jvm-flag", nil, `further flag of the JVM, such as "-XX:+UseSerialGC" (repeatable)`)
	f.IntVar(&d.Brokers, "brokers", 3, "number of brokers of a new cluster; later: broker add")
	f.Float64Var(&d.CPUs, "cpus", 1, "of each broker")
	f.IntVar(&d.Mem, "mem", 2048, "of each broker, in MiB")
	f.IntVar(&d.Heap, "heap", 0, "of each JVM, in MiB (default half of --mem)")
	f.IntVar(&d.Disk, "disk", 5120, "of each broker's volume, in MiB")
	f.StringVar(&d.RackAttribute, "rack-attribute", "", "agent attribute that becomes broker.rack")
	cli.PortVar(f, &d.ClientPort, "client-port", `port of the clients, or a range "9092-9099" to choose from (default any that is offered)`)
	cli.PortVar(f, &d.ControllerPort, "controller-port", "the same for the controllers")
	cli.PairsVar(f, &d.Options, "option", `line of server.properties, such as "log.retention.hours=24" (repeatable)`)
	cli.PairsVar(f, &d.PluginOptions, "plugin-option", "the same for what only a plugin knows; not checked (repeatable)")
}

// Service is the cluster with what every framework has.
func (d *declaration) Service(c cli.Common) *frameworks.Service {
	k := d.Cluster
	k.Name, k.Role, k.Principal, k.User = c.Name, c.Role, c.Principal, c.User
	k.Place, k.Backoff, k.Grace, k.Binary = c.Place, c.Backoff, c.Grace, c.Binary
	return k.Service()
}
