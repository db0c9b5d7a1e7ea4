package jvm

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// ArgumentFile is the content of a file for "java @file": one argument in
// quotation marks a line, where a backslash escapes (the java command's manual,
// "Command-Line Argument Files").
func ArgumentFile(arguments ...string) []byte {
	var text []byte
	for _, a := range arguments {
		text = fmt.Appendf(text, "\"%s\"\n", strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(a))
	}
	return text
}

// own are arguments that a framework gives itself, with what sets them.
var own = []struct{ prefix, instead string }{
	{"-Xmx", "the heap's size is a setting of its own"},
	{"-XX:MaxHeapSize=", "the heap's size is a setting of its own"},
	{"-XX:MaxRAM", "the heap's size is a setting of its own"},
	{"-cp", "the framework sets the classpath"},
	{"-classpath", "the framework sets the classpath"},
	{"--class-path", "the framework sets the classpath"},
	{"-jar", "the framework starts the server's main class"},
	{"-m", "the framework starts the server's main class"},
	{"--module", "the framework starts the server's main class"},
	{"-version", "the server would not start"},
	{"--version", "the server would not start"},
	{"-help", "the server would not start"},
	{"--help", "the server would not start"},
	{"--dry-run", "the server would not start"},
}

// CheckFlags refuses further flags of a Java machine that would override what
// the framework sets, the largest heap (in MiB) above all, or be taken for the
// name of the main class.
func CheckFlags(flags []string, heap int) error {
	var errs []error
	for _, flag := range flags {
		if err := checkFlag(flag, heap); err != nil {
			errs = append(errs, fmt.Errorf("%q: %w", flag, err))
		}
	}
	return errors.Join(errs...)
}

func checkFlag(flag string, heap int) error {
	if !strings.HasPrefix(flag, "-") || strings.ContainsAny(flag, "\r\n") {
		return errors.New(`wants one flag with its value, such as "-XX:+UseSerialGC" or "--add-opens=java.base/java.io=ALL-UNNAMED"`)
	}
	for _, o := range own {
		if flag == o.prefix || strings.HasPrefix(flag, o.prefix) && !isWord(o.prefix) || strings.HasPrefix(flag, o.prefix+"=") {
			return errors.New("is set by the framework: " + o.instead)
		}
	}
	for _, prefix := range []string{"-Xms", "-XX:InitialHeapSize="} {
		size, ok := strings.CutPrefix(flag, prefix)
		if !ok {
			continue
		}
		bytes, err := parseSize(size)
		if err != nil {
			return err
		}
		if bytes > int64(heap)<<20 {
			return fmt.Errorf("wants at most the largest heap, %d MiB", heap)
		}
	}
	return nil
}

// isWord says whether an argument is whole as it is: -cp is, -Xmx goes on.
func isWord(argument string) bool {
	return !strings.HasPrefix(argument, "-X")
}

// parseSize reads a size as the java command does: bytes, or with a letter.
func parseSize(text string) (int64, error) {
	shift := map[byte]int{'k': 10, 'K': 10, 'm': 20, 'M': 20, 'g': 30, 'G': 30, 't': 40, 'T': 40}
	digits, bits := text, 0
	if n := len(text); n > 0 && shift[text[n-1]] > 0 {
		digits, bits = text[:n-1], shift[text[n-1]]
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > 1<<20 && bits >= 40 {
		return 0, errors.New("wants a size such as 64m")
	}
	return n << bits, nil
}

// Classpath is what -cp wants for a distribution whose jars lie in folders of
// its directory, such as "libs". What is a classpath already stays as it is.
func Classpath(directory string, folders ...string) string {
	if directory == "" || strings.Contains(directory, ":") || strings.HasSuffix(directory, ".jar") || strings.HasSuffix(directory, "*") {
		return directory
	}
	var entries []string
	for _, folder := range folders {
		if path.Base(directory) == folder {
			return path.Join(directory, "*")
		}
		entries = append(entries, path.Join(directory, folder, "*"))
	}
	return strings.Join(entries, ":")
}

// CheckClasspath says which entries lead nowhere on this machine: a file or a
// folder that is not there, a star in a folder without jars. Relative ones lead
// from the directory in which the server is started.
func CheckClasspath(directory, classpath string) error {
	var errs []error
	for entry := range strings.SplitSeq(classpath, ":") {
		if !filepath.IsAbs(entry) {
			entry = filepath.Join(directory, entry)
		}
		if folder, all := strings.CutSuffix(entry, "*"); all {
			jars, err := filepath.Glob(filepath.Join(folder, "*.[jJ][aA][rR]"))
			if err == nil && len(jars) == 0 {
				errs = append(errs, fmt.Errorf("no jars in %s on this machine", filepath.Clean(folder)))
			}
			continue
		}
		if _, err := os.Stat(entry); err != nil {
			errs = append(errs, fmt.Errorf("not on this machine: %w", err))
		}
	}
	return errors.Join(errs...)
}
