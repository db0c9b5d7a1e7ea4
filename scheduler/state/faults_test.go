package state

import (
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// faulty is a real directory in which the named operations fail.
type faulty struct {
	directory
	fail func(op string) error
}

func (d faulty) Create(name string) (file, error) {
	if err := d.fail("create"); err != nil {
		return nil, err
	}
	f, err := d.directory.Create(name)
	return faultyFile{f, d.fail}, err
}

func (d faulty) Rename(from, to string) error {
	return errors.Join(d.fail("rename"), d.directory.Rename(from, to))
}

func (d faulty) Sync() error { return errors.Join(d.fail("sync names"), d.directory.Sync()) }

type faultyFile struct {
	file
	fail func(op string) error
}

func (f faultyFile) WriteAt(data []byte, offset int64) (int, error) {
	if err := f.fail("write"); err != nil {
		n, _ := f.file.WriteAt(data[:len(data)/2], offset)
		return n, err
	}
	return f.file.WriteAt(data, offset)
}

func (f faultyFile) Sync() error { return errors.Join(f.fail("sync"), f.file.Sync()) }

func (f faultyFile) Truncate(size int64) error {
	if err := f.fail("truncate"); err != nil {
		return err
	}
	return f.file.Truncate(size)
}

// faultyStore returns a loaded store; the operations in *failing fail.
func faultyStore(t *testing.T, failing *[]string) *File {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f := newFile(root.Name(), faulty{directory{root}, func(op string) error {
		if slices.Contains(*failing, op) {
			return &os.PathError{Op: op, Path: "journal", Err: syscall.EIO}
		}
		return nil
	}}, root)
	f.Logger = slog.New(slog.DiscardHandler)
	if _, err := f.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestSaveOnFailingDisk(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		failing []string
		goesOn  bool // the next Save works without a Load
	}{
		{"write", []string{"write"}, true},
		{"write and truncate", []string{"write", "truncate"}, false},
		{"sync", []string{"sync"}, false},
		{"sync and truncate", []string{"sync", "truncate"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var failing []string
			f := faultyStore(t, &failing)
			first := []Record{{Key: "a", Value: []byte("first")}}
			second := []Record{{Key: "a", Value: []byte("second")}}
			if err := f.Save(t.Context(), first); err != nil {
				t.Fatal(err)
			}
			failing = c.failing
			if err := f.Save(t.Context(), second); !errors.Is(err, syscall.EIO) {
				t.Fatalf("got error %v, want EIO", err)
			}
			failing = nil
			err := f.Save(t.Context(), nil)
			if c.goesOn && err != nil || !c.goesOn && !errors.Is(err, syscall.EIO) {
				t.Errorf("next Save: got error %v, goes on: %v", err, c.goesOn)
			}
			records, err := f.Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			// Only the bytes of a failed sync that could not be cut off again
			// may have come through.
			got := string(records[0].Value)
			if got != "first" && (c.name != "sync and truncate" || got != "second") {
				t.Errorf("got %q after the failed save", got)
			}
			if err := f.Save(t.Context(), second); err != nil {
				t.Errorf("Save after Load: %v", err)
			}
		})
	}
}

func TestLoadOnFailingDisk(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"create", "write", "sync", "rename", "sync names"} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			var failing []string
			f := faultyStore(t, &failing)
			if err := f.Save(t.Context(), []Record{{Key: "a", Value: []byte("kept")}}); err != nil {
				t.Fatal(err)
			}
			failing = []string{op}
			if _, err := f.Load(t.Context()); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), f.name) {
				t.Fatalf("got error %v, want EIO with the directory", err)
			}
			failing = nil
			if err := f.Save(t.Context(), nil); !errors.Is(err, ErrFenced) {
				t.Errorf("Save after a failed Load: got error %v, want ErrFenced", err)
			}
			if records, err := f.Load(t.Context()); err != nil || len(records) != 1 || string(records[0].Value) != "kept" {
				t.Errorf("got %v, error %v", records, err)
			}
		})
	}
}

// TestCompactOnFailingDisk: the batch that sets off compacting is durable, so
// its Save succeeds.
func TestCompactOnFailingDisk(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		op     string
		goesOn bool
	}{
		{"create", true},
		{"rename", false}, // it happened although it failed
		{"sync names", false},
	} {
		t.Run(c.op, func(t *testing.T) {
			t.Parallel()
			var failing []string
			f := faultyStore(t, &failing)
			var log strings.Builder
			f.Logger = slog.New(slog.NewTextHandler(&log, nil))
			f.least = 1
			failing = []string{c.op}
			batch := []Record{{Key: "a", Value: []byte(strings.Repeat("v", 100))}}
			if err := f.Save(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
			if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "cannot compact the state") {
				t.Errorf("logged %q, want one line", &log)
			}
			err := f.Save(t.Context(), batch)
			if c.goesOn != (err == nil) {
				t.Errorf("next Save: got error %v, goes on: %v", err, c.goesOn)
			}
			failing = nil
			if records, err := f.Load(t.Context()); err != nil || len(records) != 1 || len(records[0].Value) != 100 {
				t.Errorf("got %v, error %v", records, err)
			}
			f.least = compactSize
			if err := f.Save(t.Context(), batch); err != nil {
				t.Errorf("Save after Load: %v", err)
			}
		})
	}
}

func TestLoadReportsATornBatch(t *testing.T) {
	t.Parallel()
	var failing []string
	f := faultyStore(t, &failing)
	var log strings.Builder
	f.Logger = slog.New(slog.NewTextHandler(&log, nil))
	failing = []string{"write", "truncate"}
	if err := f.Save(t.Context(), []Record{{Key: "a", Value: make([]byte, 100)}}); err == nil {
		t.Fatal("the write did not fail")
	}
	failing = nil
	if _, err := f.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := log.String(); !strings.Contains(got, "dropped an unfinished batch") || !strings.Contains(got, "offset=32") {
		t.Errorf("logged %q", got)
	}
}
