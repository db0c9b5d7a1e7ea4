package main

import (
	"bytes"
	"database/sql"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/cli/clitest"
)

// meddled has somebody make a replica writable who knows the framework's own
// password. The watch sees two that take writes, as it never does otherwise; and
// the framework makes the replica read-only again.
func meddled(t *testing.T, s *saga) {
	name := s.replica()
	db := openAs("mesokit", s.secret(t, "operator"), s.Node(name).Address("mysql"))
	defer db.Close()
	require.Eventually(t, func() bool {
		_, _ = db.ExecContext(t.Context(), "SET GLOBAL super_read_only=OFF") // MariaDB knows none
		_, err := db.ExecContext(t.Context(), "SET GLOBAL read_only=OFF")
		return err == nil && len(s.seen()) > 1
	}, clitest.Patience, 50*time.Millisecond, "the watch does not see two members that take writes")
	require.Eventually(t, func() bool { return readOnly(t, db) }, clitest.Patience, 50*time.Millisecond, "it stays writable")
	s.forget(t)
	s.more(t, 50)
	s.AwaitNode(name, "a replica again", func(n frameworks.NodeStatus) bool { return n.Ready && n.Role == "replica" })
	s.AwaitReady(3)
}

func readOnly(t *testing.T, db *sql.DB) bool {
	var on bool
	return db.QueryRowContext(t.Context(), "SELECT @@read_only").Scan(&on) == nil && on
}

// secret is what members are given as a secret.
func (s *saga) secret(t *testing.T, name string) string {
	for _, a := range s.Mesos.Agents() {
		found, err := filepath.Glob(filepath.Join(a.Dir(), "slaves", "*", "frameworks", "*", "executors", "*", "runs", "*-*", "secrets", name))
		require.NoError(t, err)
		for _, path := range found {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			return string(text)
		}
	}
	require.FailNow(t, "no member was given the secret", name)
	return ""
}

// kept looks for passwords where others than their owner could read them: in
// files, command lines, and what the scheduler says.
func kept(t *testing.T, s *saga) {
	secrets := [][]byte{[]byte(s.secret(t, "operator")), []byte(s.secret(t, "replication")), []byte(password)}
	check := func(where string, text []byte) {
		for i, secret := range secrets {
			assert.False(t, bytes.Contains(text, secret), "secret %d is in %s", i, where)
		}
	}
	roots := []string{s.state}
	for _, a := range s.Mesos.Agents() {
		roots = append(roots, a.Dir())
	}
	files := 0
	for _, root := range roots {
		require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return nil // it has gone meanwhile
			}
			info, err := entry.Info()
			if err != nil || info.Mode().Perm()&0o004 == 0 || info.Mode().Perm()&0o111 != 0 {
				return nil // a program is too long to read
			}
			if text, err := os.ReadFile(path); err == nil {
				files++
				check(path, text)
			}
			return nil
		}))
	}
	assert.Greater(t, files, 10)
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, path := range processes {
		if text, err := os.ReadFile(path); err == nil { // it may have ended
			check(path, text)
		}
	}
	check("what the scheduler says", []byte(strings.Join(s.Said(), "\n")))
}
