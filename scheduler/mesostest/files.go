package mesostest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"mime"
	"net/http"
	"os"
	"os/user"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// files serves what lies on the disk under virtual paths, as /files/browse,
// /files/read, /files/download and /files/debug and in the operator API
// (src/files/files.cpp). It returns the real paths by the virtual ones.
type files func() map[string]string

// maxRead bounds what is read at once: 16 pages.
const maxRead = 16 * 4096

// resolve finds the real path of a virtual one. What leads out of the
// directory that is served is refused.
func (f files) resolve(virtual string) (string, error) {
	attached := f()
	tokens := strings.Split(strings.TrimSuffix(virtual, "/"), "/")
	for n := len(tokens); n > 0; n-- {
		// Not path.Join, which would follow "..".
		prefix := joined(tokens[:n])
		root, ok := attached[prefix]
		if !ok {
			continue
		}
		suffix := joined(tokens[n:])
		info, err := os.Stat(root)
		if err != nil || !info.IsDir() && suffix != "" {
			return "", refuse(http.StatusNotFound, "")
		}
		if suffix == "" {
			return root, nil
		}
		full := root + "/" + suffix
		actual, err := filepath.EvalSymlinks(full)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
			return "", refuse(http.StatusNotFound, "")
		case err != nil:
			return "", refuse(http.StatusBadRequest, "Failed to determine canonical path of '%s': %s.\n", full, cause(err))
		case actual != root && !strings.HasPrefix(actual, root+"/"):
			return "", refuse(http.StatusBadRequest, "'%s' is inaccessible.\n", full)
		}
		return actual, nil
	}
	return "", refuse(http.StatusNotFound, "")
}

// joined joins the parts of a path, without the empty ones between slashes.
func joined(tokens []string) string {
	lead := ""
	if len(tokens) > 1 && tokens[0] == "" {
		lead = "/"
	}
	return lead + strings.Join(slices.DeleteFunc(slices.Clone(tokens), func(s string) bool { return s == "" }), "/")
}

// cause is the system's word for an error.
func cause(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}

// browse lists a directory. A file lists as nothing, as in Mesos.
func (f files) browse(virtual string) ([]mesos.FileInfo, error) {
	dir, err := f.resolve(virtual)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil
	}
	var out []mesos.FileInfo
	for _, e := range entries {
		// The target of a symlink counts; one that leads nowhere is left out.
		info, err := os.Stat(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		out = append(out, fileInfo(strings.TrimSuffix(virtual, "/")+"/"+e.Name(), info))
	}
	return out, nil
}

func fileInfo(virtual string, info os.FileInfo) mesos.FileInfo {
	out := mesos.FileInfo{
		Path: virtual, Size_: new(uint64(info.Size())), Mtime: &mesos.TimeInfo{Nanoseconds: info.ModTime().Unix() * 1e9},
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		out.Nlink, out.Mode = new(int32(s.Nlink)), new(uint32(s.Mode))
		uid, gid := strconv.Itoa(int(s.Uid)), strconv.Itoa(int(s.Gid))
		if u, err := user.LookupId(uid); err == nil {
			uid = u.Username
		}
		if g, err := user.LookupGroupId(gid); err == nil {
			gid = g.Name
		}
		out.UID, out.GID = &uid, &gid
	}
	return out
}

// read returns the size of a file and what it holds from an offset on: length
// bytes at most, all if nil, and never more than maxRead.
func (f files) read(virtual string, offset uint64, length *uint64) (size uint64, data []byte, err error) {
	name, err := f.resolve(virtual)
	if err != nil {
		return 0, nil, err
	}
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return 0, nil, refuse(http.StatusBadRequest, "Cannot read a directory.\n")
	}
	broken := func(err error) error {
		return refuse(http.StatusInternalServerError, "Failed to open file at '%s': %s.\n", name, cause(err))
	}
	// A pipe without a writer must not hold the reader.
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return 0, nil, broken(err)
	}
	defer file.Close()
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, nil, broken(err)
	}
	size = uint64(end)
	if offset >= size || length != nil && *length == 0 {
		return size, nil, nil
	}
	n := min(size-offset, maxRead)
	if length != nil {
		n = min(n, *length)
	}
	data = make([]byte, n)
	k, err := file.ReadAt(data, int64(offset))
	if err != nil && !errors.Is(err, io.EOF) { // it may have been cut meanwhile
		return 0, nil, broken(err)
	}
	return size, data[:k], nil
}

// handle adds the endpoints.
func (f files) handle(mux *http.ServeMux) {
	mux.HandleFunc("/files/browse", f.serveBrowse)
	mux.HandleFunc("/files/read", f.serveRead)
	mux.HandleFunc("/files/download", f.serveDownload)
	mux.HandleFunc("/files/debug", func(w http.ResponseWriter, _ *http.Request) {
		paths := map[string]string{}
		maps.Copy(paths, f())
		writeJSON(w, paths)
	})
}

// requested returns the path that a request asks for.
func requested(r *http.Request) (string, error) {
	if p := r.URL.Query().Get("path"); p != "" {
		return p, nil
	}
	return "", refuse(http.StatusBadRequest, "Expecting 'path=value' in query.\n")
}

func (f files) serveBrowse(w http.ResponseWriter, r *http.Request) {
	virtual, err := requested(r)
	var infos []mesos.FileInfo
	if err == nil {
		infos, err = f.browse(virtual)
	}
	if err != nil {
		fail(w, err)
		return
	}
	out := []any{}
	for i := range infos {
		info := &infos[i]
		out = append(out, object{
			"path": info.Path, "nlink": info.GetNlink(), "size": info.GetSize_(),
			"mtime": float64(info.Mtime.GetNanoseconds()) / 1e9, "mode": modeText(info.GetMode()),
			"uid": info.GetUID(), "gid": info.GetGID(),
		})
	}
	writeJSON(w, out)
}

// modeText writes a mode as ls does.
func modeText(mode uint32) string {
	kind := map[uint32]byte{
		syscall.S_IFDIR: 'd', syscall.S_IFCHR: 'c', syscall.S_IFBLK: 'b', syscall.S_IFIFO: 'p', syscall.S_IFLNK: 'l', syscall.S_IFSOCK: 's',
	}[mode&syscall.S_IFMT]
	if kind == 0 {
		kind = '-'
	}
	return string(kind) + fs.FileMode(mode & 0o777).String()[1:]
}

func (f files) serveRead(w http.ResponseWriter, r *http.Request) {
	virtual, err := requested(r)
	offset, length := int64(-1), int64(-1)
	if err == nil {
		offset, err = optional(r, "offset")
	}
	if err == nil {
		length, err = optional(r, "length")
	}
	if err != nil {
		fail(w, err)
		return
	}
	from, most := uint64(max(offset, 0)), new(uint64(max(length, 0)))
	switch {
	case offset == -1: // asks for the size alone
		*most = 0
	case length == -1:
		most = nil
	}
	size, data, err := f.read(virtual, from, most)
	if err != nil {
		fail(w, err)
		return
	}
	if offset == -1 {
		from = size
	}
	writeJSON(w, object{"offset": from, "data": string(data)})
}

// optional reads a number of the query; -1 stands for none, as web pages have
// it.
func optional(r *http.Request, name string) (int64, error) {
	if !r.URL.Query().Has(name) {
		return -1, nil
	}
	text := r.URL.Query().Get(name)
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		return 0, refuse(http.StatusBadRequest, "Failed to parse %s: Failed to convert '%s' to number.\n", name, text)
	case n < -1:
		return 0, refuse(http.StatusBadRequest, "Negative %s provided: %d.\n", name, n)
	}
	return n, nil
}

func (f files) serveDownload(w http.ResponseWriter, r *http.Request) {
	virtual, err := requested(r)
	name := ""
	if err == nil {
		name, err = f.resolve(virtual)
	}
	var missing refusal
	if errors.As(err, &missing) && missing.status == http.StatusNotFound {
		err = refuse(http.StatusNotFound, "404 Not Found.")
	}
	if err != nil {
		fail(w, err)
		return
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		fail(w, refuse(http.StatusNotFound, "404 Not Found."))
		return
	case info.IsDir():
		fail(w, refuse(http.StatusBadRequest, "Cannot download a directory.\n"))
		return
	case !info.Mode().IsRegular():
		fail(w, refuse(http.StatusNotFound, "404 Not Found."))
		return
	}
	file, err := os.Open(name)
	if err != nil {
		fail(w, fmt.Errorf("open %s: %w", path.Base(name), err))
		return
	}
	defer file.Close()
	kind := mime.TypeByExtension(filepath.Ext(name))
	if kind == "" {
		kind = "application/octet-stream"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", "attachment; filename="+path.Base(name))
	// What is still being written has the length that it has now.
	w.Header().Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	_, _ = io.CopyN(w, file, info.Size()) // the other end may be gone
}
