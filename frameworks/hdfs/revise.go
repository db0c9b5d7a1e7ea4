package hdfs

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/frameworks"
)

// settings are what of a cluster can be changed while it runs, as JSON. What is
// left out has its default.
type settings struct {
	Journal      sizes               `json:"journal"`
	Namenode     sizes               `json:"name"`
	Data         sizes               `json:"data"`
	ZooKeeper    string              `json:"zookeeper" help:"servers, \"host:port,host:port\"; a change keeps one of them"`
	Place        constraints.Rules   `json:"constraints" help:"which agents will do, for each kind of node by itself"`
	Options      map[string]string   `json:"options,omitempty" help:"of hdfs-site.xml (dfs.…) and core-site.xml"`
	Trust        string              `json:"trust" help:"journal node that has all edits although most of the others lost theirs"`
	LostAfter    frameworks.Duration `json:"lost_after,omitzero" help:"how long a lost data node is waited for; for ever, where it is left out"`
	Java         string              `json:"java" help:"the program, as the agents have it"`
	Hadoop       string              `json:"hadoop" help:"directory or classpath, as the agents have it, of the same version"`
	JVMFlags     []string            `json:"jvm_flags,omitempty" help:"further arguments of every JVM"`
	Grace        frameworks.Duration `json:"grace,omitzero" help:"how long a server may take to stop"`
	BackoffFirst frameworks.Duration `json:"backoff_first,omitzero" help:"pause after a first failure"`
	BackoffMax   frameworks.Duration `json:"backoff_max,omitzero" help:"the longest pause after failures"`
}

// sizes are the nodes of a kind.
type sizes struct {
	Count int     `json:"count" help:"nodes; journal nodes: for ever, name nodes: never fewer"`
	CPUs  float64 `json:"cpus" help:"of each node"`
	Mem   int     `json:"mem" help:"MiB of each node"`
	Heap  int     `json:"heap,omitempty" help:"MiB of the JVM; half of mem where it is left out"`
	Disk  int     `json:"disk" help:"MiB of each volume; it can only grow"`
}

// settings are those of the cluster.
func (c Cluster) settings() settings {
	full := c.withDefaults()
	size := func(given, full Nodes) sizes {
		full.Heap = given.Heap // one that follows mem goes on following it
		return sizes(full)
	}
	return settings{
		Journal: size(c.Journal, full.Journal), Namenode: size(c.Namenode, full.Namenode), Data: size(c.Data, full.Data),
		ZooKeeper: c.ZooKeeper, Place: full.Place, Options: c.Options, Trust: c.Trust, LostAfter: frameworks.Duration(c.LostAfter),
		Java: full.Distribution.Java, Hadoop: c.Distribution.Classpath, JVMFlags: c.Distribution.Flags,
		Grace: frameworks.Duration(c.Grace), BackoffFirst: frameworks.Duration(c.Backoff.First), BackoffMax: frameworks.Duration(c.Backoff.Max),
	}
}

// with is the cluster with other settings. Its identity stays.
func (c Cluster) with(s settings) Cluster {
	return Cluster{
		Name: c.Name, Role: c.Role, Principal: c.Principal, User: c.User, Binary: c.Binary, calls: c.calls,
		Journal: Nodes(s.Journal), Namenode: Nodes(s.Namenode), Data: Nodes(s.Data),
		ZooKeeper: s.ZooKeeper, Place: s.Place, Options: s.Options, Trust: s.Trust, LostAfter: time.Duration(s.LostAfter),
		Distribution: Distribution{Java: s.Java, Classpath: s.Hadoop, Flags: s.JVMFlags},
		Grace:        time.Duration(s.Grace),
		Backoff:      frameworks.Backoff{First: time.Duration(s.BackoffFirst), Max: time.Duration(s.BackoffMax)},
	}
}

// change refuses what could lose edits, what would have name nodes elected in two
// places, and what could never be carried out. That name nodes stay, and that
// enough data nodes do, their pods' Removable says.
func change(d frameworks.Deployment, from, to settings) error {
	was, is := Cluster{}.with(from), Cluster{}.with(to)
	var errs []error
	bad := func(field string, value any, why string) {
		errs = append(errs, fmt.Errorf("%s: %v: %s", field, value, why))
	}
	if was, is := was.withDefaults().Journal.Count, is.withDefaults().Journal.Count; began(d) && was != is {
		bad("journal.count", is, fmt.Sprintf("is %d for the life of the cluster: %s", was, otherMajority))
	}
	if arrived(d) && !share(was.ZooKeeper, is.ZooKeeper) {
		bad("zookeeper", is.ZooKeeper, fmt.Sprintf("has none of %s: while they are restarted, name nodes would be elected in two places; keep one of the servers", was.ZooKeeper))
	}
	if _, ok := d.Node(is.Trust); is.Trust != "" && is.Trust != was.Trust && !ok {
		bad("trust", is.Trust, "there is no such node")
	}
	if n, replicas := remaining(d, was.withDefaults().Data.Count, is.withDefaults().Data.Count), is.replication(); replicas > was.replication() && replicas > n {
		bad("options: dfs.replication", replicas, fmt.Sprintf("there are %d data nodes", n))
	}
	return errors.Join(errs...)
}

// share says whether two lists of servers are of one ZooKeeper, for a server
// belongs to one only.
func share(a, b string) bool {
	servers := strings.Split(a, ",")
	return slices.ContainsFunc(strings.Split(b, ","), func(s string) bool { return slices.Contains(servers, s) })
}

// remaining is how many data nodes there are after a change of what is declared,
// which need not be how many there were.
func remaining(d frameworks.Deployment, was, is int) int {
	if was != is {
		return is
	}
	stay := 0
	for _, n := range d.Nodes {
		if n.Pod == dataPod && n.Goal != frameworks.GoalLeave {
			stay++
		}
	}
	return stay
}
