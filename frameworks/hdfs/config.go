package hdfs

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/mesokit/mesokit/frameworks"
)

// defaults differ from Hadoop's own so that a cluster heals soon and by itself;
// Cluster.Options come after them.
var defaults = map[string]string{
	// A journal node that was away takes part again with the next segment, and a
	// name node that starts knows only finished ones.
	"dfs.ha.log-roll.period":        "30s",
	"dfs.journalnode.sync.interval": "20000",
	"dfs.ha.tail-edits.period":      "10s",
	"dfs.ha.tail-edits.in-progress": "true",
	// One that is active and in safe mode takes no writes; the gate waits instead.
	"dfs.namenode.safemode.extension": "0",
	// Clients are not sent to a data node that is silent, long before it counts
	// as dead.
	"dfs.namenode.avoid.write.stale.datanode":         "true",
	"dfs.namenode.avoid.read.stale.datanode":          "true",
	"dfs.namenode.reconstruction.pending.timeout-sec": "60",
	"dfs.namenode.decommission.interval":              "10s",
}

const proxyProvider = "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider"

// client are the properties by which everybody finds the name nodes.
func client(service string, names []frameworks.Node) (core, site map[string]string) {
	var ids []string
	site = map[string]string{
		"dfs.nameservices": service,
		"dfs.client.failover.proxy.provider." + service: proxyProvider,
		// A data node is called by the address that it has from Mesos, which it
		// gives as its name; name nodes see the one that it calls from.
		"dfs.client.use.datanode.hostname":   "true",
		"dfs.datanode.use.datanode.hostname": "true",
	}
	for _, n := range names {
		ids = append(ids, n.Name)
		suffix := "." + service + "." + n.Name
		site["dfs.namenode.rpc-address"+suffix] = n.Address(rpcPort)
		site["dfs.namenode.http-address"+suffix] = n.Address(httpPort)
	}
	site["dfs.ha.namenodes."+service] = strings.Join(ids, ",")
	return map[string]string{"fs.defaultFS": "hdfs://" + service}, site
}

// ClientConfig is what clients of a service want in their core-site.xml and
// hdfs-site.xml, from its status. They name every name node, so that they find
// the active one; they change only when a name node has moved.
func ClientConfig(s frameworks.Status) (core, site []byte) {
	var names []frameworks.Node
	for _, n := range s.Nodes {
		if n.Pod == namePod && n.Place != nil {
			names = append(names, n.Node)
		}
	}
	c, h := client(s.Service, names)
	return document(c), document(h)
}

// sites renders the configuration of a server: what the user set, and last, so
// that it holds, what the framework must know.
func (c Cluster) sites(d frameworks.Deployment, own map[string]string) (core, site []byte) {
	cores, sites := map[string]string{}, maps.Clone(defaults)
	for key, value := range c.Options {
		if strings.HasPrefix(key, "dfs.") {
			sites[key] = value
		} else {
			cores[key] = value
		}
	}
	knownCore, known := client(c.Name, d.Pod(namePod))
	maps.Copy(cores, knownCore)
	maps.Copy(sites, known)
	maps.Copy(sites, own)
	return document(cores), document(sites)
}

// shared is the address of the journal as name nodes write it.
func (c Cluster) shared(d frameworks.Deployment) string {
	var at []string
	for _, n := range d.Pod(journalPod) {
		at = append(at, n.Address(rpcPort))
	}
	return "qjournal://" + strings.Join(at, ";") + "/" + c.Name
}

// nameSite is what only name nodes and their failover controllers need.
func (c Cluster) nameSite(d frameworks.Deployment) map[string]string {
	site := map[string]string{
		"dfs.namenode.shared.edits.dir":     c.shared(d),
		"ha.zookeeper.quorum":               c.ZooKeeper,
		"dfs.ha.automatic-failover.enabled": "true",
		// A new active gets an epoch from a majority of the journal nodes, after
		// which none of them takes a write of the old one.
		"dfs.ha.fencing.methods": "shell(/bin/true)",
		"dfs.reformat.disabled":  "true",
		"dfs.hosts.exclude":      excludeFile,
	}
	for _, n := range d.Pod(namePod) {
		_, port, _ := net.SplitHostPort(n.Address(zkfcPort))
		site["dfs.ha.zkfc.port."+c.Name+"."+n.Name] = port
	}
	return site
}

// document writes properties as Hadoop reads them.
func document(properties map[string]string) []byte {
	var out bytes.Buffer
	out.WriteString("<?xml version=\"1.0\"?>\n<configuration>\n")
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		fmt.Fprintf(&out, "<property><name>%s</name><value>", key)
		_ = xml.EscapeText(&out, []byte(properties[key])) // a buffer takes everything
		out.WriteString("</value></property>\n")
	}
	out.WriteString("</configuration>\n")
	return out.Bytes()
}
