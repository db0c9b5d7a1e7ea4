package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/cli/clitest"
	"github.com/mesokit/mesokit/frameworks/hdfs/hdfstest"
)

// fileSize is a little more than a block of 1 MiB for every tenth file.
func fileSize(i int) int {
	if i%10 == 0 {
		return 1<<20 + 4711
	}
	return 20_000 + i
}

// writer writes file after file for as long as the test lasts.
type writer struct {
	files *hdfstest.Files
	stop  context.CancelFunc
	wait  sync.WaitGroup

	mu           sync.Mutex
	acknowledged int // the files from 0 on
}

// newWriter begins to write; end ends it.
func newWriter(api frameworks.Client) *writer {
	ctx, stop := context.WithCancel(context.Background())
	w := &writer{files: hdfstest.New(api), stop: stop}
	w.wait.Go(func() { w.write(ctx) })
	return w
}

func (w *writer) write(ctx context.Context) {
	pace := time.NewTicker(200 * time.Millisecond)
	defer pace.Stop()
	for i := 0; ctx.Err() == nil; i++ {
		<-pace.C
		if w.files.Write(ctx, i, hdfstest.Content(i, fileSize(i))) != nil {
			return // the context has ended
		}
		w.mu.Lock()
		w.acknowledged = i + 1
		w.mu.Unlock()
	}
}

func (w *writer) halt() {
	w.stop()
	w.wait.Wait()
}

func (w *writer) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.acknowledged
}

// more waits until n more files are acknowledged.
func (w *writer) more(t *testing.T, n int) {
	t.Helper()
	from := w.count()
	require.Eventually(t, func() bool { return w.count() >= from+n }, clitest.Patience, 20*time.Millisecond, "no files are acknowledged")
	errors, stall, last := w.files.Trouble()
	t.Logf("%d files acknowledged; so far %d errors of the client, the last %v; the longest write took %v", w.count(), errors, last, stall.Round(time.Millisecond))
}

// end stops writing, and reads everything back.
func (w *writer) end(t *testing.T) {
	w.halt()
	for i := range w.count() {
		ctx, cancel := context.WithTimeout(t.Context(), clitest.Patience)
		require.NoError(t, w.files.Read(ctx, i, hdfstest.Content(i, fileSize(i))), "file %d of %d", i, w.count())
		cancel()
	}
	w.files.Close()
	t.Logf("%d files acknowledged, and read back with their checksums", w.count())
}

// get asks a server by HTTP.
func get(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(text)
}

// replicated waits until every block has as many replicas as it is to have. A name
// node that has just become active says so before it has looked at them, for which it
// has a thread.
func (s *saga) replicated(t *testing.T, active frameworks.NodeStatus) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		var answer struct {
			Beans []struct{ MissingBlocks, CorruptBlocks, UnderReplicatedBlocks int }
		}
		threads := get(t, "http://"+active.Address("http")+"/stacks")
		assert.Contains(c, threads, "NameNodeEditLogRoller")
		assert.NotContains(c, threads, "Reconstruction Queue Initializer")
		text := get(t, "http://"+active.Address("http")+"/jmx?qry=Hadoop:service=NameNode,name=FSNamesystem")
		if !assert.NoError(c, json.Unmarshal([]byte(text), &answer)) || !assert.Len(c, answer.Beans, 1) {
			return
		}
		assert.Zero(c, answer.Beans[0].MissingBlocks)
		assert.Zero(c, answer.Beans[0].CorruptBlocks)
		assert.Zero(c, answer.Beans[0].UnderReplicatedBlocks)
	}, clitest.Patience, 500*time.Millisecond)
}

// healthy has the active name node check every file and block.
func healthy(t *testing.T, http string) {
	t.Helper()
	report := get(t, fmt.Sprintf("http://%s/fsck?ugi=root&path=/", http))
	assert.Contains(t, report, "The filesystem under path '/' is HEALTHY", "%s", report[max(0, len(report)-2000):])
	assert.NotContains(t, strings.ToLower(report), "missing blocks:\t1")
}

// volume is the id of a node's volume, less what differs between deployments.
func volume(n frameworks.NodeStatus) string {
	return fmt.Sprintf("hdfs.%s.%d.volume", n.Name, n.Generation)
}
