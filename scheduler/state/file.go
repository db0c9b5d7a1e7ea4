package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

const (
	journalName = "journal"
	// newJournalName is the next journal until it is whole and synced.
	newJournalName = "journal.new"

	// compactSize is the journal's size below which compacting is not worth
	// its syncs.
	compactSize = 4 << 20
)

// File is a store in a directory of a local disk.
//
// A Save appends its batch to a journal and syncs it before it returns, so one
// Save costs one sync however many records it has. Load, and Save when the
// journal has grown to more than twice what its records take, write a new
// journal with only the records, sync it, and rename it over the old one.
// That takes the disk space and the time of one copy of all records.
//
// A crash can leave the last batch unfinished: cut short, or with sectors that
// read as zeros. Load drops such a batch, for its Save has not returned, and
// logs that. Any other damage is a [DamagedError], and nothing is dropped. Two
// things cannot be told from a crash: the end of the file cut off later, and a
// sector of the last batch lost later.
//
// On a full or read-only disk Load and Save fail and what was saved stays. A
// Save that failed for want of space may be tried again; after a failed sync
// the disk's word counts for nothing, and every Save fails until the next
// Load.
type File struct {
	// Logger takes a warning when Load drops an unfinished batch and when the
	// journal cannot be compacted. Nil means slog.Default(). Set it before
	// Load.
	Logger *slog.Logger

	name string // of the directory, for messages
	disk disk
	held []io.Closer // to close with the store, the lock last

	mu      sync.Mutex
	closed  bool
	file    file // the journal; nil while this is not the writer
	journal journal
	records Records // what the journal holds
	retry   int64   // size at which compacting is tried again after it failed
	failed  error   // why nothing can be saved until the next Load
	least   int64   // compactSize, smaller in tests
	buffer  []byte  // of the last frame, kept for the next
}

// OpenFile opens the store in dir, which it creates if need be. The directory
// is locked until Close or the end of the process, however that comes about;
// while another has it, the error is a [TakenError] that names the holder.
func OpenFile(dir string) (*File, error) {
	if dir == "" {
		return nil, errors.New("open state: the directory is empty; want a path on a local disk")
	}
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	if err := makeDirectory(path); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	held, err := lock(root)
	if err != nil {
		return nil, fmt.Errorf("open state: %w", errors.Join(err, root.Close()))
	}
	return newFile(path, directory{root}, root, held), nil
}

// ReadFile returns the records of the store in dir without taking the
// directory: for a look at the state of a scheduler that runs. A batch that is
// being saved may be there or not. Where there is no store, the error is
// [fs.ErrNotExist].
func ReadFile(dir string) ([]Record, error) {
	path := filepath.Join(dir, journalName)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	_, records, err := replay(data)
	if damaged := (*DamagedError)(nil); errors.As(err, &damaged) {
		damaged.File = path
		return nil, fmt.Errorf("read state: %w", damaged)
	}
	if err != nil {
		return nil, fmt.Errorf("read state: %s: %w", path, err)
	}
	return records.Sorted(), nil
}

// newFile returns the store on a disk; held is closed with it.
func newFile(name string, d disk, held ...io.Closer) *File {
	return &File{name: name, disk: d, held: held, least: compactSize}
}

// Load implements [Store]. A [DamagedError] says where the journal does not
// read.
func (f *File) Load(ctx context.Context) ([]Record, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("load state: %w", err)
	}
	if f.closed {
		return nil, fmt.Errorf("load state: %s: %w", f.name, fs.ErrClosed)
	}
	if err := f.drop(); err != nil {
		return nil, fmt.Errorf("load state: %w", err)
	}
	epoch, err := f.read()
	if err != nil {
		return nil, fmt.Errorf("load state: %w", err)
	}
	if err := f.rewrite(epoch); err != nil {
		// The rename may have happened; what is durable is found by loading.
		return nil, fmt.Errorf("load state: begin a new journal in %s: %w", f.name, errors.Join(err, f.drop()))
	}
	return f.records.Snapshot(), nil
}

// drop makes f no writer.
func (f *File) drop() error {
	old := f.file
	f.file, f.records, f.failed = nil, nil, nil
	if old == nil {
		return nil
	}
	return old.Close()
}

// read reads the journal into f.records and returns the epoch to begin.
func (f *File) read() (epoch uint64, err error) {
	path := filepath.Join(f.name, journalName)
	data, err := f.disk.ReadFile(journalName)
	if errors.Is(err, fs.ErrNotExist) {
		f.records = Records{}
		return 1, nil
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	j, records, err := replay(data)
	if damaged := (*DamagedError)(nil); errors.As(err, &damaged) {
		damaged.File = path
		return 0, damaged
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	if torn := int64(len(data)) - j.size; torn > 0 {
		f.logger().Warn("dropped an unfinished batch of the state", "journal", path, "offset", j.size, "bytes", torn)
	}
	f.records = records
	return j.epoch + 1, nil
}

// rewrite puts a new journal with f.records in the place of the old one. If it
// fails before the rename, f goes on with the old one; a failure after it is
// also left in f.failed.
func (f *File) rewrite(epoch uint64) error {
	data, j := image(epoch, f.records.Sorted())
	next, err := f.disk.Create(newJournalName)
	if err != nil {
		return err
	}
	if _, err = next.WriteAt(data, 0); err == nil {
		err = next.Sync()
	}
	if err == nil {
		err = f.disk.Rename(newJournalName, journalName)
	}
	if err != nil {
		return errors.Join(err, next.Close(), f.disk.Remove(newJournalName))
	}
	old := f.file
	f.file, f.journal, f.retry = next, j, 0
	if old != nil {
		err = old.Close()
	}
	// Until the new name is durable, a crash could bring the old journal back
	// without what is appended to the new one.
	if syncErr := f.disk.Sync(); syncErr != nil {
		f.failed = syncErr
		err = errors.Join(syncErr, err)
	}
	return err
}

// Save implements [Store]. It looks at ctx only before it writes.
func (f *File) Save(ctx context.Context, batch []Record) error {
	if err := Check(batch); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	if err := f.writable(); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	if len(batch) == 0 {
		return nil
	}
	size := 0
	for _, r := range batch {
		size += recordSize(r)
		if size > maxPayload {
			return fmt.Errorf("save state: the batch of %d records is larger than %d bytes; save it in parts", len(batch), maxPayload)
		}
	}
	if err := f.append(batch); err != nil {
		return fmt.Errorf("save state: append to the journal in %s: %w", f.name, err)
	}
	f.records.Apply(batch)
	f.compact()
	return nil
}

// writable says why f must not append, if so. The lock keeps other writers
// away; should somebody have removed its file, the journal itself shows them.
func (f *File) writable() error {
	switch {
	case f.closed:
		return fmt.Errorf("%s: %w", f.name, fs.ErrClosed)
	case f.failed != nil:
		return fmt.Errorf("an earlier write failed, load again: %w", f.failed)
	case f.file == nil:
		return ErrFenced
	}
	mine, err := f.file.Stat()
	if err != nil {
		return err
	}
	named, err := f.disk.Stat(journalName)
	if err != nil {
		return err
	}
	if !os.SameFile(mine, named) || mine.Size() != f.journal.size {
		return ErrFenced
	}
	return nil
}

// append writes the batch to the journal. When it fails, it takes back what it
// has written.
func (f *File) append(batch []Record) error {
	f.buffer = f.journal.appendFrame(f.buffer[:0], batch)
	size := int64(len(f.buffer))
	_, err := f.file.WriteAt(f.buffer, f.journal.size)
	if err == nil {
		if err = f.file.Sync(); err != nil {
			f.failed = err
		}
	}
	if cap(f.buffer) > snapshotFrame {
		f.buffer = nil
	}
	if err != nil {
		if cutErr := f.file.Truncate(f.journal.size); cutErr != nil {
			f.failed = errors.Join(err, cutErr)
			return f.failed
		}
		return err
	}
	f.journal.size += size
	f.journal.next++
	return nil
}

// compact rewrites the journal when most of it is of no use any more. The
// batch just appended is durable either way, so a failure is only logged and
// tried again when the journal has grown by half.
func (f *File) compact() {
	if size := f.journal.size; size < f.least || size < 2*f.journal.base || size < f.retry {
		return
	}
	if err := f.rewrite(f.journal.epoch); err != nil {
		f.retry = f.journal.size + f.journal.size/2
		f.logger().Warn("cannot compact the state", "directory", f.name, "journal_bytes", f.journal.size, "err", err)
	}
}

// Close gives the directory free. It is safe to call twice; Load and Save fail
// afterwards.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	err := f.drop()
	for _, c := range f.held {
		err = errors.Join(err, c.Close())
	}
	if err != nil {
		return fmt.Errorf("close state: %w", err)
	}
	return nil
}

func (f *File) logger() *slog.Logger {
	if f.Logger != nil {
		return f.Logger
	}
	return slog.Default()
}
