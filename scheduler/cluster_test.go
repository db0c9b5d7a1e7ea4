package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
	"github.com/mesokit/mesokit/scheduler/state"
)

// crew runs tasks on a cluster: each of its places has one task at a time,
// again after one that did not finish. A task writes its id into a file.
type crew struct {
	places  int
	file    string
	command string // after the line is written

	mu       sync.Mutex
	finished bool
	ended    func()
}

func newCrew(t *testing.T, places int, command string) *crew {
	return &crew{places: places, file: filepath.Join(t.TempDir(), "ran"), command: command}
}

func (c *crew) Handle(v scheduler.View, _ scheduler.Event) []scheduler.Action {
	var missing []string
	done := 0
	for place := range c.places {
		id, finished := c.next(v, place)
		switch {
		case finished:
			done++
		case id != "":
			missing = append(missing, id)
		}
	}
	actions := []scheduler.Action{scheduler.Want{Offers: len(missing) > 0, Key: strings.Join(missing, " ")}}
	for o := range v.Offers() {
		if len(missing) == 0 {
			break
		}
		accept := launch(o, missing[0])
		info := &accept.Operations[0].Launch.TaskInfos[0]
		line := fmt.Sprintf("echo %s >> %s; %s", missing[0], c.file, c.command)
		info.Command = &mesos.CommandInfo{Value: &line}
		info.Resources = []mesos.Resource{scalar("cpus", 0.1), scalar("mem", 32)}
		for i := range info.Resources {
			info.Resources[i].AllocationInfo = o.AllocationInfo
		}
		actions = append(actions, accept)
		missing = missing[1:]
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if done == c.places && !c.finished {
		c.finished = true
		if c.ended != nil {
			c.ended()
		}
	}
	return actions
}

// next is the id of the task that a place needs now; empty: it has one.
func (c *crew) next(v scheduler.View, place int) (id string, finished bool) {
	for n := 1; ; n++ {
		id := fmt.Sprintf("place-%02d.%d", place, n)
		t, ok := v.Task(id)
		switch s := t.Status.GetState(); {
		case !ok:
			return id, false
		case s == mesos.TASK_FINISHED:
			return "", true
		case !scheduler.Terminal(s):
			return "", false
		}
	}
}

// checkRanOnce waits until every place has run: a task is RUNNING before its
// command has done anything. Then it holds that none ran twice.
func (c *crew) checkRanOnce(t *testing.T) {
	t.Helper()
	ran := map[string]int{}
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(c.file)
		clear(ran)
		for line := range strings.Lines(string(text)) {
			place, _, _ := strings.Cut(strings.TrimSpace(line), ".")
			ran[place]++
		}
		return err == nil && len(ran) == c.places
	}, patience, 10*time.Millisecond)
	for place, times := range ran {
		assert.Equal(t, 1, times, "%s ran", place)
	}
}

func newCluster(t *testing.T, agents int) *mesostest.Cluster {
	return mesostest.New(t, mesostest.Agents(agents, "cpus:4;mem:2048"), mesostest.Configure(func(c *mesostest.Config) {
		c.AllocationInterval = 20 * time.Millisecond
		for i := range c.Agents {
			c.Agents[i].RetryMin = 100 * time.Millisecond
		}
	}))
}

// fatal is a store whose process dies at a save: before it, or after it was
// made and before anybody was told.
type fatal struct {
	state.Store
	mu    sync.Mutex
	left  int
	after bool
}

var errDied = errors.New("the process died")

func (f *fatal) Save(ctx context.Context, batch []state.Record) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left--; f.left == 0 && !f.after {
		return errDied
	}
	if err := f.Store.Save(ctx, batch); err != nil {
		return err
	}
	if f.left == 0 {
		return errDied
	}
	return nil
}

// TestClusterNothingIsLostAtAnySave lets the scheduler die at its first save,
// the next one at its second, and so on, until one lives to the end.
func TestClusterNothingIsLostAtAnySave(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("after=%v", after), func(t *testing.T) {
			t.Parallel()
			cluster := newCluster(t, 2)
			store := state.NewMemory()
			crew := newCrew(t, 5, "true")
			deaths := 0
			for n := 1; ; n++ {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				crew.ended = cancel
				err := scheduler.Run(ctx, scheduler.Config{
					Master: cluster.Master(), Handler: crew, Logger: quiet(), Framework: mesos.FrameworkInfo{Name: "crew"},
					Store: &fatal{Store: store.Open(), left: n, after: after},
				})
				cancel()
				if err == nil {
					break
				}
				require.ErrorIs(t, err, errDied)
				deaths++
			}
			require.True(t, crew.finished, "it ended in time")
			crew.checkRanOnce(t)
			assert.Greater(t, deaths, 3)
		})
	}
}

func TestClusterMasterRestarts(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t, 2)
	crew := newCrew(t, 4, "while [ ! -e "+filepath.Join(t.TempDir(), "never")+" ]; do sleep 0.05; done")
	reconciled := make(chan bool, 64)
	start(t, scheduler.Config{Master: cluster.Master(), Handler: crew, Observe: func(_ scheduler.Event, e scheduler.Effects) {
		for _, n := range e.Note {
			if n.Text == "reconciled" {
				reconciled <- true
			}
		}
	}})
	cluster.WaitRunning(t, 4)
	require.NoError(t, cluster.RestartMaster())
	select {
	case <-reconciled:
	case <-time.After(time.Minute):
		t.Fatal("the tasks are not reconciled after the master's restart")
	}
	cluster.WaitRunning(t, 4)
	crew.checkRanOnce(t)
}

func TestClusterAgentGoesAndComesBack(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t, 1)
	events := make(chan scheduler.Event, 1024)
	crew := newCrew(t, 2, "sleep 600")
	start(t, scheduler.Config{Master: cluster.Master(), Handler: crew, Observe: func(ev scheduler.Event, _ scheduler.Effects) {
		events <- ev
	}})
	cluster.WaitRunning(t, 2)
	cluster.Agent(0).Partition()
	waitFor(t, events, func(ev scheduler.Event) bool { _, ok := ev.(scheduler.AgentLost); return ok })
	cluster.Agent(0).Heal()
	for range 2 {
		waitFor(t, events, func(ev scheduler.Event) bool {
			up, ok := ev.(scheduler.Updated)
			return ok && up.Status.GetState() == mesos.TASK_RUNNING
		})
	}
	crew.checkRanOnce(t)
}

// TestClusterSecondScheduler holds that the first ends when a second takes the
// framework, and that its saves fail.
func TestClusterSecondScheduler(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t, 1)
	store := state.NewMemory()
	crew := newCrew(t, 2, "sleep 600")
	box := &scheduler.Mailbox{}
	first := start(t, scheduler.Config{Master: cluster.Master(), Handler: crew, Store: store, Mailbox: box})
	cluster.WaitRunning(t, 2)
	start(t, scheduler.Config{Master: cluster.Master(), Handler: crew, Store: store.Open()})
	require.ErrorIs(t, first.end(), scheduler.ErrFailedOver)
	cluster.WaitRunning(t, 2)
	crew.checkRanOnce(t)
}

func TestClusterKillsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t, 1)
	crew := newCrew(t, 1, "sleep 600")
	store := state.NewMemory()
	first := start(t, scheduler.Config{Master: cluster.Master(), Handler: crew, Store: store})
	cluster.WaitRunning(t, 1)
	first.cancel()
	require.NoError(t, first.end())

	// The task is forgotten by accident; its framework is not.
	forgetful := store.Open()
	_, err := forgetful.Load(t.Context())
	require.NoError(t, err)
	require.NoError(t, forgetful.Save(t.Context(), []state.Record{{Key: "task/place-00.1"}, {Key: "status/place-00.1"}}))
	idle := scheduler.HandlerFunc(func(scheduler.View, scheduler.Event) []scheduler.Action { return nil })
	start(t, scheduler.Config{Master: cluster.Master(), Handler: idle, Store: store.Open()})
	cluster.WaitTask(t, "place-00.1", mesos.TASK_KILLED)
}

func waitFor(t *testing.T, events <-chan scheduler.Event, want func(scheduler.Event) bool) {
	t.Helper()
	timeout := time.After(time.Minute)
	for {
		select {
		case ev := <-events:
			if want(ev) {
				return
			}
		case <-timeout:
			t.Fatal("the event does not come")
		}
	}
}
