package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks/cli/clitest"
	"github.com/mesokit/mesokit/internal/dist"
)

func TestMain(m *testing.M) { clitest.Main(m, main) }

const password = "a password"

// onMySQL are the flags for small members.
func onMySQL(t *testing.T, d dist.Distribution) []string {
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte(password+"\n"), 0o600))
	return []string{
		"--server", d.Dir, "--admin-password-file", file, "--lease", "8s",
		"--cpus", "0.2", "--mem", "448", "--buffer", "48", "--disk", "768",
		"--option", "innodb_redo_log_capacity=32M",
	}
}
