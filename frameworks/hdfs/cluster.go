package hdfs

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/internal/jvm"
	"github.com/mesokit/mesokit/offers"
)

// Cluster declares an HDFS cluster: journal nodes, name nodes of which one is
// active, and data nodes. The zero value of a field means what its comment says.
type Cluster struct {
	// Name is that of the service, and of the name service: hdfs://<Name>;
	// empty: "hdfs".
	Name string
	// Journal nodes are 3 or 5 or …, zero: 3, of 0.5 cpus, 1024 MiB and 5120 MiB
	// of disk.
	Journal Nodes
	// Namenodes are 2 to 5, zero: 2, of 1 cpu, 2048 MiB and 5120 MiB of disk. Each
	// has its failover controller beside it.
	Namenode Nodes
	// Data nodes are 1 or more at the first deployment, zero: 3, of 1 cpu, 2048
	// MiB and 20480 MiB of disk, which is their capacity.
	Data Nodes

	// ZooKeeper are the servers, "host:port" with commas between, by which the
	// name nodes elect the active one.
	ZooKeeper string
	// Place says which agents will do, for each kind of node by itself; empty:
	// "hostname:UNIQUE".
	Place constraints.Rules
	// Options are properties of Hadoop: those that begin with "dfs." of
	// hdfs-site.xml, others of core-site.xml. What the framework itself sets is
	// refused.
	Options map[string]string
	// Trust is a journal node, such as "journal-0", that has all edits although
	// most of the others have lost theirs; empty: none. It is to be set for as long as
	// they are filled, and no longer: see the package's comment.
	Trust string
	// LostAfter is how long a lost data node is waited for at least, before another
	// takes its place, which it does when no block is missing without it; zero: for
	// ever.
	LostAfter time.Duration

	Distribution Distribution
	// Grace is how long a server may take to stop; zero: 30 seconds.
	Grace   time.Duration
	Backoff frameworks.Backoff

	Role, Principal, User string
	Binary                frameworks.Binary

	calls calls // nil: the network
}

// Nodes are how many there are of a kind, and what each needs.
type Nodes struct {
	Count int
	CPUs  float64
	Mem   int // MiB
	Heap  int // of the JVM, in MiB; zero: half of Mem
	Disk  int // of the volume, in MiB
}

// Distribution says where agents find Java and Hadoop, by paths that hold on
// every agent.
type Distribution struct {
	Java string // the java program, 11 or 17; empty: "java" in PATH
	// Classpath is the directory of a Hadoop 3.4 distribution, or its jars,
	// separated by colons.
	Classpath string
	// Flags are further flags of every JVM, such as "-XX:+UseSerialGC".
	Flags []string
}

// The pods, their ports and volumes.
const (
	journalPod = "journal"
	namePod    = "name"
	dataPod    = "data"

	rpcPort   = "rpc"   // of journal and name nodes
	httpPort  = "http"  // of all
	zkfcPort  = "zkfc"  // of the failover controller
	dataPort  = "data"  // of data nodes: what clients read and write
	ipcPort   = "ipc"   // of data nodes
	proxyPort = "proxy" // of data nodes, which bind it on loopback for themselves

	volume = "volume"
)

// maxNames is how many name nodes Hadoop's own documentation would have at most.
const maxNames = 5

// What JVMs were seen to need, in MiB.
const (
	leastHeap      = 32
	jvmBeside      = 128 // beside its heap
	controllerHeap = 48  // of a failover controller
	toolHeap       = 64  // of a format or a bootstrap, which run before the server
)

func (n Nodes) withDefaults(count int, cpus float64, mem, disk int) Nodes {
	n.Count, n.CPUs = cmp.Or(n.Count, count), cmp.Or(n.CPUs, cpus)
	n.Mem, n.Disk = cmp.Or(n.Mem, mem), cmp.Or(n.Disk, disk)
	n.Heap = cmp.Or(n.Heap, n.Mem/2)
	return n
}

func (c Cluster) withDefaults() Cluster {
	c.Name = cmp.Or(c.Name, "hdfs")
	c.Journal = c.Journal.withDefaults(3, 0.5, 1024, 5120)
	c.Namenode = c.Namenode.withDefaults(2, 1, 2048, 5120)
	c.Data = c.Data.withDefaults(3, 1, 2048, 20480)
	c.Grace = cmp.Or(c.Grace, 30*time.Second)
	c.calls = cmp.Or[calls](c.calls, network{})
	c.Distribution.Java = cmp.Or(c.Distribution.Java, "java")
	c.Distribution.Classpath = jvm.Classpath(c.Distribution.Classpath,
		"share/hadoop/common/lib", "share/hadoop/common", "share/hadoop/hdfs/lib", "share/hadoop/hdfs")
	if c.Place.String() == "" {
		c.Place = constraints.MustParse("hostname:UNIQUE")
	}
	return c
}

var (
	serviceName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	server      = regexp.MustCompile(`^[^:/,\s]+:[0-9]+$`)
	journalName = regexp.MustCompile(`^journal-[0-9]+$`)
)

// Validate says what of the cluster cannot be, field by field.
func (c Cluster) Validate() error {
	c = c.withDefaults()
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, fmt.Errorf("%s: %v: %s", "Cluster."+field, value, want))
	}
	if !serviceName.MatchString(c.Name) {
		bad("Name", fmt.Sprintf("%q", c.Name), "wants lower case letters, digits and hyphens: clients write hdfs://<name>")
	}
	if c.Journal.Count < 3 || c.Journal.Count%2 == 0 {
		bad("Journal.Count", c.Journal.Count, "wants 3, 5, …: a majority has to remain when one is lost")
	}
	if c.Namenode.Count < 2 || c.Namenode.Count > maxNames {
		bad("Namenode.Count", c.Namenode.Count, "wants 2 to 5: one is active, and another takes over")
	}
	if c.Data.Count < 1 {
		bad("Data.Count", c.Data.Count, "wants 1 or more")
	}
	errs = append(errs, c.Journal.check("Journal", jvmBeside), c.Namenode.check("Namenode", 2*jvmBeside+controllerHeap), c.Data.check("Data", jvmBeside))
	for s := range strings.SplitSeq(c.ZooKeeper, ",") {
		if !server.MatchString(s) {
			bad("ZooKeeper", fmt.Sprintf("%q", c.ZooKeeper), `wants "host:port", several with commas between`)
			break
		}
	}
	if c.Trust != "" && !journalName.MatchString(c.Trust) {
		bad("Trust", fmt.Sprintf("%q", c.Trust), "wants the name of a journal node, such as journal-0")
	}
	if c.LostAfter < 0 {
		bad("LostAfter", c.LostAfter, "wants 0 or more")
	}
	if c.Grace < 0 {
		bad("Grace", c.Grace, "wants 0 or more")
	}
	if c.Distribution.Classpath == "" {
		bad("Distribution.Classpath", `""`, "wants where Hadoop is on the agents: the directory of a distribution, or the paths of its jars, separated by colons")
	}
	if err := jvm.CheckFlags(c.Distribution.Flags, min(c.Journal.Heap, c.Namenode.Heap, c.Data.Heap)); err != nil {
		errs = append(errs, fmt.Errorf("Cluster.Distribution.Flags: %w", err))
	}
	return errors.Join(append(errs, c.checkOptions()...)...)
}

func (n Nodes) check(field string, beside int) error {
	var errs []error
	bad := func(name string, value any, want string) {
		errs = append(errs, fmt.Errorf("%s: %v: %s", "Cluster."+field+"."+name, value, want))
	}
	if n.CPUs <= 0 {
		bad("CPUs", n.CPUs, "wants more than 0")
	}
	if err := jvm.CheckMemory("Cluster."+field+".", n.Mem, n.Heap, leastHeap, beside); err != nil {
		errs = append(errs, err)
	}
	if n.Disk < 256 {
		bad("Disk", n.Disk, "wants 256 MiB or more")
	}
	return errors.Join(errs...)
}

// Service is the cluster as the engine runs it.
func (c Cluster) Service() *frameworks.Service {
	return frameworks.OptionsOf[settings]{
		Given: c.settings(), Defaults: Cluster{}.settings(),
		Make:  func(s settings) (*frameworks.Service, error) { return c.with(s).declare(), nil },
		Check: change,
	}.Service()
}

// declare is the service as it is with the cluster's settings.
func (c Cluster) declare() *frameworks.Service {
	invalid := c.Validate()
	c = c.withDefaults()
	journal, err1 := c.pod(journalPod, c.Journal, rpcPort, httpPort)
	data, err2 := c.pod(dataPod, c.Data, dataPort, ipcPort, httpPort, proxyPort)
	name, err3 := c.pod(namePod, c.Namenode, rpcPort, httpPort, zkfcPort)

	journal.Together = true
	journal.Task, journal.Essence = c.journalTask, essence
	journal.Ready, journal.Spare = c.journalReady, c.journalSpare
	journal.Replaceable, journal.Removable, journal.Addable = journalReplaceable, staying, journalAddable

	name.Together, name.After = true, []string{journalPod}
	name.Join = joinName
	name.Task, name.Essence = c.nameTask, essence
	name.Ready, name.Spare = c.nameReady, c.nameSpare
	name.Rollout.Order = activeLast
	name.Replaceable, name.Removable, name.Addable = nameReplaceable, staying, nameAddable

	data.After = []string{namePod}
	data.Task, data.Essence = c.dataTask, essence
	data.Ready, data.Spare, data.Leave = c.dataReady, c.dataSpare, c.dataLeave
	data.Replaceable, data.Removable = c.dataReplaceable, c.dataRemovable
	data.Recovery = frameworks.Recovery{After: c.LostAfter}
	return &frameworks.Service{
		Name: c.Name, Role: c.Role, Principal: c.Principal, User: c.User, Binary: c.Binary,
		Invalid:  errors.Join(invalid, err1, err2, err3),
		Routines: []frameworks.Routine{c.keeping().Routine()},
		// Data nodes are rolled before name nodes: one that has moved leaves safe
		// mode only when they report to where it is now.
		Pods: []frameworks.Pod{journal, data, name},
	}
}

// pod is what the kinds of node have in common.
func (c Cluster) pod(name string, n Nodes, ports ...string) (frameworks.Pod, error) {
	needs, err := offers.Parse(fmt.Sprintf("cpus:%g;mem:%d", n.CPUs, n.Mem))
	p := frameworks.Pod{
		Name: name, Count: n.Count, Needs: needs, Place: c.Place, Backoff: c.Backoff, Grace: c.Grace,
		Volumes: []frameworks.Volume{{Name: volume, Path: volume, Size: offers.Amount(n.Disk) * 1000}},
	}
	for _, port := range ports {
		p.Ports = append(p.Ports, frameworks.Port{Name: port})
	}
	return p, err
}
