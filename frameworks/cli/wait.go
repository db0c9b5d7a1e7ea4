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
		if look.Err() == nil {
			for _, line := range lacks {
				if !slices.Contains(said, line) {
					fmt.Fprintln(c.ErrOrStderr(), line)
				}
			}
			said = lacks
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
	return together(slices.DeleteFunc(slices.Clone(nodes), func(n frameworks.NodeStatus) bool {
		switch n.Goal {
		case frameworks.GoalStop:
			return n.Phase == frameworks.Stopped
		case frameworks.GoalLeave:
			return false
		}
		return arrived(n) && (n.Phase == frameworks.Finished || !n.Outdated())
	}))
}

// together says what nodes wait for, in one line for those that wait for the
// same: of many that are rolled, all but a few do.
func together(nodes []frameworks.NodeStatus) []string {
	var whys []string
	names := map[string][]string{}
	for _, n := range nodes {
		why := strings.TrimPrefix(lack(n), n.Name)
		if names[why] == nil {
			whys = append(whys, why)
		}
		names[why] = append(names[why], n.Name)
	}
	for i, why := range whys {
		whys[i] = names[why][0] + why
		if more := len(names[why]) - 1; more > 0 {
			whys[i] = fmt.Sprintf("%s and %d more%s", names[why][0], more, why)
		}
	}
	return whys
}

// lack is what a node waits for, in a line that stays the same while that does.
func lack(n frameworks.NodeStatus) string {
	line := n.Name + ": " + phase(n)
	for _, why := range []string{n.Waits, strings.TrimPrefix(n.Refused, n.Name+": ")} {
		if why != "" {
			line += ": " + why
		}
	}
	if last := (frameworks.Failure{Text: n.LastFailure}).Line(); n.Failures > 0 && !strings.Contains(n.Waits, last) {
		line += fmt.Sprintf(": failure %d: %s", n.Failures, last)
	}
	return cut(line)
}
