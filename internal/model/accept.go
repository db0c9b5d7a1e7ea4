package model

import (
	"errors"
	"fmt"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// acceptance is one ACCEPT on its way through its operations.
type acceptance struct {
	m    *Master
	f    *framework
	a    *agent
	role string
	// offered is what the offers held; left is what later operations can use
	// of it and of what was made of it.
	offered, left Resources
	// shared are the shared volumes that the offers held or that were made of
	// them. Any number of tasks can use each, whatever is left of it.
	shared Resources
	// resized is what resizing volumes made. It is offered again, but not
	// for operations of the same call, as in Mesos.
	resized Resources
}

// accept carries out an ACCEPT call: the operations in order on what the
// offers hold; what remains of that goes back with a filter.
func (m *Master) accept(f *framework, c *scheduler.Call_Accept) {
	first, err := m.checkOffers(f, c.OfferIDs)
	if err != nil {
		for _, id := range c.OfferIDs {
			// Like Mesos, whosever they are.
			if o := m.offers[id.Value]; o != nil {
				m.removeOffer(o)
			}
		}
		m.refuseAll(f, c.Operations, err)
		return
	}
	x := &acceptance{m: m, f: f, a: first.agent, role: first.role}
	for _, id := range c.OfferIDs {
		o := m.offers[id.Value]
		x.offered = x.offered.Plus(o.resources)
		m.removeOffer(o)
	}
	x.left, x.shared = x.offered, x.offered.only(resource.shared)
	ops := x.parse(c.Operations)
	for i := range ops {
		x.operate(&ops[i])
	}
	// What operations made is offered again at once; only what they left is
	// as good as declined.
	made := x.left.Plus(x.resized).less(x.offered)
	m.recoverResources(f, x.a, x.role, x.left.less(made), refuse(c.Filters))
}

// checkOffers checks that offers can be used together and returns the first
// (validation::offer::validate).
func (m *Master) checkOffers(f *framework, ids []mesos.OfferID) (*offer, error) {
	if len(ids) == 0 {
		return nil, errors.New("No offers specified")
	}
	seen := map[string]bool{}
	for _, id := range ids {
		if seen[id.Value] {
			return nil, fmt.Errorf("Duplicate offer %s in offer list", id.Value)
		}
		seen[id.Value] = true
	}
	for _, id := range ids {
		if m.offers[id.Value] == nil {
			return nil, fmt.Errorf("Offer %s is no longer valid", id.Value)
		}
	}
	for _, id := range ids {
		if o := m.offers[id.Value]; o.framework != f {
			return nil, fmt.Errorf("Offer %s has invalid framework %s while framework %s is expected", id.Value, o.framework.id, f.id)
		}
	}
	first := m.offers[ids[0].Value]
	for _, id := range ids {
		// The quotes are those of Mesos.
		if o := m.offers[id.Value]; o.role != first.role {
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

// parse answers the operations whose resources are not well formed, or that
// cannot be as they are, and returns the others, all before the first is
// carried out.
func (x *acceptance) parse(ops []mesos.Offer_Operation) []mesos.Offer_Operation {
	var out []mesos.Offer_Operation
	for i := range ops {
		op := &ops[i]
		tasks, isLaunch := tasksOf(op)
		reason := mesos.REASON_TASK_INVALID
		if op.Type == mesos.Offer_Operation_LAUNCH_GROUP {
			reason = mesos.REASON_TASK_GROUP_INVALID
		}
		switch err := x.wellFormed(op); {
		case err != nil && isLaunch:
			x.taskErrors(tasks, reason, err.Error())
		case err != nil && op.Type != mesos.Offer_Operation_UNKNOWN:
			x.m.dropOperation(x.f, op, "Operation attempted with invalid resources: "+err.Error())
		case err != nil:
		case isLaunch && op.ID != nil:
			x.taskErrors(tasks, reason, fmt.Sprintf("The `id` field cannot be set on %s operations", op.Type))
		default:
			out = append(out, *op)
		}
	}
	return out
}

// wellFormed checks the resources of an operation. One bad resource spoils it,
// with all its tasks if it is a launch.
func (x *acceptance) wellFormed(op *mesos.Offer_Operation) error {
	tasks, isLaunch := tasksOf(op)
	switch {
	case !isLaunch:
		_, err := parseOperation(op, requester{})
		if err == nil && len(op.GetReserve().GetSource()) > 0 {
			err = errors.New("Reservation updates are not yet implemented for the scheduler API.")
		}
		return err
	case op.Type == mesos.Offer_Operation_LAUNCH && op.Launch == nil:
		return errors.New("A LAUNCH offer operation must have the Offer.Operation.launch field set.")
	case op.Type == mesos.Offer_Operation_LAUNCH_GROUP && op.LaunchGroup == nil:
		return errors.New("A LAUNCH_GROUP offer operation must have the Offer.Operation.launch_group field set.")
	case op.LaunchGroup != nil:
		if _, err := NewResources(op.LaunchGroup.Executor.Resources); err != nil {
			return err
		}
	}
	for i := range tasks {
		if _, err := NewResources(tasks[i].Resources); err != nil {
			return err
		}
		if e := tasks[i].Executor; e != nil {
			if _, err := NewResources(e.Resources); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *acceptance) operate(op *mesos.Offer_Operation) {
	switch op.Type {
	case mesos.Offer_Operation_LAUNCH:
		for _, t := range op.Launch.TaskInfos {
			x.launch(t)
		}
	case mesos.Offer_Operation_LAUNCH_GROUP:
		x.launchGroup(op.LaunchGroup)
	default:
		x.convert(op)
	}
}

// launch starts one task.
func (x *acceptance) launch(t mesos.TaskInfo) {
	rs := parseEach(t.Resources, x.role)
	t.HealthCheck = fillHealthCheck(t.HealthCheck)
	var executor []resource
	isNew := false
	if t.Executor != nil {
		e := *t.Executor
		t.Executor = &e
		if e.FrameworkID == nil {
			e.FrameworkID = &mesos.FrameworkID{Value: x.f.id}
		}
		executor = parseEach(e.Resources, x.role)
		e.Resources = sum(executor).Wire(wholeFormat)
		isNew = x.a.executors[ref{x.f.id, e.ExecutorID.Value}] == nil
	}
	available := x.left.only(func(r resource) bool { return !r.shared() }).Plus(x.shared)
	if err := x.validateTask(&t, rs, executor, available); err != nil {
		x.taskErrors([]mesos.TaskInfo{t}, mesos.REASON_TASK_INVALID, err.Error())
		return
	}
	t.Resources = sum(rs).Wire(wholeFormat)
	if isNew {
		x.left = x.left.less(sum(executor))
		x.m.addExecutor(x.f, x.a, t.Executor, sum(executor), x.role)
	}
	x.left = x.left.less(sum(rs))
	x.m.addTask(x.f, x.a, t, sum(rs), x.role)
	x.m.send(x.a, RunTasks{Framework: x.f.info, Executor: t.Executor, Tasks: []mesos.TaskInfo{t}, NewExecutor: isNew || t.Executor == nil})
}

// launchGroup starts all tasks of a group or none.
func (x *acceptance) launchGroup(g *mesos.Offer_Operation_LaunchGroup) {
	tasks := append([]mesos.TaskInfo(nil), g.TaskGroup.Tasks...)
	e := g.Executor
	executor := parseEach(e.Resources, x.role)
	e.Resources = sum(executor).Wire(wholeFormat)
	amounts := make([][]resource, len(tasks))
	for i := range tasks {
		amounts[i] = parseEach(tasks[i].Resources, x.role)
	}
	if err := x.validateGroup(tasks, amounts, &e, executor); err != nil {
		x.taskErrors(tasks, mesos.REASON_TASK_GROUP_INVALID, err.Error())
		return
	}
	isNew := x.a.executors[ref{x.f.id, e.ExecutorID.Value}] == nil
	if isNew {
		x.left = x.left.less(sum(executor))
		x.m.addExecutor(x.f, x.a, &e, sum(executor), x.role)
	}
	for i := range tasks {
		tasks[i].Resources = sum(amounts[i]).Wire(wholeFormat)
		// Mesos keeps the executor with each task of a group.
		tasks[i].Executor = &e
		x.left = x.left.less(sum(amounts[i]))
		x.m.addTask(x.f, x.a, tasks[i], sum(amounts[i]), x.role)
	}
	x.m.send(x.a, RunTasks{Framework: x.f.info, Executor: &e, Tasks: tasks, Group: true, NewExecutor: isNew})
}

// convert carries out a reservation or volume operation.
func (x *acceptance) convert(op *mesos.Offer_Operation) {
	by := requester{framework: x.f, role: x.role, principal: x.f.info.Principal}
	in, err := parseOperation(op, by)
	if err != nil {
		return // parse has answered it
	}
	steps, err := x.a.conversionsOf(op, in, by)
	if err != nil {
		x.m.dropOperation(x.f, op, fmt.Sprintf("%s; on agent %s", err, x.a))
		return
	}
	if op.Type == mesos.Offer_Operation_DESTROY {
		x.m.rescindVolumes(x.a, total(steps).consumed)
	}
	if op.Type == mesos.Offer_Operation_GROW_VOLUME || op.Type == mesos.Offer_Operation_SHRINK_VOLUME {
		if !x.resize(op, steps[0]) {
			return
		}
	} else {
		left := x.left
		for _, step := range steps {
			if left, err = step.apply(left); err != nil {
				x.m.dropOperation(x.f, op, err.Error())
				return
			}
		}
		x.left = left
		if op.Type == mesos.Offer_Operation_CREATE || op.Type == mesos.Offer_Operation_DESTROY {
			x.shared = left.only(resource.shared)
		}
	}
	x.m.apply(x.a, x.f.id, op, total(steps))
}

// resize takes what resizing a volume consumes. It reports false if there is
// not enough.
func (x *acceptance) resize(op *mesos.Offer_Operation, step conversion) bool {
	rest, ok := x.left.Minus(step.consumed)
	if !ok {
		x.m.dropOperation(x.f, op, fmt.Sprintf("Invalid %s operation: %s does not contain %s", op.Type, x.left, step.consumed))
		return false
	}
	x.left, x.resized = rest, x.resized.Plus(step.converted)
	return true
}

// rescindVolumes takes back the offers of volumes that are about to be
// destroyed.
func (m *Master) rescindVolumes(a *agent, volumes Resources) {
	for _, o := range a.offersInOrder() {
		if slices.ContainsFunc(volumes, func(v resource) bool { return o.resources.Allocated("").Contains(Resources{v}) }) {
			m.rescind(o)
		}
	}
}

// apply books an operation on an agent and has the agent carry it out.
func (m *Master) apply(a *agent, frameworkID string, op *mesos.Offer_Operation, c conversion) {
	rest, _ := a.total.Minus(c.consumed)
	a.total = rest.Plus(c.converted)
	o := Operation{
		UUID: m.uuid(), Framework: frameworkID, Info: *op,
		Status: mesos.OperationStatus{OperationID: op.ID, State: mesos.OPERATION_PENDING, AgentID: &mesos.AgentID{Value: a.id}},
	}
	if op.ID != nil {
		a.operations[string(o.UUID)] = &operation{Operation: o, agent: a}
	}
	m.send(a, Apply{Operation: o, Consumed: c.consumed, Converted: c.converted})
}
