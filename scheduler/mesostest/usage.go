package mesostest

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/internal/model"
)

// row is what a row of the table of processes says of the use of a machine.
type row struct {
	parent       int
	user, system float64 // seconds
	rss          uint64  // bytes
	threads      uint32
}

// ticks is the unit of times in /proc: USER_HZ, 100 on all that Go runs on.
const ticks = 100

// processTable reads all processes; it is empty where there is no /proc. The
// fields are those of proc_pid_stat(5), counted from the state on, since the
// name before it may hold anything.
func processTable() map[int]row {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	out := map[int]row{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue // it has ended meanwhile
		}
		field := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		const parent, user, system, threads, rss = 1, 11, 12, 17, 21
		if len(field) <= rss {
			continue
		}
		number := func(i int) uint64 {
			n, _ := strconv.ParseUint(field[i], 10, 64) // the kernel writes numbers
			return n
		}
		out[pid] = row{
			parent: int(number(parent)), user: float64(number(user)) / ticks, system: float64(number(system)) / ticks,
			threads: uint32(number(threads)), rss: number(rss) * uint64(os.Getpagesize()),
		}
	}
	return out
}

// usage is what the processes of a container and their descendants use, as the
// isolators posix/cpu and posix/mem measure it; those that have ended by now
// are not counted.
func usage(table map[int]row, roots []int, limits []mesos.Resource) *mesos.ResourceStatistics {
	s := &mesos.ResourceStatistics{Timestamp: float64(time.Now().UnixMilli()) / 1000}
	for i := range limits {
		switch r := &limits[i]; {
		case r.Scalar == nil:
		case r.Name == "cpus":
			s.CPUsLimit = new(s.GetCPUsLimit() + r.Scalar.Value)
		case r.Name == "mem":
			s.MemLimitBytes = new(s.GetMemLimitBytes() + uint64(r.Scalar.Value*(1<<20)))
		}
	}
	children := map[int][]int{}
	for pid, r := range table {
		children[r.parent] = append(children[r.parent], pid)
	}
	var user, system float64
	var rss uint64
	var processes, threads uint32
	seen := map[int]bool{}
	for queue := roots; len(queue) > 0; queue = queue[1:] {
		pid := queue[0]
		r, alive := table[pid]
		if !alive || seen[pid] {
			continue
		}
		seen[pid] = true
		queue = append(queue, children[pid]...)
		user, system, rss = user+r.user, system+r.system, rss+r.rss
		processes, threads = processes+1, threads+r.threads
	}
	if processes > 0 {
		s.CPUsUserTimeSecs, s.CPUsSystemTimeSecs, s.MemRSSBytes = &user, &system, &rss
		s.Processes, s.Threads = &processes, &threads
	}
	return s
}

// used is a container that runs, with what it uses.
type used struct {
	executor   model.ExecutorReport
	framework  string
	pid        int // of its first process
	statistics *mesos.ResourceStatistics
}

// usage measures what runs on the agent.
func (a *Agent) usage() []used {
	roots := map[string][]int{}
	for _, p := range a.Processes() {
		key := p.FrameworkID + "/" + p.ExecutorID
		roots[key] = append(roots[key], p.PID)
	}
	table := processTable()
	var out []used
	for _, f := range a.report().Frameworks {
		for _, e := range f.Executors {
			if e.Over {
				continue
			}
			id := f.Info.ID.GetValue()
			out = append(out, used{e, id, e.PID, usage(table, roots[id+"/"+e.Info.ExecutorID.Value], e.Resources)})
		}
	}
	return out
}

func (a *Agent) report() model.AgentReport {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.machine.Report()
}
