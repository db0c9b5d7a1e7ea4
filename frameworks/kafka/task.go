package kafka

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/internal/jvm"
)

// Paths in the sandbox.
const (
	propertiesFile = "server.properties"
	log4jFile      = "log4j2.properties"
	argumentsFile  = "java.args"
	logDir         = volume + "/kafka" // on the volume, so that the volume's own files stay out of Kafka's way
)

const probeInterval = 500 * time.Millisecond

// log4j writes to standard output only, which the executor keeps and rotates.
// Of the configuration, which Kafka writes twice at each start in hundreds of
// lines, it writes nothing: a broker that dies soon shows its last lines to the
// operator, and they should say why.
const log4j = `rootLogger.level=INFO
rootLogger.appenderRef.out.ref=OUT
appender.out.type=Console
appender.out.name=OUT
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=[%d] %p %m (%c)%n
logger.config.name=org.apache.kafka.common.config.AbstractConfig
logger.config.level=WARN
`

// task renders how a node runs: a pure function of the cluster, the
// deployment and the node.
func (c Cluster) task(d frameworks.Deployment, n frameworks.Node) (executor.Task, error) {
	properties, err := c.properties(d, n)
	if err != nil {
		return executor.Task{}, err
	}
	if err := c.checkHeap(n); err != nil {
		return executor.Task{}, err
	}
	java := strings.ReplaceAll(c.Distribution.Java, "$", "$$") // the executor expands $NAME; a path is meant as it is
	return executor.Task{
		Files: []executor.File{
			{Path: propertiesFile, Content: []byte(properties)},
			{Path: log4jFile, Content: []byte(log4j)},
			{Path: argumentsFile, Content: c.arguments()},
		},
		Init: []executor.Step{{Name: "format", Done: "formatted", Func: formatStep, Timeout: formatTimeout}},
		Env: map[string]string{
			envJava:        java,
			envClasspath:   strings.ReplaceAll(c.Distribution.Classpath, "$", "$$"),
			envCluster:     d.ID("cluster"),
			envNode:        strconv.Itoa(n.Index),
			envControllers: initialControllers(d, n),
			envMember:      strconv.FormatBool(n.Arrived == n.Generation),
		},
		Command: []string{java, "@" + argumentsFile, "kafka.Kafka", propertiesFile},
		// That the cluster counts on the broker is for the gate to say.
		Ready: &executor.Probe{TCP: n.Address(clientPort), Interval: probeInterval},
		Stop:  executor.Stop{Grace: c.Grace},
		Logs:  executor.Logs{MaxBytes: 64 << 20, Keep: 2, Tail: 40},
	}, nil
}

// checkHeap refuses a heap that was raised beyond what the node's place has.
func (c Cluster) checkHeap(n frameworks.Node) error {
	var mem float64
	for _, r := range n.Place.Resources {
		if r.Name == "mem" {
			mem += r.GetScalar().GetValue()
		}
	}
	if float64(c.Heap+jvmBeside) > mem {
		return fmt.Errorf("heap of %d MiB and %d beside it do not fit the %g MiB reserved for %s: replace the broker, or lower Heap",
			c.Heap, jvmBeside, mem, n.Name)
	}
	return nil
}

// arguments is the argument file of the JVM.
func (c Cluster) arguments() []byte {
	arguments := append([]string{
		fmt.Sprintf("-Xmx%dm", c.Heap),
		"-XX:+ExitOnOutOfMemoryError", // exit status 3, and a new start, instead of a broker that half works
		"-Dlog4j2.configurationFile=" + log4jFile,
		// What a killed JVM leaves behind goes with the sandbox.
		"-Djava.io.tmpdir=.",
		"-XX:-UsePerfData",
	}, c.Distribution.Flags...)
	return jvm.ArgumentFile(append(arguments, "-cp", c.Distribution.Classpath)...)
}

// properties renders server.properties: what the user set, and last, so that
// it holds, what the framework must know.
func (c Cluster) properties(d frameworks.Deployment, n frameworks.Node) (string, error) {
	client, control := n.Address(clientPort), n.Address(controllerPort)
	if client == "" || control == "" {
		return "", fmt.Errorf("node %s: has no address yet", n.Name)
	}
	lines := map[string]string{}
	maps.Copy(lines, c.replication(d))
	// The default of 128 MiB is taken from the heap at start. One byte more
	// than 1 MiB is the least that Kafka takes.
	lines["log.cleaner.dedupe.buffer.size"] = strconv.Itoa(min(128<<20, max(c.Heap<<20/4, 1<<20+1)))
	maps.Copy(lines, c.PluginOptions)
	maps.Copy(lines, c.Options)

	roles, listeners := "broker", "CLIENT://"+client
	if controller(d, n) {
		roles, listeners = "broker,controller", listeners+",CONTROLLER://"+control
		// A controller whose disk was lost joins the quorum again by itself,
		// and its old incarnation is removed.
		lines["controller.quorum.auto.join.enable"] = "true"
	}
	maps.Copy(lines, map[string]string{
		"process.roles":                       roles,
		"node.id":                             strconv.Itoa(n.Index),
		"controller.quorum.bootstrap.servers": strings.Join(controllers(d, controllerPort), ","),
		"listeners":                           listeners,
		"advertised.listeners":                "CLIENT://" + client,
		"listener.security.protocol.map":      "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"inter.broker.listener.name":          "CLIENT",
		"controller.listener.names":           "CONTROLLER",
		"log.dirs":                            logDir,
	})
	if rack := c.rack(n); rack != "" {
		lines["broker.rack"] = rack
	}
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(lines)) {
		fmt.Fprintf(&text, "%s=%s\n", key, escape(lines[key]))
	}
	return text.String(), nil
}

// escape writes a value so that java.util.Properties reads it back: it takes a
// backslash for the start of an escape, and bytes for ISO 8859-1.
func escape(value string) string {
	var out strings.Builder
	for _, r := range strings.ReplaceAll(value, `\`, `\\`) {
		if r < utf8.RuneSelf {
			out.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&out, `\u%04x`, unit)
		}
	}
	return out.String()
}

// replication lowers the replication of Kafka's own topics, three by default,
// to what a small cluster has.
func (c Cluster) replication(d frameworks.Deployment) map[string]string {
	factor := min(3, d.First[pod])
	if factor == 3 {
		return nil
	}
	one := strconv.Itoa(factor)
	return map[string]string{
		"offsets.topic.replication.factor":                 one,
		"transaction.state.log.replication.factor":         one,
		"transaction.state.log.min.isr":                    "1",
		"share.coordinator.state.topic.replication.factor": one,
		"share.coordinator.state.topic.min.isr":            "1",
	}
}

func (c Cluster) rack(n frameworks.Node) string {
	if c.RackAttribute == "" {
		return ""
	}
	return n.Place.Attribute(c.RackAttribute)
}

// quorum is how many nodes, from the first, are controllers. It is odd, and
// fixed at the first deployment.
func quorum(d frameworks.Deployment) int {
	if size := min(d.First[pod], maxControllers); size%2 == 1 {
		return size
	}
	return 1
}

func controller(d frameworks.Deployment, n frameworks.Node) bool { return n.Index < quorum(d) }

// controllers are the addresses of the quorum, as far as they have a place.
func controllers(d frameworks.Deployment, port string) []string {
	var out []string
	for _, n := range d.Pod(pod) {
		if controller(d, n) {
			out = append(out, n.Address(port))
		}
	}
	return out
}

// initialControllers is what every controller of the first deployment is
// formatted with: id@host:port:directory. It is empty for a node that joins
// later or has a new volume: that one finds the quorum by itself.
func initialControllers(d frameworks.Deployment, n frameworks.Node) string {
	if !controller(d, n) || !n.Founder() {
		return ""
	}
	var voters []string
	for _, peer := range d.Pod(pod) {
		if controller(d, peer) {
			voters = append(voters, fmt.Sprintf("%d@%s:%s", peer.Index, peer.Address(controllerPort), d.ID("directory/"+peer.Name)))
		}
	}
	slices.SortFunc(voters, cmp.Compare[string])
	return strings.Join(voters, ",")
}

// replaceable refuses to empty a second volume: while another broker is not
// ready, this one may hold the only other copy of a partition, or the vote that
// the quorum of the controllers still needs.
func replaceable(d frameworks.Deployment, n frameworks.Node) error {
	for _, peer := range d.Nodes {
		if peer.Name != n.Name && (!peer.Ready || peer.Replace) {
			return fmt.Errorf("%s is not ready, and what both of them hold could be lost", peer.Name)
		}
	}
	return nil
}

// essence leaves out what a broker needs for its first start only, and the list
// of the controllers, which a broker that runs learns from the quorum: that a
// peer has moved is no reason to restart it.
func essence(t executor.Task) executor.Task {
	t.Env = maps.Clone(t.Env)
	delete(t.Env, envControllers)
	t.Files = slices.Clone(t.Files)
	for i, f := range t.Files {
		if f.Path == propertiesFile {
			t.Files[i].Content = bootstrapLine.ReplaceAll(f.Content, nil)
		}
	}
	return t
}

var bootstrapLine = regexp.MustCompile(`(?m)^controller\.quorum\.bootstrap\.servers=.*\n`)
