package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gogo/protobuf/proto"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// The least that the executor of a group must have (src/master/constants.hpp),
// in thousandths.
const (
	minExecutorCPUs = 10
	minExecutorMem  = 32_000
)

// validateGroup checks a group of tasks as a whole.
func (x *acceptance) validateGroup(tasks []mesos.TaskInfo, amounts [][]resource, e *mesos.ExecutorInfo, executor []resource) error {
	seen := map[string]bool{}
	for i := range tasks {
		t := &tasks[i]
		err := x.validateMember(t, amounts[i])
		if err == nil && seen[t.TaskID.Value] {
			err = fmt.Errorf("Task has duplicate ID: %s", t.TaskID.Value)
		}
		if err != nil {
			return fmt.Errorf("Task '%s' is invalid: %w", t.TaskID.Value, err)
		}
		seen[t.TaskID.Value] = true
	}
	if err := x.validateExecutor(e, executor); err != nil {
		return err
	}
	switch {
	case e.Type == mesos.ExecutorInfo_UNKNOWN:
		return errors.New("'ExecutorInfo.type' must be set")
	case e.Container != nil && e.Container.GetType() == mesos.ContainerInfo_DOCKER:
		return errors.New("Docker ContainerInfo is not supported on the executor")
	}
	for i := range tasks {
		if own := tasks[i].Executor; own != nil && !sameExecutor(own, e) {
			return fmt.Errorf("The `ExecutorInfo` of task '%s' is different from executor '%s'", tasks[i].TaskID.Value, e.ExecutorID.Value)
		}
	}
	if err := enoughForGroup(e, executor); err != nil {
		return err
	}
	if err := x.groupFits(amounts, e, executor); err != nil {
		return err
	}
	if err := noSharedCgroups(e); err != nil {
		return err
	}
	return x.sameCgroups(tasks, e)
}

// validateMember checks a task of a group.
func (x *acceptance) validateMember(t *mesos.TaskInfo, rs []resource) error {
	if err := x.validateTaskCommon(t, rs); err != nil {
		return err
	}
	if c := t.Container; c != nil {
		h := t.HealthCheck
		if len(c.NetworkInfos) > 0 && h != nil && (h.Type == mesos.HealthCheck_HTTP || h.Type == mesos.HealthCheck_TCP) {
			return errors.New("HTTP and TCP health checks are not supported for nested containers not joining parent's network")
		}
		if c.GetType() == mesos.ContainerInfo_DOCKER {
			return errors.New("Docker ContainerInfo is not supported on the task")
		}
	}
	if l := t.Container.GetLinuxInfo(); len(t.Limits) > 0 && (l == nil || l.GetShareCgroups()) {
		return errors.New("Resource limits may only be set for tasks within a task group when the 'share_cgroups' field is set to 'false'.")
	}
	return nil
}

// enoughForGroup checks that an executor has what it needs itself.
func enoughForGroup(e *mesos.ExecutorInfo, rs []resource) error {
	have := amountsOf(sum(rs))
	id := e.ExecutorID.Value
	text := func(name string, write func(int64) string) string {
		if v, ok := have[name]; ok {
			return write(v)
		}
		return "None"
	}
	number := func(v int64) string { return strconv.FormatFloat(float64(v)/1000, 'g', 6, 64) }
	switch {
	case have["cpus"] < minExecutorCPUs:
		return fmt.Errorf("Executor '%s' uses less CPUs (%s) than the minimum required (%s)", id, text("cpus", number), number(minExecutorCPUs))
	case have["mem"] < minExecutorMem:
		return fmt.Errorf("Executor '%s' uses less memory (%s) than the minimum required (%s)", id, text("mem", memoryText), memoryText(minExecutorMem))
	}
	if _, ok := have["disk"]; !ok {
		return fmt.Errorf("Executor '%s' uses no disk", id)
	}
	return nil
}

// groupFits checks the resources of a group together.
func (x *acceptance) groupFits(amounts [][]resource, e *mesos.ExecutorInfo, executor []resource) error {
	all := slices.Concat(executor, slices.Concat(amounts...))
	if err := uniqueVolumes(all); err != nil {
		return fmt.Errorf("Task group and executor use duplicate persistence ID: %w", err)
	}
	if err := notMixed(all); err != nil {
		return fmt.Errorf("Task group and executor mix revocable and non-revocable resources: %w", err)
	}
	var parts []Resources
	var texts []string
	var total Resources
	for _, rs := range amounts {
		parts, texts = append(parts, sum(rs)), append(texts, sum(rs).String())
		total = total.Plus(sum(rs))
	}
	if overlap(append(parts, sum(executor))...) {
		return fmt.Errorf("There are overlapping resources in the task group's task resources [ %s ] and/or executor resources %s",
			strings.Join(texts, ", "), jsonText(executor))
	}
	if x.a.executors[ref{x.f.id, e.ExecutorID.Value}] == nil {
		total = total.Plus(sum(executor))
	}
	if !x.left.Contains(total) {
		return fmt.Errorf("Total resources %s required by task group and its executor are more than available %s", total, x.left)
	}
	return nil
}

// sameCgroups checks that all tasks of an executor share its cgroups, or none
// does.
func (x *acceptance) sameCgroups(tasks []mesos.TaskInfo, e *mesos.ExecutorInfo) error {
	shares := func(c *mesos.ContainerInfo) bool { return c.GetLinuxInfo().GetShareCgroups() } // true if not set
	differ := errors.New("If set, the value of 'share_cgroups' must be the same for all tasks in each task group and under a single executor")
	for i := range tasks {
		if shares(tasks[i].Container) != shares(tasks[0].Container) {
			return differ
		}
	}
	if len(tasks) == 0 || x.a.executors[ref{x.f.id, e.ExecutorID.Value}] == nil {
		return nil
	}
	for _, known := range []map[string]*task{x.f.tasks, x.f.unreachable} {
		for _, t := range known {
			if t.info.AgentID.Value == x.a.id && t.info.Executor != nil && t.info.Executor.ExecutorID == e.ExecutorID &&
				shares(t.info.Container) != shares(tasks[0].Container) {
				return differ
			}
		}
	}
	return nil
}

// memoryText writes megabytes, given in thousandths, in the largest unit that
// divides them, as stout writes bytes.
func memoryText(v int64) string {
	bytes := v * (1 << 20) / 1000
	unit := "B"
	for _, u := range []string{"KB", "MB", "GB", "TB"} {
		if bytes == 0 || bytes%1024 != 0 {
			break
		}
		bytes, unit = bytes/1024, u
	}
	return strconv.FormatInt(bytes, 10) + unit
}

// jsonText writes resources as JSON.
func jsonText(rs []resource) string {
	wire := make([]mesos.Resource, len(rs))
	for i, r := range rs {
		wire[i] = r.wire(wholeFormat)
	}
	b, err := json.Marshal(wire)
	if err != nil {
		return sum(rs).String()
	}
	return string(b)
}

// debugText writes a message as DebugString of the protocol buffers does.
func debugText(msg proto.Message) string { return proto.MarshalTextString(msg) }
