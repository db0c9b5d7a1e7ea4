package dist

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// heldLock is an exclusive lock between processes. The kernel lets go of it when
// the last copy of file is closed: programs that are started with a copy of it,
// and outlive a killed parent, keep others out until they are done too.
type heldLock struct{ file *os.File }

// lockFile waits for the lock on path, which is made with its folder if it is
// not there. It calls waiting once if the lock is not free.
func lockFile(ctx context.Context, path string, waiting func()) (heldLock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return heldLock{}, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return heldLock{}, err
	}
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for first := true; ; first = false {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return heldLock{f}, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return heldLock{}, fmt.Errorf("lock %s: %w", path, err)
		}
		if first {
			waiting()
		}
		select {
		case <-ctx.Done():
			f.Close()
			return heldLock{}, fmt.Errorf("wait for the lock %s: %w", path, context.Cause(ctx))
		case <-again.C:
		}
	}
}

// release gives the lock up for every copy of the file.
func (l heldLock) release() {
	// Neither can fail in a way that leaves the lock held past this process.
	_ = syscall.Flock(int(l.file.Fd()), syscall.LOCK_UN)
	_ = l.file.Close()
}
