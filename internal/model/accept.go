package model

import (
	"errors"
	"fmt"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// acceptance is one ACCEPT on its way through its operations.
type acceptance struct {
	m    *Master
	f    *framework
	a    *agent
	role string
	left Resources // what later operations can use, allocated to role
	// resized is what resizing volumes made. It is offered again, but not
	// for operations of the same call, as in Mesos.
	resized Resources
}

// accept carries out an ACCEPT call: the operations in order on what the
// offers hold; what remains goes back with a filter.
func (m *Master) accept(f *framework, c *scheduler.Call_Accept) {
	first, err := m.checkOffers(f, c.OfferIDs)
	if err != nil {
		for _, id := range c.OfferIDs {
			if o := f.offers[id.Value]; o != nil {
				m.removeOffer(o)
			}
		}
		m.refuseAll(f, c.Operations, err)
		return
	}
	x := &acceptance{m: m, f: f, a: first.agent, role: first.role}
	for _, id := range c.OfferIDs {
		o := m.offers[id.Value]
		x.left = x.left.Plus(o.resources)
		m.removeOffer(o)
	}
	for i := range c.Operations {
		x.operate(&c.Operations[i])
	}
	m.recoverResources(f, x.a, x.role, x.left.Plus(x.resized), refuse(c.Filters))
}

// checkOffers checks that offers can be used together and returns the first.
func (m *Master) checkOffers(f *framework, ids []mesos.OfferID) (*offer, error) {
	if len(ids) == 0 {
		return nil, errors.New("No offers specified")
	}
	var first *offer
	seen := map[string]bool{}
	for _, id := range ids {
		o := m.offers[id.Value]
		switch {
		case seen[id.Value]:
			return nil, fmt.Errorf("Duplicate offer %s in offer list", id.Value)
		case o == nil:
			return nil, fmt.Errorf("Offer %s is no longer valid", id.Value)
		case o.framework != f:
			return nil, fmt.Errorf("Offer %s has invalid framework %s while framework %s is expected", id.Value, o.framework.id, f.id)
		}
		seen[id.Value] = true
		if first == nil {
			first = o
		}
		// The quotes are those of Mesos.
		if o.role != first.role {
			return nil, fmt.Errorf("Aggregated offers must be allocated to the same role. Offer %s uses role '%s but another is using role '%s",
				id.Value, o.role, first.role)
		}
	}
	for _, id := range ids {
		if o := m.offers[id.Value]; o.agent != first.agent {
			return nil, fmt.Errorf("Aggregated offers must belong to one single agent. Offer %s uses agent %s and agent %s",
				id.Value, o.agent.id, first.agent.id)
		}
	}
	return first, nil
}

// tasksOf returns the tasks of a launch.
func tasksOf(op *mesos.Offer_Operation) ([]mesos.TaskInfo, bool) {
	switch op.Type {
	case mesos.Offer_Operation_LAUNCH:
		return op.GetLaunch().GetTaskInfos(), true
	case mesos.Offer_Operation_LAUNCH_GROUP:
		if op.LaunchGroup == nil {
			return nil, true
		}
		return op.LaunchGroup.TaskGroup.Tasks, true
	}
	return nil, false
}

// refuseAll answers operations on offers that are not valid.
func (m *Master) refuseAll(f *framework, ops []mesos.Offer_Operation, why error) {
	for i := range ops {
		tasks, isLaunch := tasksOf(&ops[i])
		if !isLaunch {
			m.dropOperation(f, &ops[i], "Operation attempted with invalid offers: "+why.Error())
			continue
		}
		for j := range tasks {
			m.emit(f, updateEvent(m.masterStatus(tasks[j].TaskID.Value, tasks[j].AgentID.Value,
				f.lost(mesos.TASK_DROPPED), mesos.REASON_INVALID_OFFERS, "Task launched with invalid offers: "+why.Error())))
		}
	}
}

// dropOperation reports a failed operation to a framework that gave it an ID.
func (m *Master) dropOperation(f *framework, op *mesos.Offer_Operation, text string) {
	if op.ID == nil {
		return
	}
	m.emit(f, operationEvent(mesos.OperationStatus{
		OperationID: &mesos.OperationID{Value: op.ID.Value}, State: mesos.OPERATION_ERROR, Message: &text,
	}))
}

// taskErrors reports tasks that cannot be launched.
func (x *acceptance) taskErrors(tasks []mesos.TaskInfo, reason mesos.TaskStatus_Reason, text string) {
	for i := range tasks {
		x.m.emit(x.f, updateEvent(x.m.masterStatus(tasks[i].TaskID.Value, tasks[i].AgentID.Value, mesos.TASK_ERROR, reason, text)))
	}
}

func (x *acceptance) operate(op *mesos.Offer_Operation) {
	tasks, isLaunch := tasksOf(op)
	reason := mesos.REASON_TASK_INVALID
	if op.Type == mesos.Offer_Operation_LAUNCH_GROUP {
		reason = mesos.REASON_TASK_GROUP_INVALID
	}
	switch {
	case isLaunch && op.ID != nil:
		x.taskErrors(tasks, reason, fmt.Sprintf("The `id` field cannot be set on %s operations", op.Type))
	case op.Type == mesos.Offer_Operation_LAUNCH:
		for i := range tasks {
			if _, err := NewResources(wholeResources(&tasks[i])); err != nil {
				// One bad resource spoils the operation, as in Mesos.
				x.taskErrors(tasks, reason, err.Error())
				return
			}
		}
		for i := range tasks {
			x.launch(tasks[i])
		}
	case op.Type == mesos.Offer_Operation_LAUNCH_GROUP:
		x.launchGroup(op.LaunchGroup)
	default:
		x.convert(op)
	}
}

// wholeResources returns the resources of a task and its executor.
func wholeResources(t *mesos.TaskInfo) []mesos.Resource {
	rs := append([]mesos.Resource(nil), t.Resources...)
	if t.Executor != nil {
		rs = append(rs, t.Executor.Resources...)
	}
	return rs
}

// launch starts one task.
func (x *acceptance) launch(t mesos.TaskInfo) {
	rs, _ := NewResources(t.Resources)
	rs = rs.withRole(x.role)
	var executor Resources
	isNew := false
	if t.Executor != nil {
		e := *t.Executor
		t.Executor = &e
		if e.FrameworkID == nil {
			e.FrameworkID = &mesos.FrameworkID{Value: x.f.id}
		}
		executor, _ = NewResources(e.Resources)
		executor = executor.withRole(x.role)
		e.Resources = executor.Wire(wholeFormat)
		isNew = x.a.executors[ref{x.f.id, e.ExecutorID.Value}] == nil
	}
	if err := x.validateTask(&t, rs, executor, isNew); err != nil {
		x.taskErrors([]mesos.TaskInfo{t}, mesos.REASON_TASK_INVALID, err.Error())
		return
	}
	t.Resources = rs.Wire(wholeFormat)
	if isNew {
		x.left, _ = x.left.Minus(executor)
		x.m.addExecutor(x.f, x.a, t.Executor, executor, x.role)
	}
	x.left, _ = x.left.Minus(rs)
	x.m.addTask(x.f, x.a, t, rs, x.role)
	x.m.send(x.a, RunTasks{Framework: x.f.info, Executor: t.Executor, Tasks: []mesos.TaskInfo{t}})
}

// launchGroup starts all tasks of a group or none.
func (x *acceptance) launchGroup(g *mesos.Offer_Operation_LaunchGroup) {
	if g == nil {
		return
	}
	tasks := append([]mesos.TaskInfo(nil), g.TaskGroup.Tasks...)
	e := g.Executor
	fail := func(err error) { x.taskErrors(tasks, mesos.REASON_TASK_GROUP_INVALID, err.Error()) }
	executor, err := NewResources(e.Resources)
	if err != nil {
		fail(err)
		return
	}
	executor = executor.withRole(x.role)
	e.Resources = executor.Wire(wholeFormat)
	key := ref{x.f.id, e.ExecutorID.Value}
	isNew := x.a.executors[key] == nil
	var total Resources
	if isNew {
		total = executor
	}
	amounts := make([]Resources, len(tasks))
	for i := range tasks {
		rs, err := NewResources(tasks[i].Resources)
		if err != nil {
			fail(err)
			return
		}
		amounts[i] = rs.withRole(x.role)
		tasks[i].Resources = amounts[i].Wire(wholeFormat)
		total = total.Plus(amounts[i])
	}
	if err := x.validateGroup(tasks, amounts, &e, executor, total); err != nil {
		fail(err)
		return
	}
	x.left, _ = x.left.Minus(total)
	if isNew {
		x.m.addExecutor(x.f, x.a, &e, executor, x.role)
	}
	for i := range tasks {
		// Mesos keeps the executor with each task of a group.
		tasks[i].Executor = &e
		x.m.addTask(x.f, x.a, tasks[i], amounts[i], x.role)
	}
	x.m.send(x.a, RunTasks{Framework: x.f.info, Executor: &e, Tasks: tasks, Group: true})
}

// conversion is what an operation turns into what, both unallocated.
type conversion struct{ consumed, converted Resources }

// convert carries out a reservation or volume operation.
func (x *acceptance) convert(op *mesos.Offer_Operation) {
	c, err := x.m.conversionOf(op, x.a, x.f)
	if err != nil {
		var invalid invalidResources
		if errors.As(err, &invalid) {
			x.m.dropOperation(x.f, op, "Operation attempted with invalid resources: "+err.Error())
			return
		}
		x.m.dropOperation(x.f, op, fmt.Sprintf("%s; on agent %s", err, x.a))
		return
	}
	resizes := op.Type == mesos.Offer_Operation_GROW_VOLUME || op.Type == mesos.Offer_Operation_SHRINK_VOLUME
	rest, ok := x.left.Minus(c.consumed.Allocated(x.role))
	if !ok {
		text := fmt.Sprintf("%s does not contain %s", x.left, c.consumed.Allocated(x.role))
		if resizes {
			text = fmt.Sprintf("Invalid %s operation: %s", op.Type, text)
		}
		x.m.dropOperation(x.f, op, text)
		return
	}
	if resizes {
		x.left, x.resized = rest, x.resized.Plus(c.converted.Allocated(x.role))
	} else {
		x.left = rest.Plus(c.converted.Allocated(x.role))
	}
	x.m.apply(x.a, x.f.id, op, c)
}

// apply books a conversion on an agent and has the agent carry it out.
func (m *Master) apply(a *agent, frameworkID string, op *mesos.Offer_Operation, c conversion) {
	rest, _ := a.total.Minus(c.consumed)
	a.total = rest.Plus(c.converted)
	o := Operation{
		UUID: m.uuid(), Framework: frameworkID, Info: *op,
		Status: mesos.OperationStatus{OperationID: op.ID, State: mesos.OPERATION_PENDING},
	}
	if op.ID != nil {
		a.operations[string(o.UUID)] = &operation{o, a}
	}
	m.send(a, Apply{Operation: o, Consumed: c.consumed, Converted: c.converted})
}
