package hdfs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
)

// prepared runs the step of a node that has a volume of before. The volume holds what
// ends its preparation before servers are asked.
func prepared(t *testing.T, node, mark, versionDir, cluster string) (string, error) {
	t.Helper()
	c, d, dir := valid().withDefaults(), deployment(), t.TempDir()
	jar := filepath.Join(dir, "a.jar")
	require.NoError(t, os.WriteFile(jar, nil, 0o644))
	c.Distribution.Classpath = jar
	n := named(t, d, node)
	text, err := json.Marshal(c.layout(d, n, c.Data))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, layoutFile), text, 0o644))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, confDir), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, siteFile), []byte("</configuration>"), 0o644))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, volume), 0o755))
	if mark != "" {
		require.NoError(t, os.WriteFile(filepath.Join(dir, markFile), []byte(mark), 0o644))
	}
	if versionDir != "" {
		current := filepath.Join(dir, versionDir, "current")
		require.NoError(t, os.MkdirAll(current, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(current, "VERSION"),
			fmt.Appendf(nil, "clusterID=%s\nnamespaceID=%d\n", cluster, identify(d).Namespace), 0o644))
	}
	step := map[string]string{journalPod: journalStep, namePod: nameStep, dataPod: dataStep}[n.Pod]
	err = Steps()[step](t.Context(), executor.Sandbox{Dir: dir, Log: io.Discard, Report: func(string) {}})
	after, _ := os.ReadFile(filepath.Join(dir, markFile))
	return string(after), err
}

// TestVolumesAreMarked: a node knows its own volume from those of its peers.
func TestVolumesAreMarked(t *testing.T) {
	d := deployment()
	id := identify(d).Cluster
	own := id + " data-0 1"
	assert.Equal(t, own, owner(d, named(t, d, "data-0")))
	for _, test := range []struct {
		name, node, mark, dir, cluster string
		after, want                    string
	}{
		{"new", "data-0", "", "", "", own, ""},
		{"its own", "data-0", own, dataDir, id, own, ""},
		{"its own of before there were marks", "data-0", "", dataDir, id, own, ""},
		{"another cluster's, without a mark", "data-0", "", dataDir, "CID-x", "", "belongs to cluster CID-x"},
		{"another node's", "data-0", id + " data-1 1", dataDir, id, id + " data-1 1", `data-1 1", not to "` + own},
		{"its own before it was replaced", "data-0", id + " data-0 0", dataDir, id, id + " data-0 0", "bring the node's own volume back"},
		{"another journal node's", "journal-0", id + " journal-1 1", journalDir + "/hdfs", id, id + " journal-1 1", "journal-1 1"},
		{"another name node's", "name-0", id + " name-1 1", nameDir, id, id + " name-1 1", "name-1 1"},
		{"another namespace's is not marked", "journal-0", "", journalDir + "/hdfs", "CID-x", "", "of cluster CID-x"},
		{"a journal of before there were marks", "journal-0", "", journalDir + "/hdfs", id, id + " journal-0 1", ""},
	} {
		after, err := prepared(t, test.node, test.mark, test.dir, test.cluster)
		assert.Equal(t, test.after, after, test.name)
		if test.want == "" {
			assert.NoError(t, err, test.name)
		} else {
			assert.ErrorContains(t, err, test.want, test.name)
		}
	}
}

// TestWaitsSayWhy: a step that is ended says what it waited for, which the try that is
// under way then cannot tell.
func TestWaitsSayWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), journalWithin)
		defer cancel()
		tries := 0
		err := until(ctx, func(ctx context.Context) error {
			if tries++; tries == 1 {
				return errors.New("journal-1 is away")
			}
			<-ctx.Done()
			return ctx.Err()
		})
		assert.EqualError(t, err, "journal-1 is away")
		assert.Equal(t, 2, tries)
	})
	assert.Greater(t, prepareWithin, 2*namePatience, "what is copied takes its time")
}
