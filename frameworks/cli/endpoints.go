package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mesokit/mesokit/frameworks"
)

// endpoint is where clients reach a node that serves.
type endpoint struct {
	Node string `json:"node"`
	// Role is what the domain calls it now, such as "primary".
	Role    string `json:"role,omitempty"`
	Port    string `json:"port"` // its name
	Address string `json:"address"`
}

func (a App) endpointsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "endpoints [role]",
		Short: "List where clients reach the nodes that are ready",
		Long: `List where clients reach the nodes that are ready, all or those of a role: what the
service calls them at this moment, such as "primary". With --wait and a role it is
listed when there is one.`,
		Args: Args(cobra.MaximumNArgs(1)),
	}
	o := a.newOperator(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		role := strings.Join(args, "")
		status, err := o.client.Status(c.Context())
		if o.wait {
			status, err = o.await(c, func(s frameworks.Status) []string {
				if len(endpoints(s, role)) > 0 {
					return nil
				}
				return []string{"no node is ready: " + cmp.Or(role, "of any role")}
			})
		}
		if err != nil {
			return err
		}
		list := endpoints(status, role)
		if o.json {
			return printJSON(c.OutOrStdout(), list)
		}
		columns := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(columns, "NODE\tROLE\tPORT\tADDRESS")
		for _, e := range list {
			fmt.Fprintf(columns, "%s\t%s\t%s\t%s\n", e.Node, cmp.Or(e.Role, "-"), e.Port, e.Address)
		}
		return columns.Flush()
	}
	return c
}

// endpoints are those of the nodes that are ready; of one role, unless that is
// empty.
func endpoints(s frameworks.Status, role string) []endpoint {
	list := []endpoint{}
	for _, n := range s.Nodes {
		if n.Phase != frameworks.Ready || n.Place == nil || role != "" && n.Role != role {
			continue
		}
		var ports []string
		for name := range n.Place.Ports {
			ports = append(ports, name)
		}
		slices.Sort(ports)
		for _, name := range ports {
			list = append(list, endpoint{n.Name, n.Role, name, n.Address(name)})
		}
	}
	return list
}
