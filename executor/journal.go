package executor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mesos/mesos-go/api/v1/lib/executor"
)

// journal keeps, in the sandbox, the tasks of the executor and the updates that
// the agent has not acknowledged. An executor that is killed and started again
// in its sandbox, by a wrapper for instance, so loses none. The file is the
// SUBSCRIBE that tells all of it, after its checksum: a message that was cut might
// still be one.
type journal struct{ path string }

const checksumSize = 4 // bytes of a CRC-32

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
	if len(data) < checksumSize || binary.BigEndian.Uint32(data) != crc32.ChecksumIEEE(data[checksumSize:]) {
		return nil, fmt.Errorf("read the journal %s: its %d bytes are not what was written", j.path, len(data))
	}
	saved := new(executor.Call_Subscribe)
	if err := saved.Unmarshal(data[checksumSize:]); err != nil {
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
	data = append(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(data)), data...)
	dir := places{sandbox: filepath.Dir(j.path)}
	if err := dir.write(filepath.Base(j.path), data, 0o600, nil); err != nil {
		return fmt.Errorf("save the journal: %w", err)
	}
	return nil
}
