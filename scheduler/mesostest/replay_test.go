package mesostest

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mesokit/mesokit/internal/dist/disttest"
)

// TestRecordings replays what was sent to a real Mesos and compares what comes
// back: status, text and headers of replies, and the events of each stream in
// order. Placeholders are mapped by first appearance.
func TestRecordings(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/recordings/*.jsonl")
	if err != nil || len(files) < 43 {
		t.Fatalf("%d recordings, %v; want 43", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newReplay(t, name, file).run()
		})
	}
}

// replay is one recording on its way.
type replay struct {
	t       *testing.T
	name    string
	lines   []object
	c       *Cluster
	b       *bindings
	probes  map[string]*probe
	offers  map[*probe][]any // came and not yet asked for
	extra   map[string]any
	seen    string // all that was asked for so far
	seenLog map[string]int
}

func newReplay(t *testing.T, name, file string) *replay {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r := &replay{t: t, name: name, b: newBindings(), probes: map[string]*probe{}, offers: map[*probe][]any{}, seenLog: map[string]int{}}
	s := bufio.NewScanner(bytes.NewReader(data))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var line object
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		r.lines = append(r.lines, line)
	}
	options := []Option{Configure(func(c *Config) {
		c.AllocationInterval, c.PingInterval, c.MaxMissedPings = 500*time.Millisecond, time.Second, 3
		c.MinOffer, c.Region, c.Zone = "cpus:0.01|mem:32|disk:1", "eu", "eu-1"
		if name == "basic_auth" {
			c.Credentials = map[string]string{"probe": "secret"}
		}
		if name == "two_masters_on_zookeeper" {
			c.ZooKeeper, c.Standbys = "zk://"+disttest.ZooKeeper(t, sessions).Address+"/mesos", 1
		}
	})}
	for i, rack := range []string{"r1", "r1", "r2"} {
		n := i + 1
		options = append(options, With(AgentConfig{
			Hostname: fmt.Sprintf("host%d.test", n), Address: "127.0.0.1", Region: "eu", Zone: fmt.Sprintf("eu-%d", n),
			Resources:     "cpus:4;mem:2048;disk:4096;ports:[31000-31099]",
			Attributes:    fmt.Sprintf("rack:%s;zone:z%d;level:%d;span:[10-20,30-40]", rack, n, n),
			ShutdownGrace: 2 * time.Second, RegistrationTimeout: 20 * time.Second, ReregistrationTimeout: 2 * time.Second,
		}))
	}
	r.c = New(t, options...)
	r.c.WaitAgents(t, 3)
	r.extra = map[string]any{"<artifacts>": artifacts(t), "python3 <executor>/probe_executor.py": probeEnvironment + " exec " + selfPath(t)}
	return r
}

func selfPath(t *testing.T) string {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return self
}

func (r *replay) run() {
	for i := 1; i < len(r.lines); i++ {
		line := r.lines[i]
		if line == nil {
			continue // done ahead of its turn
		}
		r.lines[i] = nil
		r.before(i, line)
		switch {
		case line["send"] != nil:
			r.send(i, line)
		case line["event"] != nil:
			r.event(i, line)
		case line["closed"] != nil:
			r.closed(i, line)
		case line["executor"] != nil:
			r.executor(i, line)
		case line["sandbox"] != nil:
			r.sandbox(i, line)
		case line["zookeeper"] != nil:
			r.zookeeper(i, line)
		}
		r.seen += show(line)
	}
}

func (r *replay) fail(i int, format string, args ...any) {
	r.t.Helper()
	r.t.Fatalf("line %d: %s", i+1, fmt.Sprintf(format, args...))
}

// before does to the cluster what was done before a line was recorded.
func (r *replay) before(i int, line object) {
	note, _ := line["note"].(string)
	reason := text(line, "event", "update", "status", "reason")
	var err error
	switch {
	case note == "the agent is stopped",
		r.name == "agent_lost_without_partition_awareness" && text(line, "event", "type") == "RESCIND":
		r.agentOf("t1").Kill()
	case note == "the agent is started again, with its old work directory",
		r.name == "agent_lost_without_partition_awareness" && reason == "REASON_AGENT_REREGISTERED":
		err = r.agentOf("t1").Start()
	case strings.HasPrefix(note, "agent process restarted"):
		err = r.agentOf("t1").Restart()
	case strings.HasPrefix(note, "the master is killed"):
		err = r.c.RestartMaster()
	case strings.HasPrefix(note, "the leading master is killed"):
		r.c.StopMaster()
	case r.name == "two_masters_on_zookeeper" && line["who"] == "f1'" && dig(line, "reply", "status") == 200.0:
		r.c.WaitLeader(r.t)
	case strings.HasPrefix(note, "6 s after the close"):
		r.waitFor(func() bool { _, ok := r.c.Task("t1"); return ok && len(r.c.Tasks()) == 0 })
	}
	if err != nil {
		r.fail(i, "%s", err)
	}
}

func (r *replay) waitFor(condition func() bool) {
	r.t.Helper()
	r.c.wait(r.t, condition, func() string { return "condition of the recording" })
}

func (r *replay) agentOf(task string) *Agent {
	x, _ := r.c.Task(task)
	for _, a := range r.c.Agents() {
		if a.ID() == x.AgentID {
			return a
		}
	}
	r.t.Fatalf("no agent runs %s", task)
	return nil
}

// closed expects the end of a stream. Where the scheduler ended it itself, no
// call stands next to the line that would make the master do so.
func (r *replay) closed(i int, line object) {
	p := r.probes[line["who"].(string)]
	if r.name == "disconnect_and_resubscribe_keeps_tasks" && line["who"] == "f1" || r.name == "failover_timeout_expires_and_removes_framework" && line["who"] == "f1" {
		p.cancel()
		return
	}
	if p.waitClosed(500 * time.Millisecond) {
		return
	}
	r.sendAhead(i, "TEARDOWN", "SUBSCRIBE")
	if !p.waitClosed(patience) {
		r.fail(i, "the stream of %s is not closed", line["who"])
	}
}

// sendAhead does the next call now, if it is one of those and all that it names
// is known: a recorder notes a call when its reply is in, and events may come
// before that.
func (r *replay) sendAhead(i int, calls ...string) bool {
	for j := i + 1; j < len(r.lines); j++ {
		next := r.lines[j]
		if next == nil || next["event"] != nil || next["closed"] != nil {
			continue
		}
		if next["send"] == nil {
			return false
		}
		body := dig(next, "send", "body")
		if _, known := r.b.fill(body, r.fills()); !known || !slices.Contains(calls, text(body, "type")) {
			return false
		}
		r.lines[j] = nil
		r.send(j, next)
		return true
	}
	return false
}

// fills are the placeholders of what is sent that need a value of the right
// kind.
func (r *replay) fills() map[string]any {
	out := map[string]any{"<time>": int64(time.Second)}
	if r.name == "maintenance_inverse_offers" {
		out["<time>"] = time.Now().Add(time.Hour).UnixNano()
	}
	maps.Copy(out, r.extra)
	return out
}

func (r *replay) send(i int, line object) {
	body, known := r.b.fill(dig(line, "send", "body"), r.fills())
	if !known {
		r.fail(i, "not all placeholders are known in %s", show(body))
	}
	call := text(body, "type")
	who := line["who"].(string)
	if call == "SUBSCRIBE" && who != "op" && !strings.HasPrefix(who, "standby") {
		p := subscribe(r.t, r.url(who), body.(object), r.auth(who))
		r.probes[who] = p
		reply := object{"status": float64(p.status), "body": p.refused, "stream_id": p.stream != ""}
		r.compareReply(i, line, reply, p.response)
		return
	}
	reply, header := r.post(i, line, body)
	r.compareReply(i, line, reply, header)
}

// auth is who was who in the recording of basic authentication.
func (r *replay) auth(who string) func(*http.Request) {
	if r.name != "basic_auth" || who == "f1" {
		return nil
	}
	password := "secret"
	if who == "f2" {
		password = "wrong"
	}
	return func(req *http.Request) { req.SetBasicAuth("probe", password) }
}

func (r *replay) post(i int, line object, body any) (object, http.Header) {
	data, _ := json.Marshal(body)
	if raw, ok := body.(string); ok {
		data = []byte(raw)
	}
	headers, _ := dig(line, "send", "headers").(object)
	if headers["Content-Type"] == "application/x-protobuf" {
		data, _ = base64.StdEncoding.DecodeString(body.(string))
	}
	req, err := http.NewRequestWithContext(r.t.Context(), text(line, "send", "method"), r.url(line["who"].(string))+text(line, "send", "path"), bytes.NewReader(data))
	if err != nil {
		r.fail(i, "%s", err)
	}
	for k, v := range headers {
		req.Header.Set(k, v.(string))
	}
	who := line["who"].(string)
	if p := r.probes[who]; p != nil {
		req.Header.Set("Content-Type", typeJSON)
		switch dig(line, "send", "stream_id") {
		case true:
			req.Header.Set(streamHeader, p.stream)
		case "other":
			req.Header.Set(streamHeader, randomUUID())
		}
		if auth := r.auth(who); auth != nil {
			auth(req)
		}
	}
	if strings.Contains(text(line, "reply", "body"), "Subscribe calls should not include") {
		req.Header.Set(streamHeader, randomUUID())
	}
	resp, err := client.Do(req)
	if err != nil {
		r.fail(i, "%s", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.fail(i, "%s", err)
	}
	reply := object{"status": float64(resp.StatusCode), "body": string(b)}
	var v any
	if json.Unmarshal(b, &v) == nil {
		reply["body"] = v
	}
	return reply, resp.Header
}

func (r *replay) compareReply(i int, line, reply object, header http.Header) {
	want := dig(line, "reply").(object)
	if _, ok := want["stream_id"]; !ok {
		delete(reply, "stream_id")
	}
	if _, ok := want["body"]; !ok {
		delete(reply, "body")
	}
	if hs, ok := want["headers"].(object); ok {
		got := object{}
		for k := range hs {
			if k == "transfer-encoding" { // Go's client takes it off
				got[k] = hs[k]
			} else if v := header.Get(k); v != "" {
				got[k] = v
			}
		}
		reply["headers"] = got
	}
	if err := r.b.match(want, reply, "reply"); err != nil {
		r.fail(i, "%s: %s", show(dig(line, "send", "body", "type")), err)
	}
}

// executor compares with what the probe executor saw and sent.
func (r *replay) executor(i int, line object) {
	want := line["executor"].(object)
	kind := "event"
	if want["env"] != nil {
		kind = "env"
	} else if want["send"] != nil {
		kind = "send"
	}
	framework := ""
	for k, v := range r.b.value {
		if strings.HasPrefix(k, "<framework") {
			framework = v
		}
	}
	n := r.seenLog[kind]
	r.seenLog[kind]++
	var entries []object
	// It writes when it gets to it.
	r.waitFor(func() bool { entries = r.probeLog(framework, kind); return len(entries) > n })
	got := entries[n]
	if kind == "send" {
		got["status"], got["body"] = 202.0, ""
	}
	want = allowedExecutor(want)
	if err := r.b.match(want, got, "executor"); err != nil {
		r.fail(i, "%s", err)
	}
}

// probeLog are the lines of a kind that the probe executor has written.
func (r *replay) probeLog(framework, kind string) []object {
	var entries []object
	for _, a := range r.c.Agents() {
		data, err := os.ReadFile(filepath.Join(a.Sandbox(framework, "ex1"), probeLog))
		if err != nil {
			continue
		}
		for b := range bytes.Lines(data) {
			var o object
			const recorded = "python3 <executor>/probe_executor.py"
			b = bytes.ReplaceAll(b, []byte(r.extra[recorded].(string)), []byte(recorded))
			if json.Unmarshal(b, &o) == nil && o[kind] != nil {
				entries = append(entries, o)
			}
		}
	}
	return entries
}

// sandbox compares what a task printed.
func (r *replay) sandbox(i int, line object) {
	framework := r.b.value["<framework-1>"]
	dir := r.agentOf("t1").Sandbox(framework, "t1")
	out, err := os.ReadFile(filepath.Join(dir, "stdout"))
	if err != nil {
		r.fail(i, "%s", err)
	}
	var got []any
	for s := range strings.Lines(string(out)) {
		if s = strings.TrimRight(s, "\n"); !strings.HasPrefix(s, "MESOSTEST") {
			got = append(got, s)
		}
	}
	want := allowedOutput(dig(line, "sandbox", "stdout").([]any))
	if err := r.b.match(want, got, "stdout"); err != nil {
		r.fail(i, "%s\n%s", err, out)
	}
	stderr, err := os.ReadFile(filepath.Join(dir, "stderr"))
	if err != nil || !strings.Contains(string(stderr), "oops") {
		r.fail(i, "stderr is %q, %v", stderr, err)
	}
}
