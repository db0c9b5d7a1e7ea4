package quickstarttest

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

	"github.com/mesokit/mesokit/executor"
)

// asQuickstart in the environment makes the test's binary the quickstart.
const asQuickstart = "MESOKIT_QUICKSTART_TEST"

// Main runs the tests, or the quickstart's main in a process that a test or an
// agent has started as one. It ends the process: call it in TestMain.
func Main(m *testing.M, main func()) {
	if os.Getenv(asQuickstart) != "" || os.Getenv(executor.Marker) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Ended is a quickstart that has come to its end.
type Ended struct {
	Lines     []string // of standard output
	Status    int
	Complaint string // on standard error

	t testing.TB
}

// Run runs the quickstart with arguments, and interrupts it at the first line
// that contains a text, unless that is empty. The test fails if a process or a
// file is left of it.
func Run(t testing.TB, interruptAt string, args ...string) Ended {
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
	e := Ended{t: t}
	for text := bufio.NewScanner(out); text.Scan(); {
		t.Log(text.Text())
		e.Lines = append(e.Lines, text.Text())
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
	e.Status, e.Complaint = c.ProcessState.ExitCode(), stderr.String()
	return e
}

// Once runs the quickstart to its end, where it must have lost nothing.
func Once(t testing.TB) Ended {
	t.Helper()
	e := Run(t, "", "-once")
	assert.Zero(t, e.Status, e.Complaint)
	require.NotEmpty(t, e.Lines)
	last := len(e.Lines) - 1
	assert.Regexp(t, counted, e.Lines[last])
	for _, line := range e.Lines[:last] {
		assert.Regexp(t, timed, line)
	}
	return e
}

// Stays runs the quickstart until it invites its user to try more, and
// interrupts it there: it must end well. The invitation is what follows the
// line that counts.
func Stays(t testing.TB) (invitation string) {
	t.Helper()
	e := Run(t, "Ctrl-C ends everything")
	assert.Zero(t, e.Status, e.Complaint)
	for i, line := range e.Lines {
		if counted.MatchString(line) {
			invitation = strings.Join(e.Lines[i+1:], "\n")
		}
	}
	assert.Regexp(t, `API is at http://127\.0\.0\.1:\d+/v1/status`, invitation)
	return invitation
}

// Interrupted runs the quickstart and interrupts it before it has counted: it
// must say so.
func Interrupted(t testing.TB, at string) {
	t.Helper()
	e := Run(t, at, "-once")
	assert.Equal(t, 1, e.Status)
	assert.Contains(t, e.Complaint, "interrupted")
	assert.NotContains(t, strings.Join(e.Lines, "\n"), "acknowledged=")
}

var (
	counted = regexp.MustCompile(`^acknowledged=[1-9]\d* read=\d+ lost=0$`)
	timed   = regexp.MustCompile(`^ *\d+\.\d{3}s  \S`)
)

// InOrder checks that lines with these texts come in this order.
func (e Ended) InOrder(texts ...string) {
	e.t.Helper()
	from := 0
	for _, text := range texts {
		found := false
		for i := from; i < len(e.Lines) && !found; i++ {
			if found = strings.Contains(e.Lines[i], text); found {
				from = i + 1
			}
		}
		assert.True(e.t, found, "no line with %q after line %d", text, from)
	}
}

// processesIn are the commands whose working directory lies below dir, also
// when that was removed. Where there is no /proc there are none to be found.
func processesIn(t testing.TB, dir string) []string {
	var out []string
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	require.NoError(t, err)
	for _, link := range links {
		if cwd, err := os.Readlink(link); err == nil && strings.HasPrefix(cwd, dir) {
			command, _ := os.ReadFile(filepath.Join(filepath.Dir(link), "cmdline")) // it may have ended
			out = append(out, fmt.Sprintf("%s: %q", link, command))
		}
	}
	return out
}
