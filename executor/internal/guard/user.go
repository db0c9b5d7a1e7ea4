package guard

import (
	"fmt"
	"os"
	"syscall"
)

// User is whom a process runs as and a file belongs to. Nil is whoever the
// executor is.
type User struct {
	UID    uint32
	GID    uint32
	Groups []uint32 `json:",omitempty"` // supplementary
}

// Credential is what starts a process as this user; nil: as the executor.
func (u *User) Credential() *syscall.Credential {
	if u == nil || os.Geteuid() != 0 {
		return nil
	}
	return &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
}

// Give makes a file, named or open, one of this user.
func (u *User) Give(chown func(uid, gid int) error) error {
	if u == nil || os.Geteuid() != 0 {
		return nil
	}
	return chown(int(u.UID), int(u.GID))
}

// Limits are those of the executor's package, which explains them.
type Limits struct {
	OpenFiles uint64
	NoCore    bool
	Umask     *int
}

// apply sets the limits for this process and all that it starts.
func (l Limits) apply() error {
	if l.OpenFiles > 0 {
		limit := syscall.Rlimit{Cur: l.OpenFiles, Max: l.OpenFiles}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			return fmt.Errorf("limits.open_files %d: %w (more than the hard limit needs root)", l.OpenFiles, err)
		}
	}
	if l.NoCore {
		if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
			return fmt.Errorf("limits.no_core: %w", err)
		}
	}
	if l.Umask != nil {
		syscall.Umask(*l.Umask)
	}
	return nil
}
