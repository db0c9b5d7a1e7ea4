package executor

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// maxLine is the most of one line, in bytes, that is kept or matched. What goes
// to the sandbox is not cut.
const maxLine = 2048

const (
	// maxMessage bounds the message of an update, in bytes: it is kept by the
	// agent, the master and the scheduler.
	maxMessage = 8 << 10
	// lastLines comes before the last lines of the output in a message.
	lastLines = "; last lines:\n"
)

// output is where the standard output and error of a program come
// together: all of it passes on, the last lines are remembered, and each line
// may be watched.
type output struct {
	mu    sync.Mutex
	lines []string // the last ones, oldest first; at most keep
	keep  int
	watch func(line string) // nil: nobody; called with mu held
}

// watchLines sets who sees each line from now on.
func (o *output) watchLines(watch func(line string)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.watch = watch
}

func (o *output) add(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.watch != nil {
		o.watch(line)
	}
	if o.keep == 0 {
		return
	}
	if len(o.lines) == o.keep {
		copy(o.lines, o.lines[1:])
		o.lines = o.lines[:o.keep-1]
	}
	o.lines = append(o.lines, line)
}

// tail returns the last lines, oldest first, as many as fit into limit bytes.
func (o *output) tail(limit int) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	first := len(o.lines)
	for first > 0 && limit > len(o.lines[first-1]) {
		first--
		limit -= len(o.lines[first]) + 1
	}
	return strings.Join(o.lines[first:], "\n")
}

// after is a message with the last lines, as many as there is room for.
func (o *output) after(message string) string {
	message = message[:min(len(message), maxMessage/2)]
	if tail := o.tail(maxMessage - len(message) - len(lastLines)); tail != "" {
		message += lastLines + tail
	}
	return message
}

// stream returns a writer for one of the streams of a process; it passes
// everything on to next. A line is taken when it ends or the stream is flushed.
func (o *output) stream(next io.Writer) *stream { return &stream{output: o, next: next} }

// stream is one stream of one process. It is written to by one goroutine.
type stream struct {
	output  *output
	next    io.Writer
	partial []byte // a line that has not ended; at most maxLine bytes of it
}

// Write never fails: a process must not stop because its output can no longer
// be stored, for instance on a full disk.
func (s *stream) Write(p []byte) (int, error) {
	_, _ = s.next.Write(p)
	for rest := p; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte("\n"))
		room := max(0, maxLine-len(s.partial))
		s.partial = append(s.partial, line[:min(len(line), room)]...)
		if ended {
			s.flush()
		}
		rest = after
	}
	return len(p), nil
}

// flush ends the current line.
func (s *stream) flush() {
	s.output.add(strings.ToValidUTF8(strings.TrimRight(string(s.partial), "\r"), "\uFFFD"))
	s.partial = s.partial[:0]
}

// close takes a last line that did not end.
func (s *stream) close() {
	if len(s.partial) > 0 {
		s.flush()
	}
}
