package mesostest

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosexec "github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/mesokit/mesokit/executor"
)

// supervision is what package executor does for a task whose data it
// understands: the server starts when its secrets have come and its lease is
// granted, and does not outlive the lease. Files, steps and probes are in the
// task's plan, as far as they take time.
type supervision struct {
	executor.Task
	missing []string // secrets
	waits   bool     // for its lease, before the server starts
	// The lease, by the machine's own clock, which is up to 4.5 % slower or
	// faster than that of the world.
	within time.Duration
	asked  []int64 // when each attempt was made; its index is its number
	until  int64   // 0: it was never granted
	ending bool    // Lease.End is under way
	lapsed bool    // Lease.End is done, and the server stayed
}

// helloEvery is how often secrets are asked for.
const helloEvery = 2 * time.Second

// supervise prepares a task that package executor would carry out, and reports
// whether it is one.
func (w *World) supervise(t *simTask) bool {
	if t.info.Executor == nil || len(t.info.Data) == 0 || t.executor.owner == nil {
		return false
	}
	s := &supervision{}
	if json.Unmarshal(t.info.Data, &s.Task) != nil || len(s.Command) == 0 {
		return false
	}
	t.own = s
	for _, file := range s.Secrets {
		s.missing = append(s.missing, file.Name)
	}
	if s.Lease != nil {
		slower := int64(w.luck("clock", t.executor.agent.cfg.Hostname)%91) - 45
		s.within = s.Lease.Within + s.Lease.Within/1000*time.Duration(slower)
	}
	if len(s.missing) > 0 {
		w.hello(t)
	} else {
		w.prepared(t)
	}
	return true
}

// over says whether nothing is to be done for the task any more.
func (t *simTask) over() bool { return t.ending || t.executor.over }

// hello asks for the secrets that are missing, again and again.
func (w *World) hello(t *simTask) {
	if t.over() || len(t.own.missing) == 0 {
		return
	}
	w.tells(t, executor.Hello{Task: t.info.TaskID.Value, Secrets: slices.Clone(t.own.missing)})
	w.after(helloEvery, func() { w.hello(t) })
}

// prepared begins with the steps before the server, and then asks for the lease.
func (w *World) prepared(t *simTask) {
	w.after(t.plan.Start+time.Millisecond, func() {
		if t.own.Lease == nil {
			w.runs(t)
			return
		}
		t.own.waits = true
		w.renew(t)
	})
}

// renew asks for the lease four times in a term, as long as the task lives.
func (w *World) renew(t *simTask) {
	if t.ended || t.executor.over {
		return
	}
	if !t.deaf {
		t.own.asked = append(t.own.asked, w.now)
		w.tells(t, executor.Renew{Task: t.info.TaskID.Value, Number: len(t.own.asked) - 1})
	}
	w.after(t.own.within/4, func() { w.renew(t) })
}

// tells sends a message to the scheduler, which may not arrive.
func (w *World) tells(t *simTask, m executor.Message) {
	if t.deaf {
		return
	}
	data, err := executor.EncodeMessage(m)
	if err != nil {
		w.fail("messages of executors can be encoded", "%s: %v", t.info.TaskID.Value, err)
		return
	}
	w.call(t.executor, &mesosexec.Call{Type: mesosexec.Call_MESSAGE, Message: &mesosexec.Call_Message{Data: data}})
}

// told takes in a message of the scheduler.
func (w *World) told(e *simExecutor, data []byte) {
	m, err := executor.DecodeMessage(data)
	if err == nil {
		switch m := m.(type) {
		case executor.Secret:
			if t := e.task(m.Task); t != nil && t.own != nil && !t.deaf {
				w.secret(t, m.Name)
			}
			return
		case executor.Grant:
			if t := e.task(m.Task); t != nil && t.own != nil && !t.deaf {
				w.granted(t, m.Number)
			}
			return
		}
	}
	if e.owner == nil || e.owner.Hear == nil {
		return
	}
	for _, t := range e.tasks {
		if !t.runs || t.deaf {
			continue
		}
		for _, answer := range e.owner.Hear(w, t.shown(), data) {
			w.call(e, &mesosexec.Call{Type: mesosexec.Call_MESSAGE, Message: &mesosexec.Call_Message{Data: answer}})
		}
	}
}

func (w *World) secret(t *simTask, name string) {
	s := t.own
	if !slices.Contains(s.missing, name) || t.over() {
		return
	}
	if s.missing = slices.DeleteFunc(s.missing, func(n string) bool { return n == name }); len(s.missing) == 0 {
		w.update(t, mesos.TASK_STARTING, "secrets written")
		w.prepared(t)
	}
}

// granted lengthens the lease: it holds from when it was asked for.
func (w *World) granted(t *simTask, number int) {
	s := t.own
	if s.Lease == nil || s.ending || t.ended || t.executor.over || number < 0 || number >= len(s.asked) {
		return
	}
	until := s.asked[number] + int64(s.within)
	if until <= max(s.until, w.now) {
		return
	}
	s.until = until
	if s.lapsed && !t.hangs {
		s.lapsed = false
		if f := t.executor.owner; f.Again != nil {
			f.Again(w, t.shown())
		}
	}
	if s.waits {
		s.waits = false
		w.update(t, mesos.TASK_STARTING, "lease granted")
		w.runs(t)
	}
	w.agenda.add(until, func() {
		if s.until == until && !t.ended && !t.executor.over {
			w.lapse(t)
		}
	})
}

// lapse ends the lease. What makes the server harmless takes as long as it may
// at most; then the server is killed, by the guard if the executor is frozen.
func (w *World) lapse(t *simTask) {
	s := t.own
	if w.tell != nil {
		w.say("the lease of %s ends", t.info.TaskID.Value)
	}
	if s.Lease.End == nil {
		w.lapsed(t)
		return
	}
	s.ending = true
	takes := s.Lease.End.Timeout
	if !t.hangs && !t.deaf {
		takes = time.Duration(w.luck("lapse", t.info.TaskID.Value, w.Now().String()) % uint64(max(1, takes)))
	}
	w.after(takes, func() {
		s.ending = false
		if t.ended || t.executor.over {
			return
		}
		f := t.executor.owner
		if !t.hangs && !t.deaf && f.Lapse != nil && f.Lapse(w, t.shown()) {
			s.lapsed = true // it stays
			return
		}
		w.lapsed(t)
	})
}

func (w *World) lapsed(t *simTask) {
	if t.deaf { // its guard kills the server, and nobody tells
		t.ending = true
		w.rules.stopped(w, t)
		return
	}
	w.ended(t, mesos.TASK_FAILED, "lease ended: no grant for "+t.own.Lease.Within.String())
}

// graceOf is how long a server may take to stop before it is killed.
func (t *simTask) graceOf(policy *mesos.KillPolicy) time.Duration {
	if g := policy.GetGracePeriod(); g != nil {
		return time.Duration(g.Nanoseconds)
	}
	if t.own != nil {
		return cmp.Or(t.own.Stop.Grace, 30*time.Second)
	}
	return 3 * time.Second
}

// atOnce is a grace with which package executor kills without asking.
const atOnce = time.Millisecond
