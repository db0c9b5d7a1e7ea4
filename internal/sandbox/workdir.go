package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// WorkDir is the work directory of one agent, the --work_dir of Mesos. It
// should be an absolute path: tasks see it in their environment.
type WorkDir string

// Run names one run of an executor: one container on one agent. Each field
// becomes the name of a directory, so each must be an identifier that Mesos
// accepts (see [ValidateID]).
type Run struct {
	AgentID     string
	FrameworkID string
	ExecutorID  string
	ContainerID string
	// Nested is the container of one task of a task group, whose parent is
	// ContainerID; empty for the executor's own container.
	Nested string
}

// Files of a run under meta, named as in Mesos's src/slave/paths.cpp. Mesos
// keeps the wait status elsewhere (under its runtime directory), and does not
// keep the start time, which tells a process from a later one of the same pid.
const (
	pidFile      = "pids/forked.pid"
	startFile    = "pids/forked.start"
	statusFile   = "status"
	sentinelFile = "executor.sentinel"
)

// latest is the symlink beside the runs of an executor that leads to the last.
const latest = "latest"

// maxID is the length in bytes of the longest name of a directory (NAME_MAX).
const maxID = 255

// ValidateID says why id cannot be a Mesos identifier, in the words of Mesos
// (validateID in src/common/validation.cpp). What passes is a plain name of a
// directory.
func ValidateID(id string) error {
	switch {
	case id == "":
		return errors.New("ID must not be empty")
	case len(id) > maxID:
		return fmt.Errorf("ID must not be greater than %d characters", maxID)
	case id == "." || id == "..":
		return fmt.Errorf("'%s' is disallowed", id)
	}
	for _, c := range []byte(id) {
		if c < ' ' || c == 0x7f || c == '/' || c == '\\' {
			return fmt.Errorf("'%s' contains invalid characters", id)
		}
	}
	return nil
}

func (r Run) validate() error {
	for _, f := range []struct{ name, id string }{
		{"agent", r.AgentID}, {"framework", r.FrameworkID},
		{"executor", r.ExecutorID}, {"container", r.ContainerID},
		{"nested container", cmp.Or(r.Nested, "none")},
	} {
		if err := ValidateID(f.id); err != nil {
			return fmt.Errorf("sandbox: %s ID %q: %w", f.name, f.id, err)
		}
	}
	return nil
}

// name is the ID of the container that the run is.
func (r Run) name() string { return cmp.Or(r.Nested, r.ContainerID) }

// executors is the directory of a framework's executors below root, which is
// the work directory or its meta directory.
func executors(root, agentID, frameworkID string) string {
	return filepath.Join(root, "slaves", agentID, "frameworks", frameworkID, "executors")
}

func (r Run) dir(root string) string {
	dir := filepath.Join(executors(root, r.AgentID, r.FrameworkID), r.ExecutorID, "runs", r.ContainerID)
	if r.Nested != "" {
		dir = filepath.Join(dir, "containers", r.Nested)
	}
	return dir
}

// Sandbox is the directory in which the run's process starts.
func (w WorkDir) Sandbox(r Run) string { return r.dir(string(w)) }

// meta is the root of what the agent remembers across its own restarts.
func (w WorkDir) meta() string { return filepath.Join(string(w), "meta") }

func (w WorkDir) metaDir(r Run) string { return r.dir(w.meta()) }

// Create makes the directories of the run and points latest at it. [Start]
// does so itself; it is for an executor without a process of its own.
func (w WorkDir) Create(r Run) error {
	if !filepath.IsAbs(string(w)) {
		return fmt.Errorf("sandbox: WorkDir %q: want an absolute path", string(w))
	}
	if err := r.validate(); err != nil {
		return err
	}
	for _, dir := range []string{w.Sandbox(r), w.metaDir(r)} {
		if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
			return fmt.Errorf("sandbox: making the directory of a run: %w", err)
		}
		if err := os.Mkdir(dir, 0o750); err != nil {
			return fmt.Errorf("sandbox: making the directory of a run: %w", err)
		}
		if r.Nested != "" {
			continue
		}
		if err := relink(r.ContainerID, filepath.Join(filepath.Dir(dir), latest)); err != nil {
			return fmt.Errorf("sandbox: pointing %s at a run: %w", latest, err)
		}
	}
	return nil
}

// relink makes link a symlink to target in one step, whatever it was before.
func relink(target, link string) error {
	next := link + "." + target
	if err := os.Symlink(target, next); err != nil {
		return err
	}
	return os.Rename(next, link)
}

// Runs are the runs of the agent whose process was started and which were not
// destroyed since, sorted: those that an agent that starts again attaches to.
func (w WorkDir) Runs(agentID string) ([]Run, error) {
	if err := ValidateID(agentID); err != nil {
		return nil, fmt.Errorf("sandbox: agent ID %q: %w", agentID, err)
	}
	// A pattern would have to escape the agent's ID; its directory does not.
	root := os.DirFS(filepath.Join(w.meta(), "slaves", agentID))
	var runs []Run
	for _, pattern := range []string{"", "containers/*/"} {
		pids, err := fs.Glob(root, "frameworks/*/executors/*/runs/*/"+pattern+pidFile)
		if err != nil {
			return nil, fmt.Errorf("sandbox: listing the runs of agent %s: %w", agentID, err)
		}
		for _, p := range pids {
			part := strings.Split(p, "/")
			r := Run{AgentID: agentID, FrameworkID: part[1], ExecutorID: part[3], ContainerID: part[5]}
			if pattern != "" {
				r.Nested = part[7]
			}
			_, err := os.Stat(filepath.Join(w.metaDir(r), sentinelFile))
			if part[5] != latest && errors.Is(err, fs.ErrNotExist) {
				runs = append(runs, r)
			}
		}
	}
	slices.SortFunc(runs, func(a, b Run) int {
		return cmp.Or(
			cmp.Compare(a.FrameworkID, b.FrameworkID),
			cmp.Compare(a.ExecutorID, b.ExecutorID),
			cmp.Compare(a.ContainerID, b.ContainerID),
			cmp.Compare(a.Nested, b.Nested))
	})
	return runs, nil
}

// remember writes one of the files of a run in one step, so that a reader
// sees all of it or none, whoever else writes it meanwhile.
func (w WorkDir) remember(r Run, name, content string) error {
	path := filepath.Join(w.metaDir(r), name)
	if err := replaceFile(path, content); err != nil {
		return fmt.Errorf("sandbox: remembering %s of container %s: %w", name, r.name(), err)
	}
	return nil
}

func replaceFile(path, content string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".")
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// recall reads a file that remember wrote; the error is fs.ErrNotExist when
// there is none.
func (w WorkDir) recall(r Run, name string) (string, error) {
	b, err := os.ReadFile(filepath.Join(w.metaDir(r), name))
	if err != nil {
		return "", fmt.Errorf("sandbox: recalling %s of container %s: %w", name, r.name(), err)
	}
	return string(b), nil
}
