package dist

import (
	"context"
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Distribution is a server on this machine, ready to be started.
type Distribution struct {
	Name    string   // as in "kafka"
	Version string   // as in "4.3.1"
	Dir     string   // its place in the cache, absolute
	Jars    []string // absolute paths in lexical order; the class archive holds for this order only
	Java    string   // path of the java command that runs it

	// ClassArchive is the value for the JVM's -XX:SharedArchiveFile.
	// It is empty where none could be made: leave the flag out then.
	ClassArchive string
}

// Classpath is the value for the JVM's -cp.
func (d Distribution) Classpath() string {
	return strings.Join(d.Jars, string(os.PathListSeparator))
}

// recipe says how a distribution is obtained.
type recipe struct {
	pom  []byte
	java int // the oldest major version of Java that runs it

	// warm prepares dir and says how the server is started there once, for its
	// class archive. Nil: the distribution has none.
	warm func(dir string) (warmUp, error)
}

// obtain returns the distribution that is kept under cache, after bringing
// there what is missing.
func (r recipe) obtain(ctx context.Context, cache string, progress func(string)) (Distribution, error) {
	var pom struct {
		Name    string `xml:"artifactId"`
		Version string `xml:"version"`
	}
	if err := xml.Unmarshal(r.pom, &pom); err != nil {
		return Distribution{}, fmt.Errorf("read the pom: %w", err)
	}
	d := Distribution{Name: pom.Name, Version: pom.Version}
	d.Dir = filepath.Join(cache, d.Name+"-"+d.Version)
	report := func(format string, args ...any) {
		if progress != nil {
			progress(d.Name + " " + d.Version + ": " + fmt.Sprintf(format, args...))
		}
	}

	java, err := findJava(ctx, r.java)
	if err != nil {
		return Distribution{}, fmt.Errorf("%s %s: %w", d.Name, d.Version, err)
	}
	d.Java = java.path
	if err := r.addJars(ctx, &d, report); err != nil {
		return Distribution{}, fmt.Errorf("obtain %s %s: %w", d.Name, d.Version, err)
	}
	if r.warm == nil {
		return d, nil
	}
	if err := r.addArchive(ctx, &d, java, report); err != nil {
		if ctx.Err() != nil {
			return Distribution{}, fmt.Errorf("obtain %s %s: %w", d.Name, d.Version, context.Cause(ctx))
		}
		report("no class archive, so it starts more slowly: %v", err)
	}
	return d, nil
}

// addJars sets d.Jars, and downloads them first unless the cache has them all.
func (r recipe) addJars(ctx context.Context, d *Distribution, report func(string, ...any)) error {
	pom := fmt.Sprintf("%x", sha256.Sum256(r.pom))
	if d.Jars = readManifest(d.Dir, pom); d.Jars != nil {
		return nil
	}
	lock, err := lockFile(ctx, d.Dir+".lock", func() { report("waiting for another process that obtains it") })
	if err != nil {
		return err
	}
	defer lock.release()
	if d.Jars = readManifest(d.Dir, pom); d.Jars != nil { // the other process was here for the same
		return nil
	}
	mvn, err := findMaven()
	if err != nil {
		return err
	}

	begun := time.Now()
	part := d.Dir + ".part"
	if err := os.RemoveAll(part); err != nil { // left by a process that was killed
		return err
	}
	defer os.RemoveAll(part)
	lib := filepath.Join(part, "lib")
	if err := os.MkdirAll(lib, 0o755); err != nil {
		return err
	}
	file := filepath.Join(part, "pom.xml")
	if err := os.WriteFile(file, r.pom, 0o644); err != nil {
		return err
	}
	report("downloading it from Maven Central, once")
	if err := mvn.copyDependencies(ctx, file, lib, lock.file, report); err != nil {
		return err
	}
	if err := writeManifest(part, pom); err != nil {
		return err
	}
	if err := os.RemoveAll(d.Dir); err != nil { // of another pom, or with jars missing
		return err
	}
	if err := os.Rename(part, d.Dir); err != nil {
		return err
	}
	if d.Jars = readManifest(d.Dir, pom); d.Jars == nil {
		return fmt.Errorf("%s changed while it was put together", d.Dir)
	}
	report("%d jars in %.1fs", len(d.Jars), time.Since(begun).Seconds())
	return nil
}
