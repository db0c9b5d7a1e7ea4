package executor_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	exec1 "github.com/mesos/mesos-go/api/v1/lib/executor"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
)

const (
	small = "../examples/supervised"
	large = "../frameworks/kafka/mesos-kafka"
)

// realProgram builds a framework as it would be shipped: static, without what only
// tests need.
func realProgram(b *testing.B, path string) string {
	b.Helper()
	program := filepath.Join(b.TempDir(), "program")
	build := exec.Command("go", "build", "-o", program, path)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(b, err, string(out))
	return program
}

// BenchmarkSubscribe measures the time from the start of an executor's process
// to its SUBSCRIBE.
func BenchmarkSubscribe(b *testing.B) {
	b.Run("small", func(b *testing.B) { benchmarkSubscribe(b, small) })
	b.Run("large", func(b *testing.B) { benchmarkSubscribe(b, large) })
}

func benchmarkSubscribe(b *testing.B, path string) {
	program := realProgram(b, path)
	for b.Loop() {
		a := newAgent(b)
		a.program = program
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

// BenchmarkMemory measures what an executor and its guard have resident together
// while a server runs, and how much of it is theirs alone. The rest are pages of
// the program's file, which the two share and the kernel takes back when it needs
// memory.
func BenchmarkMemory(b *testing.B) {
	b.Run("small", func(b *testing.B) { benchmarkMemory(b, small) })
	b.Run("large", func(b *testing.B) { benchmarkMemory(b, large) })
}

func benchmarkMemory(b *testing.B, path string) {
	field := func(pid int, name string) float64 {
		status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
		if os.IsNotExist(err) {
			b.Skip("needs /proc, which Linux has")
		}
		require.NoError(b, err)
		n, err := strconv.Atoi(regexp.MustCompile(`(?m)^` + name + `:\s+(\d+)`).FindStringSubmatch(string(status))[1])
		require.NoError(b, err)
		return float64(n)
	}
	program := realProgram(b, path)
	sums := map[string]float64{}
	for b.Loop() {
		a := newAgent(b)
		a.program = program
		cmd := a.start()
		a.launch("t1", executor.Task{Command: []string{"sleep", "100"}})
		running := a.await("t1", "RUNNING")
		server, err := strconv.Atoi(regexp.MustCompile(`\d+`).FindString(running.GetMessage()))
		require.NoError(b, err)
		guard := int(field(server, "PPid"))
		for _, pid := range []int{cmd.Process.Pid, guard} {
			sums["rss-MiB"] += field(pid, "VmRSS") / 1024
			sums["anon-MiB"] += field(pid, "RssAnon") / 1024
		}
		sums["guard-rss-MiB"] += field(guard, "VmRSS") / 1024
		a.kill("t1", nil)
		require.NoError(b, cmd.Wait())
	}
	for unit, sum := range sums {
		b.ReportMetric(sum/float64(b.N), unit)
	}
}

// BenchmarkFlood measures how fast the output of a server passes, and is rotated.
func BenchmarkFlood(b *testing.B) {
	const size = 1 << 30
	program := realProgram(b, small)
	for b.Loop() {
		a := newAgent(b)
		a.program = program
		cmd := a.start()
		a.launch("t1", executor.Task{
			Command: shell("yes 0123456789012345678901234567890123456789012345678901234567890123456789 | head -c " + strconv.Itoa(size)),
			Logs:    executor.Logs{MaxBytes: 10 << 20},
		})
		a.await("t1", "FINISHED")
		require.NoError(b, cmd.Wait())
	}
	b.SetBytes(size)
}
