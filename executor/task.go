package executor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A Task says how one server is run. It travels as JSON in TaskInfo.Data, from
// the scheduler that renders it to the executor that carries it out.
//
// The server runs in a process group of its own. In Command, Env, the commands of
// steps and probes, and the addresses of probes, $NAME and ${NAME} stand for
// variables of the task's environment and $$ for a dollar sign; a name that is not
// set is an error. The environment is what the agent gave to the executor, without
// what concerns only the executor, then Env; it always holds MESOS_SANDBOX.
type Task struct {
	// Checksums are those of files that were fetched. They are checked first.
	Checksums []Checksum `json:"checksums,omitempty"`
	// Files are written, in order, before anything is started.
	Files []File `json:"files,omitempty"`
	// Secrets are files that are written next, when the scheduler has sent what
	// is to be in them.
	Secrets []SecretFile `json:"secrets,omitempty"`
	// Lease, unless nil, must be granted before the server starts and again and
	// again while it runs.
	Lease *Lease `json:"lease,omitempty"`
	// Init are steps that run to their end, in order, before the server starts.
	Init []Step `json:"init,omitempty"`
	// User is whom the server, its steps and its probes run as: a user of the agent's
	// machine, or uid:gid, or either with a group, such as "mysql:adm"; empty: whom
	// the executor runs as. The files, the secrets, the directories made for them,
	// the sandbox and the volumes that are not read-only are given to that user.
	// Only an executor that is root can have another; functions run as the executor
	// always.
	User string `json:"user,omitempty"`
	// Command is the server: the program, looked up in PATH, and its arguments.
	// No shell takes part; for one, start "sh", "-c".
	Command []string `json:"command"`
	// Dir is where the server and the commands of probes run, relative to the
	// sandbox; empty: there. It must exist when the server starts.
	Dir string `json:"dir,omitempty"`
	// Env are variables of the server, the steps and the command probes.
	Env map[string]string `json:"env,omitempty"`
	// Sidecars are processes that run beside the server. Their fields are those of
	// the server under the same names.
	Sidecars []Sidecar `json:"sidecars,omitempty"`
	// Ready tells when the server can do its work; nil: as soon as it has started.
	Ready *Probe `json:"ready,omitempty"`
	// Live tells, once the server is ready, that it has to be ended because it
	// will not recover by itself; nil: never. The task then fails.
	Live *Probe `json:"live,omitempty"`
	// Restart starts a server that has failed again within the task; the zero value
	// leaves that to the scheduler.
	Restart Restart `json:"restart,omitzero"`
	// Stop is how the server is asked to end.
	Stop Stop `json:"stop,omitzero"`
	// Sample is how often a Usage is sent; zero: only on request.
	Sample time.Duration `json:"sample,omitempty"`
	// Limits bound what the server may use of the machine.
	Limits Limits `json:"limits,omitzero"`
	// Logs says what is kept of the server's output.
	Logs Logs `json:"logs,omitzero"`
}

// A File is written atomically: whoever opens Path finds the old content or
// the new, never a part.
type File struct {
	// Path is relative to the sandbox. It may lie inside one of the volumes of the
	// task or its executor, and nowhere else outside the sandbox; that volume may
	// also have an absolute path, which then begins Path.
	Path string `json:"path"`
	// Content is the whole file. As JSON it is base64, so any bytes pass.
	Content []byte `json:"content,omitempty"`
	// Mode are the permission bits; zero means 0644. They hold whatever the umask.
	Mode fs.FileMode `json:"mode,omitempty"`
	// Owner is whom the file belongs to, as in Task.User, which it otherwise is.
	Owner string `json:"owner,omitempty"`
	// Expand replaces $NAME and ${NAME} in Content, as in Task.Command.
	Expand bool `json:"expand,omitempty"`
}

// A Step is work to be done before the server starts: either Command or Func.
// A step that fails fails the task.
type Step struct {
	// Name is what the step does, as a verb, such as "format".
	Name string `json:"name"`
	// Done is the message of the update that is sent after the step, such as
	// "formatted"; empty: Name followed by " done".
	Done string `json:"done,omitempty"`
	// Command is a program and its arguments, run in the sandbox. Its output is
	// treated like the server's.
	Command []string `json:"command,omitempty"`
	// Func is the name of a function in Config.Steps.
	Func string `json:"func,omitempty"`
	// Unless skips the step, without an update, when this path, as File.Path,
	// exists.
	Unless string `json:"unless,omitempty"`
	// Timeout ends the step and fails the task; zero: none.
	Timeout time.Duration `json:"timeout,omitempty"`
}

// A Probe asks a server how it is. Exactly one of TCP, HTTP, Command, Func and
// Log is set.
type Probe struct {
	// TCP is an address, host:port, that must accept a connection.
	TCP string `json:"tcp,omitempty"`
	// HTTP is a URL that must answer GET with a status of 200 to 399.
	HTTP string `json:"http,omitempty"`
	// Command is a program and its arguments that must exit with 0. The beginning of
	// its output tells why it does not. An attempt costs the start of two processes,
	// since the program runs under a guard as the server does.
	Command []string `json:"command,omitempty"`
	// Func is the name of a function in Config.Steps that must return nil; see
	// [ErrHopeless].
	Func string `json:"func,omitempty"`
	// Log is a regular expression; the probe passes for good once a line of the
	// server's output matches.
	Log string `json:"log,omitempty"`

	// Delay is waited before the first attempt.
	Delay time.Duration `json:"delay,omitempty"`
	// Interval lies between two attempts; zero means one second.
	Interval time.Duration `json:"interval,omitempty"`
	// Timeout bounds one attempt; zero means five seconds.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Failures is how many attempts in a row must fail before a probe that has
	// passed counts as failed; zero means three.
	Failures int `json:"failures,omitempty"`
	// Within is how long after its start a server may take to become ready; after
	// it the server is stopped and the task fails. Zero: as long as it wants.
	// Only Task.Ready uses it.
	Within time.Duration `json:"within,omitempty"`
}

// A Restart says how often a server that has failed, by its exit or by a probe,
// is started again before its task fails. Each time an update tells why:
// TASK_RUNNING, unhealthy, "restart 1 of 3 in 1s: …"; then come "started pid …"
// and so on as before. Files and steps are not repeated.
type Restart struct {
	// Max is how often at most; zero: never.
	Max int `json:"max,omitempty"`
	// Backoff is waited before the first restart, and twice as long before each
	// further one, up to five minutes; zero means one second.
	Backoff time.Duration `json:"backoff,omitempty"`
	// Stable is how long a server must have run for the count, and the backoff, to
	// begin anew; zero means ten minutes.
	Stable time.Duration `json:"stable,omitempty"`
}

// stable is Stable or what it is by default.
func (r Restart) stable() time.Duration {
	if r.Stable == 0 {
		return defaultStable
	}
	return r.Stable
}

// wait is the time before the next start, after that many restarts.
func (r Restart) wait(restarts int) time.Duration {
	wait := r.Backoff
	if wait == 0 {
		wait = defaultRestart
	}
	for range restarts {
		wait = min(2*wait, maxRestart)
	}
	return wait
}

// A Stop is the sequence that ends a server: the steps of Before, then Signal,
// then after Grace SIGKILL to all that is left. Each stage is reported in a
// TASK_KILLING update.
type Stop struct {
	// Before are steps to take while the server still runs, such as a drain. A
	// step that fails or exceeds its Timeout is reported, and the stop goes on.
	Before []Step `json:"before,omitempty"`
	// Signal asks the server's process group to end: SIGTERM when empty, or
	// SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGKILL.
	Signal string `json:"signal,omitempty"`
	// Grace is the time for the whole sequence before SIGKILL; zero means 30
	// seconds. The kill policy of the task, and above it that of the KILL call,
	// take precedence; so does a shorter one when the executor is shut down. A kill
	// policy below a millisecond is SIGKILL at once, without Before and Signal.
	Grace time.Duration `json:"grace,omitempty"`
}

// Limits bound what the server, the sidecars, and the commands of steps and probes
// may use of the machine.
type Limits struct {
	// OpenFiles is the number of open files (RLIMIT_NOFILE, soft and hard); zero:
	// as the executor found it. More than the executor's hard limit needs root.
	OpenFiles uint64 `json:"open_files,omitempty"`
	// NoCore forbids core dumps.
	NoCore bool `json:"no_core,omitempty"`
	// Umask is the file mode creation mask; nil: as the executor found it.
	Umask *int `json:"umask,omitempty"`
}

// Logs says what is kept of the output of the server. It goes, as it came, to the
// executor's own standard output and error, which are the files stdout and stderr
// of the sandbox. Lines of a server and of a sidecar that write at the same moment
// may come into one another.
type Logs struct {
	// Tail is how many of the last lines the terminal update carries; zero means
	// 20, negative none.
	Tail int `json:"tail,omitempty"`
	// MaxBytes is the size at which stdout and stderr are rotated, to stdout.1 and
	// stderr.1 and so on; zero means 16 MiB, which with Keep makes 64 MiB at most of
	// the disk, negative never. It has no effect where they are not files of the
	// sandbox. The tasks of one executor share them, and with them the limit that
	// was set last.
	MaxBytes int64 `json:"max_bytes,omitempty"`
	// Keep is how many rotated files are kept of each; zero means one.
	Keep int `json:"keep,omitempty"`
}

const (
	defaultMode     = fs.FileMode(0o644)
	defaultInterval = time.Second
	defaultTimeout  = 5 * time.Second
	defaultFailures = 3
	defaultGrace    = 30 * time.Second
	defaultTail     = 20
	defaultMaxBytes = 16 << 20
	defaultRestart  = time.Second
	maxRestart      = 5 * time.Minute
	defaultStable   = 10 * time.Minute
	defaultSignal   = "SIGTERM"
)

// ParseTask reads a Task from the bytes of TaskInfo.Data and validates it. A
// field that is not known is an error: it would be an instruction not followed.
func ParseTask(data []byte) (Task, error) {
	if len(data) == 0 {
		return Task{}, errors.New("TaskInfo.data is empty: want an executor.Task as JSON")
	}
	var t Task
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&t); err != nil {
		return Task{}, fmt.Errorf("TaskInfo.data is not an executor.Task: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Task{}, fmt.Errorf("TaskInfo.data goes on after the executor.Task, at byte %d", dec.InputOffset())
	}
	if err := t.Validate(); err != nil {
		return Task{}, err
	}
	return t, nil
}

// Validate reports the first thing in t that no executor could carry out.
// Names of functions are known only to the executor, which checks them before
// it writes anything.
func (t Task) Validate() error {
	if err := t.server().validate(); err != nil {
		return err
	}
	if err := validateSidecars(t.Sidecars); err != nil {
		return err
	}
	for i, c := range t.Checksums {
		if err := c.validate(); err != nil {
			return fmt.Errorf("checksums[%d].%w", i, err)
		}
	}
	for i, f := range t.Files {
		if err := f.validate(); err != nil {
			return fmt.Errorf("files[%d].%w", i, err)
		}
	}
	if err := validateSecrets(t.Secrets); err != nil {
		return err
	}
	if err := validateSteps("init", t.Init); err != nil {
		return err
	}
	if err := t.Lease.validate(); err != nil {
		return err
	}
	return t.validateRest()
}

func (t Task) validateRest() error {
	switch {
	case t.Restart.Max > 0 && t.Lease != nil:
		return fmt.Errorf("restart.max %d: a task with a lease ends with its server: want zero", t.Restart.Max)
	case t.Sample < 0:
		return fmt.Errorf("sample %v: want zero or more", t.Sample)
	case t.Logs.Keep < 0:
		return fmt.Errorf("logs.keep %d: want zero or more", t.Logs.Keep)
	case t.Limits.Umask != nil && (*t.Limits.Umask < 0 || *t.Limits.Umask > 0o777):
		return fmt.Errorf("limits.umask %#o: want 0 to 0777", *t.Limits.Umask)
	}
	return nil
}

func validateEnv(env map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return fmt.Errorf("env: name %q: want a name without '='", name)
		}
	}
	return nil
}

func (r Restart) validate() error {
	switch {
	case r.Max < 0:
		return fmt.Errorf("restart.max %d: want zero or more", r.Max)
	case r.Backoff < 0 || r.Backoff > maxRestart:
		return fmt.Errorf("restart.backoff %v: want zero to %v", r.Backoff, maxRestart)
	case r.Stable < 0:
		return fmt.Errorf("restart.stable %v: want zero or more", r.Stable)
	}
	return nil
}

func (s Stop) validate() error {
	if s.Grace < 0 {
		return fmt.Errorf("stop.grace %v: want zero or more", s.Grace)
	}
	if _, err := signalNumber(s.Signal); err != nil {
		return fmt.Errorf("stop.signal %w", err)
	}
	return validateSteps("stop.before", s.Before)
}

func (f File) validate() error {
	if err := validateFile(f.Path); err != nil {
		return fmt.Errorf("path %w", err)
	}
	if f.Mode&^fs.ModePerm != 0 {
		return fmt.Errorf("mode %#o: want permission bits only, 0 to 0777", uint32(f.Mode))
	}
	return nil
}

// ShutdownGrace is the least ExecutorInfo.shutdown_grace_period with which t
// keeps its whole Stop.Grace when the agent shuts its executor down. Without one
// the agent allows five seconds.
func (t Task) ShutdownGrace() time.Duration {
	grace := t.Stop.Grace
	if grace == 0 {
		grace = defaultGrace
	}
	return (grace*4 + 2) / 3
}

// functions are the names in Config.Steps that t uses, by what uses them.
func (t Task) functions() iter.Seq2[string, string] {
	return func(yield func(use, name string) bool) {
		steps := t.Init
		if t.Lease != nil && t.Lease.End != nil {
			steps = append(slices.Clone(steps), *t.Lease.End)
			if t.Lease.Again != nil {
				steps = append(steps, *t.Lease.Again)
			}
		}
		for _, c := range append([]Sidecar{t.server()}, t.Sidecars...) {
			steps = slices.Concat(steps, c.Stop.Before)
			for i, p := range []*Probe{c.Ready, c.Live} {
				use := strings.TrimSpace(c.Name + " " + []string{"ready", "live"}[i])
				if p != nil && p.Func != "" && !yield(use, p.Func) {
					return
				}
			}
		}
		for _, s := range steps {
			if s.Func != "" && !yield("step "+s.Name, s.Func) {
				return
			}
		}
	}
}

// validateFile refuses what can be the path of a file neither in a sandbox nor
// in a volume.
func validateFile(path string) error {
	if filepath.IsAbs(path) && filepath.Clean(path) == path && path != "/" {
		return nil
	}
	return validatePath(path)
}

// validatePath refuses what cannot be a path in a sandbox.
func validatePath(path string) error {
	if !filepath.IsLocal(path) || filepath.Clean(path) == "." {
		return fmt.Errorf("%q: want a path relative to the sandbox that stays inside it", path)
	}
	return nil
}

func validateSteps(field string, steps []Step) error {
	for i, s := range steps {
		if err := s.validate(); err != nil {
			return fmt.Errorf("%s[%d].%w", field, i, err)
		}
	}
	return nil
}

func (s Step) validate() error {
	switch {
	case s.Name == "":
		return errors.New("name is empty: want what the step does, such as format")
	case (len(s.Command) == 0) == (s.Func == ""):
		return fmt.Errorf("command %q, func %q: want exactly one of the two (step %s)", s.Command, s.Func, s.Name)
	case s.Timeout < 0:
		return fmt.Errorf("timeout %v: want zero or more (step %s)", s.Timeout, s.Name)
	}
	if s.Unless == "" {
		return nil
	}
	if err := validateFile(s.Unless); err != nil {
		return fmt.Errorf("unless %w (step %s)", err, s.Name)
	}
	return nil
}

// done is the message that tells that the step is behind.
func (s Step) done() string {
	if s.Done != "" {
		return s.Done
	}
	return s.Name + " done"
}

func (p *Probe) validate() error {
	if p == nil {
		return nil
	}
	kinds := 0
	for _, set := range []bool{p.TCP != "", p.HTTP != "", len(p.Command) > 0, p.Func != "", p.Log != ""} {
		if set {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return fmt.Errorf("tcp, http, command, func, log: %d of them are set: want exactly one", kinds)
	case p.Delay < 0, p.Interval < 0, p.Timeout < 0, p.Within < 0:
		return fmt.Errorf("delay %v, interval %v, timeout %v, within %v: want zero or more", p.Delay, p.Interval, p.Timeout, p.Within)
	case p.Failures < 0:
		return fmt.Errorf("failures %d: want zero or more", p.Failures)
	}
	if _, err := regexp.Compile(p.Log); err != nil {
		return fmt.Errorf("log %q: %w", p.Log, err)
	}
	if p.HTTP != "" && !strings.Contains(p.HTTP, "$") {
		if u, err := url.Parse(p.HTTP); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return fmt.Errorf("http %q: want a URL such as http://127.0.0.1:8080/health", p.HTTP)
		}
	}
	return nil
}

// withDefaults returns a copy of p without zero values that stand for others.
func (p Probe) withDefaults() Probe {
	if p.Interval == 0 {
		p.Interval = defaultInterval
	}
	if p.Timeout == 0 {
		p.Timeout = defaultTimeout
	}
	if p.Failures == 0 {
		p.Failures = defaultFailures
	}
	return p
}

// tail is the number of lines to keep of the server's output.
func (l Logs) tail() int {
	if l.Tail == 0 {
		return defaultTail
	}
	return max(l.Tail, 0)
}
