package dist

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// pom is a Maven project that brings a distribution: its name and version are
// the distribution's, and its default goal puts the files into the folder that
// the property dir names.
type pom struct {
	text []byte
	// large: what mvn downloads is too large to be kept, of which this takes a
	// part. It passes through a local repository that goes afterwards.
	large bool
}

func (p pom) identity() (name, version string, err error) {
	var project struct {
		Name    string `xml:"artifactId"`
		Version string `xml:"version"`
	}
	if err := xml.Unmarshal(p.text, &project); err != nil {
		return "", "", fmt.Errorf("read the pom: %w", err)
	}
	return project.Name, project.Version, nil
}

func (p pom) key() string { return fmt.Sprintf("%x", sha256.Sum256(p.text)) }

// fetch runs mvn. The lock is handed down: an mvn that outlives this process
// still holds it.
func (p pom) fetch(ctx context.Context, into string, lock *os.File, report func(string, ...any)) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return fmt.Errorf("mvn was not found (%w): install Maven 3.6.3 or newer: "+
			"apt-get install maven (Debian, Ubuntu), brew install maven (macOS)", err)
	}
	file := filepath.Join(into, "pom.xml")
	if err := os.WriteFile(file, p.text, 0o644); err != nil {
		return err
	}
	defer os.Remove(file)
	args := []string{"--batch-mode", "-Dstyle.color=never", "--file", file}
	if p.large {
		repository := filepath.Join(into, ".repository")
		defer os.RemoveAll(repository)
		args = append(args, "-Dmaven.repo.local="+repository)
	}
	report("downloading it from Maven Central, once")
	cmd := exec.CommandContext(ctx, mvn, append(args, "-Ddir="+into)...)
	cmd.ExtraFiles = []*os.File{lock}
	endsAsGroup(cmd)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return err
	}
	last := followMaven(out, report)
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("mvn was stopped: %w", context.Cause(ctx))
		}
		return fmt.Errorf("mvn failed: %w: %s", err, last)
	}
	return nil
}

// endsAsGroup makes the end of cmd's context end what cmd started as well: mvn is
// often a script that runs Java as a child.
func endsAsGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
}

// followMaven reports the jars that mvn says it downloaded, at most one line a
// second, until out ends. It returns the last lines of note, for an error.
func followMaven(out io.Reader, report func(string, ...any)) (last string) {
	var said []string
	var count int
	var reported time.Time
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if _, rest, ok := strings.Cut(line, "Downloaded from "); ok {
			// "central: https://host/path/name.jar (6.7 MB at 42 MB/s)"
			url, amount, _ := strings.Cut(rest, " (")
			size, _, _ := strings.Cut(amount, " at ")
			if strings.HasSuffix(url, ".jar") {
				count++
				if time.Since(reported) > time.Second {
					reported = time.Now()
					report("file %d, %s, %s", count, path.Base(url), size)
				}
			}
			continue
		}
		if strings.HasPrefix(line, "[INFO]") || line == "" || line == "[ERROR]" {
			continue
		}
		said = append(said, line)
		said = slices.Delete(said, 0, max(0, len(said)-40))
	}
	if err := lines.Err(); err != nil && !errors.Is(err, os.ErrClosed) {
		// A line too long for the scanner: let mvn go on rather than block on a full pipe.
		_, _ = io.Copy(io.Discard, out)
	}
	// Maven explains first and then, for several lines, tells how to get more detail.
	return firstLines(strings.Join(said, "\n"), 8)
}

// firstLines and lastLines bound a text that goes into an error.
func firstLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[:min(n, len(lines))], "; ")
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}
