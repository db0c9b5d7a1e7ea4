package sandbox

import (
	"archive/tar"
	"archive/zip"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
)

// isArchive reports whether the name is that of a file which is extracted.
func isArchive(name string) bool {
	return hasSuffix(name, ".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz", ".zip", ".gz")
}

func hasSuffix(name string, suffixes ...string) bool {
	return slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(name, s) })
}

// extract unpacks src, which bears the name of an archive, into root. The
// budget is the number of bytes that all its files may have together.
func extract(ctx context.Context, root *os.Root, src *os.File, name string, budget int64) error {
	x := extraction{ctx: ctx, root: root, budget: budget}
	var err error
	switch {
	case hasSuffix(name, ".tar"):
		err = x.tar(src)
	case hasSuffix(name, ".tgz", ".tar.gz"):
		err = x.gunzip(src, x.tar)
	case hasSuffix(name, ".tbz2", ".tar.bz2"):
		err = x.tar(bzip2.NewReader(src))
	case hasSuffix(name, ".zip"):
		err = x.zip(src)
	case hasSuffix(name, ".gz"):
		err = x.gunzip(src, func(r io.Reader) error {
			return x.file(strings.TrimSuffix(path.Base(name), ".gz"), 0o644, r)
		})
	default:
		err = errors.New("xz is not supported: want .tar, .tar.gz, .tar.bz2 or .zip")
	}
	if err != nil {
		return fmt.Errorf("failed to extract archive '%s': %w", name, err)
	}
	return nil
}

// extraction is an archive on its way into a directory. The root refuses every
// path that leads out of it, also by a symlink that the archive brought before.
// Such a symlink itself is let through: it is data, and real distributions
// have some; nothing in this package follows it.
type extraction struct {
	ctx    context.Context
	root   *os.Root
	budget int64 // bytes that may still be written, never negative
}

func (x *extraction) gunzip(r io.Reader, next func(io.Reader) error) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	return next(z)
}

func (x *extraction) tar(r io.Reader) error {
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := x.entry(h, t); err != nil {
			return fmt.Errorf("entry %q: %w", h.Name, err)
		}
	}
}

func (x *extraction) entry(h *tar.Header, r io.Reader) error {
	name, mode := path.Clean(h.Name), h.FileInfo().Mode().Perm()
	switch h.Typeflag {
	case tar.TypeReg:
		return x.file(name, mode, r)
	case tar.TypeDir:
		return x.directory(name, mode)
	case tar.TypeSymlink:
		return x.replace(name, func() error { return x.root.Symlink(h.Linkname, name) })
	case tar.TypeLink:
		return x.replace(name, func() error { return x.root.Link(path.Clean(h.Linkname), name) })
	case tar.TypeXGlobalHeader:
		return nil
	default:
		return fmt.Errorf("is of type %q: want a file, a directory or a link", h.Typeflag)
	}
}

func (x *extraction) zip(f *os.File) error {
	s, err := f.Stat()
	if err != nil {
		return err
	}
	z, err := zip.NewReader(f, s.Size())
	if err != nil {
		return err
	}
	for _, e := range z.File {
		if err := x.zipEntry(e); err != nil {
			return fmt.Errorf("entry %q: %w", e.Name, err)
		}
	}
	return nil
}

func (x *extraction) zipEntry(e *zip.File) error {
	name, mode := path.Clean(e.Name), e.Mode()
	if mode.IsDir() {
		return x.directory(name, mode.Perm())
	}
	r, err := e.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	switch {
	case mode&os.ModeSymlink != 0:
		target, err := io.ReadAll(io.LimitReader(r, 4096)) // PATH_MAX
		if err != nil {
			return err
		}
		return x.replace(name, func() error { return x.root.Symlink(string(target), name) })
	case mode.IsRegular():
		return x.file(name, mode.Perm(), r)
	default:
		return fmt.Errorf("is of type %v: want a file, a directory or a link", mode.Type())
	}
}

func (x *extraction) directory(name string, mode os.FileMode) error {
	// What follows must be able to enter and fill it.
	return x.root.MkdirAll(name, mode|0o700)
}

// replace makes something at name in place of whatever file is there.
func (x *extraction) replace(name string, make func() error) error {
	if err := x.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	if s, err := x.root.Lstat(name); err == nil && !s.IsDir() {
		if err := x.root.Remove(name); err != nil {
			return err
		}
	}
	return make()
}

func (x *extraction) file(name string, mode os.FileMode, r io.Reader) error {
	return x.replace(name, func() error {
		f, err := create(x.root, name, mode)
		if err != nil {
			return err
		}
		err = copyBounded(x.ctx, counter{f, &x.budget}, r, x.budget)
		return errors.Join(err, f.Close())
	})
}

// counter takes what is written off a budget. copyBounded has seen to it that
// no more than one byte too many comes; that one does not count.
type counter struct {
	io.Writer
	budget *int64
}

func (c counter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	*c.budget = max(0, *c.budget-int64(n))
	return n, err
}
