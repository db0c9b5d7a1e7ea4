package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
)

// fake is an API whose answers a test says beforehand. Each status is answered
// once, the last for ever.
type fake struct {
	mu       sync.Mutex
	statuses []frameworks.Status
	asked    []string // all but statuses: "POST /v1/nodes/broker-1/stop"
	read     []string // the paths of statuses
	refuse   string   // a request that is refused
	schema   []frameworks.Option
	said     string // the body of the last that was asked
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	status := f.statuses[0]
	var answer any = status
	if r.Method == http.MethodGet && r.URL.Path == "/v1/options" {
		answer = frameworks.OptionsReport{Schema: f.schema}
	} else if r.Method == http.MethodGet {
		f.read = append(f.read, r.URL.Path)
		if len(f.statuses) > 1 {
			f.statuses = f.statuses[1:]
		}
	} else {
		asked := r.Method + " " + r.URL.String()
		if asked == f.refuse {
			w.WriteHeader(http.StatusConflict)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": "refused: it would do harm"})
			return
		}
		f.asked = append(f.asked, asked)
		body, _ := io.ReadAll(r.Body) // a test that reads it sees what is missing
		f.said = string(body)
		switch parts := strings.Split(r.URL.Path, "/"); parts[2] {
		case "nodes":
			n, _ := find(status, parts[3])
			answer = n
		case "plans":
			answer = frameworks.PlanStatus{Name: parts[3]}
		}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

type nothing struct{}

func (nothing) AddFlags(*pflag.FlagSet)            {}
func (nothing) Service(Common) *frameworks.Service { return &frameworks.Service{} }

// operate runs a command against the API.
func operate(ctx context.Context, t *testing.T, f *fake, args ...string) (out, said string, err error) {
	t.Helper()
	server := httptest.NewServer(f)
	defer server.Close()
	var stdout, stderr bytes.Buffer
	c := App{
		Name: "mesos-kafka", Declaration: nothing{},
		Pods: []Pod{{Name: "broker", Port: "client"}, {Name: "proxy", Plural: "proxies", Fixed: true}},
	}.Command()
	c.SetOut(&stdout)
	c.SetErr(&stderr)
	c.SetArgs(append(args, "--api", strings.TrimPrefix(server.URL, "http://")))
	err = c.ExecuteContext(ctx)
	return stdout.String(), stderr.String(), err
}

// brokers is a status with a node in each phase.
func brokers(phases ...frameworks.Phase) frameworks.Status {
	s := frameworks.Status{Service: "kafka", Connected: true, Reconciled: true}
	for i, phase := range phases {
		n := frameworks.NodeStatus{Phase: phase}
		n.Name, n.Pod, n.Index, n.Goal = "broker-"+string(rune('0'+i)), "broker", i, frameworks.GoalRun
		n.Generation, n.Incarnation = 1, 1
		if phase == frameworks.Ready {
			s.Ready++
		}
		s.Nodes = append(s.Nodes, n)
	}
	return s
}

func TestWishesAreLookedUpFirst(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		args   []string
		refuse string
		asked  []string
		want   string // of the error
	}{
		{"by number and in full", []string{"broker", "stop", "2", "broker-0"}, "", []string{"POST /v1/nodes/broker-2/stop", "POST /v1/nodes/broker-0/stop"}, ""},
		{"twice", []string{"broker", "start", "2", "broker-2"}, "", []string{"POST /v1/nodes/broker-2/start"}, ""},
		{"forced", []string{"broker", "replace", "1", "--force"}, "", []string{"POST /v1/nodes/broker-1/replace?force=true"}, ""},
		{"one is not there", []string{"broker", "stop", "0", "9"}, "", nil, `stop: broker "broker-9": not found; there are broker-0, broker-1, broker-2`},
		{"none is there", []string{"broker", "stop", "9", "x"}, "", nil, `broker "x": not found`},
		{"a node of another pod", []string{"proxy", "stop", "broker-0"}, "", nil, `proxy "broker-0": not found`},
		{"refused at once", []string{"broker", "restart", "0"}, "POST /v1/nodes/broker-0/restart", nil, "restart broker-0: refused: it would do harm"},
		{"refused midway", []string{"broker", "restart", "0", "1"}, "POST /v1/nodes/broker-1/restart",
			[]string{"POST /v1/nodes/broker-0/restart"}, "restart broker-1 (after broker-0): refused"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := &fake{statuses: []frameworks.Status{brokers(frameworks.Ready, frameworks.Ready, frameworks.Ready)}, refuse: test.refuse}
			_, _, err := operate(t.Context(), t, f, test.args...)
			assert.Equal(t, test.asked, f.asked)
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
			assert.Equal(t, 1, ExitStatus(err))
		})
	}
}

// TestWaitsUntilItHasComeTrue: not the first ready is meant, but that of the
// next task.
func TestWaitsUntilItHasComeTrue(t *testing.T) {
	t.Parallel()
	before := brokers(frameworks.Ready)
	stops := brokers(frameworks.Stopping)
	waits := brokers(frameworks.Started)
	waits.Nodes[0].Incarnation, waits.Nodes[0].Waits = 2, "broker 0 is fenced"
	after := brokers(frameworks.Ready)
	after.Nodes[0].Incarnation = 2
	f := &fake{statuses: []frameworks.Status{before, before, stops, waits, waits, after}}
	out, said, err := operate(t.Context(), t, f, "broker", "restart", "0", "--wait", "--json")
	require.NoError(t, err)
	assert.Equal(t, "broker-0: ready\nbroker-0: stopping\nbroker-0: started: broker 0 is fenced\n", said)
	var nodes []frameworks.NodeStatus
	require.NoError(t, json.Unmarshal([]byte(out), &nodes))
	assert.Equal(t, after.Nodes, nodes)
}

func TestWaitsForEachWish(t *testing.T) {
	t.Parallel()
	moved := brokers(frameworks.Ready)
	moved.Nodes[0].Generation = 2
	stopped := brokers(frameworks.Stopped)
	stopped.Nodes[0].Goal = frameworks.GoalStop
	for _, test := range []struct {
		args []string
		then []frameworks.Status
		said string
	}{
		{[]string{"broker", "start", "0"}, []frameworks.Status{brokers(frameworks.Stopped), brokers(frameworks.Launched), brokers(frameworks.Ready)}, "broker-0: launched\n"},
		{[]string{"broker", "stop", "0"}, []frameworks.Status{brokers(frameworks.Ready), brokers(frameworks.Stopping), stopped}, "broker-0: stopping\n"},
		{[]string{"broker", "replace", "0"}, []frameworks.Status{brokers(frameworks.Ready), brokers(frameworks.Ready), moved}, "broker-0: ready\n"},
		{[]string{"broker", "remove", "1"}, []frameworks.Status{brokers(frameworks.Ready, frameworks.Ready), brokers(frameworks.Ready, frameworks.Stopping), brokers(frameworks.Ready)}, "broker-1: stopping\n"},
		{[]string{"broker", "add"}, []frameworks.Status{brokers(frameworks.Ready), brokers(frameworks.Ready, frameworks.Placing), brokers(frameworks.Ready, frameworks.Ready)}, "broker-1: placing\n"},
		{[]string{"status"}, []frameworks.Status{brokers(frameworks.BackingOff), stopped}, "broker-0: backing off\n"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			t.Parallel()
			_, said, err := operate(t.Context(), t, &fake{statuses: test.then}, append(test.args, "--wait")...)
			require.NoError(t, err)
			assert.Equal(t, test.said, said)
		})
	}
}

// TestNodesThatLeaveAreNotCounted: who adds one wants one more than stay.
func TestNodesThatLeaveAreNotCounted(t *testing.T) {
	t.Parallel()
	s := brokers(frameworks.Ready, frameworks.Ready, frameworks.Started, frameworks.Started, frameworks.Started)
	s.Nodes[1].Goal = frameworks.GoalLeave
	f := &fake{statuses: []frameworks.Status{s}}
	_, _, err := operate(t.Context(), t, f, "broker", "add")
	require.NoError(t, err)
	assert.Equal(t, []string{"PUT /v1/pods/broker"}, f.asked)
	assert.JSONEq(t, `{"count": 5}`, f.said)
	assert.Equal(t, []string{"broker-1: ready, leaves", "broker-2 and 2 more: started"}, settled(s))
}

func TestWaitsNoLongerThanItIsTold(t *testing.T) {
	t.Parallel()
	fails := brokers(frameworks.BackingOff)
	fails.Nodes[0].Failures, fails.Nodes[0].LastFailure = 3, "exited with status 1; last lines:\nno space left"
	_, _, err := operate(t.Context(), t, &fake{statuses: []frameworks.Status{fails}}, "broker", "start", "0", "--wait", "--timeout", "1ms")
	require.EqualError(t, err, "start broker-0: not yet after 1ms, and goes on without this command: broker-0: backing off: failure 3: exited with status 1: no space left")

	asked, dropped := brokers(frameworks.Started), brokers(frameworks.BackingOff)
	asked.Nodes[0].Replace = true
	dropped.Nodes[0].LastFailure, dropped.Nodes[0].Failures = "is not replaced: ask again", 1
	_, _, err = operate(t.Context(), t, &fake{statuses: []frameworks.Status{asked, asked, dropped}}, "broker", "replace", "0", "--wait")
	require.EqualError(t, err, "replace broker-0: the wish was dropped: broker-0: backing off: failure 1: is not replaced: ask again")

	ctx, cancel := context.WithCancel(t.Context())
	interrupts := &interrupting{fake: fake{statuses: []frameworks.Status{fails}}, interrupt: cancel}
	server := httptest.NewServer(interrupts)
	defer server.Close()
	c := App{Name: "mesos-kafka", Declaration: nothing{}, Pods: []Pod{{Name: "broker"}}}.Command()
	c.SetErr(new(bytes.Buffer))
	c.SetArgs([]string{"status", "--wait", "--api", server.URL})
	require.ErrorContains(t, c.ExecuteContext(ctx), "interrupted; it goes on without this command")
}

// interrupting is an API whose operator loses patience at the second question.
type interrupting struct {
	fake
	asked     int
	interrupt func()
}

func (i *interrupting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.fake.ServeHTTP(w, r)
	if i.asked++; i.asked == 2 {
		i.interrupt()
	}
}

func TestOnlyNodesOfThePodAreListed(t *testing.T) {
	t.Parallel()
	s := brokers(frameworks.Ready)
	proxy := s.Nodes[0]
	proxy.Name, proxy.Pod = "proxy-0", "proxy"
	s.Nodes = append(s.Nodes, proxy)
	out, _, err := operate(t.Context(), t, &fake{statuses: []frameworks.Status{s}}, "proxy", "list")
	require.NoError(t, err)
	assert.Contains(t, out, "proxy-0  ready")
	assert.NotContains(t, out, "broker-0")

	f := &fake{statuses: []frameworks.Status{s}}
	_, _, err = operate(t.Context(), t, f, "broker", "add", "2")
	require.NoError(t, err)
	assert.Equal(t, []string{"PUT /v1/pods/broker"}, f.asked)
	_, _, err = operate(t.Context(), t, f, "proxy", "add")
	require.ErrorContains(t, err, `unknown command "add"`)
	assert.Equal(t, 2, ExitStatus(err))
}
