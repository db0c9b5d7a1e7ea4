package scheduler_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
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
	name string
	cmd  *exec.Cmd

	mu    sync.Mutex
	again io.Writer // a line lets it stand by after it has failed over
	held  bool      // then it is the test that lets it stand by again
	waits bool      // it was held when it failed over
}

// hold keeps the process from standing by again once it has failed over.
func (p *contender) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = true
}

// stop returns when all threads of the process have stopped: the signal alone
// leaves it time to act.
func (p *contender) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGSTOP))
	var status syscall.WaitStatus
	for !status.Stopped() {
		_, err := syscall.Wait4(p.cmd.Process.Pid, &status, syscall.WUNTRACED, nil)
		if err != syscall.EINTR {
			require.NoError(t, err)
		}
	}
}

// release undoes hold.
func (p *contender) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waits {
		fmt.Fprintln(p.again) // fails if it was killed
	}
	p.held, p.waits = false, false
}

// fell is called when the process has failed over.
func (p *contender) fell() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held {
		p.waits = true
		return
	}
	fmt.Fprintln(p.again) // fails if it was killed
}

func (p *contender) waiting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waits
}

// contest is what the contenders say to the master.
type contest struct {
	all map[string]*contender

	mu      sync.Mutex
	calls   map[string][]*sched.Call   // by who made them, in order
	acks    map[string]map[string]bool // the uuids that were acknowledged, by task
	leaders []string                   // who has subscribed, in order; empty: that one has failed over
}

func newContest() *contest {
	return &contest{all: map[string]*contender{}, calls: map[string][]*sched.Call{}, acks: map[string]map[string]bool{}}
}

// see notes a call before it is passed on.
func (c *contest) see(from string, body []byte) {
	call := &sched.Call{}
	if call.Unmarshal(body) != nil {
		return // cut off with its process
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[from] = append(c.calls[from], call)
	switch call.Type {
	case sched.Call_SUBSCRIBE:
		c.leaders = append(c.leaders, from)
	case sched.Call_ACKNOWLEDGE:
		id := call.Acknowledge.TaskID.Value
		if c.acks[id] == nil {
			c.acks[id] = map[string]bool{}
		}
		c.acks[id][string(call.Acknowledge.UUID)] = true
	}
}

// fell notes that a process has failed over, before it can stand by again.
func (c *contest) fell(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.leaders); n > 0 && c.leaders[n-1] == name {
		c.leaders = append(c.leaders, "")
	}
}

// leader is who subscribed last; empty: that one has failed over since.
func (c *contest) leader() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.leaders) == 0 {
		return ""
	}
	return c.leaders[len(c.leaders)-1]
}

// from returns the calls of a process.
func (c *contest) from(name string) []*sched.Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.calls[name])
}

// acknowledged returns the uuids of a task that were acknowledged, by anyone.
func (c *contest) acknowledged(task string) map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.acks[task])
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

func (c *contest) start(t *testing.T, name string, cluster *mesostest.Cluster, config contenderConfig) {
	t.Helper()
	target, err := url.Parse("http://" + cluster.Master())
	require.NoError(t, err)
	front := httptest.NewServer(&httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		body, _ := io.ReadAll(r.Out.Body) // fails when the process is killed
		r.Out.Body = io.NopCloser(bytes.NewReader(body))
		c.see(name, body)
		r.SetURL(target)
	}, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)})
	t.Cleanup(front.Close)
	config.Master = front.URL + "/api/v1/scheduler"
	text, err := json.Marshal(config)
	require.NoError(t, err)
	p := &contender{name: name}
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
			if lines.Text() == "failed over" {
				c.fell(name)
				p.fell()
			}
		}
	})
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		reading.Wait()
		_ = p.cmd.Wait()
		front.CloseClientConnections()
	})
	c.all[name] = p
}

// next waits for a leader, other than these.
func (c *contest) next(t *testing.T, than ...string) *contender {
	t.Helper()
	var leader string
	require.Eventually(t, func() bool {
		leader = c.leader()
		return leader != "" && !slices.Contains(than, leader)
	}, long, 10*time.Millisecond, "a leader other than %q", than)
	return c.all[leader]
}

// holdLeader returns the leader, which will not stand by again by itself.
func (c *contest) holdLeader(t *testing.T) *contender {
	t.Helper()
	for {
		p := c.next(t)
		p.hold()
		if c.leader() == p.name {
			return p
		}
		p.release() // it has failed over meanwhile, for want of processor time
	}
}

// TestStandby has three processes of one scheduler, which elect their leader in
// a real ZooKeeper. The leader is stopped and goes on later, another is killed,
// ZooKeeper is restarted. One acts at a time; tasks are not disturbed; what
// happened to a task meanwhile is dealt with once. On a busy machine the lead
// may change at other times too, and a task that was decided on then may never
// be launched: which task a place has is looked up.
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
	c := newContest()
	for _, name := range []string{"a", "b", "c"} {
		c.start(t, name, cluster, config)
	}
	for place := range crew.places {
		c.settled(t, cluster, crew, place)
	}

	stopped := c.stopLeader(t, cluster, crew)

	// The next is killed.
	second := c.next(t, stopped.name)
	require.NoError(t, second.cmd.Process.Kill())
	c.next(t, second.name)
	victim := c.settled(t, cluster, crew, 1)
	killTask(t, cluster, victim)
	c.settled(t, cluster, crew, 1, victim)

	// ZooKeeper is restarted. Whoever leads then goes on.
	victim = c.settled(t, cluster, crew, 2)
	server.Stop(t)
	killTask(t, cluster, victim)
	server.Start(t)
	c.settled(t, cluster, crew, 2, victim)
	for place := range crew.places {
		c.settled(t, cluster, crew, place)
	}
	cluster.WaitRunning(t, 4)
	all, ran := crew.ran(t), map[string]int{}
	for _, id := range all {
		place, _, _ := strings.Cut(id, ".")
		ran[place]++
	}
	assert.Equal(t, map[string]int{"place-00": 2, "place-01": 2, "place-02": 2, "place-03": 1}, ran, "a task ran again that had not ended")
	c.mu.Lock()
	defer c.mu.Unlock()
	t.Logf("the leaders: %q, the tasks: %q", c.leaders, all)
}

// stopLeader stops the leader until another has replaced a task. What the first
// would act upon waits in its stream: of that it may say nothing when it goes
// on. Calls that it decided on and saved as the leader may leave late. They go
// to the stream that the master has closed.
func (c *contest) stopLeader(t *testing.T, cluster *mesostest.Cluster, crew *crew) *contender {
	t.Helper()
	victim := c.settled(t, cluster, crew, 0)
	stopped := c.holdLeader(t)
	stopped.stop(t)
	known, before := c.acknowledged(victim), len(c.from(stopped.name))
	killTask(t, cluster, victim)
	c.next(t, stopped.name)
	c.settled(t, cluster, crew, 0, victim)
	require.NoError(t, stopped.cmd.Process.Signal(syscall.SIGCONT))
	require.Eventually(t, stopped.waiting, long, 10*time.Millisecond, "the leader that was stopped does not fail over")
	for _, call := range c.from(stopped.name)[before:] {
		switch call.Type {
		case sched.Call_RECONCILE, sched.Call_SUPPRESS, sched.Call_DECLINE:
		case sched.Call_ACKNOWLEDGE:
			if ack := call.Acknowledge; ack.TaskID.Value == victim {
				assert.Contains(t, known, string(ack.UUID), "%s acknowledged the end of %s without the lead", stopped.name, victim)
			}
		default:
			assert.Fail(t, "a call without the lead", "%s: %v", stopped.name, call)
		}
	}
	stopped.release()
	return stopped
}

// settled waits until a place has a task, other than these, whose command has begun and whose
// statuses, STARTING and RUNNING, are acknowledged: the next status reaches
// whoever is subscribed then. It returns its id.
func (c *contest) settled(t *testing.T, cluster *mesostest.Cluster, crew *crew, place int, than ...string) (id string) {
	t.Helper()
	require.Eventually(t, func() bool {
		ran := crew.ran(t)
		for _, task := range cluster.Tasks() {
			id = task.ID
			if strings.HasPrefix(id, fmt.Sprintf("place-%02d.", place)) && task.State == mesos.TASK_RUNNING &&
				!slices.Contains(than, id) && slices.Contains(ran, id) && len(c.acknowledged(id)) >= 2 {
				return true
			}
		}
		return false
	}, long, 10*time.Millisecond, "place %d has no task that runs", place)
	return id
}

// ran returns the tasks whose command has begun, as often as it did.
func (c *crew) ran(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(c.file)
	if !errors.Is(err, fs.ErrNotExist) {
		require.NoError(t, err)
	}
	return strings.Fields(string(text))
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
