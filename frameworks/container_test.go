package frameworks

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/offers"
)

var abc = strings.Repeat("abc0", 16)

// surrounded declares all that can surround a task.
func surrounded() *Service {
	s := versionedService(1)
	p := &s.Pods[0]
	p.Limits = offers.MustParse("cpus:2;mem:1024")
	p.Fetch = []URI{
		{Value: "https://example.org/d/server-1.2.tar.gz?x=1", SHA256: abc, Extract: true},
		{Value: "/opt/plugin.jar", Cache: true, File: "plugins.jar"},
	}
	p.Container = Container{
		Image: "example/server:1.2", Network: "overlay",
		HostPaths: []HostPath{{Host: "/etc/ssl", Path: "/etc/ssl", ReadOnly: true}, {Host: "/var/run/x", Path: "x"}},
	}
	p.Ports = []Port{{Name: "peer", Container: 7000, Protocol: "tcp"}, {Name: "admin"}}
	p.Discovery = Discovery{Visibility: mesos.EXTERNAL, Version: "1.2", Labels: map[string]string{"b": "2", "a": "1"}}
	return s
}

// launchedTasks collects the tasks that the scheduler launches from now on.
func (w *world) launchedTasks() *[]mesos.TaskInfo {
	var tasks []mesos.TaskInfo
	w.before = func(c *sched.Call) {
		for _, op := range c.GetAccept().GetOperations() {
			tasks = append(tasks, op.GetLaunch().GetTaskInfos()...)
		}
	}
	return &tasks
}

// The model runs no containers: what is proven here is what agents are told.
func TestATaskIsToldItsSurroundings(t *testing.T) {
	t.Parallel()
	w := newWorld(t, surrounded(), 1, agentResources)
	tasks := w.launchedTasks()
	w.until(time.Minute, "launched", func() bool { return len(*tasks) > 0 })
	task := (*tasks)[0]
	n := w.status().Nodes[0]
	assert.Equal(t, map[string]mesos.Value_Scalar{"cpus": {Value: 2}, "mem": {Value: 1024}}, task.Limits)

	uris := task.Executor.Command.URIs
	require.Len(t, uris, 2, "the executor is a path here")
	assert.Equal(t, "https://example.org/d/server-1.2.tar.gz?x=1", uris[0].Value)
	assert.Equal(t, []bool{true, false, false}, []bool{uris[0].GetExtract(), uris[0].GetExecutable(), uris[0].GetCache()})
	assert.Equal(t, []any{"/opt/plugin.jar", "plugins.jar", true}, []any{uris[1].Value, uris[1].GetOutputFile(), uris[1].GetCache()})
	var spec executor.Task
	require.NoError(t, json.Unmarshal(task.Data, &spec))
	assert.Equal(t, []executor.Checksum{{Path: "server-1.2.tar.gz", SHA256: abc}}, spec.Checksums)
	assert.Equal(t, "7000", spec.Env["PORT_PEER"], "the port to listen on")

	c := task.Executor.Container
	assert.Nil(t, task.Container, "the container is the executor's")
	assert.Equal(t, "example/server:1.2", c.Mesos.Image.Docker.Name)
	assert.Equal(t, []any{"/etc/ssl", "/etc/ssl", mesos.RO}, []any{c.Volumes[0].ContainerPath, *c.Volumes[0].HostPath, *c.Volumes[0].Mode})
	assert.Equal(t, []any{"x", "/var/run/x", mesos.RW}, []any{c.Volumes[1].ContainerPath, *c.Volumes[1].HostPath, *c.Volumes[1].Mode})
	require.Len(t, c.NetworkInfos, 1)
	assert.Equal(t, "overlay", c.NetworkInfos[0].GetName())
	tcp := "tcp"
	assert.Equal(t, []mesos.NetworkInfo_PortMapping{{HostPort: uint32(n.Place.Ports["peer"]), ContainerPort: 7000, Protocol: &tcp}},
		c.NetworkInfos[0].PortMappings)

	d := task.Discovery
	assert.Equal(t, []any{mesos.EXTERNAL, "node-0.db", "1.2"}, []any{d.Visibility, d.GetName(), d.GetVersion()})
	assert.Equal(t, "a b", d.Labels.Labels[0].Key+" "+d.Labels.Labels[1].Key)
	assert.Equal(t, []string{"admin", "peer"}, []string{d.Ports.Ports[0].GetName(), d.Ports.Ports[1].GetName()})
	assert.Equal(t, "tcp", d.Ports.Ports[1].GetProtocol())
}

func TestACommandIsToldItsSurroundings(t *testing.T) {
	t.Parallel()
	s := surrounded()
	p := &s.Pods[0]
	p.Task, p.Command, p.Fetch[0].SHA256, p.Grace = nil, "serve", "", 7*time.Second
	w := newWorld(t, s, 1, agentResources)
	tasks := w.launchedTasks()
	w.until(time.Minute, "launched", func() bool { return len(*tasks) > 0 })
	task := (*tasks)[0]
	assert.Len(t, task.Command.URIs, 2)
	assert.Equal(t, "example/server:1.2", task.Container.Mesos.Image.Docker.Name)
	assert.EqualValues(t, 7e9, task.KillPolicy.GracePeriod.Nanoseconds)
}

func TestNewSurroundingsAreRolledOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, versionedService(2), 3, agentResources)
	w.until(time.Minute, "ready", w.allReady(2))
	w.crash()
	w.pass(time.Minute)
	assert.Equal(t, []int{1, 1}, w.incarnations()[:2])
	w.configure(func(p *Pod) { p.Fetch = []URI{{Value: "http://example.org/new.jar"}} })
	w.until(10*time.Minute, "rolled", func() bool {
		n := w.status().Nodes
		return n[0].Incarnation == 2 && n[1].Incarnation == 2 && w.updated(2)()
	})
}

// A rule that is preferred only ranks: it is kept while it can be.
func TestPreferredPlaces(t *testing.T) {
	t.Parallel()
	s := versionedService(3)
	s.Pods[0].Together = false
	s.Pods[0].Place = constraints.MustParse("hostname:UNIQUE", `{"prefer": "rack:IS:r2", "weight": 10}`)
	w := newWorld(t, s, 4, agentResources)
	w.until(time.Minute, "all have a place", w.allReady(3))
	racks := map[string]int{}
	for _, n := range w.status().Nodes {
		racks[n.Place.Attribute("rack")]++
	}
	assert.Equal(t, map[string]int{"r2": 2, "r1": 1}, racks)
}

func TestSurroundingsAreValidated(t *testing.T) {
	t.Parallel()
	require.NoError(t, surrounded().Validate())
	for wrong, change := range map[string]func(p *Pod){
		`Fetch[0].Value: "": wants a URI`:                              func(p *Pod) { p.Fetch[0].Value = "" },
		`Fetch[0].SHA256: "12": wants the SHA-256`:                     func(p *Pod) { p.Fetch[0].SHA256 = "12" },
		`wants Extract or Cache, not both`:                             func(p *Pod) { p.Fetch[0].Cache = true },
		`wants either Extract or Executable`:                           func(p *Pod) { p.Fetch[0].Executable = true },
		`Fetch[1].File: "../x": wants a name`:                          func(p *Pod) { p.Fetch[1].File = "../x" },
		`wants a name that nothing else that is fetched has`:           func(p *Pod) { p.Fetch[1].File = "server-1.2.tar.gz" },
		`wants a Task: nobody checks`:                                  func(p *Pod) { p.Task, p.Command = nil, "serve" },
		`Container.Image: "docker://x": wants a Docker image`:          func(p *Pod) { p.Container.Image = "docker://x" },
		`Container.Network: "host": wants the name of a network`:       func(p *Pod) { p.Container.Network = "host" },
		`Ports[0].Container: 0x1b58: wants a Container.Network`:        func(p *Pod) { p.Container.Network = "" },
		`Ports[0].Container: 0x11170: wants 1 to 65535`:                func(p *Pod) { p.Ports[0].Container = 70000 },
		`Ports[0].Protocol: "sctp": wants`:                             func(p *Pod) { p.Ports[0].Protocol = "sctp" },
		`HostPaths[0].Host: "etc": wants an absolute path`:             func(p *Pod) { p.Container.HostPaths[0].Host = "etc" },
		`HostPaths[1].Path: "data": wants a path that no other volume`: func(p *Pod) { p.Container.HostPaths[1].Path = "data" },
		`Limits: "cpus:0.5": limit cpus:0.5 is below the 1`:            func(p *Pod) { p.Limits = offers.MustParse("cpus:0.5") },
		`Mesos limits only cpus and mem`:                               func(p *Pod) { p.Limits = offers.MustParse("disk:5") },
		`Discovery.Visibility: 9: wants`:                               func(p *Pod) { p.Discovery.Visibility = 9 },
	} {
		s := surrounded()
		change(&s.Pods[0])
		assert.ErrorContains(t, s.Validate(), wrong)
	}
}
