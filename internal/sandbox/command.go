package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// command is the process of a CommandInfo: through the shell, or the program
// with exactly the given arguments, the first of which is its own name.
func command(info *mesos.CommandInfo, vars map[string]string, dir string) *exec.Cmd {
	cmd := &exec.Cmd{Env: list(vars), Dir: dir}
	if info.GetShell() {
		cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", info.GetValue()}
		return cmd
	}
	cmd.Args = info.GetArguments()
	cmd.Path, cmd.Err = search(info.GetValue(), vars["PATH"], dir)
	return cmd
}

// search finds a program as execvp(3) does: a name without a slash in the
// directories of path, others as they are, relative to dir.
func search(name, path, dir string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, d := range filepath.SplitList(path) {
		at := filepath.Join(d, name)
		if !filepath.IsAbs(at) {
			at = filepath.Join(dir, at)
		}
		if s, err := os.Stat(at); err == nil && s.Mode().IsRegular() && s.Mode()&0o111 != 0 {
			return at, nil
		}
	}
	return name, syscall.ENOENT
}

// launch starts cmd. If the program itself is what cannot be started the
// process becomes one that says so and fails, as mesos-containerizer, which
// has forked by then, does.
func launch(cmd *exec.Cmd) (*os.Process, error) {
	err := cmd.Start()
	// A process that another agent of this program was just starting may hold
	// the program open for writing, as its fetcher had it, until it has executed
	// its own (go.dev/issue/22315).
	const patience, pause = 2 * time.Second, 5 * time.Millisecond
	for begun := time.Now(); errors.Is(err, syscall.ETXTBSY) && time.Since(begun) < patience; time.Sleep(pause) {
		cmd = &exec.Cmd{
			Path: cmd.Path, Args: cmd.Args, Env: cmd.Env, Dir: cmd.Dir,
			Stdout: cmd.Stdout, Stderr: cmd.Stderr, SysProcAttr: cmd.SysProcAttr,
		}
		err = cmd.Start()
	}
	if err == nil {
		return cmd.Process, nil
	}
	errno, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		return nil, fmt.Errorf("sandbox: starting a process: %w", err)
	}
	again := &exec.Cmd{
		Path: "/bin/sh", Env: cmd.Env, Dir: cmd.Dir,
		Stdout: cmd.Stdout, Stderr: cmd.Stderr, SysProcAttr: cmd.SysProcAttr,
	}
	switch {
	case errors.Is(err, syscall.ENOEXEC) && len(cmd.Args) > 0: // a script without #!: execvp gives it to the shell
		again.Args = append([]string{"sh", cmd.Path}, cmd.Args[1:]...)
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.EPERM):
		return nil, fmt.Errorf("sandbox: starting a process: %w", err) // not the program's fault
	default:
		again.Args = []string{"sh", "-c", `printf "Failed to execute '%s': %s\n" "$1" "$2" >&2; exit 1`, "sh", cmd.Path, errnoText(errno)}
	}
	if err := again.Start(); err != nil {
		return nil, fmt.Errorf("sandbox: starting a process: %w", err)
	}
	return again.Process, nil
}

// errnoText is strerror(3), which begins with a capital where Go does not.
func errnoText(e syscall.Errno) string {
	s := e.Error()
	return strings.ToUpper(s[:1]) + s[1:]
}

// owner is the user that the container runs as; nil is the caller. Only root
// may choose.
func (cfg *Config) owner() (*syscall.Credential, error) {
	name := cfg.User
	if u := cfg.Command.GetUser(); u != "" {
		name = u
	}
	if name == "" || name == "root" || os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("sandbox: user %q: %w", name, err)
	}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("sandbox: groups of user %q: %w", name, err)
	}
	var ids []uint32
	for _, id := range append([]string{u.Uid, u.Gid}, groups...) {
		n, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("sandbox: user %q has ID %q: want a number", name, id)
		}
		ids = append(ids, uint32(n))
	}
	return &syscall.Credential{Uid: ids[0], Gid: ids[1], Groups: ids[2:]}, nil
}

// give makes owner, unless it is nil, the owner of the sandbox and all in it,
// and of the directories of volumes but not of what they hold, as Mesos does.
// It follows no symlink: an archive may have brought one to a file of the
// system.
func give(owner *syscall.Credential, sandbox string, volumes []string) error {
	if owner == nil {
		return nil
	}
	chown := func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(owner.Uid), int(owner.Gid))
	}
	err := filepath.WalkDir(sandbox, chown)
	for _, path := range volumes {
		err = errors.Join(err, chown(path, nil, nil))
	}
	if err != nil {
		return fmt.Errorf("sandbox: giving the sandbox to uid %d: %w", owner.Uid, err)
	}
	return nil
}
