package mesostest

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// shown is a directory that is served as /box, with files of several kinds in
// it and a secret beside it.
func shown(t testing.TB) (f files, root string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root = filepath.Join(dir, "box")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(root, "sub"), 0o755))
	must(os.WriteFile(filepath.Join(root, "stdout"), []byte("0123456789"), 0o644))
	must(os.WriteFile(filepath.Join(root, "big"), make([]byte, 3*maxRead), 0o644))
	must(os.WriteFile(filepath.Join(root, "sub", "page.html"), []byte("<p>"), 0o600))
	must(os.WriteFile(filepath.Join(dir, "secret"), []byte("hidden words"), 0o644))
	must(os.Mkdir(filepath.Join(dir, "boxer"), 0o755))
	must(os.WriteFile(filepath.Join(dir, "boxer", "secret"), []byte("hidden words"), 0o644))
	must(os.Symlink("../secret", filepath.Join(root, "out")))
	must(os.Symlink("../boxer", filepath.Join(root, "boxer")))
	must(os.Symlink("loop", filepath.Join(root, "loop")))
	must(os.Symlink("stdout", filepath.Join(root, "in")))
	must(syscall.Mkfifo(filepath.Join(root, "pipe"), 0o644))
	return func() map[string]string {
		return map[string]string{"/box": root, "/box/file": filepath.Join(root, "stdout")}
	}, root
}

func TestFilesOverHTTP(t *testing.T) {
	t.Parallel()
	f, root := shown(t)
	mux := http.NewServeMux()
	f.handle(mux)
	for _, tc := range []struct {
		name, path, query string
		status            int
		want              string // contained in the body
	}{
		{"read", "read", "path=/box/stdout&offset=2&length=3", 200, `{"data":"234","offset":2}`},
		{"read the rest", "read", "path=/box/stdout&offset=7", 200, `{"data":"789","offset":7}`},
		{"read through a symlink", "read", "path=/box/in&offset=9&length=9", 200, `{"data":"9","offset":9}`},
		{"size", "read", "path=/box/stdout&offset=-1", 200, `{"data":"","offset":10}`},
		{"size by default", "read", "path=/box/stdout&length=4", 200, `{"data":"","offset":10}`},
		{"length -1", "read", "path=/box/stdout&offset=0&length=-1", 200, `{"data":"0123456789","offset":0}`},
		{"length 0", "read", "path=/box/stdout&offset=3&length=0", 200, `{"data":"","offset":3}`},
		{"beyond the end", "read", "path=/box/stdout&offset=9999999999&length=5", 200, `{"data":"","offset":9999999999}`},
		{"negative offset", "read", "path=/box/stdout&offset=-2", 400, "Negative offset provided: -2.\n"},
		{"negative length", "read", "path=/box/stdout&offset=0&length=-9", 400, "Negative length provided: -9.\n"},
		{"offset that is none", "read", "path=/box/stdout&offset=x", 400, "Failed to parse offset: Failed to convert 'x' to number.\n"},
		{"length too large", "read", "path=/box/stdout&length=99999999999999999999", 400, "Failed to parse length: "},
		{"no path", "read", "offset=1", 400, "Expecting 'path=value' in query.\n"},
		{"a directory", "read", "path=/box/sub&offset=0", 400, "Cannot read a directory.\n"},
		{"a pipe without a writer", "read", "path=/box/pipe&offset=0", 500, "Failed to open file at '" + root + "/pipe': illegal seek.\n"},
		{"what is not there", "read", "path=/box/none&offset=0", 404, ""},
		{"what is not served", "read", "path=/etc/passwd&offset=0", 404, ""},
		{"up and out", "read", "path=/box/../secret&offset=0", 400, "'" + root + "/../secret' is inaccessible.\n"},
		{"up and back in", "read", "path=/box/../box/stdout&offset=0&length=1", 200, `"data":"0"`},
		{"out by a symlink", "read", "path=/box/out&offset=0", 400, "' is inaccessible.\n"},
		{"out to a neighbour of a like name", "read", "path=/box/boxer/secret&offset=0", 400, "' is inaccessible.\n"},
		{"a symlink to itself", "read", "path=/box/loop&offset=0", 400, "Failed to determine canonical path of '"},
		{"below a file", "read", "path=/box/stdout/x&offset=0", 404, ""},
		{"below a file that is served", "read", "path=/box/file/x&offset=0", 404, ""},
		{"a file that is served", "read", "path=/box/file/&offset=0&length=1", 200, `"data":"0"`},
		{"a NUL in the path", "read", "path=/box/a%00b&offset=0", 400, "Failed to determine canonical path of '"},
		{"too long a name", "read", "path=/box/" + strings.Repeat("x", 300) + "&offset=0", 400, "Failed to determine canonical path of '"},
		{"browse", "browse", "path=/box/sub/", 200, `"mode":"-rw-------","mtime":`},
		{"browse shows virtual paths", "browse", "path=/box/sub", 200, `"path":"/box/sub/page.html","size":3`},
		{"browse a file", "browse", "path=/box/stdout", 200, "[]"},
		{"browse out", "browse", "path=/box/..", 400, "' is inaccessible.\n"},
		{"browse nothing", "browse", "path=", 400, "Expecting 'path=value' in query.\n"},
		{"download", "download", "path=/box/stdout", 200, "0123456789"},
		{"download a directory", "download", "path=/box", 400, "Cannot download a directory.\n"},
		{"download out", "download", "path=/box/out", 400, "' is inaccessible.\n"},
		{"download what is not there", "download", "path=/box/none", 404, "404 Not Found."},
		{"download a pipe", "download", "path=/box/pipe", 404, "404 Not Found."},
		{"debug", "debug", "", 200, `"/box":"` + root + `"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/files/"+tc.path+"?"+tc.query, nil))
			if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.want) {
				t.Errorf("got %d %q, want %d with %q", w.Code, w.Body, tc.status, tc.want)
			}
		})
	}
}

func TestReadsAreBounded(t *testing.T) {
	t.Parallel()
	f, _ := shown(t)
	for _, length := range []*uint64{nil, new(uint64(1 << 63))} {
		size, data, err := f.read("/box/big", 10, length)
		if err != nil || size != 3*maxRead || len(data) != maxRead {
			t.Errorf("read %d of %d: %v; want %d at once", len(data), size, err, maxRead)
		}
	}
	if _, data, err := f.read("/box/big", 1<<63, nil); err != nil || len(data) != 0 {
		t.Errorf("read %d far beyond the end: %v", len(data), err)
	}
}

// FuzzFiles asks for any path: what comes lies in the directory that is served,
// and whatever is wrong is said with a status.
func FuzzFiles(f *testing.F) {
	for _, s := range []string{"/box", "/box/../secret", "//box//stdout/", "/box/./in", "box", "", "/", "/box/boxer/../stdout", "/box/file/.."} {
		f.Add(s, uint64(3), uint64(5))
	}
	served, root := shown(f)
	f.Fuzz(func(t *testing.T, path string, offset, length uint64) {
		name, err := served.resolve(path)
		if err == nil && name != root && !strings.HasPrefix(name, root+"/") {
			t.Fatalf("%q leads to %s", path, name)
		}
		for _, l := range []*uint64{nil, &length} {
			_, data, err := served.read(path, offset, l)
			var r refusal
			if strings.Contains(string(data), "hidden") || err != nil && !errors.As(err, &r) {
				t.Fatalf("%q: %q, %v", path, data, err)
			}
		}
		infos, _ := served.browse(path)
		for i := range infos {
			if _, err := json.Marshal(infos[i]); err != nil {
				t.Fatal(err)
			}
		}
		w := httptest.NewRecorder()
		served.serveDownload(w, httptest.NewRequest(http.MethodGet, "/files/download?path="+url.QueryEscape(path), nil))
		if strings.Contains(w.Body.String(), "hidden") {
			t.Fatalf("%q is served", path)
		}
	})
}
