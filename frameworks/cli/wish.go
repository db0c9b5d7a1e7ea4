package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mesokit/mesokit/frameworks"
)

// wish is what an operator can want of one node.
type wish struct {
	name  string
	short string // with the kind of node in place of %s
	ask   func(frameworks.Client, context.Context, string) (frameworks.NodeStatus, error)
	// came says whether it has come true, for a node that was as before. Nil: it
	// has when there is no such node any more.
	came func(before, now frameworks.NodeStatus) bool
	// force is asked in the place of ask with --force; nil: no such flag.
	force func(frameworks.Client, context.Context, string) (frameworks.NodeStatus, error)
}

var wishes = []wish{{
	name: "start", short: "Let a stopped %s run again",
	ask:  frameworks.Client.Start,
	came: func(_, now frameworks.NodeStatus) bool { return arrived(now) },
}, {
	name: "stop", short: "Stop a %s, and keep its place and its data",
	ask:  frameworks.Client.Stop,
	came: func(_, now frameworks.NodeStatus) bool { return now.Phase == frameworks.Stopped },
}, {
	name: "restart", short: "Stop a %s and start it again in its place",
	ask: frameworks.Client.Restart,
	came: func(before, now frameworks.NodeStatus) bool {
		return arrived(now) && now.Incarnation > before.Incarnation
	},
}, {
	name: "replace", short: "Give a %s a new place and an empty volume; the data in the old one is destroyed",
	ask:   frameworks.Client.Replace,
	force: frameworks.Client.ForceReplace,
	came: func(before, now frameworks.NodeStatus) bool {
		return arrived(now) && now.Generation > before.Generation
	},
}, {
	name: "allow", short: "Let a %s run again that a routine has fenced, whatever the routine knows of it",
	ask:  frameworks.Client.Allow,
	came: func(_, now frameworks.NodeStatus) bool { return arrived(now) },
}, {
	name: "remove", short: "Let a %s hand over what it holds, give its place back, and forget it",
	ask:   frameworks.Client.Remove,
	force: frameworks.Client.ForceRemove,
}}

// arrived says whether a node serves, or has done its work.
func arrived(n frameworks.NodeStatus) bool {
	return n.Phase == frameworks.Ready || n.Phase == frameworks.Finished
}

func (o *operator) wishCommand(p Pod, w wish) *cobra.Command {
	short := fmt.Sprintf(w.short, p.Name)
	force := false
	c := &cobra.Command{
		Use:   fmt.Sprintf("%s %s...", w.name, p.Name),
		Short: short,
		Long: fmt.Sprintf("%s.\nA %s is named by its number or as in \"%[2]s-1\". All that are named are looked up before\n"+
			"the first is touched. The command returns when the wish is noted; status shows how it goes.", short, p.Name),
		Args: Args(cobra.MinimumNArgs(1)),
	}
	if w.force != nil {
		c.Long += "\nIt is refused where data would be lost as things stand."
		if w.name == "replace" && p.Replace != "" {
			c.Long += " " + p.Replace
		}
		c.Flags().BoolVar(&force, "force", false, w.name+" it even so")
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		ask := w.ask
		if force {
			ask = w.force
		}
		nodes, err := o.lookUp(c.Context(), p, args)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		for i, before := range nodes {
			if nodes[i], err = o.wish(c, w, ask, before); err != nil {
				return fmt.Errorf("%s %s%s: %w", w.name, before.Name, already(nodes[:i]), err)
			}
		}
		return o.print(c.OutOrStdout(), nodes)
	}
	return c
}

// already says what was granted before a wish that was not.
func already(nodes []frameworks.NodeStatus) string {
	if len(nodes) == 0 {
		return ""
	}
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	return " (after " + strings.Join(names, ", ") + ")"
}

// lookUp finds the nodes that are named by number or in full, or says which
// are not there.
func (o *operator) lookUp(ctx context.Context, p Pod, args []string) ([]frameworks.NodeStatus, error) {
	status, err := o.client.Status(ctx)
	if err != nil {
		return nil, err
	}
	known := map[string]frameworks.NodeStatus{}
	var names []string
	for _, n := range nodesOf(status, p.Name) {
		known[n.Name] = n
		names = append(names, n.Name)
	}
	var nodes []frameworks.NodeStatus
	var errs []error
	seen := map[string]bool{}
	for _, arg := range args {
		name := arg
		if _, err := strconv.ParseUint(arg, 10, 32); err == nil {
			name = p.Name + "-" + arg
		}
		n, ok := known[name]
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("%s %q: %w; there are %s", p.Name, name, frameworks.ErrUnknown, strings.Join(names, ", ")))
		case !seen[name]:
			nodes = append(nodes, n)
		}
		seen[name] = true
	}
	return nodes, errors.Join(errs...)
}

// wish asks for one node and, if that is wanted, waits for it.
func (o *operator) wish(c *cobra.Command, w wish, ask func(frameworks.Client, context.Context, string) (frameworks.NodeStatus, error), before frameworks.NodeStatus) (frameworks.NodeStatus, error) {
	now, err := ask(*o.client, c.Context(), before.Name)
	if w.came == nil && errors.Is(err, frameworks.ErrUnknown) {
		return before, nil // it is gone already
	}
	if err != nil || !o.wait {
		return now, err
	}
	asked, dropped := now, false
	_, err = o.await(c, func(s frameworks.Status) []string {
		n, ok := find(s, before.Name)
		switch {
		case !ok && w.came == nil:
			return nil
		case !ok:
			return []string{before.Name + ": is not there any more"}
		}
		now = n
		dropped = asked.Replace && !n.Replace && n.Generation == asked.Generation
		if dropped || w.came != nil && w.came(before, n) {
			return nil
		}
		return []string{lack(n)}
	})
	if err == nil && dropped {
		err = fmt.Errorf("the wish was dropped: %s", lack(now))
	}
	return now, err
}

func find(s frameworks.Status, name string) (frameworks.NodeStatus, bool) {
	for _, n := range s.Nodes {
		if n.Name == name {
			return n, true
		}
	}
	return frameworks.NodeStatus{}, false
}
