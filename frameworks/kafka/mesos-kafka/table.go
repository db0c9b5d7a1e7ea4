package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/mesokit/mesokit/frameworks"
)

// printStatus prints the table and, for each broker that is not well, what is
// known about it.
func printStatus(w io.Writer, s frameworks.Status, now time.Time) error {
	is := func(yes bool, word string) string {
		if yes {
			return word
		}
		return "not " + word
	}
	fmt.Fprintf(w, "%s: %d of %d brokers ready; framework %s, %s, %s\n\n", s.Service, s.Ready, len(s.Nodes),
		cmp.Or(s.FrameworkID, "without an id yet"), is(s.Connected, "connected"), is(s.Reconciled, "reconciled"))
	if err := printTable(w, s.Nodes, now); err != nil {
		return err
	}
	for _, n := range s.Nodes {
		for _, line := range troubles(n, now) {
			fmt.Fprintf(w, "\n%s\n", line)
		}
	}
	return nil
}

func printTable(w io.Writer, nodes []frameworks.NodeStatus, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "BROKER\tPHASE\tAGENT\tADDRESS\tTASK\tSINCE\tFAILURES")
	for _, n := range nodes {
		agent, since := "-", "-"
		if n.Place != nil {
			agent = n.Place.Hostname
		}
		if !n.Since.IsZero() {
			since = age(now.Sub(n.Since))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d\n",
			n.Name, n.Phase, agent, cmp.Or(n.Address("client"), "-"), cmp.Or(n.Task, "-"), since, n.Failures)
	}
	return t.Flush()
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

// troubles say what keeps a broker from being ready.
func troubles(n frameworks.NodeStatus, now time.Time) []string {
	var out []string
	if n.Refused != "" {
		out = append(out, "no place for "+n.Refused)
	}
	if n.Waits != "" {
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
		out = append(out, text)
	}
	return out
}
