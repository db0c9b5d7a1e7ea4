package frameworks

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"strconv"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/executor"
)

// task describes the node's next task, which consumes the given resources.
func (d *decision) task(n *Node, resources []mesos.Resource) (mesos.TaskInfo, error) {
	pod := d.pod(n.Pod)
	info := mesos.TaskInfo{
		Name:      n.Name,
		TaskID:    mesos.TaskID{Value: d.taskID(n)},
		AgentID:   mesos.AgentID{Value: n.Place.Agent},
		Resources: resources,
		Labels:    &mesos.Labels{Labels: d.labels(n)},
		Discovery: d.discovery(n),
	}
	env := environment(d.Name, n)
	if pod.Command != "" {
		command := mesos.CommandInfo{Value: &pod.Command, Environment: variables(env)}
		info.Command = &command
		info.KillPolicy = &mesos.KillPolicy{GracePeriod: &mesos.DurationInfo{Nanoseconds: pod.grace().Nanoseconds()}}
		return info, nil
	}
	spec, err := pod.Task(d.deployment(), *n)
	if err != nil {
		return info, fmt.Errorf("task of %s: %w", n.Name, err)
	}
	if err := pod.checkSecrets(spec); err != nil {
		return info, fmt.Errorf("task of %s: %w", n.Name, err)
	}
	maps.Copy(env, spec.Env)
	spec.Env = env
	spec.Stop.Grace = pod.grace()
	if info.Data, err = json.Marshal(spec); err != nil {
		return info, fmt.Errorf("task of %s: %w", n.Name, err)
	}
	n.Lease = spec.Lease
	info.Executor = d.executor(info.TaskID.Value)
	info.Executor.ShutdownGracePeriod = &mesos.DurationInfo{Nanoseconds: spec.ShutdownGrace().Nanoseconds()}
	return info, nil
}

// executor is this framework's own binary, one process for each task. The
// task holds all the resources; the executor lives within them.
func (d *decision) executor(taskID string) *mesos.ExecutorInfo {
	program := d.Binary.Path
	var uris []mesos.CommandInfo_URI
	if d.Binary.URI != "" {
		yes, no := true, false
		uris = []mesos.CommandInfo_URI{{Value: d.Binary.URI, Executable: &yes, Extract: &no}}
		program = "./" + path.Base(d.Binary.URI)
	}
	shell := false
	id := d.view.FrameworkID()
	return &mesos.ExecutorInfo{
		Type:        mesos.ExecutorInfo_CUSTOM,
		ExecutorID:  mesos.ExecutorID{Value: taskID},
		FrameworkID: &mesos.FrameworkID{Value: id},
		Name:        &d.Name,
		Command: &mesos.CommandInfo{
			Value:       &program,
			Arguments:   []string{program},
			Shell:       &shell,
			URIs:        uris,
			Environment: variables(map[string]string{executor.Marker: "1"}),
		},
	}
}

// environment is what every task of a node finds: its names, and each port as
// PORT_<NAME>.
func environment(service string, n *Node) map[string]string {
	env := map[string]string{
		"SERVICE":    service,
		"NODE":       n.Name,
		"NODE_INDEX": strconv.Itoa(n.Index),
		"HOST":       n.Place.Address,
	}
	for name, port := range n.Place.Ports {
		name = strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		env["PORT_"+name] = strconv.FormatUint(port, 10)
	}
	return env
}

func variables(env map[string]string) *mesos.Environment {
	out := &mesos.Environment{}
	for _, name := range sortedKeys(env) {
		value := env[name]
		out.Variables = append(out.Variables, mesos.Environment_Variable{Name: name, Value: &value})
	}
	return out
}

// discovery publishes the node's ports under its name, for Mesos-DNS and the
// like.
func (d *decision) discovery(n *Node) *mesos.DiscoveryInfo {
	host := n.Name + "." + d.Name
	info := &mesos.DiscoveryInfo{Visibility: mesos.FRAMEWORK, Name: &host}
	for _, name := range sortedKeys(n.Place.Ports) {
		if info.Ports == nil {
			info.Ports = &mesos.Ports{}
		}
		info.Ports.Ports = append(info.Ports.Ports, mesos.Port{Number: uint32(n.Place.Ports[name]), Name: &name})
	}
	return info
}
