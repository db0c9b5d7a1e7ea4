package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// cluster is what is to be run.
type cluster struct {
	mesostest.Config // less Agents
	control          string
	certFile         string
	keyFile          string
	agents           []agent
}

// agent is an entry of the list of agents.
type agent struct {
	mesostest.AgentConfig
	at    string // where it was given, before the name of a field
	count int
}

// defaultAgents run if none are asked for.
const defaultAgents = 3

func newCluster() *cluster {
	return &cluster{Config: mesostest.Config{Address: "127.0.0.1:5050"}, control: "127.0.0.1:5055"}
}

// fields are the keys of the cluster file. Where Mesos has a flag for the same
// it is called the same.
func (c *cluster) fields() []field {
	const address = "host:port, such as 127.0.0.1:5050, or port 0 for any that is free"
	return []field{
		textField("address", &c.Address, address, "where the master listens, `host:port`; port 0: any that is free (default 127.0.0.1:5050)"),
		textField("control", &c.control, address, "where the control interface listens, `host:port` (default 127.0.0.1:5055)"),
		textField("dir", &c.Dir, "a directory that exists", "`directory` in which the cluster makes its own (default the system's for temporary files)"),
		boolField("keep", &c.KeepFiles, "leave the files in dir and the work directories at the end"),
		textField("region", &c.Region, "a name", "`region` of the master's fault domain"),
		textField("zone", &c.Zone, "a name", "`zone` of the master's fault domain"),
		durationField("allocation_interval", &c.AllocationInterval, "`time` between two rounds of offers (default 200ms; Mesos: 1s)"),
		durationField("offer_timeout", &c.OfferTimeout, "`time` after which an unused offer is rescinded (default never)"),
		textField("min_allocatable_resources", &c.MinOffer, "alternatives, such as cpus:0.01|mem:32",
			"the least that is offered, as `alternatives` (default cpus:0.01|mem:32)"),
		durationField("agent_ping_timeout", &c.PingInterval, "`time` in which an agent must answer a ping (default 1s, from 1000 agents on and in Mesos 15s)"),
		countField("max_agent_ping_timeouts", &c.MaxMissedPings, "`number` of pings missed in a row that make an agent unreachable (default 3; Mesos: 5)"),
		durationField("agent_reregister_timeout", &c.ReregisterTimeout, "`time` that a restarted master waits for its agents (default 10m)"),
		durationField("heartbeat_interval", &c.Heartbeat, "`time` between two heartbeats of a subscription (default 15s)"),
		textField("zk", &c.ZooKeeper, "zk://host:port,host:port/path", "where the masters elect their leader, `zk://host:port/path` (default nowhere: the one master leads)"),
		durationField("zk_session_timeout", &c.ZooKeeperSession, "`time` that ZooKeeper waits for a master that is silent (default 10s)"),
		countField("standbys", &c.Standbys, "`number` of masters besides the first, at free ports of the same host; they need zk (default 0)"),
		textField("ssl_cert_file", &c.certFile, "a file with a certificate", "`file` with the masters' certificate in PEM: they serve https (default http)"),
		textField("ssl_key_file", &c.keyFile, "a file with a private key", "`file` with its private key"),
		mapField("credentials", &c.Credentials, "secrets by principal, such as {marathon: s3cret}", ""),
		listField("agents", c.add, "a list of agents, such as [{hostname: host1.test}]", ""),
	}
}

// fields are the keys of one agent.
func (a *agent) fields() []field {
	return []field{
		textField("hostname", &a.Hostname, "a name", "its name, which should resolve to ip (default ip)"),
		textField("ip", &a.Address, "an IP address of this machine, such as 127.0.2.1",
			"its address (default one of its own on Linux, 127.0.x.y, and elsewhere 127.0.0.1)"),
		countField("count", &a.count, "that many such agents (default 1)"),
		boolField("pretend", &a.Pretend, "run nothing: tasks only say that they run until they are killed, so that thousands of agents fit in"),
		textField("resources", &a.Resources, "text, such as cpus:4;mem:8192;disk:10000;ports:[31000-32000]",
			"what it has (default cpus:4;mem:8192;disk:10000;ports:[31000-32000])"),
		textField("attributes", &a.Attributes, "text, such as rack:r1;level:2", "such as rack:r1;level:2"),
		textField("region", &a.Region, "a name", "region of its fault domain; the master must have one too"),
		textField("zone", &a.Zone, "a name", "zone of its fault domain"),
		textField("work_dir", &a.Dir, "a directory that is empty or does not exist yet",
			"its work directory, cleared at the end unless keep is set (default one in dir)"),
		mapField("environment", &a.Environment, "values by name, such as {JAVA_HOME: /opt/java}",
			"variables of its executors (default this process's PATH)"),
		durationField("executor_registration_timeout", &a.RegistrationTimeout, "time that an executor has to subscribe (default 1m)"),
		durationField("executor_shutdown_grace_period", &a.ShutdownGrace, "time that an executor has to end when told to (default 5s)"),
		durationField("executor_reregistration_timeout", &a.ReregistrationTimeout,
			"time that executors have to come back to an agent that was restarted (default 10s; Mesos: 2s)"),
		durationField("recovery_timeout", &a.RecoveryTimeout, "time that executors are told to wait for their agent (default 1m; Mesos: 15m)"),
	}
}

// add adds an agent.
func (c *cluster) add(at string, n *yaml.Node) error {
	a := agent{at: at + "."}
	if err := assign(a.fields(), at, n); err != nil {
		return err
	}
	c.agents = append(c.agents, a)
	return nil
}

// addText adds an agent that is written in YAML or JSON.
func (c *cluster) addText(text string) error {
	n, err := document([]byte(text))
	if err != nil {
		return fmt.Errorf("is %q: want a mapping such as {hostname: host1.test}: %w", text, err)
	}
	if n == nil {
		n = &yaml.Node{Kind: yaml.MappingNode}
	}
	a := agent{at: "--agent " + text + ": "}
	if err := assign(a.fields(), "", n); err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	c.agents = append(c.agents, a)
	return nil
}

// addCredential adds a principal and its secret.
func (c *cluster) addCredential(text string) error {
	principal, secret, ok := strings.Cut(text, "=")
	if !ok {
		return errors.New("has no equals sign: want principal=secret")
	}
	if c.Credentials == nil {
		c.Credentials = map[string]string{}
	}
	c.Credentials[principal] = secret
	return nil
}

// read reads a cluster file, or the standard input if its name is "-".
func (c *cluster) read(name string, stdin io.Reader) error {
	var text []byte
	var err error
	if name == "-" {
		text, err = io.ReadAll(stdin)
	} else {
		text, err = os.ReadFile(name)
	}
	if err != nil {
		return fmt.Errorf("cluster file: %w", err)
	}
	n, err := document(text)
	if err == nil && n != nil {
		err = assign(c.fields(), "", n)
	}
	if err != nil {
		return fmt.Errorf("cluster file %s: %w", name, err)
	}
	return nil
}

// document parses the one document in text, YAML or JSON, which is nearly a
// part of YAML; nil if there is none.
func document(text []byte) (*yaml.Node, error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	var n, more yaml.Node
	if err := d.Decode(&n); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("line %d: want one document", max(more.Line, n.Line))
	}
	if len(n.Content) == 0 || n.Content[0].Tag == "!!null" {
		return nil, nil
	}
	return n.Content[0], nil
}

// validate looks at what no field can see by itself. What mesostest checks is
// left to it.
func (c *cluster) validate() error {
	var all error
	complain := func(format string, args ...any) { all = errors.Join(all, fmt.Errorf(format, args...)) }
	for _, f := range []struct{ name, address string }{{"address", c.Address}, {"control", c.control}} {
		_, port, err := net.SplitHostPort(f.address)
		if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil {
			complain("%s is %q: want host:port, such as 127.0.0.1:5050, or port 0 for any that is free", f.name, f.address)
		} else if f.name == "control" && f.address == c.Address && port != "0" {
			complain("control is %q, which is also the master's address: want another port", c.control)
		}
	}
	if c.Dir != "" {
		if info, err := os.Stat(c.Dir); err != nil || !info.IsDir() {
			complain("dir is %q: want a directory that exists", c.Dir)
		}
	}
	ownDir := func(a agent) bool { return a.Dir != "" }
	if c.KeepFiles && c.Dir == "" && !slices.ContainsFunc(c.agents, ownDir) {
		complain("keep is true: want dir or a work_dir as well, which says where the files are kept")
	}
	if (c.Region == "") != (c.Zone == "") {
		complain("region is %q and zone is %q: want both, or none", c.Region, c.Zone)
	}
	if c.Standbys > 0 && c.ZooKeeper == "" {
		complain("standbys is %d: want zk as well, where the masters elect their leader", c.Standbys)
	}
	if err := c.loadTLS(); err != nil {
		complain("%w", err)
	}
	for _, principal := range slices.Sorted(maps.Keys(c.Credentials)) {
		if principal == "" || strings.Contains(principal, ":") {
			complain("credentials has the principal %q: want a name without a colon", principal)
		}
	}
	seen := map[[2]string]string{} // by field and value
	for _, a := range c.agents {
		for _, err := range a.validate(c.Region != "") {
			complain("%s%w", a.at, err)
		}
		for _, own := range [][2]string{{"hostname", a.Hostname}, {"ip", a.Address}, {"work_dir", a.Dir}} {
			if own[1] == "" || own[1] == "127.0.0.1" { // where several may be, each with a port of its own
				continue
			}
			if other, ok := seen[own]; ok {
				complain("%s%s is %q, which %s has: want another", a.at, own[0], own[1], strings.TrimRight(other, ".: "))
			}
			seen[own] = a.at
		}
	}
	return all
}

// loadTLS reads the certificate, if there is to be one.
func (c *cluster) loadTLS() error {
	if c.certFile == "" && c.keyFile == "" {
		return nil
	}
	if c.certFile == "" || c.keyFile == "" {
		return fmt.Errorf("ssl_cert_file is %q and ssl_key_file is %q: want both, or none", c.certFile, c.keyFile)
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("ssl_cert_file is %q and ssl_key_file is %q: want a certificate and its key in PEM: %w", c.certFile, c.keyFile, err)
	}
	c.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	return nil
}

// validate returns all that is wrong with an agent; domain says whether the
// master has a fault domain.
func (a *agent) validate(domain bool) (all []error) {
	complain := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	if strings.ContainsAny(a.Hostname, "/?#% \t\n") {
		complain("hostname is %q: want a host name", a.Hostname)
	}
	if a.Address != "" && net.ParseIP(a.Address) == nil {
		complain("ip is %q: want an IP address of this machine, such as 127.0.2.1", a.Address)
	}
	if a.count > 1 && (a.Hostname != "" || a.Address != "" || a.Dir != "") {
		complain("count is %d: want 1 where hostname, ip or work_dir is given, which no two agents can share", a.count)
	}
	switch {
	case (a.Region == "") != (a.Zone == ""):
		complain("region is %q and zone is %q: want both, or none", a.Region, a.Zone)
	case a.Region != "" && !domain:
		complain("region is %q, but the master has no fault domain, and such a master ignores agents that have one: want region and zone of the master too", a.Region)
	}
	if a.Dir == "" {
		return all
	}
	entries, err := os.ReadDir(a.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if info, err := os.Stat(filepath.Dir(a.Dir)); err != nil || !info.IsDir() {
			complain("work_dir is %q: want it in a directory that exists", a.Dir)
		}
	case err != nil:
		complain("work_dir is %q: want a directory that is empty or does not exist yet: %w", a.Dir, err)
	case len(entries) > 0:
		complain("work_dir is %q, which holds %q: want a directory that is empty or does not exist yet, for it is cleared at the end",
			a.Dir, entries[0].Name())
	}
	return all
}

// machines are all agents, one by one.
func (c *cluster) machines() []agent {
	if len(c.agents) == 0 {
		return make([]agent, defaultAgents)
	}
	var all []agent
	for _, a := range c.agents {
		for range max(1, a.count) {
			all = append(all, a)
		}
	}
	return all
}
