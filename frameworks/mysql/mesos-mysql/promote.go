package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/cli"
	"github.com/mesokit/mesokit/frameworks/mysql"
)

// promote is the command that goes on without members that are gone for good.
func promote(api *frameworks.Client) *cobra.Command {
	accepted := false
	c := &cobra.Command{
		Use:   "promote [member]",
		Short: "Promote a survivor where the primary and others are gone for good, and accept what is lost",
		Long: `Promote a member although others may have acknowledged writes that it does not have,
where these are gone for good and nobody is promoted for that reason: the one that is
named by its number or in full, or the survivor that has most. Without --accept-loss it
says what that would cost, and does nothing. The others become copies of it; what is
on their volumes is destroyed, also where they come back later. It returns when the
member takes writes, which is when there is another that can acknowledge them. It is the plan "` + mysql.AcceptLossPlan + `". While all is well, use switchover.`,
		Args: cli.Args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			status, err := api.Status(c.Context())
			if err != nil {
				return fmt.Errorf("promote: %w", err)
			}
			impasse, err := mysql.ImpasseOf(status)
			if err != nil {
				return fmt.Errorf("promote: %w", err)
			}
			to := impasse.Best()
			if len(args) > 0 {
				to = named(args[0])
			}
			if to == "" {
				return errors.New("promote: no survivor has all that the others have; name the one to promote")
			}
			cost, err := impasse.Cost(to)
			if err != nil {
				return fmt.Errorf("promote: %w", err)
			}
			fmt.Fprint(c.OutOrStdout(), cost)
			if !accepted {
				return errors.New("promote: nothing is done yet; say --accept-loss if that is meant")
			}
			started, err := api.StartPlan(c.Context(), mysql.AcceptLossPlan, mysql.AcceptLoss{To: to, Epoch: impasse.Epoch})
			if err == nil {
				err = ended(c.Context(), api, mysql.AcceptLossPlan, started.Run)
			}
			if err != nil {
				return fmt.Errorf("promote: %w", err)
			}
			fmt.Fprintln(c.OutOrStdout(), to+" is the primary")
			return nil
		},
	}
	c.Flags().BoolVar(&accepted, "accept-loss", false, "do it, and lose what nobody else has")
	return c
}
