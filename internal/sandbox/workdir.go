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
	} {
		if err := ValidateID(f.id); err != nil {
			return fmt.Errorf("sandbox: %s ID %q: %w", f.name, f.id, err)
		}
	}
	return nil
}

// executors is the directory of a framework's executors below root, which is
// the work directory or its meta directory.
func executors(root, agentID, frameworkID string) string {
	return filepath.Join(root, "slaves", agentID, "frameworks", frameworkID, "executors")
}

func (r Run) dir(root string) string {
	return filepath.Join(executors(root, r.AgentID, r.FrameworkID), r.ExecutorID, "runs", r.ContainerID)
}

// Sandbox is the directory in which the run's process starts.
func (w WorkDir) Sandbox(r Run) string { return r.dir(string(w)) }

// meta is the root of what the agent remembers across its own restarts.
func (w WorkDir) meta() string { return filepath.Join(string(w), "meta") }

func (w WorkDir) metaDir(r Run) string { return r.dir(w.meta()) }

// create makes the directories of the run and points latest at it.
func (w WorkDir) create(r Run) error {
	if w == "" {
		return errors.New("sandbox: WorkDir is empty: want the path of a directory")
	}
	if err := r.validate(); err != nil {
		return err
	}
	for _, dir := range []string{w.Sandbox(r), w.metaDir(r)} {
		if err := os.MkdirAll(filepath.Join(filepath.Dir(dir)), 0o755); err != nil {
			return fmt.Errorf("sandbox: making the directory of a run: %w", err)
		}
		if err := os.Mkdir(dir, 0o750); err != nil {
			return fmt.Errorf("sandbox: making the directory of a run: %w", err)
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
	pids, err := fs.Glob(root, "frameworks/*/executors/*/runs/*/"+pidFile)
	if err != nil {
		return nil, fmt.Errorf("sandbox: listing the runs of agent %s: %w", agentID, err)
	}
	var runs []Run
	for _, p := range pids {
		part := strings.Split(p, "/")
		if part[5] == latest {
			continue
		}
		r := Run{AgentID: agentID, FrameworkID: part[1], ExecutorID: part[3], ContainerID: part[5]}
		if _, err := os.Stat(filepath.Join(w.metaDir(r), sentinelFile)); err == nil {
			continue
		}
		runs = append(runs, r)
	}
	slices.SortFunc(runs, func(a, b Run) int {
		return cmp.Or(
			cmp.Compare(a.FrameworkID, b.FrameworkID),
			cmp.Compare(a.ExecutorID, b.ExecutorID),
			cmp.Compare(a.ContainerID, b.ContainerID))
	})
	return runs, nil
}

// remember writes one of the files of a run in one step, so that a reader
// sees all of it or none.
func (w WorkDir) remember(r Run, name, content string) error {
	path := filepath.Join(w.metaDir(r), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("sandbox: remembering a container: %w", err)
	}
	if err := os.WriteFile(path+".tmp", []byte(content), 0o644); err != nil {
		return fmt.Errorf("sandbox: remembering a container: %w", err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("sandbox: remembering a container: %w", err)
	}
	return nil
}

// recall reads a file that remember wrote; the error is fs.ErrNotExist when
// there is none.
func (w WorkDir) recall(r Run, name string) (string, error) {
	b, err := os.ReadFile(filepath.Join(w.metaDir(r), name))
	if err != nil {
		return "", fmt.Errorf("sandbox: recalling a container: %w", err)
	}
	return string(b), nil
}
