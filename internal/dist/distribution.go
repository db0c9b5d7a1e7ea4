package dist

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Distribution is a server on this machine, ready to be started.
type Distribution struct {
	Name    string // as in "kafka"
	Version string // as in "4.3.1"
	Dir     string // its place in the cache, absolute

	// Of a server that runs in a Java machine.
	Jars []string // absolute paths in lexical order; the class archive holds for this order only
	Java string   // path of the java command that runs it

	// ClassArchive is the value for the JVM's -XX:SharedArchiveFile.
	// It is empty where none could be made: leave the flag out then.
	ClassArchive string
}

// Classpath is the value for the JVM's -cp.
func (d Distribution) Classpath() string {
	return strings.Join(d.Jars, string(os.PathListSeparator))
}

// source is where the files of a distribution come from.
type source interface {
	// identity is the name and the version of what comes.
	identity() (name, version string, err error)
	// key is a word that changes whenever other files would come.
	key() string
	// fetch puts the files into a folder, or fails. A program that it starts
	// gets a copy of the lock.
	fetch(ctx context.Context, into string, lock *os.File, report func(string, ...any)) error
}

// recipe says how a distribution is obtained.
type recipe struct {
	from source
	java int // the oldest major version of Java that runs it; 0: it needs none

	// warm prepares dir and says how the server is started there once, for its
	// class archive. Nil: the distribution has none.
	warm func(dir string) (warmUp, error)
	// check sees whether what was obtained runs on this machine. Nil: it does.
	check func(ctx context.Context, d Distribution) error
}

// inUserCache obtains the distribution under the user's cache directory.
func (r recipe) inUserCache(ctx context.Context, progress func(string)) (Distribution, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return Distribution{}, fmt.Errorf("find a place to keep servers: %w", err)
	}
	return r.obtain(ctx, filepath.Join(cache, "mesokit"), progress)
}

// obtain returns the distribution that is kept under cache, after bringing
// there what is missing.
func (r recipe) obtain(ctx context.Context, cache string, progress func(string)) (Distribution, error) {
	name, version, err := r.from.identity()
	if err != nil {
		return Distribution{}, err
	}
	d := Distribution{Name: name, Version: version, Dir: filepath.Join(cache, name+"-"+version)}
	report := func(format string, args ...any) {
		if progress != nil {
			progress(name + " " + version + ": " + fmt.Sprintf(format, args...))
		}
	}

	var java java
	if r.java > 0 {
		if java, err = findJava(ctx, r.java); err != nil {
			return Distribution{}, fmt.Errorf("%s %s: %w", name, version, err)
		}
	}
	d.Java = java.path
	files, err := r.addFiles(ctx, d.Dir, report)
	if err != nil {
		return Distribution{}, fmt.Errorf("obtain %s %s: %w", name, version, err)
	}
	for _, file := range files {
		if filepath.Dir(file) == filepath.Join(d.Dir, "lib") && filepath.Ext(file) == ".jar" {
			d.Jars = append(d.Jars, file)
		}
	}
	if r.check != nil {
		if err := r.check(ctx, d); err != nil {
			return Distribution{}, fmt.Errorf("%s %s does not run on this machine: %w", name, version, err)
		}
	}
	if r.warm == nil {
		return d, nil
	}
	if err := r.addArchive(ctx, &d, java, report); err != nil {
		if ctx.Err() != nil {
			return Distribution{}, fmt.Errorf("obtain %s %s: %w", name, version, context.Cause(ctx))
		}
		report("no class archive, so it starts more slowly: %v", err)
	}
	return d, nil
}

// addFiles returns the paths of all files of the distribution in dir, and
// fetches them first unless the cache has them all.
func (r recipe) addFiles(ctx context.Context, dir string, report func(string, ...any)) ([]string, error) {
	key := r.from.key()
	if files := readManifest(dir, key); files != nil {
		return files, nil
	}
	lock, err := lockFile(ctx, dir+".lock", func() { report("waiting for another process that obtains it") })
	if err != nil {
		return nil, err
	}
	defer lock.release()
	if files := readManifest(dir, key); files != nil { // the other process was here for the same
		return files, nil
	}

	begun := time.Now()
	part := dir + ".part"
	if err := os.RemoveAll(part); err != nil { // left by a process that was killed
		return nil, err
	}
	defer os.RemoveAll(part)
	if err := os.MkdirAll(part, 0o755); err != nil {
		return nil, err
	}
	err = reportGrowth(part, report, func(report func(string, ...any)) error {
		return r.from.fetch(ctx, part, lock.file, report)
	})
	if err != nil {
		return nil, err
	}
	if err := writeManifest(part, key); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(dir); err != nil { // made by another recipe, or with files missing
		return nil, err
	}
	if err := os.Rename(part, dir); err != nil {
		return nil, err
	}
	files := readManifest(dir, key)
	if files == nil {
		return nil, fmt.Errorf("%s changed while it was put together", dir)
	}
	report("%d files in %.1fs", len(files), time.Since(begun).Seconds())
	return files, nil
}

// silence is how long nothing may be heard of what is being fetched.
const silence = 5 * time.Second

// reportGrowth calls fetch with a report, and reports how much there is in dir
// whenever fetch has not said anything for a while: what brings a large file
// may be silent for minutes.
func reportGrowth(dir string, report func(string, ...any), fetch func(func(string, ...any)) error) error {
	var mu sync.Mutex
	said := false
	one := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		said = true
		report(format, args...)
	}
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(silence)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			mu.Lock()
			if mb := size(dir) >> 20; mb > 0 && !said {
				report("%d MB so far", mb)
			}
			said = false
			mu.Unlock()
		}
	})
	err := fetch(one)
	close(done)
	watching.Wait()
	return err
}

// size is that of all files below dir, as far as they can be seen.
func size(dir string) int64 {
	var sum int64
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				sum += info.Size()
			}
		}
		return nil // what comes and goes meanwhile does not matter
	})
	return sum
}
