package frameworks

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
)

// Deployment is what a node's configuration and its gate may depend on: the
// service as it stands. Equal deployments give equal files.
type Deployment struct {
	Service string `json:"service"`
	Nodes   []Node `json:"nodes"` // all of the service, in the order of pods and indexes
	// First says with how many nodes each pod was first deployed. It does not
	// change when the pod grows: for quorums whose first members are special.
	First map[string]int `json:"first"`

	seed [16]byte
	// phases and stopping are by node; nil where a task is rendered.
	phases   map[string]Phase
	stopping map[string]string
	under    map[string][]Step // by plan; nil but for decisions of routines
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

// Under returns the steps of a plan that are under way, for a routine whose
// decisions carry them out: the step's Work only waits until it sees that. It is
// nil everywhere but in a routine's Decide.
func (d Deployment) Under(plan string) []Step { return d.under[plan] }

// Stopping says why a running node is wanted to stop, for gates, routines and
// other jobs: "drain" (Mesos empties its agent, and stops it now), "maintenance"
// (its agent is asked back, and the node stops as soon as the service can spare
// it), "stop", "leave", "restart", "replace", or "update" for those of the nodes
// out of date whose turn has come. Empty: it is not, or a task is rendered.
func (d Deployment) Stopping(node string) string { return d.stopping[node] }

// Secret returns the value of one of Pod.Secrets. Only jobs know it: gates,
// looks, works and steps. It is empty elsewhere, where it would end up in a
// TaskInfo or a record, which others can read.
func (d Deployment) Secret(name string) string {
	if d.secret == nil {
		return ""
	}
	return d.secret(name)
}

// luggage is what jobs get to know: the service as the decision left it that
// started them. It is never changed again, so that all the jobs of a decision
// share one, and a Deployment is made of it only where a job runs.
type luggage struct {
	service *Service // of the options in force
	nodes   []*Node
	first   map[string]int
	seed    [16]byte
	phases  []Phase // beside nodes
	// stopping says of nodes why they are wanted to stop.
	stopping map[string]string
	secrets  map[string]*secret
}

func (l *luggage) unpack() Deployment {
	d := Deployment{
		Service: l.service.Name, First: l.first, seed: l.seed, phases: make(map[string]Phase, len(l.nodes)), stopping: l.stopping,
		Nodes: make([]Node, 0, len(l.nodes)),
	}
	for i, n := range l.nodes {
		d.Nodes = append(d.Nodes, *n)
		d.phases[n.Name] = l.phases[i]
	}
	d.secret = func(name string) string {
		if s := l.secrets[name]; s != nil {
			return s.Value
		}
		return ""
	}
	return d
}

// deployment is what a task is rendered from.
func (d *decision) deployment() Deployment {
	out := Deployment{Service: d.Name, First: map[string]int{}, seed: d.view.Random(d.Name)}
	out.Nodes = make([]Node, 0, len(d.nodes))
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
	out.phases, out.stopping = map[string]Phase{}, map[string]string{}
	for _, n := range d.nodes {
		out.phases[n.Name] = d.phase(n)
		if wish := d.wish(n); wish != "" {
			out.stopping[n.Name] = wish
		}
	}
	out.under = d.underWay()
	return out
}

// luggage is what jobs get to know. It is packed when the decision is made.
func (d *decision) luggage() *luggage {
	if d.packed == nil {
		d.packed = &luggage{}
	}
	return d.packed
}

// pack fills the luggage, if there is a job to take it.
func (d *decision) pack() {
	if d.packed == nil {
		return
	}
	*d.packed = luggage{
		service: d.Service, nodes: slices.Clone(d.nodes), phases: slices.Clone(d.phases), stopping: map[string]string{},
		first: map[string]int{}, seed: d.view.Random(d.Name), secrets: d.secrets,
	}
	for _, n := range d.awake() {
		d.packed.phases[d.at[n.Name]] = d.phase(n)
		if wish := d.wish(n); wish != "" {
			d.packed.stopping[n.Name] = wish
		}
	}
	for pod, record := range d.pods {
		d.packed.first[pod] = record.First
	}
}
