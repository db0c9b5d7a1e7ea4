package mesostest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/encoding/codecs"
	"github.com/mesos/mesos-go/api/v1/lib/httpcli"
	"github.com/mesos/mesos-go/api/v1/lib/httpcli/httpsched"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler/calls"

	"github.com/mesokit/mesokit/internal/recordio"
)

func get(t *testing.T, url string) (int, string, http.Header) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

func post(t *testing.T, url, body string) (int, string, http.Header) {
	t.Helper()
	resp, err := client.Post(url, typeJSON, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

func TestConfigErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"address", Config{Address: "nowhere"}, `Address "nowhere": want host:port`},
		{"duration", Config{Heartbeat: -1}, "Heartbeat is -1ns: want a positive duration"},
		{"minimum", Config{MinOffer: "cpus"}, `MinOffer "cpus": "cpus": want name:value`},
		{"resources", Config{Agents: []AgentConfig{{Resources: "cpus:many"}}}, `Agents[0]: Resources: cpus: "many": want a number`},
		{"ranges", Config{Agents: []AgentConfig{{Resources: "ports:[9-1]"}}}, `Agents[0]: Resources: ports: "9-1": want begin-end`},
		{"attribute", Config{Agents: []AgentConfig{{Attributes: "kinds:{a,b}"}}}, `Agents[0]: Attributes: kinds: "{a,b}": an attribute is text, a number or ranges, not a set`},
		{"agent", Config{Agents: []AgentConfig{{Address: "host"}}}, `Agents[0]: Address "host": want an IP address`},
		{"directory", Config{Dir: "/no/such/directory"}, "Dir:"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, err := Start(t.Context(), tc.cfg)
			if err == nil {
				t.Fatal("no error", c.Close())
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %q, want it to contain %q", err, tc.want)
			}
		})
	}
}

// The processes of tasks, also those that left their parents, end with the
// cluster, and so do its files.
func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, err := Start(t.Context(), Config{Dir: dir, Agents: []AgentConfig{{}}})
	if err != nil {
		t.Fatal(err)
	}
	p := newProbe(t, c, frameworkInfo("*"))
	offer := dig(p.expect("OFFERS"), "offers", "offers", 0)
	mark := filepath.Join(dir, "pids")
	p.launch(offer, task("t1", object{"command": object{"shell": true,
		"value": "trap '' TERM; (setsid sleep 654 & echo $! >> " + mark + "); echo $$ >> " + mark + "; while true; do sleep 0.1; done"}}))
	p.expectUpdate("t1", "TASK_STARTING")
	p.expectUpdate("t1", "TASK_RUNNING")
	var pids []string
	deadline := time.Now().Add(patience)
	for len(pids) < 2 && time.Now().Before(deadline) {
		b, _ := os.ReadFile(mark)
		pids = strings.Fields(string(b))
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if len(pids) < 2 {
		t.Fatalf("the task wrote the pids %v, want two", pids)
	}
	for _, pid := range pids {
		if b, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil && !strings.Contains(string(b), ") Z ") {
			t.Errorf("process %s is left: %s", pid, b)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "mesos-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
}

// A volume keeps its data from one task to the next, over a reboot of its
// machine too, until it is destroyed.
func TestVolumeOutlivesTasksAndReboot(t *testing.T) {
	t.Parallel()
	c := New(t, Agents(1, "cpus:2;mem:1024;disk:1024"))
	p := newProbe(t, c, frameworkInfo("db"))
	reserved := func(r object) object {
		r["allocation_info"] = object{"role": "db"}
		r["reservations"] = []object{{"type": "DYNAMIC", "role": "db"}}
		return r
	}
	disk := reserved(scalar("disk", 64))
	volume := reserved(scalar("disk", 64))
	volume["disk"] = object{"persistence": object{"id": "v1"}, "volume": object{"container_path": "data", "mode": "RW"}}
	// withVolume waits for the offer that has the volume: what the agent has
	// beside it may be offered before.
	withVolume := func() any {
		t.Helper()
		for {
			offer := dig(p.expect("OFFERS"), "offers", "offers", 0)
			resources, _ := dig(offer, "resources").([]any)
			if slices.ContainsFunc(resources, func(r any) bool { return text(r, "disk", "persistence", "id") == "v1" }) {
				return offer
			}
		}
	}
	run := func(id, command string, before ...object) {
		t.Helper()
		var offer any
		if len(before) > 0 {
			offer = dig(p.expect("OFFERS"), "offers", "offers", 0)
		} else {
			offer = withVolume()
		}
		ti := task(id, object{"name": id, "agent_id": dig(offer, "agent_id"), "command": object{"value": command, "shell": true},
			"resources": []object{scalar("cpus", 0.5), scalar("mem", 64), volume}})
		p.call(object{"type": "ACCEPT", "accept": object{"offer_ids": []any{dig(offer, "id")}, "filters": object{"refuse_seconds": 0},
			"operations": append(before, object{"type": "LAUNCH", "launch": object{"task_infos": []object{ti}}})}})
		p.expectUpdate(id, "TASK_STARTING")
		p.expectUpdate(id, "TASK_RUNNING")
		p.expectUpdate(id, "TASK_FINISHED")
	}
	run("write", "echo kept > data/file",
		object{"type": "RESERVE", "reserve": object{"resources": []object{disk}}},
		object{"type": "CREATE", "create": object{"volumes": []object{volume}}})
	run("read", "grep -q kept data/file")
	c.Agent(0).Stop()
	p.expect("FAILURE")
	for ok := true; ok; { // offers of before the reboot are void
		_, ok = p.next(0, func(e any) bool { return text(e, "type") == "OFFERS" })
	}
	if err := c.Agent(0).Start(); err != nil {
		t.Fatal(err)
	}
	c.WaitAgents(t, 1)
	p.call(object{"type": "REVIVE"})
	run("again", "grep -q kept data/file")
	offer := withVolume()
	p.call(object{"type": "ACCEPT", "accept": object{"offer_ids": []any{dig(offer, "id")}, "operations": []object{
		{"type": "DESTROY", "id": object{"value": "op"}, "destroy": object{"volumes": []object{volume}}}}}})
	if state := text(p.expect("UPDATE_OPERATION_STATUS"), "update_operation_status", "status", "state"); state != "OPERATION_FINISHED" {
		t.Errorf("DESTROY is %s", state)
	}
	// Nobody has acknowledged that.
	_, body, _ := post(t, "http://"+c.Agent(0).address+"/api/v1", `{"type":"GET_OPERATIONS"}`)
	if !strings.Contains(body, `"latest_status":{"operation_id":{"value":"op"},"state":"OPERATION_FINISHED"`) || !strings.Contains(body, p.id) {
		t.Errorf("the agent's operations: %s", body)
	}
	if left, err := filepath.Glob(filepath.Join(c.Agent(0).Dir(), "volumes", "roles", "*", "v1")); err != nil || len(left) > 0 {
		t.Errorf("the volume is left: %v, %v", left, err)
	}
}

func TestOperatorEndpoints(t *testing.T) {
	t.Parallel()
	c := New(t, Agents(1, "cpus:2;mem:1024;disk:1024;ports:[31000-31009]", "rack:r1"))
	p := newProbe(t, c, frameworkInfo("db"))
	offer := dig(p.expect("OFFERS"), "offers", "offers", 0)
	p.launch(offer, task("t1", object{"command": object{"value": "sleep 600", "shell": true}}))
	c.WaitTask(t, "t1", mesos.TASK_RUNNING)
	ask := func(call string) any {
		t.Helper()
		status, body, _ := post(t, c.URL()+"/api/v1", `{"type":"`+call+`"}`)
		var v any
		if err := json.Unmarshal([]byte(body), &v); status != 200 || err != nil {
			t.Fatalf("%s: %d %s", call, status, body)
		}
		return dig(v, strings.ToLower(call))
	}
	for _, tc := range []struct {
		call string
		path []any
		want any
	}{
		{"GET_HEALTH", []any{"healthy"}, true},
		{"GET_VERSION", []any{"version_info", "version"}, "1.12.0"},
		{"GET_AGENTS", []any{"agents", 0, "agent_info", "attributes", 0, "text", "value"}, "r1"},
		{"GET_FRAMEWORKS", []any{"frameworks", 0, "framework_info", "id", "value"}, p.id},
		{"GET_TASKS", []any{"tasks", 0, "task_id", "value"}, "t1"},
		{"GET_ROLES", []any{"roles", 0, "name"}, "db"},
		{"GET_STATE", []any{"get_tasks", "tasks", 0, "state"}, "TASK_RUNNING"},
		{"GET_MASTER", []any{"master_info", "version"}, "1.12.0"},
	} {
		if got := dig(ask(tc.call), tc.path...); got != tc.want {
			t.Errorf("%s: %v is %v, want %v", tc.call, tc.path, got, tc.want)
		}
	}
	if status, body, _ := post(t, c.URL()+"/api/v1", `{"type":"REMOVE_QUOTA"}`); status != http.StatusBadRequest || !strings.Contains(body, "remove_quota") {
		t.Errorf("a call without its field answers %d %q", status, body)
	}
	_, body, _ := get(t, c.URL()+"/state")
	var state any
	if err := json.Unmarshal([]byte(body), &state); err != nil {
		t.Fatal(err)
	}
	if got := dig(state, "frameworks", 0, "tasks", 0, "state"); got != "TASK_RUNNING" {
		t.Errorf("/state says %v", got)
	}
	if got := dig(state, "slaves", 0, "resources", "ports"); got != "[31000-31009]" {
		t.Errorf("/state says ports %v", got)
	}
	if status, body, _ := post(t, c.URL()+"/api/v1", `{"type":"GET_METRICS","get_metrics":{}}`); status != 200 || !strings.Contains(body, `{"name":"master/cpus_percent"`) {
		t.Errorf("GET_METRICS: %d %s", status, body)
	}
	_, body, _ = get(t, c.URL()+"/metrics/snapshot")
	var metrics map[string]float64
	if err := json.Unmarshal([]byte(body), &metrics); err != nil || metrics["master/tasks_running"] != 1 {
		t.Errorf("/metrics/snapshot: %v, %s", err, body)
	}
	if status, body, _ := post(t, c.URL()+"/api/v1", `{"type":"TEARDOWN","teardown":{"framework_id":{"value":"`+p.id+`"}}}`); status != 200 {
		t.Errorf("TEARDOWN: %d %s", status, body)
	}
	if !p.waitClosed(patience) {
		t.Error("the framework was torn down, and its stream is open")
	}
}

// Who watches hears of agents, frameworks and tasks.
func TestOperatorEvents(t *testing.T) {
	t.Parallel()
	c := New(t, Agents(1, "cpus:2;mem:1024"))
	resp, err := client.Post(c.URL()+"/api/v1", typeJSON, strings.NewReader(`{"type":"SUBSCRIBE"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	events := recordio.NewReader(resp.Body, 0)
	next := func(kind string) any {
		t.Helper()
		for {
			b, err := events.Next()
			if err != nil {
				t.Fatalf("wait for %s: %s", kind, err)
			}
			var e any
			if err := json.Unmarshal(b, &e); err != nil {
				t.Fatal(err)
			}
			if text(e, "type") == kind {
				return e
			}
		}
	}
	if got := text(next("SUBSCRIBED"), "subscribed", "get_state", "get_agents", "agents", 0, "agent_info", "hostname"); got != c.Agent(0).Hostname() {
		t.Errorf("the state has agent %q", got)
	}
	p := newProbe(t, c, frameworkInfo("*"))
	if got := text(next("FRAMEWORK_ADDED"), "framework_added", "framework", "framework_info", "id", "value"); got != p.id {
		t.Errorf("framework %s was added, want %s", got, p.id)
	}
	p.launch(dig(p.expect("OFFERS"), "offers", "offers", 0), task("t1", object{"command": object{"value": "true", "shell": true}}))
	next("TASK_ADDED")
	if got := text(next("TASK_UPDATED"), "task_updated", "state"); got != "TASK_STARTING" {
		t.Errorf("the task is %s", got)
	}
	c.Agent(0).Retire()
	next("AGENT_REMOVED")
}

// Draining kills what runs and says why.
func TestDrainAgent(t *testing.T) {
	t.Parallel()
	c := New(t, Agents(1, "cpus:2;mem:1024"))
	p := newProbe(t, c, frameworkInfo("*"))
	p.launch(dig(p.expect("OFFERS"), "offers", "offers", 0), task("t1", object{"command": object{"value": "sleep 600", "shell": true}}))
	p.expectUpdate("t1", "TASK_STARTING")
	p.expectUpdate("t1", "TASK_RUNNING")
	call := `{"type":"DRAIN_AGENT","drain_agent":{"agent_id":{"value":"` + c.Agent(0).ID() + `"},"max_grace_period":{"seconds":1}}}`
	if status, body, _ := post(t, c.URL()+"/api/v1", call); status != 200 {
		t.Fatalf("DRAIN_AGENT: %d %s", status, body)
	}
	if reason := text(p.expectUpdate("t1", "TASK_KILLED"), "reason"); reason != "REASON_AGENT_DRAINING" {
		t.Errorf("the reason is %s", reason)
	}
}

// The answers of a standby are those of the recording two_masters_on_zookeeper.
func TestStandBy(t *testing.T) {
	t.Parallel()
	c := New(t, Agents(1, "cpus:2;mem:1024"))
	p := newProbe(t, c, frameworkInfo("*"))
	if err := c.StandBy("leader.test:5050"); err != nil {
		t.Fatal(err)
	}
	if !p.waitClosed(patience) {
		t.Error("the stream outlived the leadership")
	}
	for path, want := range map[string]string{
		"/api/v1/scheduler": "//leader.test:5050/master/api/v1/scheduler",
		"/api/v1":           "//leader.test:5050/master/api/v1",
		"/state":            "//leader.test:5050/master/state",
		"/master/redirect":  "//leader.test:5050",
	} {
		if status, _, header := get(t, c.URL()+path); status != 307 || header.Get("Location") != want {
			t.Errorf("%s: %d to %q, want 307 to %q", path, status, header.Get("Location"), want)
		}
	}
	if err := c.StandBy(""); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := get(t, c.URL()+"/state"); status != 503 {
		t.Errorf("without a leader: %d, want 503", status)
	}
	if err := c.StartMaster(); err != nil {
		t.Fatal(err)
	}
	c.WaitAgents(t, 1)
}

// mesos-go's own client speaks the other encoding.
func TestProtobufClient(t *testing.T) {
	t.Parallel()
	c := New(t, Agents(2, "cpus:2;mem:1024", "rack:r1"))
	cli := httpcli.New(httpcli.Endpoint(c.URL()+"/api/v1/scheduler"), httpcli.Codec(codecs.ByMediaType[codecs.MediaTypeProtobuf]))
	caller := httpsched.NewCaller(cli)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	resp, err := caller.Call(ctx, calls.Subscribe(&mesos.FrameworkInfo{User: "root", Name: "proto"}))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Close()
	offers := 0
	for offers < 2 {
		var e scheduler.Event
		if err := resp.Decode(&e); err != nil {
			t.Fatal(err)
		}
		for _, o := range e.GetOffers().GetOffers() {
			offers++
			if o.Attributes[0].GetText().GetValue() != "r1" {
				t.Errorf("offer without its attribute: %v", o)
			}
		}
	}
	// A body that is no call is refused, and the master lives on.
	bad, err := client.Post(c.URL()+"/api/v1/scheduler", typeProtobuf, bytes.NewReader([]byte{0xff, 0xff}))
	if err != nil {
		t.Fatal(err)
	}
	defer bad.Body.Close()
	if bad.StatusCode != http.StatusBadRequest {
		t.Errorf("garbage: %d, want 400", bad.StatusCode)
	}
}
