package mesostest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/mesokit/mesokit/internal/recordio"
)

// TestMain lets the test binary serve as the custom executor of its tests.
func TestMain(m *testing.M) {
	if os.Getenv("MESOSTEST_PROBE_EXECUTOR") != "" {
		if err := runProbeExecutor(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// dig walks into nested objects; it returns nil where there is nothing.
func dig(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			o, _ := v.(object)
			v = o[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

func text(v any, path ...any) string { s, _ := dig(v, path...).(string); return s }

// probe is a scheduler that speaks plain JSON.
type probe struct {
	t        testing.TB
	url      string
	id       string
	stream   string
	auth     func(*http.Request)
	cancel   func()
	mu       sync.Mutex
	events   []any
	seen     map[string]bool // UUIDs of updates
	closed   bool
	changed  chan struct{}
	status   int
	refused  string
	response http.Header
}

var capabilities = []object{{"type": "MULTI_ROLE"}, {"type": "PARTITION_AWARE"}, {"type": "RESERVATION_REFINEMENT"}}

func frameworkInfo(roles ...string) object {
	return object{"user": currentUser(), "name": "probe", "roles": roles, "capabilities": capabilities, "failover_timeout": 30, "checkpoint": true}
}

// currentUser is who tasks run as: only root can run them as somebody else.
func currentUser() string { return "root" }

// client opens a connection for each request: one that is kept may be of a
// master that was stopped since. It follows no redirect.
var client = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// subscribe opens a subscription and reads its events in the background.
func subscribe(t testing.TB, url string, call object, auth func(*http.Request)) *probe {
	t.Helper()
	p := &probe{t: t, url: url + "/api/v1/scheduler", changed: make(chan struct{}), auth: auth, seen: map[string]bool{}}
	b, err := json.Marshal(call)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if auth != nil {
		auth(req)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	p.cancel = func() { _ = resp.Body.Close() }
	t.Cleanup(p.cancel)
	p.status, p.stream, p.response = resp.StatusCode, resp.Header.Get("Mesos-Stream-Id"), resp.Header
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(resp.Body)
		p.refused = string(b)
		return p
	}
	go p.read(resp.Body)
	return p
}

func (p *probe) read(body io.Reader) {
	r := recordio.NewReader(body, 0)
	for {
		b, err := r.Next()
		p.mu.Lock()
		if err != nil {
			p.closed = true
		} else {
			var e any
			if json.Unmarshal(b, &e) == nil && text(e, "type") != "HEARTBEAT" {
				p.events = append(p.events, e)
			}
		}
		close(p.changed)
		p.changed = make(chan struct{})
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// next takes the first queued event that the condition holds for.
func (p *probe) next(limit time.Duration, want func(any) bool) (any, bool) {
	after := time.After(limit)
	for {
		p.mu.Lock()
		for i, e := range p.events {
			if want(e) {
				p.events = append(p.events[:i:i], p.events[i+1:]...)
				p.mu.Unlock()
				return e, true
			}
		}
		changed, closed := p.changed, p.closed
		p.mu.Unlock()
		if closed {
			return nil, false
		}
		select {
		case <-changed:
		case <-after:
			return nil, false
		}
	}
}

// expect takes the next event of a type and fails the test if none comes.
func (p *probe) expect(kind string) any {
	p.t.Helper()
	e, ok := p.next(patience, func(e any) bool { return text(e, "type") == kind })
	if !ok {
		p.t.Fatalf("no %s event", kind)
	}
	return e
}

// expectUpdate takes the next update of a task that is not a repetition, and
// checks its state. It acknowledges repetitions as well: the first acknowledgement
// may have got lost with an agent, which sends no later update before it has one.
func (p *probe) expectUpdate(task, state string) any {
	p.t.Helper()
	for {
		e, ok := p.next(patience, func(e any) bool {
			return text(e, "type") == "UPDATE" && text(e, "update", "status", "task_id", "value") == task
		})
		if !ok {
			p.t.Fatalf("no update of %s, want %s", task, state)
		}
		status := dig(e, "update", "status")
		uuid := text(status, "uuid")
		again := p.seen[uuid]
		if got := text(status, "state"); got != state && !again {
			p.t.Fatalf("%s is %s (%s), want %s", task, got, text(status, "message"), state)
		}
		if uuid != "" {
			p.seen[uuid] = true
			p.call(object{"type": "ACKNOWLEDGE", "acknowledge": object{
				"agent_id": dig(status, "agent_id"), "task_id": dig(status, "task_id"), "uuid": uuid,
			}})
		}
		if !again {
			return status
		}
	}
}

// waitClosed waits for the end of the stream.
func (p *probe) waitClosed(limit time.Duration) bool {
	after := time.After(limit)
	for {
		p.mu.Lock()
		closed, changed := p.closed, p.changed
		p.mu.Unlock()
		if closed {
			return true
		}
		select {
		case <-changed:
		case <-after:
			return false
		}
	}
}

// post sends a call on this subscription and returns status and body.
func (p *probe) post(call object, stream string) (int, string) {
	p.t.Helper()
	b, err := json.Marshal(call)
	if err != nil {
		p.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.url, bytes.NewReader(b))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if stream != "" {
		req.Header.Set("Mesos-Stream-Id", stream)
	}
	if p.auth != nil {
		p.auth(req)
	}
	resp, err := client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// call sends a call and fails the test unless it is accepted.
func (p *probe) call(c object) {
	p.t.Helper()
	c["framework_id"] = object{"value": p.id}
	if status, body := p.post(c, p.stream); status != http.StatusAccepted && status != http.StatusOK {
		p.t.Fatalf("%s: %d %s", c["type"], status, body)
	}
}

// newProbe subscribes a framework and waits for its ID.
func newProbe(t testing.TB, c *Cluster, info object) *probe {
	t.Helper()
	p := subscribe(t, c.URL(), object{"type": "SUBSCRIBE", "subscribe": object{"framework_info": info}}, nil)
	if p.status != http.StatusOK {
		t.Fatalf("SUBSCRIBE: %d %s", p.status, p.refused)
	}
	p.id = text(p.expect("SUBSCRIBED"), "subscribed", "framework_id", "value")
	return p
}

func scalar(name string, v float64) object {
	return object{"name": name, "type": "SCALAR", "scalar": object{"value": v}}
}

// probeCommand runs this test binary as the probe executor.
func probeCommand(t testing.TB) object {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return object{"value": self, "shell": false, "arguments": []string{self},
		"environment": object{"variables": []object{{"name": "MESOSTEST_PROBE_EXECUTOR", "value": "1"}}}}
}

// launch accepts an offer with tasks.
func (p *probe) launch(offer any, tasks ...object) {
	p.t.Helper()
	for _, task := range tasks {
		task["name"], task["agent_id"] = text(task, "task_id", "value"), dig(offer, "agent_id")
		if task["resources"] == nil {
			task["resources"] = []object{scalar("cpus", 0.1), scalar("mem", 32)}
		}
	}
	p.call(object{"type": "ACCEPT", "accept": object{
		"offer_ids":  []any{dig(offer, "id")},
		"operations": []object{{"type": "LAUNCH", "launch": object{"task_infos": tasks}}},
		"filters":    object{"refuse_seconds": 0},
	}})
}

func task(id string, fields object) object {
	fields["task_id"] = object{"value": id}
	return fields
}
