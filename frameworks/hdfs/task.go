package hdfs

import (
	"encoding/json"
	"fmt"
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
	confDir       = "conf"
	coreFile      = confDir + "/core-site.xml"
	siteFile      = confDir + "/hdfs-site.xml"
	layoutFile    = "layout.json"
	argumentsFile = "java.args"
	zkfcFile      = "zkfc.args"
	toolFile      = "tool.args"
	temporaryDir  = "tmp"
	excludeFile   = "exclude" // data nodes that leave, as the name node reads it

	journalDir = volume + "/journal" // on the volume, so that the volume's own files stay out of Hadoop's way
	nameDir    = volume + "/name"
	dataDir    = volume + "/data"
)

// The main classes of the servers.
const (
	journalClass = "org.apache.hadoop.hdfs.qjournal.server.JournalNode"
	nameClass    = "org.apache.hadoop.hdfs.server.namenode.NameNode"
	dataClass    = "org.apache.hadoop.hdfs.server.datanode.DataNode"
	zkfcClass    = "org.apache.hadoop.hdfs.tools.DFSZKFailoverController"
)

const keepFree = "dfs.datanode.round-robin-volume-choosing-policy.additional-available-space"

// opens is for WebHDFS of a name node on Java 17.
const opens = "--add-opens=java.base/java.lang=ALL-UNNAMED"

const (
	prepareWithin = 6 * time.Minute
	// Of these six minutes a name node waits so long for a peer, from which it then
	// has to copy.
	namePatience   = 2 * time.Minute
	electionWithin = 2 * time.Minute
	// A journal that was lost may wait for an operator, who is told when the try
	// ends, and is heard with the next one.
	journalWithin = 30 * time.Second
	probeInterval = 500 * time.Millisecond
	handWithin    = 15 * time.Second
	releaseWithin = 6 * time.Second
)

// log4j writes to standard error only, which the executor keeps and rotates.
const log4j = `log4j.rootLogger=INFO,c
log4j.appender.c=org.apache.log4j.ConsoleAppender
log4j.appender.c.target=System.err
log4j.appender.c.layout=org.apache.log4j.PatternLayout
log4j.appender.c.layout.ConversionPattern=%d{ISO8601} %p %c{1}: %m%n
log4j.logger.org.apache.hadoop.util.NativeCodeLoader=ERROR
log4j.logger.http.requests=WARN
log4j.logger.org.apache.hadoop.http.HttpServer2=WARN
log4j.logger.org.apache.hadoop.jmx.JMXJsonServlet=OFF
log4j.logger.org.apache.hadoop.security.authentication.server.AuthenticationFilter=ERROR
`

// journalTask renders how a journal node runs; like all of these, a pure function
// of the cluster, the deployment and the node.
func (c Cluster) journalTask(d frameworks.Deployment, n frameworks.Node) (executor.Task, error) {
	t, err := c.task(d, n, c.Journal, map[string]string{"dfs.namenode.shared.edits.dir": c.shared(d)})
	t.Init = []executor.Step{{Name: "prepare journal", Done: "journal prepared", Func: journalStep, Timeout: journalWithin}}
	t.Command = c.java(argumentsFile, journalClass,
		"dfs.journalnode.edits.dir=$MESOS_SANDBOX/"+journalDir,
		"dfs.journalnode.rpc-address="+n.Address(rpcPort), "dfs.journalnode.http-address="+n.Address(httpPort))
	t.Ready = &executor.Probe{TCP: n.Address(rpcPort), Interval: probeInterval}
	return t, err
}

func (c Cluster) nameTask(d frameworks.Deployment, n frameworks.Node) (executor.Task, error) {
	t, err := c.task(d, n, c.Namenode, c.nameSite(d))
	id := "dfs.ha.namenode.id=" + n.Name
	t.Files = append(t.Files, executor.File{Path: zkfcFile, Content: c.arguments(controllerHeap)})
	t.Init = []executor.Step{
		{Name: "prepare namespace", Done: "namespace prepared", Func: nameStep, Timeout: prepareWithin},
		{Name: "prepare election", Done: "election prepared", Func: electionStep, Timeout: electionWithin},
	}
	t.Command = c.java(argumentsFile, nameClass, id, "dfs.namenode.name.dir=file://$MESOS_SANDBOX/"+nameDir)
	t.Ready = &executor.Probe{Func: tendStep, Interval: probeInterval}
	t.Sidecars = []executor.Sidecar{{
		Name: "zkfc", Command: c.java(zkfcFile, zkfcClass, id), Essential: true,
		Ready: &executor.Probe{TCP: n.Address(zkfcPort), Interval: probeInterval},
		// It ends when ZooKeeper is away at its start, and the name node goes on
		// without it.
		Restart: executor.Restart{Max: 1 << 20, Backoff: time.Second, Stable: time.Minute},
		Stop: executor.Stop{
			Before: []executor.Step{{Name: "give up the lock", Done: "lock given up", Func: releaseStep, Timeout: releaseWithin}},
			Grace:  2 * releaseWithin,
		},
	}}
	t.Stop.Before = []executor.Step{{Name: "hand over", Done: "is not active", Func: handOverStep, Timeout: handWithin}}
	return t, err
}

func (c Cluster) dataTask(d frameworks.Deployment, n frameworks.Node) (executor.Task, error) {
	// Hadoop leaves a gibibyte of each disk free, however small it is.
	t, err := c.task(d, n, c.Data, map[string]string{keepFree: strconv.Itoa(min(1<<30, c.Data.Disk<<20/20))})
	if err != nil {
		return t, err
	}
	t.Init = []executor.Step{{Name: "prepare disk", Done: "disk prepared", Func: dataStep, Timeout: prepareWithin}}
	t.Command = c.java(argumentsFile, dataClass,
		"dfs.datanode.data.dir=file://$MESOS_SANDBOX/"+dataDir, "dfs.datanode.hostname="+n.Place.Address,
		"dfs.datanode.address="+n.Address(dataPort), "dfs.datanode.ipc.address="+n.Address(ipcPort),
		"dfs.datanode.http.address="+n.Address(httpPort),
		fmt.Sprintf("dfs.datanode.http.internal-proxy.port=%d", n.Place.Ports[proxyPort]))
	t.Ready = &executor.Probe{TCP: n.Address(dataPort), Interval: probeInterval}
	return t, err
}

// task is what the kinds of node have in common.
func (c Cluster) task(d frameworks.Deployment, n frameworks.Node, size Nodes, own map[string]string) (executor.Task, error) {
	if n.Place == nil {
		return executor.Task{}, fmt.Errorf("node %s: has no place yet", n.Name)
	}
	text, err := json.Marshal(c.layout(d, n, size))
	if err != nil {
		return executor.Task{}, err
	}
	core, site := c.sites(d, own)
	files := []executor.File{
		{Path: coreFile, Content: core},
		{Path: siteFile, Content: site},
		{Path: confDir + "/log4j.properties", Content: []byte(log4j)},
		{Path: layoutFile, Content: text},
		{Path: argumentsFile, Content: c.arguments(size.Heap)},
		{Path: toolFile, Content: c.arguments(toolHeap)},
		{Path: temporaryDir + "/empty"},
	}
	// The jars look for the folders of their web pages, which may be empty.
	for _, folder := range []string{"hdfs", "datanode", "journal", "secondary"} {
		files = append(files, executor.File{Path: confDir + "/webapps/" + folder + "/empty"})
	}
	return executor.Task{
		Files: files,
		Env:   map[string]string{"MALLOC_ARENA_MAX": "2"},
		Stop:  executor.Stop{Grace: c.Grace},
		Logs:  executor.Logs{MaxBytes: 64 << 20, Keep: 2, Tail: 40},
	}, nil
}

// java is the command of a server with properties of its own.
func (c Cluster) java(arguments, class string, properties ...string) []string {
	command := []string{literal(c.Distribution.Java), "@" + arguments, class, "-D", "hadoop.tmp.dir=$MESOS_SANDBOX/" + temporaryDir}
	for _, p := range properties {
		command = append(command, "-D", p)
	}
	return command
}

// literal is text that the executor is not to expand.
func literal(text string) string { return strings.ReplaceAll(text, "$", "$$") }

// arguments is the argument file of a JVM.
func (c Cluster) arguments(heap int) []byte {
	arguments := append([]string{
		fmt.Sprintf("-Xmx%dm", heap),
		"-XX:+ExitOnOutOfMemoryError",
		// What a killed JVM leaves behind goes with the sandbox.
		"-Djava.io.tmpdir=" + temporaryDir,
		"-XX:-UsePerfData",
		opens,
	}, c.Distribution.Flags...)
	// The jars come first, for a class archive holds for just them.
	return jvm.ArgumentFile(append(arguments, "-cp", c.Distribution.Classpath+":"+confDir)...)
}

// essence leaves out what a node needs at its start only, and what a journal node
// knows of others, which it needs to copy edits that it missed: that one has moved
// is no reason to restart it.
func essence(t executor.Task) executor.Task {
	t.Files = slices.DeleteFunc(slices.Clone(t.Files), func(f executor.File) bool { return f.Path == layoutFile })
	if slices.Contains(t.Command, journalClass) {
		for i, f := range t.Files {
			if f.Path == siteFile {
				t.Files[i].Content = addressLines.ReplaceAll(f.Content, nil)
			}
		}
	}
	return t
}
