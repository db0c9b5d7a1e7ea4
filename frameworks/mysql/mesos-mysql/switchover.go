package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/cli"
	"github.com/mesokit/mesokit/frameworks/mysql"
)

// switchover is the command that makes a replica the primary.
func switchover(api *frameworks.Client) *cobra.Command {
	return &cobra.Command{
		Use:   "switchover [member]",
		Short: "Make a replica the primary, without loss of a write",
		Long: `Make a replica the primary: the one that is named by its number or in full, or any.
The primary takes no more writes, the replica applies the last of them and takes
over; that takes about a second. It returns when that has happened; if it cannot, the
old primary goes on. It is the plan "` + mysql.SwitchoverPlan + `".`,
		Args: cli.Args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			var p mysql.Switchover
			if len(args) > 0 {
				p.To = named(args[0])
			}
			started, err := api.StartPlan(c.Context(), mysql.SwitchoverPlan, p)
			if err != nil {
				return fmt.Errorf("switchover: %w", err)
			}
			if err := ended(c.Context(), api, mysql.SwitchoverPlan, started.Run); err != nil {
				return fmt.Errorf("switchover: %w", err)
			}
			fmt.Fprintln(c.OutOrStdout(), started.Stages[0].Steps[0].Name+" is the primary")
			return nil
		},
	}
}

// named is a member that is named by its number or in full.
func named(member string) string {
	if _, err := strconv.ParseUint(member, 10, 32); err == nil {
		return "member-" + member
	}
	return member
}

// ended waits for the end of a run of a plan, and cancels one that failed, so that
// another can begin.
func ended(ctx context.Context, api *frameworks.Client, plan string, number int) error {
	again := time.NewTicker(250 * time.Millisecond)
	defer again.Stop()
	for {
		status, err := api.Status(ctx)
		for _, p := range status.Plans {
			if err != nil || p.Name != plan {
				continue
			}
			if i := slices.IndexFunc(p.History, func(h frameworks.PlanSummary) bool { return h.Run == number }); i >= 0 {
				if state := p.History[i].State; state != frameworks.PlanComplete {
					return fmt.Errorf("it was %s", state)
				}
				return nil
			}
			if p.Run == number && p.State == frameworks.PlanPaused {
				_, err := api.CancelPlan(ctx, p.Name)
				return errors.Join(errors.New(p.Stages[0].Steps[0].Error), err)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("interrupted; it goes on without this command: %w", ctx.Err())
		case <-again.C:
		}
	}
}
