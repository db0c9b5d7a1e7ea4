package dist

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// machine is a PATH with nothing on it but the commands that a test puts there.
type machine struct {
	t    *testing.T
	path string // the folder of the commands
	dir  string // a folder for what they leave behind, known to them as $DIR
}

func newMachine(t *testing.T) machine {
	m := machine{t: t, path: t.TempDir(), dir: t.TempDir()}
	for _, name := range []string{"sh", "sleep", "cp", "mkdir"} {
		for _, from := range []string{"/bin", "/usr/bin"} {
			if exists(filepath.Join(from, name)) {
				_ = os.Symlink(filepath.Join(from, name), filepath.Join(m.path, name))
			}
		}
	}
	t.Setenv("PATH", m.path)
	t.Setenv("JAVA_HOME", "")
	t.Setenv("DIR", m.dir)
	return m
}

func (m machine) command(name, script string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.path, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		m.t.Fatal(err)
	}
}

const (
	java17 = `[ "$1" = -version ] && echo 'openjdk version "17.0.15" 2025-04-15' >&2`
	// The last argument is -Ddir=FOLDER.
	goodMaven = `for last; do :; done; lib=${last#-Ddir=}/lib; mkdir -p "$lib"
echo called >>"$DIR/calls"
echo one >"$lib/b.jar"; echo two >"$lib/a.jar"`
	cutMaven = `for last; do :; done
mkdir "${last#-Ddir=}/lib"; echo half >"${last#-Ddir=}/lib/b.jar"
echo '[INFO] Scanning for projects...'
echo '[ERROR] Could not transfer artifact b:jar:1 from central: Connection reset'
exit 1`
)

var tiny = recipe{java: 17, from: pom{text: []byte(`<project><artifactId>tiny</artifactId><version>1.2</version></project>`)}}

func (m machine) calls() int {
	text, _ := os.ReadFile(filepath.Join(m.dir, "calls"))
	return strings.Count(string(text), "called")
}

// checkCache is what must hold of the cache whatever happened: the distribution
// is there whole or not at all, and nothing lies beside it but the lock.
func checkCache(t *testing.T, cache string, whole bool) {
	t.Helper()
	entries, err := os.ReadDir(cache)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == "tiny-1.2.lock" })
	var want []string
	if whole {
		want = []string{"tiny-1.2"}
	}
	if !slices.Equal(names, want) {
		t.Errorf("cache holds %q, want %q", names, want)
	}
}

func TestMissingToolsAreNamedWithTheirPackage(t *testing.T) {
	for _, test := range []struct {
		name, java, mvn string
		want            []string
	}{
		{"no java", "", goodMaven, []string{"java was not found", "apt-get install openjdk-17-jre-headless", "brew install openjdk@17"}},
		{"old java", `echo 'openjdk version "11.0.2" 2019-01-15' >&2`, goodMaven, []string{"java 11.0.2", "too old", "java 17 or newer", "openjdk-17-jre-headless"}},
		{"java 8", `echo 'java version "1.8.0_392"' >&2`, goodMaven, []string{"1.8.0_392", "too old"}},
		{"the java of a Mac without Java", "echo Unable to locate a Java Runtime >&2; exit 1", goodMaven, []string{"Unable to locate", "brew install openjdk@17"}},
		{"java of unknown version", "echo hello", goodMaven, []string{"does not tell its version", "hello"}},
		{"no mvn", java17, "", []string{"mvn was not found", "apt-get install maven", "brew install maven"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMachine(t)
			if test.java != "" {
				m.command("java", test.java)
			}
			if test.mvn != "" {
				m.command("mvn", test.mvn)
			}
			cache := t.TempDir()
			_, err := tiny.obtain(t.Context(), cache, nil)
			checkRefused(t, err, append(test.want, "tiny 1.2"))
			checkCache(t, cache, false)
		})
	}
}

// checkRefused says whether the error tells all that a user has to know.
func checkRefused(t *testing.T, err error, want []string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q lacks %q", err, text)
		}
	}
}

func TestJavaHomeComesBeforePath(t *testing.T) {
	m := newMachine(t)
	m.command("java", "exit 1")
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "bin", "java"), []byte("#!/bin/sh\n"+java17), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("JAVA_HOME", home)
	j, err := findJava(t.Context(), 17)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(home, "bin", "java"); j.path != want || j.version != "17.0.15" {
		t.Errorf("found %s %s, want %s 17.0.15", j.path, j.version, want)
	}
}

func TestSecondCallDownloadsNothing(t *testing.T) {
	m := newMachine(t)
	m.command("java", java17)
	m.command("mvn", goodMaven)
	cache := t.TempDir()
	first, err := tiny.obtain(t.Context(), cache, nil)
	if err != nil {
		t.Fatal(err)
	}
	checkCache(t, cache, true)
	lib := filepath.Join(cache, "tiny-1.2", "lib")
	if want := filepath.Join(lib, "a.jar") + ":" + filepath.Join(lib, "b.jar"); first.Classpath() != want {
		t.Errorf("classpath %s, want %s", first.Classpath(), want)
	}
	if err := os.Remove(filepath.Join(m.path, "mvn")); err != nil {
		t.Fatal(err)
	}
	second, err := tiny.obtain(t.Context(), cache, func(line string) { t.Errorf("progress %q", line) })
	if err != nil {
		t.Fatal(err)
	}
	if second.Classpath() != first.Classpath() || m.calls() != 1 {
		t.Errorf("second classpath %s after %d calls of mvn", second.Classpath(), m.calls())
	}
}

func TestFailedDownloadIsNotTakenForComplete(t *testing.T) {
	for _, test := range []struct{ name, mvn, want string }{
		{"cut", cutMaven, "Connection reset"},
		{"killed", "kill -9 $$", "killed"},
		{"nothing copied", "exit 0", "no file has come"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMachine(t)
			m.command("java", java17)
			m.command("mvn", test.mvn)
			cache := t.TempDir()
			_, err := tiny.obtain(t.Context(), cache, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			checkCache(t, cache, false)

			m.command("mvn", goodMaven)
			if _, err := tiny.obtain(t.Context(), cache, nil); err != nil {
				t.Errorf("the next try: %v", err)
			}
			checkCache(t, cache, true)
		})
	}
}

func TestDamagedCacheIsMadeAnew(t *testing.T) {
	for _, test := range []struct {
		name   string
		damage func(dir string) error
	}{
		{"jar gone", func(dir string) error { return os.Remove(filepath.Join(dir, "lib", "a.jar")) }},
		{"jar cut", func(dir string) error { return os.Truncate(filepath.Join(dir, "lib", "a.jar"), 1) }},
		{"manifest gone", func(dir string) error { return os.Remove(filepath.Join(dir, "manifest")) }},
		{"another pom", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "manifest"), []byte("0000\n"), 0o644)
		}},
		{"manifest is no manifest", func(dir string) error {
			text, err := os.ReadFile(filepath.Join(dir, "manifest"))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "manifest"), append(text, "junk\n"...), 0o644)
		}},
		{"left by a killed process", func(dir string) error {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			return os.MkdirAll(filepath.Join(dir+".part", "lib", "old.jar"), 0o755)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMachine(t)
			m.command("java", java17)
			m.command("mvn", goodMaven)
			cache := t.TempDir()
			d, err := tiny.obtain(t.Context(), cache, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := test.damage(d.Dir); err != nil {
				t.Fatal(err)
			}
			d, err = tiny.obtain(t.Context(), cache, nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(d.Jars) != 2 || m.calls() != 2 {
				t.Errorf("%d jars after %d calls of mvn, want 2 and 2", len(d.Jars), m.calls())
			}
			checkCache(t, cache, true)
		})
	}
}

func TestCancelledDownloadEndsMaven(t *testing.T) {
	m := newMachine(t)
	m.command("java", java17)
	m.command("mvn", `echo "[INFO] Downloaded from central: https://host/a.jar (1 kB at 1 kB/s)"; sleep 600 & wait`)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("enough")
	cache := t.TempDir()
	_, err := tiny.obtain(ctx, cache, func(line string) {
		if strings.Contains(line, "a.jar") {
			cancel(stop)
		}
	})
	if !errors.Is(err, stop) {
		t.Errorf("error %v, want %v", err, stop)
	}
	checkCache(t, cache, false)
}

func TestTwoAtOnceDownloadOnce(t *testing.T) {
	m := newMachine(t)
	m.command("java", java17)
	m.command("mvn", goodMaven+"\nwhile [ ! -e \"$DIR/go\" ]; do sleep 0.05; done")
	cache := t.TempDir()
	results := make(chan error)
	progress := func(line string) {
		if strings.Contains(line, "waiting for another process") { // then let the first one go on
			if err := os.WriteFile(filepath.Join(m.dir, "go"), nil, 0o644); err != nil {
				t.Error(err)
			}
		}
	}
	for range 2 {
		go func() {
			d, err := tiny.obtain(t.Context(), cache, progress)
			if err == nil && len(d.Jars) != 2 {
				err = fmt.Errorf("%d jars", len(d.Jars))
			}
			results <- err
		}()
	}
	for range 2 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if m.calls() != 1 {
		t.Errorf("mvn ran %d times, want once", m.calls())
	}
	checkCache(t, cache, true)
}

// TestLockOutlivesItsHolder: a killed process leaves an mvn behind, which must
// keep the others out until it is done.
func TestLockOutlivesItsHolder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	held, err := lockFile(t.Context(), path, func() { t.Error("waits for a free lock") })
	if err != nil {
		t.Fatal(err)
	}
	mvn := exec.Command("cat")
	mvn.ExtraFiles = []*os.File{held.file}
	in, err := mvn.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := mvn.Start(); err != nil {
		t.Fatal(err)
	}
	if err := held.file.Close(); err != nil { // as the kernel does for a killed process
		t.Fatal(err)
	}
	waited := false
	next, err := lockFile(t.Context(), path, func() {
		waited = true
		if err := in.Close(); err != nil { // mvn is done
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	next.release()
	if !waited {
		t.Error("got the lock while mvn ran")
	}
	if err := mvn.Wait(); err != nil {
		t.Error(err)
	}
}

// TestServerEndsWithItsStarter: the input of the script ends when the process
// that holds it does.
func TestServerEndsWithItsStarter(t *testing.T) {
	t.Parallel()
	script := exec.Command("sh", "-c", runUntilInputEnds, "sh", "sh", "-c", `trap 'echo stopped; exit 143' TERM; echo up; while :; do sleep 0.05; done`)
	in, err := script.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := script.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := script.Start(); err != nil {
		t.Fatal(err)
	}
	up, last := readUntilEnd(out, "up", func() { in.Close() })
	if !up || last != "up; stopped" {
		t.Errorf("up: %v, said %q", up, last)
	}
	if err := script.Wait(); err == nil || script.ProcessState.ExitCode() != 143 {
		t.Errorf("ended with %v, want exit status 143", err)
	}
}

func TestFailedClassArchiveIsDoneWithout(t *testing.T) {
	for _, test := range []struct{ name, java, want string }{
		{"server fails", `echo no memory; exit 3`, "ended before it was up (exit status 3): no memory"},
		{"archive does not fit", `[ "$1" = -Xshare:on ] && echo mismatch && exit 1; echo "server is up"`, "does not take its archive: exit status 1: mismatch"},
		{"no archive written", `echo "server is up"`, "no such file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMachine(t)
			m.command("java", java17+" && exit 0\n"+test.java)
			m.command("mvn", goodMaven)
			warm := tiny
			warm.warm = func(string) (warmUp, error) { return warmUp{args: []string{"Main"}, ready: "is up"}, nil }
			var said []string
			d, err := warm.obtain(t.Context(), t.TempDir(), func(line string) { said = append(said, line) })
			if err != nil {
				t.Fatal(err)
			}
			if d.ClassArchive != "" || len(d.Jars) != 2 {
				t.Errorf("archive %q and %d jars, want none and 2", d.ClassArchive, len(d.Jars))
			}
			if entries, err := os.ReadDir(d.Dir); err != nil || len(entries) != 2 {
				t.Errorf("left in %s: %v, %v; want lib and manifest", d.Dir, entries, err)
			}
			if last := said[len(said)-1]; !strings.Contains(last, test.want) {
				t.Errorf("last progress %q, want %q", last, test.want)
			}
		})
	}
}

func TestProgressNamesDownloadedJars(t *testing.T) {
	out := `[INFO] Downloading from central: https://host/maven2/a/a-1.jar
[INFO] Downloaded from central: https://host/maven2/a/a-1.pom (1 kB at 7 kB/s)
[INFO] Downloaded from central: https://host/maven2/a/a-1.jar (6.7 MB at 42 MB/s)
[INFO] Downloaded from central: https://host/maven2/b/b-1.jar (1 MB at 42 MB/s)
[WARNING] be warned
`
	var said []string
	last := followMaven(strings.NewReader(out), func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) })
	if want := []string{"file 1, a-1.jar, 6.7 MB"}; !slices.Equal(said, want) { // the second came within the same second
		t.Errorf("said %q, want %q", said, want)
	}
	if last != "[WARNING] be warned" {
		t.Errorf("last %q", last)
	}
}

func TestParseJavaVersion(t *testing.T) {
	t.Parallel()
	for out, want := range map[string]struct {
		version string
		major   int
	}{
		"openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime\n":                  {"17.0.15", 17},
		`java version "1.8.0_392"`:                                                   {"1.8.0_392", 8},
		`openjdk version "25" 2025-09-16`:                                            {"25", 25},
		"Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version \"21.0.2\" 2024-01-16": {"21.0.2", 21},
		`openjdk version "26-ea" 2026-03-17`:                                         {"26-ea", 26},
		"hello":                                                                      {"", 0},
		`version "99999999999999999999999999.1"`:                                     {"", 0},
	} {
		if version, major := parseJavaVersion(out); version != want.version || major != want.major {
			t.Errorf("%q: %q, %d; want %v", out, version, major, want)
		}
	}
}
