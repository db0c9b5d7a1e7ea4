package mysql

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/mesokit/mesokit/frameworks"
)

// donor is a member that another can be made a copy of.
type donor struct {
	name    string
	address string // of its server
	copies  string // where it hands out copies of itself; empty: its server does
	primary bool
}

// donors are the members that a new one can be made a copy of: replicas rather
// than the primary, which has other things to do. There are none as long as
// nobody has been a member.
func donors(d frameworks.Deployment, n frameworks.Node) (list []donor, founded bool) {
	for _, m := range d.Pod(pod) {
		founded = founded || m.Arrived > 0
		serves := m.Role == primaryRole || m.Role == electedRole || m.Role == replicaRole && m.Ready
		if m.Name == n.Name || m.Replace || !serves {
			continue
		}
		list = append(list, donor{m.Name, m.Address(port), m.Address(copiesPort), m.Role == primaryRole})
	}
	slices.SortStableFunc(list, func(a, b donor) int {
		switch {
		case a.primary == b.primary:
			return 0
		case a.primary:
			return 1
		}
		return -1
	})
	return list, founded
}

// writeDonors and readDonors carry them to the agent: "replica member-1
// 10.0.0.1:3306 10.0.0.1:3307; …".
func writeDonors(list []donor) string {
	var parts []string
	for _, d := range list {
		role := replicaRole
		if d.primary {
			role = primaryRole
		}
		parts = append(parts, strings.TrimSpace(strings.Join([]string{role, d.name, d.address, d.copies}, " ")))
	}
	return strings.Join(parts, "; ")
}

func readDonors(text string) ([]donor, error) {
	var list []donor
	for part := range strings.SplitSeq(text, ";") {
		fields := strings.Fields(part)
		switch len(fields) {
		case 0:
			continue
		case 3:
			fields = append(fields, "")
		case 4:
		default:
			return nil, fmt.Errorf("donor %q: wants a role, a name, and one or two addresses", part)
		}
		list = append(list, donor{fields[1], fields[2], fields[3], fields[0] == primaryRole})
	}
	return list, nil
}

// provision makes the data directory dir: an empty one in a set that is being
// founded, in any other a copy of what another member has. Where only a primary
// is left that has all its binary logs, these tell more safely: it can be copied
// only in a moment in which no write waits for an acknowledgement.
func (m maker) provision(ctx context.Context, dir string) error {
	if err := os.RemoveAll(dir + seedSuffix); err != nil { // of an attempt that was cut
		return err
	}
	if m.env[envFounded] != "true" {
		return m.initialise(ctx, dir)
	}
	list, err := readDonors(m.env[envDonors])
	if err != nil {
		return err
	}
	errs := []error{errors.New("find a member to be a copy of")}
	for _, from := range list {
		err := m.copyOf(ctx, from, dir)
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("copy %s: %w", from.name, err))
		if ctx.Err() != nil {
			break
		}
	}
	if len(list) == 0 {
		errs = append(errs, errors.New("there is neither a primary nor a replica in good order"))
	}
	return errors.Join(errs...)
}

func (m maker) copyOf(ctx context.Context, from donor, dir string) error {
	if from.primary {
		all, err := m.flavor.tellsAll(ctx, m, from)
		if err != nil {
			return err
		}
		if all {
			return m.initialise(ctx, dir)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := m.flavor.copy(ctx, m, from, dir); err != nil {
		return err
	}
	m.Report("copied from " + from.name)
	return nil
}
