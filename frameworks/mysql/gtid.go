package mysql

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// gtids is a set of transactions: of each source, which of its numbers. A
// source is what numbers are given out by: in MySQL a server's uuid, in MariaDB
// a replication domain.
//
// The ranges of a source are in order, and neither touch nor overlap.
type gtids map[string][]numbers

// numbers are those from first to last, both included; first is 1 or more.
type numbers struct{ first, last uint64 }

// parseUUIDs reads a set as MySQL writes it:
// "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-3:11, …", with blanks and newlines
// after the commas.
func parseUUIDs(text string) (gtids, error) {
	set := gtids{}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		fields := strings.Split(part, ":")
		if len(fields) < 2 || fields[0] == "" {
			return nil, fmt.Errorf("GTID set %q: wants uuid:first-last", part)
		}
		for _, text := range fields[1:] {
			from, to, ranged := strings.Cut(text, "-")
			if !ranged {
				to = from
			}
			first, err := strconv.ParseUint(from, 10, 64)
			last, err2 := strconv.ParseUint(to, 10, 64)
			if err != nil || err2 != nil || first == 0 || last < first {
				return nil, fmt.Errorf("GTID set %q: %q: wants numbers from 1, first-last", part, text)
			}
			set.add(strings.ToLower(fields[0]), numbers{first, last})
		}
	}
	return set, nil
}

// parseDomains reads a position as MariaDB writes it: "0-1-44,1-2-7", each
// domain with the server and the number of its last transaction. Servers do not
// count: numbers go on across them.
func parseDomains(text string) (gtids, error) {
	set := gtids{}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		fields := strings.Split(part, "-")
		if len(fields) != 3 {
			return nil, fmt.Errorf("GTID position %q: wants domain-server-number", part)
		}
		for _, field := range fields {
			if _, err := strconv.ParseUint(field, 10, 64); err != nil {
				return nil, fmt.Errorf("GTID position %q: %q: wants a number", part, field)
			}
		}
		if last, _ := strconv.ParseUint(fields[2], 10, 64); last > 0 {
			set.add(fields[0], numbers{1, last})
		}
	}
	return set, nil
}

// add puts a range into the set, joining those that it touches.
func (s gtids) add(source string, n numbers) {
	var out []numbers
	for _, old := range s[source] {
		switch {
		case old.last < n.first && n.first-old.last > 1, n.last < old.first && old.first-n.last > 1:
			out = append(out, old)
		default:
			n = numbers{min(n.first, old.first), max(n.last, old.last)}
		}
	}
	out = append(out, n)
	slices.SortFunc(out, func(a, b numbers) int { return cmp.Compare(a.first, b.first) })
	s[source] = out
}

// union is what is in either.
func (s gtids) union(other gtids) gtids {
	out := gtids{}
	for _, set := range []gtids{s, other} {
		for source, ranges := range set {
			for _, n := range ranges {
				out.add(source, n)
			}
		}
	}
	return out
}

// minus is what is in s and not in other.
func (s gtids) minus(other gtids) gtids {
	out := gtids{}
	for source, ranges := range s {
		for _, n := range ranges {
			for _, rest := range n.minus(other[source]) {
				out.add(source, rest)
			}
		}
	}
	return out
}

// minus is what is left of a range without others, which are in order.
func (n numbers) minus(others []numbers) []numbers {
	var out []numbers
	for _, o := range others {
		if o.last < n.first || o.first > n.last {
			continue
		}
		if o.first > n.first {
			out = append(out, numbers{n.first, o.first - 1})
		}
		if o.last >= n.last {
			return out
		}
		n.first = o.last + 1
	}
	return append(out, n)
}

// contains says whether all of other is in s.
func (s gtids) contains(other gtids) bool {
	for source, ranges := range other {
		for _, n := range ranges {
			in := func(mine numbers) bool { return mine.first <= n.first && n.last <= mine.last }
			if !slices.ContainsFunc(s[source], in) {
				return false
			}
		}
	}
	return true
}

// String writes the set as MySQL does.
func (s gtids) String() string {
	var parts []string
	for _, source := range slices.Sorted(maps.Keys(s)) {
		part := source
		for _, n := range s[source] {
			part += ":" + strconv.FormatUint(n.first, 10)
			if n.last > n.first {
				part += "-" + strconv.FormatUint(n.last, 10)
			}
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ",")
}

// candidate is a member that could become the primary.
type candidate struct {
	node string
	has  gtids // executed and received
	able bool  // to be promoted; one that is not is still to lose nothing
}

// elect chooses a member that has all that any of them has; of several the
// first. Where nobody has, histories have parted: to choose one would lose what
// only another has, so nobody is chosen.
func elect(candidates []candidate) (winner string, err error) {
	unable := ""
	for _, c := range candidates {
		lacks := func(other candidate) bool { return !c.has.contains(other.has) }
		switch {
		case slices.ContainsFunc(candidates, lacks):
		case c.able:
			return c.node, nil
		case unable == "":
			unable = c.node
		}
	}
	if unable != "" {
		return "", fmt.Errorf("only %s has all transactions, and Mesos cannot reach its executor: it is promoted when that has its lease again", unable)
	}
	if len(candidates) == 0 {
		return "", fmt.Errorf("no member answers")
	}
	var parts []string
	for _, c := range candidates {
		parts = append(parts, fmt.Sprintf("%s has %s", c.node, c.has))
	}
	return "", fmt.Errorf("histories have parted, and none has all transactions: %s; replace the member that is to give its own up", strings.Join(parts, "; "))
}
