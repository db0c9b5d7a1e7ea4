package kafka

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/frameworks"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*Cluster)
		want   string // part of the error; empty: none
	}{
		{"nothing but where Kafka is", func(*Cluster) {}, ""},
		{"no Kafka", func(c *Cluster) { c.Distribution = Distribution{} }, `Cluster.Distribution.Classpath: "": wants where Kafka is on the agents`},
		{"a second heap", func(c *Cluster) { c.Distribution.Flags = []string{"-Xmx1g"} }, `Cluster.Distribution.Flags: "-Xmx1g": is set by the framework`},
		{"no brokers", func(c *Cluster) { c.Brokers = -1 }, "Cluster.Brokers: -1: wants 1 or more"},
		{"heap above memory", func(c *Cluster) { c.Mem, c.Heap = 1024, 2048 }, "Cluster.Heap: 2048: wants at most 896 MiB, which is Mem (1024) less the 128"},
		{"heap as large as memory", func(c *Cluster) { c.Mem, c.Heap = 1024, 1024 }, "Cluster.Heap: 1024: wants at most 896 MiB"},
		{"heap that just fits", func(c *Cluster) { c.Mem, c.Heap = 1024, 896 }, ""},
		{"heap too small to start", func(c *Cluster) { c.Heap = 32 }, "Cluster.Heap: 32: wants 64 MiB or more"},
		{"memory too small for any heap", func(c *Cluster) { c.Mem = 150 }, "Cluster.Mem: 150: wants 192 MiB or more"},
		{"no cpus", func(c *Cluster) { c.CPUs = -0.5 }, "Cluster.CPUs: -0.5: wants more than 0"},
		{"no disk", func(c *Cluster) { c.Disk = -1 }, "Cluster.Disk: -1: wants MiB"},
		{"negative grace", func(c *Cluster) { c.Grace = -1 }, "Cluster.Grace: -1ns: wants 0 or more"},
		{"option that Kafka has", func(c *Cluster) { c.Options = map[string]string{"log.retention.hours": "24"} }, ""},
		{"option of the authorizer", func(c *Cluster) { c.Options = map[string]string{"super.users": "User:admin"} }, ""},
		{"option of a listener", func(c *Cluster) { c.Options = map[string]string{"listener.name.client.ssl.keystore.type": "PEM"} }, ""},
		{"unknown option", func(c *Cluster) { c.Options = map[string]string{"log.retention.hour": "24"} },
			"Cluster.Options: log.retention.hour: Kafka has no such option; did you mean log.retention.hours?"},
		{"option like none", func(c *Cluster) { c.Options = map[string]string{"xyzzy": ""} }, "xyzzy: Kafka has no such option; what only a plugin knows"},
		{"option of the framework", func(c *Cluster) { c.Options = map[string]string{"broker.rack": "r1"} },
			"Cluster.Options: broker.rack: is set by the framework: use Cluster.RackAttribute"},
		{"option of the wrong type", func(c *Cluster) { c.Options = map[string]string{"log.segment.bytes": "lots"} },
			`Cluster.Options: log.segment.bytes: "lots": wants a whole number of 32 bits`},
		{"option too large", func(c *Cluster) { c.Options = map[string]string{"num.io.threads": "4294967296"} },
			`num.io.threads: "4294967296": wants a whole number of 32 bits`},
		{"option neither true nor false", func(c *Cluster) { c.Options = map[string]string{"auto.create.topics.enable": "no"} },
			`auto.create.topics.enable: "no": wants true or false`},
		{"option of two lines", func(c *Cluster) { c.Options = map[string]string{"super.users": "a\nnode.id=7"} }, `super.users: "a\nnode.id=7": wants one line`},
		{"key with an equals sign", func(c *Cluster) { c.Options = map[string]string{"node.id=7\nx": ""} }, `wants a key without blanks`},
		{"option of a plugin", func(c *Cluster) { c.PluginOptions = map[string]string{"acme.reporter.url": "http://x"} }, ""},
		{"option of a plugin that is the framework's", func(c *Cluster) { c.PluginOptions = map[string]string{"listeners": "X"} },
			"Cluster.PluginOptions: listeners: is set by the framework: use Cluster.ClientPort and Cluster.ControllerPort"},
		{"option in both", func(c *Cluster) {
			c.Options = map[string]string{"super.users": "a"}
			c.PluginOptions = map[string]string{"super.users": "b"}
		}, `Cluster.PluginOptions: super.users: is in Options too`},
		{"one port for both", func(c *Cluster) {
			c.ClientPort = frameworks.Port{Begin: 9092, End: 9092}
			c.ControllerPort = frameworks.Port{Begin: 9092, End: 9092}
		}, "Cluster.ControllerPort: 9092: wants a port other than ClientPort"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := Cluster{Distribution: Distribution{Classpath: "/opt/kafka/libs/*"}}
			test.change(&c)
			err := c.Validate()
			if test.want == "" {
				require.NoError(t, err)
				require.NoError(t, valid(c).Validate())
				return
			}
			require.ErrorContains(t, err, test.want)
			require.ErrorContains(t, valid(c).Validate(), test.want, "the service does not say it")
		})
	}
}

func valid(c Cluster) *frameworks.Service {
	c.Binary.Path = "/opt/mesos-kafka"
	return c.Service()
}

func TestValidateSaysAllAtOnce(t *testing.T) {
	t.Parallel()
	err := Cluster{Mem: 1000, Heap: 2000, Brokers: -3, Options: map[string]string{"a": "", "b": ""}}.Validate()
	require.Error(t, err)
	for _, want := range []string{"Cluster.Brokers", "Cluster.Heap", "Cluster.Distribution.Classpath", "Cluster.Options: a:", "Cluster.Options: b:"} {
		assert.Contains(t, err.Error(), want)
	}
}

// TestRendering holds every file of a node to one in testdata.
func TestRendering(t *testing.T) {
	t.Parallel()
	full := Cluster{
		Mem: 1024, Heap: 512, RackAttribute: "rack",
		Options:       map[string]string{"log.retention.hours": "24", "ssl.principal.mapping.rules": `RULE:^CN=(.*?)$/$1\/x/`, "super.users": "User:Zoë 𝄞"},
		PluginOptions: map[string]string{"acme.url": "http://acme"},
		Distribution:  Distribution{Java: "/opt/$jdk/bin/java", Classpath: "/opt/kafka/libs/*", Flags: []string{`-Dname=a "b" \c`}},
	}
	for _, test := range []struct {
		name    string
		cluster Cluster
		brokers int // of the first deployment
		nodes   int
		node    int
		change  func(*frameworks.Node)
	}{
		{name: "single", brokers: 1, nodes: 1},
		{name: "two", brokers: 2, nodes: 2, node: 1},
		{name: "controller", cluster: full, brokers: 3, nodes: 4, node: 1},
		{name: "added", cluster: full, brokers: 3, nodes: 4, node: 3, change: func(n *frameworks.Node) { n.Founding = 0 }},
		{name: "replaced", cluster: full, brokers: 3, nodes: 4, node: 2, change: func(n *frameworks.Node) { n.Generation = 2 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := test.cluster
			if c.Distribution.Classpath == "" {
				c.Distribution.Classpath = "/opt/kafka/libs/*"
			}
			require.NoError(t, c.Validate())
			d := frameworks.Deployment{Service: "kafka", First: map[string]int{pod: test.brokers}}
			for i := range test.nodes {
				n := node(i, fmt.Sprintf("10.0.0.%d", i+1), 9092, 9093)
				n.Place.Attributes = []mesos.Attribute{{Name: "rack", Type: mesos.TEXT, Text: &mesos.Value_Text{Value: fmt.Sprintf("r%d", i%2)}}}
				if test.change != nil && i == test.node {
					test.change(&n)
				}
				d.Nodes = append(d.Nodes, n)
			}
			golden(t, filepath.Join("testdata", test.name+".txt"), render(t, c, d, d.Nodes[test.node]))
		})
	}
}

// render is all that a node's task says, as text.
func render(t *testing.T, c Cluster, d frameworks.Deployment, n frameworks.Node) string {
	task, err := c.withDefaults().task(d, n)
	require.NoError(t, err)
	again, err := c.withDefaults().task(d, n)
	require.NoError(t, err)
	require.Equal(t, task, again, "it is a pure function")
	var out strings.Builder
	fmt.Fprintf(&out, "command: %q\n", task.Command)
	for _, key := range []string{envJava, envClasspath, envCluster, envNode, envControllers, envMember} {
		fmt.Fprintf(&out, "%s=%s\n", key, task.Env[key])
		delete(task.Env, key)
	}
	assert.Empty(t, task.Env)
	for _, f := range task.Files {
		fmt.Fprintf(&out, "\n--- %s\n%s", f.Path, f.Content)
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

func TestTaskWithoutAddress(t *testing.T) {
	t.Parallel()
	_, err := Cluster{}.withDefaults().task(frameworks.Deployment{}, frameworks.Node{Name: "broker-0"})
	require.EqualError(t, err, "node broker-0: has no address yet")
}

func TestHeapBeyondThePlace(t *testing.T) {
	t.Parallel()
	n := node(0, "10.0.0.1", 9092, 9093) // with 2048 MiB
	d := frameworks.Deployment{Nodes: []frameworks.Node{n}, First: map[string]int{pod: 1}}
	_, err := Cluster{Mem: 4096, Heap: 1920}.withDefaults().task(d, n)
	require.NoError(t, err)
	_, err = Cluster{Mem: 4096, Heap: 1921}.withDefaults().task(d, n)
	require.EqualError(t, err, "heap of 1921 MiB and 128 beside it do not fit the 2048 MiB reserved for broker-0: replace the broker, or lower Heap")
}

func TestService(t *testing.T) {
	t.Parallel()
	s := valid(Cluster{
		Name: "events", Brokers: 5, CPUs: 1.5, Mem: 4096, Disk: 100,
		Place:        constraints.MustParse("rack:GROUP_BY:3"),
		ClientPort:   frameworks.Port{Begin: 9092, End: 9099},
		Distribution: Distribution{Classpath: "x"},
	})
	require.NoError(t, s.Validate())
	p := s.Pods[0]
	assert.Equal(t, "events", s.Name)
	assert.Equal(t, 5, p.Count)
	assert.Equal(t, "cpus:1.5;mem:4096", p.Needs.String())
	assert.Equal(t, []frameworks.Port{{Name: "client", Begin: 9092, End: 9099}, {Name: "controller"}}, p.Ports)
	assert.EqualValues(t, 100_000, p.Volumes[0].Size)
	assert.Equal(t, "rack:GROUP_BY:3", p.Place.String())
	assert.True(t, p.Together)
	assert.Equal(t, "/opt/kafka/libs/*", Cluster{Distribution: Distribution{Classpath: "/opt/kafka"}}.withDefaults().Distribution.Classpath)
	assert.Equal(t, "hostname:UNIQUE", valid(Cluster{}).Pods[0].Place.String())
}
