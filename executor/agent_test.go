package executor_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	exec1 "github.com/mesos/mesos-go/api/v1/lib/executor"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/internal/recordio"
)

// fakeAgent is the agent's side of the executor API, as the recordings of Mesos
// 1.12 show it. It starts this test binary as the executor, in a sandbox.
type fakeAgent struct {
	t       testing.TB
	server  *httptest.Server
	sandbox string
	env     map[string]string   // of the executor, besides those that start sets
	stdout  *os.File            // of the executor; nil: the file of the sandbox
	program string              // that is the executor; empty: this test binary
	as      *syscall.Credential // whom the executor runs as; nil: as this process

	mu      sync.Mutex
	changed chan struct{}  // closed and replaced whenever anything below changes
	calls   []*exec1.Call  // all that the executor has sent
	stream  chan []byte    // records of the present subscription; nil: none
	hangUp  chan struct{}  // closed to end it
	refuse  bool           // answer 503, as an agent does that recovers
	grant   bool           // answer every Renew
	noAck   bool           // take updates but do not acknowledge them
	killing bool           // the framework has TASK_KILLING_STATE
	headers []http.Header  // of calls
	acked   map[string]int // UUIDs, how often acknowledged
}

func newAgent(t testing.TB) *fakeAgent {
	a := &fakeAgent{
		t: t, sandbox: t.TempDir(), killing: true, changed: make(chan struct{}), acked: map[string]int{},
		env: map[string]string{"MESOS_CHECKPOINT": "1", "MESOS_RECOVERY_TIMEOUT": "30secs", "MESOS_SUBSCRIPTION_BACKOFF_MAX": "200ms"},
	}
	a.server = httptest.NewServer(a)
	t.Cleanup(func() {
		a.disconnect()
		a.server.Close()
	})
	return a
}

// start runs an executor and returns its process.
func (a *fakeAgent) start() *exec.Cmd {
	self, err := os.Executable()
	require.NoError(a.t, err)
	self = cmp.Or(a.program, self)
	if a.as != nil { // who cannot reach the directory that go test builds in
		reachable := filepath.Join(a.sandbox, "executor.test")
		require.NoError(a.t, os.Link(self, reachable))
		self = reachable
	}
	cmd := exec.Command(self)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.as}
	cmd.Dir = a.sandbox
	cmd.Env = append(os.Environ(),
		executor.Marker+"=1",
		"GORACE=atexit_sleep_ms=0", // else each executor ends a second late in a race build
		"MESOS_FRAMEWORK_ID=framework",
		"MESOS_EXECUTOR_ID=executor",
		"MESOS_SANDBOX="+a.sandbox,
		"MESOS_DIRECTORY="+a.sandbox,
		"MESOS_AGENT_ENDPOINT="+strings.TrimPrefix(a.server.URL, "http://"),
		"MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD=4secs",
	)
	for name, value := range a.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stdout = a.stdout
	if a.stdout == nil {
		cmd.Stdout = a.appendTo("stdout")
	}
	cmd.Stderr = a.appendTo("stderr")
	require.NoError(a.t, cmd.Start())
	a.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if a.t.Failed() {
			a.t.Logf("stderr of the executor:\n%s", a.read("stderr"))
		}
	})
	return cmd
}

func (a *fakeAgent) appendTo(name string) *os.File {
	f, err := os.OpenFile(filepath.Join(a.sandbox, name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	require.NoError(a.t, err)
	a.t.Cleanup(func() { _ = f.Close() })
	return f
}

// read returns a file of the sandbox; a missing one is empty.
func (a *fakeAgent) read(name string) string {
	data, err := os.ReadFile(filepath.Join(a.sandbox, name))
	if !os.IsNotExist(err) {
		require.NoError(a.t, err)
	}
	return string(data)
}

// touch makes a file of the sandbox.
func (a *fakeAgent) touch(name string) {
	require.NoError(a.t, os.WriteFile(filepath.Join(a.sandbox, name), nil, 0o600))
}

// remove takes a file of the sandbox away.
func (a *fakeAgent) remove(name string) {
	require.NoError(a.t, os.Remove(filepath.Join(a.sandbox, name)))
}

func (a *fakeAgent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	call := new(exec1.Call)
	if err == nil {
		err = call.Unmarshal(body)
	}
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/api/v1/executor" {
		http.Error(w, fmt.Sprint(err), http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	if a.refuse {
		a.mu.Unlock()
		http.Error(w, "Agent has not finished recovery", http.StatusServiceUnavailable)
		return
	}
	a.calls = append(a.calls, call)
	a.headers = append(a.headers, r.Header)
	a.notify()
	if call.Type != exec1.Call_SUBSCRIBE {
		if a.stream == nil {
			a.mu.Unlock()
			http.Error(w, "not subscribed", http.StatusForbidden)
			return
		}
		if a.grant && call.Type == exec1.Call_MESSAGE {
			a.answerRenew(call.Message.Data)
		}
		if call.Type == exec1.Call_UPDATE {
			a.acknowledge(call.Update.Status)
		}
		a.mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
		return
	}
	stream, hangUp := make(chan []byte, 1000), make(chan struct{})
	a.stream, a.hangUp = stream, hangUp
	a.push(a.subscribed())
	for _, u := range call.Subscribe.UnacknowledgedUpdates {
		a.acknowledge(u.Status)
	}
	a.mu.Unlock()
	a.serve(w, r, stream, hangUp)
}

func (a *fakeAgent) serve(w http.ResponseWriter, r *http.Request, stream chan []byte, hangUp chan struct{}) {
	w.Header().Set("Content-Type", "application/x-protobuf")
	for {
		select {
		case record := <-stream:
			_, _ = w.Write(record)
			_ = http.NewResponseController(w).Flush()
		case <-hangUp:
			return
		case <-r.Context().Done():
			return
		}
	}
}

func (a *fakeAgent) subscribed() *exec1.Event {
	s := &exec1.Event_Subscribed{
		ExecutorInfo:  mesos.ExecutorInfo{ExecutorID: mesos.ExecutorID{Value: "executor"}},
		FrameworkInfo: mesos.FrameworkInfo{User: "root", Name: "test"},
		AgentInfo:     mesos.AgentInfo{Hostname: "localhost"},
	}
	if a.killing {
		s.FrameworkInfo.Capabilities = []mesos.FrameworkInfo_Capability{{Type: mesos.FrameworkInfo_Capability_TASK_KILLING_STATE}}
	}
	return &exec1.Event{Type: exec1.Event_SUBSCRIBED, Subscribed: s}
}

// answerRenew grants a lease that is asked for; it is called with mu held.
func (a *fakeAgent) answerRenew(data []byte) {
	m, err := executor.DecodeMessage(data)
	require.NoError(a.t, err)
	if renew, ok := m.(executor.Renew); ok {
		data, err := executor.EncodeMessage(executor.Grant(renew))
		require.NoError(a.t, err)
		a.push(&exec1.Event{Type: exec1.Event_MESSAGE, Message: &exec1.Event_Message{Data: data}})
	}
}

// acknowledge is called with mu held.
func (a *fakeAgent) acknowledge(s mesos.TaskStatus) {
	if a.noAck {
		return
	}
	a.acked[string(s.UUID)]++
	a.push(&exec1.Event{
		Type:         exec1.Event_ACKNOWLEDGED,
		Acknowledged: &exec1.Event_Acknowledged{TaskID: s.TaskID, UUID: s.UUID},
	})
}

// push sends an event on the present subscription, with mu held.
func (a *fakeAgent) push(ev *exec1.Event) {
	data, err := ev.Marshal()
	require.NoError(a.t, err)
	a.stream <- recordio.Append(nil, data)
}

func (a *fakeAgent) notify() {
	close(a.changed)
	a.changed = make(chan struct{})
}

// disconnect ends the subscription, as an agent that stops does.
func (a *fakeAgent) disconnect() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stream != nil {
		close(a.hangUp)
		a.stream = nil
	}
}

func (a *fakeAgent) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

// send waits for a subscription and sends ev.
func (a *fakeAgent) send(ev *exec1.Event) {
	a.t.Helper()
	a.wait("a subscription", func() bool { return a.stream != nil })
	a.mu.Lock()
	defer a.mu.Unlock()
	a.push(ev)
}

func (a *fakeAgent) launch(id string, task executor.Task) {
	a.t.Helper()
	data, err := json.Marshal(task)
	require.NoError(a.t, err)
	a.send(&exec1.Event{Type: exec1.Event_LAUNCH, Launch: &exec1.Event_Launch{Task: taskInfo(id, data)}})
}

func taskInfo(id string, data []byte) mesos.TaskInfo {
	return mesos.TaskInfo{Name: id, TaskID: mesos.TaskID{Value: id}, AgentID: mesos.AgentID{Value: "agent"}, Data: data}
}

// say sends a message of the scheduler.
func (a *fakeAgent) say(m executor.Message) {
	a.t.Helper()
	data, err := executor.EncodeMessage(m)
	require.NoError(a.t, err)
	a.send(&exec1.Event{Type: exec1.Event_MESSAGE, Message: &exec1.Event_Message{Data: data}})
}

// messages are those that the executor has sent; called with mu held.
func (a *fakeAgent) messages() []executor.Message {
	var all []executor.Message
	for _, c := range a.calls {
		if c.Message != nil {
			m, err := executor.DecodeMessage(c.Message.Data)
			require.NoError(a.t, err)
			all = append(all, m)
		}
	}
	return all
}

// ask makes a request and waits for the whole answer.
func (a *fakeAgent) ask(r executor.Request) (string, error) {
	a.t.Helper()
	before := 0
	a.set(func() { before = len(a.messages()) })
	a.say(r)
	var answer executor.Answer
	a.wait("the answer to "+r.ID, func() bool {
		for _, m := range a.messages()[before:] {
			if got, ok := m.(executor.Response); ok && got.ID == r.ID && answer.Add(got) {
				return true
			}
		}
		return false
	})
	body, err := answer.Body()
	return string(body), err
}

func (a *fakeAgent) kill(id string, grace *time.Duration) {
	a.t.Helper()
	kill := &exec1.Event_Kill{TaskID: mesos.TaskID{Value: id}}
	if grace != nil {
		kill.KillPolicy = &mesos.KillPolicy{GracePeriod: &mesos.DurationInfo{Nanoseconds: int64(*grace)}}
	}
	a.send(&exec1.Event{Type: exec1.Event_KILL, Kill: kill})
}

// wait blocks until cond, which is called with mu held, is true.
func (a *fakeAgent) wait(what string, cond func() bool) {
	a.t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		a.mu.Lock()
		ok, changed := cond(), a.changed
		a.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			a.t.Fatalf("waited 30 s for %s; updates so far:\n%s", what, strings.Join(a.history(""), "\n"))
		}
	}
}

// updates are those of a task, in the order in which the executor made them,
// each once.
func (a *fakeAgent) updates(task string) []mesos.TaskStatus {
	var updates []mesos.TaskStatus
	seen := map[string]bool{}
	add := func(s mesos.TaskStatus) {
		if !seen[string(s.UUID)] && (task == "" || s.TaskID.Value == task) {
			seen[string(s.UUID)] = true
			updates = append(updates, s)
		}
	}
	for _, c := range a.calls {
		for _, u := range c.GetSubscribe().GetUnacknowledgedUpdates() {
			add(u.Status)
		}
		if c.Update != nil {
			add(c.Update.Status)
		}
	}
	return updates
}

// describe writes a status as "RUNNING healthy: message".
func describe(s mesos.TaskStatus) string {
	text := strings.TrimPrefix(s.GetState().String(), "TASK_")
	if s.Healthy != nil {
		text += map[bool]string{true: " healthy", false: " unhealthy"}[*s.Healthy]
	}
	return text + ": " + s.GetMessage()
}

func (a *fakeAgent) history(task string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []string
	for _, s := range a.updates(task) {
		all = append(all, describe(s))
	}
	return all
}

// await waits for an update whose description begins with prefix.
func (a *fakeAgent) await(task, prefix string) mesos.TaskStatus {
	a.t.Helper()
	var found mesos.TaskStatus
	a.wait(fmt.Sprintf("%q of %s", prefix, task), func() bool {
		for _, s := range a.updates(task) {
			if strings.HasPrefix(describe(s), prefix) {
				found = s
				return true
			}
		}
		return false
	})
	return found
}
