package kafka

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
)

// formatIn runs the step in a sandbox, with a java that is a shell script.
func formatIn(t *testing.T, dir, java string) (reported string, err error) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "java")
	require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\n"+java), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, volume), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, propertiesFile), []byte("node.id=1\nlog.dirs=data/kafka\n"), 0o644))
	return reported, format(t.Context(), executor.Sandbox{
		Dir: dir, Log: io.Discard,
		Env:    []string{envJava + "=" + program, envClasspath + "=.", envCluster + "=ours", envNode + "=1", "PATH=" + os.Getenv("PATH")},
		Report: func(message string) { reported = message },
	})
}

const formats = "mkdir -p data/kafka.new && printf 'version=1\\ncluster.id=ours\\nnode.id=1\\n' > data/kafka.new/meta.properties\n"

func TestFormatOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := formatIn(t, dir, formats)
	require.NoError(t, err)
	config, err := os.ReadFile(filepath.Join(dir, formatFile))
	require.NoError(t, err)
	assert.Equal(t, "node.id=1\nlog.dirs=data/kafka\nlog.dirs=data/kafka.new\n", string(config))
	_, err = formatIn(t, dir, "exit 7")
	require.NoError(t, err, "a formatted directory is formatted again")
}

func TestFormatThatWasCut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := formatIn(t, dir, formats+"echo half done; echo the disk is full >&2; exit 1")
	require.EqualError(t, err, "format data/kafka: exit status 1: the disk is full")
	assert.NoDirExists(t, filepath.Join(dir, logDir), "half a format looks like a whole one")
	_, err = formatIn(t, dir, "test ! -e data/kafka.new || exit 9\n"+formats)
	require.NoError(t, err)
	assert.FileExists(t, filepath.Join(dir, logDir, "meta.properties"))
}

func TestFormatWithoutKafka(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	err := format(t.Context(), executor.Sandbox{Dir: dir, Log: io.Discard, Env: []string{envClasspath + "=/nowhere/libs/*"}})
	require.EqualError(t, err, "find the jars of Distribution.Classpath (--kafka): no jars in /nowhere/libs on this machine")
}

func TestFormatRefusesAnEmptiedVolume(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	err := format(t.Context(), executor.Sandbox{Dir: dir, Log: io.Discard,
		Env: []string{envClasspath + "=.", envCluster + "=ours", envNode + "=1", envMember + "=true"}})
	require.EqualError(t, err, `data/kafka was emptied, or is not mounted: it held node "1" of cluster "ours"; bring it back, or replace the broker`)
	assert.NoDirExists(t, filepath.Join(dir, logDir))
}

func TestFormatKeepsDataOfUnknownOrigin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	segment := filepath.Join(dir, logDir, "orders-0", "00000000000000000000.log")
	require.NoError(t, os.MkdirAll(filepath.Dir(segment), 0o755))
	require.NoError(t, os.WriteFile(segment, []byte("records"), 0o644))
	_, err := formatIn(t, dir, formats)
	require.Error(t, err)
	assert.FileExists(t, segment)
}

func TestFormatRefusesOthersVolume(t *testing.T) {
	t.Parallel()
	for name, meta := range map[string]string{
		"cluster": "cluster.id=theirs\nnode.id=1\n",
		"node":    "cluster.id=ours\nnode.id=2\n",
		"nothing": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, os.MkdirAll(filepath.Join(dir, logDir), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(dir, logDir, "meta.properties"), []byte(meta), 0o644))
			_, err := formatIn(t, dir, "exit 7")
			require.ErrorContains(t, err, `not to node "1" of cluster "ours": replace the broker, or bring its own volume back`)
		})
	}
}
