package scheduler_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/internal/model"
	"github.com/mesokit/mesokit/internal/recordio"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/state"
)

// pretend is a master over real HTTP, with agents that only say that they run
// what they are told to: as many as no machine has.
type pretend struct {
	*httptest.Server
	t testing.TB

	mu      sync.Mutex
	master  *model.Master
	masters int
	agents  map[string]*pretendAgent
	names   []string
	streams map[string]chan []byte // of frames; there is room for all
	opened  int
	asked   int // tasks that RECONCILE calls named
	bytes   int // of calls and events
}

type pretendAgent struct {
	about     model.AgentDescription
	id        string
	framework mesos.FrameworkInfo
	tasks     []model.Task
}

func newPretend(t testing.TB, agents int) *pretend {
	p := &pretend{t: t, agents: map[string]*pretendAgent{}}
	total, err := model.NewResources([]mesos.Resource{scalar("cpus", 100), scalar("mem", 1<<20)})
	require.NoError(t, err)
	p.lead(model.Registry{})
	for i := range agents {
		name, port := fmt.Sprintf("host%03d", i), int32(5051)
		a := &pretendAgent{about: model.AgentDescription{
			Info: mesos.AgentInfo{Hostname: name, Port: &port}, IP: "127.0.0.1", Port: int(port), Total: total,
		}}
		p.agents[name], p.names = a, append(p.names, name)
		p.step(model.AgentSaid{From: name, Message: model.Register{Agent: a.about}})
	}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

// lead starts a master with what the one before it knew.
func (p *pretend) lead(registry model.Registry) {
	p.masters++
	version, port := "1.12.0", uint32(5050)
	p.master = model.NewMaster(model.Config{
		Info: mesos.MasterInfo{ID: fmt.Sprint("M", p.masters), Version: &version, Port: &port}, PingInterval: time.Hour,
	}, registry, time.Now())
	for _, frames := range p.streams {
		close(frames)
	}
	p.streams = map[string]chan []byte{}
}

// failover makes another master lead. All agents have come to it before the
// scheduler does.
func (p *pretend) failover() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lead(p.master.Registry())
	for _, name := range p.names {
		a := p.agents[name]
		p.step(model.AgentSaid{From: name, Message: model.Reregister{
			Agent: a.about, ID: a.id, Frameworks: []mesos.FrameworkInfo{a.framework}, Tasks: a.tasks,
		}})
	}
	p.asked, p.bytes = 0, 0
}

// step gives the master an input, and what comes of it; it returns its reply.
func (p *pretend) step(in model.Input) (reply model.Reply) {
	inputs := []model.Input{in}
	for len(inputs) > 0 {
		in, inputs = inputs[0], inputs[1:]
		for _, out := range p.master.Step(time.Now(), in) {
			switch out := out.(type) {
			case model.Reply:
				reply = out
			case model.Emit:
				frame, err := out.Event.Marshal()
				if err != nil {
					p.t.Error(err)
				}
				p.bytes += len(frame)
				p.streams[out.Stream] <- recordio.Append(nil, frame)
			case model.Close:
				close(p.streams[out.Stream])
				delete(p.streams, out.Stream)
			case model.Send:
				inputs = append(inputs, p.agents[out.To].heard(out)...)
			}
		}
	}
	return reply
}

// heard is what the agent answers.
func (a *pretendAgent) heard(sent model.Send) (said []model.Input) {
	switch m := sent.Message.(type) {
	case model.Registered:
		a.id = m.ID
	case model.RunTasks:
		a.framework = m.Framework
		for _, info := range m.Tasks {
			s := status(info.TaskID.Value, a.id, mesos.TASK_RUNNING, "")
			a.tasks = append(a.tasks, model.Task{Framework: m.Framework.ID.Value, Info: info, State: mesos.TASK_RUNNING, Status: &s})
			update := s
			update.UUID = fmt.Appendf(nil, "%016d", len(a.tasks))
			said = append(said, model.AgentSaid{From: sent.To, Message: model.StatusUpdate{
				Framework: m.Framework.ID.Value, Status: update, Latest: mesos.TASK_RUNNING,
			}})
		}
	}
	return said
}

func (p *pretend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var call sched.Call
	if err == nil {
		err = call.Unmarshal(body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	p.bytes += len(body)
	p.asked += len(call.GetReconcile().GetTasks())
	stream, frames := r.Header.Get("Mesos-Stream-Id"), chan []byte(nil)
	if call.Type == sched.Call_SUBSCRIBE {
		p.opened++
		stream, frames = fmt.Sprint("stream-", p.opened), make(chan []byte, 1<<17)
		p.streams[stream] = frames
	}
	reply := p.step(model.Call{Stream: stream, Call: &call})
	p.mu.Unlock()
	if frames == nil || reply.Status >= 300 {
		w.WriteHeader(reply.Status)
		_, _ = io.WriteString(w, reply.Text)
		return
	}
	w.Header().Set("Mesos-Stream-Id", stream)
	w.WriteHeader(http.StatusOK)
	for {
		select {
		case frame, ok := <-frames:
			if !ok {
				panic(http.ErrAbortHandler) // the master is gone
			}
			if _, err := w.Write(frame); err != nil {
				return
			}
			if len(frames) == 0 {
				w.(http.Flusher).Flush()
			}
		case <-r.Context().Done():
			return
		}
	}
}

// filler launches so many tasks on each agent, once.
type filler struct{ each int }

func (f filler) Handle(v scheduler.View, ev scheduler.Event) []scheduler.Action {
	offered, ok := ev.(scheduler.Offered)
	if !ok {
		return nil
	}
	var actions []scheduler.Action
	for _, o := range offered.Offers {
		if _, full := v.Task(o.Hostname + "-0"); full {
			continue
		}
		accept := launch(&o, "")
		infos := make([]mesos.TaskInfo, f.each)
		for i := range infos {
			cpus, command := scalar("cpus", 0.1), "sleep 600"
			cpus.AllocationInfo = o.AllocationInfo
			infos[i] = mesos.TaskInfo{
				Name: "t", TaskID: mesos.TaskID{Value: fmt.Sprintf("%s-%d", o.Hostname, i)}, AgentID: o.AgentID,
				Resources: []mesos.Resource{cpus}, Command: &mesos.CommandInfo{Value: &command},
			}
		}
		accept.Operations[0].Launch.TaskInfos = infos
		actions = append(actions, accept)
	}
	return actions
}

// filled runs a scheduler with tasks on all agents, and returns what waits until
// its tasks are reconciled and says how long that took since the subscription.
func filled(t testing.TB, p *pretend, each int) (reconciled func() time.Duration) {
	t.Helper()
	tasks, running := each*len(p.names), 0
	all, done := make(chan struct{}), make(chan time.Duration, 1)
	var subscribed time.Time
	start(t, scheduler.Config{
		Master: strings.TrimPrefix(p.URL, "http://"), Handler: filler{each}, Store: state.NewMemory(),
		Observe: func(ev scheduler.Event, e scheduler.Effects) {
			switch ev := ev.(type) {
			case scheduler.Subscribed:
				subscribed = time.Now()
			case scheduler.Updated:
				if len(ev.Status.UUID) > 0 {
					if running++; running == tasks {
						close(all)
					}
				}
			}
			for _, n := range e.Note {
				if n.Text == "reconciled" {
					done <- time.Since(subscribed)
				}
			}
		},
	})
	within(t, all)
	return func() time.Duration { t.Helper(); return within(t, done) }
}

// within waits for what must come.
func within[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(2 * time.Minute):
		t.Fatal("it does not come")
		panic("unreachable")
	}
}

// TestFailoverIsOnePass holds that each task is asked for once.
func TestFailoverIsOnePass(t *testing.T) {
	t.Parallel()
	p := newPretend(t, 20)
	reconciled := filled(t, p, 110)
	for range 2 {
		p.failover()
		reconciled()
		p.mu.Lock()
		require.Equal(t, 2200, p.asked)
		p.mu.Unlock()
	}
}

// BenchmarkFailover is the failover of a master with 50,000 tasks on 500 agents,
// over real HTTP, from the scheduler's subscription until all are reconciled.
func BenchmarkFailover(b *testing.B) {
	p := newPretend(b, 500)
	reconciled := filled(b, p, 100)
	var took time.Duration
	var asked, bytes, n int
	for b.Loop() {
		p.failover()
		took += reconciled()
		p.mu.Lock()
		asked, bytes, n = asked+p.asked, bytes+p.bytes, n+1
		p.mu.Unlock()
	}
	b.ReportMetric(took.Seconds()/float64(n), "s/reconciled")
	b.ReportMetric(float64(asked)/float64(n), "asked/op")
	b.ReportMetric(float64(bytes)/float64(n), "bytes/op")
}
