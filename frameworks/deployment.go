package frameworks

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
)

// Deployment is what a node's configuration and its gate may depend on: the
// service as it stands. Equal deployments give equal files.
type Deployment struct {
	Service string `json:"service"`
	Nodes   []Node `json:"nodes"` // all of the service, in the order of pods and indexes
	// First says with how many nodes each pod was first deployed. It does not
	// change when the pod grows: for quorums whose first members are special.
	First map[string]int `json:"first"`

	seed   [16]byte
	phases map[string]Phase // by node; nil where a task is rendered
	// secret is nil but for jobs. It is a function so that no print of a
	// deployment shows one.
	secret func(name string) string
}

// ID makes an identifier of 16 bytes in base64url without padding (22
// characters): the head of the SHA-256 of the deployment's own seed and the
// label. The same label gives the same identifier for the life of the
// deployment, and another deployment gives another.
func (d Deployment) ID(label string) string {
	sum := sha256.Sum256(append(d.seed[:], label...))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Pod returns the nodes of one pod that have a place.
func (d Deployment) Pod(name string) []Node {
	var nodes []Node
	for _, n := range d.Nodes {
		if n.Pod == name && n.Place != nil {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// Node returns the node of that name; false: there is none.
func (d Deployment) Node(name string) (Node, bool) {
	for _, n := range d.Nodes {
		if n.Name == name {
			return n, true
		}
	}
	return Node{}, false
}

// Phase says how far a node has come, for gates, routines and other jobs. It is
// empty where a task is rendered, which must not depend on it.
func (d Deployment) Phase(node string) Phase { return d.phases[node] }

// Secret returns the value of one of Pod.Secrets. Only jobs know it: gates,
// looks, works and steps. It is empty elsewhere, where it would end up in a
// TaskInfo or a record, which others can read.
func (d Deployment) Secret(name string) string {
	if d.secret == nil {
		return ""
	}
	return d.secret(name)
}

// luggage is a deployment on its way to a job, with what it does not show.
type luggage struct {
	Deployment Deployment        `json:"deployment"`
	Seed       [16]byte          `json:"seed"`
	Phases     map[string]Phase  `json:"phases"`
	Secrets    map[string]string `json:"secrets,omitempty"`
	Options    json.RawMessage   `json:"options,omitempty"` // of the service as it asks
}

func (l luggage) unpack() Deployment {
	d := l.Deployment
	d.seed, d.phases = l.Seed, l.Phases
	d.secret = func(name string) string { return l.Secrets[name] }
	return d
}

// deployment is what a task is rendered from.
func (d *decision) deployment() Deployment {
	out := Deployment{Service: d.Name, First: map[string]int{}, seed: d.view.Random(d.Name)}
	for _, n := range d.nodes {
		out.Nodes = append(out.Nodes, *n)
	}
	for pod, record := range d.pods {
		out.First[pod] = record.First
	}
	return out
}

// observed is what routines decide upon.
func (d *decision) observed() Deployment {
	out := d.deployment()
	out.phases = map[string]Phase{}
	for _, n := range d.nodes {
		out.phases[n.Name] = d.phase(n)
	}
	return out
}

// luggage is what jobs get to know.
func (d *decision) luggage() luggage {
	out := d.observed()
	l := luggage{Deployment: out, Seed: out.seed, Phases: out.phases, Options: d.service.Options.Target}
	for name, s := range d.secrets {
		if l.Secrets == nil {
			l.Secrets = map[string]string{}
		}
		l.Secrets[name] = s.Value
	}
	return l
}
