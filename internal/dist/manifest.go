package dist

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The manifest is what makes a folder a distribution: a first line that
// identifies how it was made, then "size path" for each file in lexical order.
// It is checked at every use, because systems clear cache directories file by
// file.

// writeManifest describes the files in dir. They are made durable first, so that
// a manifest which survives a power cut does not vouch for empty ones.
func writeManifest(dir, key string) error {
	var text strings.Builder
	fmt.Fprintln(&text, key)
	count := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		count++
		var size int64
		if e.Type().IsRegular() { // of a link it counts that it is there
			if size, err = syncFile(path); err != nil {
				return err
			}
		}
		name, err := filepath.Rel(dir, path)
		fmt.Fprintln(&text, size, name)
		return err
	})
	if err != nil {
		return err
	}
	if count == 0 {
		return errors.New("no file has come")
	}
	path := filepath.Join(dir, "manifest")
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		return err
	}
	_, err = syncFile(path)
	return err
}

// syncFile makes a file's content durable and returns its size in bytes.
func syncFile(path string) (size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// readManifest returns the absolute paths of the files in dir, or nil unless dir
// was made with this key and every file is there at its full length.
func readManifest(dir, key string) []string {
	text, err := os.ReadFile(filepath.Join(dir, "manifest"))
	if err != nil {
		return nil
	}
	first, rest, _ := strings.Cut(string(text), "\n")
	if first != key {
		return nil
	}
	var files []string
	for line := range strings.Lines(rest) {
		number, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		var size int64
		if n, _ := fmt.Sscan(number, &size); n != 1 || !ok {
			return nil
		}
		path := filepath.Join(dir, name)
		if info, err := os.Lstat(path); err != nil || info.Mode().IsRegular() && info.Size() != size {
			return nil
		}
		files = append(files, path)
	}
	return files
}
