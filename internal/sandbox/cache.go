package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// cache is what a Fetcher keeps, guarded by its mutex.
type cache struct {
	entries map[string]*cached // by URI
	serial  int                // files named so far
	clock   int                // uses so far: the age of an entry
	size    int64              // bytes of all entries that are ready
}

// cached is one URI in the cache.
type cached struct {
	file  string        // path
	ready chan struct{} // closed when size and err are set
	size  int64         // bytes
	err   error         // then nobody else finds the entry
	users int           // those who wait for it or read it: it stays as long
	used  int           // the cache's clock at the last use
}

// fetchCached is fetch by way of the cache. An archive is extracted straight
// from there and does not appear in the sandbox itself.
func (f *Fetcher) fetchCached(ctx context.Context, root *os.Root, u mesos.CommandInfo_URI, name string) error {
	e, err := f.acquire(ctx, u.Value)
	if err != nil {
		return err
	}
	defer f.release(e)
	src, err := os.Open(e.file)
	if err != nil {
		return err
	}
	defer src.Close()
	base, _ := baseName(u.Value) // checked by validateURI
	if !u.GetExecutable() && u.GetExtract() && isArchive(base) {
		return extract(ctx, root, src, base, f.maxSize())
	}
	mode := os.FileMode(0o644)
	if u.GetExecutable() {
		mode = 0o755
	}
	dst, err := create(root, name, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}

// acquire finds the URI in the cache or brings it there; of several who ask at
// once, one does. The entry is the caller's until it releases it.
func (f *Fetcher) acquire(ctx context.Context, uri string) (*cached, error) {
	for {
		e, mine, err := f.claim(uri)
		if err != nil {
			return nil, err
		}
		if mine {
			f.fill(ctx, uri, e)
		}
		select {
		case <-e.ready:
		case <-ctx.Done():
			f.release(e)
			return nil, context.Cause(ctx)
		}
		if e.err == nil {
			return e, nil
		}
		f.release(e)
		// Whoever waited for somebody else's attempt makes its own.
		if mine {
			return nil, e.err
		}
	}
}

// claim is the entry of the URI, and whether the caller is to fill it.
func (f *Fetcher) claim(uri string) (e *cached, mine bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := &f.cache
	c.clock++
	if e := c.entries[uri]; e != nil {
		e.users, e.used = e.users+1, c.clock
		return e, false, nil
	}
	if err := os.MkdirAll(f.CacheDir, 0o755); err != nil {
		return nil, false, err
	}
	name, _ := baseName(uri) // checked by validateURI
	c.serial++
	e = &cached{
		file:  filepath.Join(f.CacheDir, fmt.Sprintf("c%07d-%s", c.serial, name)),
		ready: make(chan struct{}), users: 1, used: c.clock,
	}
	if c.entries == nil {
		c.entries = make(map[string]*cached)
	}
	c.entries[uri] = e
	return e, true, nil
}

// fill downloads the URI and makes room for it.
func (f *Fetcher) fill(ctx context.Context, uri string, e *cached) {
	err := f.download(ctx, uri, func() (*os.File, error) {
		return os.OpenFile(e.file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	})
	var s os.FileInfo
	if err == nil {
		s, err = os.Stat(e.file)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	defer close(e.ready)
	if err != nil {
		e.err = errors.Join(err, removeFile(e.file))
		delete(f.cache.entries, uri)
		return
	}
	e.size = s.Size()
	f.cache.size += e.size
	f.evict()
}

// release gives an entry back.
func (f *Fetcher) release(e *cached) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e.users--
	f.evict()
}

// evict removes the least recently used entries that nobody uses until the
// cache fits. The caller holds the lock.
func (f *Fetcher) evict() {
	limit := cmp.Or(f.CacheSize, 2<<30)
	for f.cache.size > limit {
		var oldest string
		for uri, e := range f.cache.entries {
			if e.users == 0 && (oldest == "" || e.used < f.cache.entries[oldest].used) {
				oldest = uri
			}
		}
		if oldest == "" {
			return
		}
		e := f.cache.entries[oldest]
		delete(f.cache.entries, oldest)
		f.cache.size -= e.size
		// A file that cannot be removed is only space lost until the agent's
		// work directory goes.
		_ = removeFile(e.file)
	}
}

func removeFile(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
