package executor

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
)

// Marker is the environment variable that tells Main that its process was
// started as an executor. A framework sets it, to any value, in the environment
// of ExecutorInfo.command. The variables of Mesos alone do not tell: a
// framework that itself runs as a Mesos task finds them too.
const Marker = "MESOKIT_EXECUTOR"

// Config is what a binary adds to the executor. The zero value runs tasks that
// use no functions.
type Config struct {
	// Steps are the functions that Step.Func and Probe.Func may name.
	Steps map[string]StepFunc
	// Requests are the functions that a Request may name, besides "tail" and
	// "usage", which one of the same name replaces.
	Requests map[string]RequestFunc
	// Decorators add to every task before it is launched, and to its statuses.
	Decorators []Decorator
	// JSON has the executor speak JSON with its agent, which people can read, in
	// place of protocol buffers, which are smaller.
	JSON bool
	// Logger gets one line per change of state; nil means text on standard error,
	// which is the file stderr of the sandbox.
	Logger *slog.Logger
}

func (c Config) validate() error {
	for _, name := range slices.Sorted(maps.Keys(c.Steps)) {
		if name == "" || c.Steps[name] == nil {
			return fmt.Errorf("Config.Steps[%q]: want a name and a function", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Requests)) {
		if name == "" || c.Requests[name] == nil {
			return fmt.Errorf("Config.Requests[%q]: want a name and a function", name)
		}
	}
	return nil
}

// A StepFunc does the work of a Step, or asks for a Probe how the server is. It
// ends early, with an error, when ctx does: what it was waiting for, if anything, which
// is told along with the end. One that goes on is left behind after five seconds. What
// was done may be repeated: a step runs again when the task is launched again.
type StepFunc func(ctx context.Context, s Sandbox) error

// A Sandbox is what a StepFunc and a RequestFunc work with.
type Sandbox struct {
	// Dir is the absolute path of the sandbox.
	Dir string
	// TaskID is the identifier of the Mesos task.
	TaskID string
	// Env is the environment of the server, as NAME=value.
	Env []string
	// Log takes output, which is treated like the server's.
	Log io.Writer
	// Run runs a program, with its arguments, to its end, as a Step's Command:
	// in Dir and Env, under the limits of the task, with its output in the logs.
	// Neither it nor what it starts outlives ctx or the executor, which is more
	// than os/exec can promise. On Linux a process that a function starts by itself,
	// in a process group of its own, may be taken for an orphan and killed.
	Run func(ctx context.Context, args ...string) error
	// Report replaces the message of the update that tells of the end of a step.
	// It has no effect in a RequestFunc.
	Report func(message string)
}
