package hdfs

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
)

// addressLines are those of hdfs-site.xml that hold addresses of other nodes.
var addressLines = regexp.MustCompile(
	`(?m)^<property><name>dfs\.(namenode\.(rpc|http)-address|namenode\.shared|ha\.namenodes|client\.failover).*\n`)

// layout is what the steps on an agent know of the cluster. It is rendered with
// the task, and read from layoutFile.
type layout struct {
	Service   string   `json:"service"`
	Self      string   `json:"self"`
	Owner     string   `json:"owner"` // of the volume, as its mark names it
	Identity  identity `json:"identity"`
	ZooKeeper string   `json:"zookeeper"`
	Java      string   `json:"java"`
	Classpath string   `json:"classpath"`
	Disk      int      `json:"disk"` // MiB
	Trust     string   `json:"trust,omitempty"`
	// Founding: no name node has ever arrived, so there is nothing to lose.
	Founding bool   `json:"founding,omitempty"`
	Journals []peer `json:"journals"`
	Names    []peer `json:"names"`
}

type peer struct {
	Name string `json:"name"`
	// Member: its volume holds what it had when it was ready.
	Member bool   `json:"member,omitempty"`
	RPC    string `json:"rpc"`
	HTTP   string `json:"http"`
	ZKFC   string `json:"zkfc,omitempty"`
}

func (c Cluster) layout(d frameworks.Deployment, n frameworks.Node, size Nodes) layout {
	l := layout{
		Service: c.Name, Self: n.Name, Owner: owner(d, n), Identity: identify(d), ZooKeeper: c.ZooKeeper, Trust: c.Trust,
		Java: c.Distribution.Java, Classpath: c.Distribution.Classpath, Disk: size.Disk, Founding: true,
	}
	list := func(pod string) (out []peer) {
		for _, n := range d.Pod(pod) {
			out = append(out, peer{
				Name: n.Name, Member: n.Arrived == n.Generation,
				RPC: n.Address(rpcPort), HTTP: n.Address(httpPort), ZKFC: n.Address(zkfcPort),
			})
		}
		return out
	}
	l.Journals, l.Names = list(journalPod), list(namePod)
	for _, n := range d.Nodes {
		l.Founding = l.Founding && (n.Pod != namePod || n.Arrived == 0)
	}
	return l
}

// owner is whose a volume is: that of a node that was replaced is no longer the
// node's own.
func owner(d frameworks.Deployment, n frameworks.Node) string {
	return fmt.Sprintf("%s %s %d", identify(d).Cluster, n.Name, n.Generation)
}

// others are the peers but this node itself.
func (l layout) others(peers []peer) []peer {
	return slices.DeleteFunc(slices.Clone(peers), func(p peer) bool { return p.Name == l.Self })
}

func (l layout) self(peers []peer) peer {
	for _, p := range peers {
		if p.Name == l.Self {
			return p
		}
	}
	return peer{}
}

func readLayout(s executor.Sandbox) (layout, error) {
	var l layout
	text, err := os.ReadFile(filepath.Join(s.Dir, layoutFile))
	if err == nil {
		err = json.Unmarshal(text, &l)
	}
	return l, err
}

// identity is that of the namespace. It is made of the deployment's own seed, so
// that it is known to every node at all times: nothing that was lost on disks is
// needed to write it again.
type identity struct {
	Cluster   string `json:"cluster"`
	Namespace int    `json:"namespace"`
	BlockPool string `json:"block_pool"`
}

// created is when every namespace was made, as far as Hadoop is told: it compares
// it only with itself.
const created = 1_700_000_000_000

// layoutVersion is that of journals and namespaces in Hadoop 3.4.
const layoutVersion = -67

func identify(d frameworks.Deployment) identity {
	id := d.ID("namespace")
	bits, _ := base64.RawURLEncoding.DecodeString(id) // it is what ID makes
	return identity{
		Cluster:   "CID-" + id,
		Namespace: int(binary.BigEndian.Uint32(bits)>>1 | 1),
		// Hadoop wants a number, an address and a time; nobody calls the address.
		BlockPool: fmt.Sprintf("BP-%d-127.0.0.1-%d", binary.BigEndian.Uint32(bits[4:])>>1, int64(created)),
	}
}

func (id identity) version(storage string) string {
	return fmt.Sprintf("namespaceID=%d\nclusterID=%s\ncTime=%d\nstorageType=%s\nlayoutVersion=%d\n",
		id.Namespace, id.Cluster, int64(created), storage, layoutVersion)
}
