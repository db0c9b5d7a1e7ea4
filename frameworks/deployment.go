package frameworks

import (
	"crypto/sha256"
	"encoding/base64"
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
