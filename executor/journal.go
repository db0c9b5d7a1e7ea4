package executor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mesos/mesos-go/api/v1/lib/executor"
)

// journal keeps, in the sandbox, the tasks of the executor and the updates that
// the agent has not acknowledged. An executor that is killed and started again
// in its sandbox, by a wrapper for instance, so loses none.
type journal struct{ path string }

func newJournal(sandbox string) journal {
	return journal{path: filepath.Join(sandbox, ".mesokit-executor")}
}

// load returns what was saved last; nil if nothing was.
func (j journal) load() (*executor.Call_Subscribe, error) {
	data, err := os.ReadFile(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	saved := new(executor.Call_Subscribe)
	if err := saved.Unmarshal(data); err != nil {
		return nil, fmt.Errorf("read the journal %s: %w", j.path, err)
	}
	return saved, nil
}

// save replaces what was saved.
func (j journal) save(s *executor.Call_Subscribe) error {
	data, err := s.Marshal()
	if err != nil {
		return fmt.Errorf("save the journal: %w", err)
	}
	dir := places{sandbox: filepath.Dir(j.path)}
	if err := dir.write(filepath.Base(j.path), data, 0o600); err != nil {
		return fmt.Errorf("save the journal: %w", err)
	}
	return nil
}
