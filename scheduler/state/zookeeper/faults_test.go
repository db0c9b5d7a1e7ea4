package zookeeper_test

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler/state"
	"github.com/mesokit/mesokit/scheduler/state/zookeeper"
)

// testLostAnswers loses each write of a history with its connection, once
// before the server has it and once after: nothing is done twice, and nobody
// notices.
func testLostAnswers(t *testing.T, p place) {
	const enough = 20 // more writes than the history has
	for _, loss := range []fate{lost, unanswered} {
		for n := range enough {
			t.Run(fmt.Sprintf("%d-%d", loss, n), func(t *testing.T) {
				t.Parallel()
				if met := loseWrite(t, place{p.server, p.path + "/" + path.Base(t.Name())}, n, loss); met != (n < 15) {
					t.Errorf("there is a write %d: %v", n, met)
				}
			})
		}
	}
}

// loseWrite reports whether the history has a write n.
func loseWrite(t *testing.T, p place, n int, loss fate) (done bool) {
	load(t, p.open(t)) // makes the nodes
	s, connection := p.behind(t)
	connection.intercept(func(op int32, _ []byte) fate {
		if op == opMulti && !done {
			if n == 0 {
				done = true
				return loss
			}
			n--
		}
		return delivered
	})
	s.SetLeast(30_000)
	s.SetPart(10_000)
	load(t, s)
	big := record("big", strings.Repeat("b", 25_000))
	save(t, s, record("a", "0"))
	save(t, s, big)
	for i := range 3 {
		save(t, s, record("a", fmt.Sprint(i)))
	}
	save(t, s)
	records, err := s.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, []state.Record{record("a", "2"), big}, records)
	load(t, p.open(t), record("a", "2"), big)
	connection.intercept(nil) // no one reads done any more
	return done
}

// hung opens a writer whose next save never gets an answer, carried out or not.
func hung(t *testing.T, p place, loss fate) (s *zookeeper.Store, connection *proxy, saved <-chan error, cancel func()) {
	s, connection = p.behind(t)
	load(t, s)
	save(t, s, record("a", "1"))
	cut := make(chan struct{})
	var once sync.Once
	connection.intercept(func(op int32, _ []byte) fate {
		if op != opMulti {
			return delivered
		}
		connection.cut = true // whoever asks holds the lock
		once.Do(func() { close(cut) })
		return loss
	})
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	result := make(chan error, 1)
	go func() { result <- s.Save(ctx, []state.Record{record("a", "2")}) }()
	<-cut
	connection.intercept(nil)
	return s, connection, result, cancel
}

func testUnknownOutcome(t *testing.T, p place) {
	for name, loss := range map[string]fate{"1": lost, "2": unanswered} {
		at := place{p.server, p.path + "/" + name}
		s, connection, saved, cancel := hung(t, at, loss)
		cancel()
		require.ErrorIs(t, <-saved, context.Canceled)
		connection.setCut(false)
		require.ErrorContains(t, s.Save(t.Context(), []state.Record{record("b", "1")}), "an earlier save failed, load again")
		load(t, s, record("a", name))
		save(t, s, record("a", "3"))
	}
}

// testUnknownAndFenced: another writer comes while a save waits for its
// connection. If the batch was saved, ErrFenced would be a lie.
func testUnknownAndFenced(t *testing.T, p place) {
	for name, loss := range map[string]fate{"1": lost, "2": unanswered} {
		at := place{p.server, p.path + "/" + name}
		s, connection, saved, _ := hung(t, at, loss)
		load(t, at.open(t), record("a", name))
		connection.setCut(false)
		err := <-saved
		if loss == lost {
			require.ErrorIs(t, err, state.ErrFenced)
		} else {
			require.ErrorContains(t, err, "another writer has loaded the state, and an attempt before that had no answer")
			require.NotErrorIs(t, err, state.ErrFenced)
		}
		fenced(t, s, record("a", "3"))
	}
}

// testLeftOvers: what a crash leaves of a large batch is removed.
func testLeftOvers(t *testing.T, p place) {
	s, connection := p.behind(t)
	s.SetPart(10_000)
	load(t, s)
	writes := 0
	ctx, cancel := context.WithCancel(t.Context())
	connection.intercept(func(op int32, _ []byte) fate {
		if op == opMulti {
			if writes++; writes == 3 {
				cancel()
				return lost
			}
		}
		return delivered
	})
	big := record("big", strings.Repeat("b", 35_000))
	require.ErrorIs(t, s.Save(ctx, []state.Record{big}), context.Canceled)
	connection.intercept(nil)
	conn := p.conn(t)
	pieces, _, err := conn.Children(p.path + "/parts")
	require.NoError(t, err)
	require.Len(t, pieces, 2)
	save(t, s, big) // nothing of it was saved, so it may be tried again

	load(t, p.open(t), big)
	pieces, _, err = conn.Children(p.path + "/parts")
	require.NoError(t, err)
	assert.Len(t, pieces, 4)
}

// testCompacts saves one record many times.
func testCompacts(t *testing.T, p place) {
	s := p.open(t)
	s.SetLeast(200_000)
	load(t, s)
	save(t, s, record("kept", "from the beginning"))
	conn := p.conn(t)
	largest := 0
	for i := range 200 {
		save(t, s, record("a", fmt.Sprint(i)))
		names, _, err := conn.Children(p.path + "/log")
		require.NoError(t, err)
		largest = max(largest, len(names))
	}
	assert.Less(t, largest, 60)
	assert.Greater(t, largest, 30)
	pieces, _, err := conn.Children(p.path + "/parts")
	require.NoError(t, err)
	assert.Len(t, pieces, 1, "one snapshot")
	load(t, p.open(t), record("a", "199"), record("kept", "from the beginning"))
}

func testDamage(t *testing.T, p place) {
	conn := p.conn(t)
	for i, c := range []struct {
		name   string
		damage func(t *testing.T, path string)
		want   string
	}{
		{"batch changed", func(t *testing.T, path string) {
			node := path + "/log/" + fmt.Sprintf("%020d", 2)
			data, _, err := conn.Get(node)
			require.NoError(t, err)
			data[len(data)-1] ^= 1
			_, err = conn.Set(node, data, -1)
			require.NoError(t, err)
		}, "/log/00000000000000000002 is damaged at offset 0: the batch does not match its check"},
		{"batch missing", func(t *testing.T, path string) {
			require.NoError(t, conn.Delete(path+"/log/"+fmt.Sprintf("%020d", 2), -1))
		}, "is damaged at offset 0: batch 2 is missing before it"},
		{"part missing", func(t *testing.T, path string) {
			require.NoError(t, conn.Delete(path+"/parts/1-1-1", -1))
		}, "/header is damaged at offset 0: "},
		{"part changed", func(t *testing.T, path string) {
			_, err := conn.Set(path+"/parts/1-1-1", []byte("x"), -1)
			require.NoError(t, err)
		}, "/parts/1-1-0 is damaged at offset 0: the parts do not match their check"},
		{"header of something else", func(t *testing.T, path string) {
			_, err := conn.Set(path+"/header", []byte("{}"), -1)
			require.NoError(t, err)
		}, "/header: this is no header of a state"},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := place{p.server, fmt.Sprintf("%s/%d", p.path, i)}
			s := at.open(t)
			s.SetPart(10_000)
			load(t, s)
			save(t, s, record("big", strings.Repeat("b", 15_000)))
			save(t, s, record("a", "1"))
			save(t, s, record("b", "1"))
			c.damage(t, at.path)
			before := dump(t, conn, at.path)
			next := at.open(t)
			_, err := next.Load(t.Context())
			require.ErrorContains(t, err, c.want)
			fenced(t, next, record("a", "2"))
			_, err = next.Read(t.Context())
			if c.name != "batch missing" { // which only a writer can tell from the end
				require.ErrorContains(t, err, c.want)
			}
			assert.Equal(t, before, dump(t, conn, at.path), "nodes")
		})
	}
}

// dump lists what is there besides the header, which each Load changes.
func dump(t *testing.T, conn *zk.Conn, path string) []string {
	var all []string
	for _, dir := range []string{"/log", "/parts"} {
		names, _, err := conn.Children(path + dir)
		require.NoError(t, err)
		for _, name := range names {
			data, _, err := conn.Get(path + dir + "/" + name)
			require.NoError(t, err)
			all = append(all, fmt.Sprintf("%s %d", name, len(data)))
		}
	}
	slices.Sort(all)
	return all
}

func testNewerLayout(t *testing.T, p place) {
	s := p.open(t)
	load(t, s)
	_, err := p.conn(t).Set(p.path+"/header", []byte(`{"layout":2,"epoch":1,"first":1}`), -1)
	require.NoError(t, err)
	fenced(t, s)
	const want = "the state has layout 2, this program knows up to 1: it was written by a newer release; run that one"
	_, err = s.Load(t.Context())
	require.ErrorContains(t, err, want)
	_, err = s.Lead(t.Context())
	require.ErrorContains(t, err, want)
	_, err = s.Read(t.Context())
	require.ErrorContains(t, err, want)
}

func testStrangers(t *testing.T, p place) {
	s := p.open(t)
	load(t, s)
	save(t, s, record("password", "hunter2"))
	for _, user := range []string{"", "me:wrong@", "other:secret@"} {
		config := p.config(p.server)
		config.URL = "zk://" + user + p.server + p.path
		stranger := opened(t, config)
		const want = "is closed to this user: give the user and password with which it was made"
		_, err := stranger.Load(t.Context())
		require.ErrorContains(t, err, want)
		_, err = stranger.Read(t.Context())
		require.ErrorContains(t, err, want)
		_, err = stranger.Lead(t.Context())
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "secret")
	}
	save(t, s, record("password", "hunter3"))

	// What was open to all does not become secret by a user in the URL.
	config := p.config(p.server)
	config.URL = "zk://" + p.server + p.path + "-open"
	load(t, opened(t, config))
	config.URL = "zk://me:secret@" + p.server + p.path + "-open"
	_, err := opened(t, config).Load(t.Context())
	require.ErrorContains(t, err, "was made for others than this user")
}

func testRead(t *testing.T, p place) {
	reader := p.open(t)
	_, err := reader.Read(t.Context())
	require.ErrorIs(t, err, fs.ErrNotExist)
	s := p.open(t)
	load(t, s)
	save(t, s, record("b", "1"), record("a", "1"))
	records, err := reader.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, []state.Record{record("a", "1"), record("b", "1")}, records)
	save(t, s, record("a", "2")) // it is the writer still
}

func testClosed(t *testing.T, p place) {
	s := p.open(t)
	ctx := lead(t, s)
	load(t, s)
	for range 2 {
		require.NoError(t, s.Close())
	}
	require.ErrorIs(t, context.Cause(ctx), context.Canceled)
	_, err := s.Load(t.Context())
	require.ErrorIs(t, err, fs.ErrClosed)
	_, err = s.Lead(t.Context())
	require.ErrorIs(t, err, fs.ErrClosed)
	require.ErrorIs(t, s.Save(t.Context(), nil), fs.ErrClosed)
}
