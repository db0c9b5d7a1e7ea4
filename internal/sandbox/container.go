package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Config is what it takes to start a container.
type Config struct {
	WorkDir WorkDir
	Run     Run
	// Command is what to run and what to fetch before. Its variables win over
	// those of Environment.
	Command     mesos.CommandInfo
	Environment Environment
	// Resources are those of the executor and its task; the persistent volumes
	// among them are linked into the sandbox. They must have been created.
	Resources []mesos.Resource
	// Fetcher fetches the command's URIs; nil is a Fetcher without a cache.
	Fetcher *Fetcher
	// User is the framework's; the command's own wins. Only root can run a
	// process as somebody else: a caller who is not runs it as itself.
	User string
}

// A LaunchError says that a container could not be started.
type LaunchError struct {
	// Message is what Mesos puts into the TASK_FAILED of reason
	// REASON_CONTAINER_LAUNCH_FAILED that follows.
	Message string
	// Err is what happened; the sandbox's stderr has it too.
	Err error
	// Fetching says that it is what was to be fetched that could not be. By
	// then Mesos has made the process, which it kills.
	Fetching bool
}

func (e *LaunchError) Error() string { return "sandbox: " + e.Message + ": " + e.Err.Error() }

// Unwrap is the cause.
func (e *LaunchError) Unwrap() error { return e.Err }

const launchFailed = "Failed to launch container: "

func launchError(err error) error {
	return &LaunchError{Message: launchFailed + err.Error(), Err: err}
}

// A Container is a process and all that came of it. It is safe for use by
// several goroutines.
type Container struct {
	workDir WorkDir
	run     Run
	process process
	// vars and owner are what commands run in the container get, too. A
	// container that was attached has none unless its task brings them.
	vars  map[string]string
	owner *syscall.Credential

	done   chan struct{} // closed when status and err are set
	status Status
	err    error
}

// Start makes a sandbox and starts the process in it. The context bounds the
// fetching; a process that was started does not end with it. The error is a
// *[LaunchError], and then nothing runs. A program that cannot be executed is
// no error: as under Mesos the process says so on stderr and exits with
// status 1.
func Start(ctx context.Context, cfg Config) (*Container, error) {
	if err := cfg.WorkDir.Create(cfg.Run); err != nil {
		return nil, launchError(err)
	}
	directory := cfg.WorkDir.Sandbox(cfg.Run)
	logs, err := openLogs(directory)
	if err != nil {
		return nil, launchError(err)
	}
	defer logs.close()
	volumes, err := cfg.WorkDir.link(directory, cfg.Resources)
	if err != nil {
		return nil, launchError(err)
	}
	if err := cfg.fetch(ctx, directory, logs.stderr); err != nil {
		return nil, err
	}
	owner, err := cfg.owner()
	if err != nil {
		return nil, launchError(err)
	}
	if err := give(owner, directory, volumes); err != nil {
		return nil, launchError(err)
	}
	vars, err := cfg.variables(directory)
	if err != nil {
		return nil, launchError(err)
	}

	cmd := command(&cfg.Command, vars, directory)
	cmd.Stdout, cmd.Stderr = logs.stdout, logs.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: owner}
	p, err := launch(cmd)
	if err != nil {
		return nil, launchError(err)
	}
	c := &Container{workDir: cfg.WorkDir, run: cfg.Run, vars: vars, owner: owner, done: make(chan struct{})}
	// The child cannot be reaped before the wait below, so it is in the table,
	// unless that cannot be read now.
	var known bool
	if c.process, known = lookup(p.Pid); !known {
		err = fmt.Errorf("sandbox: process %d is not in the system's table", p.Pid)
	} else {
		err = c.remember()
	}
	if err != nil {
		_ = kill(-p.Pid, syscall.SIGKILL)
		_, _ = p.Wait()
		return nil, launchError(err)
	}
	go c.wait(p)
	return c, nil
}

// variables are the environment of the container.
func (cfg *Config) variables(directory string) (map[string]string, error) {
	vars := cfg.Environment.variables(cfg.Run, directory)
	return vars, override(vars, cfg.Command.GetEnvironment())
}

// fetch brings the command's URIs into the sandbox.
func (cfg *Config) fetch(ctx context.Context, directory string, log *os.File) error {
	if len(cfg.Command.URIs) == 0 {
		return nil
	}
	f := cfg.Fetcher
	if f == nil {
		f = new(Fetcher)
	}
	err := f.Fetch(ctx, directory, cfg.Command.URIs)
	if err == nil {
		return nil
	}
	fmt.Fprintln(log, err) // where the mesos-fetcher leaves it as well
	message := fmt.Sprintf("Failed to fetch all URIs for container '%s': exited with status 1", cfg.Run.name())
	if bad, ok := errors.AsType[*URIError](err); ok {
		message = "Could not fetch: " + bad.Message
	} else if ctx.Err() != nil {
		message = "Container destroyed during fetching"
	}
	return &LaunchError{Message: launchFailed + message, Err: err, Fetching: true}
}

// remember keeps what Attach needs.
func (c *Container) remember() error {
	if err := c.workDir.remember(c.run, startFile, c.process.started); err != nil {
		return err
	}
	return c.workDir.remember(c.run, pidFile, strconv.Itoa(c.process.pid))
}

// wait ends with the process. It writes the status down for whoever attached
// meanwhile.
func (c *Container) wait(p *os.Process) {
	defer close(c.done)
	state, err := p.Wait()
	if err != nil {
		c.err = fmt.Errorf("sandbox: waiting for process %d: %w", c.process.pid, err)
		return
	}
	c.status = Status(state.Sys().(syscall.WaitStatus))
	// If it cannot be written, as when the whole work directory was removed,
	// those who attached learn only that the process is gone.
	_ = c.workDir.remember(c.run, statusFile, strconv.Itoa(int(c.status)))
}

// Attach finds the process of a run that was started earlier, perhaps by
// another program. If the process has ended the container is done at once.
// The error is fs.ErrNotExist if the run never had a process.
func Attach(w WorkDir, r Run) (*Container, error) {
	if err := r.validate(); err != nil {
		return nil, err
	}
	text, err := w.recall(r, pidFile)
	if err != nil {
		return nil, err
	}
	pid, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("sandbox: attaching to container %s: %s holds %q: want a pid", r.name(), pidFile, text)
	}
	started, err := w.recall(r, startFile)
	if err != nil {
		return nil, err
	}
	c := &Container{workDir: w, run: r, process: process{pid: pid, started: started}, done: make(chan struct{})}
	go c.watch()
	return c, nil
}

// Attached containers are polled, for only a parent can wait for a process.
const (
	pollInterval = 20 * time.Millisecond
	// statusDelay bounds the time between the end of a process and its status
	// in the file, if the program that started it still runs.
	statusDelay = time.Second
)

// watch is wait for a process that may be somebody else's child.
func (c *Container) watch() {
	defer close(c.done)
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for c.alive() {
		<-tick.C
	}
	for end := time.Now().Add(statusDelay); ; <-tick.C {
		text, err := c.workDir.recall(c.run, statusFile)
		if err == nil {
			n, err := strconv.Atoi(text)
			if err != nil {
				c.err = fmt.Errorf("sandbox: status of container %s is %q: want a number", c.run.name(), text)
			}
			c.status = Status(n)
			return
		}
		if !errors.Is(err, fs.ErrNotExist) {
			c.err = err
			return
		}
		if time.Now().After(end) {
			c.err = ErrNoStatus
			return
		}
	}
}

// alive reports whether the first process of the container runs.
func (c *Container) alive() bool {
	p, ok := lookup(c.process.pid)
	return ok && !p.defunct && p.started == c.process.started
}

// Run is the run that the container is of.
func (c *Container) Run() Run { return c.run }

// PID is the process ID of the first process.
func (c *Container) PID() int { return c.process.pid }

// Directory is the sandbox.
func (c *Container) Directory() string { return c.workDir.Sandbox(c.run) }

// Done is closed when the first process has ended. Others may still run, until
// Destroy.
func (c *Container) Done() <-chan struct{} { return c.done }

// Wait waits for the first process to end and says how it did. The error is
// that of the context, or [ErrNoStatus].
func (c *Container) Wait(ctx context.Context) (Status, error) {
	select {
	case <-c.done:
		return c.status, c.err
	case <-ctx.Done():
		return 0, fmt.Errorf("sandbox: waiting for container %s: %w", c.run.name(), context.Cause(ctx))
	}
}

// Signal sends sig to the first process, its process group, its session and
// their descendants, as Mesos's killtree does.
func (c *Container) Signal(sig syscall.Signal) error {
	// The group gets it in one step, so no child forked meanwhile is missed.
	grouped := c.alive()
	if grouped {
		if err := kill(-c.process.pid, sig); err != nil {
			return fmt.Errorf("sandbox: signalling container %s: %w", c.run.name(), err)
		}
	}
	table, err := processes()
	if err != nil {
		return err
	}
	for _, p := range family(table, c.process.pid, c.process.started, func(int) bool { return false }) {
		if grouped && p.group == c.process.pid {
			continue
		}
		if err := kill(p.pid, sig); err != nil {
			return fmt.Errorf("sandbox: signalling container %s: %w", c.run.name(), err)
		}
	}
	return nil
}

// members is every living process that is known to be the container's.
func (c *Container) members() ([]process, error) {
	table, err := processes()
	if err != nil {
		return nil, err
	}
	mark := "MESOS_SANDBOX=" + c.Directory()
	return family(table, c.process.pid, c.process.started, func(pid int) bool { return carries(pid, mark) }), nil
}

// Destroy kills every process of the container and returns when none is left.
// The sandbox stays. It may be called again.
func (c *Container) Destroy(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		left, err := c.members()
		if err != nil {
			return err
		}
		if len(left) == 0 {
			break
		}
		for _, p := range left {
			if err := kill(p.pid, syscall.SIGKILL); err != nil {
				return fmt.Errorf("sandbox: destroying container %s: %w", c.run.name(), err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("sandbox: destroying container %s: %d processes left: %w", c.run.name(), len(left), context.Cause(ctx))
		}
	}
	if _, err := c.Wait(ctx); err != nil && ctx.Err() != nil {
		return err
	}
	return c.workDir.remember(c.run, sentinelFile, "")
}

// logFiles are the files that catch what a container prints.
type logFiles struct{ stdout, stderr *os.File }

// openLogs follows no symlink: a fetched archive may have brought one.
func openLogs(directory string) (logFiles, error) {
	var files [2]*os.File
	for i, name := range []string{"stdout", "stderr"} {
		f, err := os.OpenFile(filepath.Join(directory, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY|syscall.O_NOFOLLOW, 0o644)
		if err != nil {
			if i > 0 {
				files[0].Close()
			}
			return logFiles{}, fmt.Errorf("sandbox: opening %s: %w", name, err)
		}
		files[i] = f
	}
	return logFiles{stdout: files[0], stderr: files[1]}, nil
}

func (l logFiles) close() {
	l.stdout.Close()
	l.stderr.Close()
}
