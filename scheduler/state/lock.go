package state

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// TakenError says that another process, or another store of this one, has the
// state: that a [File] is open on the directory, or that a scheduler was
// elected to lead.
type TakenError struct {
	Dir    string // or URL
	Holder string // for people: process id, host and time
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("state directory %s is taken by %s; stop it first, or give this scheduler a directory of its own", e.Dir, e.Holder)
}

// heldLock is a lock that this process has.
type heldLock struct{ file *os.File }

// Close gives the lock up, also for the copies of the file that a child process
// has between fork and exec: to close the file alone would leave it taken until
// then.
func (l heldLock) Close() error {
	return errors.Join(unlock(l.file), l.file.Close())
}

// lock takes the directory for this process until what it returns is closed or
// the process is gone. The kernel holds the lock; the content of the file only
// tells people who has it.
func lock(root *os.Root) (io.Closer, error) {
	f, err := root.OpenFile("lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", root.Name(), err)
	}
	taken, err := tryLock(f)
	if err == nil && taken {
		err = &TakenError{Dir: root.Name(), Holder: holder(f)}
	}
	if err == nil {
		err = sign(f)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return heldLock{f}, nil
}

func sign(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(Holder()+"\n"), 0)
	return err
}

// Holder describes this process to people, for [TakenError.Holder]: process
// id, host and time.
func Holder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "an unnamed host"
	}
	return fmt.Sprintf("process %d on %s since %s", os.Getpid(), host, time.Now().UTC().Format(time.RFC3339))
}

func holder(f *os.File) string {
	text, err := io.ReadAll(io.LimitReader(f, 512))
	if err != nil {
		return "a process that cannot be named: " + err.Error()
	}
	// Between lock and signature the file is empty.
	return cmp.Or(strings.TrimSpace(string(text)), "a process that has not given its name yet")
}
