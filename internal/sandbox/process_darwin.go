package sandbox

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// zombie is the state of a process that ended and was not waited for, SZOMB
// in <sys/proc.h>.
const zombie = 5

// processes is the table of all processes, from sysctl(3).
func processes() ([]process, error) {
	infos, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil, fmt.Errorf("sandbox: listing processes: %w", err)
	}
	table := make([]process, 0, len(infos))
	for i := range infos {
		table = append(table, row(&infos[i]))
	}
	return table, nil
}

// lookup is the row of one process.
func lookup(pid int) (process, bool) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil || int(info.Proc.P_pid) != pid {
		return process{}, false
	}
	return row(info), true
}

func row(info *unix.KinfoProc) process {
	p := process{
		pid:     int(info.Proc.P_pid),
		parent:  int(info.Eproc.Ppid),
		group:   int(info.Eproc.Pgid),
		started: fmt.Sprintf("%d.%06d", info.Proc.P_starttime.Sec, info.Proc.P_starttime.Usec),
		defunct: info.Proc.P_stat == zombie,
	}
	// The session of a defunct process cannot be asked for; it has none then.
	p.session, _ = unix.Getsid(p.pid)
	return p
}

// carries is never true: the environment of other processes cannot be read.
func carries(int, string) bool { return false }
