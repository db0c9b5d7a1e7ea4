package executor

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Tail is the body of the request "tail": the last lines of what the servers of
// the executor have written. The answer is text.
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

// A RequestFunc carries out a request of the scheduler while the server runs,
// such as a thread dump. It ends early, with an error, when ctx does. What it
// returns becomes the answer as JSON, except []byte, which is sent as it is.
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
	log := s.server.lines.stream(s.stdout)
	defer log.close()
	var answer any
	err := protect(func() (err error) {
		answer, err = f(ctx, s.sandbox(log), r.Body)
		return err
	})
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
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
	f, err := os.Open(filepath.Join(s.Dir, t.File))
	if err != nil {
		return nil, fmt.Errorf("tail: %w", err)
	}
	last, err := linesAtEnd(f, cmp.Or(max(t.Lines, 0), defaultTailLines))
	return last, errors.Join(err, f.Close())
}

// linesAtEnd returns the last n lines of f, fewer if they have more than maxTail
// bytes.
func linesAtEnd(f *os.File, n int) ([]byte, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	from := max(0, size-maxTail-1) // one more, to see whether a line begins there
	data := make([]byte, size-from)
	read, err := f.ReadAt(data, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	data = data[:read]
	start := len(bytes.TrimSuffix(data, []byte("\n")))
	for ; n > 0 && start >= 0; n-- {
		start = bytes.LastIndexByte(data[:start], '\n')
	}
	if start < 0 && from > 0 { // the first line is cut
		start = bytes.IndexByte(data, '\n')
	}
	return data[start+1:], nil
}
