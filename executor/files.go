package executor

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/executor/internal/guard"
)

// places are the directories that a task may write to: its sandbox and its
// volumes.
type places struct {
	sandbox string   // absolute
	volumes []string // relative to the sandbox, where an agent may put links that lead out of it
}

func placesOf(sandbox string, info mesos.TaskInfo) places {
	p := places{sandbox: sandbox}
	for _, r := range info.Resources {
		if v := r.GetDisk().GetVolume(); v != nil && filepath.IsLocal(v.ContainerPath) {
			p.volumes = append(p.volumes, filepath.Clean(v.ContainerPath))
		}
	}
	return p
}

// root opens the place that path lies in and returns the path in it. No
// operation on the root leaves the place, whatever links a server has made.
func (p places) root(path string) (*os.Root, string, error) {
	dir, rest := p.sandbox, filepath.Clean(path)
	for _, v := range p.volumes {
		if inside, ok := strings.CutPrefix(rest, v+"/"); ok {
			dir, rest = filepath.Join(p.sandbox, v), inside
			break
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, "", err
	}
	return root, rest, nil
}

// exists tells whether path, relative to the sandbox, is there.
func (p places) exists(path string) (bool, error) {
	for _, v := range p.volumes {
		if filepath.Clean(path) == v {
			return true, nil // a volume is made before its task starts
		}
	}
	root, rest, err := p.root(path)
	if err != nil {
		return false, err
	}
	defer root.Close()
	_, err = root.Stat(rest)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return false, nil
	}
	return err == nil, err
}

// write puts content into the file at path, relative to the sandbox, so that
// it is there whole and durably or not at all. It makes missing directories.
// The file and they belong to owner; nil: to the executor.
func (p places) write(path string, content []byte, mode fs.FileMode, owner *guard.User) error {
	root, rest, err := p.root(path)
	if err != nil {
		return err
	}
	defer root.Close()
	dir := filepath.Dir(rest)
	if err := makeDirs(root, dir, owner); err != nil {
		return err
	}
	temporary := fmt.Sprintf("%s.%08x.new", rest, rand.Uint32())
	if err := writeNew(root, temporary, content, mode, owner); err != nil {
		return errors.Join(err, remove(root, temporary))
	}
	if err := root.Rename(temporary, rest); err != nil {
		return errors.Join(err, remove(root, temporary))
	}
	return syncDir(root, dir)
}

func writeNew(root *os.Root, path string, content []byte, mode fs.FileMode, owner *guard.User) error {
	// Nobody but the owner until the mode is set: the content may be a secret.
	f, err := root.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = owner.Give(f.Chown)
	}
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// makeDirs makes dir and those above it that are not there.
func makeDirs(root *os.Root, dir string, owner *guard.User) error {
	if dir == "." {
		return nil
	}
	if err := makeDirs(root, filepath.Dir(dir), owner); err != nil {
		return err
	}
	err := root.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return owner.Give(func(uid, gid int) error { return root.Chown(dir, uid, gid) })
}

// give makes the sandbox and the volumes, not what is in them, ones of id.
func (p places) give(id *guard.User) error {
	for _, dir := range append([]string{"."}, p.volumes...) {
		path := filepath.Join(p.sandbox, dir)
		if err := id.Give(func(uid, gid int) error { return os.Chown(path, uid, gid) }); err != nil {
			return err
		}
	}
	return nil
}

// remove takes away what a failed write has left, if anything.
func remove(root *os.Root, path string) error {
	if err := root.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncDir makes a rename in dir durable.
func syncDir(root *os.Root, dir string) error {
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// writeFiles writes the files of a task.
func (p places) writeFiles(files []File, env []string, user *guard.User) error {
	for _, f := range files {
		owner := user
		if f.Owner != "" {
			var err error
			if owner, err = lookupUser(f.Owner); err != nil {
				return fmt.Errorf("file %s: owner: %w", f.Path, err)
			}
		}
		content, mode := f.Content, f.Mode
		if mode == 0 {
			mode = defaultMode
		}
		if f.Expand {
			text, err := expand(string(content), environLookup(env))
			if err != nil {
				return fmt.Errorf("file %s: %w", f.Path, err)
			}
			content = []byte(text)
		}
		if err := p.write(f.Path, content, mode, owner); err != nil {
			return fmt.Errorf("file %s: %w", f.Path, err)
		}
	}
	return nil
}
