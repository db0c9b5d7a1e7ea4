package cassandra

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/internal/jvm"
)

// somewhere is a distribution that need not be there.
var somewhere = Distribution{Classpath: "/opt/cassandra", Jolokia: "/opt/jolokia.jar"}

func TestValidate(t *testing.T) {
	t.Parallel()
	option := func(key, value string) func(*Cluster) {
		return func(c *Cluster) { c.Options = map[string]string{key: value} }
	}
	for _, test := range []struct {
		name   string
		change func(*Cluster)
		want   string // part of the error; empty: none
	}{
		{"nothing but where Cassandra is", func(*Cluster) {}, ""},
		{"no Cassandra", func(c *Cluster) { c.Distribution.Classpath = "" }, `Cluster.Distribution.Classpath: "": wants where Cassandra is`},
		{"no Jolokia", func(c *Cluster) { c.Distribution.Jolokia = "" }, `Cluster.Distribution.Jolokia: "": wants where the jar of the Jolokia`},
		{"a second heap", func(c *Cluster) { c.Distribution.Flags = []string{"-Xmx1g"} }, `Cluster.Distribution.Flags: "-Xmx1g": is set by the framework`},
		{"no nodes", func(c *Cluster) { c.Nodes = -1 }, "Cluster.Nodes: -1: wants 1 or more"},
		{"heap above memory", func(c *Cluster) { c.Mem, c.Heap = 1024, 2048 }, "Cluster.Heap: 2048: wants at most 864 MiB"},
		{"heap that just fits", func(c *Cluster) { c.Mem, c.Heap = 1024, 864 }, ""},
		{"heap too small", func(c *Cluster) { c.Heap = 24 }, "Cluster.Heap: 24: wants 48 MiB or more"},
		{"memory too small", func(c *Cluster) { c.Mem = 100 }, "Cluster.Mem: 100: wants 208 MiB or more"},
		{"no cpus", func(c *Cluster) { c.CPUs = -1 }, "Cluster.CPUs: -1: wants more than 0"},
		{"no disk", func(c *Cluster) { c.Disk = -1 }, "Cluster.Disk: -1: wants MiB"},
		{"too many tokens", func(c *Cluster) { c.Tokens = 257 }, "Cluster.Tokens: 257: wants 1 to 256"},
		{"datacenter of two words", func(c *Cluster) { c.Datacenter = "dc 1" }, `Cluster.Datacenter: "dc 1": wants letters`},
		{"negative grace", func(c *Cluster) { c.Grace = -1 }, "Cluster.Grace: -1ns: wants 0 or more"},
		{"negative wait", func(c *Cluster) { c.ReplaceAfter = -1 }, "Cluster.ReplaceAfter: -1ns: wants 0 or more"},
		{"one port for two", func(c *Cluster) { c.StoragePort = 9042 }, "Cluster.CQLPort: 9042: wants a port other than StoragePort"},
		{"another one for two", func(c *Cluster) { c.AdminPort = frameworks.Port{Begin: 9042, End: 9042} }, "Cluster.AdminPort: 9042: wants a port other than CQLPort"},
		{"a range for two", func(c *Cluster) { c.AdminPort = frameworks.Port{Begin: 9042, End: 9043} }, ""},
		{"option that Cassandra has", option("concurrent_reads", "64"), ""},
		{"option of many", option("audit_logging_options", "{enabled: true, logger: [{class_name: BinAuditLogger}]}"), ""},
		{"option as Cassandra 4.0 called it", option("read_request_timeout_in_ms", "5000"), ""},
		{"unknown option", option("concurrent_read", "64"), "concurrent_read: Cassandra has no such option; did you mean concurrent_reads?"},
		{"option like none", option("xyzzy", "1"), "Cluster.Options: xyzzy: Cassandra has no such option"},
		{"option of the framework", option("num_tokens", "8"), "num_tokens: is set by the framework: use Cluster.Tokens"},
		{"option of two lines", option("concurrent_reads", "64\nnum_tokens: 3"), "wants a value in YAML, on one line"},
		{"option that is no YAML", option("concurrent_reads", "{"), `concurrent_reads: "{": wants a value in YAML`},
		{"option that is no key", option("a: b", "c"), `"a: b": wants a key of cassandra.yaml`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := Cluster{Distribution: somewhere, Binary: frameworks.Binary{Path: "/opt/mesos-cassandra"}}
			test.change(&c)
			err := c.Validate()
			if test.want == "" {
				require.NoError(t, err)
				require.NoError(t, c.Service().Validate())
				return
			}
			require.ErrorContains(t, err, test.want)
			require.ErrorContains(t, c.Service().Validate(), test.want, "the service does not say it")
		})
	}
}

// placed are nodes of a ring, each in a rack, of which the first have arrived.
func placed(nodes, arrived int) frameworks.Deployment {
	d := frameworks.Deployment{Service: "cassandra", First: map[string]int{pod: 3}}
	for i := range nodes {
		n := node(i, fmt.Sprintf("10.0.0.%d", i+1), 7000, 9042, 31005)
		n.Place.Attributes = []mesos.Attribute{{Name: "rack", Type: mesos.TEXT, Text: &mesos.Value_Text{Value: fmt.Sprintf("r%d", i%2)}}}
		if i < arrived {
			n.Arrived, n.Ready, n.Incarnation, n.Alive, n.Place.Used = 1, true, 1, true, true
		}
		d.Nodes = append(d.Nodes, n)
	}
	return d
}

// TestRendering holds every file of a node to one in testdata.
func TestRendering(t *testing.T) {
	t.Parallel()
	full := Cluster{
		Mem: 1024, Heap: 512, RackAttribute: "rack", Datacenter: "west", Tokens: 8,
		Options:      map[string]string{"concurrent_reads": "64", "commitlog_sync": "periodic", "commitlog_sync_period": "10s"},
		Distribution: Distribution{Java: "/opt/$jdk/bin/java", Classpath: "/opt/cassandra", Jolokia: "/opt/$j.jar", Flags: []string{`-Dname=a "b" \c$d`}},
	}
	for _, test := range []struct {
		name    string
		cluster Cluster
		arrived int
		node    int
		change  func(*frameworks.Node)
	}{
		{name: "founder", cluster: Cluster{Distribution: somewhere}},
		{name: "joiner", cluster: full, arrived: 1, node: 1},
		{name: "member", cluster: full, arrived: 4, node: 3},
		{name: "replaced", cluster: full, arrived: 4, change: func(n *frameworks.Node) { n.Generation, n.Former = 2, "10.0.0.9" }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, test.cluster.Validate())
			d := placed(4, test.arrived)
			if test.change != nil {
				test.change(&d.Nodes[test.node])
			}
			golden(t, filepath.Join("testdata", test.name+".txt"), render(t, test.cluster.withDefaults(), d, d.Nodes[test.node]))
		})
	}
}

// render is all that a node's task says, as text, without what is always the same.
func render(t *testing.T, c Cluster, d frameworks.Deployment, n frameworks.Node) string {
	task, err := c.task(d, n)
	require.NoError(t, err)
	again, err := c.task(d, n)
	require.NoError(t, err)
	require.Equal(t, task, again, "it is a pure function")
	require.NoError(t, task.Validate())
	var out strings.Builder
	fmt.Fprintf(&out, "command: %q\n", task.Command)
	for _, key := range slices.Sorted(maps.Keys(task.Env)) {
		fmt.Fprintf(&out, "%s=%s\n", key, task.Env[key])
	}
	for _, f := range task.Files {
		content := string(f.Content)
		if f.Path == argumentsFile {
			_, content, _ = strings.Cut(content, jvm.CassandraModules[len(jvm.CassandraModules)-1]+"\"\n")
		}
		if f.Path != logbackFile {
			fmt.Fprintf(&out, "\n--- %s\n%s", f.Path, content)
		}
	}
	return out.String()
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "-update rewrites %s", path)
}

func TestTaskRefuses(t *testing.T) {
	t.Parallel()
	c := Cluster{Distribution: somewhere, RackAttribute: "zone"}.withDefaults()
	d := placed(1, 0)
	_, err := c.task(d, d.Nodes[0])
	require.EqualError(t, err, `node node-0: attribute zone of agent host-0 is "": wants a rack of letters, digits, '_', '.' and '-'`)
	c.RackAttribute, c.Heap = "rack", 4000
	_, err = c.task(d, d.Nodes[0])
	require.ErrorContains(t, err, "heap of 4000 MiB and 160 beside it do not fit the 4096 MiB reserved for node-0")
	d.Nodes[0].Place.Ports = nil
	_, err = c.task(d, d.Nodes[0])
	require.EqualError(t, err, "node node-0: has no address yet")
}

// TestSeeds: a node that takes over data is never its own seed.
func TestSeeds(t *testing.T) {
	t.Parallel()
	change := func(d frameworks.Deployment, node int, change func(*frameworks.Node)) frameworks.Deployment {
		change(&d.Nodes[node])
		return d
	}
	replaced := func(n *frameworks.Node) { n.Generation = 2 }
	leaving := func(n *frameworks.Node) { n.Goal = frameworks.GoalLeave }
	for _, test := range []struct {
		name string
		d    frameworks.Deployment
		node int
		want []int // the last numbers of the addresses
	}{
		{"who founds the ring", placed(3, 0), 0, []int{1}},
		{"the second", placed(3, 1), 1, []int{1}},
		{"the third", placed(3, 2), 2, []int{1, 2}},
		{"a fourth", placed(4, 3), 3, []int{1, 2, 3}},
		{"a sixth", placed(6, 5), 5, []int{1, 2, 3}},
		{"a member that comes back", placed(5, 5), 4, []int{1, 2, 3}},
		{"a seed that comes back", placed(5, 5), 1, []int{1, 2, 3}},
		{"a seed that is replaced", change(placed(5, 5), 1, replaced), 1, []int{1, 3, 4}},
		{"another while a seed is replaced", change(placed(5, 5), 1, replaced), 4, []int{1, 3, 4}},
		{"another while a seed leaves", change(placed(5, 5), 0, leaving), 4, []int{2, 3, 4}},
		{"another while the last member leaves", change(placed(2, 1), 0, leaving), 1, []int{1}},
		{"a seed that leaves and comes back", change(placed(3, 3), 0, leaving), 0, []int{1, 2, 3}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var want []string
			for _, i := range test.want {
				want = append(want, fmt.Sprintf("10.0.0.%d:7000", i))
			}
			assert.Equal(t, want, seeds(test.d, test.d.Nodes[test.node]))
		})
	}
}

// TestEssence: that peers come and go is no reason to restart a node.
func TestEssence(t *testing.T) {
	t.Parallel()
	c := Cluster{Distribution: somewhere}.withDefaults()
	few, many := placed(3, 3), placed(6, 6)
	one, err := c.task(few, few.Nodes[1])
	require.NoError(t, err)
	other, err := c.task(many, many.Nodes[1])
	require.NoError(t, err)
	many.Nodes[1].Arrived, many.Nodes[1].Former = 0, "10.0.0.9"
	require.NotEqual(t, one, other)
	assert.Equal(t, essence(one), essence(other))
	c.Options = map[string]string{"concurrent_reads": "64"}
	changed, err := c.task(few, few.Nodes[1])
	require.NoError(t, err)
	assert.NotEqual(t, essence(one), essence(changed))
}

// TestAnotherAddress: a member whose machine has come back with another address is a
// member there, on its data; its peers are not restarted, and begin there from then on.
func TestAnotherAddress(t *testing.T) {
	t.Parallel()
	c := Cluster{Distribution: somewhere}.withDefaults()
	before, after := placed(3, 3), placed(3, 3)
	after.Nodes[0].Place.Address = "10.0.9.9"
	was, err := c.task(before, before.Nodes[0])
	require.NoError(t, err)
	is, err := c.task(after, after.Nodes[0])
	require.NoError(t, err)
	assert.NotEqual(t, essence(was), essence(is), "it listens elsewhere")
	assert.Contains(t, string(is.Files[0].Content), `listen_address: "10.0.9.9"`)
	assert.Equal(t, "true", is.Env[envMember])
	assert.Equal(t, "10.0.9.9:7000", is.Env[envSelf])
	assert.Empty(t, is.Env[envFormer], "it takes nobody's part")
	was, err = c.task(before, before.Nodes[1])
	require.NoError(t, err)
	is, err = c.task(after, after.Nodes[1])
	require.NoError(t, err)
	assert.Equal(t, essence(was), essence(is))
	assert.Equal(t, []string{"10.0.9.9:7000", "10.0.0.2:7000", "10.0.0.3:7000"}, seeds(after, after.Nodes[1]))
}

// TestSettingsAreTheCluster: what is written as options comes back as it was.
func TestSettingsAreTheCluster(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Cluster{
		"smallest": {Distribution: somewhere},
		"full": {
			Name: "orders", Role: "r", Principal: "p", User: "u", Binary: frameworks.Binary{Path: "/opt/mesos-cassandra"},
			Nodes: 5, CPUs: 0.5, Mem: 8192, Heap: 1024, Disk: 100, Place: constraints.MustParse("hostname:UNIQUE", "rack:GROUP_BY:3"),
			Datacenter: "west", RackAttribute: "rack", Tokens: 8, StoragePort: 7001,
			CQLPort: frameworks.Port{Begin: 9043, End: 9049}, AdminPort: frameworks.Port{Begin: 9100, End: 9100},
			Options: map[string]string{"concurrent_reads": "64"}, Distribution: somewhere,
			ReplaceAfter: time.Hour, Grace: time.Minute, Backoff: frameworks.Backoff{First: time.Second, Max: time.Hour},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := json.Marshal(c.settings())
			require.NoError(t, err)
			s, err := parseSettings(text)
			require.NoError(t, err)
			again := c.with(s)
			was, is := c.withDefaults(), again.withDefaults()
			was.reach, is.reach = nil, nil
			assert.Equal(t, was, is, "%s", text)
			assert.Equal(t, c.Heap, again.Heap, "a heap that follows mem goes on following it")
			made, err := c.revise(text)
			require.NoError(t, err)
			assert.Equal(t, c.Service().Options, made.Options)
		})
	}
	_, err := Cluster{}.revise(json.RawMessage(`{"memory": 3}`))
	require.ErrorContains(t, err, `unknown field "memory"`)
}

func TestChangeRefuses(t *testing.T) {
	t.Parallel()
	from := Cluster{Distribution: somewhere}.Service().Options
	for _, test := range []struct{ to, want string }{
		{`{"mem": 8192}`, ""},
		{`{"datacenter": "east"}`, "datacenter: east: is dc1 for the life of the ring"},
		{`{"rack_attribute": "zone"}`, "rack_attribute: zone: is  for the life of the ring"},
		{`{"tokens": 8}`, "tokens: 8: is 16 for the life of the ring"},
		{`{"storage_port": 7001}`, "storage_port: 7001: is 7000 for the life of the ring"},
	} {
		err := change(placed(3, 1), from, json.RawMessage(test.to))
		if test.want == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, test.want)
		}
		require.NoError(t, change(placed(3, 0), from, json.RawMessage(test.to)), "there is no ring yet")
	}
}
