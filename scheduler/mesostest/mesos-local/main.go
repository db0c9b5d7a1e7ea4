package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	// A signal ends the cluster; another does not end that, which would leave
	// processes.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := root().ExecuteContext(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "mesos-local: %v\n", err)
		os.Exit(exitStatus(err))
	}
}

// usageError is what no second try with the same command line can cure.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func exitStatus(err error) int {
	if _, ok := errors.AsType[usageError](err); ok {
		return 2
	}
	return 1
}

const about = `Run a Mesos cluster on this machine: a master and agents that answer as a
real Mesos 1.12 does and run real processes, in one process, without a Mesos
installed.

A cluster file, YAML or JSON ("-": the standard input), has a key for each flag
below, a list "agents", and "credentials" as a mapping. Flags win over the file,
and agents of flags are added to those of the file. Without any agent there are
three. The keys of an agent:

%s
When the cluster is ready its addresses are printed as one line of JSON, and
nothing else is ever printed to the standard output. Ctrl-C (SIGINT), SIGTERM
or SIGHUP ends it with all processes and files.`

// root is the command.
func root() *cobra.Command {
	c := newCluster()
	var flags []assignment
	cmd := &cobra.Command{
		Use:   "mesos-local [cluster file]",
		Short: "Run a Mesos cluster on this machine",
		Long:  fmt.Sprintf(about, keys((&agent{}).fields())),
		Example: `  mesos-local --agent '{hostname: host1.test, attributes: "rack:r1"}' --agent '{count: 3}'
  mesos-local cluster.yaml --address 127.0.0.1:0`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(c *cobra.Command, args []string) error {
			if err := cobra.MaximumNArgs(1)(c, args); err != nil {
				return usageError{err}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if len(args) > 0 {
				err = c.read(args[0], cmd.InOrStdin())
			}
			for _, f := range flags {
				err = errors.Join(err, f.apply())
			}
			if err = errors.Join(err, c.validate()); err != nil {
				return usageError{err}
			}
			return run(cmd.Context(), c, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	// A value is assigned after the file was read.
	later := func(name, kind, help string, apply func(value string) error) {
		v := &flag{kind: kind, set: func(value string) { flags = append(flags, assignment{name, value, apply}) }}
		f := cmd.Flags().VarPF(v, name, "", help)
		if kind == "bool" {
			f.NoOptDefVal = "true"
		}
	}
	for _, f := range c.fields() {
		if f.set == nil {
			continue
		}
		kind := "value"
		if f.name == "keep" {
			kind = "bool"
		}
		later(f.name, kind, f.help, func(value string) error {
			if f.set(value) != nil {
				return fmt.Errorf("is %q: want %s", value, f.want)
			}
			return nil
		})
	}
	later("agent", "agent", "one `agent`, or several equal ones, as a mapping in YAML or JSON; may be given again", c.addText)
	later("credential", "credential", "`principal=secret`: turns on the basic authentication of schedulers; may be given again", c.addCredential)
	return cmd
}

// flag is the value of a flag that is used later.
type flag struct {
	kind string
	set  func(string)
}

func (f *flag) String() string { return "" }
func (f *flag) Type() string   { return f.kind }
func (f *flag) Set(value string) error {
	f.set(value)
	return nil
}

// assignment is a flag with its value.
type assignment struct {
	name, value string
	set         func(string) error
}

func (a assignment) apply() error {
	if err := a.set(a.value); err != nil {
		return fmt.Errorf("--%s %w", a.name, err)
	}
	return nil
}

// keys explains fields, one a line.
func keys(fields []field) string {
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&b, "  %-32s %s\n", f.name, f.help)
	}
	return b.String()
}
