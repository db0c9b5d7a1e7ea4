package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// VolumePath is where the data of a persistent volume lie
// (getPersistentVolumePath in Mesos's src/slave/paths.cpp): under the work
// directory, under the root of a PATH disk, or at the root of a MOUNT disk.
// It is an error to ask for a resource that is no persistent volume of a
// reservation, or whose role or persistence ID would lead out of the directory.
func (w WorkDir) VolumePath(r mesos.Resource) (string, error) {
	id := r.GetDisk().GetPersistence().GetID()
	if err := ValidateID(id); err != nil {
		return "", fmt.Errorf("sandbox: persistence ID %q of resource %s: %w", id, r.Name, err)
	}
	role := reservationRole(r)
	if role == "" || role == "*" {
		return "", fmt.Errorf("sandbox: volume %s is not reserved: a persistent volume needs a reservation", id)
	}
	// Roles may be paths; Mesos keeps their directories flat.
	flat := strings.ReplaceAll(role, "/", " ")
	if err := ValidateID(flat); err != nil {
		return "", fmt.Errorf("sandbox: role %q of volume %s: %w", role, id, err)
	}

	root := string(w)
	if source := r.GetDisk().GetSource(); source != nil {
		switch source.GetType() {
		case mesos.Resource_DiskInfo_Source_PATH:
			root = w.join(source.GetPath().GetRoot())
		case mesos.Resource_DiskInfo_Source_MOUNT:
			return w.join(source.GetMount().GetRoot()), nil
		default:
			return "", fmt.Errorf("sandbox: volume %s lies on a %s disk: only PATH and MOUNT disks hold volumes", id, source.GetType())
		}
	}
	return filepath.Join(root, "volumes", "roles", flat, id), nil
}

// join is path below the work directory, unless it is absolute.
func (w WorkDir) join(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(string(w), path)
}

// reservationRole is the role that a resource is reserved to: that of the
// innermost reservation, or the one of the format before reservation
// refinement.
func reservationRole(r mesos.Resource) string {
	if n := len(r.Reservations); n > 0 {
		return r.Reservations[n-1].GetRole()
	}
	return r.GetRole()
}

// CreateVolume makes the directory of a persistent volume. A directory that
// is already there is kept with what it holds, as Mesos does.
func (w WorkDir) CreateVolume(r mesos.Resource) error {
	path, err := w.VolumePath(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return fmt.Errorf("sandbox: creating volume %s: %w", r.GetDisk().GetPersistence().GetID(), err)
	}
	return nil
}

// DestroyVolume removes a persistent volume and its data; of a MOUNT disk the
// root stays, empty. A volume that is not there is no error.
func (w WorkDir) DestroyVolume(r mesos.Resource) error {
	path, err := w.VolumePath(r)
	if err != nil {
		return err
	}
	doomed := []string{path}
	if r.GetDisk().GetSource().GetType() == mesos.Resource_DiskInfo_Source_MOUNT {
		doomed = doomed[:0]
		entries, err := os.ReadDir(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("sandbox: destroying volume %s: %w", r.GetDisk().GetPersistence().GetID(), err)
		}
		for _, e := range entries {
			doomed = append(doomed, filepath.Join(path, e.Name()))
		}
	}
	for _, d := range doomed {
		if err := os.RemoveAll(d); err != nil {
			return fmt.Errorf("sandbox: destroying volume %s: %w", r.GetDisk().GetPersistence().GetID(), err)
		}
	}
	return nil
}

// link places the persistent volumes among resources in the sandbox, each as
// a symlink at its container path, and returns where they lie. Mesos's
// filesystem/posix isolator does the same and leaves out paths with a slash;
// here a relative one gets its parent directories, as under filesystem/linux.
// A volume that is read-only can be written all the same: a symlink cannot
// prevent it.
func (w WorkDir) link(sandbox string, resources []mesos.Resource) ([]string, error) {
	root, err := os.OpenRoot(sandbox)
	if err != nil {
		return nil, fmt.Errorf("sandbox: placing volumes: %w", err)
	}
	defer root.Close()
	var placed []string
	for _, r := range resources {
		if r.GetDisk().GetPersistence() == nil {
			continue
		}
		target, err := w.VolumePath(r)
		if err != nil {
			return nil, err
		}
		if err := place(root, target, r.GetDisk().GetVolume().GetContainerPath()); err != nil {
			return nil, fmt.Errorf("sandbox: placing volume %s: %w", r.GetDisk().GetPersistence().GetID(), err)
		}
		placed = append(placed, target)
	}
	return placed, nil
}

// place makes a symlink to target at the container path. A shared volume may
// be asked for twice, by the task and by its executor.
func place(root *os.Root, target, at string) error {
	if !filepath.IsLocal(at) {
		return fmt.Errorf("container path %q: want a relative path inside the sandbox", at)
	}
	if _, err := os.Stat(target); err != nil {
		return err
	}
	if was, err := root.Readlink(at); err == nil && was == target {
		return nil
	}
	if err := root.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	return root.Symlink(target, at)
}
