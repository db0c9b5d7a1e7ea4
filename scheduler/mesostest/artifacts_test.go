package mesostest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// artifacts makes the files that the recording of the fetcher fetches.
func artifacts(t *testing.T) string {
	dir := t.TempDir()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	text := "hello from the archive\n"
	for _, err := range []error{
		w.WriteHeader(&tar.Header{Name: "hello.txt", Mode: 0o644, Size: int64(len(text))}),
		second(io.WriteString(w, text)), w.Close(), z.Close(),
		os.WriteFile(filepath.Join(dir, "pack.tgz"), b.Bytes(), 0o600),
		os.WriteFile(filepath.Join(dir, "hello.txt"), []byte(text), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func second[T any](_ T, err error) error { return err }
