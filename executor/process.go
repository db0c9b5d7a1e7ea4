package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mesokit/mesokit/executor/internal/guard"
)

// process is a program that runs under a guard.
type process struct {
	pid   int
	guard int         // its pid
	exit  <-chan exit // gets one value, when nothing of it is left

	mu      sync.Mutex // guards control
	control io.WriteCloser
}

// command is a program to run.
type command struct {
	args   []string // not empty, variables replaced
	env    []string
	dir    string
	limits Limits
	user   *guard.User // nil: as the executor
	stdout io.Writer
	stderr io.Writer
	hold   time.Duration // as process.hold, from the start
}

// startProcess starts c under a guard and returns when it runs.
func startProcess(c command) (*process, error) {
	path, err := lookPath(c.args[0], c.dir, c.env)
	if err != nil {
		return nil, err
	}
	self, err := selfPath()
	if err != nil {
		return nil, fmt.Errorf("find this binary: %w", err)
	}
	controlRead, control, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start a guard: %w", err)
	}
	reports, reportsWrite, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start a guard: %w", err), controlRead.Close(), control.Close())
	}
	cmd := &exec.Cmd{
		Path:   self,
		Args:   []string{"mesokit-guard"},
		Env:    []string{guard.Variable + "=1", "GOMAXPROCS=1", "PATH=" + os.Getenv("PATH")},
		Dir:    c.dir,
		Stdout: c.stdout,
		Stderr: c.stderr,
		// The pipes of the output are closed when the last process that holds
		// them ends; this is for one that not even SIGKILL ends.
		WaitDelay:  5 * time.Second,
		ExtraFiles: []*os.File{controlRead, reportsWrite},
		// A group of its own: what is sent to the executor's must not reach it.
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	err = guards.start(cmd)
	_ = controlRead.Close() // the guard's ends
	_ = reportsWrite.Close()
	if err != nil {
		_, _ = control.Close(), reports.Close()
		return nil, fmt.Errorf("start a guard: %w", err)
	}
	p := &process{guard: cmd.Process.Pid, control: control}
	spec := guard.Spec{Path: path, Args: c.args, Env: c.env, Dir: c.dir, Limits: guard.Limits(c.limits), User: c.user, Hold: c.hold}
	if err := p.attach(cmd, reports, spec); err != nil {
		return nil, err
	}
	return p, nil
}

// attach tells the guard what to run, and follows it to its end.
func (p *process) attach(cmd *exec.Cmd, reports io.ReadCloser, spec guard.Spec) error {
	dec := json.NewDecoder(reports)
	finish := func() error {
		defer guards.ended(p.guard)
		return errors.Join(p.close(), cmd.Wait(), reports.Close())
	}
	var first guard.Report
	err := json.NewEncoder(p.control).Encode(spec)
	if err == nil {
		err = dec.Decode(&first)
	}
	switch {
	case err != nil:
		return errors.Join(fmt.Errorf("start %s under a guard: %w", spec.Path, err), finish())
	case first.Error != "":
		_ = finish() // the guard's own complaint is what matters
		return errors.New(first.Error)
	}
	p.pid = first.PID
	done := make(chan exit, 1)
	p.exit = done
	go func() {
		var last guard.Report
		x := exit{Lost: true}
		if err := dec.Decode(&last); err == nil && last.Exit != nil {
			x = exit{Code: last.Exit.Code, Signal: last.Exit.Signal, Core: last.Exit.Core, Held: last.Exit.Held, CPU: last.Exit.CPU}
		} else {
			// The kernel ended the server only; its group is left. ESRCH: nobody is.
			_ = syscall.Kill(-p.pid, syscall.SIGKILL)
			guards.endOrphans(p.guard)
		}
		_ = finish() // what can fail here says no more than the report
		done <- x
	}()
	return nil
}

// signal sends s to the process group.
func (p *process) signal(s syscall.Signal) { p.command(guard.Command{Signal: s}) }

// kill ends the process and everything that it has started.
func (p *process) kill() { p.command(guard.Command{Signal: syscall.SIGKILL}) }

// hold has the guard kill all after d, in place of what was said before; zero
// means never.
func (p *process) hold(d time.Duration) { p.command(guard.Command{Hold: &d}) }

// command tells the guard something. A guard that has gone, and the process with
// it, does not hear it, which is no error.
func (p *process) command(c guard.Command) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = json.NewEncoder(p.control).Encode(c)
}

func (p *process) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.control.Close()
}

// runProcess runs c to its end. When ctx ends it is killed.
func runProcess(ctx context.Context, c command) error {
	p, err := startProcess(c)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, p.kill)
	x := <-p.exit
	if !stop() {
		return fmt.Errorf("%s: %w", c.args[0], context.Cause(ctx))
	}
	if x != (exit{CPU: x.CPU}) {
		return fmt.Errorf("%s %v", c.args[0], x)
	}
	return nil
}

// lookPath finds the program that name means in the given environment. A name
// with a slash is taken relative to dir.
func lookPath(name, dir string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		return path, executable(path)
	}
	path := environValue(env, "PATH")
	for _, d := range filepath.SplitList(path) {
		if !filepath.IsAbs(d) {
			d = filepath.Join(dir, d)
		}
		if file := filepath.Join(d, name); executable(file) == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("program %q: not found in PATH %q", name, path)
}

func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("program %q does not exist", path)
	case err != nil:
		return fmt.Errorf("program: %w", err)
	case info.IsDir() || info.Mode()&0o111 == 0:
		return fmt.Errorf("program %q has mode %v: want an executable file", path, info.Mode())
	}
	return nil
}
