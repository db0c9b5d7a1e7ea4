package mesostest

import (
	"bytes"
	"strings"
	"time"

	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/mesokit/mesokit/internal/model"
	"github.com/mesokit/mesokit/internal/recordio"
	wireformat "github.com/mesokit/mesokit/internal/wire"
)

// listener is at the scheduler's end of a stream.
type listener interface {
	event(s *simStream, ev *sched.Event)
	ended(s *simStream, reason string)
}

// simStream is one subscription: events one way, calls the other.
type simStream struct {
	w       *World
	id      string
	to      listener
	closed  bool           // the master knows it no more
	left    bool           // the scheduler has ended it
	silent  bool           // no event arrives any more
	inbound int64          // when the last event arrives
	outward int64          // when the last call does
	flight  []*sched.Event // on their way to the scheduler, the oldest first
}

// open subscribes.
func (w *World) open(id string, to listener, subscribe *sched.Call) *simStream {
	s := &simStream{w: w, id: id, to: to}
	w.streams[id] = s
	s.send(subscribe)
	return s
}

// send makes a call. One that finds no leader, or another, is lost.
func (s *simStream) send(call *sched.Call) {
	w := s.w
	at := w.now + w.latency()
	if call.Type != sched.Call_SUBSCRIBE && s.to != listener(w.rival) {
		if pick, ok := w.take(CallsLate); ok {
			at += int64(pick%30_000) * int64(time.Millisecond)
		}
	}
	s.outward = max(at, s.outward)
	election := w.election
	w.agenda.add(s.outward, func() {
		if s.closed || w.master == nil || w.election != election {
			if call.Type == sched.Call_SUBSCRIBE {
				s.end("no leader")
			}
			return
		}
		if r := w.toMaster(model.Call{Stream: s.id, Call: call}); r.Status >= 400 && !s.closed {
			w.fail("the master refuses no call", "%s on stream %s: %d %s", call.Type, s.id, r.Status, r.Text)
		}
		if call.Type == sched.Call_TEARDOWN {
			s.end(tornDown)
		}
	})
}

const tornDown = "torn down"

// emit sends an event to the scheduler.
func (s *simStream) emit(ev *sched.Event) {
	w := s.w
	if s.left || s.silent {
		return
	}
	at := w.now + w.latency()
	if s.to != listener(w.rival) && ev.Type != sched.Event_HEARTBEAT {
		if pick, ok := w.take(EventsLate); ok {
			at += int64(pick%30_000) * int64(time.Millisecond)
		}
	}
	s.inbound = max(at, s.inbound)
	s.flight = append(s.flight, ev)
	w.agenda.add(s.inbound, func() {
		if s.left || s.silent || len(s.flight) == 0 {
			return
		}
		ev := s.flight[0]
		s.flight = s.flight[1:]
		s.arrive(ev)
	})
}

func (s *simStream) arrive(ev *sched.Event) {
	if ev.Type == sched.Event_ERROR {
		s.end(ev.GetError().GetMessage())
		return
	}
	s.to.event(s, ev)
}

// close ends the stream from the master's side: what was said before arrives.
func (s *simStream) close(latency int64) {
	s.w.agenda.add(max(s.w.now+latency, s.inbound), func() { s.end("the stream ended") })
}

// end ends the stream for the scheduler.
func (s *simStream) end(reason string) {
	if s.left {
		return
	}
	s.drop()
	s.to.ended(s, reason)
}

// drop ends the stream and tells the master only, as when the scheduler dies.
// Calls that have left arrive before.
func (s *simStream) drop() {
	if s.left {
		return
	}
	s.left = true
	w := s.w
	election := w.election
	w.agenda.add(max(w.now+w.latency(), s.outward), func() {
		s.closed = true
		delete(w.streams, s.id)
		if w.election == election && w.master != nil {
			w.toMaster(model.StreamClosed{Stream: s.id})
		}
	})
	s.silent, s.flight = true, nil
}

// cut breaks the stream in the middle of what is on its way: the frames are
// made, cut at a byte, and read again as a scheduler reads them.
func (s *simStream) cut(pick int) {
	var frames []byte
	for _, ev := range s.flight {
		data, err := ev.Marshal()
		if err != nil {
			s.w.fail("events can be encoded", "%s: %v", ev.Type, err)
			return
		}
		frames = recordio.Append(frames, data)
	}
	rest := recordio.NewReader(bytes.NewReader(frames[:pick%(len(frames)+1)]), 0)
	for !s.left {
		frame, err := rest.Next()
		if err != nil {
			break
		}
		ev, err := wireformat.Event(frame)
		if err != nil {
			s.w.fail("events can be decoded", "%v", err)
			return
		}
		s.arrive(ev)
	}
	s.end("the stream broke")
}

// failedOver and removed say what the text of an ERROR means, as the scheduler
// reads it.
func failedOver(reason string) bool { return strings.Contains(reason, "failed over") }

func removed(reason string) bool {
	return strings.Contains(reason, "has been removed") || strings.Contains(reason, "Completed framework")
}
