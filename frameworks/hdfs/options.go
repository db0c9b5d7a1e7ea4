package hdfs

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// owned are properties that the framework sets, with what sets them instead. One
// that ends with a dot stands for all that begin so.
var owned = map[string]string{
	"fs.defaultFS": "use Cluster.Name", "dfs.nameservices": "use Cluster.Name", "dfs.internal.nameservices": "use Cluster.Name",
	"dfs.ha.namenodes.": "the name nodes are known", "dfs.namenode.rpc-address": "it is the address of the agent",
	"dfs.namenode.rpc-address.": "it is the address of the agent", "dfs.namenode.http-address": "it is the address of the agent",
	"dfs.namenode.http-address.": "it is the address of the agent", "dfs.ha.zkfc.port": "the port is reserved",
	"dfs.ha.zkfc.port.": "the port is reserved", "dfs.ha.namenode.id": "it is the name of the node",
	"dfs.namenode.shared.edits.dir": "the journal nodes are known", "dfs.namenode.name.dir": "it is on the node's volume",
	"dfs.namenode.edits.dir": "it is on the node's volume", "dfs.journalnode.edits.dir": "it is on the node's volume",
	"dfs.journalnode.rpc-address": "it is the address of the agent", "dfs.journalnode.http-address": "it is the address of the agent",
	"dfs.datanode.data.dir": "it is on the node's volume", "dfs.datanode.address": "the port is reserved",
	"dfs.datanode.ipc.address": "the port is reserved", "dfs.datanode.http.address": "the port is reserved",
	"dfs.datanode.http.internal-proxy.port": "the port is reserved", "dfs.datanode.hostname": "it is that of the agent",
	"dfs.client.use.datanode.hostname": "data nodes are called by their addresses", "dfs.datanode.use.datanode.hostname": "data nodes are called by their addresses",
	keepFree:                            "it follows from Cluster.Data.Disk",
	"dfs.datanode.du.reserved":          "use Cluster.Data.Disk",
	"ha.zookeeper.quorum":               "use Cluster.ZooKeeper",
	"ha.zookeeper.parent-znode":         "the framework looks there",
	"dfs.ha.automatic-failover.enabled": "failover depends on it", "dfs.ha.fencing.methods": "the journal nodes fence",
	"dfs.reformat.disabled": "what holds data is never formatted", "dfs.hosts": "data nodes are known",
	"dfs.hosts.exclude": "data nodes leave by it", "dfs.namenode.hosts.provider.classname": "data nodes leave by it",
	"dfs.http.policy": "the framework asks over http", "hadoop.security.authentication": "the framework has no Kerberos",
	"dfs.journalnode.enable.sync":             "a journal node that was emptied is filled by it",
	"dfs.ha.nn.not-become-active-in-safemode": "name nodes come before data nodes",
	"hadoop.tmp.dir":                          "it is in the sandbox",
	"dfs.support.rolling.upgrade":             "upgrades are not known yet",
}

var propertyName = regexp.MustCompile(`^[a-z][A-Za-z0-9._-]*$`)

func (c Cluster) checkOptions() []error {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(c.Options)) {
		bad := func(want string) { errs = append(errs, fmt.Errorf("Cluster.Options: %s: %s", key, want)) }
		why := owned[key]
		for prefix, text := range owned {
			if strings.HasSuffix(prefix, ".") && strings.HasPrefix(key, prefix) {
				why = text
			}
		}
		switch {
		case why != "":
			bad("is set by the framework: " + why)
		case !propertyName.MatchString(key):
			bad("wants the name of a property, such as dfs.replication")
		}
	}
	return errs
}
