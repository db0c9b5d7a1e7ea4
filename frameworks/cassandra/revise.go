package cassandra

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/frameworks"
)

// settings are what of a cluster can be changed while it runs, as JSON, and
// what is kept from being changed. What is left out has its default.
type settings struct {
	Nodes         int                 `json:"nodes"`
	CPUs          float64             `json:"cpus"`
	Mem           int                 `json:"mem"`
	Heap          int                 `json:"heap,omitempty"` // half of mem, whatever that becomes
	Disk          int                 `json:"disk"`
	Place         constraints.Rules   `json:"constraints"`
	Datacenter    string              `json:"datacenter"`
	RackAttribute string              `json:"rack_attribute,omitempty"`
	Tokens        int                 `json:"tokens"`
	StoragePort   uint64              `json:"storage_port"`
	CQLPort       *frameworks.Ports   `json:"cql_port,omitempty"`
	AdminPort     *frameworks.Ports   `json:"admin_port,omitempty"`
	Options       map[string]string   `json:"options,omitempty"`
	Java          string              `json:"java"`
	Cassandra     string              `json:"cassandra"` // directory or classpath
	Jolokia       string              `json:"jolokia"`
	JVMFlags      []string            `json:"jvm_flags,omitempty"`
	ReplaceAfter  frameworks.Duration `json:"replace_after,omitzero"`
	Grace         frameworks.Duration `json:"grace,omitzero"`
	BackoffFirst  frameworks.Duration `json:"backoff_first,omitzero"`
	BackoffMax    frameworks.Duration `json:"backoff_max,omitzero"`
}

// settings are those of the cluster.
func (c Cluster) settings() settings {
	full := c.withDefaults()
	return settings{
		Nodes: full.Nodes, CPUs: full.CPUs, Mem: full.Mem, Heap: c.Heap, Disk: full.Disk,
		Place: full.Place, Datacenter: full.Datacenter, RackAttribute: c.RackAttribute, Tokens: full.Tokens,
		StoragePort: full.StoragePort, CQLPort: frameworks.PortsOf(full.CQLPort), AdminPort: frameworks.PortsOf(c.AdminPort),
		Options: c.Options,
		Java:    full.Distribution.Java, Cassandra: c.Distribution.Classpath, Jolokia: c.Distribution.Jolokia, JVMFlags: c.Distribution.Flags,
		ReplaceAfter: frameworks.Duration(c.ReplaceAfter), Grace: frameworks.Duration(c.Grace),
		BackoffFirst: frameworks.Duration(c.Backoff.First), BackoffMax: frameworks.Duration(c.Backoff.Max),
	}
}

// with is the cluster with other settings. Its identity stays.
func (c Cluster) with(s settings) Cluster {
	return Cluster{
		Name: c.Name, Role: c.Role, Principal: c.Principal, User: c.User, Binary: c.Binary, reach: c.reach,
		Nodes: s.Nodes, CPUs: s.CPUs, Mem: s.Mem, Heap: s.Heap, Disk: s.Disk,
		Place: s.Place, Datacenter: s.Datacenter, RackAttribute: s.RackAttribute, Tokens: s.Tokens,
		StoragePort: s.StoragePort, CQLPort: s.CQLPort.Port(), AdminPort: s.AdminPort.Port(),
		Options:      s.Options,
		Distribution: Distribution{Java: s.Java, Classpath: s.Cassandra, Jolokia: s.Jolokia, Flags: s.JVMFlags},
		ReplaceAfter: time.Duration(s.ReplaceAfter), Grace: time.Duration(s.Grace),
		Backoff: frameworks.Backoff{First: time.Duration(s.BackoffFirst), Max: time.Duration(s.BackoffMax)},
	}
}

func parseSettings(options json.RawMessage) (settings, error) {
	decoder := json.NewDecoder(bytes.NewReader(options))
	decoder.DisallowUnknownFields()
	var s settings
	if err := decoder.Decode(&s); err != nil {
		return s, fmt.Errorf("settings of the cluster: %w", err)
	}
	return s, nil
}

// revise makes the service of changed settings.
func (c Cluster) revise(options json.RawMessage) (*frameworks.Service, error) {
	s, err := parseSettings(options)
	if err != nil {
		return nil, err
	}
	return c.with(s).Service(), nil
}

// change refuses what Cassandra would not start with on data that it has, and
// what would part the ring in two.
func change(d frameworks.Deployment, from, to json.RawMessage) error {
	was, err1 := parseSettings(from)
	is, err2 := parseSettings(to)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	was, is = Cluster{}.with(was).settings(), Cluster{}.with(is).settings() // with the defaults
	if members(d) == nil {
		return nil
	}
	var errs []error
	fixed := func(field string, was, is any, why string) {
		if was != is {
			errs = append(errs, fmt.Errorf("%s: %v: is %v for the life of the ring: %s", field, is, was, why))
		}
	}
	fixed("datacenter", was.Datacenter, is.Datacenter, "Cassandra does not start in another one")
	fixed("rack_attribute", was.RackAttribute, is.RackAttribute, "Cassandra does not start in another rack")
	fixed("tokens", was.Tokens, is.Tokens, "Cassandra does not start with another number of tokens")
	fixed("storage_port", was.StoragePort, is.StoragePort, "a node with another one would not find the ring")
	return errors.Join(errs...)
}
