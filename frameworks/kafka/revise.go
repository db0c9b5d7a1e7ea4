package kafka

import (
	"time"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/frameworks"
)

// settings are what of a cluster can be changed while it runs, as JSON. What is
// left out has its default.
type settings struct {
	Brokers        int                 `json:"brokers" help:"servers; controllers are the first of them"`
	CPUs           float64             `json:"cpus" help:"of each broker"`
	Mem            int                 `json:"mem" help:"MiB of each broker"`
	Heap           int                 `json:"heap,omitempty" help:"MiB; half of mem where it is left out"`
	Disk           int                 `json:"disk" help:"MiB of each log volume; it can only grow"`
	Place          constraints.Rules   `json:"constraints" help:"which agents will do"`
	RackAttribute  string              `json:"rack_attribute,omitempty" help:"the agents' attribute that is their rack"`
	ClientPort     *frameworks.Ports   `json:"client_port,omitempty" help:"where clients connect; any, where it is left out"`
	ControllerPort *frameworks.Ports   `json:"controller_port,omitempty" help:"where controllers and brokers connect"`
	Options        map[string]string   `json:"options,omitempty" help:"of server.properties"`
	PluginOptions  map[string]string   `json:"plugin_options,omitempty" help:"of server.properties, for plug-ins, unchecked"`
	Java           string              `json:"java" help:"the program, as the agents have it"`
	Kafka          string              `json:"kafka" help:"directory or classpath, as the agents have it"`
	JVMFlags       []string            `json:"jvm_flags,omitempty" help:"further arguments of the JVM"`
	Grace          frameworks.Duration `json:"grace,omitzero" help:"how long a broker may take to stop"`
	BackoffFirst   frameworks.Duration `json:"backoff_first,omitzero" help:"pause after a first failure"`
	BackoffMax     frameworks.Duration `json:"backoff_max,omitzero" help:"the longest pause after failures"`
}

// settings are those of the cluster.
func (c Cluster) settings() settings {
	full := c.withDefaults()
	return settings{
		Brokers: full.Brokers, CPUs: full.CPUs, Mem: full.Mem, Heap: c.Heap, Disk: full.Disk,
		Place: full.Place, RackAttribute: c.RackAttribute,
		ClientPort: frameworks.PortsOf(c.ClientPort), ControllerPort: frameworks.PortsOf(c.ControllerPort),
		Options: c.Options, PluginOptions: c.PluginOptions,
		Java: full.Distribution.Java, Kafka: c.Distribution.Classpath, JVMFlags: c.Distribution.Flags,
		Grace: frameworks.Duration(c.Grace), BackoffFirst: frameworks.Duration(c.Backoff.First), BackoffMax: frameworks.Duration(c.Backoff.Max),
	}
}

// with is the cluster with other settings. Its identity stays.
func (c Cluster) with(s settings) Cluster {
	return Cluster{
		Name: c.Name, Role: c.Role, Principal: c.Principal, User: c.User, Binary: c.Binary,
		Brokers: s.Brokers, CPUs: s.CPUs, Mem: s.Mem, Heap: s.Heap, Disk: s.Disk,
		Place: s.Place, RackAttribute: s.RackAttribute,
		ClientPort: s.ClientPort.Port(), ControllerPort: s.ControllerPort.Port(),
		Options: s.Options, PluginOptions: s.PluginOptions,
		Distribution: Distribution{Java: s.Java, Classpath: s.Kafka, Flags: s.JVMFlags},
		Grace:        time.Duration(s.Grace),
		Backoff:      frameworks.Backoff{First: time.Duration(s.BackoffFirst), Max: time.Duration(s.BackoffMax)},
	}
}
