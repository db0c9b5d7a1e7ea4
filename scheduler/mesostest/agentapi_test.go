package mesostest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gogo/protobuf/proto"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosagent "github.com/mesos/mesos-go/api/v1/lib/agent"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"
)

// look gets a JSON document, which must be there.
func look(t *testing.T, url string) any {
	t.Helper()
	status, body, _ := get(t, url)
	var v any
	if err := json.Unmarshal([]byte(body), &v); status != http.StatusOK || err != nil {
		t.Fatalf("%s: %d %s", url, status, body)
	}
	return v
}

// What scripts do that show a task's output: find the agent in the master's
// state, the sandbox in the agent's, and read the files there.
func TestSandboxIsFoundAndRead(t *testing.T) {
	t.Parallel()
	c := New(t, Agents(1, "cpus:2;mem:1024;disk:1024"))
	p := newProbe(t, c, frameworkInfo("*"))
	offer := dig(p.expect("OFFERS"), "offers", "offers", 0)
	p.launch(offer,
		task("short", object{"command": object{"shell": true, "value": "echo done"}}),
		task("long", object{"command": object{"shell": true, "value": "echo hello; exec sleep 600"}}))
	c.WaitTask(t, "short", mesos.TASK_FINISHED)
	c.WaitTask(t, "long", mesos.TASK_RUNNING)
	for _, state := range []string{"TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"} {
		p.expectUpdate("short", state) // acknowledged: the agent forgets the task
	}
	pid := text(look(t, c.URL()+"/state"), "slaves", 0, "pid")
	base := "http://" + strings.TrimPrefix(pid, "slave(1)@")
	id := p.id

	var done any
	c.wait(t, func() bool {
		f := dig(look(t, base+"/slave(1)/state"), "frameworks", 0)
		done = dig(f, "completed_executors", 0)
		return done != nil
	}, func() string { return "the short task does not end on the agent" })
	if got := text(done, "completed_tasks", 0, "state"); got != "TASK_FINISHED" {
		t.Errorf("the short task is %q", got)
	}
	live := dig(look(t, base+"/state"), "frameworks", 0, "executors", 0)
	if got := text(live, "tasks", 0, "id"); got != "long" {
		t.Errorf("the task that runs is %q", got)
	}
	// The allowance of the command executor is on top.
	if got := fmt.Sprint(dig(live, "resources", "cpus"), dig(live, "resources", "mem")); got != "0.2 64" {
		t.Errorf("the executor has %s", got)
	}
	for _, tc := range []struct{ path, want string }{
		{text(done, "directory"), "done\n"},
		{text(live, "directory"), "hello\n"},
		{filepath.Join(filepath.Dir(text(live, "directory")), "latest"), "hello\n"},
		{"/frameworks/" + id + "/executors/short/runs/latest", "done\n"},
	} {
		q := url.Values{"path": {tc.path + "/stdout"}}
		if got := text(look(t, base+"/files/read?"+q.Encode()+"&offset=0"), "data"); !strings.HasSuffix(got, tc.want) {
			t.Errorf("%s reads %q, want it to end with %q", tc.path, got, tc.want)
		}
		if _, got, _ := get(t, base+"/files/download?"+q.Encode()); !strings.HasSuffix(got, tc.want) {
			t.Errorf("%s downloads %q, want it to end with %q", tc.path, got, tc.want)
		}
		names := fmt.Sprint(look(t, base+"/files/browse?"+url.Values{"path": {tc.path}}.Encode()))
		if !strings.Contains(names, tc.path+"/stderr") {
			t.Errorf("%s lists %s", tc.path, names)
		}
	}

	stats := dig(look(t, base+"/monitor/statistics"), 0)
	if text(stats, "executor_id") != "long" || dig(stats, "statistics", "mem_limit_bytes") != float64(64<<20) {
		t.Errorf("statistics %v", stats)
	}
	if table := processTable(); table != nil && dig(stats, "statistics", "mem_rss_bytes") == nil {
		t.Errorf("nothing is measured: %v", stats)
	}
	container := dig(look(t, base+"/containers?framework_id="+url.QueryEscape(id)), 0)
	if got := dig(container, "status", "container_id", "value"); got != dig(live, "container") {
		t.Errorf("the container is %v", got)
	}
	if got := look(t, base+"/containers?container_id=none"); fmt.Sprint(got) != "[]" {
		t.Errorf("containers of no such ID: %v", got)
	}
	if status, body, _ := get(t, base+"/containers?executor_id=long"); status != 400 || !strings.HasPrefix(body, "Supported query parameters") {
		t.Errorf("an executor without its framework: %d %s", status, body)
	}
	if got := dig(look(t, base+"/metrics/snapshot"), "slave/tasks_running"); got != 1.0 {
		t.Errorf("running tasks %v", got)
	}

	p.call(object{"type": "TEARDOWN"})
	c.wait(t, func() bool {
		return text(look(t, base+"/state"), "completed_frameworks", 0, "id") == id
	}, func() string { return "the framework does not end on the agent" })
}

func TestOperatorAPIOfAnAgent(t *testing.T) {
	t.Parallel()
	c := New(t, Agents(1, "cpus:2;mem:1024;disk:1024", "rack:r1"))
	p := newProbe(t, c, frameworkInfo("*"))
	offer := dig(p.expect("OFFERS"), "offers", "offers", 0)
	p.launch(offer, task("t1", object{"command": object{"shell": true, "value": "echo hello; exec sleep 600"}}))
	c.WaitTask(t, "t1", mesos.TASK_RUNNING)
	at := "http://" + c.Agent(0).address + "/api/v1"
	box := "/frameworks/" + p.id + "/executors/t1/runs/latest"
	for _, tc := range []struct {
		call   string
		status int
		want   string
	}{
		{`{"type":"GET_HEALTH"}`, 200, `{"type":"GET_HEALTH","get_health":{"healthy":true}}`},
		{`{"type":"GET_VERSION"}`, 200, `"version":"1.12.0"`},
		{`{"type":"GET_AGENT"}`, 200, `"text":{"value":"r1"}`},
		{`{"type":"GET_STATE"}`, 200, `"launched_tasks":[{"name":"t1"`},
		{`{"type":"GET_TASKS"}`, 200, `"state":"TASK_RUNNING"`},
		{`{"type":"GET_EXECUTORS"}`, 200, `"executor_id":{"value":"t1"}`},
		{`{"type":"GET_FRAMEWORKS"}`, 200, `"name":"probe"`},
		{`{"type":"GET_CONTAINERS"}`, 200, `"resource_statistics":{"timestamp":`},
		{`{"type":"GET_METRICS","get_metrics":{}}`, 200, `{"name":"slave/tasks_running","value":1.0}`},
		{`{"type":"GET_OPERATIONS"}`, 200, `{"type":"GET_OPERATIONS","get_operations":{}}`},
		{`{"type":"GET_RESOURCE_PROVIDERS"}`, 200, `{"type":"GET_RESOURCE_PROVIDERS","get_resource_providers":{}}`},
		{`{"type":"GET_METRICS"}`, 400, "Failed to validate agent::Call: Expecting 'get_metrics' to be present"},
		{`{"type":"LIST_FILES","list_files":{"path":"` + box + `"}}`, 200, `"path":"` + box + `/stdout"`},
		{`{"type":"READ_FILE","read_file":{"path":"` + box + `/stdout","offset":0,"length":99}}`, 200, `"size":`},
		{`{"type":"READ_FILE","read_file":{"path":"` + box + `/stdout","offset":0,"length":-1}}`, 400, "length"},
		{`{"type":"READ_FILE","read_file":{"path":"` + box + `/../..","offset":0}}`, 400, "is inaccessible"},
		{`{"type":"READ_FILE","read_file":{"path":"` + box + `/stdout"}}`, 400, "Missing required fields: read_file.offset"},
		{`{"type":"READ_FILE"}`, 400, "Failed to validate agent::Call: Expecting 'read_file' to be present"},
		{`{"type":"LIST_FILES"}`, 400, "Failed to validate agent::Call: Expecting 'list_files' to be present"},
		{`{"type":"LIST_FILES","list_files":{"path":"/none"}}`, 404, ""},
		{`{"type":"SET_LOGGING_LEVEL"}`, 400, "Failed to validate agent::Call: Expecting 'set_logging_level' to be present"},
		{`{"type":"NOPE"}`, 400, "Failed to validate agent::Call: Expecting 'type' to be present"},
		{`{"type":"PRUNE_IMAGES"}`, 501, "PRUNE_IMAGES"},
	} {
		status, body, _ := post(t, at, tc.call)
		if status != tc.status || !strings.Contains(body, tc.want) {
			t.Errorf("%s: %d %s, want %d with %s", tc.call, status, body, tc.status, tc.want)
		}
	}
	levels(t, at)
}

// levels sets the logging level and reads it back, until it falls back.
func levels(t *testing.T, url string) {
	t.Helper()
	set := func(level int, nanoseconds string) int {
		status, _, _ := post(t, url, fmt.Sprintf(`{"type":"SET_LOGGING_LEVEL","set_logging_level":{"level":%d,"duration":{"nanoseconds":%s}}}`, level, nanoseconds))
		return status
	}
	level := func() string {
		_, body, _ := post(t, url, `{"type":"GET_LOGGING_LEVEL"}`)
		return body
	}
	if status := set(2, "60000000000"); status != 200 || !strings.Contains(level(), `"level":2`) {
		t.Errorf("level after it was set (%d): %s", status, level())
	}
	if set(3, "-5"); !strings.Contains(level(), `"level":0`) {
		t.Errorf("level after its time: %s", level())
	}
	if status := set(-1, "1"); status != 400 {
		t.Errorf("a negative level is answered with %d", status)
	}
}

// FuzzAgentCall decodes an operator's call to an agent and answers it.
func FuzzAgentCall(f *testing.F) {
	c, err := Start(f.Context(), Config{Agents: []AgentConfig{{Resources: "cpus:1;mem:64"}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = c.Close() })
	for _, s := range []string{`{"type":"GET_STATE"}`, `{"type":"READ_FILE","read_file":{"path":"/","offset":18446744073709551615,"length":1}}`, `{"type":"GET_AGENT"}`} {
		f.Add([]byte(s))
	}
	a := c.Agent(0)
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := parseJSON(data)
		if err != nil {
			return
		}
		call := &mesosagent.Call{}
		if fromJSON(v, call, "Call") != nil {
			return
		}
		if r, err := a.answer(call, &facilities{files: a.attached}); err == nil {
			both(t, r)
		}
	})
}

// FuzzOperatorCall decodes an operator's call, in one encoding or the other, and
// lets a master act on it: nothing panics, and the accounts stay right.
func FuzzOperatorCall(f *testing.F) {
	for _, s := range []string{
		`{"type":"UPDATE_MAINTENANCE_SCHEDULE","update_maintenance_schedule":{"schedule":{"windows":[{"machine_ids":[{"hostname":"a","ip":""}],"unavailability":{"start":{"nanoseconds":1}}}]}}}`,
		`{"type":"START_MAINTENANCE","start_maintenance":{"machines":[{"hostname":"a"}]}}`,
		`{"type":"UPDATE_WEIGHTS","update_weights":{"weight_infos":[{"weight":2,"role":"*"}]}}`,
		`{"type":"SHRINK_VOLUME","shrink_volume":{"agent_id":{"value":"M-S0"},"volume":{"name":"disk","type":"SCALAR","scalar":{"value":5}},"subtract":{"value":1e308}}}`,
		`{"type":"GROW_VOLUME","grow_volume":{"agent_id":{"value":"M-S0"},"volume":{"name":"disk","type":"SCALAR","scalar":{"value":5},"disk":{"persistence":{"id":"v"}}},"addition":{"name":"disk","type":"RANGES"}}}`,
		`{"type":"RESERVE_RESOURCES","reserve_resources":{"agent_id":{"value":"M-S0"},"resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":1},"reservations":[{"type":"DYNAMIC","role":"a"}]}]}}`,
		`{"type":"UPDATE_QUOTA","update_quota":{"quota_configs":[{"role":"a","limits":{"cpus":{"value":-1}}}]}}`,
		`{"type":"DRAIN_AGENT","drain_agent":{"agent_id":{"value":"M-S0"},"mark_gone":true}}`,
	} {
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, binary bool) {
		call := &mesosmaster.Call{}
		if binary {
			if proto.Unmarshal(data, call) != nil {
				return
			}
		} else if v, err := parseJSON(data); err != nil || fromJSON(v, call, "Call") != nil {
			return
		}
		both(t, call)
		operateOn(t, call)
	})
}
