package mesostest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/mesokit/mesokit/internal/model"
)

// Message is one on its way: a call of a scheduler or an event for one, or
// what master and agents tell each other.
type Message struct {
	// Name is the type of a call or event ("ACKNOWLEDGE", "OFFERS"). Between
	// master and agents it is Register, Reregister, Unregister, StatusUpdate,
	// ExecutorExited, ExecutorSaid, OperationUpdate or Pong one way, and
	// Registered, Ping, RunTasks, KillTask, UpdateFramework,
	// AcknowledgeStatus, AcknowledgeOperation, ReconcileOperations, Apply,
	// DrainAgent, TellExecutor, ShutdownExecutor, ShutdownFramework or
	// ShutdownAgent the other. Between an agent and a custom executor it is
	// the type of the call or event after "executor/" ("executor/UPDATE",
	// "executor/LAUNCH"), and of an operator's call to a master the same after
	// "operator/".
	Name string
	// Agent is at one of its ends; nil if a scheduler or an operator is.
	Agent *Agent
	// ToMaster tells calls from events, and what agents say to masters from
	// what they hear. A call of an executor is for its agent.
	ToMaster bool
	// FrameworkID and TaskID say what it is about, as far as there is one:
	// not those of a new framework, or of several tasks.
	FrameworkID, TaskID string
}

func (m Message) String() string {
	end, direction := "a scheduler", "to"
	if strings.HasPrefix(m.Name, "operator/") {
		end = "an operator"
	}
	if m.ToMaster {
		direction = "from"
	}
	if m.Agent != nil {
		end = "agent " + m.Agent.Hostname()
	}
	if strings.HasPrefix(m.Name, "executor/") {
		end = "an executor on " + end
	}
	return fmt.Sprintf("%s %s %s", m.Name, direction, end)
}

// Fate is what becomes of a [Message]: [Deliver], [Drop], [Delay], [Double],
// [Swap] or [Hold].
type Fate interface{ fate() }

// Deliver lets a message arrive in its turn.
type Deliver struct{}

// Drop loses a message. The connection of a call that is lost breaks without
// an answer.
type Drop struct{}

// Delay lets a message arrive so much later. Those behind it overtake it.
type Delay struct{ By time.Duration }

// Double lets a message arrive twice; a call is answered once, and no SUBSCRIBE
// is doubled.
type Double struct{}

// Swap lets a message arrive right after the next one of the same connection,
// or of the same framework if it is a call. Of two in a row that are to be
// swapped, the second goes first.
type Swap struct{}

// Hold keeps a message until the interception ends.
type Hold struct{}

func (Deliver) fate() {}
func (Drop) fate()    {}
func (Delay) fate()   {}
func (Double) fate()  {}
func (Swap) fate()    {}
func (Hold) fate()    {}

// Intercept lets a function decide what becomes of each message between
// masters, agents and schedulers, until end is called, which delivers what was
// held. A nil fate leaves the message to functions that were set later, and in
// the end delivers it. The function is called from several goroutines at once,
// and may use the methods of the cluster.
func (c *Cluster) Intercept(decide func(Message) Fate) (end func()) {
	r := &interception{decide: decide}
	c.mail.mu.Lock()
	c.mail.rules = append(c.mail.rules, r)
	c.mail.mu.Unlock()
	return func() {
		for _, deliver := range c.mail.end(r) {
			deliver()
		}
	}
}

// HoldAcknowledgements keeps acknowledgements of statuses from the agents, which
// send the statuses again and again, until release is called. The master
// accepts a scheduler's ACKNOWLEDGE all the same.
func (c *Cluster) HoldAcknowledgements() (release func()) {
	return c.Intercept(func(m Message) Fate {
		if m.Name == "AcknowledgeStatus" || m.Name == "AcknowledgeOperation" {
			return Hold{}
		}
		return nil
	})
}

// mail is what is under way in a cluster and does not arrive in its turn.
type mail struct {
	mu      sync.Mutex
	rules   []*interception
	swapped []parcel // at most one of each connection
}

type interception struct {
	decide func(Message) Fate
	ended  bool
	held   []func()
}

// parcel is a message that waits for the next one of its connection.
type parcel struct {
	way     string
	of      *interception
	deliver func()
}

// decide asks the functions in turn.
func (p *mail) decide(msg Message) (Fate, *interception) {
	p.mu.Lock()
	rules := slices.Clone(p.rules)
	p.mu.Unlock()
	for _, r := range rules {
		if fate := r.decide(msg); fate != nil {
			return fate, r
		}
	}
	return Deliver{}, nil
}

// end returns what the interception kept, in order.
func (p *mail) end(r *interception) []func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.ended = true
	p.rules = slices.DeleteFunc(p.rules, func(x *interception) bool { return x == r })
	kept := r.held
	r.held = nil
	p.swapped = slices.DeleteFunc(p.swapped, func(x parcel) bool {
		if x.of == r {
			kept = append(kept, x.deliver)
		}
		return x.of == r
	})
	return kept
}

// hold keeps a message. It reports false if the interception is over.
func (p *mail) hold(r *interception, deliver func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !r.ended {
		r.held = append(r.held, deliver)
	}
	return !r.ended
}

// keep keeps a message until the next one of its connection. It reports false
// if the interception is over or one waits already, which this one then is next
// to.
func (p *mail) keep(way string, r *interception, deliver func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.ended || slices.ContainsFunc(p.swapped, func(x parcel) bool { return x.way == way }) {
		return false
	}
	p.swapped = append(p.swapped, parcel{way, r, deliver})
	return true
}

// next returns what waited for a message of this connection.
func (p *mail) next(way string) func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.swapped, func(x parcel) bool { return x.way == way })
	if i < 0 {
		return func() {}
	}
	defer func() { p.swapped = slices.Delete(p.swapped, i, i+1) }()
	return p.swapped[i].deliver
}

// carry brings a message to its fate. It reports false if the message is lost.
func (c *Cluster) carry(way string, msg Message, deliver func()) bool {
	fate, r := c.mail.decide(msg)
	switch fate := fate.(type) {
	case Drop:
		c.note("%s is dropped", msg)
		return false
	case Delay:
		c.note("%s is delayed by %s", msg, fate.By)
		time.AfterFunc(fate.By, deliver)
		return true
	case Hold:
		if c.mail.hold(r, deliver) {
			c.note("%s is held", msg)
			return true
		}
	case Swap:
		if c.mail.keep(way, r, deliver) {
			c.note("%s waits for the next", msg)
			return true
		}
	case Double:
		c.note("%s is doubled", msg)
		deliver()
	}
	deliver()
	c.mail.next(way)()
	return true
}

// executorMessage describes what an agent and an executor say to each other.
func (a *Agent) executorMessage(call *executor.Call, kind string, toAgent bool) Message {
	msg := Message{Name: "executor/" + kind, Agent: a, ToMaster: toAgent, FrameworkID: call.FrameworkID.Value}
	if call.Update != nil {
		msg.TaskID = call.Update.Status.TaskID.Value
	}
	return msg
}

// executorWay names the connection of an executor's calls.
func (a *Agent) executorWay(call *executor.Call) string {
	return "calls of executor " + call.FrameworkID.Value + "/" + call.ExecutorID.Value
}

// callMessage describes a scheduler's call.
func callMessage(call *scheduler.Call) Message {
	msg := Message{Name: call.Type.String(), ToMaster: true, FrameworkID: call.GetFrameworkID().GetValue()}
	switch {
	case call.Kill != nil:
		msg.TaskID = call.Kill.TaskID.Value
	case call.Acknowledge != nil:
		msg.TaskID = call.Acknowledge.TaskID.Value
	}
	return msg
}

// eventMessage describes an event for a framework.
func eventMessage(e *scheduler.Event, framework string) Message {
	msg := Message{Name: e.Type.String(), FrameworkID: framework}
	if e.Update != nil {
		msg.TaskID = e.Update.Status.TaskID.Value
	}
	return msg
}

// said describes what an agent tells its master.
func said(a *Agent, msg model.AgentMessage) Message {
	out := Message{Agent: a, ToMaster: true}
	switch msg := msg.(type) {
	case model.Register:
		out.Name = "Register"
	case model.Reregister:
		out.Name = "Reregister"
	case model.StatusUpdate:
		out.Name, out.FrameworkID, out.TaskID = "StatusUpdate", msg.Framework, msg.Status.TaskID.Value
	case model.ExecutorExited:
		out.Name, out.FrameworkID = "ExecutorExited", msg.Framework
	case model.ExecutorSaid:
		out.Name, out.FrameworkID = "ExecutorSaid", msg.Framework
	case model.OperationUpdate:
		out.Name, out.FrameworkID = "OperationUpdate", msg.Framework
	case model.Unregister:
		out.Name = "Unregister"
	case model.Pong:
		out.Name = "Pong"
	}
	return out
}

// heard describes what a master tells an agent.
func heard(a *Agent, msg model.MasterMessage) Message {
	out := Message{Agent: a}
	switch msg := msg.(type) {
	case model.Registered:
		out.Name = "Registered"
	case model.Ping:
		out.Name = "Ping"
	case model.RunTasks:
		out.Name, out.FrameworkID = "RunTasks", msg.Framework.ID.GetValue()
		if len(msg.Tasks) == 1 {
			out.TaskID = msg.Tasks[0].TaskID.Value
		}
	case model.KillTask:
		out.Name, out.FrameworkID, out.TaskID = "KillTask", msg.Framework, msg.Task
	case model.UpdateFramework:
		out.Name, out.FrameworkID = "UpdateFramework", msg.Framework.ID.GetValue()
	case model.ReconcileOperations:
		out.Name = "ReconcileOperations"
	case model.AcknowledgeStatus:
		out.Name, out.FrameworkID, out.TaskID = "AcknowledgeStatus", msg.Framework, msg.Task
	case model.AcknowledgeOperation:
		out.Name = "AcknowledgeOperation"
	case model.Apply:
		out.Name, out.FrameworkID = "Apply", msg.Operation.Framework
	case model.DrainAgent:
		out.Name = "DrainAgent"
	case model.TellExecutor:
		out.Name, out.FrameworkID = "TellExecutor", msg.Framework
	case model.ShutdownExecutor:
		out.Name, out.FrameworkID = "ShutdownExecutor", msg.Framework
	case model.ShutdownFramework:
		out.Name, out.FrameworkID = "ShutdownFramework", msg.Framework
	case model.ShutdownAgent:
		out.Name = "ShutdownAgent"
	}
	return out
}
