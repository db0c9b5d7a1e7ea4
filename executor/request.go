package executor

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"syscall"
	"time"
)

// Tail is the body of the request "tail": the last lines of what the servers of
// the executor have written, also those that were rotated. The answer is text.
type Tail struct {
	// File is "stdout" or "stderr" of the sandbox; empty means stdout.
	File string `json:"file,omitempty"`
	// Lines is how many; zero means 100. There are fewer if they have more than a
	// mebibyte.
	Lines int `json:"lines,omitempty"`
}

const (
	defaultWithin    = time.Minute
	defaultTailLines = 100
	maxTail          = 1 << 20
)

// A RequestFunc carries out a request of the scheduler, such as a thread dump. The
// server need not run: before it does, and between two restarts, requests come
// too. It ends early, with an error, when ctx does; one that goes on is left behind
// after five seconds. What it returns becomes the answer as JSON, except []byte,
// which is sent as it is.
type RequestFunc func(ctx context.Context, s Sandbox, body json.RawMessage) (any, error)

// request carries out r.
func (s *supervisor) request(ctx context.Context, r Request, functions map[string]RequestFunc) ([]byte, error) {
	within := cmp.Or(max(r.Within, 0), defaultWithin)
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("%s: not done within %v", r.Name, within))
	defer cancel()
	f := functions[r.Name]
	switch {
	case f == nil && r.Name == "tail":
		f = tail
	case f == nil && r.Name == "usage":
		f = s.answerUsage
	case f == nil:
		return nil, fmt.Errorf("request %q: this executor has no such function", r.Name)
	}
	if err := errors.Join(s.envErr, s.identify()); err != nil {
		return nil, err
	}
	return await(ctx, func() ([]byte, error) {
		log := s.server.lines.stream(s.stdout)
		defer log.close()
		answer, err := f(ctx, s.sandbox(log), r.Body)
		if err != nil {
			return nil, err
		}
		if body, ok := answer.([]byte); ok {
			return body, nil
		}
		body, err := json.Marshal(answer)
		if err != nil {
			return nil, fmt.Errorf("%s: answer: %w", r.Name, err)
		}
		return body, nil
	})
}

func tail(_ context.Context, s Sandbox, body json.RawMessage) (any, error) {
	var t Tail
	if len(body) > 0 {
		if err := json.Unmarshal(body, &t); err != nil {
			return nil, fmt.Errorf("tail: %w", err)
		}
	}
	t.File = cmp.Or(t.File, "stdout")
	if t.File != "stdout" && t.File != "stderr" {
		return nil, fmt.Errorf("tail: file %q: want stdout or stderr", t.File)
	}
	root, err := os.OpenRoot(s.Dir)
	if err != nil {
		return nil, fmt.Errorf("tail: %w", err)
	}
	defer root.Close()
	last, err := lastLinesOf(rotated(root, t.File), cmp.Or(max(t.Lines, 0), defaultTailLines))
	if err != nil {
		return nil, fmt.Errorf("tail: %w", err)
	}
	return last, nil
}

// rotated are a log and what it was rotated to, the newest first. Each file is
// open until the next is asked for.
func rotated(root *os.Root, name string) iter.Seq2[*os.File, error] {
	return func(yield func(*os.File, error) bool) {
		var last fs.FileInfo
		for i := 0; ; i++ {
			path := name
			if i > 0 {
				path = fmt.Sprintf("%s.%d", name, i)
			}
			// Without waiting, in case somebody has put a pipe there.
			f, err := root.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
			if i > 0 && errors.Is(err, fs.ErrNotExist) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			info, err := f.Stat()
			if err == nil && !info.Mode().IsRegular() {
				err = fmt.Errorf("%s has mode %v: want a regular file", path, info.Mode())
			}
			// The same again was rotated while this looked.
			more := last != nil && err == nil && os.SameFile(info, last) || yield(f, err)
			last = info
			if f.Close() != nil || !more { // what was read is there all the same
				return
			}
		}
	}
}

// lastLinesOf returns the last n lines of files, the newest of which comes first,
// fewer if they have more than maxTail bytes.
func lastLinesOf(files iter.Seq2[*os.File, error], n int) ([]byte, error) {
	var data []byte
	whole := true
	for f, err := range files {
		if err != nil {
			return nil, err
		}
		// One byte more than may be, to see whether a line begins there.
		part, all, err := endOf(f, maxTail+1-len(data))
		if err != nil {
			return nil, err
		}
		data, whole = append(part, data...), all
		if !whole || bytes.Count(data, []byte("\n")) > n {
			break
		}
	}
	start := len(bytes.TrimSuffix(data, []byte("\n")))
	for ; n > 0 && start >= 0; n-- {
		start = bytes.LastIndexByte(data[:start], '\n')
	}
	if start < 0 && !whole { // the first line is cut
		start = bytes.IndexByte(data, '\n')
	}
	return data[start+1:], nil
}

// endOf reads the last bytes of a file, at most size, and tells whether they are
// all.
func endOf(f *os.File, size int) (data []byte, all bool, err error) {
	length, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, false, err
	}
	from := max(0, length-int64(size))
	data = make([]byte, length-from)
	read, err := f.ReadAt(data, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, err
	}
	return data[:read], from == 0, nil
}
