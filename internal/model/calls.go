package model

import (
	"errors"
	"fmt"

	mesosallocator "github.com/mesos/mesos-go/api/v1/lib/allocator"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// call answers a scheduler's call and acts on it.
func (m *Master) call(in Call) {
	c := in.Call
	if err := validateCall(c, in.Principal); err != nil {
		m.do(Reply{statusBadRequest, "Failed to validate scheduler::Call: " + err.Error()})
		return
	}
	if c.Type == scheduler.Call_SUBSCRIBE {
		m.subscribe(in)
		return
	}
	f := m.frameworks[c.FrameworkID.Value]
	switch {
	case f == nil:
		m.do(Reply{statusBadRequest, "Framework cannot be found"})
		return
	case in.Principal != "" && in.Principal != f.info.GetPrincipal():
		m.do(Reply{statusBadRequest, fmt.Sprintf(
			"Authenticated principal '%s' does not match principal '%s' set in `FrameworkInfo`", in.Principal, f.info.GetPrincipal())})
		return
	case f.stream == "":
		m.do(Reply{statusForbidden, "Framework is not subscribed"})
		return
	case in.Stream == "":
		m.do(Reply{statusBadRequest, "All non-subscribe calls should include the 'Mesos-Stream-Id' header"})
		return
	case in.Stream != f.stream:
		m.do(Reply{statusBadRequest, fmt.Sprintf(
			"The stream ID '%s' included in this request didn't match the stream ID currently associated with framework ID %s",
			in.Stream, f.id)})
		return
	}
	if c.Type == scheduler.Call_UPDATE_FRAMEWORK {
		m.updateFramework(f, c.UpdateFramework, in.Constraints)
		return
	}
	m.do(Reply{Status: statusAccepted})
	m.act(f, c)
}

// act carries out a valid call of a connected framework.
func (m *Master) act(f *framework, c *scheduler.Call) {
	switch c.Type {
	case scheduler.Call_TEARDOWN:
		m.removeFramework(f)
	case scheduler.Call_ACCEPT:
		m.accept(f, c.Accept)
	case scheduler.Call_DECLINE:
		m.decline(f, c.Decline.OfferIDs, c.Decline.Filters)
	case scheduler.Call_ACCEPT_INVERSE_OFFERS:
		m.answerInverse(f, c.AcceptInverseOffers.InverseOfferIDs, mesosallocator.InverseOfferStatus_ACCEPT, c.AcceptInverseOffers.Filters)
	case scheduler.Call_DECLINE_INVERSE_OFFERS:
		m.answerInverse(f, c.DeclineInverseOffers.InverseOfferIDs, mesosallocator.InverseOfferStatus_DECLINE, c.DeclineInverseOffers.Filters)
	case scheduler.Call_REVIVE:
		m.revive(f, c.GetRevive().GetRoles())
	case scheduler.Call_SUPPRESS:
		m.suppress(f, c.GetSuppress().GetRoles())
	case scheduler.Call_KILL:
		m.kill(f, c.Kill)
	case scheduler.Call_SHUTDOWN:
		if a := m.agents[c.Shutdown.AgentID.Value]; a != nil {
			m.send(a, ShutdownExecutor{f.id, c.Shutdown.ExecutorID.Value})
		}
	case scheduler.Call_ACKNOWLEDGE:
		m.acknowledge(f, c.Acknowledge)
	case scheduler.Call_ACKNOWLEDGE_OPERATION_STATUS:
		m.acknowledgeOperation(f, c.AcknowledgeOperationStatus)
	case scheduler.Call_RECONCILE:
		m.reconcile(f, c.Reconcile.Tasks)
	case scheduler.Call_RECONCILE_OPERATIONS:
		m.reconcileOperations(f, c.ReconcileOperations.Operations)
	case scheduler.Call_MESSAGE:
		if a := m.agents[c.Message.AgentID.Value]; a != nil {
			m.send(a, TellExecutor{f.id, c.Message.ExecutorID.Value, c.Message.Data})
		}
	case scheduler.Call_REQUEST:
		// Mesos's allocator takes no notice of requests either.
	}
}

// validateCall checks that a call has what its type needs
// (validation.cpp, scheduler::call::validate).
func validateCall(c *scheduler.Call, principal string) error {
	if c.Type == scheduler.Call_UNKNOWN {
		return errors.New("Expecting 'type' to be present")
	}
	if c.Type == scheduler.Call_SUBSCRIBE {
		return validateSubscribe(c, principal)
	}
	if c.FrameworkID == nil {
		return errors.New("Expecting 'framework_id' to be present")
	}
	fields, ok := callFields(c)
	if !ok {
		return errors.New("Expecting 'type' to be present")
	}
	for _, f := range fields {
		if f.absent {
			return fmt.Errorf("Expecting '%s' to be present", f.name)
		}
	}
	switch c.Type {
	case scheduler.Call_ACKNOWLEDGE:
		return validateUUID(c.Acknowledge.UUID)
	case scheduler.Call_ACKNOWLEDGE_OPERATION_STATUS:
		if err := validateUUID(c.AcknowledgeOperationStatus.UUID); err != nil {
			return err
		}
		if c.AcknowledgeOperationStatus.AgentID == nil {
			return errors.New("Expecting 'agent_id' to be present")
		}
	case scheduler.Call_UPDATE_FRAMEWORK:
		if c.FrameworkID.Value != c.UpdateFramework.FrameworkInfo.ID.GetValue() {
			return errors.New("'framework_id' differs from 'update_framework.framework_info.id'")
		}
	}
	return nil
}

// callField is a field that a type of call must have.
type callField struct {
	name   string
	absent bool
}

// callFields returns the field that goes with the call's type, if there is one;
// !ok if nobody knows the type.
func callFields(c *scheduler.Call) (fields []callField, ok bool) {
	one := func(name string, absent bool) ([]callField, bool) { return []callField{{name, absent}}, true }
	switch c.Type {
	case scheduler.Call_ACCEPT:
		return one("accept", c.Accept == nil)
	case scheduler.Call_DECLINE:
		return one("decline", c.Decline == nil)
	case scheduler.Call_ACCEPT_INVERSE_OFFERS:
		return one("accept_inverse_offers", c.AcceptInverseOffers == nil)
	case scheduler.Call_DECLINE_INVERSE_OFFERS:
		return one("decline_inverse_offers", c.DeclineInverseOffers == nil)
	case scheduler.Call_KILL:
		return one("kill", c.Kill == nil)
	case scheduler.Call_SHUTDOWN:
		return one("shutdown", c.Shutdown == nil)
	case scheduler.Call_ACKNOWLEDGE:
		return one("acknowledge", c.Acknowledge == nil)
	case scheduler.Call_ACKNOWLEDGE_OPERATION_STATUS:
		return one("acknowledge_operation_status", c.AcknowledgeOperationStatus == nil)
	case scheduler.Call_RECONCILE:
		return one("reconcile", c.Reconcile == nil)
	case scheduler.Call_RECONCILE_OPERATIONS:
		return one("reconcile_operations", c.ReconcileOperations == nil)
	case scheduler.Call_MESSAGE:
		return one("message", c.Message == nil)
	case scheduler.Call_REQUEST:
		return one("request", c.Request == nil)
	case scheduler.Call_UPDATE_FRAMEWORK:
		return one("update_framework", c.UpdateFramework == nil)
	case scheduler.Call_TEARDOWN, scheduler.Call_REVIVE, scheduler.Call_SUPPRESS:
		return nil, true
	}
	return nil, false
}

func validateSubscribe(c *scheduler.Call, principal string) error {
	if c.Subscribe == nil || c.Subscribe.FrameworkInfo == nil {
		return errors.New("Expecting 'subscribe' to be present")
	}
	info := c.Subscribe.FrameworkInfo
	if c.FrameworkID.GetValue() != info.ID.GetValue() {
		return errors.New("'framework_id' differs from 'subscribe.framework_info.id'")
	}
	if principal != "" && info.Principal != nil && *info.Principal != principal {
		return fmt.Errorf("Authenticated principal '%s' does not match principal '%s' set in `FrameworkInfo`",
			principal, *info.Principal)
	}
	return nil
}

func validateUUID(b []byte) error {
	if len(b) != 16 {
		return errors.New("Not a valid UUID")
	}
	return nil
}
