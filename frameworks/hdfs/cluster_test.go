package hdfs

import (
	"encoding/xml"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
)

func valid() Cluster {
	return Cluster{ZooKeeper: "zk:2181", Distribution: Distribution{Java: "/usr/bin/java", Classpath: "/opt/hadoop/a.jar:/opt/hadoop/b.jar"}}
}

func TestValidate(t *testing.T) {
	require.NoError(t, valid().Validate())
	for _, test := range []struct {
		name  string
		spoil func(*Cluster)
		want  string
	}{
		{"name", func(c *Cluster) { c.Name = "My_Files" }, `Cluster.Name: "My_Files": wants lower case`},
		{"an even number of journal nodes", func(c *Cluster) { c.Journal.Count = 4 }, "Cluster.Journal.Count: 4: wants 3, 5"},
		{"one name node", func(c *Cluster) { c.Namenode.Count = 1 }, "Cluster.Namenode.Count: 1: wants 2 to 5"},
		{"memory", func(c *Cluster) { c.Journal.Mem = 100 }, "Cluster.Journal.Mem: 100: wants 160 MiB or more"},
		{"heap", func(c *Cluster) { c.Namenode.Mem, c.Namenode.Heap = 512, 400 }, "Cluster.Namenode.Heap: 400: wants at most 208 MiB"},
		{"disk", func(c *Cluster) { c.Data.Disk = 1 }, "Cluster.Data.Disk: 1: wants 256"},
		{"no ZooKeeper", func(c *Cluster) { c.ZooKeeper = "" }, `Cluster.ZooKeeper: "": wants "host:port"`},
		{"a ZooKeeper without a port", func(c *Cluster) { c.ZooKeeper = "zk1:2181,zk2" }, `Cluster.ZooKeeper: "zk1:2181,zk2"`},
		{"trust", func(c *Cluster) { c.Trust = "1" }, `Cluster.Trust: "1": wants the name of a journal node`},
		{"no distribution", func(c *Cluster) { c.Distribution.Classpath = "" }, "Cluster.Distribution.Classpath"},
		{"a second heap", func(c *Cluster) { c.Distribution.Flags = []string{"-Xmx1g"} }, `Cluster.Distribution.Flags: "-Xmx1g": is set by the framework`},
		{"what is owned", func(c *Cluster) { c.Options = map[string]string{"dfs.ha.namenodes.x": "a"} }, "Cluster.Options: dfs.ha.namenodes.x: is set by the framework"},
		{"no property", func(c *Cluster) { c.Options = map[string]string{"<b>": "a"} }, "Cluster.Options: <b>: wants the name of a property"},
	} {
		c := valid()
		test.spoil(&c)
		assert.ErrorContains(t, c.Validate(), test.want, test.name)
	}
}

// deployment is a cluster where every node has a place and has arrived.
func deployment() frameworks.Deployment {
	d := frameworks.Deployment{Service: "hdfs", First: map[string]int{journalPod: 3, namePod: 2, dataPod: 2}}
	add := func(pod string, count int, ports ...string) {
		for i := range count {
			n := frameworks.Node{
				Name: fmt.Sprint(pod, "-", i), Pod: pod, Index: i, Goal: frameworks.GoalRun, Generation: 1, Arrived: 1, Ready: true,
				Place: &frameworks.Place{Agent: fmt.Sprint("agent-", i), Hostname: fmt.Sprint("host", i), Address: fmt.Sprint("10.0.0.", i), Ports: map[string]uint64{}},
			}
			for j, p := range ports {
				n.Place.Ports[p] = uint64(1000*len(pod) + j)
			}
			d.Nodes = append(d.Nodes, n)
		}
	}
	add(journalPod, 3, rpcPort, httpPort)
	add(dataPod, 2, dataPort, ipcPort, httpPort, proxyPort)
	add(namePod, 2, rpcPort, httpPort, zkfcPort)
	return d
}

// render renders the task of a node.
func render(t *testing.T, c Cluster, d frameworks.Deployment, name string) executor.Task {
	t.Helper()
	n, ok := d.Node(name)
	require.True(t, ok)
	for _, p := range c.Service().Pods {
		if p.Name == n.Pod {
			task, err := p.Task(d, n)
			require.NoError(t, err)
			task.Stop.Grace = c.withDefaults().Grace
			require.NoError(t, task.Validate())
			return p.Essence(task)
		}
	}
	return executor.Task{}
}

// properties reads a site file.
func properties(t *testing.T, task executor.Task, path string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, f := range task.Files {
		if f.Path != path {
			continue
		}
		var document struct {
			Property []struct {
				Name  string `xml:"name"`
				Value string `xml:"value"`
			} `xml:"property"`
		}
		require.NoError(t, xml.Unmarshal(f.Content, &document))
		for _, p := range document.Property {
			out[p.Name] = p.Value
		}
	}
	return out
}

func TestSite(t *testing.T) {
	c := valid()
	c.Options = map[string]string{"dfs.replication": "2", "dfs.ha.log-roll.period": "7s", "io.file.buffer.size": "<&>"}
	task := render(t, c, deployment(), "name-1")
	site := properties(t, task, siteFile)
	for key, want := range map[string]string{
		"dfs.nameservices":                        "hdfs",
		"dfs.ha.namenodes.hdfs":                   "name-0,name-1",
		"dfs.namenode.rpc-address.hdfs.name-1":    "10.0.0.1:4000",
		"dfs.namenode.http-address.hdfs.name-0":   "10.0.0.0:4001",
		"dfs.ha.zkfc.port.hdfs.name-1":            "4002",
		"dfs.namenode.shared.edits.dir":           "qjournal://10.0.0.0:7000;10.0.0.1:7000;10.0.0.2:7000/hdfs",
		"dfs.reformat.disabled":                   "true",
		"dfs.replication":                         "2",
		"dfs.ha.log-roll.period":                  "7s", // instead of the framework's own default
		"dfs.namenode.safemode.extension":         "0",
		"ha.zookeeper.quorum":                     "zk:2181",
		"dfs.client.failover.proxy.provider.hdfs": proxyProvider,
	} {
		assert.Equal(t, want, site[key], key)
	}
	core := properties(t, task, coreFile)
	assert.Equal(t, map[string]string{"fs.defaultFS": "hdfs://hdfs", "io.file.buffer.size": "<&>"}, core)
	assert.Contains(t, strings.Join(task.Sidecars[0].Command, " "), zkfcClass+" -D hadoop.tmp.dir=$MESOS_SANDBOX/tmp -D dfs.ha.namenode.id=name-1")
}

// TestEssence: who has to be restarted when a node has moved.
func TestEssence(t *testing.T) {
	all := []string{"journal-0", "data-0", "name-0"}
	for _, test := range []struct {
		moved    string
		restarts []string
	}{
		{"journal-2", []string{"name-0"}},
		{"name-1", []string{"data-0", "name-0"}},
		{"data-1", nil},
	} {
		before, after := deployment(), deployment()
		for i, n := range after.Nodes {
			if n.Name == test.moved {
				after.Nodes[i].Generation++
				after.Nodes[i].Place.Address = "10.9.9.9"
			}
		}
		var restarts []string
		for _, name := range all {
			if !assert.ObjectsAreEqual(render(t, valid(), before, name), render(t, valid(), after, name)) {
				restarts = append(restarts, name)
			}
		}
		assert.Equal(t, test.restarts, restarts, "%s has moved", test.moved)
	}
}

func TestIdentity(t *testing.T) {
	id := identify(deployment())
	assert.Equal(t, id, identify(deployment()), "it is the same at all times")
	assert.Regexp(t, `^BP-\d+-127\.0\.0\.1-\d+$`, id.BlockPool)
	assert.Positive(t, id.Namespace)
	assert.NoError(t, id.check("dir", map[string]string{"clusterID": id.Cluster, "namespaceID": fmt.Sprint(id.Namespace)}))
	assert.ErrorContains(t, id.check("dir", map[string]string{"clusterID": "CID-x", "namespaceID": "1"}), "belongs to namespace 1 of cluster CID-x")
}

func TestClientConfig(t *testing.T) {
	st := frameworks.Status{Service: "hdfs"}
	for _, n := range deployment().Nodes {
		st.Nodes = append(st.Nodes, frameworks.NodeStatus{Node: n})
	}
	core, site := ClientConfig(st)
	assert.Contains(t, string(core), "<name>fs.defaultFS</name><value>hdfs://hdfs</value>")
	assert.Contains(t, string(site), "<name>dfs.namenode.rpc-address.hdfs.name-1</name><value>10.0.0.1:4000</value>")
	assert.NotContains(t, string(site), "qjournal")
}
