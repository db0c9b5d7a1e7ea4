package mesostest

import (
	"encoding/json"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/mesokit/mesokit/internal/dist/disttest"
)

// url is where somebody of a recording sends to. The scheduler of the recorded
// cluster tried the standby again and again after the leader had gone.
func (r *replay) url(who string) string {
	if masters := r.c.Masters(); len(masters) > 1 && (strings.HasPrefix(who, "standby") || who == "f1'") {
		return "http://" + masters[1].Address()
	}
	return r.c.URL()
}

// zookeeper compares what lies in ZooKeeper.
func (r *replay) zookeeper(i int, line object) {
	conn := zookeeper(r.t, r.c)
	for command, want := range line["zookeeper"].(object) {
		verb, node, _ := strings.Cut(command, " ")
		var got any
		switch verb {
		case "ls":
			got = "[" + strings.Join(nodes(r.t, conn, node), ", ") + "]"
		case "get":
			data, _, err := conn.Get(node)
			if err != nil {
				r.fail(i, "%s: %s", command, err)
			}
			if err := json.Unmarshal(data, &got); err != nil {
				r.fail(i, "%s: %s", command, err)
			}
		default:
			r.fail(i, "cannot do %s", command)
		}
		if err := r.b.match(want, got, command); err != nil {
			r.fail(i, "%s", err)
		}
	}
}

func zookeeper(t *testing.T, c *Cluster) *zk.Conn {
	t.Helper()
	address, _, _ := strings.Cut(strings.TrimPrefix(c.cfg.ZooKeeper, "zk://"), "/")
	conn, _, err := zk.Connect([]string{address}, 10*time.Second, zk.WithLogInfo(false), zk.WithLogger(silent{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

func nodes(t *testing.T, conn *zk.Conn, under string) []string {
	t.Helper()
	names, _, err := conn.Children(under)
	if err != nil {
		t.Fatalf("%s: %s", under, err)
	}
	slices.Sort(names)
	return names
}

// sessions is how long the sessions of masters may live. On a busy machine a
// leader may be silent for a while, and the tests say who leads next.
const sessions = "maxSessionTimeout=4000"

// elected is a cluster with standbys.
func elected(t *testing.T, standbys int, options ...Option) (*Cluster, *disttest.ZooKeeperServer) {
	t.Helper()
	server := disttest.ZooKeeper(t, sessions)
	return New(t, append(options, Configure(func(c *Config) {
		c.ZooKeeper, c.ZooKeeperSession, c.Standbys = "zk://"+server.Address+"/a/mesos", 4*time.Second, standbys
	}))...), server
}

// Leaders are killed one after the other; tasks go on, agents find the next,
// and who was killed comes back behind the others.
func TestFailover(t *testing.T) {
	t.Parallel()
	c, _ := elected(t, 2, Agents(1, "cpus:2;mem:1024"))
	masters := c.Masters()
	p := newProbe(t, c, frameworkInfo("*"))
	p.launch(dig(p.expect("OFFERS"), "offers", "offers", 0), task("t1", object{"command": object{"value": "sleep 600", "shell": true}}))
	p.expectUpdate("t1", "TASK_STARTING")
	p.expectUpdate("t1", "TASK_RUNNING")
	pid := c.Agent(0).Processes()[0].PID
	for _, next := range []int{1, 2, 0} {
		leader := c.WaitLeader(t)
		c.StopMaster()
		if leader.Up() || leader.Leads() || c.Leads() {
			t.Fatal("the leader was killed, and goes on")
		}
		if !p.waitClosed(patience) {
			t.Fatal("the stream outlived the leader")
		}
		if got := c.WaitLeader(t); got != masters[next] || c.Master() != got.Address() {
			t.Fatalf("%s leads, and the cluster says %s, want master %d at %s", got.Address(), c.Master(), next, masters[next].Address())
		}
		if err := c.StartMaster(); err != nil {
			t.Fatal(err)
		}
		c.WaitAgents(t, 1)
		id, info := p.id, frameworkInfo("*")
		info["id"] = object{"value": id}
		p = subscribe(t, c.URL(), object{"type": "SUBSCRIBE", "framework_id": info["id"], "subscribe": object{"framework_info": info}}, nil)
		if got := text(p.expect("SUBSCRIBED"), "subscribed", "framework_id", "value"); got != id {
			t.Fatalf("the framework is %s, was %s", got, id)
		}
		p.id = id
		p.call(object{"type": "RECONCILE", "reconcile": object{"tasks": []object{{"task_id": object{"value": "t1"}}}}})
		p.expectUpdate("t1", "TASK_RUNNING")
	}
	if got := c.Agent(0).Processes(); len(got) != 1 || got[0].PID != pid {
		t.Errorf("the processes are %v, want the one of before with pid %d", got, pid)
	}
}

// A standby redirects to a leader that was killed until its session is over.
func TestStandbyRedirects(t *testing.T) {
	t.Parallel()
	c, _ := elected(t, 1)
	leader, other := c.Masters()[0], c.Masters()[1]
	ask := func() (int, string) {
		status, _, header := get(t, "http://"+other.Address()+"/state")
		return status, header.Get("Location")
	}
	want := "//" + leader.Address() + "/master/state"
	for _, when := range []string{"before the kill", "at once after it"} {
		// On a busy machine the session may be over by the time of the answer.
		if status, location := ask(); (status != http.StatusTemporaryRedirect || location != want) && !other.Leads() {
			t.Errorf("%s: %d to %q, want 307 to %q", when, status, location, want)
		}
		leader.Kill()
	}
	c.wait(t, other.Leads, func() string { return "the standby does not lead" })
	if status, _ := ask(); status != http.StatusOK {
		t.Errorf("as the leader: %d, want 200", status)
	}
}

// Who cannot reach ZooKeeper does not lead.
func TestLeadershipEndsWithTheSession(t *testing.T) {
	t.Parallel()
	c, server := elected(t, 1)
	server.Stop(t)
	c.wait(t, func() bool { return !c.Leads() }, func() string { return "a master leads without ZooKeeper" })
	if c.Masters()[0].Up() {
		t.Error("a leader that lost its leadership goes on")
	}
	server.Start(t)
	if err := c.StartMaster(); err != nil {
		t.Fatal(err)
	}
	leader := c.WaitLeader(t)
	conn := zookeeper(t, c)
	for _, name := range nodes(t, conn, "/a/mesos") {
		data, _, err := conn.Get(path.Join("/a/mesos", name))
		if err != nil {
			t.Fatal(err)
		}
		var info object
		if name != "log_replicas" && (json.Unmarshal(data, &info) != nil || info["version"] != version) {
			t.Errorf("%s holds %s", name, data)
		}
	}
	if err := c.StandBy(""); err == nil {
		t.Error("a master that was elected stands by without an election")
	}
	if !leader.Leads() {
		t.Error("the leader leads no more")
	}
}

func TestElectionErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"negative", Config{Standbys: -1}, "Standbys is -1: want how many there are"},
		{"no ZooKeeper", Config{Standbys: 1}, "Standbys is 1 without ZooKeeper"},
		{"no URL", Config{ZooKeeper: "127.0.0.1:2181"}, "ZooKeeper: want zk://"},
		{"session", Config{ZooKeeperSession: -1}, "ZooKeeperSession is -1ns: want a positive duration"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, err := Start(t.Context(), tc.cfg)
			if err == nil {
				t.Fatal("no error", c.Close())
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %q, want it to contain %q", err, tc.want)
			}
		})
	}
}
