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
	cmd.Path, cmd.Args = search(info.GetValue(), vars["PATH"], dir), info.GetArguments()
	return cmd
}

// search finds a program as execvp(3) does: a name without a slash in the
// directories of path, others as they are, relative to dir.
func search(name, path, dir string) string {
	if strings.Contains(name, "/") {
		return name
	}
	for _, d := range filepath.SplitList(path) {
		at := filepath.Join(d, name)
		if !filepath.IsAbs(at) {
			at = filepath.Join(dir, at)
		}
		if s, err := os.Stat(at); err == nil && s.Mode().IsRegular() && s.Mode()&0o111 != 0 {
			return at
		}
	}
	return "./" + name // does not exist, or is not executable: let it say so
}

// launch starts cmd. If the program itself is what cannot be started the
// process becomes one that says so and fails, as mesos-containerizer, which
// has forked by then, does.
func launch(cmd *exec.Cmd) (*os.Process, error) {
	err := cmd.Start()
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

// account is the user that a container runs as; nil is the caller.
type account struct{ uid, gid int }

// owner is the account of the container. Only root may choose.
func (cfg *Config) owner() (*account, error) {
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
	var a account
	if a.uid, err = strconv.Atoi(u.Uid); err != nil {
		return nil, fmt.Errorf("sandbox: user %q has uid %q: want a number", name, u.Uid)
	}
	if a.gid, err = strconv.Atoi(u.Gid); err != nil {
		return nil, fmt.Errorf("sandbox: user %q has gid %q: want a number", name, u.Gid)
	}
	return &a, nil
}

func (a *account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
}

// take gives the sandbox and all in it to the account, and the directories
// where the volumes lie, but not what they hold, as Mesos does. It follows no
// symlink: an archive may have brought one to a file of the system.
func (a *account) take(sandbox string, volumes []string) error {
	if a == nil {
		return nil
	}
	for _, path := range volumes {
		if err := os.Lchown(path, a.uid, a.gid); err != nil {
			return fmt.Errorf("sandbox: giving a volume to uid %d: %w", a.uid, err)
		}
	}
	err := filepath.WalkDir(sandbox, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, a.uid, a.gid)
	})
	if err != nil {
		return fmt.Errorf("sandbox: giving the sandbox to uid %d: %w", a.uid, err)
	}
	return nil
}
