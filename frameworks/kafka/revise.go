package kafka

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/frameworks"
)

// settings are what of a cluster can be changed while it runs, as JSON. What is
// left out has its default.
type settings struct {
	Brokers        int               `json:"brokers"`
	CPUs           float64           `json:"cpus"`
	Mem            int               `json:"mem"`
	Heap           int               `json:"heap,omitempty"` // half of mem, whatever that becomes
	Disk           int               `json:"disk"`
	Place          constraints.Rules `json:"constraints"`
	RackAttribute  string            `json:"rack_attribute,omitempty"`
	ClientPort     *ports            `json:"client_port,omitempty"`
	ControllerPort *ports            `json:"controller_port,omitempty"`
	Options        map[string]string `json:"options,omitempty"`
	PluginOptions  map[string]string `json:"plugin_options,omitempty"`
	Java           string            `json:"java"`
	Kafka          string            `json:"kafka"` // directory or classpath
	JVMFlags       []string          `json:"jvm_flags,omitempty"`
	Grace          duration          `json:"grace,omitzero"`
	BackoffFirst   duration          `json:"backoff_first,omitzero"`
	BackoffMax     duration          `json:"backoff_max,omitzero"`
}

type ports struct {
	Begin uint64 `json:"begin"`
	End   uint64 `json:"end"`
}

// duration is text in JSON: "30s".
type duration time.Duration

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration(parsed)
	return err
}

// settings are those of the cluster.
func (c Cluster) settings() settings {
	full := c.withDefaults()
	port := func(p frameworks.Port) *ports {
		if p.End == 0 {
			return nil
		}
		return &ports{p.Begin, p.End}
	}
	return settings{
		Brokers: full.Brokers, CPUs: full.CPUs, Mem: full.Mem, Heap: c.Heap, Disk: full.Disk,
		Place: full.Place, RackAttribute: c.RackAttribute,
		ClientPort: port(c.ClientPort), ControllerPort: port(c.ControllerPort),
		Options: c.Options, PluginOptions: c.PluginOptions,
		Java: full.Distribution.Java, Kafka: c.Distribution.Classpath, JVMFlags: c.Distribution.Flags,
		Grace: duration(c.Grace), BackoffFirst: duration(c.Backoff.First), BackoffMax: duration(c.Backoff.Max),
	}
}

// with is the cluster with other settings. Its identity stays.
func (c Cluster) with(s settings) Cluster {
	port := func(p *ports) frameworks.Port {
		if p == nil {
			return frameworks.Port{}
		}
		return frameworks.Port{Begin: p.Begin, End: cmp.Or(p.End, p.Begin)}
	}
	return Cluster{
		Name: c.Name, Role: c.Role, Principal: c.Principal, User: c.User, Binary: c.Binary,
		Brokers: s.Brokers, CPUs: s.CPUs, Mem: s.Mem, Heap: s.Heap, Disk: s.Disk,
		Place: s.Place, RackAttribute: s.RackAttribute,
		ClientPort: port(s.ClientPort), ControllerPort: port(s.ControllerPort),
		Options: s.Options, PluginOptions: s.PluginOptions,
		Distribution: Distribution{Java: s.Java, Classpath: s.Kafka, Flags: s.JVMFlags},
		Grace:        time.Duration(s.Grace),
		Backoff:      frameworks.Backoff{First: time.Duration(s.BackoffFirst), Max: time.Duration(s.BackoffMax)},
	}
}

// revise makes the service of changed settings.
func (c Cluster) revise(options json.RawMessage) (*frameworks.Service, error) {
	decoder := json.NewDecoder(bytes.NewReader(options))
	decoder.DisallowUnknownFields()
	var s settings
	if err := decoder.Decode(&s); err != nil {
		return nil, fmt.Errorf("settings of the cluster: %w", err)
	}
	return c.with(s).Service(), nil
}
