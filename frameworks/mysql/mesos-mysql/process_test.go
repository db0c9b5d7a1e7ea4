package main

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks/cli/clitest"
	"github.com/mesokit/mesokit/internal/dist"
)

func TestMain(m *testing.M) { clitest.Main(m, main) }

// password is another one in each run, so that it can be looked for.
var password = rand.Text()

// onMySQL are the flags for small members.
func onMySQL(t *testing.T, d dist.Distribution) []string {
	return append(small(t), "--server", d.Dir, "--option", "innodb_redo_log_capacity=32M")
}

func onMariaDB(t *testing.T, d dist.Distribution) []string {
	usr := filepath.Join(d.Dir, "usr")
	return append(small(t), "--flavor", "mariadb", "--server", usr, "--libraries", filepath.Join(usr, "lib", "x86_64-linux-gnu"),
		"--option", "innodb_log_file_size=16M")
}

func small(t *testing.T) []string {
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte(password+"\n"), 0o600))
	return []string{
		"--admin-password-file", file, "--lease", "8s",
		"--cpus", "0.2", "--mem", "448", "--buffer", "48", "--disk", "768",
	}
}
