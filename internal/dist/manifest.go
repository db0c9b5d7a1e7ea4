package dist

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The manifest is what makes a folder of jars a distribution: a first line that
// identifies the pom, then "size name" for each jar in lexical order. It is
// checked at every use, because systems clear cache directories file by file.

// writeManifest describes the jars in dir/lib. The files are made durable first,
// so that a manifest which survives a power cut does not vouch for empty ones.
func writeManifest(dir, pom string) error {
	jars, err := filepath.Glob(filepath.Join(dir, "lib", "*.jar")) // sorted
	if err != nil {
		return err
	}
	if len(jars) == 0 {
		return errors.New("mvn reported success but copied no jar")
	}
	var text strings.Builder
	fmt.Fprintln(&text, pom)
	for _, jar := range jars {
		size, err := syncFile(jar)
		if err != nil {
			return err
		}
		fmt.Fprintln(&text, size, filepath.Base(jar))
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

// readManifest returns the absolute paths of the jars in dir, or nil unless dir
// was made from this pom and every jar is there at its full length.
func readManifest(dir, pom string) []string {
	text, err := os.ReadFile(filepath.Join(dir, "manifest"))
	if err != nil {
		return nil
	}
	first, rest, _ := strings.Cut(string(text), "\n")
	if first != pom {
		return nil
	}
	var jars []string
	for line := range strings.Lines(rest) {
		var size int64
		var name string
		if n, _ := fmt.Sscan(line, &size, &name); n != 2 {
			return nil
		}
		jar := filepath.Join(dir, "lib", name)
		if info, err := os.Stat(jar); err != nil || info.Size() != size {
			return nil
		}
		jars = append(jars, jar)
	}
	return jars
}
