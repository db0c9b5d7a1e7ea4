package state_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/mesokit/mesokit/scheduler/state"
)

// childDir names the state directory for a test that runs a process of its
// own.
const childDir = "MESOKIT_STATE_TEST_DIR"

// child returns this test as a command that works on dir.
func child(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	return cmd
}

func openFile(t testing.TB, dir string) *state.File {
	t.Helper()
	f, err := state.OpenFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	f.Logger = quiet
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func load(t testing.TB, s state.Store) map[string]string {
	t.Helper()
	records, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, r := range records {
		values[r.Key] = string(r.Value)
	}
	return values
}

func save(t testing.TB, s state.Store, keysAndValues ...string) {
	t.Helper()
	var batch []state.Record
	for i := 0; i < len(keysAndValues); i += 2 {
		batch = append(batch, state.Record{Key: keysAndValues[i], Value: []byte(keysAndValues[i+1])})
	}
	if err := s.Save(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
}

func TestOpenFileCreatesItsDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b", "state")
	f := openFile(t, dir)
	load(t, f)
	save(t, f, "secret", "hunter2")
	for _, path := range []string{dir, filepath.Join(dir, "journal"), filepath.Join(dir, "lock")} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v: others may read it", path, info.Mode())
		}
	}
}

func TestOpenFileRefusesBadDirectories(t *testing.T) {
	t.Parallel()
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, dir, want string }{
		{"empty", "", "the directory is empty; want a path"},
		{"a file", plain, plain + ": not a directory"},
		{"below a file", filepath.Join(plain, "state"), "plain/state: not a directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f, err := state.OpenFile(c.dir)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, error %v; want %q", f, err, c.want)
			}
		})
	}
}

func TestTakenDirectoryNamesItsHolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := openFile(t, dir)
	_, err := state.OpenFile(dir)
	want := fmt.Sprintf("state directory %s is taken by process %d on ", dir, os.Getpid())
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("got error %v, want %q", err, want)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	openFile(t, dir)
}

func TestClosedFile(t *testing.T) {
	t.Parallel()
	f := openFile(t, t.TempDir())
	load(t, f)
	for range 2 {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Save(t.Context(), nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Save: got error %v, want fs.ErrClosed", err)
	}
	if _, err := f.Load(t.Context()); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Load: got error %v, want fs.ErrClosed", err)
	}
}

func TestReadFileBesideItsWriter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := state.ReadFile(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: got error %v, want fs.ErrNotExist", err)
	}
	f := openFile(t, dir)
	load(t, f)
	save(t, f, "b", "2", "a", "1")
	records, err := state.ReadFile(dir)
	if err != nil || len(records) != 2 || records[0].Key != "a" || string(records[1].Value) != "2" {
		t.Errorf("got %v, error %v", records, err)
	}
	save(t, f, "a", "2") // it is the writer still

	write(t, filepath.Join(dir, "journal"), []byte("no journal, and long enough to be one"))
	if _, err := state.ReadFile(dir); err == nil || !strings.Contains(err.Error(), "journal is damaged at offset 0") {
		t.Errorf("damaged: got error %v", err)
	}
}

// TestKilledWriter kills a process that saves as fast as it can. The next one
// gets the lock at once and finds all that was acknowledged.
func TestKilledWriter(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		saveForEver(t, dir)
	}
	t.Parallel()
	dir := t.TempDir()
	for round, acknowledgements := range []int{1, 7, 50, 200} {
		cmd := child(t, dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		last := 0
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if n, ok := strings.CutPrefix(lines.Text(), "saved "); ok {
				if last, err = strconv.Atoi(n); err != nil {
					t.Fatal(err)
				}
				if acknowledgements--; acknowledgements == 0 {
					// What it saves until it dies is read as well.
					if err := cmd.Process.Kill(); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if err := cmd.Wait(); err == nil || last == 0 {
			t.Fatalf("round %d: the writer ended by itself after %d saves", round, last)
		}
		f := openFile(t, dir)
		got := load(t, f)
		if n, err := strconv.Atoi(got["a"]); err != nil || n < last || n > last+1 || got["b"] != got["a"] {
			t.Fatalf("round %d: %d was acknowledged, found a=%q b=%q", round, last, got["a"], got["b"])
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// saveForEver counts up in two records of one batch.
func saveForEver(t *testing.T, dir string) {
	f := openFile(t, dir)
	n, _ := strconv.Atoi(load(t, f)["a"])
	for {
		n++
		save(t, f, "a", strconv.Itoa(n), "b", strconv.Itoa(n), "filler", strings.Repeat("f", 50_000))
		fmt.Println("saved", n)
	}
}

func TestSaveNoticesAnotherWriter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		disturb func(t *testing.T, journal string, data []byte)
	}{
		{"appended", func(t *testing.T, journal string, data []byte) {
			write(t, journal, append(data, 0))
		}},
		{"replaced by its equal", func(t *testing.T, journal string, data []byte) {
			write(t, journal+".other", data)
			if err := os.Rename(journal+".other", journal); err != nil {
				t.Fatal(err)
			}
		}},
		{"lock removed, second writer", func(t *testing.T, journal string, _ []byte) {
			dir := filepath.Dir(journal)
			if err := os.Remove(filepath.Join(dir, "lock")); err != nil {
				t.Fatal(err)
			}
			load(t, openFile(t, dir))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			f := openFile(t, dir)
			load(t, f)
			save(t, f, "a", "1")
			journal := filepath.Join(dir, "journal")
			c.disturb(t, journal, read(t, journal))
			before := read(t, journal)
			if err := f.Save(t.Context(), []state.Record{{Key: "a", Value: []byte("2")}}); !errors.Is(err, state.ErrFenced) {
				t.Errorf("Save: got error %v, want ErrFenced", err)
			}
			if !bytes.Equal(read(t, journal), before) {
				t.Error("the fenced writer changed the journal")
			}
		})
	}
}

func TestSaveIntoRemovedDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	f := openFile(t, dir)
	load(t, f)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := f.Save(t.Context(), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got error %v, want fs.ErrNotExist", err)
	}
}

func TestDamagedJournalIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := openFile(t, dir)
	load(t, f)
	save(t, f, "a", "first value")
	save(t, f, "b", "second value")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	journal := filepath.Join(dir, "journal")
	data := read(t, journal)
	data[bytes.Index(data, []byte("first"))] ^= 1
	write(t, journal, data)

	f = openFile(t, dir)
	_, err := f.Load(t.Context())
	want := journal + " is damaged at offset 32: a batch does not match its check"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Load: got error %v, want %q", err, want)
	}
	if err := f.Save(t.Context(), []state.Record{{Key: "a", Value: []byte("1")}}); !errors.Is(err, state.ErrFenced) {
		t.Errorf("Save: got error %v, want ErrFenced", err)
	}
	if !bytes.Equal(read(t, journal), data) {
		t.Error("the damaged journal was changed")
	}
}

// TestJournalStaysSmall saves one record many times: the journal is rewritten
// when most of it is old.
func TestJournalStaysSmall(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := openFile(t, dir)
	load(t, f)
	save(t, f, "kept", "from the beginning")
	value := strings.Repeat("v", 100_000)
	largest := int64(0)
	for i := range 150 {
		save(t, f, "a", value, "n", strconv.Itoa(i))
		info, err := os.Stat(filepath.Join(dir, "journal"))
		if err != nil {
			t.Fatal(err)
		}
		largest = max(largest, info.Size())
	}
	if largest < 4<<20-2*100_000 || largest > 4<<20 {
		t.Errorf("the journal grew to %d bytes, want it to be rewritten at 4 MiB", largest)
	}
	if got := load(t, f); len(got) != 3 || got["n"] != "149" || got["kept"] != "from the beginning" {
		t.Errorf("got %d records, n=%q", len(got), got["n"])
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkFileSave(b *testing.B) {
	benchmarkSave(b, func(b *testing.B) state.Store { return openFile(b, b.TempDir()) })
}

func BenchmarkMemorySave(b *testing.B) {
	benchmarkSave(b, func(*testing.B) state.Store { return state.NewMemory() })
}

func benchmarkSave(b *testing.B, open func(*testing.B) state.Store) {
	for _, n := range []int{0, 1, 1000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			f := open(b)
			load(b, f)
			batch := make([]state.Record, n)
			for i := range batch {
				batch[i] = state.Record{Key: fmt.Sprintf("task/%05d", i), Value: bytes.Repeat([]byte("v"), 300)}
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := f.Save(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

func BenchmarkFileLoad(b *testing.B) {
	const records = 50_000
	f := openFile(b, b.TempDir())
	load(b, f)
	batch := make([]state.Record, records)
	for i := range batch {
		batch[i] = state.Record{Key: fmt.Sprintf("task/%05d", i), Value: bytes.Repeat([]byte("v"), 300)}
	}
	if err := f.Save(b.Context(), batch); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if got, err := f.Load(b.Context()); err != nil || len(got) != records {
			b.Fatal(len(got), err)
		}
	}
}
