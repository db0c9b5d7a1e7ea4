package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/mesokit/mesokit/frameworks"
)

// table prints nodes for people, as of now.
type table struct {
	pods []Pod
	now  time.Time
}

// status prints the table and, for each node that is not well, what is known
// about it.
func (t table) status(w io.Writer, s frameworks.Status) error {
	is := func(yes bool, word string) string {
		if yes {
			return word
		}
		return "not " + word
	}
	kind := "nodes"
	if len(t.pods) == 1 {
		kind = t.pods[0].plural()
	}
	fmt.Fprintf(w, "%s: %d of %d %s ready; framework %s, %s, %s\n\n", s.Service, s.Ready, len(s.Nodes), kind,
		cmp.Or(s.FrameworkID, "without an id yet"), is(s.Connected, "connected"), is(s.Reconciled, "reconciled"))
	if s.Held != "" {
		fmt.Fprintf(w, "held, so that none is launched, updated or moved: %s\n\n", s.Held)
	}
	if err := t.nodes(w, s.Nodes); err != nil {
		return err
	}
	if s.Options != nil && s.Options.Trouble != "" {
		fmt.Fprintf(w, "\noptions: %s\n", s.Options.Trouble)
	}
	for _, n := range s.Nodes {
		for _, line := range troubles(n, t.now) {
			fmt.Fprintf(w, "\n%s\n", line)
		}
	}
	if s.Uninstall != nil {
		for _, left := range s.Uninstall.Left {
			fmt.Fprintf(w, "\nnot given back: %s on agent %s\n", left.ID, left.Where())
		}
	}
	return nil
}

func (t table) nodes(w io.Writer, nodes []frameworks.NodeStatus) error {
	kind := "NODE"
	if len(t.pods) == 1 {
		kind = strings.ToUpper(t.pods[0].Name)
	}
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	role, of := "", func(frameworks.NodeStatus) string { return "" }
	if slices.ContainsFunc(nodes, func(n frameworks.NodeStatus) bool { return n.Role != "" }) {
		role, of = "ROLE\t", func(n frameworks.NodeStatus) string { return cmp.Or(n.Role, "-") + "\t" }
	}
	fmt.Fprintln(columns, kind+"\tPHASE\t"+role+"AGENT\tADDRESS\tTASK\tSINCE\tFAILURES")
	for _, n := range nodes {
		agent, since := "-", "-"
		if n.Place != nil {
			agent = n.Place.Hostname
		}
		if !n.Since.IsZero() {
			since = age(t.now.Sub(n.Since))
		}
		fmt.Fprintf(columns, "%s\t%s\t%s%s\t%s\t%s\t%s\t%d\n",
			n.Name, phase(n), of(n), agent, cmp.Or(t.address(n), "-"), cmp.Or(n.Task, "-"), since, n.Failures)
	}
	return columns.Flush()
}

// phase is how far a node has come, with what is to come besides.
func phase(n frameworks.NodeStatus) string {
	switch {
	case n.Goal == frameworks.GoalLeave:
		return string(n.Phase) + ", leaves"
	case n.Outdated() && n.Phase == frameworks.Ready:
		return string(n.Phase) + ", out of date"
	}
	return string(n.Phase)
}

// address is that of the port that the node's pod shows.
func (t table) address(n frameworks.NodeStatus) string {
	for _, p := range t.pods {
		if p.Name == n.Pod {
			return n.Address(p.Port)
		}
	}
	return ""
}

// age is a duration in its largest unit that is worth a number.
func age(d time.Duration) string {
	switch {
	case d < time.Second:
		return "0s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// cut leaves of a line what a terminal can show; --json has all of it.
func cut(line string) string {
	const most = 200
	if runes := []rune(line); len(runes) > most {
		return string(runes[:most]) + " …"
	}
	return line
}

// troubles say what keeps a node from being ready.
func troubles(n frameworks.NodeStatus, now time.Time) []string {
	var out []string
	if n.Refused != "" {
		out = append(out, "no place for "+n.Refused)
	}
	switch {
	case n.Waits != "" && n.Phase == frameworks.Ready:
		out = append(out, fmt.Sprintf("%s waits: %s", n.Name, n.Waits))
	case n.Waits != "" && n.Phase != frameworks.BackingOff: // its failures say it, below
		out = append(out, fmt.Sprintf("%s is not ready: %s", n.Name, n.Waits))
	}
	if n.Failures > 0 {
		text := n.Name + " failed once"
		if n.Failures > 1 {
			text = fmt.Sprintf("%s failed %d times in a row", n.Name, n.Failures)
		}
		if wait := n.Retry.Sub(now); wait > 0 {
			text += fmt.Sprintf(", and is tried again in %s", age(wait))
		}
		text += ":"
		for line := range strings.Lines(n.LastFailure) {
			text += "\n  " + cut(strings.TrimSuffix(line, "\n"))
		}
		for _, before := range n.Past[min(len(n.Past), 1):] {
			text += fmt.Sprintf("\n  and %s ago: %s", age(now.Sub(before.At)), cut(before.Line()))
		}
		out = append(out, text)
	}
	return out
}
