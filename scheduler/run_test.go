package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/state"
)

// launchOne launches the task "t" on the first offer, once.
func launchOne(v scheduler.View, _ scheduler.Event) []scheduler.Action {
	if _, ok := v.Task("t"); ok {
		return nil
	}
	for o := range v.Offers() {
		return []scheduler.Action{launch(o, "t")}
	}
	return nil
}

func launch(o *mesos.Offer, task string) scheduler.Accept {
	return scheduler.Accept{
		Offers: []mesos.OfferID{o.ID},
		Operations: []mesos.Offer_Operation{{
			Type: mesos.Offer_Operation_LAUNCH,
			Launch: &mesos.Offer_Operation_Launch{TaskInfos: []mesos.TaskInfo{{
				Name: task, TaskID: mesos.TaskID{Value: task}, AgentID: o.AgentID,
				Resources: []mesos.Resource{scalar("cpus", 0.1)},
			}}},
		}},
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// running is a Run under test.
type running struct {
	t      testing.TB
	cancel context.CancelFunc
	result chan error
}

// start runs a scheduler until the test ends.
func start(t testing.TB, c scheduler.Config) *running {
	t.Helper()
	if c.Framework.Name == "" {
		c.Framework.Name = "test"
	}
	if c.Logger == nil {
		c.Logger = quiet()
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{t, cancel, make(chan error, 1)}
	go func() { r.result <- scheduler.Run(ctx, c) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-r.result:
		case <-time.After(patience):
			t.Error("Run does not end")
		}
	})
	return r
}

// end waits for Run to return by itself.
func (r *running) end() error {
	r.t.Helper()
	select {
	case err := <-r.result:
		r.result <- err
		return err
	case <-time.After(patience):
		r.t.Fatal("Run does not end")
		return nil
	}
}

func TestRunRemembersBeforeItActs(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	store := state.NewMemory()
	var saved []string
	r := start(t, scheduler.Config{
		Master: m.address(), Handler: scheduler.HandlerFunc(launchOne),
		Store: spy{store, func(batch []state.Record) error {
			for _, r := range batch {
				saved = append(saved, r.Key)
			}
			return nil
		}},
	})
	s := m.subscribed()
	assert.Nil(t, s.call.FrameworkID)
	s.send(offersEvent(offer("o1", "a1")))
	accept := m.call(sched.Call_ACCEPT)
	assert.Equal(t, s.id, accept.streamID)
	assert.Equal(t, "fw-1", accept.FrameworkID.Value)
	s.send(updateEvent(status("t", "a1", mesos.TASK_RUNNING, "0123456789abcdef")))
	ack := m.call(sched.Call_ACKNOWLEDGE)
	assert.Equal(t, "t", ack.Acknowledge.TaskID.Value)

	r.cancel()
	require.NoError(t, r.end())
	assert.Equal(t, []string{"identity", "task/t", "status/t", "status/t"}, saved[len(saved)-4:])

	// A second process goes on: same framework, and it asks for the task.
	start(t, scheduler.Config{Master: m.address(), Handler: scheduler.HandlerFunc(launchOne), Store: store.Open()})
	s = m.subscribed()
	assert.Equal(t, "fw-1", s.call.FrameworkID.Value)
	assert.Equal(t, "fw-1", s.call.Subscribe.FrameworkInfo.ID.Value)
	ask := m.call(sched.Call_RECONCILE)
	assert.Equal(t, "t", ask.Reconcile.Tasks[0].TaskID.Value)
}

// spy is a store that tells of each save before it is made.
type spy struct {
	state.Store
	save func([]state.Record) error
}

func (s spy) Save(ctx context.Context, batch []state.Record) error {
	if err := s.save(batch); err != nil {
		return err
	}
	return s.Store.Save(ctx, batch)
}

func TestRunFollowsTheLeaderWithEveryCall(t *testing.T) {
	t.Parallel()
	leader, standby := newMaster(t), newMaster(t)
	standby.replies(func(*http.Request, *sched.Call) (int, string, string) {
		return http.StatusTemporaryRedirect, "", "//" + leader.address() + "/master/api/v1/scheduler"
	})
	start(t, scheduler.Config{Master: standby.address(), Handler: scheduler.HandlerFunc(launchOne)})
	s := leader.subscribed()
	s.send(offersEvent(offer("o1", "a1")))
	assert.Equal(t, s.id, leader.call(sched.Call_ACCEPT).streamID)
	s.send(offersEvent(offer("o2", "a1")))
	assert.Equal(t, s.id, leader.call(sched.Call_DECLINE).streamID)
}

func TestRunTriesTheNextMaster(t *testing.T) {
	t.Parallel()
	leader, recovering, dead := newMaster(t), newMaster(t), newMaster(t)
	recovering.replies(func(*http.Request, *sched.Call) (int, string, string) {
		return http.StatusServiceUnavailable, "Master has not finished recovery", ""
	})
	dead.Close()
	masters := strings.Join([]string{dead.address(), recovering.URL, leader.address()}, ",")
	start(t, scheduler.Config{Master: masters, Handler: scheduler.HandlerFunc(launchOne)})
	leader.subscribed()
}

func TestRunRegistersAnewWhereAsked(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	start(t, scheduler.Config{Master: m.address(), Handler: scheduler.HandlerFunc(launchOne), RegisterAnew: true})
	m.subscribed().send(errorEvent("Framework has been removed"))
	s := m.stream()
	assert.Nil(t, s.call.FrameworkID)
	assert.Nil(t, s.call.Subscribe.FrameworkInfo.ID)
}

func TestRunSubscribesAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		heartbeat float64
		end       func(*scriptedStream)
	}{
		{"cut in a record", 15, func(s *scriptedStream) { s.cut("100\nabc") }},
		{"cut in a length", 15, func(s *scriptedStream) { s.cut("10") }},
		{"garbage frame", 15, func(s *scriptedStream) { s.frames <- []byte("3\n\xff\xff\xff") }},
		{"no record", 15, func(s *scriptedStream) { s.frames <- []byte("<html>") }},
		{"silence", 0.02, func(*scriptedStream) {}},
		{"another error", 15, func(s *scriptedStream) { s.send(errorEvent("Message rate exceeded")) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := newMaster(t)
			events := make(chan scheduler.Event, 64)
			start(t, scheduler.Config{
				Master: m.address(), Handler: scheduler.HandlerFunc(launchOne),
				Observe: func(ev scheduler.Event, _ scheduler.Effects) { events <- ev },
			})
			s := m.stream()
			s.send(subscribedEvent("fw-1", c.heartbeat))
			c.end(s)
			again := m.subscribed()
			assert.Equal(t, "fw-1", again.call.FrameworkID.GetValue())
			assert.IsType(t, scheduler.Tick{}, <-events, "before the first subscription")
			assert.IsType(t, scheduler.Subscribed{}, <-events)
			assert.IsType(t, scheduler.Disconnected{}, <-events)
			again.send(offersEvent(offer("o1", "a1")))
			assert.Equal(t, again.id, m.call(sched.Call_ACCEPT).streamID)
		})
	}
}

func TestRunKeepsTheSubscriptionWhenACallFails(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	failures := map[string]int{}
	m.replies(func(_ *http.Request, call *sched.Call) (int, string, string) {
		switch {
		case call.Type == sched.Call_DECLINE && call.Decline.OfferIDs[0].Value == "bad":
			return http.StatusBadRequest, "Failed to validate scheduler::Call", ""
		case call.Type == sched.Call_DECLINE && call.Decline.OfferIDs[0].Value == "late":
			if failures["late"]++; failures["late"] < 3 {
				return http.StatusServiceUnavailable, "", ""
			}
		case call.Type == sched.Call_ACCEPT:
			return http.StatusInternalServerError, "", ""
		}
		return 0, "", ""
	})
	start(t, scheduler.Config{Master: m.address(), Handler: scheduler.HandlerFunc(launchOne)})
	s := m.subscribed()
	s.send(offersEvent(offer("used", "a1")))
	got := m.call(sched.Call_DECLINE)
	assert.Equal(t, "used", got.Decline.OfferIDs[0].Value, "an accept that may be lost gives its offers back")
	s.send(offersEvent(offer("bad", "a1")), offersEvent(offer("late", "a1")))
	assert.Equal(t, "late", m.call(sched.Call_DECLINE).Decline.OfferIDs[0].Value)
	assert.Empty(t, m.streams)
}

func TestRunTakesAllOffersInOneFrame(t *testing.T) {
	t.Parallel()
	const n = 20_000
	m := newMaster(t)
	start(t, scheduler.Config{Master: m.address(), Handler: scheduler.HandlerFunc(launchOne)})
	offers := make([]mesos.Offer, n)
	for i := range offers {
		offers[i] = offer(fmt.Sprintf("o%d", i), fmt.Sprintf("a%05d", i))
	}
	m.subscribed().send(offersEvent(offers...))
	assert.Len(t, m.call(sched.Call_DECLINE).Decline.OfferIDs, n-1)
}

func TestRunAnswersCommands(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	box := &scheduler.Mailbox{}
	handler := func(_ scheduler.View, ev scheduler.Event) []scheduler.Action {
		c, ok := ev.(scheduler.Command)
		if !ok || c.Value == "silence" {
			return nil
		}
		if c.Value == "bad" {
			return []scheduler.Action{scheduler.Answer{Command: c.ID, Err: errors.New("no such thing")}}
		}
		return []scheduler.Action{
			scheduler.Remember{Key: "last", Value: fmt.Append(nil, c.Value)},
			scheduler.Answer{Command: c.ID, Value: fmt.Sprint("did ", c.Value)},
		}
	}
	early := make(chan any, 1)
	go func() {
		got, _ := box.Send(t.Context(), "early")
		early <- got
	}()
	r := start(t, scheduler.Config{Master: m.address(), Handler: scheduler.HandlerFunc(handler), Mailbox: box})
	assert.Equal(t, "did early", <-early)
	got, err := box.Send(t.Context(), "this")
	require.NoError(t, err)
	assert.Equal(t, "did this", got)
	_, err = box.Send(t.Context(), "bad")
	require.EqualError(t, err, "no such thing")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = box.Send(ctx, "silence")
	require.ErrorIs(t, err, context.Canceled)

	pending := make(chan error, 1)
	sent := make(chan struct{})
	go func() {
		close(sent)
		_, err := box.Send(t.Context(), "silence")
		pending <- err
	}()
	<-sent
	r.cancel()
	require.NoError(t, r.end())
	require.ErrorIs(t, <-pending, scheduler.ErrStopped)
	_, err = box.Send(t.Context(), "too late")
	require.ErrorIs(t, err, scheduler.ErrStopped)
}

// TestMailboxOutlivesRun holds that a sender who came before Run began is told
// when it ended without a word, and that the mailbox can be used again.
func TestMailboxOutlivesRun(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	m.replies(func(*http.Request, *sched.Call) (int, string, string) { return http.StatusUnauthorized, "", "" })
	box := &scheduler.Mailbox{}
	silent := scheduler.HandlerFunc(func(scheduler.View, scheduler.Event) []scheduler.Action { return nil })
	early := make(chan error, 1)
	go func() {
		_, err := box.Send(t.Context(), "early")
		early <- err
	}()
	require.ErrorIs(t, start(t, scheduler.Config{Master: m.address(), Handler: silent, Mailbox: box}).end(), scheduler.ErrRefused)
	require.ErrorIs(t, <-early, scheduler.ErrStopped)

	m.replies(func(*http.Request, *sched.Call) (int, string, string) { return 0, "", "" })
	start(t, scheduler.Config{Master: m.address(), Mailbox: box, Handler: scheduler.HandlerFunc(
		func(_ scheduler.View, ev scheduler.Event) []scheduler.Action {
			if c, ok := ev.(scheduler.Command); ok {
				return []scheduler.Action{scheduler.Answer{Command: c.ID, Value: c.Value}}
			}
			return nil
		})})
	m.subscribed() // it has begun
	got, err := box.Send(t.Context(), "again")
	require.NoError(t, err)
	assert.Equal(t, "again", got)
}

// worker is a handler whose commands become jobs.
type worker struct {
	work func(context.Context, scheduler.Job) ([]byte, error)
}

func (w worker) Work(ctx context.Context, job scheduler.Job) ([]byte, error) { return w.work(ctx, job) }

func (w worker) Handle(_ scheduler.View, ev scheduler.Event) []scheduler.Action {
	switch ev := ev.(type) {
	case scheduler.Command:
		job := scheduler.Job{Name: ev.Value.(string), Input: fmt.Append(nil, ev.ID), Timeout: time.Minute, Delay: time.Millisecond}
		return []scheduler.Action{scheduler.Start{Job: job}, scheduler.Start{Job: job}, scheduler.Remember{Key: ev.Value.(string), Value: job.Input}}
	case scheduler.JobProgress:
		return []scheduler.Action{scheduler.Cancel{Job: ev.Name}, scheduler.Cancel{Job: "stranger"}}
	case scheduler.JobDone:
		return []scheduler.Action{scheduler.Note{Text: "done"}, scheduler.Forget{}}
	}
	return nil
}

func TestRunRunsJobs(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	box := &scheduler.Mailbox{}
	started := make(chan string, 8)
	done := make(chan scheduler.JobDone, 8)
	w := worker{work: func(ctx context.Context, job scheduler.Job) ([]byte, error) {
		started <- job.Name
		switch job.Name {
		case "good":
			return []byte("result"), nil
		case "bad":
			return nil, errors.New("no ring")
		case "slow":
			scheduler.Progress(ctx, []byte("half"))
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	r := start(t, scheduler.Config{Master: m.address(), Handler: w, Mailbox: box, Observe: func(ev scheduler.Event, _ scheduler.Effects) {
		if d, ok := ev.(scheduler.JobDone); ok {
			done <- d
		}
	}})
	send := func(name string) {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-started; cancel() }()
		_, _ = box.Send(ctx, name)
	}
	send("good")
	assert.Equal(t, scheduler.JobDone{Name: "good", Result: []byte("result")}, <-done)
	send("bad")
	assert.Equal(t, scheduler.JobDone{Name: "bad", Err: "no ring"}, <-done)
	send("slow")
	assert.Equal(t, scheduler.JobDone{Name: "slow", Err: "cancelled"}, <-done)
	send("long")
	r.cancel()
	require.NoError(t, r.end(), "a job that is running ends with Run")
	assert.Empty(t, started, "a job of a name runs once at a time")
}
