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

	"github.com/mesokit/mesokit/internal/recordio"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// scriptedMaster is a master that does what a test tells it, over real HTTP.
type scriptedMaster struct {
	*httptest.Server
	t       testing.TB
	streams chan *scriptedStream
	calls   chan received

	mu     sync.Mutex
	number int
	// answer overrules the reply to a call: zero means success. location goes
	// with it.
	answer func(*http.Request, *sched.Call) (code int, body, location string)
}

// received is a call other than SUBSCRIBE that was answered with success.
type received struct {
	*sched.Call
	streamID string
}

func newMaster(t testing.TB) *scriptedMaster {
	m := &scriptedMaster{
		t:       t,
		streams: make(chan *scriptedStream, 16),
		calls:   make(chan received, 4096),
		answer:  func(*http.Request, *sched.Call) (int, string, string) { return 0, "", "" },
	}
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	return m
}

func (m *scriptedMaster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var call sched.Call
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = call.Unmarshal(body)
	}
	if err != nil {
		m.t.Errorf("call: %v", err)
	}
	m.mu.Lock()
	answer := m.answer
	m.mu.Unlock()
	if code, text, location := answer(r, &call); code != 0 {
		if location != "" {
			w.Header().Set("Location", location)
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, text)
		return
	}
	if !strings.HasSuffix(r.URL.Path, "/api/v1/scheduler") {
		m.t.Errorf("path %q", r.URL.Path)
	}
	id := r.Header.Get("Mesos-Stream-Id")
	if call.Type != sched.Call_SUBSCRIBE {
		m.calls <- received{&call, id}
		w.WriteHeader(http.StatusAccepted)
		return
	}
	if id != "" {
		m.t.Errorf("SUBSCRIBE with stream id %q", id)
	}
	m.serveStream(w, r, &call)
}

func (m *scriptedMaster) serveStream(w http.ResponseWriter, r *http.Request, call *sched.Call) {
	m.mu.Lock()
	m.number++
	s := &scriptedStream{id: fmt.Sprintf("stream-%d", m.number), call: call, frames: make(chan []byte, 16), gone: make(chan struct{})}
	m.mu.Unlock()
	defer close(s.gone)
	w.Header().Set("Mesos-Stream-Id", s.id)
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	m.streams <- s
	for {
		select {
		case frame, ok := <-s.frames:
			if !ok {
				panic(http.ErrAbortHandler)
			}
			_, _ = w.Write(frame)
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func (m *scriptedMaster) replies(answer func(*http.Request, *sched.Call) (int, string, string)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answer = answer
}

func (m *scriptedMaster) address() string { return strings.TrimPrefix(m.URL, "http://") }

// stream waits for the next subscription.
func (m *scriptedMaster) stream() *scriptedStream {
	m.t.Helper()
	select {
	case s := <-m.streams:
		return s
	case <-time.After(patience):
		m.t.Fatal("nobody subscribed")
		return nil
	}
}

// subscribed waits for the next subscription and accepts it.
func (m *scriptedMaster) subscribed() *scriptedStream {
	m.t.Helper()
	s := m.stream()
	s.send(subscribedEvent("fw-1", 15))
	return s
}

// call waits for the next call of a type; others are passed over.
func (m *scriptedMaster) call(want sched.Call_Type) received {
	m.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case got := <-m.calls:
			if got.Type == want {
				return got
			}
		case <-timeout:
			m.t.Fatalf("no %s came", want)
		}
	}
}

// scriptedStream is the master's side of one subscription.
type scriptedStream struct {
	id     string
	call   *sched.Call
	frames chan []byte
	gone   chan struct{} // closed when the stream is
}

func (s *scriptedStream) send(events ...*sched.Event) {
	for _, ev := range events {
		b, err := ev.Marshal()
		if err != nil {
			panic(err)
		}
		s.frames <- recordio.Append(nil, b)
	}
}

// cut ends the stream after some bytes that are no whole record.
func (s *scriptedStream) cut(rest string) {
	s.frames <- []byte(rest)
	close(s.frames)
}

func subscribedEvent(id string, heartbeat float64) *sched.Event {
	return &sched.Event{Type: sched.Event_SUBSCRIBED, Subscribed: &sched.Event_Subscribed{
		FrameworkID: &mesos.FrameworkID{Value: id}, HeartbeatIntervalSeconds: &heartbeat,
	}}
}

func errorEvent(message string) *sched.Event {
	return &sched.Event{Type: sched.Event_ERROR, Error: &sched.Event_Error{Message: message}}
}

func offersEvent(offers ...mesos.Offer) *sched.Event {
	return &sched.Event{Type: sched.Event_OFFERS, Offers: &sched.Event_Offers{Offers: offers}}
}

func updateEvent(status mesos.TaskStatus) *sched.Event {
	return &sched.Event{Type: sched.Event_UPDATE, Update: &sched.Event_Update{Status: status}}
}

func offer(id, agent string) mesos.Offer {
	return mesos.Offer{
		ID: mesos.OfferID{Value: id}, AgentID: mesos.AgentID{Value: agent},
		FrameworkID: mesos.FrameworkID{Value: "fw-1"}, Hostname: agent + ".test",
		Resources: []mesos.Resource{scalar("cpus", 4), scalar("mem", 2048)},
	}
}

func scalar(name string, value float64) mesos.Resource {
	return mesos.Resource{Name: name, Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: value}}
}

func status(task, agent string, state mesos.TaskState, uuid string) mesos.TaskStatus {
	s := mesos.TaskStatus{TaskID: mesos.TaskID{Value: task}, State: state.Enum()}
	if agent != "" {
		s.AgentID = &mesos.AgentID{Value: agent}
	}
	if uuid != "" {
		s.UUID = []byte(uuid)
	}
	return s
}
