package frameworks

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/executor"
)

// task describes the node's next task, which consumes the resources of its
// place.
func (d *decision) task(n *Node, deployment Deployment) (mesos.TaskInfo, error) {
	pod := d.pod(n.Pod)
	info := mesos.TaskInfo{
		Name:      n.Name,
		TaskID:    mesos.TaskID{Value: d.taskID(n)},
		AgentID:   mesos.AgentID{Value: n.Place.Agent},
		Resources: n.Place.Resources,
		Labels:    &mesos.Labels{Labels: d.labels(n)},
		Discovery: d.discovery(n),
	}
	env := environment(d.Name, pod, n)
	limits, err := pod.Limits.Limits(pod.Needs)
	if err != nil {
		return info, fmt.Errorf("task of %s: limits: %w", n.Name, err)
	}
	info.Limits = limits
	container := pod.Container.info(pod, n)
	if pod.Command != "" {
		command := mesos.CommandInfo{Value: &pod.Command, Environment: variables(env), URIs: pod.uris(), User: d.user()}
		info.Command, info.Container = &command, container
		info.KillPolicy = &mesos.KillPolicy{GracePeriod: &mesos.DurationInfo{Nanoseconds: pod.grace().Nanoseconds()}}
		return info, nil
	}
	spec, err := pod.render(deployment, *n)
	if err != nil {
		return info, fmt.Errorf("task of %s: %w", n.Name, err)
	}
	if err := pod.checkSecrets(spec); err != nil {
		return info, fmt.Errorf("task of %s: %w", n.Name, err)
	}
	maps.Copy(env, spec.Env)
	spec.Env = env
	spec.Checksums = append(spec.Checksums, pod.checksums()...)
	spec.Stop.Grace = pod.grace()
	if info.Data, err = json.Marshal(spec); err != nil {
		return info, fmt.Errorf("task of %s: %w", n.Name, err)
	}
	n.Lease = spec.Lease
	info.Executor = d.executor(info.TaskID.Value)
	info.Executor.Container = container
	if pod.Container.Image == "" {
		d.Binary.verify(info.Executor.Command)
	}
	info.Executor.Command.URIs = append(info.Executor.Command.URIs, pod.uris()...)
	info.Executor.ShutdownGracePeriod = &mesos.DurationInfo{Nanoseconds: spec.ShutdownGrace().Nanoseconds()}
	return info, nil
}

// render asks the pod's Task.
func (p *Pod) render(d Deployment, n Node) (executor.Task, error) {
	return guarded(func() (executor.Task, error) { return p.Task(d, n) })
}

// verify has a shell run the program only if it is what it should be.
func (b Binary) verify(command *mesos.CommandInfo) {
	if b.URI == "" || b.SHA256 == "" {
		return
	}
	shell := true
	program := path.Base(b.URI)
	value := fmt.Sprintf(`sum="%s  %s"; `+
		`if command -v sha256sum >/dev/null; then echo "$sum" | sha256sum -c - >&2; else echo "$sum" | shasum -a 256 -c - >&2; fi && exec './%[2]s'`,
		b.SHA256, program)
	command.Value, command.Shell, command.Arguments = &value, &shell, nil
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
			User:        d.user(),
		},
	}
}

// user is whom the service's own tasks run as; nil: the framework's user.
func (s *Service) user() *string {
	if s.User == "" {
		return nil
	}
	return &s.User
}

// environment is what every task of a node finds: its names, and each port as
// PORT_<NAME>: the one to listen on, where a network maps it.
func environment(service string, pod *Pod, n *Node) map[string]string {
	env := map[string]string{
		"SERVICE":    service,
		"NODE":       n.Name,
		"NODE_INDEX": strconv.Itoa(n.Index),
		"HOST":       n.Place.Address,
	}
	for name, port := range n.Place.Ports {
		if i := slices.IndexFunc(pod.Ports, func(p Port) bool { return p.Name == name }); i >= 0 {
			port = cmp.Or(pod.Ports[i].Container, port)
		}
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
