package executor

import (
	"os"

	"golang.org/x/sys/unix"
)

// selfPath starts this binary again, also after its file was replaced.
func selfPath() (string, error) { return "/proc/self/exe", nil }

// redirect lets the descriptor of to stand for the file from.
func redirect(from, to *os.File) error {
	return unix.Dup3(int(from.Fd()), int(to.Fd()), 0)
}
