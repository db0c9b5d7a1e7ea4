package executor

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
)

// An event is something that happened to the executor.
type event interface{ event() }

type (
	// begin is the first event; saved is what an earlier run in this sandbox left.
	begin struct{ saved *executor.Call_Subscribe }
	// tick tells that the time of effects.wake has come.
	tick struct{}
	// subscribed tells that the agent took the SUBSCRIBE.
	subscribed struct {
		framework mesos.FrameworkInfo
		executor  mesos.ExecutorInfo
	}
	// disconnected tells that an attempt failed or that the subscription is gone.
	disconnected struct{}
	// launched are tasks to start: all of them or none.
	launched struct{ tasks []mesos.TaskInfo }
	// killed asks to end a task; policy overrides the task's own.
	killed struct {
		task   string
		policy *mesos.KillPolicy
	}
	// acknowledged tells that the agent has an update safely.
	acknowledged struct {
		task string
		uuid []byte
	}
	// shutdown asks to end all tasks and then the executor.
	shutdown struct{}
	// progress is what a supervisor reports of its task.
	progress struct {
		task string
		report
	}
)

func (begin) event()        {}
func (tick) event()         {}
func (subscribed) event()   {}
func (disconnected) event() {}
func (launched) event()     {}
func (killed) event()       {}
func (acknowledged) event() {}
func (shutdown) event()     {}
func (progress) event()     {}

// report is a change of a task's state.
type report struct {
	state   mesos.TaskState
	healthy *bool
	reason  *mesos.TaskStatus_Reason
	message string
}

// effects are carried out in the order of the fields.
type effects struct {
	// save: what core.saved returns is to be made durable.
	save bool
	// start are tasks to supervise, stop those to end.
	start []*task
	stop  []stopOrder
	// requests are to be carried out, deliver is to be handed to tasks.
	requests []Request
	deliver  []delivery
	// subscribe is the call that opens a new subscription, send are calls on the
	// present one.
	subscribe *executor.Call
	send      []*executor.Call
	// wake is when to step with a tick at the latest; zero: no need.
	wake time.Time
	// done: Run returns.
	done bool
}

type delivery struct {
	task string
	Message
}

type stopOrder struct {
	task  string
	grace time.Duration // until SIGKILL
}
