package mysql

import (
	"flag"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
)

var update = flag.Bool("update", false, "write the golden files")

func valid() Cluster {
	return Cluster{AdminHash: Hash("secret"), Distribution: Distribution{Dir: "/opt/my$ql"}}
}

func TestHash(t *testing.T) {
	t.Parallel()
	// SELECT PASSWORD('password') of MariaDB.
	assert.Equal(t, "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19", Hash("password"))
}

func TestValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, valid().Validate())
	for field, spoil := range map[string]func(*Cluster){
		`Cluster.Flavor: oracle: wants "mysql" or "mariadb"`:                     func(c *Cluster) { c.Flavor = "oracle" },
		"Cluster.Members: 1: wants 3 or more":                                    func(c *Cluster) { c.Members = 1 },
		"Cluster.CPUs: -1: wants more than 0":                                    func(c *Cluster) { c.CPUs = -1 },
		"Cluster.Buffer: 900: wants 8 to 864 MiB":                                func(c *Cluster) { c.Buffer = 900 },
		"Cluster.Disk: 10: wants 256 MiB or more":                                func(c *Cluster) { c.Disk = 10 },
		"Cluster.Admin: root: wants lower case":                                  func(c *Cluster) { c.Admin = "root" },
		"Cluster.Admin: a'b: wants lower case":                                   func(c *Cluster) { c.Admin = "a'b" },
		`Cluster.AdminHash: "secret": wants what Hash makes`:                     func(c *Cluster) { c.AdminHash = "secret" },
		"Cluster.Lease: 1s: wants 3s or more":                                    func(c *Cluster) { c.Lease = time.Second },
		"Cluster.Grace: -1s: wants 0 or more":                                    func(c *Cluster) { c.Grace = -time.Second },
		"Cluster.ReplaceAfter: -1s: wants 0 or more":                             func(c *Cluster) { c.ReplaceAfter = -time.Second },
		`Cluster.Distribution.Dir: "": wants the directory`:                      func(c *Cluster) { c.Distribution.Dir = "" },
		"Cluster.Options: Max-Connections: wants the name of a system variable":  func(c *Cluster) { c.Options = map[string]string{"Max-Connections": "1"} },
		"Cluster.Options: port: is set by the framework: use Cluster.Port":       func(c *Cluster) { c.Options = map[string]string{"port": "1"} },
		"Cluster.Options: rpl_semi_sync_source_timeout: is set by the framework": func(c *Cluster) { c.Options = map[string]string{"rpl_semi_sync_source_timeout": "1"} },
		"Cluster.Options: gtid_mode: is set by the framework: elections":         func(c *Cluster) { c.Options = map[string]string{"gtid_mode": "OFF"} },
		"Cluster.Options: mysqlx: is set by the framework":                       func(c *Cluster) { c.Options = map[string]string{"mysqlx": "ON"} },
		"Cluster.Options: max_connections: wants one line":                       func(c *Cluster) { c.Options = map[string]string{"max_connections": "1\nport=2"} },
	} {
		c := valid()
		spoil(&c)
		assert.ErrorContains(t, c.Validate(), field)
		assert.ErrorContains(t, c.Service().Validate(), field)
	}
	assert.NoError(t, func() error { c := valid(); c.Binary.Path = "/opt/mesos-mysql"; return c.Service().Validate() }())
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"mysql", "mariadb"} {
		c := valid()
		c.Flavor, c.Options = name, map[string]string{"max_connections": "500", "init_connect": "SET @a='$x'"}
		c = c.withDefaults()
		s := set{Cluster: c, flavor: flavors[name]}
		n := frameworks.Node{
			Name: "member-1", Pod: pod, Index: 1, Generation: 2, Incarnation: 7,
			Place: &frameworks.Place{Address: "10.0.0.7", Ports: map[string]uint64{port: 3306}},
		}
		got, err := s.config(n)
		require.NoError(t, err)
		golden := "testdata/" + name + ".cnf"
		if *update {
			require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err)
		assert.Equal(t, string(want), got)

		task, err := s.task(frameworks.Deployment{}, n)
		require.NoError(t, err)
		require.NoError(t, task.Validate())
		assert.Equal(t, "false", task.Env[envMember])
		n.Arrived = 2
		task, err = s.task(frameworks.Deployment{}, n)
		require.NoError(t, err)
		assert.Equal(t, "true", task.Env[envMember])

		n.Place = nil
		_, err = s.config(n)
		assert.EqualError(t, err, "node member-1: has no address yet")
	}
}

func TestNoTwoPlacesShareAServerID(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	for generation := 1; generation < 20; generation++ {
		for index := range 1000 {
			id := serverID(frameworks.Node{Index: index, Generation: generation})
			require.False(t, seen[id])
			seen[id] = true
		}
	}
}
