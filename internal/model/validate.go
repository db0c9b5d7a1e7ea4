package model

import (
	"errors"
	"fmt"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// The checks of this file are those of src/master/validation.cpp for tasks,
// groups and executors, in their order and with their texts.

// parseEach converts resources one by one, and allocates to role what is not
// allocated yet. They must be well formed.
func parseEach(in []mesos.Resource, role string) []resource {
	var out []resource
	for i := range in {
		if r, err := newResource(&in[i]); err == nil {
			if r.role == "" {
				r.role = role
			}
			out = append(out, r)
		}
	}
	return out
}

// validateTask checks a task of a LAUNCH, and its executor if it brings one.
func (x *acceptance) validateTask(t *mesos.TaskInfo, rs, executor []resource, available Resources) error {
	if err := x.validateTaskCommon(t, rs); err != nil {
		return err
	}
	if (t.Command == nil) == (t.Executor == nil) {
		return errors.New("Task should have at least one (but not both) of CommandInfo or ExecutorInfo present")
	}
	total := sum(rs)
	if e := t.Executor; e != nil {
		if err := x.validateExecutor(e, executor); err != nil {
			return err
		}
		if err := validateCustom(e, executor); err != nil {
			return err
		}
		if x.a.executors[ref{x.f.id, e.ExecutorID.Value}] == nil {
			total = total.Plus(sum(executor))
		}
	}
	if err := validateTogether(t, rs, executor); err != nil {
		return err
	}
	if !available.Contains(total) {
		return fmt.Errorf("Total resources %s required by task and its executor is more than available %s", total, available)
	}
	if l := t.Container.GetLinuxInfo(); l != nil && !l.GetShareCgroups() {
		return errors.New("Only tasks in a task group may have 'share_cgroups' set to 'false'")
	}
	return nil
}

// validateCustom checks what only holds for an executor that comes with a task.
func validateCustom(e *mesos.ExecutorInfo, rs []resource) error {
	switch {
	case e.Type != mesos.ExecutorInfo_UNKNOWN && e.Type != mesos.ExecutorInfo_CUSTOM:
		return errors.New("'ExecutorInfo.type' must be 'CUSTOM'")
	case e.Command == nil:
		return errors.New("'ExecutorInfo.command' must be set")
	case slices.ContainsFunc(rs, resource.shared):
		return fmt.Errorf("Executor resources %s should not contain any shared resources", sum(rs))
	}
	return noSharedCgroups(e)
}

func noSharedCgroups(e *mesos.ExecutorInfo) error {
	if l := e.Container.GetLinuxInfo(); l != nil && l.ShareCgroups != nil && *l.ShareCgroups {
		return errors.New("The 'share_cgroups' field cannot be set to 'true' on executor containers")
	}
	return nil
}

// validateTogether checks a task's resources together with its executor's.
func validateTogether(t *mesos.TaskInfo, rs, executor []resource) error {
	all := slices.Concat(rs, executor)
	if err := validateResources(all); err != nil {
		return fmt.Errorf("Task and its executor use invalid resources: %w", err)
	}
	if t.Executor != nil && overlap(sum(rs), sum(executor)) {
		return fmt.Errorf("There are overlapping resources in the task resources %s and executor resources %s",
			jsonText(rs), jsonText(executor))
	}
	if err := uniqueVolumes(all); err != nil {
		return fmt.Errorf("Task and its executor use duplicate persistence ID: %w", err)
	}
	if err := notMixed(all); err != nil {
		return fmt.Errorf("Task and its executor mix revocable and non-revocable resources: %w", err)
	}
	return nil
}

// validateTaskCommon checks what holds for tasks alone and in groups.
func (x *acceptance) validateTaskCommon(t *mesos.TaskInfo, rs []resource) error {
	id := t.TaskID.Value
	switch {
	case validateID(id) != nil:
		return validateID(id)
	case x.f.tasks[id] != nil:
		return fmt.Errorf("Task has duplicate ID: %s", id)
	case x.f.unreachable[id] != nil:
		return fmt.Errorf("Task reuses the ID of an unreachable task: %s", id)
	case t.AgentID.Value != x.a.id:
		return fmt.Errorf("Task uses invalid agent %s while agent %s is expected", t.AgentID.Value, x.a.id)
	case t.KillPolicy != nil && t.KillPolicy.GetGracePeriod().GetNanoseconds() < 0:
		return errors.New("Task's 'kill_policy.grace_period' must be non-negative")
	case t.MaxCompletionTime != nil && t.MaxCompletionTime.Nanoseconds < 0:
		return errors.New("Task's `max_completion_time` must be non-negative")
	}
	if err := validateCheck(t.Check); err != nil {
		return fmt.Errorf("Task uses invalid check: %w", err)
	}
	if err := validateHealthCheck(t.HealthCheck); err != nil {
		return fmt.Errorf("Task uses invalid health check: %w", err)
	}
	if len(t.Resources) == 0 {
		return errors.New("Task uses no resources")
	}
	if err := validateUse("Task", "task", rs); err != nil {
		return err
	}
	if err := validateCommand(t.Command); err != nil {
		return fmt.Errorf("Task's `CommandInfo` is invalid: %w", err)
	}
	if err := validateContainer(t.Container); err != nil {
		return fmt.Errorf("Task's `ContainerInfo` is invalid: %w", err)
	}
	return validateLimits(t.Limits, rs)
}

// validateUse checks the resources of a task or executor.
func validateUse(who, lower string, rs []resource) error {
	if err := validateResources(rs); err != nil {
		return fmt.Errorf("%s uses invalid resources: %w", who, err)
	}
	if err := uniqueVolumes(rs); err != nil {
		return fmt.Errorf("%s uses duplicate persistence ID: %w", who, err)
	}
	if err := oneRole(rs); err != nil {
		return fmt.Errorf("Invalid %s resources: %w", lower, err)
	}
	if err := notMixed(rs); err != nil {
		return fmt.Errorf("%s mixes revocable and non-revocable resources: %w", who, err)
	}
	return nil
}

// validateLimits checks what a task may use beyond what it asks for.
func validateLimits(limits map[string]mesos.Value_Scalar, rs []resource) error {
	for name := range limits {
		if name != "cpus" && name != "mem" {
			return errors.New("Only cpus and mem may be included in a task's resource limits")
		}
	}
	have := amountsOf(sum(rs))
	for _, x := range []struct{ name, noRequest, tooLow string }{
		{"cpus", "When a CPU limit is specified, a CPU request must also be specified",
			"The cpu limit must be greater than or equal to the cpu request"},
		{"mem", "When a memory limit is specified, a memory request must also be specified",
			"The memory limit must be greater than or equal to the memory request"},
	} {
		limit, ok := limits[x.name]
		requested, asked := have[x.name]
		switch {
		case !ok:
		case !asked:
			return errors.New(x.noRequest)
		case limit.Value*1000 < float64(requested): // it may be infinite
			return errors.New(x.tooLow)
		}
	}
	return nil
}

// validateExecutor checks an executor of a task or a group.
func (x *acceptance) validateExecutor(e *mesos.ExecutorInfo, rs []resource) error {
	if err := validateExecutorInfo(e); err != nil {
		return err
	}
	switch {
	case e.FrameworkID == nil:
		return errors.New("'ExecutorInfo.framework_id' must be set")
	case e.FrameworkID.Value != x.f.id:
		return fmt.Errorf("ExecutorInfo has an invalid FrameworkID (Actual: %s vs Expected: %s)", e.FrameworkID.Value, x.f.id)
	}
	if err := validateUse("Executor", "executor", rs); err != nil {
		return err
	}
	if old := x.a.executors[ref{x.f.id, e.ExecutorID.Value}]; old != nil && !sameExecutor(&old.info, e) {
		const line = "------------------------------------------------------------\n"
		return fmt.Errorf("ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.\n"+
			line+"Existing ExecutorInfo:\n%s\n"+line+"ExecutorInfo:\n%s\n"+line, debugText(&old.info), debugText(e))
	}
	return nil
}

// validateExecutorInfo checks an executor by itself.
func validateExecutorInfo(e *mesos.ExecutorInfo) error {
	switch {
	case e.Type == mesos.ExecutorInfo_DEFAULT && e.Command != nil:
		return errors.New("'ExecutorInfo.command' must not be set for 'DEFAULT' executor")
	case e.Type == mesos.ExecutorInfo_DEFAULT && e.Container != nil && e.Container.GetType() != mesos.ContainerInfo_MESOS:
		return errors.New("'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor")
	case e.Type == mesos.ExecutorInfo_DEFAULT && e.Container.GetMesos().GetImage() != nil:
		return errors.New("'ExecutorInfo.container.mesos.image' must not be set for 'DEFAULT' executor")
	case e.Type == mesos.ExecutorInfo_CUSTOM && e.Command == nil:
		return errors.New("'ExecutorInfo.command' must be set for 'CUSTOM' executor")
	}
	if err := validateID(e.ExecutorID.Value); err != nil {
		return err
	}
	if e.ShutdownGracePeriod != nil && e.ShutdownGracePeriod.Nanoseconds < 0 {
		return errors.New("ExecutorInfo's 'shutdown_grace_period' must be non-negative")
	}
	if err := validateCommand(e.Command); err != nil {
		return fmt.Errorf("Executor's `CommandInfo` is invalid: %w", err)
	}
	if err := validateContainer(e.Container); err != nil {
		return fmt.Errorf("Executor's `ContainerInfo` is invalid: %w", err)
	}
	return nil
}

// sameExecutor compares executors, apart from the writing of resources.
func sameExecutor(a, b *mesos.ExecutorInfo) bool {
	x, errX := NewResources(a.Resources)
	y, errY := NewResources(b.Resources)
	if errX != nil || errY != nil || !x.Equal(y) {
		return false
	}
	c, d := *a, *b
	c.Resources, d.Resources = nil, nil
	if c.Type == mesos.ExecutorInfo_UNKNOWN {
		c.Type = mesos.ExecutorInfo_CUSTOM
	}
	if d.Type == mesos.ExecutorInfo_UNKNOWN {
		d.Type = mesos.ExecutorInfo_CUSTOM
	}
	return c.Equal(&d)
}

// validateResources checks resources that are well formed: GPUs, disks and
// reservations.
func validateResources(rs []resource) error {
	if amountsOf(sum(rs))["gpus"]%1000 != 0 {
		return errors.New("Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer")
	}
	for _, r := range rs {
		if err := validateDisk(r); err != nil {
			return fmt.Errorf("Invalid DiskInfo: %w", err)
		}
	}
	for _, r := range rs {
		if r.dynamic() && r.meta.Revocable != nil {
			return fmt.Errorf("Invalid ReservationInfo: Dynamically reserved resource %s cannot be created from revocable resources", r)
		}
	}
	return nil
}

func validateDisk(r resource) error {
	d := r.meta.Disk
	switch {
	case d == nil:
		return nil
	case d.Persistence != nil && r.meta.Revocable != nil:
		return errors.New("Persistent volumes cannot be created from revocable resources")
	case d.Persistence != nil && r.reservedFor() == "":
		return errors.New("Persistent volumes cannot be created from unreserved resources")
	case d.Persistence != nil && d.Volume == nil:
		return errors.New("Expecting 'volume' to be set for persistent volume")
	case d.Persistence != nil && d.Volume.HostPath != nil:
		return errors.New("Expecting 'host_path' to be unset for persistent volume")
	case d.Persistence != nil:
		if err := validateID(d.Persistence.ID); err != nil {
			return fmt.Errorf("Invalid persistence ID for persistent volume: %w", err)
		}
	case d.Volume != nil:
		return errors.New("Non-persistent volume not supported")
	case d.Source == nil:
		return errors.New("DiskInfo is set but empty")
	}
	return nil
}

// uniqueVolumes checks that no persistence ID occurs twice in a role.
func uniqueVolumes(rs []resource) error {
	seen := map[string]bool{}
	for _, r := range sum(rs) {
		if !r.volume() {
			continue
		}
		key := r.reservedFor() + "\x00" + r.meta.Disk.Persistence.ID
		if seen[key] {
			return fmt.Errorf("Persistence ID '%s' is not unique", r.meta.Disk.Persistence.ID)
		}
		seen[key] = true
	}
	return nil
}

// oneRole checks that resources are all allocated, and to one role.
func oneRole(rs []resource) error {
	for _, r := range rs {
		switch {
		case r.role == "":
			return errors.New("The resources are not allocated to a role")
		case r.role != rs[0].role:
			return fmt.Errorf("The resources have multiple allocation roles ('%s' and '%s') but only one allocation role is allowed", r.role, rs[0].role)
		}
	}
	return nil
}

// notMixed checks that no resource is used both revocable and not.
func notMixed(rs []resource) error {
	kinds := map[string][2]bool{}
	for _, r := range sum(rs) {
		k := kinds[r.meta.Name]
		k[0], k[1] = k[0] || r.meta.Revocable != nil, k[1] || r.meta.Revocable == nil
		kinds[r.meta.Name] = k
	}
	for _, name := range sortedKeys(kinds) {
		if kinds[name] == [2]bool{true, true} {
			return fmt.Errorf("Cannot use both revocable and non-revocable '%s' at the same time", name)
		}
	}
	return nil
}

// overlap reports whether ranges or sets are in more than one of the sums.
func overlap(parts ...Resources) bool {
	count := func(rs Resources) (n uint64) {
		for _, r := range rs {
			for _, s := range r.ranges {
				n += s.end - s.begin + 1
			}
			n += uint64(len(r.set))
		}
		return n
	}
	var all Resources
	var apart uint64
	for _, p := range parts {
		apart += count(p)
		all = all.Plus(p)
	}
	return count(all) != apart
}

// amountsOf adds up scalars by name, in thousandths.
func amountsOf(rs Resources) map[string]int64 {
	out := map[string]int64{}
	rs.scalars(out, 1)
	return out
}
