package scheduler_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/state"
)

// FuzzMachine steps a machine through a history that is made of the input, and
// checks after every step what must always hold.
func FuzzMachine(f *testing.F) {
	for seed := range uint64(24) {
		r := rand.New(rand.NewPCG(seed, 1))
		input := make([]byte, 600)
		for i := range input {
			input[i] = byte(r.Uint32())
		}
		f.Add(input)
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		h, twin := newHistory(t, input), newHistory(t, input)
		for h.more() {
			effects := h.step()
			require.Equal(t, effects, twin.step(), "equal histories give equal effects")
		}
		h.checkRestore()
	})
}

// history is a machine and everything around it, driven by bytes.
type history struct {
	t       *testing.T
	rest    []byte
	machine *scheduler.Machine
	now     time.Time
	offers  int
	ids     []string
	running []string // jobs
	records map[string]state.Record
	audit   audit
	calm    bool // the handler decides nothing
}

func newHistory(t *testing.T, input []byte) *history {
	h := &history{t: t, rest: input, now: time.Unix(1_800_000_000, 0).UTC(), records: map[string]state.Record{}}
	h.machine = h.load()
	return h
}

func (h *history) load() *scheduler.Machine {
	var records []state.Record
	for _, key := range sortedKeys(h.records) {
		records = append(records, h.records[key])
	}
	m, err := scheduler.NewMachine(scheduler.HandlerFunc(h.handle), []byte("seed"), records)
	require.NoError(h.t, err)
	return m
}

func (h *history) more() bool { return len(h.rest) > 0 }

// pick takes a byte and returns a number below n.
func (h *history) pick(n int) int {
	if len(h.rest) == 0 {
		return 0
	}
	b := h.rest[0]
	h.rest = h.rest[1:]
	return int(b) % n
}

func (h *history) step() scheduler.Effects {
	if h.pick(40) == 0 { // the process dies and another begins
		h.machine, h.running = h.load(), nil
	}
	h.now = h.now.Add([]time.Duration{0, time.Millisecond, time.Second, 7 * time.Second, time.Minute, 20 * time.Minute, -time.Hour}[h.pick(7)])
	ev := h.event()
	if _, ok := ev.(scheduler.Subscribed); ok {
		h.machine.Subscribe(mesos.FrameworkInfo{Name: "x", Roles: []string{"*"}})
	}
	return h.apply(ev)
}

func (h *history) apply(ev scheduler.Event) scheduler.Effects {
	e := h.machine.Step(h.now, ev)
	h.audit.check(h.t, e)
	require.NoError(h.t, h.machine.Check(), "after %#v", ev)
	for _, r := range e.Save {
		h.records[r.Key] = r
		if r.Value == nil {
			delete(h.records, r.Key)
		}
	}
	for _, job := range e.Start {
		require.NotContains(h.t, h.running, job.Name, "one job of a name at a time")
		h.running = append(h.running, job.Name)
	}
	if up, ok := ev.(scheduler.Updated); ok {
		h.checkUpdate(up.Status, e)
	}
	if e.Done {
		h.machine, h.running = h.load(), nil
	}
	return e
}

// checkUpdate holds that a status which waits for it is acknowledged, and that
// a task which has ended stays so.
func (h *history) checkUpdate(s mesos.TaskStatus, e scheduler.Effects) {
	acks := 0
	for _, call := range e.Send {
		if call.Type == sched.Call_ACKNOWLEDGE {
			acks++
		}
	}
	connected := false
	h.machine.Look(func(v scheduler.View) { connected = v.Connected() })
	want := 0
	if connected && len(s.UUID) > 0 {
		want = 1
	}
	assert.Equal(h.t, want, acks, "acknowledgements of %v", s)
}

func (h *history) event() scheduler.Event {
	switch h.pick(17) {
	case 0:
		return scheduler.Disconnected{Reason: "fault"}
	case 1, 2:
		return scheduler.Subscribed{FrameworkID: "fw"}
	case 3, 4, 5:
		var offers []mesos.Offer
		for range h.pick(4) {
			h.offers++
			o := offer(fmt.Sprintf("o%d", h.offers), fmt.Sprintf("a%d", h.pick(3)))
			offers, h.ids = append(offers, o), append(h.ids, o.ID.Value)
		}
		return scheduler.Offered{Offers: offers}
	case 6:
		return scheduler.Rescinded{Offer: h.someOffer()}
	case 7, 8, 9:
		states := len(mesos.TaskState_name)
		s := status(h.someTask(), fmt.Sprintf("a%d", h.pick(3)), mesos.TaskState(h.pick(states)), "")
		if h.pick(3) > 0 {
			s.UUID = fmt.Appendf(nil, "u%d", h.pick(4))
		}
		if h.pick(4) == 0 {
			s.Reason = mesos.REASON_RECONCILIATION.Enum()
		}
		return scheduler.Updated{Status: s}
	case 10:
		return scheduler.AgentLost{Agent: fmt.Sprintf("a%d", h.pick(3))}
	case 11:
		if len(h.running) > 0 {
			name := h.running[0]
			h.running = h.running[1:]
			return scheduler.JobDone{Name: name}
		}
		return scheduler.JobDone{Name: "none"}
	case 13:
		s := mesos.OperationStatus{
			OperationID: &mesos.OperationID{Value: fmt.Sprint("op", h.pick(3))},
			State:       mesos.OperationState(h.pick(len(mesos.OperationState_name))),
		}
		if h.pick(2) == 0 {
			s.UUID = &mesos.UUID{Value: []byte("u")}
		}
		return scheduler.OperationUpdated{Status: s}
	case 12:
		if h.pick(20) == 0 {
			return scheduler.Removed{}
		}
		return scheduler.Command{ID: 1}
	}
	return scheduler.Tick{}
}

func (h *history) someTask() string { return fmt.Sprintf("t%d", h.pick(8)) }

func (h *history) someOffer() string {
	if len(h.ids) == 0 {
		return "none"
	}
	return h.ids[max(0, len(h.ids)-1-h.pick(6))]
}

func (h *history) handle(v scheduler.View, _ scheduler.Event) []scheduler.Action {
	if h.calm {
		return nil
	}
	var actions []scheduler.Action
	for range h.pick(4) {
		actions = append(actions, h.action(v))
	}
	return actions
}

func (h *history) action(v scheduler.View) scheduler.Action {
	offers := []mesos.OfferID{{Value: h.someOffer()}}
	if h.pick(3) == 0 {
		offers = append(offers, mesos.OfferID{Value: h.someOffer()})
	}
	until := v.Now().Add(time.Duration(h.pick(4)*h.pick(200)) * time.Second)
	switch h.pick(13) {
	case 0, 1, 2:
		for o := range v.Offers() {
			accept := launch(o, h.someTask())
			if h.pick(2) == 0 {
				accept.Operations = append(accept.Operations, mesos.Offer_Operation{
					Type: mesos.Offer_Operation_RESERVE, ID: &mesos.OperationID{Value: fmt.Sprint("op", h.pick(3))},
					Reserve: &mesos.Offer_Operation_Reserve{},
				})
			}
			return accept
		}
		return scheduler.Accept{Offers: offers}
	case 3:
		return scheduler.Decline{Offers: offers, Refuse: time.Duration(h.pick(3)) * time.Second}
	case 4:
		return scheduler.Hold{Offers: offers, Until: until}
	case 5:
		w := scheduler.Want{Offers: h.pick(3) > 0, Key: fmt.Sprint(h.pick(3)), Role: []string{"", "", "*", "b"}[h.pick(4)]}
		if h.pick(3) == 0 {
			w.Only = wanted([]string{"", "", []string{"r1", "r1,r2", "("}[h.pick(3)]}).Only
		}
		return w
	case 6, 7:
		return scheduler.Kill{Task: h.someTask(), Grace: time.Duration(h.pick(2)) * time.Second}
	case 8:
		return scheduler.Remember{Key: fmt.Sprint("k", h.pick(3)), Value: [][]byte{nil, {}, []byte("v")}[h.pick(3)]}
	case 9:
		return scheduler.Forget{Task: h.someTask()}
	case 10:
		return scheduler.Start{Job: scheduler.Job{Name: fmt.Sprint("j", h.pick(2))}}
	case 11:
		if h.pick(30) == 0 {
			return scheduler.Teardown{}
		}
		return scheduler.Register{Framework: mesos.FrameworkInfo{Roles: [][]string{nil, {"*", "b"}, {"*", "*"}}[h.pick(3)]}}
	}
	return scheduler.WakeAt{Time: until}
}

// checkRestore holds that a machine made from what was saved knows what the
// first one knows, and goes on in the same way once both have subscribed.
func (h *history) checkRestore() {
	h.calm = true
	h.now = h.now.Add(1000 * time.Hour) // past every step back of the clock
	h.apply(scheduler.Disconnected{Reason: "end"})
	restored := h.load()
	show := func(m *scheduler.Machine) (text string) {
		m.Look(func(v scheduler.View) { text = showView(v) + fmt.Sprintf("%x", v.Random("label")) })
		return text
	}
	require.Equal(h.t, show(h.machine), show(restored))
	for _, ev := range []scheduler.Event{
		scheduler.Subscribed{FrameworkID: "fw"},
		scheduler.Updated{Status: status("t1", "a1", mesos.TASK_RUNNING, "last")},
		scheduler.Updated{Status: status("t2", "a1", mesos.TASK_FINISHED, "last")},
	} {
		first, second := h.machine.Step(h.now, ev), restored.Step(h.now, ev)
		require.Equal(h.t, first.Save, second.Save)
		require.Equal(h.t, planned(first), planned(second))
	}
	require.Equal(h.t, show(h.machine), show(restored))
}

// planned leaves out what a process knows only of itself: the kills of tasks
// that are nobody's, what was wanted, and whether it asked for strangers.
func planned(e scheduler.Effects) (calls []string) {
	for _, call := range e.Send {
		switch call.Type {
		case sched.Call_KILL, sched.Call_SUPPRESS, sched.Call_REVIVE, sched.Call_UPDATE_FRAMEWORK:
			continue
		case sched.Call_RECONCILE:
			if len(call.Reconcile.Tasks) == 0 {
				continue
			}
		}
		calls = append(calls, showCall(call))
	}
	return calls
}
