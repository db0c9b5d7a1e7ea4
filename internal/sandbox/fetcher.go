package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// A Fetcher brings the URIs of commands into sandboxes, as the fetcher of
// Mesos does: paths on the agent, plain or with file://, and http and https.
// What is marked executable gets the right to be executed; other archives are
// extracted, unless the URI says not to, if their names say that they are one:
// .tar, .tgz, .tar.gz, .tbz2, .tar.bz2, .zip, and single files that end in .gz.
// (Mesos knows .txz and .tar.xz too, and asks a Hadoop client for any other
// scheme: both are errors here.)
//
// Nothing is ever written outside the sandbox, whatever an archive or an
// output file says. The zero value is ready to use and has no cache.
type Fetcher struct {
	// CacheDir is where URIs that ask for the cache are kept; empty: they are
	// fetched anew each time. One Fetcher owns the directory.
	CacheDir string
	// CacheSize bounds the bytes in the cache; what was used least recently
	// goes first. Zero is 2 GiB, Mesos's --fetcher_cache_size.
	CacheSize int64
	// MaxSize bounds the bytes of one file and of what one archive holds. Zero
	// is 16 GiB.
	MaxSize int64
	// Stall is how long a download may stand still. Zero is a minute, Mesos's
	// --fetcher_stall_timeout.
	Stall time.Duration
	// Client makes the HTTP requests; nil is http.DefaultClient.
	Client *http.Client

	mu    sync.Mutex
	cache cache
}

// A URIError says that a URI or its output file is not well formed; nothing
// was fetched. Message is in the words of Mesos (validateUri and
// validateOutputFile in src/slave/containerizer/fetcher.cpp) where it has some.
type URIError struct {
	URI     string
	Message string
}

func (e *URIError) Error() string { return fmt.Sprintf("sandbox: URI %q: %s", e.URI, e.Message) }

// ErrTooLarge says that a file or an archive holds more than Fetcher.MaxSize.
var ErrTooLarge = errors.New("sandbox: more bytes than the fetcher may bring")

// Fetch brings the URIs into the directory, in order, and stops at the first
// that it cannot bring. The error is a *[URIError] if one of them is bad.
func (f *Fetcher) Fetch(ctx context.Context, directory string, uris []mesos.CommandInfo_URI) error {
	for _, u := range uris {
		if err := validateURI(u); err != nil {
			return err
		}
	}
	root, err := os.OpenRoot(directory)
	if err != nil {
		return fmt.Errorf("sandbox: fetching: %w", err)
	}
	defer root.Close()
	for _, u := range uris {
		if err := f.fetch(ctx, root, u); err != nil {
			return fmt.Errorf("sandbox: failed to fetch '%s': %w", u.Value, err)
		}
	}
	return nil
}

func validateURI(u mesos.CommandInfo_URI) error {
	if _, problem := baseName(u.Value); problem != "" {
		return &URIError{URI: u.Value, Message: problem}
	}
	if u.OutputFile == nil {
		return nil
	}
	switch out := u.GetOutputFile(); {
	case out == "":
		return &URIError{URI: u.Value, Message: "URI output file path is empty"}
	case !filepath.IsLocal(out) || path.Clean(out) == ".":
		// Mesos looks only for a leading slash and lets "../x" escape.
		return &URIError{URI: u.Value, Message: "URI output file must be within the sandbox directory"}
	}
	return nil
}

// baseName is the name that a URI's file gets in the sandbox: all after the
// last slash, query and fragment included, as Mesos has it. If there is none,
// problem says why.
func baseName(uri string) (name, problem string) {
	if strings.ContainsAny(uri, "\\'\x00") {
		return "", "Illegal characters in URI"
	}
	name = uri
	if scheme, rest, ok := strings.Cut(uri, "://"); ok && len(scheme) > 1 {
		_, name, _ = strings.Cut(rest, "/")
	}
	if name == "" || !filepath.IsLocal(path.Base(name)) || path.Base(name) == "." {
		return "", "Malformed URI (missing path): " + uri
	}
	return path.Base(name), ""
}

func (f *Fetcher) fetch(ctx context.Context, root *os.Root, u mesos.CommandInfo_URI) error {
	name := u.GetOutputFile()
	if name == "" {
		name, _ = baseName(u.Value) // checked by validateURI
	}
	if dir := path.Dir(path.Clean(name)); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if u.GetCache() && f.CacheDir != "" {
		return f.fetchCached(ctx, root, u, name)
	}
	mode := os.FileMode(0o644)
	if u.GetExecutable() {
		mode = 0o755
	}
	if err := f.download(ctx, u.Value, func() (*os.File, error) { return create(root, name, mode) }); err != nil {
		return err
	}
	if u.GetExecutable() || !u.GetExtract() || !isArchive(name) {
		return nil
	}
	src, err := root.Open(name)
	if err != nil {
		return err
	}
	defer src.Close()
	return extract(ctx, root, src, name, f.maxSize())
}

// create opens a file for writing in place of whatever bears the name now.
func create(root *os.Root, name string, mode os.FileMode) (*os.File, error) {
	file, err := root.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return nil, err
	}
	// The file may have been there, and the umask may have taken bits away.
	if err := file.Chmod(mode); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// download copies what the URI names into the file that open opens, once the
// source is known to be there.
func (f *Fetcher) download(ctx context.Context, uri string, open func() (*os.File, error)) error {
	// Stopping the context is what ends a read that stands still.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	src, err := f.open(ctx, strings.TrimLeft(uri, " \t"))
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := open()
	if err != nil {
		return err
	}
	stall := cmp.Or(f.Stall, time.Minute)
	timer := time.AfterFunc(stall, func() { cancel(fmt.Errorf("no byte came for %v", stall)) })
	defer timer.Stop()
	err = copyBounded(ctx, dst, readerFunc(func(p []byte) (int, error) {
		n, err := src.Read(p)
		timer.Reset(stall)
		return n, err
	}), f.maxSize())
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	return errors.Join(err, dst.Close())
}

// open opens the source of a URI for reading.
func (f *Fetcher) open(ctx context.Context, uri string) (io.ReadCloser, error) {
	scheme, rest, ok := strings.Cut(uri, "://")
	switch {
	case !ok:
		return openLocal(uri)
	case scheme == "file":
		return openLocal(strings.TrimPrefix(rest, "localhost"))
	case scheme == "http" || scheme == "https":
		return f.openHTTP(ctx, uri)
	default:
		return nil, fmt.Errorf("scheme %q is not supported: want a path, file, http or https", scheme)
	}
}

func openLocal(name string) (io.ReadCloser, error) {
	if !filepath.IsAbs(name) {
		return nil, fmt.Errorf("path %q is relative: want an absolute path", name)
	}
	// A pipe would wait for its writer, so the kind is asked before opening.
	s, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !s.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	return os.Open(name)
}

func (f *Fetcher) openHTTP(ctx context.Context, uri string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, err
	}
	client := f.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // it repeats the URI
		}
		return nil, fmt.Errorf("error downloading resource: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("error downloading resource, received HTTP return code %d", resp.StatusCode)
	}
	return resp.Body, nil
}

func (f *Fetcher) maxSize() int64 { return cmp.Or(f.MaxSize, 16<<30) }

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// copyBounded copies src to dst, at most limit bytes, until the context ends.
func copyBounded(ctx context.Context, dst io.Writer, src io.Reader, limit int64) error {
	n, err := io.Copy(dst, io.LimitReader(readerFunc(func(p []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		return src.Read(p)
	}), limit+1))
	if err == nil && n > limit {
		return fmt.Errorf("%w: limit %d bytes", ErrTooLarge, limit)
	}
	return err
}
