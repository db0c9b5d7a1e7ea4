package frameworks

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/internal/model"
	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/state"
)

// world runs a service on a modelled Mesos in one goroutine and virtual time:
// master, agents, executors and the scheduler's machine, with a scheduler that
// can be made to die at any of the points between its effects.
type world struct {
	t       *testing.T
	now     time.Time
	service *Service // the only one, or the first of several
	handler interface {
		scheduler.Handler
		scheduler.Worker
		scheduler.Described
	}

	master *model.Master
	agents []*fakeAgent
	queue  []func() // what is on its way, oldest first
	later  []timed

	store   *state.Memory
	seed    string // of a new deployment
	machine *scheduler.Machine
	stream  string // empty while the scheduler is not subscribed
	streams int
	wake    time.Time
	steps   int // of schedulers
	shown   Status
	shownAt int // the step after which that was shown
	answers map[uint64]scheduler.Answer
	letters uint64

	racks     int // of agents; 0: 2
	decisions int // asked for so far
	points    int // passed so far by the scheduler
	dieAt     int // 0: never
	notes     []string
	started   map[string]int // containers by executor id
	made      map[string]int // volumes by persistence id
	removed   map[string]int

	ended bool // the framework was torn down

	// behave says how a task goes on once its executor has it; nil: it runs.
	behave func(w *world, e *fakeExecutor, task mesos.TaskInfo)
	// before sees each call before it reaches the master; nil: nobody does.
	before func(call *sched.Call)
	// hears is told what the scheduler says to an executor; nil: nobody is.
	hears func(e *fakeExecutor, data []byte)
	// lasts says how much longer than a moment a job takes; nil: no longer.
	lasts func(job scheduler.Job) time.Duration
	// holds is asked after every step of the scheduler; nil: it is not.
	holds func()
	// gate answers the jobs that ask about nodes; nil: they pass.
	gate func(job scheduler.Job) error
}

type timed struct {
	at time.Time
	do func()
}

type fakeAgent struct {
	index     int
	model     *model.Agent
	link      string
	links     int
	cut       bool                     // no message passes, either way
	executors map[string]*fakeExecutor // by stream
}

type fakeExecutor struct {
	agent     *fakeAgent
	stream    string
	container string
	framework string
	id        string
	uuids     int
	serves    bool // its server runs
	ended     bool
	// strayed: another was started for its node while its agent was out of
	// reach. It may run on until the agent is back.
	strayed bool
}

type died struct{}

func newWorld(t *testing.T, s *Service, agents int, resources string) *world {
	t.Helper()
	require.NoError(t, s.Validate())
	w := emptyWorld(t, agents, resources)
	w.service, w.handler = s, s
	w.start()
	return w
}

// newWorldOf is a world of several services.
func newWorldOf(t *testing.T, s *Services, agents int, resources string) *world {
	t.Helper()
	require.NoError(t, s.Validate())
	w := emptyWorld(t, agents, resources)
	w.service, w.handler = s.Declared[0], s
	w.start()
	return w
}

func emptyWorld(t *testing.T, agents int, resources string) *world {
	t.Helper()
	w := &world{
		t: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		store: state.NewMemory(), seed: "a seed of sixteen bytes or more", answers: map[uint64]scheduler.Answer{},
		started: map[string]int{}, made: map[string]int{}, removed: map[string]int{},
	}
	w.master = model.NewMaster(model.Config{Info: mesos.MasterInfo{ID: "M", Version: new("1.12.0")}}, model.Registry{}, w.now)
	for i := range agents {
		w.addAgent(i, resources)
	}
	w.deliver() // each agent knows its id
	return w
}

func (w *world) addAgent(i int, resources string) {
	rack := fmt.Sprintf("r%d", i%cmp.Or(w.racks, 2)+1)
	all, err := offers.ParseAgent(resources)
	require.NoError(w.t, err)
	host := fmt.Sprintf("agent-%d", i)
	agent, err := model.NewAgent(model.AgentConfig{
		Name: host, IP: fmt.Sprintf("127.0.0.%d", i+1),
		Info: mesos.AgentInfo{
			Hostname: host, Port: new(int32(5051)), Resources: all,
			Attributes: []mesos.Attribute{{Name: "rack", Type: mesos.TEXT, Text: &mesos.Value_Text{Value: rack}}},
		},
	}, w.now)
	require.NoError(w.t, err)
	a := &fakeAgent{index: i, model: agent, executors: map[string]*fakeExecutor{}}
	w.agents = append(w.agents, a)
	w.link(a)
}

func (w *world) link(a *fakeAgent) {
	a.links++
	a.link = fmt.Sprintf("agent-%d/%d", a.index, a.links)
	w.agent(a, model.MasterFound{})
}

// heal lets messages pass again. Those of before are lost, and so is the
// connection that they went by.
func (w *world) heal(a *fakeAgent) {
	if !a.cut {
		return
	}
	a.cut = false
	w.mesos(model.AgentClosed{From: a.link})
	w.agent(a, model.MasterLost{})
	w.link(a)
}

// The scheduler.

func (w *world) start() {
	var err error
	w.machine, err = scheduler.NewMachine(scheduler.HandlerFunc(w.decide), []byte(w.seed), w.records())
	require.NoError(w.t, err)
	w.step(scheduler.Tick{})
	w.subscribe()
}

// records is what the store holds.
func (w *world) records() []state.Record {
	records, err := w.store.Load(context.Background())
	require.NoError(w.t, err)
	return records
}

func (w *world) subscribe() {
	w.streams++
	w.stream = fmt.Sprintf("stream-%d", w.streams)
	info := w.handler.Framework()
	info.User, info.FailoverTimeout, info.Checkpoint = "root", new(1e6), new(true)
	for _, c := range []mesos.FrameworkInfo_Capability_Type{
		mesos.FrameworkInfo_Capability_MULTI_ROLE,
		mesos.FrameworkInfo_Capability_PARTITION_AWARE,
		mesos.FrameworkInfo_Capability_RESERVATION_REFINEMENT,
		mesos.FrameworkInfo_Capability_TASK_KILLING_STATE,
	} {
		info.Capabilities = append(info.Capabilities, mesos.FrameworkInfo_Capability{Type: c})
	}
	w.mesos(model.Call{Stream: w.stream, Call: w.machine.Subscribe(info)})
}

// point is a place where the scheduler may die.
func (w *world) point() {
	w.points++
	if w.points == w.dieAt {
		panic(died{})
	}
}

// step gives the scheduler an event; when it dies of it, another starts.
func (w *world) step(ev scheduler.Event) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case died:
			w.crash()
		default:
			panic(r)
		}
	}()
	w.steps++
	effects := w.machine.Step(w.now, ev)
	w.point()
	require.NoError(w.t, w.store.Save(context.Background(), effects.Save))
	w.point()
	for _, call := range effects.Send {
		if w.before != nil {
			w.before(call)
		}
		w.mesos(model.Call{Stream: w.stream, Call: call})
		w.point()
	}
	for _, job := range effects.Start {
		lasts := 10 * time.Millisecond
		if w.lasts != nil {
			lasts += w.lasts(job)
		}
		w.after(job.Delay+lasts, w.ofThisScheduler(func() { w.work(job) }))
	}
	for _, a := range effects.Answer {
		w.answers[a.Command] = a
	}
	for _, n := range effects.Note {
		var text strings.Builder
		text.WriteString(n.Text)
		for _, a := range n.Attrs {
			text.WriteString(" " + a.Key + "=" + a.Value.String())
		}
		w.notes = append(w.notes, text.String())
	}
	w.wake = effects.Wake
	w.check()
}

func (w *world) crash() {
	w.mesos(model.StreamClosed{Stream: w.stream})
	w.stream = ""
	w.start()
}

func (w *world) ofThisScheduler(do func()) func() {
	machine := w.machine
	return func() {
		if w.machine == machine {
			do()
		}
	}
}

func (w *world) work(job scheduler.Job) {
	done := scheduler.JobDone{Name: job.Name}
	if !slices.Contains([]string{gateKind, againKind, joinKind, spareKind, leaveKind}, job.Kind) {
		result, err := w.handler.Work(w.t.Context(), job)
		done.Result = result
		if err != nil {
			done.Err = err.Error()
		}
	} else if w.gate != nil {
		if err := w.gate(job); err != nil {
			done.Err = err.Error()
		}
	}
	w.step(done)
}

func (w *world) command(c any) (Status, error) {
	w.t.Helper()
	value, err := w.send(c)
	status, _ := value.(Status)
	return status, err
}

func (w *world) send(c any) (any, error) {
	w.t.Helper()
	w.letters++
	w.step(scheduler.Command{ID: w.letters, Value: c})
	a, ok := w.answers[w.letters]
	if !ok { // the scheduler died before it answered
		w.step(scheduler.Command{ID: w.letters, Value: c})
		a, ok = w.answers[w.letters]
	}
	require.True(w.t, ok, "%T is answered at once", c)
	return a.Value, a.Err
}

// status asks only when the scheduler has decided something since, so that nothing
// happens just because a test looks.
func (w *world) status() Status {
	w.t.Helper()
	if w.shownAt == 0 || w.shownAt != w.steps {
		s, err := w.command(AskStatus{})
		require.NoError(w.t, err)
		w.shown, w.shownAt = s, w.steps
	}
	s := w.shown
	s.Nodes = slices.Clone(s.Nodes)
	return s
}

// Time.

func (w *world) after(d time.Duration, do func()) {
	w.later = append(w.later, timed{w.now.Add(d), do})
}

// deliver empties the queue.
func (w *world) deliver() {
	for n := 0; len(w.queue) > 0; n++ {
		next := w.queue[0]
		w.queue = w.queue[1:]
		next()
		if n > 100_000 {
			w.t.Fatal("the world does not come to rest")
		}
	}
}

// pass lets time go on until the condition holds, at most so long.
func (w *world) until(bound time.Duration, what string, holds func() bool) {
	w.t.Helper()
	end := w.now.Add(bound)
	for w.deliver(); !holds(); w.deliver() {
		if next := w.next(); next.After(end) {
			s := w.status()
			for _, n := range s.Nodes {
				w.t.Logf("%s: %s failures=%d waits=%q last=%q refused=%q place=%v", n.Name, n.Phase, n.Failures, n.Waits, n.LastFailure, n.Refused, n.Place != nil)
			}
			w.t.Fatalf("not within %v: %s; notes:\n%s", bound, what, strings.Join(w.notes, "\n"))
		} else {
			w.now = next
		}
		w.tick()
	}
}

// next is when something happens by itself.
func (w *world) next() time.Time {
	at := w.master.Wake()
	earlier := func(t time.Time) {
		if !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	earlier(w.wake)
	for _, a := range w.agents {
		earlier(a.model.Wake())
	}
	for _, l := range w.later {
		earlier(l.at)
	}
	if at.Before(w.now) {
		return w.now
	}
	return at
}

func (w *world) tick() {
	w.mesos(model.Tick{})
	for _, a := range w.agents {
		w.agent(a, model.Tick{})
	}
	due := func(l timed) bool { return !l.at.After(w.now) }
	var now []timed
	for _, l := range w.later {
		if due(l) {
			now = append(now, l)
		}
	}
	w.later = slices.DeleteFunc(w.later, due)
	for _, l := range now {
		l.do()
	}
	if !w.wake.IsZero() && !w.wake.After(w.now) {
		w.wake = time.Time{}
		w.step(scheduler.Tick{})
	}
}

// check is what must always hold. It looks at the whole world, and so only now
// and then where that is large.
func (w *world) check() {
	if large := len(w.made); large > 100 && w.decisions%large > 0 {
		return
	}
	for id, n := range w.made {
		require.LessOrEqual(w.t, n, 1, "volume %s was made more than once", id)
	}
	if w.holds != nil {
		w.holds()
	}
	serving := map[string]string{}
	w.each(func(e *fakeExecutor) {
		node := w.node(e)
		if !e.serves || e.strayed {
			return
		}
		if other := serving[node]; other != "" {
			w.t.Fatalf("%s runs twice: %s and %s; notes:\n%s", node, other, e.id, strings.Join(w.notes, "\n"))
		}
		serving[node] = e.id
	})
}

// stray marks who may go on running while this one starts.
func (w *world) stray(started *fakeExecutor) {
	w.each(func(e *fakeExecutor) {
		if e.agent.cut && w.node(e) == w.node(started) {
			e.strayed = true
		}
	})
}

func (w *world) node(e *fakeExecutor) string {
	node, _, ok := (&Service{Name: taskOwner(e.id)}).owner(e.id)
	require.True(w.t, ok, "executor %s is nobody's", e.id)
	return e.framework + "/" + taskOwner(e.id) + "." + node
}

func (w *world) each(do func(e *fakeExecutor)) {
	for _, a := range w.agents {
		for _, stream := range sortedKeys(a.executors) {
			do(a.executors[stream])
		}
	}
}

// volumeOf is the id of the volume in a node's place.
func volumeOf(n NodeStatus) string {
	for _, r := range n.Place.Resources {
		if p := r.GetDisk().GetPersistence(); p != nil {
			return p.ID
		}
	}
	return "none"
}

func (w *world) allReady(n int) func() bool {
	return func() bool { return w.status().Ready == n }
}
