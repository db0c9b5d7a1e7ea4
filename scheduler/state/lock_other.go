//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package state

import (
	"errors"
	"fmt"
	"os"
	"runtime"
)

// tryLock refuses: without a lock that dies with its process, two schedulers
// could write one directory.
func tryLock(*os.File) (taken bool, err error) {
	return false, fmt.Errorf("a state directory on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func unlock(*os.File) error { return nil }
