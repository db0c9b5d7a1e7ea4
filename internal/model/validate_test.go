package model

import (
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

func custom(id string, rs ...mesos.Resource) *mesos.ExecutorInfo {
	return &mesos.ExecutorInfo{Type: mesos.ExecutorInfo_CUSTOM, ExecutorID: mesos.ExecutorID{Value: id},
		Command: &mesos.CommandInfo{Value: new("x")}, Resources: rs}
}

// refusals launches one task as changed, and returns what it is told.
func refusal(t *testing.T, change func(*mesos.TaskInfo)) string {
	t.Helper()
	w := newWorld(t, 1)
	c := w.subscribe("db")
	o := c.offers()[0]
	task := commandTask("t1", o.AgentID.Value, 1, 64)
	change(&task)
	c.accept(o, 0, launchOp(task))
	us := c.updates(false)
	if len(us) != 1 || us[0].GetState() != mesos.TASK_ERROR || us[0].GetReason() != mesos.REASON_TASK_INVALID {
		return ""
	}
	return us[0].GetMessage()
}

func TestInvalidTasks(t *testing.T) {
	t.Parallel()
	variable := func(v mesos.Environment_Variable) func(*mesos.TaskInfo) {
		return func(task *mesos.TaskInfo) {
			task.Command.Environment = &mesos.Environment{Variables: []mesos.Environment_Variable{v}}
		}
	}
	mount := func(v mesos.Volume) func(*mesos.TaskInfo) {
		return func(task *mesos.TaskInfo) {
			task.Container = &mesos.ContainerInfo{Type: mesos.ContainerInfo_MESOS.Enum(), Volumes: []mesos.Volume{v}}
		}
	}
	limit := func(name string, v float64) func(*mesos.TaskInfo) {
		return func(task *mesos.TaskInfo) { task.Limits = map[string]mesos.Value_Scalar{name: {Value: v}} }
	}
	const secret = mesos.Environment_Variable_SECRET
	ports := mesos.Resource{Name: "ports", Type: mesos.RANGES.Enum(), Ranges: &mesos.Value_Ranges{Range: []mesos.Value_Range{{Begin: 31000, End: 31001}}}}
	other := scalarOf("cpus", 1)
	other.AllocationInfo = &mesos.Resource_AllocationInfo{Role: new("other")}
	for _, tc := range []struct {
		name, want string
		change     func(*mesos.TaskInfo)
	}{
		{"kill policy", "Task's 'kill_policy.grace_period' must be non-negative", func(x *mesos.TaskInfo) {
			x.KillPolicy = &mesos.KillPolicy{GracePeriod: &mesos.DurationInfo{Nanoseconds: -1}}
		}},
		{"completion time", "Task's `max_completion_time` must be non-negative", func(x *mesos.TaskInfo) {
			x.MaxCompletionTime = &mesos.DurationInfo{Nanoseconds: -1}
		}},
		{"gpus", "Task uses invalid resources: Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer", func(x *mesos.TaskInfo) {
			x.Resources = append(x.Resources, scalarOf("gpus", 0.5))
		}},
		{"two roles", "Invalid task resources: The resources have multiple allocation roles ('other' and 'db') but only one allocation role is allowed",
			func(x *mesos.TaskInfo) { x.Resources = append(x.Resources, other) }},
		{"disk of no kind", "Task uses invalid resources: Invalid DiskInfo: DiskInfo is set but empty", func(x *mesos.TaskInfo) {
			d := scalarOf("disk", 1)
			d.Disk = &mesos.Resource_DiskInfo{}
			x.Resources = append(x.Resources, d)
		}},
		{"variable without a value", "Task's `CommandInfo` is invalid: Environment variable 'A' of type 'VALUE' must have a value set",
			variable(mesos.Environment_Variable{Name: "A"})},
		{"secret without a secret", "Task's `CommandInfo` is invalid: Environment variable 'A' of type 'SECRET' must have a secret set",
			variable(mesos.Environment_Variable{Name: "A", Type: secret.Enum()})},
		{"secret without a reference", "Task's `CommandInfo` is invalid: Environment variable 'A' specifies an invalid secret: " +
			"Secret of type REFERENCE must have the 'reference' field set",
			variable(mesos.Environment_Variable{Name: "A", Type: secret.Enum(), Secret: &mesos.Secret{Type: mesos.Secret_REFERENCE}})},
		{"volume from nowhere", "Task's `ContainerInfo` is invalid: Invalid volume: Only one of them should be set: 'host_path', 'image' and 'source'",
			mount(mesos.Volume{ContainerPath: "x"})},
		{"volume of a source that is not there", "Task's `ContainerInfo` is invalid: Invalid volume: 'source.sandbox_path' is not set for SANDBOX_PATH volume",
			mount(mesos.Volume{ContainerPath: "x", Source: &mesos.Volume_Source{Type: mesos.Volume_Source_SANDBOX_PATH}})},
		{"docker without docker", "Task's `ContainerInfo` is invalid: DockerInfo 'docker' is not set for DOCKER typed ContainerInfo",
			func(x *mesos.TaskInfo) {
				x.Container = &mesos.ContainerInfo{Type: mesos.ContainerInfo_DOCKER.Enum()}
			}},
		{"limit of disk", "Only cpus and mem may be included in a task's resource limits", limit("disk", 1)},
		{"limit below the request", "The cpu limit must be greater than or equal to the cpu request", limit("cpus", 0.5)},
		{"health check of no type", "Task uses invalid health check: HealthCheck must specify 'type'", func(x *mesos.TaskInfo) { x.HealthCheck = &mesos.HealthCheck{} }},
		{"health check by another scheme", "Task uses invalid health check: Unsupported HTTP health check scheme: 'ftp'", func(x *mesos.TaskInfo) {
			x.HealthCheck = &mesos.HealthCheck{Type: mesos.HealthCheck_HTTP, HTTP: &mesos.HealthCheck_HTTPCheckInfo{Scheme: new("ftp")}}
		}},
		{"check of a path", "Task uses invalid check: The path 'x' of HTTP check must start with '/'", func(x *mesos.TaskInfo) {
			x.Check = &mesos.CheckInfo{Type: mesos.CheckInfo_HTTP, HTTP: &mesos.CheckInfo_Http{Path: new("x")}}
		}},
		{"cgroups of its own", "Only tasks in a task group may have 'share_cgroups' set to 'false'", func(x *mesos.TaskInfo) {
			x.Container = &mesos.ContainerInfo{Type: mesos.ContainerInfo_MESOS.Enum(), LinuxInfo: &mesos.LinuxInfo{ShareCgroups: new(false)}}
		}},
		{"default executor", "'ExecutorInfo.type' must be 'CUSTOM'", func(x *mesos.TaskInfo) {
			x.Command, x.Executor = nil, custom("e")
			x.Executor.Type, x.Executor.Command = mesos.ExecutorInfo_DEFAULT, nil
		}},
		{"executor's ID", "'a/b' contains invalid characters", func(x *mesos.TaskInfo) { x.Command, x.Executor = nil, custom("a/b") }},
		{"executor of another framework", "ExecutorInfo has an invalid FrameworkID (Actual: F vs Expected: M0-0000)", func(x *mesos.TaskInfo) {
			x.Command, x.Executor = nil, custom("e")
			x.Executor.FrameworkID = &mesos.FrameworkID{Value: "F"}
		}},
		{"ports of both", "There are overlapping resources in the task resources", func(x *mesos.TaskInfo) {
			x.Command, x.Executor = nil, custom("e", ports)
			x.Resources = append(x.Resources, ports)
		}},
		{"a health check of before there were types", "", func(x *mesos.TaskInfo) {
			x.HealthCheck = &mesos.HealthCheck{HTTP: &mesos.HealthCheck_HTTPCheckInfo{Port: 80}}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := refusal(t, tc.change); !strings.HasPrefix(got, tc.want) || tc.want == "" && got != "" {
				t.Errorf("told %q, want %q", got, tc.want)
			}
		})
	}
}

func TestInvalidGroups(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, want string
		change     func(*mesos.ExecutorInfo, *mesos.TaskInfo)
	}{
		{"valid", "", func(*mesos.ExecutorInfo, *mesos.TaskInfo) {}},
		{"no framework", "'ExecutorInfo.framework_id' must be set", func(e *mesos.ExecutorInfo, _ *mesos.TaskInfo) { e.FrameworkID = nil }},
		{"no type", "'ExecutorInfo.type' must be set", func(e *mesos.ExecutorInfo, _ *mesos.TaskInfo) { e.Type = mesos.ExecutorInfo_UNKNOWN }},
		{"command", "'ExecutorInfo.command' must not be set for 'DEFAULT' executor", func(e *mesos.ExecutorInfo, _ *mesos.TaskInfo) {
			e.Command = &mesos.CommandInfo{Value: new("x")}
		}},
		{"no cpus", "Executor 'e' uses less CPUs (None) than the minimum required (0.01)", func(e *mesos.ExecutorInfo, _ *mesos.TaskInfo) { e.Resources = e.Resources[1:] }},
		{"little memory", "Executor 'e' uses less memory (16MB) than the minimum required (32MB)", func(e *mesos.ExecutorInfo, _ *mesos.TaskInfo) {
			e.Resources[1] = scalarOf("mem", 16)
		}},
		{"no disk", "Executor 'e' uses no disk", func(e *mesos.ExecutorInfo, _ *mesos.TaskInfo) { e.Resources = e.Resources[:2] }},
		{"limits", "Task 't1' is invalid: Resource limits may only be set for tasks within a task group when the 'share_cgroups' field is set to 'false'.",
			func(_ *mesos.ExecutorInfo, x *mesos.TaskInfo) {
				x.Limits = map[string]mesos.Value_Scalar{"cpus": {Value: 4}}
			}},
		{"docker", "Task 't1' is invalid: Docker ContainerInfo is not supported on the task", func(_ *mesos.ExecutorInfo, x *mesos.TaskInfo) {
			x.Container = &mesos.ContainerInfo{Type: mesos.ContainerInfo_DOCKER.Enum(), Docker: &mesos.ContainerInfo_DockerInfo{Image: "x"}}
		}},
		{"cgroups of one", "If set, the value of 'share_cgroups' must be the same for all tasks in each task group and under a single executor",
			func(_ *mesos.ExecutorInfo, x *mesos.TaskInfo) {
				x.Container = &mesos.ContainerInfo{Type: mesos.ContainerInfo_MESOS.Enum(), LinuxInfo: &mesos.LinuxInfo{ShareCgroups: new(false)}}
			}},
		{"too much", "Total resources cpus(allocated: *):9.1; mem(allocated: *):160; disk(allocated: *):32 required by task group and its executor are more than available",
			func(_ *mesos.ExecutorInfo, x *mesos.TaskInfo) { x.Resources[0] = scalarOf("cpus", 8) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			c := w.subscribe("*")
			o := c.offers()[0]
			e := mesos.ExecutorInfo{Type: mesos.ExecutorInfo_DEFAULT, ExecutorID: mesos.ExecutorID{Value: "e"}, FrameworkID: &mesos.FrameworkID{Value: c.id},
				Resources: []mesos.Resource{scalarOf("cpus", 0.1), scalarOf("mem", 32), scalarOf("disk", 32)}}
			tasks := []mesos.TaskInfo{commandTask("t1", o.AgentID.Value, 1, 64), commandTask("t2", o.AgentID.Value, 1, 64)}
			tc.change(&e, &tasks[0])
			c.accept(o, 0, mesos.Offer_Operation{Type: mesos.Offer_Operation_LAUNCH_GROUP,
				LaunchGroup: &mesos.Offer_Operation_LaunchGroup{Executor: e, TaskGroup: mesos.TaskGroupInfo{Tasks: tasks}}})
			var got []string
			for _, u := range c.updates(false) {
				if u.GetReason() == mesos.REASON_TASK_GROUP_INVALID {
					got = append(got, u.GetMessage())
				}
			}
			if tc.want == "" {
				want(t, "refusals", len(got), 0)
			} else if len(got) != 2 || got[0] != got[1] || !strings.HasPrefix(got[0], tc.want) {
				t.Errorf("told %q, want twice %q", got, tc.want)
			}
		})
	}
}

// Everything that is wrong with a subscription is told on its stream, and what
// cannot change about a framework stays as it was.
func TestSubscriptions(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, want string
		change     func(*mesos.FrameworkInfo)
	}{
		{"failover timeout", "The framework failover_timeout (1e+12) is invalid", func(f *mesos.FrameworkInfo) { f.FailoverTimeout = new(1e12) }},
		{"ID", "'a/b' contains invalid characters", func(f *mesos.FrameworkInfo) { f.ID = &mesos.FrameworkID{Value: "a/b"} }},
		{"no quantities", "Resource quantities must contain at least one quantity", func(f *mesos.FrameworkInfo) {
			f.OfferFilters = map[string]mesos.OfferFilters{"a": {MinAllocatableResources: &mesos.OfferFilters_MinAllocatableResources{
				Quantities: []mesos.OfferFilters_ResourceQuantities{{}}}}}
		}},
		{"principal", "Changing framework's principal is not allowed.", func(f *mesos.FrameworkInfo) {
			f.ID, f.Principal = &mesos.FrameworkID{Value: "M0-0000"}, new("p")
		}},
		{"user", "", func(f *mesos.FrameworkInfo) { f.ID, f.User = &mesos.FrameworkID{Value: "M0-0000"}, "nobody" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			info := w.subscribe("a").info
			tc.change(&info)
			w.step(Call{Stream: "again", Call: &scheduler.Call{Type: scheduler.Call_SUBSCRIBE, FrameworkID: info.ID,
				Subscribe: &scheduler.Call_Subscribe{FrameworkInfo: &info}}})
			if e := w.streams["again"][0]; tc.want != "" {
				want(t, "error", e.GetError().GetMessage(), tc.want)
				want(t, "closed", w.closed["again"], true)
				return
			}
			want(t, "user", w.master.frameworks["M0-0000"].info.User, "root")
		})
	}
}
