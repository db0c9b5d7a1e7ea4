package executor

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLastLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxTail)
	tests := [][]string{ // the oldest file first
		{""}, {"\n"}, {"a"}, {"a\n"}, {"a\nb"}, {"a\nb\n\n"}, {"\n\n\n"}, {"one\n" + long[:maxTail-2] + "\nb"},
		{"a\nb\n", "c\nd\n"}, {"a\n", "", "b"}, {"", ""}, {"a\n", "b\n", "c\n", "d\n", "e\n"}, {"a cut li", "ne\nb\n"},
		{"a\n" + long, "b\n"}, {"a\n", "b\n" + long[:maxTail-2] + "\n"}, {"a\n", long[:maxTail-1] + "\n"},
	}
	for _, files := range tests {
		root, err := os.OpenRoot(t.TempDir())
		require.NoError(t, err)
		for i, text := range files {
			name := "stdout"
			if older := len(files) - 1 - i; older > 0 {
				name += "." + strconv.Itoa(older)
			}
			require.NoError(t, root.WriteFile(name, []byte(text), 0o600))
		}
		for n := 1; n < 6; n++ {
			got, err := lastLinesOf(rotated(root, "stdout"), n)
			require.NoError(t, err)
			lines := strings.SplitAfter(strings.Join(files, ""), "\n") // the plain way, as an oracle
			if lines[len(lines)-1] == "" {
				lines = lines[:len(lines)-1]
			}
			want := lines[max(0, len(lines)-n):]
			for len(strings.Join(want, "")) > maxTail {
				want = want[1:]
			}
			assert.True(t, strings.Join(want, "") == string(got), "%d of %.20q: %.20q", n, files, got)
		}
		require.NoError(t, root.Close())
	}
}

// A server that owns the sandbox cannot have anything else read, or block who reads.
func TestTailReadsLogsOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "shadow")
	require.NoError(t, os.WriteFile(outside, []byte("secret"), 0o600))
	box := Sandbox{Dir: dir}
	_, err := tail(t.Context(), box, nil)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "stdout")))
	_, err = tail(t.Context(), box, nil)
	assert.ErrorContains(t, err, "escapes")
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "stderr"), 0o600))
	_, err = tail(t.Context(), box, []byte(`{"file":"stderr"}`))
	assert.ErrorContains(t, err, "want a regular file")
	_, err = tail(t.Context(), box, []byte(`{"file":"../shadow"}`))
	assert.ErrorContains(t, err, "want stdout or stderr")
}

// What was rotated between two looks is not read twice.
func TestTailDuringRotation(t *testing.T) {
	t.Parallel()
	root, err := os.OpenRoot(t.TempDir())
	require.NoError(t, err)
	defer root.Close()
	require.NoError(t, root.WriteFile("stdout", []byte("new\n"), 0o600))
	var got []string
	for f, err := range rotated(root, "stdout") {
		require.NoError(t, err)
		data, err := io.ReadAll(f)
		require.NoError(t, err)
		got = append(got, string(data))
		if len(got) == 1 {
			require.NoError(t, root.Rename("stdout", "stdout.1"))
			require.NoError(t, root.WriteFile("stdout.2", []byte("old\n"), 0o600))
		}
	}
	assert.Equal(t, []string{"new\n", "old\n"}, got)
}
