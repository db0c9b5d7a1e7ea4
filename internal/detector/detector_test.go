package detector

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		url  string
		want Ensemble
		err  string
	}{
		{url: "zk://a:1,b:2/mesos", want: Ensemble{Servers: []string{"a:1", "b:2"}, Path: "/mesos"}},
		{url: "zk://a,[::1]/x/y/", want: Ensemble{Servers: []string{"a:2181", "[::1]:2181"}, Path: "/x/y"}},
		{url: "zk://me:p@ss@a:1/m", want: Ensemble{Servers: []string{"a:1"}, Path: "/m", User: "me", Password: "p@ss"}},
		{url: "http://a/mesos", err: "want zk://"},
		{url: "zk://a:1", err: "the path is missing"},
		{url: "zk://a:1/", err: "the path is missing"},
		{url: "zk://a:1,,b:2/m", err: "a host is empty"},
		{url: "zk://a:port/m", err: `"a:port" is no host:port`},
		{url: "zk://a:0/m", err: `"a:0" is no host:port`},
		{url: "zk://a:70000/m", err: `"a:70000" is no host:port`},
		{url: "zk://me@a:1/m", err: "user:password"},
	} {
		t.Run(c.url, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(c.url)
			if c.err != "" {
				assert.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
			assert.NotContains(t, got.String(), "p@ss")
		})
	}
}

func TestLeading(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		children []string
		want     string
		err      string
	}{
		{"lowest", []string{"json.info_0000000012", "log_replicas", "json.info_0000000009"}, "json.info_0000000009", ""},
		{"beside old ones", []string{"info_0000000001", "json.info_0000000002"}, "json.info_0000000002", ""},
		{"not a number", []string{"json.info_x", "json.info_0000000002"}, "json.info_0000000002", ""},
		{"old ones only", []string{"info_0000000001"}, "", "before Mesos 0.24"},
		{"nobody", []string{"log_replicas"}, "", "no master is there"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := leading(c.children)
			if c.err != "" {
				assert.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		json string
		want Leader
		err  string
	}{
		{"as Mesos 1.12 writes", `{"address":{"hostname":"m1","ip":"10.0.0.1","port":5050},"hostname":"m1","id":"i1","ip":16777226,"pid":"master@10.0.0.1:5050","port":5050,"version":"1.12.0"}`, Leader{"i1", "m1", "10.0.0.1", 5050}, ""},
		{"without address", `{"hostname":"m1","ip":16777226,"pid":"master@10.0.0.1:5050","port":5050}`, Leader{"", "m1", "10.0.0.1", 5050}, ""},
		{"no address at all", `{"port":5050}`, Leader{}, "has no address"},
		{"no port", `{"hostname":"m1"}`, Leader{}, "has no address"},
		{"not JSON", "\x0a\x01", Leader{}, "decode MasterInfo"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := decode([]byte(c.json))
			if c.err != "" {
				assert.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"address":{"hostname":"m1","ip":"10.0.0.1","port":5050}}`))
	f.Add([]byte(`{"pid":"master@","port":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if leader, err := decode(data); err == nil && (leader.Port == 0 || leader.Hostname+leader.IP == "") {
			t.Errorf("%q became %+v, which nobody can dial", data, leader)
		}
	})
}
