package executor

import (
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// oomKills is how many processes of this process's container the kernel has
// killed because the container's memory was used up; -1 where that cannot be
// known. root is the file system, read as cgroups(7) says: version 2 first.
func oomKills(root fs.FS) int {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(groups)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		var file string
		switch {
		case fields[0] == "0" && fields[1] == "":
			file = path.Join("sys/fs/cgroup", fields[2], "memory.events")
		case fields[1] == "memory":
			file = path.Join("sys/fs/cgroup/memory", fields[2], "memory.oom_control")
		default:
			continue
		}
		if n := oomCount(root, file); n >= 0 {
			return n
		}
	}
	return -1
}

// oomCount reads the line "oom_kill N", which files of both versions have.
func oomCount(root fs.FS, file string) int {
	data, err := fs.ReadFile(root, file)
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(data)) {
		if count, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok {
			if n, err := strconv.Atoi(count); err == nil {
				return n
			}
		}
	}
	return -1
}
