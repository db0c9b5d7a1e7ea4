package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mesokit/mesokit/frameworks"
)

const askAgain = 250 * time.Millisecond

// await asks for the status until nothing is missing, and says what is whenever
// that changes. A scheduler that does not answer is asked again: it may be on
// its way from one machine to another.
func (o *operator) await(c *cobra.Command, missing func(frameworks.Status) []string) (frameworks.Status, error) {
	ctx, cancel := context.WithTimeout(c.Context(), o.timeout)
	defer cancel()
	again := time.NewTicker(askAgain)
	defer again.Stop()
	var said []string
	empty := false
	for look := c.Context(); ; look = ctx { // once in any case
		status, err := o.client.Status(look)
		var lacks []string
		switch {
		case errors.Is(err, syscall.ECONNREFUSED) && empty:
			return status, nil
		case err != nil:
			lacks = []string{err.Error()}
		default:
			if lacks = missing(status); len(lacks) == 0 {
				return status, nil
			}
			empty = status.Uninstall != nil && len(status.Nodes) == 0
		}
		if look.Err() == nil && !slices.Equal(lacks, said) {
			said = lacks
			for _, line := range lacks {
				fmt.Fprintln(c.ErrOrStderr(), line)
			}
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			if err := c.Context().Err(); err != nil {
				return status, fmt.Errorf("interrupted; it goes on without this command: %w", err)
			}
			return status, fmt.Errorf("not yet after %v, and goes on without this command: %s", o.timeout, strings.Join(said, "; "))
		}
	}
}

// settled says what is not as it is wanted.
func settled(s frameworks.Status) []string {
	if !s.Connected || !s.Reconciled {
		return []string{"the scheduler has not heard from the master about every task yet"}
	}
	return unsettled(s.Nodes)
}

func unsettled(nodes []frameworks.NodeStatus) []string {
	var out []string
	for _, n := range nodes {
		want := frameworks.Ready
		if n.Goal == frameworks.GoalStop {
			want = frameworks.Stopped
		}
		if n.Phase != want || n.Outdated() && want == frameworks.Ready {
			out = append(out, lack(n))
		}
	}
	return out
}

// lack is what a node waits for, in a line that stays the same while that does.
func lack(n frameworks.NodeStatus) string {
	line := n.Name + ": " + phase(n)
	for _, why := range []string{n.Waits, strings.TrimPrefix(n.Refused, n.Name+": ")} {
		if why != "" {
			line += ": " + why
		}
	}
	if n.Failures > 0 {
		first, _, _ := strings.Cut(n.LastFailure, "\n")
		line += fmt.Sprintf(": failure %d: %s", n.Failures, strings.TrimSuffix(first, "; last lines:"))
	}
	return cut(line)
}
