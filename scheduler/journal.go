package scheduler

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// journalSize is how many entries a journal keeps by default.
const journalSize = 10_000

// Journal keeps the last lines that Run logged at level Info and above: every
// change of state, each with a number. The zero value is ready: put its address
// into Config.Journal. Several goroutines may read it at once.
type Journal struct {
	// Size is how many entries are kept; those before are gone. Zero: 10,000. It
	// is set before the first use.
	Size int

	mu      sync.Mutex
	entries []Entry // a ring once it is full
	last    uint64  // the number of the newest entry
	added   chan struct{}
}

// Entry is one line of a journal.
type Entry struct {
	Number uint64 // from 1 on in each process, without a gap
	Time   time.Time
	Text   string
	Attrs  []slog.Attr
}

// MarshalJSON writes {"number":…,"time":…,"text":…,"attrs":{…}}.
func (e Entry) MarshalJSON() ([]byte, error) {
	attrs := map[string]any{}
	for _, a := range e.Attrs {
		attrs[a.Key] = plain(a.Value)
	}
	return json.Marshal(struct {
		Number uint64         `json:"number"`
		Time   time.Time      `json:"time"`
		Text   string         `json:"text"`
		Attrs  map[string]any `json:"attrs,omitempty"`
	}{e.Number, e.Time, e.Text, attrs})
}

// plain is what a value is in JSON.
func plain(v slog.Value) any {
	switch v = v.Resolve(); v.Kind() {
	case slog.KindGroup:
		group := map[string]any{}
		for _, a := range v.Group() {
			group[a.Key] = plain(a.Value)
		}
		return group
	case slog.KindBool, slog.KindInt64, slog.KindUint64, slog.KindTime:
		return v.Any()
	}
	return v.String()
}

// Follow returns the entries after a number and then waits for more, until ctx
// ends. Who is too slow misses some, which shows as a gap in the numbers. A
// number that the journal has not reached is one of an earlier process: then all
// entries are returned.
func (j *Journal) Follow(ctx context.Context, after uint64) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for {
			entries, added := j.since(after)
			for _, e := range entries {
				if ctx.Err() != nil || !yield(e) {
					return
				}
				after = e.Number
			}
			if len(entries) > 0 {
				continue
			}
			select {
			case <-added:
			case <-ctx.Done():
				return
			}
		}
	}
}

// Entries are the entries after a number that the journal has now; as Follow.
func (j *Journal) Entries(after uint64) []Entry {
	entries, _ := j.since(after)
	return entries
}

// since also returns a channel that is closed when there is more.
func (j *Journal) since(after uint64) ([]Entry, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.added == nil {
		j.added = make(chan struct{})
	}
	if after > j.last {
		after = 0
	}
	n := min(uint64(len(j.entries)), j.last-after)
	entries := make([]Entry, 0, n)
	for number := j.last - n + 1; number <= j.last; number++ {
		entries = append(entries, j.entries[(number-1)%uint64(j.size())])
	}
	return entries, j.added
}

func (j *Journal) size() int { return cmp.Or(j.Size, journalSize) }

func (j *Journal) add(e Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last++
	e.Number = j.last
	if len(j.entries) < j.size() {
		j.entries = append(j.entries, e)
	} else {
		j.entries[(e.Number-1)%uint64(j.size())] = e
	}
	if j.added != nil {
		close(j.added)
		j.added = nil
	}
}

// ServeHTTP writes entries as JSON, one a line, and goes on with new ones as
// long as the client listens: GET /journal?after=<number>. With follow=false it
// ends with what there is.
func (j *Journal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseUint(cmp.Or(r.FormValue("after"), "0"), 10, 64)
	if err != nil {
		http.Error(w, fmt.Sprintf("after is %q: want the number of an entry", r.FormValue("after")), http.StatusBadRequest)
		return
	}
	follow, err := strconv.ParseBool(cmp.Or(r.FormValue("follow"), "true"))
	if err != nil {
		http.Error(w, fmt.Sprintf("follow is %q: want true or false", r.FormValue("follow")), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	entries := slices.Values(j.Entries(after))
	if follow {
		entries = j.Follow(r.Context(), after)
		_ = http.NewResponseController(w).Flush() // the header; a client that is gone shows below
	}
	lines := json.NewEncoder(w)
	for e := range entries {
		if lines.Encode(e) != nil {
			return // the client has gone
		}
		if follow {
			_ = http.NewResponseController(w).Flush()
		}
	}
}

// journaling is a log handler that writes to a journal what it hands on.
type journaling struct {
	slog.Handler
	journal *Journal
	attrs   []slog.Attr // of With
}

func (h journaling) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || h.Handler.Enabled(ctx, level)
}

func (h journaling) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo {
		e := Entry{Time: r.Time, Text: r.Message, Attrs: slices.Clone(h.attrs)}
		r.Attrs(func(a slog.Attr) bool {
			e.Attrs = append(e.Attrs, a)
			return true
		})
		h.journal.add(e)
	}
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h journaling) WithAttrs(attrs []slog.Attr) slog.Handler {
	return journaling{h.Handler.WithAttrs(attrs), h.journal, slices.Concat(h.attrs, attrs)}
}

// WithGroup leaves the journal without the group: nothing here makes one.
func (h journaling) WithGroup(name string) slog.Handler {
	return journaling{h.Handler.WithGroup(name), h.journal, h.attrs}
}
