package scheduler_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler"
)

// noter notes every command, and answers it.
func noter(_ scheduler.View, ev scheduler.Event) []scheduler.Action {
	if c, ok := ev.(scheduler.Command); ok {
		return []scheduler.Action{
			scheduler.Note{Text: "noted", Attrs: []slog.Attr{
				slog.Any("command", c.Value), slog.Int("n", 7), slog.Duration("took", time.Second), slog.Group("of", slog.Bool("it", true)),
			}},
			scheduler.Answer{Command: c.ID},
		}
	}
	return nil
}

// journaled runs a scheduler whose journal keeps so many entries, and returns
// what makes one more.
func journaled(t *testing.T, journal *scheduler.Journal) (note func(text string)) {
	box := &scheduler.Mailbox{}
	m := newMaster(t)
	start(t, scheduler.Config{Master: m.address(), Mailbox: box, Journal: journal, Handler: scheduler.HandlerFunc(noter)})
	m.subscribed()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for e := range journal.Follow(ctx, 0) {
		if e.Text == "subscribed" { // from here on all entries are of commands
			break
		}
	}
	require.NoError(t, ctx.Err())
	return func(text string) {
		t.Helper()
		_, err := box.Send(t.Context(), text)
		require.NoError(t, err)
	}
}

func TestJournalFollows(t *testing.T) {
	t.Parallel()
	journal := &scheduler.Journal{}
	note := journaled(t, journal)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	wanted, seen := []string{"subscribed", "a", "b"}, uint64(0)
	for e := range journal.Follow(ctx, 0) {
		require.Equal(t, seen+1, e.Number, "none is missing")
		seen = e.Number
		if text := e.Text + fmt.Sprint(e.Attrs); strings.Contains(text, wanted[0]) {
			if wanted = wanted[1:]; len(wanted) == 0 {
				break
			}
			note(wanted[0])
		}
	}
	require.Empty(t, wanted)
	assert.Empty(t, journal.Entries(seen))
	assert.Len(t, journal.Entries(seen-1), 1)
	assert.Len(t, journal.Entries(seen+1000), int(seen), "a number of an earlier process")
}

func TestJournalIsBounded(t *testing.T) {
	t.Parallel()
	journal := &scheduler.Journal{Size: 5}
	note := journaled(t, journal)
	for i := range 20 {
		note(fmt.Sprint("note ", i))
	}
	require.Eventually(t, func() bool { // the answer comes before the line
		return strings.Contains(fmt.Sprint(journal.Entries(0)), "note 19")
	}, patience, time.Millisecond)
	entries := journal.Entries(0)
	require.Len(t, entries, 5)
	for i, e := range entries {
		assert.Equal(t, entries[0].Number+uint64(i), e.Number)
	}
}

func TestJournalServesALineForEach(t *testing.T) {
	t.Parallel()
	journal := &scheduler.Journal{}
	note := journaled(t, journal)
	server := httptest.NewServer(journal)
	t.Cleanup(server.Close)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"?after=0", nil)
	require.NoError(t, err)
	reply, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer reply.Body.Close()
	note("hello")
	lines := bufio.NewScanner(reply.Body)
	type line struct {
		Number uint64
		Text   string
		Attrs  map[string]any
	}
	var entry line
	for entry.Text != "noted" {
		require.True(t, lines.Scan(), "the stream goes on: %v", lines.Err())
		entry = line{}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &entry))
	}
	assert.Equal(t, map[string]any{"command": "hello", "n": 7.0, "took": "1s", "of": map[string]any{"it": true}}, entry.Attrs)

	get := func(query string) (int, string) {
		w := httptest.NewRecorder()
		journal.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/journal?"+query, nil))
		return w.Code, w.Body.String()
	}
	code, body := get(fmt.Sprintf("follow=false&after=%d", entry.Number-1))
	assert.Equal(t, 200, code)
	assert.Equal(t, 1, strings.Count(body, "\n"))
	for query, want := range map[string]string{"after=x": "after", "follow=perhaps": "follow"} {
		code, body := get(query)
		assert.Equal(t, http.StatusBadRequest, code)
		assert.Contains(t, body, want)
	}
}

// TestJournalIsBesideTheLog holds that a logger which drops lines does not keep
// them from the journal, and gets what it wants.
func TestJournalIsBesideTheLog(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	journal := &scheduler.Journal{}
	log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelWarn}))
	m := newMaster(t)
	m.replies(func(_ *http.Request, call *sched.Call) (int, string, string) {
		if call.Type == sched.Call_ACCEPT {
			return http.StatusBadRequest, "no such offer", ""
		}
		return 0, "", ""
	})
	r := start(t, scheduler.Config{Master: m.address(), Logger: log, Journal: journal, Handler: scheduler.HandlerFunc(launchOne)})
	m.subscribed().send(offersEvent(offer("o1", "a1")))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	said := map[string]bool{}
	for e := range journal.Follow(ctx, 0) {
		if said[e.Text] = true; said["subscribed"] && said["task launched"] && said["call failed"] {
			break
		}
	}
	require.NoError(t, ctx.Err(), "it has only %v", said)
	r.cancel()
	require.NoError(t, r.end())
	assert.Contains(t, text.String(), "no such offer")
	assert.NotContains(t, text.String(), "subscribed")
}
