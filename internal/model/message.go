package model

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// Input is one thing that reaches a [Master].
type Input interface{ masterInput() }

// Call is a scheduler's call, decoded. It is answered by exactly one [Reply].
type Call struct {
	// Stream names the connection: for SUBSCRIBE the new one, which the
	// caller makes up; for others the value of Mesos-Stream-Id, or "".
	Stream string
	Call   *scheduler.Call
	// Constraints are the offer constraints of a SUBSCRIBE or
	// UPDATE_FRAMEWORK call, which mesos-go's types do not have.
	Constraints OfferConstraints
	// Principal is who authenticated, or "".
	Principal string
}

// StreamClosed says that a scheduler's connection is gone.
type StreamClosed struct{ Stream string }

// AgentSaid carries a message of an agent. From names its connection, to be
// used in [Send].
type AgentSaid struct {
	From    string
	Message AgentMessage
}

// AgentClosed says that an agent's connection broke. (A partition does not
// break it: then only the pings go unanswered.)
type AgentClosed struct{ From string }

// Tick lets time pass. Both machines take it.
type Tick struct{}

func (Call) masterInput()         {}
func (StreamClosed) masterInput() {}
func (AgentSaid) masterInput()    {}
func (AgentClosed) masterInput()  {}
func (Tick) masterInput()         {}
func (Tick) agentInput()          {}

// Output is one thing that a [Master] wants done, in order.
type Output interface{ masterOutput() }

// The statuses of replies, numbered as in HTTP.
const (
	statusOK         = 200
	statusAccepted   = 202
	statusBadRequest = 400
	statusForbidden  = 403
	statusNotFound   = 404
	statusConflict   = 409
)

// Reply answers the call being stepped.
type Reply struct {
	Status int    // as in HTTP
	Text   string // what was wrong, or ""
}

// Emit sends an event to a scheduler.
type Emit struct {
	Stream string
	Event  *scheduler.Event
}

// Close ends a scheduler's stream after what was emitted before.
type Close struct{ Stream string }

// Send gives a message to an agent.
type Send struct {
	To      string
	Message MasterMessage
}

func (Reply) masterOutput() {}
func (Emit) masterOutput()  {}
func (Close) masterOutput() {}
func (Send) masterOutput()  {}

// AgentMessage is what agents tell masters.
type AgentMessage interface{ agentMessage() }

// Register asks for an agent ID.
type Register struct{ Agent AgentDescription }

// Reregister announces an agent that has an ID, with all that it runs.
type Reregister struct {
	Agent      AgentDescription
	ID         string
	Frameworks []mesos.FrameworkInfo // of the tasks and executors
	Tasks      []Task
	Executors  []mesos.ExecutorInfo
	Operations []Operation // not yet acknowledged
}

// AgentDescription is what an agent says of itself.
type AgentDescription struct {
	Info  mesos.AgentInfo
	IP    string
	Port  int
	Total Resources // with the reservations and volumes made on it
}

// Unreported is a task that a master asks an agent about.
type Unreported struct {
	Framework, Task string
	// Lost is the state that the framework is told if the agent does not
	// know the task.
	Lost mesos.TaskState
}

// Task is what an agent reports of a task when it registers again.
type Task struct {
	Framework string
	Info      mesos.TaskInfo
	State     mesos.TaskState   // latest
	Status    *mesos.TaskStatus // latest
	// Unacknowledged is the status at the head of the stream, if any.
	Unacknowledged *mesos.TaskStatus
}

// StatusUpdate carries a status with a UUID, again and again until it is
// acknowledged.
type StatusUpdate struct {
	Framework string
	Status    mesos.TaskStatus
	// Latest is the newest state that the agent knows of, which may be
	// ahead of Status; resources are freed by it.
	Latest mesos.TaskState
}

// ExecutorExited tells of the end of a custom or default executor.
type ExecutorExited struct {
	Framework, Executor string
	Status              int // as of wait(2): the exit code is Status>>8
}

// ExecutorSaid is an executor's message to its framework.
type ExecutorSaid struct {
	Framework, Executor string
	Data                []byte
}

// OperationUpdate reports an operation, until it is acknowledged if it has an
// ID.
type OperationUpdate struct {
	Framework string
	UUID      []byte // of the operation
	Status    mesos.OperationStatus
}

// Unregister takes leave: the agent's process ends for good, with all that it
// runs.
type Unregister struct{}

// Pong answers a Ping.
type Pong struct{}

func (Register) agentMessage()        {}
func (Reregister) agentMessage()      {}
func (StatusUpdate) agentMessage()    {}
func (ExecutorExited) agentMessage()  {}
func (ExecutorSaid) agentMessage()    {}
func (OperationUpdate) agentMessage() {}
func (Unregister) agentMessage()      {}
func (Pong) agentMessage()            {}

// MasterMessage is what masters tell agents.
type MasterMessage interface{ masterMessage() }

// Registered tells an agent its ID. It answers Register and Reregister.
type Registered struct {
	ID string
	// Silence is how long the agent may hear no ping before it must
	// assume that the master has given it up.
	Silence time.Duration
	// Reconcile names tasks that the master has and the agent did not
	// report.
	Reconcile []Unreported
}

// Ping asks an agent for a sign of life.
type Ping struct{ Connected bool }

// RunTasks launches tasks: one, or a group.
type RunTasks struct {
	Framework mesos.FrameworkInfo
	Executor  *mesos.ExecutorInfo // nil: a command task
	Tasks     []mesos.TaskInfo
	Group     bool
	// NewExecutor says that the master has no account of a running executor:
	// one must be started.
	NewExecutor bool
}

// UpdateFramework tells an agent what has become of a framework.
type UpdateFramework struct{ Framework mesos.FrameworkInfo }

// ReconcileOperations asks an agent about operations, by UUID, that it did not
// report.
type ReconcileOperations struct{ UUIDs [][]byte }

// KillTask asks an agent to kill a task.
type KillTask struct {
	Framework, Task string
	Policy          *mesos.KillPolicy
}

// AcknowledgeStatus ends the retries of a status.
type AcknowledgeStatus struct {
	Framework, Task string
	UUID            []byte
}

// AcknowledgeOperation ends the retries of an operation's status.
type AcknowledgeOperation struct{ UUID []byte }

// Apply makes an agent carry out an operation on its resources, which the
// master has validated and applied to its own account.
type Apply struct {
	Operation Operation
	Consumed  Resources // unallocated
	Converted Resources // unallocated
}

// Operation is a reservation or volume operation.
type Operation struct {
	UUID      []byte
	Framework string // "" for the operator
	Info      mesos.Offer_Operation
	Status    mesos.OperationStatus
}

// TellExecutor carries a framework's message.
type TellExecutor struct {
	Framework, Executor string
	Data                []byte
}

// ShutdownExecutor ends one executor.
type ShutdownExecutor struct{ Framework, Executor string }

// ShutdownFramework ends all executors of a framework.
type ShutdownFramework struct{ Framework string }

// ShutdownAgent makes the agent end everything: it was marked gone, or is not
// welcome.
type ShutdownAgent struct{ Message string }

func (Registered) masterMessage()           {}
func (Ping) masterMessage()                 {}
func (RunTasks) masterMessage()             {}
func (UpdateFramework) masterMessage()      {}
func (ReconcileOperations) masterMessage()  {}
func (KillTask) masterMessage()             {}
func (AcknowledgeStatus) masterMessage()    {}
func (AcknowledgeOperation) masterMessage() {}
func (Apply) masterMessage()                {}
func (TellExecutor) masterMessage()         {}
func (ShutdownExecutor) masterMessage()     {}
func (ShutdownFramework) masterMessage()    {}
func (ShutdownAgent) masterMessage()        {}

// AgentInput is one thing that reaches an [Agent].
type AgentInput interface{ agentInput() }

// MasterFound says that a leading master can be reached, under a name that
// differs from one connection to the next.
type MasterFound struct{}

// MasterLost says that the connection to the master broke.
type MasterLost struct{}

// MasterSaid carries a message of the master.
type MasterSaid struct{ Message MasterMessage }

// ApplyFailed is MasterSaid of an operation that the agent cannot carry out, as
// when its disk is full. Its resources stay as they are.
type ApplyFailed struct {
	Apply   Apply
	Message string
}

// ContainerStarted tells the pid of a container that was asked for.
type ContainerStarted struct {
	Container string
	PID       int
}

// ContainerFailed says that a container could not be started.
type ContainerFailed struct {
	Container string
	Message   string
	// Reason is what the tasks failed for: not REASON_COMMAND_EXECUTOR_FAILED,
	// the zero value, which stands for REASON_CONTAINER_LAUNCH_FAILED.
	Reason mesos.TaskStatus_Reason
	// Status is that of the process that had been made, as of wait(2); -1 if
	// there was none.
	Status int
}

// ContainerExited tells the end of a container's first process.
type ContainerExited struct {
	Container string
	Status    int // as of wait(2)
}

// ExecutorCall is a call of an executor over its API, answered by one
// [ExecutorReply]. For SUBSCRIBE, Stream names the new connection.
type ExecutorCall struct {
	Stream string
	Call   *executor.Call
}

// ExecutorClosed says that an executor's connection is gone.
type ExecutorClosed struct{ Stream string }

// AgentRetired asks the agent to end for good: it takes leave of the master and
// ends all that it runs. It is what SIGUSR1 does to a real one.
type AgentRetired struct{}

// AgentRestarted says that the agent's process was started again. Its
// executors are alive if Alive; otherwise the machine was rebooted.
type AgentRestarted struct {
	Alive bool
	// IP is where the agent is now; empty: where it was. An agent that recovers
	// its id refuses another hostname or port (src/slave/compatibility.cpp), but
	// not another address; a master refuses that of an agent which it has among its own,
	// and takes it of one that was unreachable, or that the master before it had
	// (Master::_reregisterSlave).
	IP string
}

func (MasterFound) agentInput()      {}
func (MasterLost) agentInput()       {}
func (MasterSaid) agentInput()       {}
func (ApplyFailed) agentInput()      {}
func (ContainerStarted) agentInput() {}
func (ContainerFailed) agentInput()  {}
func (ContainerExited) agentInput()  {}
func (ExecutorCall) agentInput()     {}
func (ExecutorClosed) agentInput()   {}
func (AgentRestarted) agentInput()   {}
func (AgentRetired) agentInput()     {}

// AgentOutput is one thing that an [Agent] wants done, in order.
type AgentOutput interface{ agentOutput() }

// TellMaster gives a message to the master.
type TellMaster struct{ Message AgentMessage }

// ExecutorReply answers the executor call being stepped.
type ExecutorReply struct {
	Status int
	Text   string
}

// ExecutorEvent sends an event to an executor.
type ExecutorEvent struct {
	Stream string
	Event  *executor.Event
}

// ExecutorClose ends an executor's stream.
type ExecutorClose struct{ Stream string }

// StartContainer asks for an executor's container. It is answered by
// ContainerStarted or ContainerFailed, and ContainerExited in the end.
type StartContainer struct {
	Container string
	Framework mesos.FrameworkInfo
	Executor  mesos.ExecutorInfo
	// Task is set for a command task: the container runs Mesos's command
	// executor with it.
	Task *mesos.TaskInfo
	// Volumes are the persistent volumes of the executor and its first
	// tasks.
	Volumes []mesos.Resource
}

// StopContainer kills a container with all its processes.
type StopContainer struct{ Container string }

// AttachVolumes places the volumes of a further task in a running container.
type AttachVolumes struct {
	Container string
	Volumes   []mesos.Resource
}

// MakeVolume creates a persistent volume on the disk.
type MakeVolume struct{ Volume mesos.Resource }

// RemoveVolume destroys a persistent volume with its data.
type RemoveVolume struct{ Volume mesos.Resource }

// Exit ends the agent's process, as the master told it to: nothing that it
// started runs any more. It does nothing until AgentRestarted.
type Exit struct{}

func (TellMaster) agentOutput()     {}
func (ExecutorReply) agentOutput()  {}
func (ExecutorEvent) agentOutput()  {}
func (ExecutorClose) agentOutput()  {}
func (StartContainer) agentOutput() {}
func (StopContainer) agentOutput()  {}
func (AttachVolumes) agentOutput()  {}
func (MakeVolume) agentOutput()     {}
func (RemoveVolume) agentOutput()   {}
func (Exit) agentOutput()           {}
