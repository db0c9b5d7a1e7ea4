package sandbox

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tarball is a tar of the entries; those of TypeReg hold their own name.
func tarball(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		body := ""
		if h.Typeflag == tar.TypeReg {
			body = h.Name
		}
		h.Size = int64(len(body))
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		require.NoError(t, w.WriteHeader(&h))
		_, err := w.Write([]byte(body))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

func gzipped(t testing.TB, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// zipped is a zip of files that hold their own names; a name like "a -> b" is
// a symlink.
func zipped(t testing.TB, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, n := range names {
		name, target, link := strings.Cut(n, " -> ")
		h := &zip.FileHeader{Name: name}
		h.SetMode(0o755)
		if link {
			h.SetMode(0o777 | os.ModeSymlink)
		}
		f, err := w.CreateHeader(h)
		require.NoError(t, err)
		if !strings.HasSuffix(name, "/") {
			_, err = f.Write([]byte(map[bool]string{true: target, false: name}[link]))
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

// artifacts serves files by name, at paths and over HTTP.
type artifacts struct {
	dir  string
	url  string
	hits atomic.Int64
}

func serve(t *testing.T, files map[string][]byte) *artifacts {
	t.Helper()
	a := &artifacts{dir: t.TempDir()}
	for name, content := range files {
		require.NoError(t, os.WriteFile(filepath.Join(a.dir, name), content, 0o644))
	}
	static := http.FileServer(http.Dir(a.dir))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.hits.Add(1)
		static.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	a.url = server.URL
	return a
}

// tree is what a directory holds: "name mode content" of each file, sorted.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var lines []string
	require.NoError(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if target, err := os.Readlink(path); err == nil {
			lines = append(lines, name+" -> "+target)
			return nil
		}
		b, err := os.ReadFile(path)
		lines = append(lines, name+" "+info.Mode().String()+" "+string(b))
		return err
	}))
	return lines
}

func TestFetch(t *testing.T) {
	t.Parallel()
	pack := tarball(t,
		tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "bin/run", Typeflag: tar.TypeReg, Mode: 0o755},
		tar.Header{Name: "bin/go", Typeflag: tar.TypeSymlink, Linkname: "run"},
		tar.Header{Name: "bin/hard", Typeflag: tar.TypeLink, Linkname: "bin/run"})
	unpacked := []string{"bin/go -> run", "bin/hard -rwxr-xr-x bin/run", "bin/run -rwxr-xr-x bin/run"}
	a := serve(t, map[string][]byte{
		"hello.txt": []byte("hello"), "pack.tar": pack, "pack.tgz": gzipped(t, pack), "pack.tar.gz": gzipped(t, pack),
		"pack.zip": zipped(t, "z/", "z/run", "z/go -> run"), "note.gz": gzipped(t, []byte("note")),
	})
	no, yes := false, true
	for _, tt := range []struct {
		name string
		uri  mesos.CommandInfo_URI
		want []string // beside the archive itself
		kept string   // the archive's name, if it stays
	}{
		{name: "path", uri: mesos.CommandInfo_URI{Value: a.dir + "/hello.txt"}, want: []string{"hello.txt -rw-r--r-- hello"}},
		{name: "file", uri: mesos.CommandInfo_URI{Value: "file://" + a.dir + "/hello.txt"}, want: []string{"hello.txt -rw-r--r-- hello"}},
		{name: "file on localhost", uri: mesos.CommandInfo_URI{Value: "file://localhost" + a.dir + "/hello.txt"}, want: []string{"hello.txt -rw-r--r-- hello"}},
		{name: "http", uri: mesos.CommandInfo_URI{Value: a.url + "/hello.txt"}, want: []string{"hello.txt -rw-r--r-- hello"}},
		{name: "leading space", uri: mesos.CommandInfo_URI{Value: "  " + a.url + "/hello.txt"}, want: []string{"hello.txt -rw-r--r-- hello"}},
		{name: "executable", uri: mesos.CommandInfo_URI{Value: a.url + "/hello.txt", Executable: &yes}, want: []string{"hello.txt -rwxr-xr-x hello"}},
		{name: "executable archive", uri: mesos.CommandInfo_URI{Value: a.dir + "/note.gz", Executable: &yes}, kept: "note.gz"},
		{name: "output file", uri: mesos.CommandInfo_URI{Value: a.url + "/hello.txt", OutputFile: new("conf/d/x")}, want: []string{"conf/d/x -rw-r--r-- hello"}},
		{name: "tar", uri: mesos.CommandInfo_URI{Value: a.dir + "/pack.tar"}, want: unpacked, kept: "pack.tar"},
		{name: "tgz", uri: mesos.CommandInfo_URI{Value: a.url + "/pack.tgz"}, want: unpacked, kept: "pack.tgz"},
		{name: "tar.gz", uri: mesos.CommandInfo_URI{Value: a.dir + "/pack.tar.gz", Extract: &yes}, want: unpacked, kept: "pack.tar.gz"},
		{name: "not extracted", uri: mesos.CommandInfo_URI{Value: a.dir + "/pack.tgz", Extract: &no}, kept: "pack.tgz"},
		{name: "extracted by its new name", uri: mesos.CommandInfo_URI{Value: a.dir + "/pack.tgz", OutputFile: new("x")}, kept: "x"},
		{name: "zip", uri: mesos.CommandInfo_URI{Value: a.dir + "/pack.zip"}, want: []string{"z/go -> run", "z/run -rwxr-xr-x z/run"}, kept: "pack.zip"},
		{name: "gz", uri: mesos.CommandInfo_URI{Value: a.dir + "/note.gz"}, want: []string{"note -rw-r--r-- note"}, kept: "note.gz"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, new(Fetcher).Fetch(t.Context(), dir, []mesos.CommandInfo_URI{tt.uri}))
			if tt.kept != "" {
				require.NoError(t, os.Remove(filepath.Join(dir, tt.kept)))
			}
			assert.Equal(t, tt.want, tree(t, dir))
		})
	}
}

func TestFetchHTTPS(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello")) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it will complain about the first request
	server.StartTLS()
	t.Cleanup(server.Close)
	dir := t.TempDir()
	uris := []mesos.CommandInfo_URI{{Value: server.URL + "/x"}}
	require.ErrorContains(t, new(Fetcher).Fetch(t.Context(), dir, uris), "certificate")
	require.NoError(t, (&Fetcher{Client: server.Client()}).Fetch(t.Context(), dir, uris))
	assert.Equal(t, []string{"x -rw-r--r-- hello"}, tree(t, dir))
}

func TestFetchSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	a := serve(t, map[string][]byte{
		"bad.tgz": []byte("no gzip"), "cut.tgz": gzipped(t, tarball(t, tar.Header{Name: "x", Typeflag: tar.TypeReg}))[:40],
		"bad.zip": []byte("no zip"), "x.tar.xz": nil, "big": make([]byte, 2001),
		"bomb.tgz":   gzipped(t, gzipBomb(t, 4000)),
		"device.tar": tarball(t, tar.Header{Name: "null", Typeflag: tar.TypeChar}),
	})
	for _, tt := range []struct {
		name, uri, want string
		output          string
	}{
		{name: "missing file", uri: "/no/such/file", want: "failed to fetch '/no/such/file': stat /no/such/file: no such file or directory"},
		{name: "missing page", uri: a.url + "/none", want: "error downloading resource, received HTTP return code 404"},
		{name: "nobody there", uri: "http://127.0.0.1:1/x", want: "connection refused"},
		{name: "directory", uri: "/bin", want: "/bin is no regular file"},
		{name: "device", uri: "/dev/zero", want: "/dev/zero is no regular file"},
		{name: "relative path", uri: "x/y", want: `path "x/y" is relative: want an absolute path`},
		{name: "relative file", uri: "file://x/y", want: `path "x/y" is relative`},
		{name: "scheme", uri: "hdfs://host/x", want: `scheme "hdfs" is not supported: want a path, file, http or https`},
		{name: "no gzip", uri: a.dir + "/bad.tgz", want: "failed to extract archive 'bad.tgz': "},
		{name: "cut", uri: a.dir + "/cut.tgz", want: "unexpected EOF"},
		{name: "no zip", uri: a.dir + "/bad.zip", want: "not a valid zip file"},
		{name: "xz", uri: a.dir + "/x.tar.xz", want: "xz is not supported"},
		{name: "too large", uri: a.dir + "/big", want: "more bytes than the fetcher may bring: limit 2000 bytes"},
		{name: "too large when unpacked", uri: a.dir + "/bomb.tgz", want: "more bytes than the fetcher may bring"},
		{name: "device in archive", uri: a.dir + "/device.tar", want: `entry "null": is of type '3': want a file, a directory or a link`},

		{name: "no path", uri: "http://host", want: "Malformed URI (missing path): http://host"},
		{name: "empty path", uri: "http://host/", want: "Malformed URI (missing path): http://host/"},
		{name: "empty", uri: "", want: "Malformed URI"},
		{name: "parent", uri: "/etc/..", want: "Malformed URI"},
		{name: "backslash", uri: `/a\b`, want: "Illegal characters in URI"},
		{name: "output file absolute", uri: "/bin/sh", output: "/x", want: "URI output file must be within the sandbox directory"},
		{name: "output file escapes", uri: "/bin/sh", output: "a/../../x", want: "URI output file must be within the sandbox directory"},
		{name: "output file is the sandbox", uri: "/bin/sh", output: "./", want: "URI output file must be within the sandbox directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			u := mesos.CommandInfo_URI{Value: tt.uri}
			if tt.output != "" {
				u.OutputFile = &tt.output
			}
			err := (&Fetcher{MaxSize: 2000}).Fetch(t.Context(), t.TempDir(), []mesos.CommandInfo_URI{u})
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// gzipBomb is a tar whose files have n bytes together.
func gzipBomb(t *testing.T, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range []string{"a", "b"} {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(n / 2)}))
		_, err := w.Write(make([]byte, n/2))
		require.NoError(t, err)
	}
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "c", Typeflag: tar.TypeReg, Mode: 0o644, Size: 1}))
	_, err := w.Write([]byte{1})
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// TestArchiveCannotEscape gives the fetcher archives that try to write outside
// the sandbox, into a directory beside it.
func TestArchiveCannotEscape(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	outside, sandbox := filepath.Join(parent, "outside"), filepath.Join(parent, "sandbox")
	require.NoError(t, os.Mkdir(outside, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o644))

	reg := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg} }
	link := func(name, to string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}
	}
	hard := func(name, to string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: to}
	}
	// One after the other: they share what they must not touch.
	for name, content := range map[string][]byte{
		"parent.tar":        tarball(t, reg("../outside/x")),
		"deep-parent.tar":   tarball(t, reg("a/../../outside/x")),
		"absolute.tar":      tarball(t, reg(outside+"/x")),
		"symlink.tar":       tarball(t, link("d", "../outside"), reg("d/x")),
		"absolute-link.tar": tarball(t, link("d", outside), reg("d/x")),
		"link-to-link.tar":  tarball(t, link("d", "e"), link("e", "../outside"), reg("d/x")),
		"directory.tar":     tarball(t, tar.Header{Name: "../outside/d", Typeflag: tar.TypeDir}),
		"hard-link.tar":     tarball(t, hard("h", "../outside/secret"), reg("h")),
		"link-outside.tar":  tarball(t, link("../outside/l", "x")),
		"parent.zip":        zipped(t, "../outside/x"),
		"absolute.zip":      zipped(t, outside+"/x"),
		"symlink.zip":       zipped(t, "d -> ../outside", "d/x"),
		"parent.tgz":        gzipped(t, tarball(t, reg("../outside/x"))),
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.RemoveAll(sandbox))
			require.NoError(t, os.Mkdir(sandbox, 0o755))
			archive := filepath.Join(parent, name)
			require.NoError(t, os.WriteFile(archive, content, 0o644))

			err := new(Fetcher).Fetch(t.Context(), sandbox, []mesos.CommandInfo_URI{{Value: archive}})
			require.ErrorContains(t, err, "escapes")
			assert.Equal(t, []string{"secret -rw-r--r-- secret"}, tree(t, outside))
			entries, err := os.ReadDir(outside)
			require.NoError(t, err)
			assert.Len(t, entries, 1)
		})
	}
}

// TestArchiveReplacesLinks: a file of the same name as a link that leads out
// takes its place instead of being written through it.
func TestArchiveReplacesLinks(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	secret, sandbox := filepath.Join(parent, "secret"), filepath.Join(parent, "sandbox")
	require.NoError(t, os.WriteFile(secret, []byte("secret"), 0o644))
	require.NoError(t, os.Mkdir(sandbox, 0o755))
	archive := filepath.Join(parent, "x.tar")
	require.NoError(t, os.WriteFile(archive, tarball(t,
		tar.Header{Name: "f", Typeflag: tar.TypeSymlink, Linkname: "../secret"},
		tar.Header{Name: "f", Typeflag: tar.TypeReg}), 0o644))
	require.NoError(t, new(Fetcher).Fetch(t.Context(), sandbox, []mesos.CommandInfo_URI{{Value: archive}}))
	b, err := os.ReadFile(secret)
	require.NoError(t, err)
	assert.Equal(t, "secret", string(b))
}

func TestFetchCannotBeLedOutByALaterOutputFile(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	secret, sandbox := filepath.Join(parent, "secret"), filepath.Join(parent, "sandbox")
	require.NoError(t, os.WriteFile(secret, []byte("secret"), 0o644))
	require.NoError(t, os.Mkdir(sandbox, 0o755))
	archive := filepath.Join(parent, "x.tar")
	require.NoError(t, os.WriteFile(archive, tarball(t, tar.Header{Name: "f", Typeflag: tar.TypeSymlink, Linkname: "../secret"}), 0o644))
	err := new(Fetcher).Fetch(t.Context(), sandbox, []mesos.CommandInfo_URI{{Value: archive}, {Value: "/bin/sh", OutputFile: new("f")}})
	require.ErrorContains(t, err, "escapes")
	b, err := os.ReadFile(secret)
	require.NoError(t, err)
	assert.Equal(t, "secret", string(b))
}

func TestFetchEndsWithTheContext(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		close(asked)
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the task was killed")
	go func() { <-asked; cancel(cause) }()
	err := new(Fetcher).Fetch(ctx, t.TempDir(), []mesos.CommandInfo_URI{{Value: server.URL + "/x"}})
	require.ErrorIs(t, err, cause)
}

func TestFetchEndsWhenNothingComes(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	err := (&Fetcher{Stall: 50 * time.Millisecond}).Fetch(t.Context(), t.TempDir(), []mesos.CommandInfo_URI{{Value: server.URL + "/x"}})
	require.ErrorContains(t, err, "no byte came for 50ms")
}

func TestFetcherCache(t *testing.T) {
	t.Parallel()
	pack := gzipped(t, tarball(t, tar.Header{Name: "in", Typeflag: tar.TypeReg}))
	a := serve(t, map[string][]byte{"one": []byte("1111111111"), "two": []byte("2222222222"), "pack.tgz": pack, "note.gz": gzipped(t, []byte("note"))})
	yes := true
	uri := func(name string) []mesos.CommandInfo_URI {
		return []mesos.CommandInfo_URI{{Value: a.url + "/" + name, Cache: &yes}}
	}
	fetch := func(t *testing.T, f *Fetcher, name string) []string {
		dir := t.TempDir()
		require.NoError(t, f.Fetch(t.Context(), dir, uri(name)))
		return tree(t, dir)
	}
	// The subtests count the requests, so they run one after the other.
	requests := func(do func()) int64 {
		before := a.hits.Load()
		do()
		return a.hits.Load() - before
	}

	t.Run("downloads once", func(t *testing.T) {
		f := &Fetcher{CacheDir: t.TempDir()}
		assert.EqualValues(t, 1, requests(func() {
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() { assert.Equal(t, []string{"one -rw-r--r-- 1111111111"}, fetch(t, f, "one")) })
			}
			all.Wait()
		}))
	})
	t.Run("extracts from the cache", func(t *testing.T) {
		f := &Fetcher{CacheDir: t.TempDir()}
		assert.Equal(t, []string{"in -rw-r--r-- in"}, fetch(t, f, "pack.tgz"))
		assert.Equal(t, []string{"note -rw-r--r-- note"}, fetch(t, f, "note.gz"))
	})
	t.Run("forgets the least recently used", func(t *testing.T) {
		f := &Fetcher{CacheDir: t.TempDir(), CacheSize: 15}
		assert.EqualValues(t, 3, requests(func() {
			for _, name := range []string{"one", "one", "two", "two", "one"} {
				fetch(t, f, name)
			}
		}))
		assert.Len(t, tree(t, f.CacheDir), 1)
	})
	t.Run("does not keep failures", func(t *testing.T) {
		f := &Fetcher{CacheDir: t.TempDir()}
		assert.EqualValues(t, 2, requests(func() {
			for range 2 {
				require.ErrorContains(t, f.Fetch(t.Context(), t.TempDir(), uri("none")), "404")
			}
		}))
		assert.Empty(t, tree(t, f.CacheDir))
	})
	t.Run("is not used unless asked", func(t *testing.T) {
		f := &Fetcher{CacheDir: t.TempDir()}
		require.NoError(t, f.Fetch(t.Context(), t.TempDir(), []mesos.CommandInfo_URI{{Value: a.url + "/one"}}))
		assert.Empty(t, tree(t, f.CacheDir))
	})
}

// FuzzExtract unpacks anything, and checks that nothing lands outside and that
// nothing panics.
func FuzzExtract(f *testing.F) {
	f.Add("x.tar", tarball(f, tar.Header{Name: "../x", Typeflag: tar.TypeReg}))
	f.Add("x.tar", tarball(f, tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: ".."}, tar.Header{Name: "l/x", Typeflag: tar.TypeReg}))
	f.Add("x.zip", zipped(f, "../x", "a -> ..", "a/b"))
	f.Add("x.gz", gzipped(f, []byte("x")))
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		if !isArchive(name) {
			name = "x.tar"
		}
		parent := t.TempDir()
		inside := filepath.Join(parent, "in")
		require.NoError(t, os.Mkdir(inside, 0o755))
		source := filepath.Join(t.TempDir(), "archive")
		require.NoError(t, os.WriteFile(source, content, 0o644))
		src, err := os.Open(source)
		require.NoError(t, err)
		defer src.Close()
		root, err := os.OpenRoot(inside)
		require.NoError(t, err)
		defer root.Close()
		_ = extract(t.Context(), root, src, name, 1<<20) // errors are expected
		entries, err := os.ReadDir(parent)
		require.NoError(t, err)
		require.Len(t, entries, 1, "nothing beside the sandbox")
	})
}
