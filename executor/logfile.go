package executor

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
)

// logFile is the standard output or error of the executor. When it is a file of
// the sandbox and a limit was set, it is rotated: stdout becomes stdout.1, that
// becomes stdout.2, and so on.
type logFile struct {
	file *os.File // os.Stdout or os.Stderr; stays the same, with another file behind it
	path string   // of the file behind it

	mu   sync.Mutex
	max  int64 // bytes; zero: no limit
	keep int   // rotated files
	size int64 // of the file behind it, in bytes; only with a limit
}

// limit sets the limit of a task, unless it wants none. The executor's tasks share
// their output, so the last one that sets a limit sets it for all.
func (l *logFile) limit(logs Logs) error {
	if logs.MaxBytes < 0 {
		return nil
	}
	behind, err := l.file.Stat()
	if err != nil {
		return fmt.Errorf("limit %s: %w", l.path, err)
	}
	named, err := os.Stat(l.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("limit %s: %w", l.path, err)
	}
	if err != nil || !os.SameFile(behind, named) {
		return nil // a pipe of a container logger, for instance, that does it itself
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.max, l.keep, l.size = cmp.Or(logs.MaxBytes, defaultMaxBytes), max(logs.Keep, 1), behind.Size()
	return nil
}

// Write appends p, after a rotation if the file would become too large. Lines
// stay whole as long as they come whole.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.max == 0 || l.size == 0 || l.size+int64(len(p)) <= l.max {
		return l.append(p)
	}
	end := bytes.IndexByte(p, '\n') + 1
	if l.size > l.max { // the last rotation failed: rather lose output than fill the disk
		end = 0
	}
	n, err := l.append(p[:end])
	if err == nil {
		err = l.rotate()
	}
	if err != nil {
		return n, err
	}
	rest, err := l.append(p[end:])
	return n + rest, err
}

func (l *logFile) append(p []byte) (int, error) {
	n, err := l.file.Write(p)
	l.size += int64(n)
	return n, err
}

func (l *logFile) rotate() error {
	for i := l.keep - 1; i > 0; i-- {
		err := os.Rename(fmt.Sprintf("%s.%d", l.path, i), fmt.Sprintf("%s.%d", l.path, i+1))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	// It is not there when somebody removed it or the last rotation ended here.
	if err := os.Rename(l.path, l.path+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// Exclusive, so that a server that owns the sandbox cannot lay a link there.
	next, err := os.OpenFile(l.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	l.size = 0
	return errors.Join(redirect(next, l.file), next.Close())
}
