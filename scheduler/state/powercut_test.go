package state

import (
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

var errPowerCut = errors.New("the power was cut")

// PowerCut is a machine whose disk keeps, when the power is cut, what was
// synced, and of the rest whatever chance decides: some writes and renames and
// not others, half a write, sectors of zeros. The running process sees a real
// directory.
type PowerCut struct {
	t  *testing.T
	mu sync.Mutex

	boot  int    // counts the starts of the machine
	live  string // directory that the processes of this boot see
	armed bool
	left  int // changes until the cut
	seed  uint64
	cut   bool

	names   map[string]*inode // as the processes see them
	durable map[string]*inode // as of the last sync of the directory
	renames []map[string]*inode
}

// inode is a file: what is synced, and the writes since.
type inode struct {
	synced []byte
	writes []func(data []byte, random *rand.Rand, cut bool) []byte
}

// NewPowerCut returns a machine with an empty disk.
func NewPowerCut(t *testing.T) *PowerCut {
	return &PowerCut{t: t, live: t.TempDir(), names: map[string]*inode{}, durable: map[string]*inode{}}
}

// Crash cuts the power in the change to the disk after the next n.
func (p *PowerCut) Crash(n int, seed uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed, p.left, p.seed = true, n, seed
}

// Open opens the store, without a lock, after starting the machine again if
// its power is cut. The journal is compacted early.
func (p *PowerCut) Open() (*File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut {
		p.restart()
	}
	root, err := os.OpenRoot(p.live)
	if err != nil {
		return nil, err
	}
	f := newFile(p.live, session{directory{root}, p, p.boot}, root)
	f.least = 2000
	return f, nil
}

// restart gives the next processes what the cut has left.
func (p *PowerCut) restart() {
	random := rand.New(rand.NewPCG(p.seed, uint64(p.boot)))
	names := p.durable
	if k := random.IntN(len(p.renames) + 1); k > 0 {
		names = p.renames[k-1]
	}
	p.live = p.t.TempDir()
	for name, i := range names {
		i.synced = i.afterCut(random)
		i.writes = nil
		if err := os.WriteFile(filepath.Join(p.live, name), i.synced, 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
	p.names, p.durable, p.renames = names, maps.Clone(names), nil
	p.boot++
	p.armed, p.cut = false, false
}

func (i *inode) afterCut(random *rand.Rand) []byte {
	data := slices.Clone(i.synced)
	k := random.IntN(len(i.writes) + 1)
	for n, write := range i.writes[:k] {
		data = write(data, random, n == k-1)
	}
	return data
}

// change is called before each change of boot's processes. It fails from the
// cut on; the change that meets the cut is the one under way.
func (p *PowerCut) change(boot int) (underWay bool, err error) {
	if p.cut || boot != p.boot {
		return false, errPowerCut
	}
	if p.armed {
		if p.left == 0 {
			p.cut = true
			return true, errPowerCut
		}
		p.left--
	}
	return false, nil
}

// rename records a change of names, which a cut may lose, with those after it.
func (p *PowerCut) rename(do func(names map[string]*inode)) {
	names := maps.Clone(p.names)
	do(names)
	p.names = names
	p.renames = append(p.renames, maps.Clone(names))
}

// session is the disk as the processes of one boot have it.
type session struct {
	directory
	p    *PowerCut
	boot int
}

func (s session) Create(name string) (file, error) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	underWay, err := s.p.change(s.boot)
	if err == nil || underWay {
		if i := s.p.names[name]; i != nil {
			i.truncate(0)
		} else {
			s.p.rename(func(names map[string]*inode) { names[name] = &inode{} })
		}
	}
	if err != nil {
		return nil, err
	}
	f, err := s.directory.Create(name)
	return openFile{f, s, s.p.names[name]}, err
}

func (s session) Rename(from, to string) error {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	underWay, err := s.p.change(s.boot)
	if err == nil || underWay {
		s.p.rename(func(names map[string]*inode) {
			names[to] = names[from]
			delete(names, from)
		})
	}
	if err != nil {
		return err
	}
	return s.directory.Rename(from, to)
}

func (s session) Remove(name string) error {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	underWay, err := s.p.change(s.boot)
	if err == nil || underWay {
		s.p.rename(func(names map[string]*inode) { delete(names, name) })
	}
	if err != nil {
		return err
	}
	return s.directory.Remove(name)
}

func (s session) Sync() error {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if _, err := s.p.change(s.boot); err != nil {
		return err
	}
	s.p.durable, s.p.renames = maps.Clone(s.p.names), nil
	return nil
}

func (s session) Stat(name string) (fs.FileInfo, error) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.p.cut || s.boot != s.p.boot {
		return nil, errPowerCut
	}
	return s.directory.Stat(name)
}

type openFile struct {
	file
	s session
	i *inode
}

func (f openFile) WriteAt(data []byte, offset int64) (int, error) {
	f.s.p.mu.Lock()
	defer f.s.p.mu.Unlock()
	underWay, err := f.s.p.change(f.s.boot)
	if err == nil || underWay {
		f.i.write(slices.Clone(data), int(offset))
	}
	if err != nil {
		return 0, err
	}
	return f.file.WriteAt(data, offset)
}

func (f openFile) Truncate(size int64) error {
	f.s.p.mu.Lock()
	defer f.s.p.mu.Unlock()
	underWay, err := f.s.p.change(f.s.boot)
	if err == nil || underWay {
		f.i.truncate(int(size))
	}
	if err != nil {
		return err
	}
	return f.file.Truncate(size)
}

func (f openFile) Sync() error {
	f.s.p.mu.Lock()
	defer f.s.p.mu.Unlock()
	if _, err := f.s.p.change(f.s.boot); err != nil {
		return err
	}
	for _, write := range f.i.writes {
		f.i.synced = write(f.i.synced, nil, false)
	}
	f.i.writes = nil
	return nil
}

func (i *inode) truncate(size int) {
	i.writes = append(i.writes, func(data []byte, _ *rand.Rand, _ bool) []byte {
		return append(data[:min(size, len(data))], make([]byte, max(0, size-len(data)))...)
	})
}

// write records a write, of which a cut leaves a beginning, or all but some
// sectors.
func (i *inode) write(data []byte, offset int) {
	i.writes = append(i.writes, func(old []byte, random *rand.Rand, cut bool) []byte {
		data := slices.Clone(data)
		if cut && random.IntN(2) == 0 {
			data = data[:random.IntN(len(data)+1)]
		} else if cut {
			for _, part := range sectors(data, int64(offset)) {
				if random.IntN(2) == 0 {
					clear(part)
				}
			}
		}
		if grow := offset + len(data) - len(old); grow > 0 {
			old = append(old, make([]byte, grow)...)
		}
		copy(old[offset:], data)
		return old
	})
}
