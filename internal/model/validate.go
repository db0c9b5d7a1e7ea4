package model

import (
	"errors"
	"fmt"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// The checks of this file are those of src/master/validation.cpp, in their
// order and with their texts.

// invalidResources marks an error in resources themselves, before any rule of
// an operation is looked at.
type invalidResources struct{ error }

func (x *acceptance) validateTask(t *mesos.TaskInfo, rs, executor Resources, isNew bool) error {
	if err := x.validateTaskCommon(t, rs); err != nil {
		return err
	}
	if (t.Command == nil) == (t.Executor == nil) {
		return errors.New("Task should have at least one (but not both) of CommandInfo or ExecutorInfo present")
	}
	total := rs
	if e := t.Executor; e != nil {
		if err := validateID(e.ExecutorID.Value); err != nil {
			return fmt.Errorf("Executor has an invalid ExecutorID: %w", err)
		}
		if e.Type != mesos.ExecutorInfo_UNKNOWN && e.Type != mesos.ExecutorInfo_CUSTOM {
			return errors.New("'ExecutorInfo.type' must be 'CUSTOM'")
		}
		if e.Command == nil {
			return errors.New("'ExecutorInfo.command' must be set")
		}
		if err := x.validateExecutor(e, executor); err != nil {
			return err
		}
		if isNew {
			total = total.Plus(executor)
		}
	}
	if !x.left.Contains(total) {
		return fmt.Errorf("Total resources %s required by task and its executor is more than available %s", total, x.left)
	}
	return nil
}

// validateTaskCommon checks what holds for tasks alone and in groups.
func (x *acceptance) validateTaskCommon(t *mesos.TaskInfo, rs Resources) error {
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
	if len(rs) == 0 {
		return errors.New("Task uses no resources")
	}
	if err := validateResources(t.Resources); err != nil {
		return fmt.Errorf("Task uses invalid resources: %w", err)
	}
	return uniqueVolumes(rs, "Task uses duplicate persistence ID")
}

func (x *acceptance) validateExecutor(e *mesos.ExecutorInfo, rs Resources) error {
	if e.FrameworkID.GetValue() != x.f.id {
		return fmt.Errorf("ExecutorInfo has an invalid FrameworkID (Actual: %s vs Expected: %s)", e.FrameworkID.GetValue(), x.f.id)
	}
	if e.ShutdownGracePeriod != nil && e.ShutdownGracePeriod.Nanoseconds < 0 {
		return errors.New("ExecutorInfo's 'shutdown_grace_period' must be non-negative")
	}
	if err := validateResources(e.Resources); err != nil {
		return fmt.Errorf("Executor uses invalid resources: %w", err)
	}
	if err := uniqueVolumes(rs, "Executor uses duplicate persistence ID"); err != nil {
		return err
	}
	if old := x.a.executors[ref{x.f.id, e.ExecutorID.Value}]; old != nil && !sameExecutor(&old.info, e) {
		return errors.New("ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID")
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

func (x *acceptance) validateGroup(tasks []mesos.TaskInfo, amounts []Resources, e *mesos.ExecutorInfo, executor, total Resources) error {
	if e.FrameworkID == nil {
		return errors.New("'ExecutorInfo.framework_id' must be set")
	}
	if err := validateID(e.ExecutorID.Value); err != nil {
		return fmt.Errorf("Executor has an invalid ExecutorID: %w", err)
	}
	switch {
	case e.Type == mesos.ExecutorInfo_UNKNOWN:
		return errors.New("'ExecutorInfo.type' must be set")
	case e.Type == mesos.ExecutorInfo_DEFAULT && e.Command != nil:
		return errors.New("'ExecutorInfo.command' must not be set for 'DEFAULT' executor")
	case e.Type == mesos.ExecutorInfo_CUSTOM && e.Command == nil:
		return errors.New("'ExecutorInfo.command' must be set for 'CUSTOM' executor")
	}
	have := map[string]int64{}
	executor.scalars(have, 1)
	if have["disk"] == 0 {
		return fmt.Errorf("Executor '%s' uses no disk", e.ExecutorID.Value)
	}
	if err := x.validateExecutor(e, executor); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i := range tasks {
		t := &tasks[i]
		if err := x.validateTaskCommon(t, amounts[i]); err != nil {
			return fmt.Errorf("Task '%s' is invalid: %w", t.TaskID.Value, err)
		}
		if seen[t.TaskID.Value] {
			return fmt.Errorf("Task '%s' is invalid: Task has duplicate ID: %s", t.TaskID.Value, t.TaskID.Value)
		}
		seen[t.TaskID.Value] = true
		if e.Type == mesos.ExecutorInfo_DEFAULT && t.Command == nil {
			return fmt.Errorf("Task '%s' is invalid: 'TaskInfo.command' must be set for 'DEFAULT' executor", t.TaskID.Value)
		}
	}
	if !x.left.Contains(total) {
		return fmt.Errorf("Total resources %s required by task group and its executor are more than available %s", total, x.left)
	}
	return nil
}

// validateResources checks disks and reservations of resources that are well
// formed.
func validateResources(in []mesos.Resource) error {
	rs, err := NewResources(in)
	if err != nil {
		return fmt.Errorf("Invalid resources: %w", err)
	}
	for _, r := range rs {
		if err := validateDisk(r); err != nil {
			return fmt.Errorf("Invalid DiskInfo: %w", err)
		}
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

// uniqueVolumes checks that no persistence id occurs twice in a role.
func uniqueVolumes(rs Resources, what string) error {
	seen := map[string]bool{}
	for _, r := range rs {
		if !r.volume() {
			continue
		}
		key := r.reservedFor() + "\x00" + r.meta.Disk.Persistence.ID
		if seen[key] {
			return fmt.Errorf("%s: Persistence ID '%s' is not unique", what, r.meta.Disk.Persistence.ID)
		}
		seen[key] = true
	}
	return nil
}

func validateHealthCheck(h *mesos.HealthCheck) error {
	if h == nil {
		return nil
	}
	switch h.Type {
	case mesos.HealthCheck_COMMAND:
		if h.Command == nil {
			return errors.New("Expecting 'command' to be set for COMMAND health check")
		}
		if h.Command.GetValue() == "" {
			return errors.New("Command health check must contain 'shell command' or 'executable path'")
		}
	case mesos.HealthCheck_HTTP:
		if h.HTTP == nil {
			return errors.New("Expecting 'http' to be set for HTTP health check")
		}
	case mesos.HealthCheck_TCP:
		if h.TCP == nil {
			return errors.New("Expecting 'tcp' to be set for TCP health check")
		}
	default:
		return errors.New("HealthCheck must specify 'type'")
	}
	for _, v := range []struct {
		name  string
		value *float64
	}{
		{"delay_seconds", h.DelaySeconds}, {"grace_period_seconds", h.GracePeriodSeconds},
		{"interval_seconds", h.IntervalSeconds}, {"timeout_seconds", h.TimeoutSeconds},
	} {
		if v.value != nil && !(*v.value >= 0) {
			return fmt.Errorf("Expecting '%s' to be non-negative", v.name)
		}
	}
	return nil
}

func validateCheck(c *mesos.CheckInfo) error {
	if c == nil {
		return nil
	}
	switch c.Type {
	case mesos.CheckInfo_COMMAND:
		if c.Command == nil {
			return errors.New("Expecting 'command' to be set for COMMAND check")
		}
	case mesos.CheckInfo_HTTP:
		if c.HTTP == nil {
			return errors.New("Expecting 'http' to be set for HTTP check")
		}
	case mesos.CheckInfo_TCP:
		if c.TCP == nil {
			return errors.New("Expecting 'tcp' to be set for TCP check")
		}
	default:
		return errors.New("CheckInfo must specify 'type'")
	}
	for _, v := range []struct {
		name  string
		value *float64
	}{{"delay_seconds", c.DelaySeconds}, {"interval_seconds", c.IntervalSeconds}, {"timeout_seconds", c.TimeoutSeconds}} {
		if v.value != nil && !(*v.value >= 0) {
			return fmt.Errorf("Expecting '%s' to be non-negative", v.name)
		}
	}
	return nil
}

// conversionOf validates an operation and says what it turns into what. f is
// nil for the operator.
func (m *Master) conversionOf(op *mesos.Offer_Operation, a *agent, f *framework) (conversion, error) {
	switch op.Type {
	case mesos.Offer_Operation_RESERVE:
		return reserve(op.GetReserve().GetResources(), f)
	case mesos.Offer_Operation_UNRESERVE:
		return unreserve(op.GetUnreserve().GetResources())
	case mesos.Offer_Operation_CREATE:
		return create(op.GetCreate().GetVolumes(), a, f)
	case mesos.Offer_Operation_DESTROY:
		return destroy(op.GetDestroy().GetVolumes(), a)
	case mesos.Offer_Operation_GROW_VOLUME:
		return growVolume(op.GetGrowVolume())
	case mesos.Offer_Operation_SHRINK_VOLUME:
		return shrinkVolume(op.GetShrinkVolume())
	}
	return conversion{}, fmt.Errorf("Operation %s is not supported by agents without resource providers", op.Type)
}

func checked(in []mesos.Resource) (Resources, error) {
	rs, err := NewResources(in)
	if err != nil {
		return nil, invalidResources{err}
	}
	if err := validateResources(in); err != nil {
		return nil, fmt.Errorf("Invalid resources: %w", err)
	}
	return rs, nil
}

func reserve(in []mesos.Resource, f *framework) (conversion, error) {
	rs, err := checked(in)
	if err != nil {
		return conversion{}, err
	}
	for _, r := range rs {
		if !r.dynamic() {
			return conversion{}, fmt.Errorf("Resource %s is not dynamically reserved", r)
		}
		if err := reservable(r, f); err != nil {
			return conversion{}, err
		}
	}
	rs = rs.Allocated("")
	return conversion{rs.mapEach(resource.popped), rs}, nil
}

// reservable checks who reserves for whom.
func reservable(r resource, f *framework) error {
	switch {
	case f == nil && r.role != "":
		return errors.New("A reserve operation was attempted with an allocated resource, but the operator API only allows reservations to be made to unallocated resources")
	case f == nil:
		return nil
	}
	if f.info.Principal != nil {
		p := r.meta.Reservations[len(r.meta.Reservations)-1].Principal
		if p == nil {
			return fmt.Errorf("A reserve operation was attempted by principal '%s', but there is a reserved resource in the request with no principal set", *f.info.Principal)
		}
		if *p != *f.info.Principal {
			return fmt.Errorf("A reserve operation was attempted by authenticated principal '%s', which does not match a reserved resource in the request with principal '%s'", *f.info.Principal, *p)
		}
	}
	role := r.role
	if role == "" && !f.format().Allocation {
		role = f.roles[0]
	}
	switch {
	case role == "":
		// Mesos has put the offer's role in by now.
		return nil
	case role != r.reservedFor():
		return fmt.Errorf("A reserve operation was attempted for a resource with role '%s', but the resource was allocated to role '%s'", r.reservedFor(), role)
	case !slices.Contains(f.roles, role):
		return fmt.Errorf("A reserve operation was attempted for a resource allocated to role '%s', but the framework only has roles '%v'", role, f.roles)
	}
	return nil
}

func unreserve(in []mesos.Resource) (conversion, error) {
	rs, err := checked(in)
	if err != nil {
		return conversion{}, err
	}
	for _, r := range rs {
		if !r.dynamic() {
			return conversion{}, fmt.Errorf("Resource %s is not dynamically reserved", r)
		}
		if r.volume() {
			return conversion{}, fmt.Errorf("A dynamically reserved persistent volume %s cannot be unreserved directly. Please destroy the persistent volume first then unreserve the resource", r)
		}
	}
	rs = rs.Allocated("")
	return conversion{rs, rs.mapEach(resource.popped)}, nil
}

func create(in []mesos.Resource, a *agent, f *framework) (conversion, error) {
	rs, err := checked(in)
	if err != nil {
		return conversion{}, err
	}
	for _, r := range rs {
		if err := validateVolume(r); err != nil {
			return conversion{}, fmt.Errorf("Not a persistent volume: %w", err)
		}
		if r.shared() && f != nil && !f.can(mesos.FrameworkInfo_Capability_SHARED_RESOURCES) {
			return conversion{}, fmt.Errorf("Create volume operation for '%s' has been attempted by framework '%s' with no SHARED_RESOURCES capability", r, f.id)
		}
	}
	rs = rs.Allocated("")
	if err := uniqueVolumes(append(slices.Clone(a.total), rs...), ""); err != nil {
		return conversion{}, errors.New(err.Error()[2:])
	}
	return conversion{rs.mapEach(resource.withoutVolume), rs}, nil
}

func destroy(in []mesos.Resource, a *agent) (conversion, error) {
	rs, err := checked(in)
	if err != nil {
		return conversion{}, err
	}
	rs = rs.Allocated("")
	for _, r := range rs {
		if err := validateVolume(r); err != nil {
			return conversion{}, fmt.Errorf("Not a persistent volume: %w", err)
		}
	}
	if !a.total.Contains(rs) {
		return conversion{}, errors.New("Persistent volumes not found")
	}
	for _, t := range a.tasks {
		if slices.ContainsFunc(t.held, func(h resource) bool {
			return slices.ContainsFunc(rs, func(r resource) bool { return h.shape == r.shape })
		}) {
			return conversion{}, errors.New("Persistent volumes in use")
		}
	}
	return conversion{rs, rs.mapEach(resource.withoutVolume)}, nil
}
