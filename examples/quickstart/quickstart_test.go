package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/internal/dist/disttest"
)

// asQuickstart in the environment makes the test's binary the quickstart.
const asQuickstart = "QUICKSTART_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asQuickstart) != "" || os.Getenv("MESOS_EXECUTOR_ID") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// start runs the quickstart, interrupts it at the first line that contains a
// text, and returns its lines after its end. Nothing may be left of it then.
func start(t *testing.T, interruptAt string, args ...string) (lines []string, status int, complaint string) {
	t.Helper()
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	temporary := t.TempDir()
	var stderr bytes.Buffer
	c := exec.CommandContext(t.Context(), os.Args[0], args...)
	c.Env = append(os.Environ(), asQuickstart+"=1", "TMPDIR="+temporary, "XDG_CACHE_HOME="+cache)
	c.Dir, c.Stderr = temporary, &stderr
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	for text := bufio.NewScanner(out); text.Scan(); {
		t.Log(text.Text())
		lines = append(lines, text.Text())
		if interruptAt != "" && strings.Contains(text.Text(), interruptAt) {
			require.NoError(t, c.Process.Signal(os.Interrupt))
			interruptAt = ""
		}
	}
	_ = c.Wait() // the status is what the test asks for
	assert.Empty(t, interruptAt, "the line never came")
	assert.Empty(t, processesIn(t, temporary), "processes are left")
	left, err := os.ReadDir(temporary)
	require.NoError(t, err)
	assert.Empty(t, left, "files are left")
	return lines, c.ProcessState.ExitCode(), stderr.String()
}

// processesIn are the commands whose working directory lies below dir, also
// when that was removed. Where there is no /proc there are none to be found.
func processesIn(t *testing.T, dir string) []string {
	var out []string
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	require.NoError(t, err)
	for _, link := range links {
		if cwd, err := os.Readlink(link); err == nil && strings.HasPrefix(cwd, dir) {
			command, _ := os.ReadFile(filepath.Join(filepath.Dir(link), "cmdline"))
			out = append(out, fmt.Sprintf("%s: %q", link, command))
		}
	}
	return out
}

var acknowledged = regexp.MustCompile(`^acknowledged=(\d+) read=(\d+) lost=0$`)

func TestOnce(t *testing.T) {
	disttest.Kafka(t)
	lines, status, complaint := start(t, "", "-once")
	assert.Zero(t, status, complaint)
	require.NotEmpty(t, lines)
	assert.Equal(t, fmt.Sprintf("acknowledged=%[1]d read=%[1]d lost=0", count), lines[len(lines)-1])

	for broker := range 3 {
		name := fmt.Sprintf("broker-%d", broker)
		inOrder(t, lines, name+"  reserved", name+"  launched", name+"  formatted", name+"  started pid", name+"  ready", "producing")
	}
	inOrder(t, lines, "producing", "kill -9", "broker-1  failed  state=TASK_FAILED  message=server was ended by SIGKILL",
		"broker-1  launched", "broker-1  already formatted", "broker-1  ready", "broker-1 is back: still broker id 1, agent 127.", "acknowledged=")
	timed := regexp.MustCompile(`^ *\d+\.\d{3}s  \S`)
	for _, line := range lines[:len(lines)-1] {
		assert.Regexp(t, timed, line)
	}
}

// inOrder checks that lines with these texts come in this order.
func inOrder(t *testing.T, lines []string, texts ...string) {
	t.Helper()
	from := 0
	for _, text := range texts {
		found := false
		for i := from; i < len(lines) && !found; i++ {
			if found = strings.Contains(lines[i], text); found {
				from = i + 1
			}
		}
		assert.True(t, found, "no line with %q after line %d", text, from)
	}
}

func TestStaysUntilInterrupted(t *testing.T) {
	disttest.Kafka(t)
	lines, status, complaint := start(t, "Ctrl-C ends everything")
	assert.Zero(t, status, complaint)
	text := strings.Join(lines, "\n")
	assert.Regexp(t, acknowledged, lines[firstOf(lines, "acknowledged=")])
	assert.Regexp(t, `API is at http://127\.0\.0\.1:\d+/v1/status`, text)
	assert.Equal(t, 3, strings.Count(text, "go run ./frameworks/kafka/mesos-kafka "))
}

func firstOf(lines []string, prefix string) int {
	for i, line := range lines {
		if strings.HasPrefix(line, prefix) {
			return i
		}
	}
	return 0
}

func TestInterruptedMidway(t *testing.T) {
	disttest.Kafka(t)
	lines, status, complaint := start(t, "started pid", "-once")
	assert.Equal(t, 1, status)
	assert.Contains(t, complaint, "interrupted")
	assert.Zero(t, firstOf(lines, "acknowledged="))
}

func TestResult(t *testing.T) {
	m := newCounts(4)
	m.acked[0].Store(true)
	m.acked[1].Store(true)
	m.read[1], m.read[2] = true, true
	assert.Equal(t, "acknowledged=2 read=2 lost=1", m.result().String(), "one came back that was not acknowledged")
}
