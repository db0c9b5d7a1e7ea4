package cassandra

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/internal/jvm"
	"github.com/mesokit/mesokit/offers"
)

// Cluster declares a ring of Cassandra 5.0 in one datacenter. The zero value of
// a field means what its comment says.
type Cluster struct {
	Name  string  // of the service, and of the ring for ever; empty: "cassandra"
	Nodes int     // at the first deployment; zero: 3
	CPUs  float64 // of each node; zero: 1
	Mem   int     // of each node, in MiB; zero: 4096
	Heap  int     // of each JVM, in MiB; zero: half of Mem
	Disk  int     // of each node's volume, in MiB; zero: 10240

	// Place says which agents will do; empty: "hostname:UNIQUE".
	Place constraints.Rules
	// Datacenter is what keyspaces call it; empty: "dc1". It cannot be changed.
	Datacenter string
	// RackAttribute names the agent attribute that becomes the rack, over which
	// NetworkTopologyStrategy spreads replicas; empty: all are in "rack1". It
	// cannot be changed.
	RackAttribute string
	// Tokens is num_tokens; zero: 16. It cannot be changed.
	Tokens int

	// StoragePort is that of the ring, the same on all its agents; zero: 7000.
	StoragePort uint64
	// CQLPort is that of the clients, or a range to choose from; zero: 9042.
	CQLPort frameworks.Port
	// AdminPort is where this framework manages a node, over HTTP and with a
	// password of its own; zero: any that is offered.
	AdminPort frameworks.Port

	// Options are keys of cassandra.yaml with their values in YAML: "64",
	// "10s", "{enabled: true}". What the framework itself sets is refused, and
	// so is what Cassandra does not know.
	Options map[string]string

	Distribution Distribution
	// ReplaceAfter is how long a node that is lost with its agent is waited for
	// before it is replaced by itself; zero: for ever.
	ReplaceAfter time.Duration
	// Grace is how long a node may take to drain and stop; zero: 2 minutes.
	Grace   time.Duration
	Backoff frameworks.Backoff

	Role, Principal, User string
	Binary                frameworks.Binary

	// reach asks a node; nil: over HTTP.
	reach func(d frameworks.Deployment, n frameworks.Node) server
}

// Distribution says where agents find Java, Cassandra and Jolokia, by paths
// that hold on every agent.
type Distribution struct {
	Java string // the java program, 17; empty: "java" in PATH
	// Classpath is the directory of a distribution, which has its jars in lib,
	// or the jars themselves, separated by colons.
	Classpath string
	// Jolokia is the jar of the Jolokia JVM agent (jolokia-agent-jvm, 2.x), by
	// which nodes are managed.
	Jolokia string
	// Flags are further flags of the JVM, such as "-XX:+UseZGC".
	Flags []string
}

// The pod, its ports and its volume.
const (
	pod         = "node"
	storagePort = "storage"
	cqlPort     = "cql"
	adminPort   = "admin"
	volume      = "data"
)

const (
	leastHeap = 48  // with which a node was seen to start, in MiB
	jvmBeside = 160 // what a JVM was seen to need beside its heap, in MiB
)

func (c Cluster) withDefaults() Cluster {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	if c.Name == "" {
		c.Name = "cassandra"
	}
	if c.CPUs == 0 {
		c.CPUs = 1
	}
	set(&c.Nodes, 3)
	set(&c.Mem, 4096)
	set(&c.Heap, c.Mem/2)
	set(&c.Disk, 10240)
	set(&c.Tokens, 16)
	if c.Place.String() == "" {
		c.Place = constraints.MustParse("hostname:UNIQUE")
	}
	if c.Datacenter == "" {
		c.Datacenter = "dc1"
	}
	if c.StoragePort == 0 {
		c.StoragePort = 7000
	}
	if c.CQLPort.End == 0 {
		c.CQLPort.Begin, c.CQLPort.End = 9042, 9042
	}
	if c.Grace == 0 {
		c.Grace = 2 * time.Minute
	}
	if c.Distribution.Java == "" {
		c.Distribution.Java = "java"
	}
	c.Distribution.Classpath = jvm.Classpath(c.Distribution.Classpath, "lib")
	c.CQLPort.Name, c.AdminPort.Name = cqlPort, adminPort
	if c.reach == nil {
		c.reach = overHTTP
	}
	return c
}

// word is what a datacenter is called; a rack is held to it when it is rendered.
var word = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

// Validate says what of the cluster cannot be, field by field.
func (c Cluster) Validate() error {
	c = c.withDefaults()
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, fmt.Errorf("%s: %v: %s", "Cluster."+field, value, want))
	}
	if c.Nodes < 1 {
		bad("Nodes", c.Nodes, "wants 1 or more")
	}
	if c.CPUs <= 0 {
		bad("CPUs", c.CPUs, "wants more than 0")
	}
	if err := jvm.CheckMemory("Cluster.", c.Mem, c.Heap, leastHeap, jvmBeside); err != nil {
		errs = append(errs, err)
	}
	if c.Disk < 1 {
		bad("Disk", c.Disk, "wants MiB, such as 10240")
	}
	if c.Tokens < 1 || c.Tokens > 256 {
		bad("Tokens", c.Tokens, "wants 1 to 256")
	}
	if !word.MatchString(c.Datacenter) {
		bad("Datacenter", fmt.Sprintf("%q", c.Datacenter), "wants letters, digits, '_', '.' and '-'")
	}
	if c.Grace < 0 {
		bad("Grace", c.Grace, "wants 0 or more")
	}
	if c.ReplaceAfter < 0 {
		bad("ReplaceAfter", c.ReplaceAfter, "wants 0 or more")
	}
	errs = append(errs, c.checkPorts()...)
	if c.Distribution.Classpath == "" {
		bad("Distribution.Classpath", `""`, "wants where Cassandra is on the agents: the directory of a distribution, or the paths of its jars, separated by colons")
	}
	if c.Distribution.Jolokia == "" {
		bad("Distribution.Jolokia", `""`, "wants where the jar of the Jolokia JVM agent is on the agents: nodes are managed through it")
	}
	if err := jvm.CheckFlags(c.Distribution.Flags, c.Heap); err != nil {
		errs = append(errs, fmt.Errorf("Cluster.Distribution.Flags: %w", err))
	}
	for _, key := range slices.Sorted(maps.Keys(c.Options)) {
		if err := checkOption(key, c.Options[key]); err != nil {
			errs = append(errs, fmt.Errorf("Cluster.Options: %w", err))
		}
	}
	return errors.Join(errs...)
}

// checkPorts refuses a choice of ports that leaves one port for two.
func (c Cluster) checkPorts() (errs []error) {
	taken := map[uint64]string{c.StoragePort: "StoragePort"}
	for _, p := range []struct {
		field string
		port  frameworks.Port
	}{{"CQLPort", c.CQLPort}, {"AdminPort", c.AdminPort}} {
		if p.port.Begin != p.port.End || p.port.End == 0 {
			continue
		}
		if other := taken[p.port.End]; other != "" {
			errs = append(errs, fmt.Errorf("%s: %d: wants a port other than %s", "Cluster."+p.field, p.port.End, other))
		}
		taken[p.port.End] = p.field
	}
	return errs
}

// Service is the ring as the engine runs it.
func (c Cluster) Service() *frameworks.Service {
	declared, invalid := c, c.Validate()
	options, err := json.Marshal(c.settings())
	invalid = errors.Join(invalid, err)
	c = c.withDefaults()
	needs, err := offers.Parse(fmt.Sprintf("cpus:%g;mem:%d", c.CPUs, c.Mem))
	r := ring{reach: c.reach, port: c.StoragePort, settle: hintsSettle, rack: c.rack}
	return &frameworks.Service{
		Name:      c.Name,
		Role:      c.Role,
		Principal: c.Principal,
		User:      c.User,
		Binary:    c.Binary,
		Invalid:   errors.Join(invalid, err),
		Options:   options,
		Revise:    declared.revise,
		Change:    change,
		Routines:  []frameworks.Routine{r.tidying()},
		Plans:     []frameworks.Plan{r.repairing().Plan()},
		Pods: []frameworks.Pod{{
			Name:  pod,
			Count: c.Nodes,
			Needs: needs,
			Ports: []frameworks.Port{
				{Name: storagePort, Begin: c.StoragePort, End: c.StoragePort}, c.CQLPort, c.AdminPort,
			},
			Volumes:     []frameworks.Volume{{Name: volume, Path: volume, Size: offers.Amount(c.Disk) * 1000}},
			Place:       c.Place,
			Secrets:     []string{adminSecret},
			Task:        c.task,
			Join:        r.join,
			Ready:       r.ready,
			Replaceable: replaceable,
			Essence:     essence,
			Spare:       r.spare,
			Leave:       r.leave,
			Removable:   removable,
			Recovery:    frameworks.Recovery{After: c.ReplaceAfter},
			Backoff:     c.Backoff,
			Grace:       c.Grace,
		}},
	}
}
