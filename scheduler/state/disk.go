package state

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// disk is the directory of a [File]. The tests have one that loses what was
// not synced.
type disk interface {
	// ReadFile returns a file's content.
	ReadFile(name string) ([]byte, error)
	// Create opens a file for writing and empties it.
	Create(name string) (file, error)
	Rename(from, to string) error
	Remove(name string) error
	Stat(name string) (fs.FileInfo, error)
	// Sync makes the names of the files durable.
	Sync() error
}

// file is an open file of a [disk].
type file interface {
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Stat() (fs.FileInfo, error)
	// Sync makes the content durable.
	Sync() error
}

// directory is the disk outside tests.
type directory struct{ *os.Root }

func (d directory) Create(name string) (file, error) {
	// Records may hold secrets.
	f, err := d.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (d directory) Sync() error { return syncDirectory(d.Open(".")) }

func syncDirectory(f *os.File, err error) error {
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// makeDirectory creates path and what is missing above it, durably.
func makeDirectory(path string) error {
	err := os.Mkdir(path, 0o700)
	if parent := filepath.Dir(path); errors.Is(err, fs.ErrNotExist) && parent != path {
		if err := makeDirectory(parent); err != nil {
			return err
		}
		err = os.Mkdir(path, 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil // if it is no directory, opening it says so
	}
	if err != nil {
		return err
	}
	return syncDirectory(os.Open(filepath.Dir(path)))
}
