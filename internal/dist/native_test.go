package dist

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

const (
	goodApt  = `echo called >>"$DIR/calls"; echo a >a_1_amd64.deb; echo b >b_1_amd64.deb`
	goodDpkg = `mkdir -p "$3/usr/bin"; cp "$2" "$3/usr/bin/"; echo '#!/bin/sh' >"$3/usr/bin/server"`
)

var tinyNative = recipe{from: packages{name: "tiny", version: "1.2", names: []string{"a", "b"}}}

func TestPackagesAreUnpackedOnce(t *testing.T) {
	m := newMachine(t) // without a java
	m.command("apt-get", goodApt)
	m.command("dpkg-deb", goodDpkg)
	cache := t.TempDir()
	d, err := tinyNative.obtain(t.Context(), cache, nil)
	if err != nil {
		t.Fatal(err)
	}
	checkCache(t, cache, true)
	entries, err := os.ReadDir(d.Dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left in %s: %v, %v; want usr and manifest", d.Dir, entries, err)
	}
	if !exists(filepath.Join(d.Dir, "usr", "bin", "a_1_amd64.deb")) || !exists(filepath.Join(d.Dir, "usr", "bin", "b_1_amd64.deb")) {
		t.Error("a package was not unpacked")
	}
	m.command("apt-get", "exit 1")
	if _, err := tinyNative.obtain(t.Context(), cache, func(line string) { t.Errorf("progress %q", line) }); err != nil {
		t.Error(err)
	}
	if m.calls() != 1 {
		t.Errorf("apt-get ran %d times, want once", m.calls())
	}
}

func TestPackagesThatCannotBeHad(t *testing.T) {
	for _, test := range []struct {
		name, apt, dpkg string
		want            []string
	}{
		{"not a Debian", "", "", []string{"apt-get was not found", "on Debian or Ubuntu only"}},
		{"no lists", "echo E: Unable to locate package a; exit 100", goodDpkg, []string{"exit status 100", "Unable to locate package a", "apt-get update may help"}},
		{"one is missing", "echo a >a.deb", goodDpkg, []string{"1 packages have come of 2"}},
		{"one is damaged", goodApt, "echo unexpected end of file; exit 2", []string{"dpkg-deb: exit status 2: unexpected end of file"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMachine(t)
			if test.apt != "" {
				m.command("apt-get", test.apt)
				m.command("dpkg-deb", test.dpkg)
			}
			cache := t.TempDir()
			_, err := tinyNative.obtain(t.Context(), cache, nil)
			checkRefused(t, err, append(test.want, "tiny 1.2"))
			checkCache(t, cache, false)
		})
	}
}

// TestProgramWithoutItsLibraries: the error says what to install, and what was
// downloaded is kept for then.
func TestProgramWithoutItsLibraries(t *testing.T) {
	m := newMachine(t)
	m.command("apt-get", goodApt)
	m.command("dpkg-deb", goodDpkg)
	checked := tinyNative
	program := filepath.Join(m.path, "server")
	checked.check = func(ctx context.Context, _ Distribution) error {
		return runs(ctx, program, "install libtiny", "NAME=it")
	}
	m.command("server", `echo "$NAME lacks libtiny.so"; exit 127`)
	cache := t.TempDir()
	_, err := checked.obtain(t.Context(), cache, nil)
	if want := "tiny 1.2 does not run on this machine: " + program + " --version: exit status 127: it lacks libtiny.so: install libtiny"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	checkCache(t, cache, true)
	m.command("server", `[ "$1" = --version ]`)
	if _, err := checked.obtain(t.Context(), cache, nil); err != nil || m.calls() != 1 {
		t.Errorf("error %v after %d calls of apt-get", err, m.calls())
	}
}

// TestLargeDownloadIsNotKeptTwice: mvn gets a repository that goes afterwards.
func TestLargeDownloadIsNotKeptTwice(t *testing.T) {
	m := newMachine(t)
	m.command("mvn", `for a; do case $a in -Dmaven.repo.local=*) repo=${a#*=};; -Ddir=*) dir=${a#*=};; esac; done
mkdir -p "$repo/large"; echo large >"$repo/large/a.zip"; mkdir -p "$dir/bin"; cp "$repo/large/a.zip" "$dir/bin/server"`)
	tiny := recipe{from: pom{text: tiny.from.(pom).text, large: true}}
	d, err := tiny.obtain(t.Context(), t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	files := readManifest(d.Dir, tiny.from.key())
	if want := []string{filepath.Join(d.Dir, "bin", "server")}; !slices.Equal(files, want) || d.Jars != nil || d.Java != "" {
		t.Errorf("%q, want %q; %+v", files, want, d)
	}
	if entries, err := os.ReadDir(d.Dir); err != nil || len(entries) != 2 {
		t.Errorf("left in %s: %v, %v; want bin and manifest", d.Dir, entries, err)
	}
}

// TestSilentDownloadIsReported: somebody waits for it at a terminal.
func TestSilentDownloadIsReported(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "large"), make([]byte, 3<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var said []string
		failed := errors.New("cut")
		err := reportGrowth(dir, func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) },
			func(report func(string, ...any)) error {
				report("begins")
				<-time.After(3*silence + silence/2)
				return failed
			})
		if !errors.Is(err, failed) {
			t.Errorf("error %v, want %v", err, failed)
		}
		if want := []string{"begins", "3 MB so far", "3 MB so far"}; !slices.Equal(said, want) {
			t.Errorf("said %q, want %q", said, want)
		}
	})
}
