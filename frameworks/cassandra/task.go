package cassandra

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/internal/jvm"
)

// Paths in the sandbox.
const (
	yamlFile      = "cassandra.yaml"
	rackFile      = "cassandra-rackdc.properties"
	logbackFile   = "logback.xml"
	argumentsFile = "java.args"
	joiningFile   = "joining.args" // written by prepare: what only a node needs that is no member yet
	secretFile    = "secrets/" + adminSecret
	jolokiaFile   = "jolokia.properties" // written by prepare, with the password
	temporaryDir  = "tmp"
	dataDir       = volume + "/cassandra" // on the volume, so that the volume's own files stay out of Cassandra's way
)

// adminSecret is the password with which nodes are managed.
const adminSecret = "admin"

// What the functions of the executor find in their environment.
const (
	envClasspath = "CASSANDRA_CLASSPATH"
	envJolokia   = "CASSANDRA_JOLOKIA"
	envRing      = "CASSANDRA_RING"
	envMember    = "CASSANDRA_MEMBER" // "true": the volume holds a node that has been in the ring
	envSelf      = "CASSANDRA_SELF"   // its endpoint
	envFormer    = "CASSANDRA_FORMER" // the endpoint of its former self; empty: it had none
	envPeers     = "CASSANDRA_PEERS"  // where members are managed
	envRack      = "CASSANDRA_RACK"
)

const (
	prepareWithin = time.Minute
	refuseWithin  = 10 * time.Second
	probeInterval = 500 * time.Millisecond
	liveInterval  = 10 * time.Second
)

// logback writes to standard output only, which the executor keeps and rotates.
const logback = `<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%-5level [%thread] %date{ISO8601} %F:%L - %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="OUT"/></root>
</configuration>
`

// task renders how a node runs: a pure function of the cluster, the deployment
// and the node.
func (c Cluster) task(d frameworks.Deployment, n frameworks.Node) (executor.Task, error) {
	config, err := c.yaml(d, n)
	if err != nil {
		return executor.Task{}, err
	}
	rack, err := c.rack(n)
	if err != nil {
		return executor.Task{}, err
	}
	if err := c.checkHeap(n); err != nil {
		return executor.Task{}, err
	}
	return executor.Task{
		Files: []executor.File{
			{Path: yamlFile, Content: []byte(config)},
			{Path: rackFile, Content: fmt.Appendf(nil, "dc=%s\nrack=%s\n", c.Datacenter, rack)},
			{Path: logbackFile, Content: []byte(logback)},
			{Path: argumentsFile, Content: c.arguments(d), Expand: true},
		},
		Secrets: []executor.SecretFile{{Name: adminSecret, Path: secretFile}},
		Init:    []executor.Step{{Name: "prepare", Done: "prepared", Func: prepareStep, Timeout: prepareWithin}},
		Env: map[string]string{
			envClasspath: literal(c.Distribution.Classpath),
			envJolokia:   literal(c.Distribution.Jolokia),
			envRing:      d.ID("ring"),
			envMember:    strconv.FormatBool(member(n)),
			envSelf:      endpointOf(n),
			envFormer:    former(d, n, c.StoragePort),
			envPeers:     strings.Join(peers(d, n), " "),
			envRack:      rack,
		},
		Command: []string{literal(c.Distribution.Java), "@" + argumentsFile, "@" + joiningFile, "org.apache.cassandra.service.CassandraDaemon"},
		// That the ring counts on the node is for the gate to say.
		Ready: &executor.Probe{Func: readyStep, Interval: probeInterval},
		Live:  &executor.Probe{Func: liveStep, Interval: liveInterval},
		Stop: executor.Stop{
			Before: []executor.Step{
				{Name: "refuse clients", Done: "refuses clients", Func: refuseStep, Timeout: refuseWithin},
				{Name: "drain", Done: "drained", Func: drainStep, Timeout: max(c.Grace-refuseWithin-15*time.Second, c.Grace/2)},
			},
			Grace: c.Grace,
		},
		Limits: executor.Limits{NoCore: true},
		Logs:   executor.Logs{MaxBytes: 64 << 20, Keep: 2, Tail: 40},
	}, nil
}

// literal is a text that the executor is not to expand.
func literal(text string) string { return strings.ReplaceAll(text, "$", "$$") }

// checkHeap refuses a heap that was raised beyond what the node's place has.
func (c Cluster) checkHeap(n frameworks.Node) error {
	var mem float64
	for _, r := range n.Place.Resources {
		if r.Name == "mem" {
			mem += r.GetScalar().GetValue()
		}
	}
	if float64(c.Heap+jvmBeside) > mem {
		return fmt.Errorf("heap of %d MiB and %d beside it do not fit the %g MiB reserved for %s: lower Heap",
			c.Heap, jvmBeside, mem, n.Name)
	}
	return nil
}

// arguments is the argument file of the JVM.
func (c Cluster) arguments(d frameworks.Deployment) []byte {
	arguments := append(slices.Clone(jvm.CassandraModules),
		fmt.Sprintf("-Xmx%dm", c.Heap),
		"-Xss256k",
		"-XX:+ExitOnOutOfMemoryError", // exit status 3, and a new start, instead of a node that half works
		"-XX:-UsePerfData",
		// As many copies of the roles as the ring can have at its first start; it counts
		// only then, and Cassandra's one copy would be lost with any node.
		fmt.Sprintf("-Dcassandra.system_auth.default_rf=%d", min(3, max(d.First[pod], 1))),
	)
	for _, flag := range c.Distribution.Flags {
		arguments = append(arguments, literal(flag))
	}
	arguments = append(arguments,
		// What a killed JVM leaves behind goes with the sandbox.
		"-Djava.io.tmpdir=$MESOS_SANDBOX/"+temporaryDir,
		"-Djna.tmpdir=$MESOS_SANDBOX/"+temporaryDir,
		"-Dlogback.configurationFile=file://$MESOS_SANDBOX/"+logbackFile,
		"-Dcassandra.config=file://$MESOS_SANDBOX/"+yamlFile,
		"-Dcassandra-rackdc.properties=file://$MESOS_SANDBOX/"+rackFile,
		"-Dcassandra.storagedir=$MESOS_SANDBOX/"+dataDir,
		"-Dcassandra.logdir=$MESOS_SANDBOX",
		"-Dcassandra-foreground=yes",
		"-javaagent:"+literal(c.Distribution.Jolokia)+"=config="+jolokiaFile,
		"-cp", literal(c.Distribution.Classpath),
	)
	return jvm.ArgumentFile(arguments...)
}

// peers are where other members are managed.
func peers(d frameworks.Deployment, n frameworks.Node) []string {
	var out []string
	for _, m := range members(d) {
		if m.Name != n.Name {
			out = append(out, m.Address(adminPort))
		}
	}
	return out
}

// rack is that of the node's agent.
func (c Cluster) rack(n frameworks.Node) (string, error) {
	if c.RackAttribute == "" {
		return "rack1", nil
	}
	rack := n.Place.Attribute(c.RackAttribute)
	if !word.MatchString(rack) {
		return "", fmt.Errorf("node %s: attribute %s of agent %s is %q: wants a rack of letters, digits, '_', '.' and '-'",
			n.Name, c.RackAttribute, n.Place.Hostname, rack)
	}
	return rack, nil
}

// defaults are options that hold unless the user says otherwise. Cassandra's own
// cassandra.yaml syncs the commit log every 10 seconds, and a node that is killed
// forgets what it acknowledged last; a disk that fails ends the node.
var defaults = map[string]string{
	"commitlog_sync":        "batch",
	"disk_failure_policy":   "die",
	"commit_failure_policy": "die",
}

// yaml renders cassandra.yaml: what the user set, and last what the framework
// must know.
func (c Cluster) yaml(d frameworks.Deployment, n frameworks.Node) (string, error) {
	if n.Address(storagePort) == "" || n.Address(cqlPort) == "" || n.Address(adminPort) == "" {
		return "", fmt.Errorf("node %s: has no address yet", n.Name)
	}
	options := maps.Clone(defaults)
	maps.Copy(options, c.Options)
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(options)) {
		text.WriteString(line(key, options[key]))
	}
	text.WriteString(line("cluster_name", c.Name))
	text.WriteString(line("partitioner", "org.apache.cassandra.dht.Murmur3Partitioner"))
	text.WriteString(line("endpoint_snitch", "GossipingPropertyFileSnitch"))
	text.WriteString(line("num_tokens", strconv.Itoa(c.Tokens)))
	text.WriteString(line("listen_address", strconv.Quote(n.Place.Address)))
	text.WriteString(line("rpc_address", strconv.Quote(n.Place.Address)))
	text.WriteString(line("storage_port", strconv.FormatUint(n.Place.Ports[storagePort], 10)))
	text.WriteString(line("native_transport_port", strconv.FormatUint(n.Place.Ports[cqlPort], 10)))
	text.WriteString(seedProvider)
	fmt.Fprintf(&text, "      - seeds: %q\n", strings.Join(seeds(d, n), ","))
	return text.String(), nil
}

const seedProvider = `seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
`

// maxSeeds is how many nodes others begin with: one that answers is enough.
const maxSeeds = 3

// member says whether the node's volume holds a node of the ring.
func member(n frameworks.Node) bool { return n.Arrived > 0 && n.Arrived == n.Generation }

// members are the nodes of the ring, also those that do not run, by their index.
func members(d frameworks.Deployment) []frameworks.Node {
	var out []frameworks.Node
	for _, n := range d.Pod(pod) {
		if member(n) {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b frameworks.Node) int { return cmp.Compare(a.Index, b.Index) })
	return out
}

// seeds are the nodes that a node begins with: the first members of the ring. A
// seed that is lost gives its part to the next; one that is replaced gets it back
// when it has arrived. A node that is to take over data is never its own seed: it
// would take over nothing. Only where there is no ring yet is the node its own
// seed, and founds it; there is one as long as its last member has not left.
func seeds(d frameworks.Deployment, n frameworks.Node) []string {
	there := members(d)
	stay := slices.DeleteFunc(slices.Clone(there), func(m frameworks.Node) bool { return m.Goal == frameworks.GoalLeave && m.Name != n.Name })
	switch {
	case len(there) == 0:
		stay = []frameworks.Node{n}
	case len(stay) == 0:
		stay = there
	}
	var out []string
	for _, m := range stay[:min(len(stay), maxSeeds)] {
		out = append(out, m.Address(storagePort))
	}
	return out
}

// essence leaves out what a node needs only to find the ring, and to join it:
// that a peer has moved is no reason to restart a node that runs.
func essence(t executor.Task) executor.Task {
	t.Files = slices.Clone(t.Files)
	for i, f := range t.Files {
		if f.Path == yamlFile {
			head, _, _ := strings.Cut(string(f.Content), seedProvider)
			t.Files[i].Content = []byte(head)
		}
	}
	t.Env = maps.Clone(t.Env)
	delete(t.Env, envFormer)
	delete(t.Env, envPeers)
	delete(t.Env, envRack)
	return t
}

// endpointOf is where a node is in the ring, as Cassandra writes it.
func endpointOf(n frameworks.Node) string {
	return endpoint(n.Place.Address, n.Place.Ports[storagePort])
}

// former is where the node was in the ring before it got another place; the port
// is the same everywhere. Empty: it was not, or another node has come to be there,
// who took that part, or joined after it was taken out.
func former(d frameworks.Deployment, n frameworks.Node, port uint64) string {
	if member(n) || n.Former == "" {
		return ""
	}
	at := endpoint(n.Former, port)
	if slices.ContainsFunc(d.Pod(pod), func(m frameworks.Node) bool {
		return m.Name != n.Name && m.Place != nil && (m.Place.Used || m.Place.Doubtful) && endpointOf(m) == at
	}) {
		return ""
	}
	return at
}

func endpoint(address string, port uint64) string {
	if ip, err := netip.ParseAddr(address); err == nil {
		address = ip.String()
	}
	return net.JoinHostPort(address, strconv.FormatUint(port, 10))
}
