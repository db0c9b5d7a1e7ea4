package hdfs

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/frameworks"
)

// TestSettingsAreTheCluster: what is written as options comes back as it was.
func TestSettingsAreTheCluster(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Cluster{
		"smallest": valid(),
		"full": {
			Name: "logs", Role: "r", Principal: "p", User: "u", Binary: frameworks.Binary{Path: "/opt/mesos-hdfs"},
			Journal:   Nodes{Count: 5, CPUs: 0.1, Mem: 256, Heap: 64, Disk: 512},
			Namenode:  Nodes{Count: 3, CPUs: 4, Mem: 16384, Heap: 12288, Disk: 1024},
			Data:      Nodes{Count: 12, CPUs: 2, Mem: 4096, Disk: 4_000_000},
			ZooKeeper: "zk1:2181,zk2:2181", Place: constraints.MustParse("hostname:UNIQUE", "rack:GROUP_BY:3"),
			Options: map[string]string{"dfs.replication": "2"}, Trust: "journal-1", LostAfter: time.Hour,
			Distribution: Distribution{Java: "/opt/java", Classpath: "/a.jar:/b.jar", Flags: []string{"-ea"}},
			Grace:        time.Minute, Backoff: frameworks.Backoff{First: time.Second, Max: time.Hour},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := json.Marshal(c.settings())
			require.NoError(t, err)
			var s settings
			require.NoError(t, json.Unmarshal(text, &s))
			again := c.with(s)
			assert.Equal(t, c.withDefaults(), again.withDefaults(), "%s", text)
			for i, heap := range []int{c.Journal.Heap, c.Namenode.Heap, c.Data.Heap} {
				assert.Equal(t, heap, []int{again.Journal.Heap, again.Namenode.Heap, again.Data.Heap}[i], "a heap that follows mem goes on following it")
			}
			made, err := c.Service().Revise(text)
			require.NoError(t, err)
			require.NoError(t, made.Invalid)
			assert.Equal(t, c.Service().Options, made.Options)
		})
	}
}

func TestReviseRefuses(t *testing.T) {
	t.Parallel()
	for options, want := range map[string]string{
		`{"journals": 5}`:                        "journals: there is no such option; there are journal.count, journal.cpus",
		`{"lost_after": "soon"}`:                 `lost_after: time: invalid duration "soon"`,
		`{"data": {"mem": "much"}}`:              "data.mem: string: wants a whole number",
		`{"data": {"mem": 512, "heap": 1024}}`:   "Cluster.Data.Heap: 1024: wants at most 384 MiB",
		`{"journal": {"count": 4}}`:              "Cluster.Journal.Count: 4: wants 3, 5",
		`{"zookeeper": ""}`:                      "Cluster.ZooKeeper",
		`{"options": {"dfs.hosts": "/x"}}`:       "Cluster.Options: dfs.hosts: is set by the framework",
		`{"zookeeper": "a:1", "trust": "first"}`: "Cluster.Trust",
	} {
		made, err := valid().Service().Revise(json.RawMessage(options))
		if err == nil {
			err = made.Invalid
		}
		assert.ErrorContains(t, err, want, options)
	}
}

// changed are the options of the smallest cluster, with changes.
func changed(t *testing.T, changes ...string) json.RawMessage {
	t.Helper()
	s := valid().settings()
	for _, c := range changes {
		require.NoError(t, json.Unmarshal([]byte(c), &s))
	}
	text, err := json.Marshal(s)
	require.NoError(t, err)
	return text
}

func TestChange(t *testing.T) {
	t.Parallel()
	const began = `{"zookeeper": "zk1:2181,zk2:2181", "options": {"dfs.replication": "2"}}`
	for _, test := range []struct{ to, want string }{
		{`{"options": {"dfs.blocksize": "1048576"}}`, ""},
		{`{"journal": {"cpus": 1, "mem": 2048, "disk": 9999}, "name": {"heap": 500}, "data": {"cpus": 3}}`, ""},
		{`{"lost_after": "1h", "grace": "1m", "backoff_max": "1h", "jvm_flags": ["-ea"], "constraints": ["rack:GROUP_BY"]}`, ""},
		{`{"name": {"count": 3}, "data": {"count": 9}}`, ""},
		{`{"trust": "journal-2"}`, ""},
		{`{"trust": "journal-3"}`, "trust: journal-3: there is no such node"},
		{`{"journal": {"count": 5}}`, "journal.count: 5: is 3 for the life of the cluster: "},
		{`{"zookeeper": "zk2:2181,zk3:2181"}`, ""},
		{`{"zookeeper": "zk3:2181"}`, "zookeeper: zk3:2181: has none of zk1:2181,zk2:2181: "},
		{`{"options": {"dfs.replication": "3"}}`, "options: dfs.replication: 3: there are 2 data nodes"},
		{`{"options": {"dfs.replication": "3"}, "data": {"count": 4}}`, ""},
	} {
		to := changed(t, began, test.to)
		made, err := valid().Service().Revise(to)
		require.NoError(t, err)
		require.NoError(t, made.Invalid, test.to)
		if err := made.Change(deployment(), changed(t, began), to); test.want == "" {
			assert.NoError(t, err, test.to)
		} else {
			assert.ErrorContains(t, err, test.want)
		}
	}
}

// TestChangeBeforeTheNamespace: where nothing is written yet, a mistake can be put
// right.
func TestChangeBeforeTheNamespace(t *testing.T) {
	t.Parallel()
	d := deployment()
	for i := range d.Nodes {
		d.Nodes[i].Arrived, d.Nodes[i].Ready = 0, false
	}
	s := valid().Service()
	to := changed(t, `{"zookeeper": "other:2181", "journal": {"count": 5}}`)
	require.NoError(t, s.Change(d, s.Options, to))
	for i := range d.Nodes {
		d.Nodes[i].Place = nil
	}
	few := changed(t, `{"options": {"dfs.replication": "1"}}`)
	require.NoError(t, s.Change(d, few, changed(t, `{"options": {"dfs.replication": "2"}}`)), "two data nodes are on their way")
	require.ErrorContains(t, s.Change(d, few, s.Options), "dfs.replication: 3: there are 2 data nodes")
	d.Nodes[0].Arrived = 1 // and is being replaced
	require.ErrorContains(t, s.Change(d, s.Options, to), "journal.count: 5")
}

// TestNodesStay: fewer journal and name nodes are refused by their pods, and so
// are fewer data nodes than blocks have replicas; and more journal nodes, or more
// name nodes than there may be.
func TestNodesStay(t *testing.T) {
	t.Parallel()
	d := deployment()
	pods := valid().Service().Pods
	for _, p := range pods {
		assert.Error(t, p.Removable(d, d.Pod(p.Name)[:1]), p.Name)
	}
	journal, name := pods[0], pods[2]
	assert.ErrorContains(t, journal.Addable(d, 2), "for the life of the cluster")
	assert.NoError(t, journal.Addable(frameworks.Deployment{}, 2), "none was ever ready")
	assert.NoError(t, name.Addable(d, 3))
	assert.ErrorContains(t, name.Addable(d, 4), "there would be 6 name nodes")
}

// TestWhatAChangeRolls: only those who have what was changed are restarted.
func TestWhatAChangeRolls(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		to    string
		rolls []string
	}{
		{`{"data": {"heap": 512}}`, []string{"data"}},
		{`{"name": {"mem": 4096}}`, []string{"name"}},
		{`{"journal": {"cpus": 0.2}}`, []string{"journal"}},
		{`{"data": {"disk": 30000}}`, []string{"data"}},
		{`{"options": {"dfs.replication": "2"}}`, []string{"journal", "data", "name"}},
		{`{"grace": "1m"}`, []string{"journal", "data", "name"}},
		{`{"zookeeper": "zk:2181,zk2:2181"}`, []string{"name"}},
		{`{"trust": "journal-1", "lost_after": "1h", "backoff_max": "1h", "constraints": ["rack:GROUP_BY"]}`, nil},
	} {
		made, err := valid().Service().Revise(changed(t, test.to))
		require.NoError(t, err)
		var rolls []string
		for i, p := range valid().Service().Pods {
			if !slices.Equal(asRun(t, p), asRun(t, made.Pods[i])) {
				rolls = append(rolls, p.Name)
			}
		}
		assert.Equal(t, test.rolls, rolls, test.to)
	}
}

// asRun is what a node of a pod is out of date by, as text.
func asRun(t *testing.T, p frameworks.Pod) []string {
	t.Helper()
	d := deployment()
	task, err := p.Task(d, d.Pod(p.Name)[0])
	require.NoError(t, err)
	text, err := json.Marshal(p.Essence(task))
	require.NoError(t, err)
	return []string{string(text), p.Needs.String(), p.Volumes[0].Size.String()}
}
