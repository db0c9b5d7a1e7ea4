//go:build unix && !linux

package executor

import (
	"os"
	"syscall"
)

// selfPath is the file of this binary.
func selfPath() (string, error) { return os.Executable() }

// redirect lets the descriptor of to stand for the file from.
func redirect(from, to *os.File) error {
	return syscall.Dup2(int(from.Fd()), int(to.Fd()))
}
