package scheduler

import (
	"cmp"
	"container/heap"
	"time"
)

// alarm is something that the machine does when its time has come.
type alarm struct {
	kind alarmKind
	key  string // the task, offer, operation or role it is about; empty where there is one only
}

type alarmKind int

const (
	alarmHold      alarmKind = iota // the hold of an offer ends
	alarmKill                       // a kill is repeated
	alarmAsk                        // a task that only its own answer can settle, see unsettled
	alarmOperation                  // an operation that has said nothing
	alarmReconcile                  // the next round of explicit reconciliation
	alarmImplicit                   // the next implicit reconciliation
	alarmRevive                     // a revive that came too soon after the last
	alarmHandler                    // the handler asked for a Tick
)

// agenda is when each alarm goes off. Equal alarms are one.
type agenda struct {
	at   map[alarm]time.Time
	heap alarmHeap // holds every alarm of at; also some that were dropped or set anew
}

type timedAlarm struct {
	alarm
	at time.Time
}

// set makes the alarm go off at the given time, in place of the time it had.
func (a *agenda) set(what alarm, at time.Time) {
	if a.at == nil {
		a.at = map[alarm]time.Time{}
	}
	a.at[what] = at
	heap.Push(&a.heap, timedAlarm{what, at})
	if len(a.heap) > 2*len(a.at)+64 {
		a.rebuild()
	}
}

func (a *agenda) drop(what alarm) { delete(a.at, what) }

func (a *agenda) has(what alarm) bool {
	_, ok := a.at[what]
	return ok
}

// next is when the first alarm goes off; zero: never.
func (a *agenda) next() time.Time {
	for len(a.heap) > 0 {
		if top := a.heap[0]; a.live(top) {
			return top.at
		}
		heap.Pop(&a.heap)
	}
	return time.Time{}
}

// due removes and returns the alarms that have gone off by now, ordered by
// time, kind and key.
func (a *agenda) due(now time.Time) []alarm {
	var due []alarm
	for at := a.next(); !at.IsZero() && !at.After(now); at = a.next() {
		what := heap.Pop(&a.heap).(timedAlarm).alarm
		delete(a.at, what)
		due = append(due, what)
	}
	return due
}

func (a *agenda) live(t timedAlarm) bool {
	at, ok := a.at[t.alarm]
	return ok && at.Equal(t.at)
}

// rebuild leaves out what is not live. The order of the map shows in the
// layout of the heap only, not in the order in which alarms leave it, which is
// total.
func (a *agenda) rebuild() {
	a.heap = a.heap[:0]
	for what, at := range a.at {
		a.heap = append(a.heap, timedAlarm{what, at})
	}
	heap.Init(&a.heap)
}

type alarmHeap []timedAlarm

func (h alarmHeap) Len() int      { return len(h) }
func (h alarmHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *alarmHeap) Push(x any)   { *h = append(*h, x.(timedAlarm)) }

func (h alarmHeap) Less(i, j int) bool {
	return cmp.Or(
		h[i].at.Compare(h[j].at),
		cmp.Compare(h[i].kind, h[j].kind),
		cmp.Compare(h[i].key, h[j].key),
	) < 0
}

func (h *alarmHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
