package mesostest

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/mesokit/mesokit/internal/model"
	"github.com/mesokit/mesokit/internal/recordio"
)

const (
	typeJSON     = "application/json"
	typeProtobuf = "application/x-protobuf"
	streamHeader = "Mesos-Stream-Id"

	// maxBody bounds a call. The largest real ones, accepts of thousands
	// of tasks, are a few megabytes.
	maxBody = 256 << 20
)

// refusal is an error that becomes an HTTP status with a text.
type refusal struct {
	status int
	text   string
}

func (r refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) error {
	return refusal{status, fmt.Sprintf(format, args...)}
}

// fail answers with an error's status and text, as Mesos writes them.
func fail(w http.ResponseWriter, err error) {
	r := refusal{http.StatusInternalServerError, err.Error()}
	_ = errors.As(err, &r)
	switch r.status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Basic realm="mesos-master-scheduler"`)
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	}
	respond(w, r.status, r.text)
}

func respond(w http.ResponseWriter, status int, text string) {
	if text != "" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	w.WriteHeader(status)
	// The other end may be gone; there is nobody to tell.
	_, _ = io.WriteString(w, text)
}

// onlyPost refuses other methods.
func onlyPost(r *http.Request) error {
	if r.Method != http.MethodPost {
		return refuse(http.StatusMethodNotAllowed, "405 Method Not Allowed. Expecting one of { 'POST' }, but received '%s'.", r.Method)
	}
	return nil
}

// body reads a call's body and says in which of the two encodings it is.
func body(w http.ResponseWriter, r *http.Request) (data []byte, kind string, err error) {
	header := r.Header.Get("Content-Type")
	if header == "" {
		return nil, "", refuse(http.StatusBadRequest, "Expecting 'Content-Type' to be present")
	}
	kind, _, err = mime.ParseMediaType(header)
	if err != nil || kind != typeJSON && kind != typeProtobuf {
		return nil, "", refuse(http.StatusUnsupportedMediaType, "Expecting 'Content-Type' of %s or %s", typeJSON, typeProtobuf)
	}
	data, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, "", refuse(http.StatusRequestEntityTooLarge, "The call is larger than %d bytes", large.Limit)
	}
	if err != nil {
		return nil, "", refuse(http.StatusBadRequest, "Failed to read the body: %s", err)
	}
	return data, kind, nil
}

// accepts returns the encoding for a response; JSON where both will do.
func accepts(r *http.Request) (string, error) {
	accept := strings.Join(r.Header.Values("Accept"), ",")
	if accept == "" {
		return typeJSON, nil
	}
	protobuf := false
	for part := range strings.SplitSeq(accept, ",") {
		kind, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		switch strings.TrimSpace(kind) {
		case typeJSON, "*/*", "application/*":
			return typeJSON, nil
		case typeProtobuf:
			protobuf = true
		}
	}
	if protobuf {
		return typeProtobuf, nil
	}
	return "", refuse(http.StatusNotAcceptable, "Expecting 'Accept' to allow '%s' or '%s'", typeProtobuf, typeJSON)
}

func encode(kind string, msg proto.Message) ([]byte, error) {
	if kind == typeProtobuf {
		return proto.Marshal(msg)
	}
	return toJSON(msg), nil
}

// serveScheduler is the scheduler API: one call per request; the response to
// SUBSCRIBE goes on as long as the subscription.
func (m *master) serveScheduler(w http.ResponseWriter, r *http.Request) {
	principal, err := m.authenticate(r)
	if err == nil {
		err = onlyPost(r)
	}
	var call model.Call
	if err == nil {
		call, err = schedulerCall(w, r)
	}
	if err != nil {
		fail(w, err)
		return
	}
	call.Principal = principal
	call.Stream = r.Header.Get(streamHeader)
	m.c.noteCall(call.Call)
	if call.Call.Type == scheduler.Call_SUBSCRIBE {
		m.serveSubscribe(w, r, call)
		return
	}
	if reply, ok := m.receive(r, call.Call, func() model.Reply { return m.step(call) }); ok {
		respond(w, reply.Status, reply.Text)
	}
}

// receive waits until a scheduler's call has arrived, and returns the reply to
// it; see arrive.
func (m *master) receive(r *http.Request, call *scheduler.Call, arrived func() model.Reply) (model.Reply, bool) {
	msg := callMessage(call)
	return arrive(m.c, r, "calls of "+msg.FrameworkID, msg, arrived)
}

// arrive waits until a call has come its way, and returns the reply to it, or
// false if the caller did not wait for that. If the call is lost the connection
// breaks.
func arrive[T any](c *Cluster, r *http.Request, way string, msg Message, arrived func() T) (reply T, ok bool) {
	replies := make(chan T, 2) // it may arrive twice
	if !c.carry(way, msg, func() { replies <- arrived() }) {
		panic(http.ErrAbortHandler)
	}
	select {
	case reply := <-replies:
		return reply, true
	case <-r.Context().Done():
		return reply, false
	}
}

// authenticate returns who calls, or "" where nobody needs to say.
func (m *master) authenticate(r *http.Request) (string, error) {
	if len(m.c.cfg.Credentials) == 0 {
		return "", nil
	}
	user, password, ok := r.BasicAuth()
	secret, known := m.c.cfg.Credentials[user]
	if !ok || !known || subtle.ConstantTimeCompare([]byte(password), []byte(secret)) != 1 {
		return "", refuse(http.StatusUnauthorized, "401 Unauthorized.")
	}
	return user, nil
}

func schedulerCall(w http.ResponseWriter, r *http.Request) (model.Call, error) {
	data, kind, err := body(w, r)
	if err != nil {
		return model.Call{}, err
	}
	call := model.Call{Call: &scheduler.Call{}}
	if kind == typeProtobuf {
		if call.Constraints, data, err = constraintsFromWire(data); err == nil {
			err = proto.Unmarshal(data, call.Call)
		}
		if err != nil {
			return model.Call{}, refuse(http.StatusBadRequest, "Failed to parse body into Call protobuf")
		}
		return call, nil
	}
	v, err := parseJSON(data)
	if err == nil {
		err = fromJSON(v, call.Call, "Call")
	}
	if err == nil {
		call.Constraints, err = constraintsFromJSON(v)
	}
	if err != nil {
		return model.Call{}, refuse(http.StatusBadRequest, "%s", err)
	}
	return call, nil
}

func (m *master) serveSubscribe(w http.ResponseWriter, r *http.Request, call model.Call) {
	if call.Stream != "" {
		fail(w, refuse(http.StatusBadRequest, "Subscribe calls should not include the '%s' header", streamHeader))
		return
	}
	kind, err := accepts(r)
	if err != nil {
		fail(w, err)
		return
	}
	if _, ok := m.receive(r, call.Call, func() model.Reply { return model.Reply{} }); !ok {
		return
	}
	call.Stream = randomUUID()
	events, reply := m.subscribe(call)
	if reply.Status != http.StatusOK {
		respond(w, reply.Status, reply.Text)
		return
	}
	defer m.unsubscribe(call.Stream)
	w.Header().Set("Content-Type", kind)
	w.Header().Set(streamHeader, call.Stream)
	w.WriteHeader(http.StatusOK)
	arrived := newQueue[*scheduler.Event]()
	framework := call.Call.GetFrameworkID().GetValue()
	go m.deliver(r.Context(), "events of "+call.Stream, framework, events, arrived)
	stream(w, r, arrived, m.c.cfg.Heartbeat, func(e *scheduler.Event) ([]byte, error) {
		m.running.wait(r.Context())
		return encode(kind, e)
	}, &scheduler.Event{Type: scheduler.Event_HEARTBEAT})
}

// deliver carries the events of a stream until it ends.
func (m *master) deliver(ctx context.Context, way, framework string, events, arrived *queue[*scheduler.Event]) {
	defer arrived.close()
	events.each(ctx, func(e *scheduler.Event) {
		if e.Subscribed != nil {
			framework = e.Subscribed.FrameworkID.GetValue()
		}
		m.c.carry(way, eventMessage(e, framework), func() { arrived.push(e) })
	})
}

// stream writes events as records until the queue is closed or the other end
// has gone, with a heartbeat every now and then.
func stream[T any](w http.ResponseWriter, r *http.Request, events *queue[T], every time.Duration, encode func(T) ([]byte, error), heartbeat T) {
	control := http.NewResponseController(w)
	// Each record is written by itself, as Mesos does: there are clients that
	// take a chunk of the answer for one record.
	write := func(e T) error {
		record, err := encode(e)
		if err != nil {
			return err
		}
		if _, err := w.Write(recordio.Append(nil, record)); err != nil {
			return err
		}
		return control.Flush()
	}
	if control.Flush() != nil {
		return
	}
	var beat <-chan time.Time
	if every > 0 {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		beat = ticker.C
	}
	for begun := false; ; {
		items, open := events.take()
		for _, e := range items {
			if write(e) != nil {
				return
			}
			// The first heartbeat follows SUBSCRIBED at once.
			if !begun && beat != nil && write(heartbeat) != nil {
				return
			}
			begun = true
		}
		if !open {
			return
		}
		select {
		case <-events.signal:
		case <-beat:
			if write(heartbeat) != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}
