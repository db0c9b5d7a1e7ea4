package sandbox

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// processes is the table of all processes, from /proc.
func processes() ([]process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("sandbox: listing processes: %w", err)
	}
	var table []process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		// A process may end between the listing and the reading.
		if p, ok := readStat(pid); ok {
			table = append(table, p)
		}
	}
	return table, nil
}

// lookup is the row of one process.
func lookup(pid int) (process, bool) { return readStat(pid) }

// readStat reads /proc/<pid>/stat, see proc_pid_stat(5). The second field is
// the name of the program in parentheses and may hold anything, so the others
// are counted from the last parenthesis on.
func readStat(pid int) (process, bool) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return process{}, false
	}
	_, rest, ok := strings.Cut(string(b[bytes.LastIndexByte(b, ')')+1:]), " ")
	field := strings.Fields(rest)
	const state, parent, group, session, started = 0, 1, 2, 3, 19
	if !ok || len(field) <= started {
		return process{}, false
	}
	p := process{pid: pid, started: field[started], defunct: field[state] == "Z" || field[state] == "X"}
	for i, n := range map[int]*int{parent: &p.parent, group: &p.group, session: &p.session} {
		if *n, err = strconv.Atoi(field[i]); err != nil {
			return process{}, false
		}
	}
	return p, true
}

// carries reports whether the process was started with the variable, given as
// "name=value", in its environment. That of other users' processes cannot be
// read unless by root: they do not carry it.
func carries(pid int, variable string) bool {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil {
		return false
	}
	for v := range bytes.SplitSeq(b, []byte{0}) {
		if string(v) == variable {
			return true
		}
	}
	return false
}
