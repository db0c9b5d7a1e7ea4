package quickstart

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// lines prints one line for each change of state, with the time since the
// start. It is also the scheduler's log.
type lines struct {
	begun time.Time

	mu  sync.Mutex
	out io.Writer
}

func newLines(out io.Writer) *lines {
	return &lines{begun: time.Now(), out: out}
}

// print prints a line.
func (l *lines) print(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, "%8.3fs  %s\n", time.Since(l.begun).Seconds(), fmt.Sprintf(format, args...))
}

// close makes what is printed later disappear: how everything ends is not news.
func (l *lines) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out = io.Discard
}

// open prints to out what comes from now on.
func (l *lines) open(out io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out = out
}

// Handle implements slog.Handler: it prints what becomes of the nodes, and
// whatever is a warning.
func (l *lines) Handle(_ context.Context, r slog.Record) error {
	node := ""
	var rest strings.Builder
	r.Attrs(func(a slog.Attr) bool {
		switch value, _, _ := strings.Cut(a.Value.String(), "\n"); a.Key {
		case "node":
			node = value
		case "retry": // a time of day; the pause is seen
		default:
			fmt.Fprintf(&rest, "  %s=%s", a.Key, strings.TrimSuffix(value, "; last lines:"))
		}
		return true
	})
	if node == "" && r.Level < slog.LevelWarn {
		return nil
	}
	l.print("%s", strings.TrimSpace(node+"  "+r.Message+rest.String()))
	return nil
}

// Enabled implements slog.Handler.
func (l *lines) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// WithAttrs implements slog.Handler; the scheduler's log has no use for it.
func (l *lines) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements slog.Handler; the scheduler's log has no use for it.
func (l *lines) WithGroup(string) slog.Handler { return l }
