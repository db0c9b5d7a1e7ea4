package proc

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"time"
)

// clockTick is the unit of times in /proc/<pid>/stat: USER_HZ, which is 100 on
// every architecture that Go runs on.
const clockTick = 10 * time.Millisecond

// All are the processes that /proc shows, found as ps finds them: not every kernel
// has /proc/<pid>/task/<tid>/children.
func All() ([]Process, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	names, err := dir.Readdirnames(-1)
	if err := errors.Join(err, dir.Close()); err != nil {
		return nil, err
	}
	var all []Process
	for _, name := range names {
		if name[0] < '0' || name[0] > '9' {
			continue
		}
		stat, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue // it has ended meanwhile
		}
		if p, ok := parse(stat); ok {
			all = append(all, p)
		}
	}
	return all, nil
}

// parse reads /proc/<pid>/stat, see proc_pid_stat(5). The second field is the
// name of the program in parentheses and may itself hold spaces and parentheses.
func parse(stat []byte) (Process, bool) {
	pid, rest, _ := bytes.Cut(stat, []byte(" ("))
	fields := bytes.Fields(rest[bytes.LastIndexByte(rest, ')')+1:])
	if len(fields) < 22 || !bytes.Contains(rest, []byte{')'}) {
		return Process{}, false
	}
	ok := true
	number := func(field []byte) int64 {
		n, err := strconv.ParseInt(string(field), 10, 64)
		ok = ok && err == nil
		return n
	}
	ticks := func(first int) time.Duration { // numbered from 3, the state
		return time.Duration(number(fields[first-3])+number(fields[first-2])) * clockTick
	}
	p := Process{
		PID: int(number(pid)), Parent: int(number(fields[4-3])), Group: int(number(fields[5-3])),
		CPU: ticks(14), Reaped: ticks(16),
		Memory: number(fields[24-3]) * int64(os.Getpagesize()),
	}
	return p, ok
}
