package hdfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// markFile says whose volume it is: what Hadoop writes on it names the cluster
// only, or nobody that the framework knows.
const markFile = volume + "/mesokit-node"

// claim refuses a volume that another node of this or another cluster has, or had.
// One without a mark is the node's from then on, unless what is on it belongs to
// something else; found is what a file VERSION on it says, nil: nothing.
func (l layout) claim(sandbox string, found map[string]string) error {
	mark, err := os.ReadFile(filepath.Join(sandbox, markFile))
	switch {
	case err == nil && string(mark) != l.Owner:
		return fmt.Errorf("%s belongs to %q, not to %q: bring the node's own volume back, or replace the node", volume, mark, l.Owner)
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case found != nil && found["clusterID"] != l.Identity.Cluster:
		return fmt.Errorf("%s belongs to cluster %s, not to cluster %s: bring the node's own volume back, or replace the node",
			volume, found["clusterID"], l.Identity.Cluster)
	}
	return writeWhole(filepath.Join(sandbox, markFile), l.Owner)
}

// writeWhole makes a file that is there whole or not at all, whatever happens meanwhile.
func writeWhole(path, text string) error {
	f, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
