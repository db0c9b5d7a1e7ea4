package cli

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
)

func TestSecluded(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	for _, test := range []struct {
		name string
		s    settings
		want bool
	}{
		{"master elsewhere", settings{master: "zk://zk1:2181/mesos"}, true},
		{"master here", settings{master: "127.0.0.1:5050"}, false},
		{"agents told where", settings{master: "zk1:5050", apiURL: "http://10.0.0.7:7000"}, false},
		{"agents have it", settings{master: "zk1:5050", common: Common{Binary: frameworks.Binary{Path: "/opt/x"}}}, false},
	} {
		assert.Equal(t, test.want, test.s.secluded(l), test.name)
	}
}

func TestErrorsNameFlags(t *testing.T) {
	t.Parallel()
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	for _, name := range []string{"heap", "option", "rack-attribute", "cpus", "kafka", "role"} {
		f.String(name, "", "")
	}
	fields := map[string]string{"Cluster.Distribution.Classpath": "kafka"}
	for text, want := range map[string]string{
		"Cluster.Heap: 3: wants more, which is Mem (2)": "--heap: 3: wants more, which is Mem (2)",
		"Cluster.Options: a: no such":                   "--option: a: no such",
		"use Cluster.RackAttribute":                     "use --rack-attribute",
		"Cluster.CPUs: 0":                               "--cpus: 0",
		"Cluster.Distribution.Classpath: \"\"":          "--kafka: \"\"",
		"Cluster.Distribution.Java: \"\"":               "Cluster.Distribution.Java: \"\"",
		"Service.Role: \"*\"":                           "--role: \"*\"",
		"Service.Pods[0].Ports[1].Name: x":              "Service.Pods[0].Ports[1].Name: x",
		"a.b: Kafka has no such option":                 "a.b: Kafka has no such option",
	} {
		cause := errors.New(text)
		err := flagError{cause, f, fields}
		assert.Equal(t, want, err.Error())
		assert.ErrorIs(t, err, cause)
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	var p frameworks.Port
	var c Common
	var options map[string]string
	PortVar(f, &p, "port", "")
	PairsVar(f, &options, "option", "")
	c.addFlags(f, "kafka")
	require.NoError(t, f.Parse([]string{"--port", "9092-9099", "--option", "a=b=c", "--option", " d = e ",
		"--constraint", "hostname:UNIQUE", "--constraint", "rack:GROUP_BY:3", "--backoff-first", "2s"}))
	assert.Equal(t, frameworks.Port{Begin: 9092, End: 9099}, p)
	assert.Equal(t, map[string]string{"a": "b=c", "d": "e"}, options)
	assert.Equal(t, "kafka", c.Name)
	assert.Equal(t, 2*time.Second, c.Backoff.First)
	assert.Contains(t, c.Place.String(), "UNIQUE")
	assert.Contains(t, c.Place.String(), "GROUP_BY")

	for _, test := range []struct{ flag, value, want string }{
		{"port", "", "wants a port such as 9092"},
		{"port", "0", "wants a port such as 9092"},
		{"port", "65536", "wants a port such as 9092"},
		{"port", "9099-9092", "wants a port such as 9092"},
		{"port", "9092-", "wants a port such as 9092"},
		{"option", "a", "wants key=value"},
		{"option", "=a", "wants key=value"},
		{"option", "a=x", `a is "b=c" already: wants each key once`},
		{"constraint", "hostname:UNIQ", "UNIQUE"},
	} {
		err := f.Parse([]string{"--" + test.flag, test.value})
		require.ErrorContains(t, err, test.want)
		assert.ErrorContains(t, err, "--"+test.flag, "it names the flag")
	}
}
