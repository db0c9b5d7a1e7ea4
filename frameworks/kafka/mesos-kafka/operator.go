package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mesokit/mesokit/frameworks"
)

const (
	apiVariable = "MESOS_KAFKA_API"
	apiDefault  = "http://127.0.0.1:7000"
	brokerPod   = "broker"
)

// addAPI adds the flag that says where the scheduler is.
func addAPI(c *cobra.Command) *frameworks.Client {
	client := new(frameworks.Client)
	url := cmp.Or(os.Getenv(apiVariable), apiDefault)
	c.PersistentFlags().StringVar(&client.URL, "api", url, "the scheduler's API; also by the variable "+apiVariable)
	c.PersistentPreRun = func(*cobra.Command, []string) {
		if !strings.Contains(client.URL, "://") {
			client.URL = "http://" + client.URL
		}
	}
	return client
}

func statusCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show every broker, and why one has no place or fails",
		Args:  usage(cobra.NoArgs),
	}
	client := addAPI(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print the API's answer")
	c.RunE = func(c *cobra.Command, _ []string) error {
		status, err := client.Status(c.Context())
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(c.OutOrStdout(), status)
		}
		return printStatus(c.OutOrStdout(), status, time.Now())
	}
	return c
}

func brokerCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "broker",
		Short: "List, add, start, stop, restart and replace brokers",
		Args:  usage(cobra.NoArgs),
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	client := addAPI(c)
	c.AddCommand(listCommand(client), addCommand(client))
	for _, w := range []struct {
		name, short string
		ask         wish
	}{
		{"start", "Let a stopped broker run again", frameworks.Client.Start},
		{"stop", "Stop a broker, and keep its place and its data", frameworks.Client.Stop},
		{"restart", "Stop a broker and start it again in its place", frameworks.Client.Restart},
	} {
		c.AddCommand(wishCommand(client, w.name, w.short, w.ask))
	}
	c.AddCommand(replaceCommand(client))
	return c
}

func listCommand(client *frameworks.Client) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the brokers",
		Args:  usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			status, err := client.Status(c.Context())
			if err != nil {
				return err
			}
			return printTable(c.OutOrStdout(), status.Nodes, time.Now())
		},
	}
}

func addCommand(client *frameworks.Client) *cobra.Command {
	return &cobra.Command{
		Use:   "add [count]",
		Short: "Add one broker, or so many",
		Long: `Add one broker, or so many. The first three brokers of a cluster are its
controllers; those added later are brokers only. Partitions are not moved to
them by this.`,
		Args: usage(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			add := 1
			if len(args) == 1 {
				n, err := strconv.Atoi(args[0])
				if err != nil || n < 1 {
					return usageError{fmt.Errorf("count %q: wants 1 or more", args[0])}
				}
				add = n
			}
			status, err := client.Status(c.Context())
			if err != nil {
				return err
			}
			count := len(status.Nodes) + add
			status, err = client.Scale(c.Context(), brokerPod, count)
			if err != nil {
				return err
			}
			return printTable(c.OutOrStdout(), status.Nodes, time.Now())
		},
	}
}

// wish is a method of the client that asks something for one broker.
type wish func(frameworks.Client, context.Context, string) (frameworks.NodeStatus, error)

func replaceCommand(client *frameworks.Client) *cobra.Command {
	force := false
	c := wishCommand(client, "replace", "Give a broker a new place and an empty volume; the data in the old one is destroyed",
		func(client frameworks.Client, ctx context.Context, node string) (frameworks.NodeStatus, error) {
			if force {
				return client.ForceReplace(ctx, node)
			}
			return client.Replace(ctx, node)
		})
	c.Long += "\nIt is refused while another broker is not ready, for that one may hold the only other copy."
	c.Flags().BoolVar(&force, "force", false, "replace it even so")
	return c
}

func wishCommand(client *frameworks.Client, name, short string, ask wish) *cobra.Command {
	return &cobra.Command{
		Use:   name + " broker...",
		Short: short,
		Long:  short + ". A broker is named by its number or as in \"broker-1\".\nThe command returns when the wish is noted; status shows how it goes.",
		Args:  usage(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			var nodes []frameworks.NodeStatus
			for _, broker := range args {
				n, err := ask(*client, c.Context(), brokerName(broker))
				if err != nil {
					return fmt.Errorf("%s %s: %w", name, broker, err)
				}
				nodes = append(nodes, n)
			}
			return printTable(c.OutOrStdout(), nodes, time.Now())
		},
	}
}

// brokerName takes "1" for "broker-1".
func brokerName(arg string) string {
	if _, err := strconv.ParseUint(arg, 10, 32); err == nil {
		return brokerPod + "-" + arg
	}
	return arg
}

func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
