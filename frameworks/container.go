package frameworks

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Container is what a task runs in, where that is not the agent's own file
// system. The agents need the isolators for it; one that lacks them fails the
// task, and says so.
type Container struct {
	// Image is a Docker image, such as "apache/kafka:4.1.0", which Mesos's own
	// containerizer runs (isolators filesystem/linux and docker/runtime); empty:
	// the agent's file system.
	Image string `json:"image,omitempty"`
	// HostPaths are directories or files of the agent that the task sees.
	HostPaths []HostPath `json:"host_paths,omitempty"`
	// Network is a network of that name, such as a CNI network; empty: the
	// agent's own. Ports are mapped to their Port.Container, where they have one.
	Network string `json:"network,omitempty"`
}

// HostPath is a directory or a file of the agent that a task sees at a path of its
// own.
type HostPath struct {
	Host     string `json:"host"` // absolute
	Path     string `json:"path"` // absolute, or relative to the sandbox
	ReadOnly bool   `json:"read_only,omitempty"`
}

// Discovery is what is published of a node besides its name and its ports, for
// Mesos-DNS and the like.
type Discovery struct {
	// Visibility is who may see it; zero: this framework.
	Visibility  mesos.DiscoveryInfo_Visibility `json:"visibility,omitempty"`
	Environment string                         `json:"environment,omitempty"`
	Location    string                         `json:"location,omitempty"`
	Version     string                         `json:"version,omitempty"`
	Labels      map[string]string              `json:"labels,omitempty"`
}

// info is the container of the pod's tasks; nil: none of their own.
func (c Container) info(p *Pod, n *Node) *mesos.ContainerInfo {
	if c.Image == "" && len(c.HostPaths) == 0 && c.Network == "" {
		return nil
	}
	out := &mesos.ContainerInfo{Type: mesos.ContainerInfo_MESOS.Enum()}
	if c.Image != "" {
		out.Mesos = &mesos.ContainerInfo_MesosInfo{Image: &mesos.Image{
			Type: mesos.Image_DOCKER.Enum(), Docker: &mesos.Image_Docker{Name: c.Image},
		}}
	}
	for _, h := range c.HostPaths {
		mode := mesos.RW
		if h.ReadOnly {
			mode = mesos.RO
		}
		out.Volumes = append(out.Volumes, mesos.Volume{Mode: &mode, ContainerPath: h.Path, HostPath: &h.Host})
	}
	if c.Network == "" {
		return out
	}
	network := mesos.NetworkInfo{Name: &c.Network}
	for _, port := range p.Ports {
		if port.Container == 0 {
			continue
		}
		mapping := mesos.NetworkInfo_PortMapping{HostPort: uint32(n.Place.Ports[port.Name]), ContainerPort: uint32(port.Container)}
		if port.Protocol != "" {
			mapping.Protocol = &port.Protocol
		}
		network.PortMappings = append(network.PortMappings, mapping)
	}
	out.NetworkInfos = []mesos.NetworkInfo{network}
	return out
}

func (p *Pod) validateContainer(bad func(name string, value any, want string)) {
	c := p.Container
	if strings.ContainsAny(c.Image, " \t\n") || strings.Contains(c.Image, "://") {
		bad("Container.Image", c.Image, "wants a Docker image, such as \"apache/kafka:4.1.0\"")
	}
	if strings.ContainsAny(c.Network, " \t\n/") || c.Network == "host" {
		bad("Container.Network", c.Network, "wants the name of a network; empty: the host's")
	}
	for i, h := range c.HostPaths {
		field := fmt.Sprintf("Container.HostPaths[%d]", i)
		if !path.IsAbs(h.Host) {
			bad(field+".Host", h.Host, "wants an absolute path on the agents")
		}
		if h.Path == "" || strings.Contains(h.Path, "..") {
			bad(field+".Path", h.Path, "wants an absolute path, or one in the sandbox")
		}
		if slices.ContainsFunc(c.HostPaths[:i], func(o HostPath) bool { return path.Clean(o.Path) == path.Clean(h.Path) }) ||
			slices.ContainsFunc(p.Volumes, func(v Volume) bool { return path.Clean(v.Path) == path.Clean(h.Path) }) {
			bad(field+".Path", h.Path, "wants a path that no other volume of the pod has")
		}
	}
	for i, port := range p.Ports {
		field := fmt.Sprintf("Ports[%d]", i)
		if port.Container > 65535 {
			bad(field+".Container", port.Container, "wants 1 to 65535")
		}
		if port.Container > 0 && c.Network == "" {
			bad(field+".Container", port.Container, "wants a Container.Network: on the host's there is nothing to map")
		}
		if !slices.Contains([]string{"", "tcp", "udp"}, port.Protocol) {
			bad(field+".Protocol", port.Protocol, "wants \"tcp\" or \"udp\"; empty: not said")
		}
	}
	if _, known := mesos.DiscoveryInfo_Visibility_name[int32(p.Discovery.Visibility)]; !known {
		bad("Discovery.Visibility", p.Discovery.Visibility, "wants mesos.FRAMEWORK, mesos.CLUSTER or mesos.EXTERNAL")
	}
	if _, err := p.Limits.Limits(p.Needs); err != nil {
		bad("Limits", p.Limits.String(), err.Error())
	}
}

// surroundings are what of a pod's tasks is declared beside Command and Task, as
// text; empty: nothing is. Where it changes, a running node is out of date.
func (p *Pod) surroundings() (string, error) {
	all := struct {
		Fetch     []URI             `json:"fetch,omitempty"`
		Container *Container        `json:"container,omitempty"`
		Limits    string            `json:"limits,omitempty"`
		Discovery *Discovery        `json:"discovery,omitempty"`
		Ports     map[string]uint64 `json:"ports,omitempty"`
		Protocols map[string]string `json:"protocols,omitempty"`
	}{Fetch: p.Fetch, Limits: p.Limits.String(), Ports: map[string]uint64{}, Protocols: map[string]string{}}
	if p.Container.info(&Pod{}, nil) != nil {
		all.Container = &p.Container
	}
	if d := p.Discovery; d.Visibility != mesos.FRAMEWORK || d.Environment+d.Location+d.Version != "" || len(d.Labels) > 0 {
		all.Discovery = &d
	}
	for _, port := range p.Ports {
		if port.Container > 0 {
			all.Ports[port.Name] = port.Container
		}
		if port.Protocol != "" {
			all.Protocols[port.Name] = port.Protocol
		}
	}
	text, err := json.Marshal(all)
	if string(text) == "{}" {
		return "", err
	}
	return string(text), err
}

// discovery publishes the node's ports under its name, for Mesos-DNS and the
// like.
func (d *decision) discovery(n *Node) *mesos.DiscoveryInfo {
	pod := d.pod(n.Pod)
	host := n.Name + "." + d.Name
	said := pod.Discovery
	info := &mesos.DiscoveryInfo{Visibility: said.Visibility, Name: &host}
	for text, at := range map[*string]**string{
		&said.Environment: &info.Environment, &said.Location: &info.Location, &said.Version: &info.Version,
	} {
		if *text != "" {
			*at = text
		}
	}
	for _, key := range sortedKeys(said.Labels) {
		if info.Labels == nil {
			info.Labels = &mesos.Labels{}
		}
		value := said.Labels[key]
		info.Labels.Labels = append(info.Labels.Labels, mesos.Label{Key: key, Value: &value})
	}
	for _, name := range sortedKeys(n.Place.Ports) {
		if info.Ports == nil {
			info.Ports = &mesos.Ports{}
		}
		port := mesos.Port{Number: uint32(n.Place.Ports[name]), Name: &name}
		if i := slices.IndexFunc(pod.Ports, func(p Port) bool { return p.Name == name }); i >= 0 && pod.Ports[i].Protocol != "" {
			port.Protocol = &pod.Ports[i].Protocol
		}
		info.Ports.Ports = append(info.Ports.Ports, port)
	}
	return info
}
