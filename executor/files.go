package executor

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/executor/internal/guard"
)

// places are the directories that a task may write to: its sandbox and its
// volumes.
type places struct {
	sandbox string // absolute
	// volumes are relative to the sandbox, where an agent may put links that lead
	// out of it, or absolute. The longest come first, as one may lie in another.
	volumes []string
	// readOnly are those of them that cannot be given to a user.
	readOnly []string
}

// placesOf finds the volumes of a task and its executor, whose containers are
// one: persistent volumes among the resources, and those of ContainerInfo.
func placesOf(sandbox string, info mesos.TaskInfo, self mesos.ExecutorInfo) places {
	var all []mesos.Volume
	for _, r := range slices.Concat(info.Resources, info.GetExecutor().GetResources(), self.Resources) {
		if v := r.GetDisk().GetVolume(); v != nil {
			all = append(all, *v)
		}
	}
	for _, c := range []*mesos.ContainerInfo{info.Container, info.GetExecutor().GetContainer(), self.Container} {
		all = append(all, c.GetVolumes()...)
	}
	p := places{sandbox: sandbox}
	for _, v := range all {
		path := filepath.Clean(v.ContainerPath)
		if validateFile(path) != nil || slices.Contains(p.volumes, path) {
			continue
		}
		p.volumes = append(p.volumes, path)
		if v.GetMode() == mesos.RO {
			p.readOnly = append(p.readOnly, path)
		}
	}
	slices.SortStableFunc(p.volumes, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return p
}

// dir is the absolute path of a volume.
func (p places) dir(volume string) string {
	if filepath.IsAbs(volume) {
		return volume
	}
	return filepath.Join(p.sandbox, volume)
}

// root opens the place that path lies in and returns the path in it. No
// operation on the root leaves the place, whatever links a server has made.
func (p places) root(path string) (*os.Root, string, error) {
	dir, rest := "", filepath.Clean(path)
	for _, v := range p.volumes {
		if inside, ok := strings.CutPrefix(rest, v+"/"); ok {
			dir, rest = p.dir(v), inside
			break
		}
	}
	switch {
	case dir != "":
	case filepath.IsAbs(rest):
		return nil, "", fmt.Errorf("%s is in no volume of the task or its executor", path)
	default:
		dir = p.sandbox
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, "", err
	}
	return root, rest, nil
}

// exists tells whether path, relative to the sandbox, is there.
func (p places) exists(path string) (bool, error) {
	if slices.Contains(p.volumes, filepath.Clean(path)) {
		return true, nil // a volume is made before its task starts
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

// give makes the sandbox and the volumes that can be written to, not what is in
// them, ones of id.
func (p places) give(id *guard.User) error {
	for _, dir := range append([]string{"."}, p.volumes...) {
		if slices.Contains(p.readOnly, dir) {
			continue
		}
		path := p.dir(dir)
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
