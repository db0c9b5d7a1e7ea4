package kafka

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/internal/jvm"
	"github.com/mesokit/mesokit/offers"
)

// Cluster declares a Kafka cluster in KRaft mode. The zero value of a field
// means what its comment says.
type Cluster struct {
	Name    string  // of the service; empty: "kafka"
	Brokers int     // at the first deployment; zero: 3
	CPUs    float64 // of each broker; zero: 1
	Mem     int     // of each broker, in MiB; zero: 2048
	Heap    int     // of each JVM, in MiB; zero: half of Mem
	Disk    int     // of each broker's volume, in MiB; zero: 5120

	// Place says which agents will do; empty: "hostname:UNIQUE".
	Place constraints.Rules
	// RackAttribute names the agent attribute that becomes broker.rack, so
	// that Kafka spreads the replicas of a partition; empty: none.
	RackAttribute string
	// ClientPort and ControllerPort bound the choice of ports; zero: any that
	// is offered. Once reserved they are kept.
	ClientPort, ControllerPort frameworks.Port

	// Options are lines of server.properties. What the framework itself sets
	// is refused, and so is what Kafka does not know.
	Options map[string]string
	// PluginOptions are lines of server.properties that only a plugin knows
	// (a metrics reporter, an authorizer); they are not checked.
	PluginOptions map[string]string

	Distribution Distribution
	// Grace is how long a broker may take to hand over its partitions and
	// stop; zero: 30 seconds.
	Grace   time.Duration
	Backoff frameworks.Backoff

	Role, Principal, User string
	Binary                frameworks.Binary
}

// Distribution says where agents find Java and Kafka, by paths that hold on
// every agent.
type Distribution struct {
	Java string // the java program, 17 or newer; empty: "java" in PATH
	// Classpath is the directory of a distribution, which has its jars in
	// libs, or the jars themselves, separated by colons.
	Classpath string
	// Flags are further flags of the JVM, such as "-XX:+UseSerialGC".
	Flags []string
}

// The pod and its ports.
const (
	pod            = "broker"
	clientPort     = "client"
	controllerPort = "controller"
	volume         = "data"
)

// maxControllers is the size of the quorum: the first nodes are brokers and
// controllers, those added later brokers only. Three outlive the loss of one;
// more than that makes every write of metadata slower.
const maxControllers = 3

// leastHeap is the smallest heap with which a broker was seen to start, in MiB.
const leastHeap = 64

// jvmBeside is what a broker's JVM was seen to need beside its heap, in MiB.
const jvmBeside = 128

func (c Cluster) withDefaults() Cluster {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	if c.Name == "" {
		c.Name = "kafka"
	}
	if c.CPUs == 0 {
		c.CPUs = 1
	}
	set(&c.Brokers, 3)
	set(&c.Mem, 2048)
	set(&c.Heap, c.Mem/2)
	set(&c.Disk, 5120)
	if c.Place.String() == "" {
		c.Place = constraints.MustParse("hostname:UNIQUE")
	}
	if c.Grace == 0 {
		c.Grace = 30 * time.Second
	}
	if c.Distribution.Java == "" {
		c.Distribution.Java = "java"
	}
	c.Distribution.Classpath = jvm.Classpath(c.Distribution.Classpath, "libs")
	c.ClientPort.Name, c.ControllerPort.Name = clientPort, controllerPort
	return c
}

// Validate says what of the cluster cannot be, field by field.
func (c Cluster) Validate() error {
	c = c.withDefaults()
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, fmt.Errorf("%s: %v: %s", "Cluster."+field, value, want))
	}
	if c.Brokers < 1 {
		bad("Brokers", c.Brokers, "wants 1 or more")
	}
	if c.CPUs <= 0 {
		bad("CPUs", c.CPUs, "wants more than 0")
	}
	if err := jvm.CheckMemory("Cluster.", c.Mem, c.Heap, leastHeap, jvmBeside); err != nil {
		errs = append(errs, err)
	}
	if c.Disk < 1 {
		bad("Disk", c.Disk, "wants MiB, such as 5120")
	}
	if c.Grace < 0 {
		bad("Grace", c.Grace, "wants 0 or more")
	}
	if p := only(c.ClientPort); p != 0 && p == only(c.ControllerPort) {
		bad("ControllerPort", p, "wants a port other than ClientPort")
	}
	if c.Distribution.Classpath == "" {
		bad("Distribution.Classpath", `""`, "wants where Kafka is on the agents: the directory of a distribution, or the paths of its jars, separated by colons")
	}
	if err := jvm.CheckFlags(c.Distribution.Flags, c.Heap); err != nil {
		errs = append(errs, fmt.Errorf("Cluster.Distribution.Flags: %w", err))
	}
	return errors.Join(append(errs, c.checkOptions()...)...)
}

// only is the port that leaves no choice, or 0.
func only(p frameworks.Port) uint64 {
	if p.Begin == p.End {
		return p.Begin
	}
	return 0
}

func (c Cluster) checkOptions() []error {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(c.Options)) {
		if err := checkOption(key, c.Options[key]); err != nil {
			errs = append(errs, fmt.Errorf("Cluster.Options: %w", err))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.PluginOptions)) {
		err := checkLine(key, c.PluginOptions[key])
		if err == nil {
			err = checkOwned(key)
		}
		if _, both := c.Options[key]; err == nil && both {
			err = fmt.Errorf("%s: is in Options too: wants it in one of them", key)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("Cluster.PluginOptions: %w", err))
		}
	}
	return errs
}

// Service is the cluster as the engine runs it.
func (c Cluster) Service() *frameworks.Service {
	return frameworks.OptionsOf[settings]{
		Given: c.settings(), Defaults: Cluster{}.settings(),
		Make: func(s settings) (*frameworks.Service, error) { return c.with(s).declare(), nil },
	}.Service()
}

// declare is the service as it is with the cluster's settings.
func (c Cluster) declare() *frameworks.Service {
	invalid := c.Validate()
	c = c.withDefaults()
	needs, err := offers.Parse(fmt.Sprintf("cpus:%g;mem:%d", c.CPUs, c.Mem))
	return &frameworks.Service{
		Name:      c.Name,
		Role:      c.Role,
		Principal: c.Principal,
		User:      c.User,
		Binary:    c.Binary,
		Invalid:   errors.Join(invalid, err),
		Routines:  []frameworks.Routine{keeping.Routine()},
		Pods: []frameworks.Pod{{
			Name:        pod,
			Count:       c.Brokers,
			Needs:       needs,
			Ports:       []frameworks.Port{c.ClientPort, c.ControllerPort},
			Volumes:     []frameworks.Volume{{Name: volume, Path: volume, Size: offers.Amount(c.Disk) * 1000}},
			Place:       c.Place,
			Together:    true,
			Task:        c.task,
			Ready:       unfenced,
			Replaceable: replaceable,
			Essence:     essence,
			Rollout:     frameworks.Rollout{Order: activeLast},
			Spare:       spare,
			Leave:       leave,
			Removable:   c.removable,
			Backoff:     c.Backoff,
			Grace:       c.Grace,
		}},
	}
}
