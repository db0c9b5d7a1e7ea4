package executor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestChecksums(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "server.tar.gz"), []byte("content"), 0o600))
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(dir, "link")))
	p := places{sandbox: dir}
	sum := sha256.Sum256([]byte("content"))
	right := Checksum{Path: "server.tar.gz", SHA256: hex.EncodeToString(sum[:])}
	require.NoError(t, right.validate())
	require.NoError(t, p.verify(t.Context(), right))

	wrong := Checksum{Path: "server.tar.gz", SHA256: strings.Repeat("ab", 32)}
	assert.EqualError(t, p.verify(t.Context(), wrong), "checksum: server.tar.gz has SHA-256 "+right.SHA256+
		", and should have "+wrong.SHA256+": it is not what was to be fetched")
	require.ErrorIs(t, p.verify(t.Context(), Checksum{Path: "none", SHA256: right.SHA256}), os.ErrNotExist)
	require.Error(t, p.verify(t.Context(), Checksum{Path: "link", SHA256: right.SHA256}), "no link leads out of the sandbox")
	stopped, stop := context.WithCancel(t.Context())
	stop()
	require.ErrorIs(t, p.verify(stopped, right), context.Canceled)

	for _, c := range []Checksum{{Path: "../x", SHA256: right.SHA256}, {Path: "x", SHA256: "12"}, {Path: "x", SHA256: strings.ToUpper(right.SHA256)}} {
		err := Task{Command: []string{"x"}, Checksums: []Checksum{c}}.Validate()
		assert.ErrorContains(t, err, "checksums[0].", "%v", c)
	}
}
