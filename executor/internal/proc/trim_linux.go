package proc

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// Trim gives back what this process has resident of its program's code. The start
// of a program touches far more of it than its work does, and the kernel brings
// back, from the same file, what is called again.
func Trim() {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	for line := range bytes.Lines(maps) {
		start, length, ok := code(line, self)
		if ok {
			// An error means that it stays.
			_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, start, length, syscall.MADV_DONTNEED)
		}
	}
}

// code reads a line of /proc/self/maps, see proc_pid_maps(5). Only code is never
// written to, so that the file has all of it.
func code(line []byte, self string) (start, length uintptr, ok bool) {
	fields := bytes.Fields(line)
	if len(fields) < 6 || string(fields[1]) != "r-xp" || string(fields[5]) != self {
		return 0, 0, false
	}
	from, to, _ := bytes.Cut(fields[0], []byte("-"))
	first, err := strconv.ParseUint(string(from), 16, 64)
	if err != nil {
		return 0, 0, false
	}
	last, err := strconv.ParseUint(string(to), 16, 64)
	if err != nil || last <= first {
		return 0, 0, false
	}
	return uintptr(first), uintptr(last - first), true
}
