package executor_test

import (
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	exec1 "github.com/mesos/mesos-go/api/v1/lib/executor"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
)

// BenchmarkSubscribe measures the time from the start of an executor's process
// to its SUBSCRIBE.
func BenchmarkSubscribe(b *testing.B) {
	for b.Loop() {
		a := newAgent(b)
		cmd := a.start()
		a.wait("SUBSCRIBE", func() bool { return len(a.calls) > 0 })
		b.StopTimer()
		a.send(&exec1.Event{Type: exec1.Event_SHUTDOWN})
		require.NoError(b, cmd.Wait())
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(time.Millisecond), "ms/subscribed")
}

var parentField = regexp.MustCompile(`(?m)^PPid:\s+(\d+)$`)
var residentField = regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB$`)

// BenchmarkMemory measures what an executor and its guard hold while a server
// runs.
func BenchmarkMemory(b *testing.B) {
	field := func(pid int, pattern *regexp.Regexp) int {
		status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
		if os.IsNotExist(err) {
			b.Skip("needs /proc, which Linux has")
		}
		require.NoError(b, err)
		n, err := strconv.Atoi(pattern.FindStringSubmatch(string(status))[1])
		require.NoError(b, err)
		return n
	}
	var executorKB, guardKB int
	for b.Loop() {
		a := newAgent(b)
		cmd := a.start()
		a.launch("t1", executor.Task{Command: []string{"sleep", "100"}})
		running := a.await("t1", "RUNNING")
		server, err := strconv.Atoi(regexp.MustCompile(`\d+`).FindString(running.GetMessage()))
		require.NoError(b, err)
		executorKB += field(cmd.Process.Pid, residentField)
		guardKB += field(field(server, parentField), residentField)
		a.kill("t1", nil)
		require.NoError(b, cmd.Wait())
	}
	b.ReportMetric(float64(executorKB)/float64(b.N)/1024, "rss-MiB")
	b.ReportMetric(float64(guardKB)/float64(b.N)/1024, "guard-rss-MiB")
}
