package dist

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// warmUp is the one start of a server whose classes are archived.
type warmUp struct {
	args  []string // of java, after the classpath
	ready string   // a line with this in it says that the server is up
}

// warmUpTime bounds the making of a class archive; it takes 4 to 6 s on two cores.
const warmUpTime = 2 * time.Minute

// addArchive sets d.ClassArchive, and makes it first unless the cache has it.
// The name holds the Java build, because no other one can use the archive.
func (r recipe) addArchive(ctx context.Context, d *Distribution, j java, report func(string, ...any)) error {
	path := filepath.Join(d.Dir, fmt.Sprintf("classes-%s-%s.jsa", j.version, j.build))
	if exists(path) {
		d.ClassArchive = path
		return nil
	}
	lock, err := lockFile(ctx, d.Dir+".lock", func() { report("waiting for another process that makes the class archive") })
	if err != nil {
		return err
	}
	defer lock.release()
	if !exists(path) {
		begun := time.Now()
		report("making a class archive, once, for faster starts")
		part := path + ".part"
		defer os.Remove(part)
		if err := r.makeArchive(ctx, *d, part, lock.file); err != nil {
			return err
		}
		if err := os.Rename(part, path); err != nil {
			return err
		}
		report("class archive in %.1fs", time.Since(begun).Seconds())
	}
	d.ClassArchive = path
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// runUntilInputEnds is a shell script that runs its arguments and asks them to
// stop at the end of its input, which comes even if this process is killed: a
// forgotten server would run, and hold the lock, for ever. The shell gives up its
// copy of the output, so that the output ends when the server does.
const runUntilInputEnds = `"$@" & exec >&- 2>&-; read -r _; kill $!; wait $!`

// makeArchive starts the server in a folder of its own, stops it when it is up,
// and checks that the JVM takes the archive which it wrote when it ended.
func (r recipe) makeArchive(ctx context.Context, d Distribution, path string, lock *os.File) error {
	ctx, cancel := context.WithTimeoutCause(ctx, warmUpTime, fmt.Errorf("not done after %v", warmUpTime))
	defer cancel()
	dir := filepath.Join(d.Dir, "warm-up")
	if err := os.RemoveAll(dir); err != nil { // left by a process that was killed
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	warm, err := r.warm(dir)
	if err != nil {
		return err
	}
	// C1 and the serial collector only make this run quicker: what is archived fits others too.
	args := append([]string{"-c", runUntilInputEnds, "sh", d.Java, "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-XX:ArchiveClassesAtExit=" + path, "-cp", d.Classpath()}, warm.args...)
	cmd := exec.CommandContext(ctx, "sh", args...)
	cmd.Dir = dir
	cmd.ExtraFiles = []*os.File{lock}
	endsAsGroup(cmd)
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return err
	}
	up, last := readUntilEnd(out, warm.ready, func() { in.Close() })
	in.Close()
	ended := cmd.Wait() // 143 after SIGTERM, which exec reports as an error: the archive is what counts
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !up:
		return fmt.Errorf("the server ended before it was up (%v): %s", ended, last)
	}
	check := exec.CommandContext(ctx, d.Java, "-Xshare:on", "-XX:SharedArchiveFile="+path, "-cp", d.Classpath(), "-version")
	if out, err := check.CombinedOutput(); err != nil {
		return fmt.Errorf("the JVM does not take its archive: %w: %s", err, lastLines(string(out), 3))
	}
	return nil
}

// readUntilEnd reads a server's output, and calls stop at the first line that
// contains ready. last is the end of the output.
func readUntilEnd(out io.Reader, ready string, stop func()) (up bool, last string) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		last = lastLines(last+"\n"+lines.Text(), 3)
		if !up && strings.Contains(lines.Text(), ready) {
			up = true
			stop()
		}
	}
	return up, last
}
