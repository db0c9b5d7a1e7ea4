package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mesokit/mesokit/frameworks"
)

func (a App) optionsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "options",
		Short: "Print the options in force, as JSON",
		Long:  "Print the options in force, as JSON: what update takes. --describe prints a table\nof what they can be.",
		Args:  Args(cobra.NoArgs),
	}
	o := a.newOperator(c)
	describe := c.Flags().Bool("describe", false, "print each option's type, value, default and what it is for")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *describe {
			report, err := o.client.Options(c.Context())
			if err != nil {
				return err
			}
			return describeOptions(c.OutOrStdout(), report.Schema)
		}
		status, err := o.client.Status(c.Context())
		if err != nil {
			return err
		}
		if status.Options == nil {
			return fmt.Errorf("options: %s has none that can be changed while it runs", status.Service)
		}
		return printJSON(c.OutOrStdout(), status.Options.Target)
	}
	return c
}

// describeOptions prints a table of options.
func describeOptions(w io.Writer, schema []frameworks.Option) error {
	if len(schema) == 0 {
		return fmt.Errorf("options: %w: the program does not describe its options", frameworks.ErrUnknown)
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "OPTION\tTYPE\tVALUE\tDEFAULT\t")
	for _, o := range schema {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", o.Name, o.Type, o.Value, o.Default, o.Help)
	}
	return t.Flush()
}

func (a App) updateCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "update file",
		Short: "Change options of the service to those in a file, and roll its nodes",
		Long: `Change options of the service to those in a file ("-": standard input), as options
prints them. What the file leaves out stays as it is; null takes the default. It is
refused, field by field, where data would be lost. Nodes that are out of date are
restarted one after the other, as the service can spare them; with --wait the
command returns when the last of them is ready.

    ` + a.Name + ` options >options.json
    $EDITOR options.json
    ` + a.Name + ` update options.json --wait`,
		Args: Args(cobra.ExactArgs(1)),
	}
	o := a.newOperator(c)
	shrink := false
	c.Flags().BoolVar(&shrink, "shrink", false, "let volumes become smaller, in place; nobody looks whether what is in them fits")
	c.RunE = func(c *cobra.Command, args []string) error {
		options, err := readOptions(c.InOrStdin(), args[0])
		if err != nil {
			return UsageError{fmt.Errorf("update: %w", err)}
		}
		update := o.client.Update
		if shrink {
			update = o.client.UpdateAndShrink
		}
		return o.change(c, "update", func(ctx context.Context) (frameworks.Status, error) { return update(ctx, options) })
	}
	return c
}

func readOptions(in io.Reader, file string) (json.RawMessage, error) {
	if file != "-" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(text)
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return nil, err
	}
	if !json.Valid(text) {
		return nil, fmt.Errorf("%s: wants JSON, as options prints it", file)
	}
	return text, nil
}

func (a App) rollbackCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "rollback",
		Short: "Return to the last options with which every node was ready",
		Args:  Args(cobra.NoArgs),
	}
	o := a.newOperator(c)
	c.RunE = func(c *cobra.Command, _ []string) error { return o.change(c, "rollback", o.client.Rollback) }
	return c
}

// change asks for a change of the service and, if that is wanted, waits for it.
func (o *operator) change(c *cobra.Command, wish string, ask func(context.Context) (frameworks.Status, error)) error {
	status, err := ask(c.Context())
	if err == nil && o.wait {
		asked := status.Options
		status, err = o.await(c, changed)
		if err == nil {
			err = overruled(asked, status.Options)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", wish, err)
	}
	return o.print(c.OutOrStdout(), status.Nodes)
}

// changed says what is not yet as the options in force want it.
func changed(s frameworks.Status) []string {
	lacks := settled(s)
	if o := s.Options; len(lacks) == 0 && o != nil && !bytes.Equal(o.Good, o.Target) {
		return []string{"the nodes are to be compared with the options"}
	}
	return lacks
}

// overruled says that the options in force are not those that were asked for: a
// rollout that failed is rolled back.
func overruled(asked, now *frameworks.OptionsStatus) error {
	if asked == nil || now == nil || bytes.Equal(asked.Target, now.Target) {
		return nil
	}
	return fmt.Errorf("other options are in force: %s", cmp.Or(now.Trouble, "somebody has changed them since"))
}

// uninstallWithin is how long uninstall --wait waits unless it is told.
const uninstallWithin = 20 * time.Minute

func (a App) uninstallCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "uninstall service",
		Short: "End the service with all that it holds; its data is destroyed",
		Long: `End the service: its nodes stop, its volumes are destroyed, its reservations given
back, and the framework leaves Mesos. Nothing of its data is left. The argument is
the service's name, so that it is the right one. What could not be given back,
because an agent is away, is listed by status.`,
		Args: Args(cobra.ExactArgs(1)),
	}
	o := a.newOperator(c)
	if f := c.Flags().Lookup("timeout"); f != nil { // longer than the engine waits for agents that are away
		f.DefValue, o.timeout = uninstallWithin.String(), uninstallWithin
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		status, err := o.client.Status(c.Context())
		if err != nil {
			return fmt.Errorf("uninstall: %w", err)
		}
		if status.Service != args[0] {
			return UsageError{fmt.Errorf("uninstall %q: the service at %s is %q", args[0], o.client.URL, status.Service)}
		}
		status, err = o.client.Uninstall(c.Context())
		if err == nil && o.wait {
			status, err = o.await(c, remains)
		}
		if err != nil {
			return fmt.Errorf("uninstall: %w", err)
		}
		return o.print(c.OutOrStdout(), status.Nodes)
	}
	return c
}

// remains says what of a service that is uninstalled is still there.
func remains(s frameworks.Status) []string {
	if s.Uninstall != nil && !s.Uninstall.Ended.IsZero() {
		return nil
	}
	lacks := []string{"places are to be given back"}
	if s.Uninstall != nil && len(s.Uninstall.Left) > 0 {
		first := s.Uninstall.Left[0]
		lacks = []string{fmt.Sprintf("%d places are to be given back, such as %s, when agent %s is there", len(s.Uninstall.Left), first.ID, first.Where())}
		if until := s.Uninstall.Until(); !until.IsZero() {
			lacks[0] += "; the uninstall ends without it at " + until.UTC().Format(time.RFC3339)
		}
	}
	return append(lacks, together(s.Nodes)...)
}
