package state_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mesokit/mesokit/scheduler/state"
)

// TestFullDisk lets the disk be full after each byte of a batch in turn. The
// limit on the size of files stands for the disk: like it, it cuts a write
// short. It is one of the whole process, hence the child.
func TestFullDisk(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		t.Parallel()
		if out, err := child(t, t.TempDir()).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	signal.Ignore(unix.SIGXFSZ)
	f := openFile(t, dir)
	load(t, f)
	save(t, f, "a", "kept")
	journal := filepath.Join(dir, "journal")
	before := read(t, journal)
	batch := []state.Record{{Key: "a", Value: []byte("changed")}, {Key: "b", Value: bytes.Repeat([]byte("v"), 100)}}
	room := 0
	for ; ; room++ {
		var err error
		limited(t, len(before)+room, func() { err = f.Save(t.Context(), batch) })
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EFBIG) || !strings.Contains(err.Error(), dir) {
			t.Fatalf("room for %d bytes: got error %v, want EFBIG with the directory", room, err)
		}
		if !bytes.Equal(read(t, journal), before) {
			t.Fatalf("room for %d bytes: the failed save is in the journal", room)
		}
	}
	if room < 100 {
		t.Errorf("the batch found place in %d bytes", room)
	}

	// Load has to write as well; it keeps what it cannot copy.
	before = read(t, journal)
	var err error
	limited(t, len(before)/2, func() { _, err = f.Load(t.Context()) })
	if !errors.Is(err, unix.EFBIG) {
		t.Errorf("Load: got error %v, want EFBIG", err)
	}
	if !bytes.Equal(read(t, journal), before) {
		t.Error("the failed load changed the journal")
	}
	if got := load(t, f); got["a"] != "changed" || len(got) != 2 {
		t.Errorf("got %v", got)
	}
}

// limited runs do while no file can grow beyond size.
func limited(t *testing.T, size int, do func()) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: uint64(size), Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	do()
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
}

// nobody is the user without rights; any but root would do.
const nobody = 65534

// TestForbiddenDirectory works without the right to create files, as another
// user than root where need be.
func TestForbiddenDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := openFile(t, dir)
	load(t, f)
	save(t, f, "a", "kept")
	if os.Geteuid() == 0 {
		for _, path := range []string{dir, filepath.Join(dir, "journal")} {
			if err := os.Chown(path, nobody, nobody); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if os.Geteuid() == 0 {
		// The file system's user is one of this thread alone.
		if err := unix.Setfsuid(nobody); err != nil {
			t.Fatal(err)
		}
	}
	_, loadErr := f.Load(t.Context())
	_, openErr := state.OpenFile(filepath.Join(dir, "below"))
	if os.Geteuid() == 0 {
		if err := unix.Setfsuid(0); err != nil {
			t.Fatal(err)
		}
	}
	if !errors.Is(loadErr, fs.ErrPermission) || !strings.Contains(loadErr.Error(), dir) {
		t.Errorf("Load: got error %v, want fs.ErrPermission with the directory", loadErr)
	}
	if !errors.Is(openErr, fs.ErrPermission) || !strings.Contains(openErr.Error(), dir) {
		t.Errorf("OpenFile below it: got error %v, want fs.ErrPermission with the directory", openErr)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := load(t, f); got["a"] != "kept" {
		t.Errorf("got %v", got)
	}
}
