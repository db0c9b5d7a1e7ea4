package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/scheduler/state/statecmd"
)

// App is a framework's binary as its users see it.
type App struct {
	// Name is that of the binary, such as "mesos-kafka". Without "mesos-" it
	// is the default name of the service, and in capitals the head of the
	// variable that holds the address of the API: MESOS_KAFKA_API.
	Name string
	// Short says in one line what the binary does.
	Short string
	// Executor is what this binary needs to know when an agent starts it.
	Executor executor.Config
	// Declaration makes the service of flags.
	Declaration Declaration
	// Pods are the kinds of node, each with a command to operate it.
	Pods []Pod
	// Fields names, for errors, flags that are not called like the field that
	// they set: "Cluster.Distribution.Classpath" is "kafka".
	Fields map[string]string
	// Commands are further commands, which find the scheduler's API by api.
	Commands func(api *frameworks.Client) []*cobra.Command
}

// Declaration makes the service of what was said on the command line.
type Declaration interface {
	// AddFlags adds the flags that only this framework has.
	AddFlags(*pflag.FlagSet)
	// Service is the service, with what its framework finds wrong in Invalid.
	Service(Common) *frameworks.Service
}

// Pod is a kind of node as operators speak of it.
type Pod struct {
	Name   string // of the pod, and of the command: "broker"
	Plural string // empty: Name with an s
	Port   string // the port whose address is shown; empty: none
	// Add and Replace say what else an operator should know of these commands.
	Add, Replace string
	// Fixed: nodes are neither added nor removed.
	Fixed bool
}

func (p Pod) plural() string {
	if p.Plural != "" {
		return p.Plural
	}
	return p.Name + "s"
}

// Main is the whole of a framework's main function. It returns when the
// command has done what it was told, and else ends the process.
func Main(a App) {
	executor.Main(a.Executor)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := a.Command().ExecuteContext(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", a.Name, err)
		stop()
		os.Exit(ExitStatus(err))
	}
}

// Command is the command line, to be executed.
func (a App) Command() *cobra.Command {
	c := &cobra.Command{
		Use:           a.Name,
		Short:         a.Short,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          Args(cobra.NoArgs),
		RunE:          help,
	}
	c.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return UsageError{fmt.Errorf("%s: %w", c.CommandPath(), err)}
	})
	c.AddCommand(a.schedulerCommand(), a.statusCommand(), a.endpointsCommand(), a.optionsCommand(), a.updateCommand(),
		a.rollbackCommand(), a.planCommand(), a.uninstallCommand(), statecmd.Command(statecmd.Config{}))
	for _, p := range a.Pods {
		c.AddCommand(a.podCommand(p))
	}
	if a.Commands != nil {
		client := new(frameworks.Client)
		for _, more := range a.Commands(client) {
			a.addAPI(more, client)
			c.AddCommand(more)
		}
	}
	return c
}

func help(c *cobra.Command, _ []string) error { return c.Help() }

// version is that of the module, which the go command knows, and of Go.
func version() string {
	module := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		module = info.Main.Version
	}
	return module + " " + runtime.Version()
}

// service is the default name of the service.
func (a App) service() string { return strings.TrimPrefix(a.Name, "mesos-") }

// variable is one of the environment: MESOS_KAFKA_API.
func (a App) variable(name string) string {
	return strings.ToUpper(strings.ReplaceAll(a.Name, "-", "_")) + "_" + name
}

// UsageError is what no second try with the same command line can cure.
type UsageError struct{ Err error }

func (e UsageError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e UsageError) Unwrap() error { return e.Err }

// ExitStatus is what a process ends with that failed of err: 2 for a
// UsageError, else 1.
func ExitStatus(err error) int {
	if _, ok := errors.AsType[UsageError](err); ok {
		return 2
	}
	return 1
}

// Args makes what is wrong with the arguments a UsageError that names the
// command.
func Args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return UsageError{fmt.Errorf("%s: %w", c.CommandPath(), err)}
		}
		return nil
	}
}
