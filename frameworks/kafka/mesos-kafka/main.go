// Mesos-kafka runs a Kafka cluster on Apache Mesos. One binary is everything:
// the scheduler, which agents fetch this same binary from to supervise their
// broker, and the commands of an operator.
//
//	mesos-kafka scheduler --master zk://zk1:2181/mesos --state /var/lib/mesos-kafka \
//	    --api 10.0.0.7:7000 --kafka /opt/kafka --constraint hostname:UNIQUE
//	mesos-kafka status
//	mesos-kafka broker restart 1
//
// It exits with 0 when it has done what it was told, with 1 when that failed,
// and with 2 when the command line or the declaration cannot be right.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks/kafka"
)

func main() {
	executor.Main(executor.Config{Steps: kafka.Steps()})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := root().ExecuteContext(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "mesos-kafka: %v\n", err)
		stop()
		os.Exit(exitStatus(err))
	}
}

// usageError is what no second try with the same command line can cure.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func exitStatus(err error) int {
	var usage usageError
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}

func root() *cobra.Command {
	c := &cobra.Command{
		Use:           "mesos-kafka",
		Short:         "Run a Kafka cluster on Apache Mesos",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usage(cobra.NoArgs),
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	c.AddCommand(schedulerCommand(), statusCommand(), brokerCommand())
	return c
}

// usage makes what is wrong with the arguments an error of usage.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usageError{fmt.Errorf("%s: %w", c.CommandPath(), err)}
		}
		return nil
	}
}
