package guard

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// guarded is a guard, which is this test binary, as its executor sees it.
type guarded struct {
	t       *testing.T
	dir     string // where the program runs
	cmd     *exec.Cmd
	control *os.File
	reports *json.Decoder
}

func start(t *testing.T, spec Spec) *guarded {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	controlRead, control, err := os.Pipe()
	require.NoError(t, err)
	reports, reportsWrite, err := os.Pipe()
	require.NoError(t, err)
	g := &guarded{t: t, dir: t.TempDir(), control: control, reports: json.NewDecoder(reports)}
	g.cmd = exec.Command(self)
	g.cmd.Env = []string{Variable + "=1"}
	g.cmd.ExtraFiles = []*os.File{controlRead, reportsWrite}
	require.NoError(t, g.cmd.Start())
	require.NoError(t, errors.Join(controlRead.Close(), reportsWrite.Close()))
	t.Cleanup(func() {
		_, _ = control.Close(), g.cmd.Wait() // a second time, in most tests
		assert.NoError(t, reports.Close())
	})
	if spec.Dir == "" {
		spec.Dir = g.dir
	}
	spec.Env = append(spec.Env, "PATH="+os.Getenv("PATH"))
	require.NoError(t, json.NewEncoder(control).Encode(spec))
	return g
}

// script is a program of sh.
func script(text string) Spec { return Spec{Path: "/bin/sh", Args: []string{"sh", "-c", text}} }

func (g *guarded) report() (r Report) {
	g.t.Helper()
	require.NoError(g.t, g.reports.Decode(&r))
	return r
}

// exit is the end of the program, after which the guard ends too.
func (g *guarded) exit() Exit {
	g.t.Helper()
	r := g.report()
	require.NotNil(g.t, r.Exit)
	require.NoError(g.t, g.cmd.Wait())
	return *r.Exit
}

func (g *guarded) say(c Command) {
	g.t.Helper()
	require.NoError(g.t, json.NewEncoder(g.control).Encode(c))
}

// numbers waits until the program has written n numbers into a file.
func (g *guarded) numbers(name string, n int) (all []int) {
	g.t.Helper()
	require.Eventually(g.t, func() bool {
		data, _ := os.ReadFile(filepath.Join(g.dir, name)) // it is not there yet
		all = nil
		for line := range strings.FieldsSeq(string(data)) {
			number, err := strconv.Atoi(line)
			require.NoError(g.t, err)
			all = append(all, number)
		}
		return len(all) == n && strings.HasSuffix(string(data), "\n")
	}, 30*time.Second, 5*time.Millisecond)
	return all
}

func TestReportsTheEnd(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, script string
		want         Exit
	}{
		{"status", "exit 7", Exit{Code: 7}},
		{"success", "exit 0", Exit{}},
		{"signal", "kill -USR1 $$", Exit{Signal: syscall.SIGUSR1}},
		{"a child that outlives it is no reason to wait", "sleep 1000 & exit 3", Exit{Code: 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := start(t, script(tt.script))
			assert.Positive(t, g.report().PID)
			x := g.exit()
			x.CPU = 0
			assert.Equal(t, tt.want, x)
		})
	}
}

func TestWhatCannotStart(t *testing.T) {
	t.Parallel()
	for want, spec := range map[string]Spec{
		"start /no/such in ":     {Path: "/no/such", Args: []string{"such"}},
		"in /no/such/dir: ":      {Path: "/bin/sh", Args: []string{"sh"}, Dir: "/no/such/dir"},
		"limits.open_files 1099": {Path: "/bin/sh", Args: []string{"sh"}, Limits: Limits{OpenFiles: 1 << 40}},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			g := start(t, spec)
			assert.Contains(t, g.report().Error, want)
			assert.NoError(t, g.cmd.Wait())
		})
	}
}

// What is not a Spec is a complaint, not a hang.
func TestControlThatIsNone(t *testing.T) {
	t.Parallel()
	g := start(t, script("exit 0"))
	g.report()
	g.exit()
	other := exec.Command(g.cmd.Path)
	other.Env = g.cmd.Env
	empty, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer empty.Close()
	other.ExtraFiles = []*os.File{empty, empty}
	out, err := other.CombinedOutput()
	assert.Error(t, err)
	assert.Equal(t, "guard: read what to run: EOF\n", string(out))
}

func TestSignals(t *testing.T) {
	t.Parallel()
	// The child shares the group, so it gets the signal as well.
	g := start(t, script(`trap 'echo 10 >> got' USR1; sh -c 'trap "echo 20 >> got; exit" USR1; echo 1 >> up; while :; do sleep 0.01; done' & echo 1 >> up; while :; do sleep 0.01; done`))
	g.report()
	g.numbers("up", 2)
	g.say(Command{Signal: syscall.SIGUSR1})
	assert.ElementsMatch(t, []int{10, 20}, g.numbers("got", 2))
	g.say(Command{Signal: syscall.SIGTERM})
	x := g.exit()
	assert.Equal(t, syscall.SIGTERM, x.Signal)
	assert.False(t, x.Held)
}

// However it comes to its end, the program takes all that it has started along.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("a daemon in a session of its own survives where there are no subreapers: want Linux")
	}
	ends := map[string]func(*guarded, int){
		"killed by command":    func(g *guarded, _ int) { g.say(Command{Signal: syscall.SIGKILL}) },
		"the executor is gone": func(g *guarded, _ int) { assert.NoError(g.t, g.control.Close()) },
		"nonsense is said": func(g *guarded, _ int) {
			_, err := g.control.WriteString("nonsense\n")
			assert.NoError(g.t, err)
		},
		"somebody kills it": func(g *guarded, pid int) { assert.NoError(g.t, syscall.Kill(pid, syscall.SIGKILL)) },
		"its time is over": func(g *guarded, _ int) {
			soon := time.Millisecond
			g.say(Command{Hold: &soon})
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t, script(`trap '' TERM HUP; sleep 1000 & echo $! >> pids; setsid sh -c 'sleep 1000 & echo $! >> pids; setsid sleep 1000 & echo $! >> pids'; wait`))
			pid := g.report().PID
			pids := g.numbers("pids", 3)
			end(g, pid)
			assert.Equal(t, syscall.SIGKILL, g.exit().Signal)
			for _, pid := range append(pids, pid) {
				assert.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH, "gone before the guard is")
			}
		})
	}
}

func TestHold(t *testing.T) {
	t.Parallel()
	hour := time.Hour
	none := time.Duration(0)
	spec := script("echo 1 > up; exec sleep 1000")
	spec.Hold = time.Minute
	g := start(t, spec)
	g.report()
	g.numbers("up", 1)
	g.say(Command{Hold: &none})
	g.say(Command{Hold: &hour})
	soon := time.Millisecond
	g.say(Command{Hold: &soon})
	x := g.exit()
	assert.Equal(t, syscall.SIGKILL, x.Signal)
	assert.True(t, x.Held)

	spec.Hold = time.Millisecond
	g = start(t, spec)
	g.report()
	assert.Equal(t, syscall.SIGKILL, g.exit().Signal, "from the start, also when nothing more is said")
}

// Signals to the guard are not for its program, and do not come between it and
// the executor. What is caught here is not ignored there.
func TestSignalsToTheGuard(t *testing.T) {
	t.Parallel()
	g := start(t, script("echo 1 > up; exec sleep 1000"))
	g.report()
	g.numbers("up", 1)
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM} {
		require.NoError(t, g.cmd.Process.Signal(s))
	}
	g.say(Command{Signal: syscall.SIGTERM})
	assert.Equal(t, syscall.SIGTERM, g.exit().Signal)
}

func TestCPUIsThatOfTheProgram(t *testing.T) {
	t.Parallel()
	g := start(t, script("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"))
	g.report()
	assert.Greater(t, g.exit().CPU, time.Duration(0))
}

func TestLimitsAndEnvironment(t *testing.T) {
	t.Parallel()
	umask := 0o027
	spec := script("ulimit -n > files; ulimit -c > core; umask > mask; echo ${WHO-0} > who; echo ${" + Variable + "-0} > variable")
	spec.Limits = Limits{OpenFiles: 99, NoCore: true, Umask: &umask}
	spec.Env = []string{"WHO=7"}
	g := start(t, spec)
	g.report()
	assert.Equal(t, 0, g.exit().Code)
	for name, want := range map[string]int{"files": 99, "core": 0, "mask": 27, "who": 7, "variable": 0} {
		assert.Equal(t, []int{want}, g.numbers(name, 1), name)
	}
}
