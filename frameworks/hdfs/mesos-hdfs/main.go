// Mesos-hdfs runs an HDFS cluster on Apache Mesos: journal nodes, name nodes with
// automatic failover, and data nodes. One binary is everything: the scheduler,
// which agents fetch this same binary from to supervise their server, and the
// commands of an operator.
//
//	mesos-hdfs scheduler --master zk://zk1:2181/mesos --state /var/lib/mesos-hdfs \
//	    --api 10.0.0.7:7000 --zookeeper zk1:2181,zk2:2181 --hadoop /opt/hadoop
//	mesos-hdfs status
//	mesos-hdfs data add 2 --wait
//	mesos-hdfs options >options.json; $EDITOR options.json
//	mesos-hdfs update options.json --wait
//	mesos-hdfs client-config /etc/hadoop/conf
//
// Package cli says what the commands and exit statuses are; here is what only
// HDFS has.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/cli"
	"github.com/mesokit/mesokit/frameworks/hdfs"
)

func main() {
	cli.Main(cli.App{
		Name:        "mesos-hdfs",
		Short:       "Run an HDFS cluster on Apache Mesos",
		Executor:    executor.Config{Steps: hdfs.Steps()},
		Declaration: new(declaration),
		Fields: map[string]string{
			"Cluster.Distribution.Java":      "java",
			"Cluster.Distribution.Classpath": "hadoop",
			"Cluster.Distribution.Flags":     "jvm-flag",
			"Cluster.ZooKeeper":              "zookeeper",
			"Cluster.Journal.Count":          "journals", "Cluster.Namenode.Count": "names", "Cluster.Data.Count": "datas",
			"Cluster.Journal.CPUs": "journal-cpus", "Cluster.Namenode.CPUs": "name-cpus", "Cluster.Data.CPUs": "data-cpus",
			"Cluster.Journal.Mem": "journal-mem", "Cluster.Namenode.Mem": "name-mem", "Cluster.Data.Mem": "data-mem",
			"Cluster.Journal.Heap": "journal-heap", "Cluster.Namenode.Heap": "name-heap", "Cluster.Data.Heap": "data-heap",
			"Cluster.Journal.Disk": "journal-disk", "Cluster.Namenode.Disk": "name-disk", "Cluster.Data.Disk": "data-disk",
		},
		Pods: []cli.Pod{{
			Name: "journal", Port: "rpc", Fixed: true,
			Replace: "A journal node fills its new volume from the others, so that they have to have all edits.",
		}, {
			Name: "data", Port: "data",
			Add: "Blocks are not moved to it by this: run Hadoop's balancer.",
			Replace: "Other data nodes make new replicas of what it held. One that is ready is better added\n" +
				"to and then removed: it hands over its blocks first. One that is not ready wants --force,\n" +
				"unless its machine is lost and the status calls it copied: nothing is missing without it.",
		}, {
			Name: "name", Port: "rpc",
			Add:     "The others are restarted one by one, for they have to know it.",
			Replace: "A name node copies the namespace from another; with --force, and all lost, it is made of the journal.",
		}},
		Commands: func(api *frameworks.Client) []*cobra.Command { return []*cobra.Command{clientConfig(api)} },
	})
}

// declaration is a cluster that is made of flags.
type declaration struct{ hdfs.Cluster }

// AddFlags adds what only HDFS has.
func (d *declaration) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&d.Distribution.Classpath, "hadoop", "", "Hadoop on the agents: the directory of a distribution, or a classpath of jars")
	f.StringVar(&d.Distribution.Java, "java", "java", "the java program on the agents, 11 or 17")
	f.StringArrayVar(&d.Distribution.Flags, "jvm-flag", nil, `further flag of every JVM, such as "-XX:+UseSerialGC" (repeatable)`)
	f.StringVar(&d.ZooKeeper, "zookeeper", "", `servers of ZooKeeper, "host:port,host:port", for the election of the active name node; a change keeps one of them`)
	nodes(f, &d.Journal, "journal", "journals", "3, 5, …; default 3; for ever")
	nodes(f, &d.Namenode, "name", "names", "2 to 5; default 2; later: name add")
	nodes(f, &d.Data, "data", "datas", "default 3; later: data add")
	cli.PairsVar(f, &d.Options, "option", `property of hdfs-site.xml or core-site.xml, such as "dfs.replication=2" (repeatable)`)
	f.DurationVar(&d.LostAfter, "lost-after", 0, "how long a lost data node is waited for, before another takes its place (default for ever)")
	f.StringVar(&d.Trust, "trust", "", "journal node that has all edits although most of the others lost theirs, for as long as that is so")
}

func nodes(f *pflag.FlagSet, n *hdfs.Nodes, kind, plural, count string) {
	f.IntVar(&n.Count, plural, 0, "number of "+kind+" nodes of a new cluster ("+count+")")
	f.Float64Var(&n.CPUs, kind+"-cpus", 0, "of each "+kind+" node")
	f.IntVar(&n.Mem, kind+"-mem", 0, "of each "+kind+" node, in MiB")
	f.IntVar(&n.Heap, kind+"-heap", 0, "of its JVM, in MiB (default half of --"+kind+"-mem)")
	f.IntVar(&n.Disk, kind+"-disk", 0, "of its volume, in MiB")
}

// Service is the cluster with what every framework has.
func (d *declaration) Service(c cli.Common) *frameworks.Service {
	h := d.Cluster
	h.Name, h.Role, h.Principal, h.User = c.Name, c.Role, c.Principal, c.User
	h.Place, h.Backoff, h.Grace, h.Binary = c.Place, c.Backoff, c.Grace, c.Binary
	return h.Service()
}

func clientConfig(api *frameworks.Client) *cobra.Command {
	return &cobra.Command{
		Use:   "client-config directory",
		Short: "Write core-site.xml and hdfs-site.xml for clients of the cluster",
		Long: `Write core-site.xml and hdfs-site.xml for clients of the cluster.

They name every name node, so that clients find the active one. They change only
when a name node has moved; clients then want them anew.`,
		Args: cli.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			status, err := api.Status(c.Context())
			if err != nil {
				return err
			}
			core, site := hdfs.ClientConfig(status)
			for name, content := range map[string][]byte{"core-site.xml": core, "hdfs-site.xml": site} {
				if err := os.WriteFile(filepath.Join(args[0], name), content, 0o644); err != nil {
					return err
				}
			}
			fmt.Fprintf(c.OutOrStdout(), "core-site.xml and hdfs-site.xml are in %s\n", args[0])
			return nil
		},
	}
}
