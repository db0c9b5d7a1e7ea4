package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler/mesostest"
)

const everything = `
address: 127.0.0.1:6050
control: 127.0.0.1:6055
region: eu
zone: eu-1
allocation_interval: 500ms
offer_timeout: 1.5mins
min_allocatable_resources: cpus:0.1|mem:64
agent_ping_timeout: 15secs
max_agent_ping_timeouts: 5
agent_reregister_timeout: 1hrs
credentials: {marathon: s3cret}
agents:
- &first
  hostname: host1.test
  ip: 127.0.2.1
  resources: cpus:4
  attributes: rack:r1
  region: eu
  zone: eu-2
  environment: {JAVA_HOME: /opt/java, LEVEL: 2}
  executor_registration_timeout: 1m
  executor_shutdown_grace_period: 2secs
  executor_reregistration_timeout: 3secs
  recovery_timeout: 15mins
- count: 2
  resources:
- {}
`

func TestClusterFile(t *testing.T) {
	t.Parallel()
	first := mesostest.AgentConfig{
		Hostname: "host1.test", Address: "127.0.2.1", Resources: "cpus:4", Attributes: "rack:r1", Region: "eu", Zone: "eu-2",
		Environment:         map[string]string{"JAVA_HOME": "/opt/java", "LEVEL": "2"},
		RegistrationTimeout: time.Minute, ShutdownGrace: 2 * time.Second, ReregistrationTimeout: 3 * time.Second, RecoveryTimeout: 15 * time.Minute,
	}
	c := newCluster()
	require.NoError(t, c.read(write(t, "cluster.yaml", everything), nil))
	require.NoError(t, c.validate())
	assert.Equal(t, mesostest.Config{
		Address: "127.0.0.1:6050", Region: "eu", Zone: "eu-1", AllocationInterval: 500 * time.Millisecond, OfferTimeout: 90 * time.Second,
		MinOffer: "cpus:0.1|mem:64", PingInterval: 15 * time.Second, MaxMissedPings: 5, ReregisterTimeout: time.Hour,
		Credentials: map[string]string{"marathon": "s3cret"},
	}, c.Config)
	assert.Equal(t, "127.0.0.1:6055", c.control)
	machines := c.machines()
	require.Len(t, machines, 4, "one, two equal ones, and one of which nothing is said")
	assert.Equal(t, first, machines[0].AgentConfig)
	for _, m := range machines[1:] {
		assert.Equal(t, mesostest.AgentConfig{}, m.AgentConfig)
	}
}

func TestClusterFileInOtherForms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		agents     []string // hostnames
	}{
		{"empty", "", []string{"", "", ""}},
		{"null", "null\n", []string{"", "", ""}},
		{"only a comment", "# nothing\n", []string{"", "", ""}},
		{"JSON", `{"agents": [{"hostname": "host1.test"}, {"hostname": "host2.test"}]}`, []string{"host1.test", "host2.test"}},
		{"JSON with tabs", "{\n\t\"agents\": [\n\t\t{\n\t\t\t\"hostname\": \"host1.test\"\n\t\t}\n\t]\n}\n", []string{"host1.test"}},
		{"a name that looks like a number", "agents: [{hostname: 12}]", []string{"12"}},
		{"anchors", "agents:\n- &a {attributes: 'rack:r1'}\n- *a\n", []string{"", ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := newCluster()
			require.NoError(t, got.read("-", strings.NewReader(c.text)))
			require.NoError(t, got.validate())
			var names []string
			for _, m := range got.machines() {
				names = append(names, m.Hostname)
			}
			assert.Equal(t, c.agents, names)
		})
	}
}

func TestBadClusterFile(t *testing.T) {
	t.Parallel()
	full := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(full, "precious"), nil, 0o600))
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"not YAML", "agents: [", []string{"yaml: line 1: did not find expected node content"}},
		{"no mapping", "- a\n", []string{"line 1: it is a list: want a mapping with any of address, control"}},
		{"two documents", "address: 127.0.0.1:0\n---\naddress: 127.0.0.1:0\n", []string{"line 2: want one document"}},
		{"typing error", "\nalocation_interval: 1s\n", []string{"line 2: alocation_interval is no field: did you mean allocation_interval?"}},
		{"in the Go way", "allocationInterval: 1s\n", []string{"did you mean allocation_interval?"}},
		{"unknown", "zookeeper: zk://zk1\n", []string{"line 1: zookeeper is no field: want one of address, control, dir"}},
		{"unknown in an agent", "agents:\n- hostname: a\n- {rack: r1}\n",
			[]string{"line 3: agents[1].rack is no field: want one of hostname, ip, count"}},
		{"twice", "keep: true\nkeep: false\n", []string{"line 2: keep is there twice"}},
		{"number for a duration", "allocation_interval: 500\n",
			[]string{`line 1: allocation_interval is "500": want a duration above 0, such as 500ms, 5secs or 1m30s`}},
		{"negative duration", "agents: [{recovery_timeout: -1mins}]",
			[]string{`line 1: agents[0].recovery_timeout is "-1mins": want a duration above 0`}},
		{"endless duration", "offer_timeout: 1e300weeks", []string{`offer_timeout is "1e300weeks": want a duration above 0`}},
		{"half a ping", "max_agent_ping_timeouts: 0.5", []string{`max_agent_ping_timeouts is "0.5": want a whole number of 1 or more`}},
		{"no ping", "max_agent_ping_timeouts: 0", []string{`max_agent_ping_timeouts is "0": want a whole number of 1 or more`}},
		{"perhaps", "keep: perhaps", []string{`keep is "perhaps": want true or false`}},
		{"mapping for text", "agents:\n- attributes: {rack: r1}\n",
			[]string{"line 2: agents[0].attributes is a mapping: want text, such as rack:r1;level:2"}},
		{"mapping for the list", "agents: {hostname: a}", []string{"agents is a mapping: want a list of agents, such as [{hostname: host1.test}]"}},
		{"text for an agent", "agents: [host1.test]", []string{`agents[0] is "host1.test": want a mapping with any of hostname, ip`}},
		{"list of credentials", "credentials: [a]", []string{"credentials is a list: want secrets by principal, such as {marathon: s3cret}"}},
		{"secret in a list", "credentials: {a: [b]}", []string{"credentials.a is a list: want secrets by principal"}},
		{"principal with a colon", `credentials: {"a:b": c}`, []string{`credentials has the principal "a:b": want a name without a colon`}},
		{"port alone", "address: 5050", []string{`address is "5050": want host:port, such as 127.0.0.1:5050`}},
		{"port out of range", "control: 127.0.0.1:70000", []string{`control is "127.0.0.1:70000": want host:port`}},
		{"one address for two", "address: 127.0.0.1:6050\ncontrol: 127.0.0.1:6050",
			[]string{`control is "127.0.0.1:6050", which is also the master's address: want another port`}},
		{"no such directory", "dir: /no/such/directory", []string{`dir is "/no/such/directory": want a directory that exists`}},
		{"keep where", "keep: true", []string{"keep is true: want dir or a work_dir as well"}},
		{"region alone", "region: eu", []string{`region is "eu" and zone is "": want both, or none`}},
		{"domain of an agent alone", "agents: [{region: eu, zone: eu-1}]",
			[]string{`agents[0].region is "eu", but the master has no fault domain`}},
		{"zone of an agent alone", "agents: [{zone: eu-1}]", []string{`agents[0].region is "" and zone is "eu-1": want both, or none`}},
		{"no host name", "agents: [{hostname: a/b}]", []string{`agents[0].hostname is "a/b": want a host name`}},
		{"one hostname for two", "agents: [{hostname: a}, {}, {hostname: a}]", []string{`agents[2].hostname is "a", which agents[0] has: want another`}},
		{"one address for two agents", "agents: [{ip: 127.0.2.1}, {ip: 127.0.2.1}]", []string{`agents[1].ip is "127.0.2.1", which agents[0] has`}},
		{"name for an address", "agents: [{ip: host1.test}]", []string{`agents[0].ip is "host1.test": want an IP address of this machine`}},
		{"one name for many", "agents: [{hostname: a, count: 2}]", []string{"agents[0].count is 2: want 1 where hostname, ip or work_dir is given"}},
		{"work directory in use", "agents: [{work_dir: " + full + "}]", []string{`which holds "precious": want a directory that is empty`}},
		{"work directory nowhere", "agents: [{work_dir: /no/such/directory}]", []string{"agents[0].work_dir", "want it in a directory that exists"}},
		{"work directory that is a file", "agents: [{work_dir: " + filepath.Join(full, "precious") + "}]",
			[]string{"agents[0].work_dir", "want a directory that is empty or does not exist yet"}},
		{"standbys alone", "standbys: 2", []string{"standbys is 2: want zk as well, where the masters elect their leader"}},
		{"certificate alone", "ssl_cert_file: x", []string{`ssl_cert_file is "x" and ssl_key_file is "": want both, or none`}},
		{"no certificate", "{ssl_cert_file: /no/such, ssl_key_file: /no/such}", []string{"want a certificate and its key in PEM: open /no/such"}},
		{"all at once", "address: x\nfoo: 1\nagents: [{bar: 1}, {count: x}]",
			[]string{"foo is no field", "agents[0].bar is no field", `agents[1].count is "x"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := newCluster()
			err := got.read("-", strings.NewReader(c.text))
			if err == nil {
				err = got.validate()
			}
			require.Error(t, err)
			for _, want := range c.want {
				assert.ErrorContains(t, err, want)
			}
		})
	}
}

// TestBadCommandLine runs the process: status 2 for what cannot be right, and 1
// for what this machine does not let it have.
func TestBadCommandLine(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { taken.Close() })
	for _, c := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"unknown flag", []string{"--fly"}, 2, "unknown flag: --fly"},
		{"two files", []string{"a.yaml", "b.yaml"}, 2, "accepts at most 1 arg(s), received 2"},
		{"no file", []string{"no-such-file.yaml"}, 2, "cluster file: open no-such-file.yaml: no such file"},
		{"unknown field", []string{write(t, "c.yaml", "fly: true")}, 2, "c.yaml: line 1: fly is no field"},
		{"bad duration", []string{"--allocation_interval", "5x"}, 2, `--allocation_interval is "5x": want a duration above 0`},
		{"bad agent", []string{"--agent", "{hostnmae: a}"}, 2, "--agent {hostnmae: a}: line 1: hostnmae is no field: did you mean hostname?"},
		{"no agent", []string{"--agent", "host1.test"}, 2, `--agent host1.test: line 1: it is "host1.test": want a mapping`},
		{"broken agent", []string{"--agent", "{"}, 2, `--agent is "{": want a mapping such as {hostname: host1.test}`},
		{"agent that cannot be", []string{"--agent", "{ip: x}"}, 2, `--agent {ip: x}: ip is "x": want an IP address`},
		{"credential without a secret", []string{"--credential", "marathon"}, 2, "--credential has no equals sign: want principal=secret"},
		{"bad resources", []string{"--agent", "{resources: 'cpus:x'}"}, 2, `Resources: cpus: "x": want a number of 0 or more`},
		{"address in use", []string{"--address", taken.Addr().String()}, 1, "address already in use"},
		{"control address in use", []string{"--control", taken.Addr().String()}, 1, "control: listen tcp " + taken.Addr().String()},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			cmd := command(t, append([]string{"--address", "127.0.0.1:0", "--control", "127.0.0.1:0", "--dir", dir}, c.args...)...)
			var stderr output
			cmd.Stderr = &stderr
			stdout, err := cmd.Output()
			require.Error(t, err)
			assert.Equal(t, c.status, cmd.ProcessState.ExitCode(), "%s", &stderr)
			assert.Empty(t, string(stdout))
			assert.Contains(t, stderr.String(), c.want)
			assertEmpty(t, dir)
		})
	}
}

func TestFlagsWinOverTheFile(t *testing.T) {
	t.Parallel()
	l := launch(t, command(t, write(t, "cluster.json", `{"address": "127.0.0.1:1", "control": "127.0.0.1:1", "agents": [{"hostname": "a.test"}]}`),
		"--control", "127.0.0.1:0", "--address", "127.0.0.1:0", "--agent", "hostname: b.test"))
	require.Len(t, l.Agents, 2)
	assert.Equal(t, "a.test", l.Agents[0].Hostname)
	assert.Equal(t, "b.test", l.Agents[1].Hostname)
}

func TestHelpNamesEveryField(t *testing.T) {
	t.Parallel()
	out, err := command(t, "--help").Output()
	require.NoError(t, err)
	for _, f := range append(newCluster().fields(), (&agent{}).fields()...) {
		assert.Contains(t, string(out), f.name)
	}
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"500ms": 500 * time.Millisecond, "1.5secs": 1500 * time.Millisecond, "2mins": 2 * time.Minute, "1hrs": time.Hour,
		"1days": 24 * time.Hour, "2weeks": 14 * 24 * time.Hour, "1m30s": 90 * time.Second, "10ns": 10, "3us": 3000,
	} {
		got, err := parseDuration(text)
		assert.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "secs", "1 apples", "NaNsecs", "Infmins", "1e400days", "1sec"} {
		got, err := parseDuration(text)
		assert.Error(t, err, "%q is %v", text, got)
	}
}

func FuzzClusterFile(f *testing.F) {
	f.Add(everything)
	f.Add(`{"agents": [{"hostname": "host1.test", "environment": {"A": 1}}]}`)
	f.Add("a: &a [*a]")
	f.Add("agents: &a [*a, {<<: *a}]")
	f.Add("? {a: b}\n: c\n")
	f.Fuzz(func(t *testing.T, text string) {
		n, err := document([]byte(text))
		if err != nil || n == nil {
			return
		}
		c := newCluster()
		if assign(c.fields(), "", n) != nil {
			return
		}
		for _, a := range c.agents {
			assert.GreaterOrEqual(t, a.RecoveryTimeout, time.Duration(0))
			assert.GreaterOrEqual(t, a.count, 0)
		}
		assert.GreaterOrEqual(t, c.PingInterval, time.Duration(0))
	})
}

// TestFileOfTheDocumentation reads the cluster file that doc.go shows.
func TestFileOfTheDocumentation(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "//\taddress:")
	require.True(t, found)
	block, _, found := strings.Cut("//\taddress:"+rest, "\n//\n")
	require.True(t, found)
	c := newCluster()
	require.NoError(t, c.read("-", strings.NewReader(strings.ReplaceAll(block, "//\t", ""))))
	require.NoError(t, c.validate())
	assert.Len(t, c.machines(), 4)
	assert.Equal(t, map[string]string{"marathon": "s3cret"}, c.Credentials)
}
