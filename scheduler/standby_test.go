package scheduler_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/internal/dist/disttest"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
	"github.com/mesokit/mesokit/scheduler/state"
	"github.com/mesokit/mesokit/scheduler/state/zookeeper"
)

// long is how long to wait where sessions have to expire on a busy machine.
const long = 2 * time.Minute

// TestRunEndsWithItsLead: the context's cause says that another leads.
func TestRunEndsWithItsLead(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	lead, end := context.WithCancelCause(t.Context())
	result := make(chan error, 1)
	go func() {
		result <- scheduler.Run(lead, scheduler.Config{
			Master: m.address(), Handler: scheduler.HandlerFunc(launchOne), Logger: quiet(),
			Framework: mesos.FrameworkInfo{Name: "test"},
		})
	}()
	m.subscribed()
	end(fmt.Errorf("the session has expired: %w", state.ErrFenced))
	err := <-result
	require.ErrorIs(t, err, scheduler.ErrFailedOver)
	require.ErrorContains(t, err, "the session has expired")
}

// TestRunSendsNothingWhenFenced: not even what needs no saving, a decline, nor
// another SUBSCRIBE.
func TestRunSendsNothingWhenFenced(t *testing.T) {
	t.Parallel()
	takeOver := func(t *testing.T, store *state.Memory) {
		_, err := store.Open().Load(t.Context())
		require.NoError(t, err)
	}
	// It wants offers and uses none.
	picky := scheduler.HandlerFunc(func(scheduler.View, scheduler.Event) []scheduler.Action {
		return []scheduler.Action{scheduler.Want{Offers: true}}
	})
	for _, c := range []struct {
		name    string
		provoke func(s *scriptedStream)
	}{
		{"decline", func(s *scriptedStream) { s.send(offersEvent(offer("o2", "a1"))) }},
		{"subscribe", func(s *scriptedStream) { s.cut("") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := newMaster(t)
			store := state.NewMemory()
			r := start(t, scheduler.Config{Master: m.address(), Handler: picky, Store: store})
			s := m.subscribed()
			s.send(offersEvent(offer("o1", "a1")))
			m.call(sched.Call_DECLINE)
			takeOver(t, store)
			c.provoke(s)
			require.ErrorIs(t, r.end(), scheduler.ErrFailedOver)
			assert.Empty(t, m.calls)
			assert.Empty(t, m.streams)
		})
	}
}

// contender is one of several processes with the same scheduler.
type contender struct {
	name  string
	cmd   *exec.Cmd
	front *httptest.Server // through which it reaches the master
	again io.Writer        // a line lets it stand by after it has failed over

	watched atomic.Bool // then it is the test that lets it stand by again
	fell    chan bool   // it has failed over while it was watched
}

// contest is what the contenders do at the master.
type contest struct {
	mu       sync.Mutex
	requests []request
	leaders  []string // who has subscribed, in order
}

type request struct {
	from      string
	subscribe bool
}

// see notes a request before it is passed on.
func (c *contest) see(from string, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	subscribe := r.Header.Get("Mesos-Stream-Id") == ""
	c.requests = append(c.requests, request{from, subscribe})
	if subscribe {
		c.leaders = append(c.leaders, from)
	}
}

func (c *contest) leader() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.leaders) == 0 {
		return ""
	}
	return c.leaders[len(c.leaders)-1]
}

// from counts the requests of a process.
func (c *contest) from(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, r := range c.requests {
		if r.from == name {
			n++
		}
	}
	return n
}

// waitQuiet waits until a process has nothing more to say: all that it had to
// acknowledge is acknowledged, and no agent repeats it.
func (c *contest) waitQuiet(t *testing.T, name string) {
	t.Helper()
	last, since := -1, time.Now()
	require.Eventually(t, func() bool {
		if n := c.from(name); n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) > 3*time.Second
	}, long, 50*time.Millisecond, "%s does not become quiet", name)
}

// contenderConfig is what a process is told, by a variable of its environment.
type contenderConfig struct {
	Store, Master string
	Places        int
	File, Command string
}

const contenderVariable = "MESOKIT_TEST_CONTENDER"

// contend is the process: it leads or stands by until it is told to stop.
func contend(t *testing.T, text string) {
	var c contenderConfig
	require.NoError(t, json.Unmarshal([]byte(text), &c))
	again := make(chan bool)
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			again <- true
		}
		os.Exit(1) // it does not outlive the test
	}()
	ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGTERM)
	defer stop()
	store, err := zookeeper.Open(zookeeper.Config{URL: c.Store, SessionTimeout: 4 * time.Second, Logger: quiet()})
	require.NoError(t, err)
	defer store.Close()
	for ctx.Err() == nil {
		lead, err := store.Lead(ctx)
		if ctx.Err() != nil {
			return
		}
		require.NoError(t, err)
		err = scheduler.Run(lead, scheduler.Config{
			Master: c.Master, Store: store, Logger: quiet(), Framework: mesos.FrameworkInfo{Name: "crew"},
			Handler: &crew{places: c.Places, file: c.File, command: c.Command},
		})
		if errors.Is(err, scheduler.ErrFailedOver) {
			fmt.Println("failed over")
			<-again
			continue
		}
		require.NoError(t, err)
	}
}

func (c *contest) start(t *testing.T, name string, cluster *mesostest.Cluster, config contenderConfig) *contender {
	t.Helper()
	target, err := url.Parse("http://" + cluster.Master())
	require.NoError(t, err)
	front := httptest.NewServer(&httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		c.see(name, r.In)
		r.SetURL(target)
	}, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)})
	t.Cleanup(front.Close)
	config.Master = front.URL + "/api/v1/scheduler"
	text, err := json.Marshal(config)
	require.NoError(t, err)
	p := &contender{name: name, front: front, fell: make(chan bool, 1)}
	p.cmd = exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	p.cmd.Env = append(os.Environ(), contenderVariable+"="+string(text))
	p.cmd.Stderr = os.Stderr
	p.again, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	var reading sync.WaitGroup
	reading.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			switch {
			case lines.Text() != "failed over":
			case p.watched.Load():
				p.fell <- true
			default:
				fmt.Fprintln(p.again) // fails if it was killed
			}
		}
	})
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		reading.Wait()
		_ = p.cmd.Wait()
		front.CloseClientConnections()
	})
	return p
}

// next waits for a leader other than the given.
func (c *contest) next(t *testing.T, all map[string]*contender, than ...string) *contender {
	t.Helper()
	require.Eventually(t, func() bool { l := c.leader(); return l != "" && !slices.Contains(than, l) }, long, 10*time.Millisecond, "a leader other than %q", than)
	return all[c.leader()]
}

// TestStandby has three processes of one scheduler, which elect their leader in
// a real ZooKeeper. The leader is stopped and goes on later, another is killed,
// ZooKeeper is restarted. One acts at a time; tasks are not disturbed; what
// happened to a task meanwhile is dealt with once.
func TestStandby(t *testing.T) {
	if config := os.Getenv(contenderVariable); config != "" {
		contend(t, config)
		return
	}
	t.Parallel()
	server := disttest.ZooKeeper(t, "maxSessionTimeout=20000")
	cluster := newCluster(t, 2)
	crew := newCrew(t, 4, "sleep 3600")
	config := contenderConfig{
		Store: "zk://crew:secret@" + server.Address + "/mesokit/crew", Places: crew.places, File: crew.file, Command: crew.command,
	}
	all, c := map[string]*contender{}, &contest{}
	for _, name := range []string{"a", "b", "c"} {
		all[name] = c.start(t, name, cluster, config)
	}
	waitRan(t, crew.file, "place-00.1", "place-01.1", "place-02.1", "place-03.1")

	// The leader is stopped, with nothing under way: what it decided as the leader
	// it may send. What it would act upon waits in its stream.
	stopped := c.next(t, all)
	c.waitQuiet(t, stopped.name)
	stopped.watched.Store(true)
	require.NoError(t, stopped.cmd.Process.Signal(syscall.SIGSTOP))
	killTask(t, cluster, "place-00.1")
	second := c.next(t, all, stopped.name)
	cluster.WaitTask(t, "place-00.2", mesos.TASK_RUNNING)
	before := c.from(stopped.name)
	require.NoError(t, stopped.cmd.Process.Signal(syscall.SIGCONT))
	select {
	case <-stopped.fell:
	case <-time.After(long):
		t.Fatal("the leader that was stopped does not fail over")
	}
	assert.Equal(t, before, c.from(stopped.name), "requests of the process that had lost the lead")
	stopped.watched.Store(false)
	fmt.Fprintln(stopped.again)

	// The second is killed.
	require.NoError(t, second.cmd.Process.Kill())
	c.next(t, all, second.name)
	killTask(t, cluster, "place-01.1")
	cluster.WaitTask(t, "place-01.2", mesos.TASK_RUNNING)

	// ZooKeeper is restarted. Whoever leads then goes on.
	server.Stop(t)
	killTask(t, cluster, "place-02.1")
	server.Start(t)
	cluster.WaitTask(t, "place-02.2", mesos.TASK_RUNNING)
	cluster.WaitRunning(t, 4)
	waitRan(t, crew.file, "place-00.1", "place-00.2", "place-01.1", "place-01.2", "place-02.1", "place-02.2", "place-03.1")
	t.Logf("the leaders: %v", c.leaders)
}

// waitRan waits until these tasks have run, each once and no other: a task is
// RUNNING before its command has written anything.
func waitRan(t *testing.T, file string, want ...string) {
	t.Helper()
	var ran []string
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(file)
		ran = slices.Sorted(strings.FieldsSeq(string(text)))
		return err == nil && len(ran) >= len(want)
	}, long, 10*time.Millisecond, "%q run", want)
	require.Equal(t, want, ran)
}

// killTask kills the command of a task, as the kernel may.
func killTask(t *testing.T, cluster *mesostest.Cluster, id string) {
	t.Helper()
	killed := false
	for _, agent := range cluster.Agents() {
		for _, p := range agent.Processes() {
			if p.TaskID == id {
				require.NoError(t, syscall.Kill(p.PID, syscall.SIGKILL))
				killed = true
			}
		}
	}
	require.True(t, killed, "%s runs on %s", id, filepath.Base(cluster.Dir()))
}
