package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mesokit/mesokit/frameworks"
)

func (a App) planCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "plan",
		Short: "Show, start, pause, resume and cancel plans, and decide about their steps",
		Args:  Args(cobra.NoArgs),
		RunE:  help,
	}
	o := a.newOperator(c)
	c.AddCommand(o.planListCommand(), o.planShowCommand(), o.planHistoryCommand(), o.planStartCommand())
	for _, w := range []struct {
		name, short string
		ask         func(frameworks.Client, context.Context, string) (frameworks.PlanStatus, error)
	}{
		{"pause", "Let no further step of a plan begin", frameworks.Client.PausePlan},
		{"resume", "Let a plan go on that is paused", frameworks.Client.ResumePlan},
		{"cancel", "End a plan when the steps under way have ended", frameworks.Client.CancelPlan},
	} {
		c.AddCommand(o.planWishCommand(w.name+" plan", w.short, 1, func(ctx context.Context, args []string) (frameworks.PlanStatus, error) {
			return w.ask(*o.client, ctx, args[0])
		}))
	}
	for _, w := range []struct {
		name, short string
		ask         func(frameworks.Client, context.Context, string, string, string) (frameworks.PlanStatus, error)
	}{
		{"force", "Take a step for complete", frameworks.Client.ForceStep},
		{"skip", "Leave a step out", frameworks.Client.SkipStep},
		{"restart", "Begin a step anew", frameworks.Client.RestartStep},
	} {
		c.AddCommand(o.planWishCommand(w.name+" plan stage step", w.short, 3, func(ctx context.Context, args []string) (frameworks.PlanStatus, error) {
			return w.ask(*o.client, ctx, args[0], args[1], args[2])
		}))
	}
	return c
}

func (o *operator) planListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the plans",
		Args:  Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			status, err := o.client.Status(c.Context())
			if err != nil {
				return err
			}
			if o.json {
				return printJSON(c.OutOrStdout(), status.Plans)
			}
			return printPlans(c.OutOrStdout(), status.Plans)
		},
	}
}

func (o *operator) planShowCommand() *cobra.Command {
	return o.planWishCommand("show plan", "Show a plan with its steps", 1, func(ctx context.Context, args []string) (frameworks.PlanStatus, error) {
		return o.plan(ctx, args[0])
	})
}

func (o *operator) planHistoryCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "history plan",
		Short: "List the last runs of a plan that ended, the newest first",
		Args:  Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := o.plan(c.Context(), args[0])
			if err != nil {
				return fmt.Errorf("plan history: %w", err)
			}
			if o.json {
				return printJSON(c.OutOrStdout(), p.History)
			}
			return printHistory(c.OutOrStdout(), p.History)
		},
	}
}

// plan is the plan of a name, whoever it belongs to.
func (o *operator) plan(ctx context.Context, name string) (frameworks.PlanStatus, error) {
	status, err := o.client.Status(ctx)
	if err != nil {
		return frameworks.PlanStatus{}, err
	}
	var names []string
	for _, p := range status.Plans {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return frameworks.PlanStatus{}, fmt.Errorf("plan %q: %w; there are %s", name, frameworks.ErrUnknown, strings.Join(names, ", "))
}

func (o *operator) planStartCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "start plan [parameters]",
		Short: "Start a plan; parameters are JSON",
		Args:  Args(cobra.RangeArgs(1, 2)),
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		parameters := json.RawMessage("{}")
		if len(args) == 2 {
			parameters = json.RawMessage(args[1])
			if !json.Valid(parameters) {
				return UsageError{fmt.Errorf("parameters %q: wants JSON", args[1])}
			}
		}
		status, err := o.client.StartPlan(c.Context(), args[0], parameters)
		return o.printPlan(c, "start", status, err)
	}
	return c
}

func (o *operator) planWishCommand(use, short string, args int, ask func(context.Context, []string) (frameworks.PlanStatus, error)) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  Args(cobra.ExactArgs(args)),
		RunE: func(c *cobra.Command, args []string) error {
			status, err := ask(c.Context(), args)
			return o.printPlan(c, c.Name(), status, err)
		},
	}
}

func (o *operator) printPlan(c *cobra.Command, wish string, p frameworks.PlanStatus, err error) error {
	if err != nil {
		return fmt.Errorf("plan %s: %w", wish, err)
	}
	if o.json {
		return printJSON(c.OutOrStdout(), p)
	}
	if err := printPlans(c.OutOrStdout(), []frameworks.PlanStatus{p}); err != nil || len(p.Stages) == 0 {
		return err
	}
	return printSteps(c.OutOrStdout(), p)
}

func printPlans(w io.Writer, plans []frameworks.PlanStatus) error {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(columns, "PLAN\tSTATE\tDONE\tNEXT\tWHY")
	for _, p := range plans {
		next := "-"
		if !p.Next.IsZero() {
			next = p.Next.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(columns, "%s\t%s\t%d of %d\t%s\t%s\n", p.Name, p.State, p.Done, p.Steps, next, cmp.Or(cut(cmp.Or(p.Why, p.Trouble)), "-"))
	}
	return columns.Flush()
}

func printSteps(w io.Writer, p frameworks.PlanStatus) error {
	fmt.Fprintln(w)
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(columns, "STAGE\tSTEP\tSTATE\tATTEMPTS\tNODES\t")
	for _, stage := range p.Stages {
		for _, step := range stage.Steps {
			said := cmp.Or(step.Waits, step.Error, step.Progress, step.Result)
			fmt.Fprintf(columns, "%s\t%s\t%s\t%d\t%s\t%s\n", stage.Name, step.Name, step.State, step.Attempts,
				cmp.Or(strings.Join(step.Nodes, ","), "-"), cut(said))
		}
	}
	return columns.Flush()
}

func printHistory(w io.Writer, runs []frameworks.PlanSummary) error {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(columns, "RUN\tSTATE\tBY\tBEGAN\tTOOK\tSTEPS\tNODES\tFAILURES\tWHY")
	for _, r := range runs {
		nodes := strings.Join(r.Nodes, ",")
		if more := r.Steps - len(r.Nodes); nodes != "" && more > 0 {
			nodes += fmt.Sprintf(" and %d more", more)
		}
		why := r.Why
		if len(r.Overridden) > 0 {
			why = strings.TrimSpace(why + " (overridden: " + strings.Join(r.Overridden, ", ") + ")")
		}
		fmt.Fprintf(columns, "%d\t%s\t%s\t%s\t%s\t%d\t%s\t%d\t%s\n", r.Run, r.State, r.By, r.Since.UTC().Format(time.RFC3339),
			age(r.Ended.Sub(r.Since)), r.Steps, cmp.Or(nodes, "-"), r.Failures, cmp.Or(cut(why), "-"))
	}
	return columns.Flush()
}
