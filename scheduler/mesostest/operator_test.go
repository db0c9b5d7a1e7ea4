package mesostest

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// send sends a body with any method.
func send(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

func TestMaintenanceOverHTTP(t *testing.T) {
	t.Parallel()
	c := New(t, Agents(1, "cpus:2;mem:1024;disk:1024"))
	p := newProbe(t, c, frameworkInfo("*"))
	a := c.Agent(0)
	offer := dig(p.expect("OFFERS"), "offers", "offers", 0)
	p.launch(offer, task("t1", object{"command": object{"shell": true, "value": "sleep 600"}}))
	c.WaitTask(t, "t1", mesos.TASK_RUNNING)
	machine := fmt.Sprintf(`{"hostname":%q,"ip":%q}`, a.Hostname(), a.Address())
	window := `{"windows":[{"machine_ids":[` + machine + `],"unavailability":{"start":{"nanoseconds":1}}}]}`
	operator := func(call, want string, status int) {
		t.Helper()
		if got, body, _ := post(t, c.URL()+"/api/v1", call); got != status || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want %d with %s", call, got, body, status, want)
		}
	}
	older := func(method, path, body, want string, status int) {
		t.Helper()
		if got, text := send(t, method, c.URL()+path, body); got != status || !strings.Contains(text, want) {
			t.Errorf("%s %s: %d %s, want %d with %s", method, path, got, text, status, want)
		}
	}
	down := func() {
		t.Helper()
		c.wait(t, func() bool { return !a.Up() }, func() string { return "the agent's process does not exit" })
	}
	operator(`{"type":"GET_MAINTENANCE_STATUS"}`, `{"type":"GET_MAINTENANCE_STATUS","get_maintenance_status":{"status":{}}}`, 200)
	operator(`{"type":"START_MAINTENANCE"}`, "Failed to validate master::Call: Expecting 'start_maintenance' to be present", 400)
	operator(`{"type":"START_MAINTENANCE","start_maintenance":{"machines":[`+machine+`]}}`, "is not in DRAINING mode", 400)
	older("POST", "/maintenance/schedule", `{"windows":[{}]}`, "Missing required fields", 400)
	older("POST", "/maintenance/schedule", `{"windows":[`, "Failed to parse body into JSON", 400)
	older("PUT", "/maintenance/schedule", window, "405 Method Not Allowed", 405)
	older("POST", "/master/maintenance/schedule", window, "", 200)
	older("GET", "/maintenance/schedule", "", a.Hostname(), 200)
	p.expect("INVERSE_OFFERS")
	older("GET", "/maintenance/status", "", `"draining_machines"`, 200)
	older("POST", "/machine/down", machine, "Expecting a JSON array", 400)
	older("GET", "/machine/down", "", "405", 405)
	older("POST", "/machine/down", "["+machine+"]", "", 200)
	for _, state := range []string{"TASK_STARTING", "TASK_LOST"} {
		p.expectUpdate("t1", state)
	}
	p.expect("RESCIND_INVERSE_OFFER")
	p.expect("FAILURE")
	down()
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	down() // turned away
	operator(`{"type":"GET_MAINTENANCE_STATUS"}`, `"down_machines":[`+machine+`]`, 200)
	operator(`{"type":"STOP_MAINTENANCE","stop_maintenance":{"machines":[`+machine+`]}}`, "", 200)
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	p.expect("OFFERS")
	older("GET", "/maintenance/status", "", "{}", 200)
}

func TestWeightsOverHTTP(t *testing.T) {
	t.Parallel()
	c := New(t, Agents(1, "cpus:2;mem:1024;disk:1024"))
	p := newProbe(t, c, frameworkInfo("db"))
	p.expect("OFFERS")
	for _, tc := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/api/v1", `{"type":"GET_WEIGHTS"}`, 200, `{"type":"GET_WEIGHTS","get_weights":{}}`},
		{"GET", "/weights", "", 200, "[]"},
		{"PUT", "/weights", `[{"role":"db","weight":0}]`, 400, "Invalid weight '0': Weights must be positive"},
		{"PUT", "/weights", `[{"role":"db"}]`, 400, "Missing required fields: weight"},
		{"PUT", "/weights", `{}`, 400, "Expecting a JSON array"},
		{"POST", "/weights", `[]`, 405, "405"},
		{"PUT", "/weights", `[{"role":"db","weight":2.5}]`, 200, ""},
		{"POST", "/api/v1", `{"type":"UPDATE_WEIGHTS"}`, 400, "Expecting 'update_weights' to be present"},
		{"POST", "/api/v1", `{"type":"UPDATE_WEIGHTS","update_weights":{"weight_infos":[{"role":"x","weight":3}]}}`, 200, ""},
		{"POST", "/api/v1", `{"type":"GET_WEIGHTS"}`, 200, `"weight_infos":[{"weight":2.5,"role":"db"},{"weight":3.0,"role":"x"}]`},
		{"POST", "/api/v1", `{"type":"GET_ROLES"}`, 200, `"weight":2.5`},
		{"POST", "/api/v1", `{"type":"READ_FILE","read_file":{"path":"/master/log","offset":0}}`, 404, ""},
		{"POST", "/api/v1", `{"type":"LIST_FILES"}`, 400, "Expecting 'list_files' to be present"},
		{"GET", "/files/debug", "", 200, "{}"},
	} {
		status, body := 0, ""
		if tc.path == "/api/v1" {
			status, body, _ = post(t, c.URL()+tc.path, tc.body)
		} else {
			status, body = send(t, tc.method, c.URL()+tc.path, tc.body)
		}
		if status != tc.status || !strings.Contains(body, tc.want) {
			t.Errorf("%s %s %s: %d %s, want %d with %s", tc.method, tc.path, tc.body, status, body, tc.status, tc.want)
		}
	}
	p.expect("RESCIND")
	p.expect("OFFERS")
	levels(t, c.URL()+"/api/v1")
}

// A volume keeps its data when its size is changed, by framework or operator.
func TestResizedVolumeKeepsItsData(t *testing.T) {
	t.Parallel()
	c := New(t, Agents(1, "cpus:2;mem:1024;disk:1024"))
	p := newProbe(t, c, frameworkInfo("db"))
	offer := dig(p.expect("OFFERS"), "offers", "offers", 0)
	disk := func(mb float64) object {
		r := scalar("disk", mb)
		r["reservations"] = []object{{"type": "DYNAMIC", "role": "db"}}
		return r
	}
	volume := func(mb float64) object {
		r := disk(mb)
		r["disk"] = object{"persistence": object{"id": "v"}, "volume": object{"container_path": "data", "mode": "RW"}}
		return r
	}
	accept := func(operations ...object) {
		t.Helper()
		p.call(object{"type": "ACCEPT", "accept": object{"offer_ids": []any{dig(offer, "id")}, "operations": operations, "filters": object{"refuse_seconds": 0}}})
	}
	accept(object{"type": "RESERVE", "reserve": object{"resources": []object{disk(64)}}},
		object{"type": "CREATE", "create": object{"volumes": []object{volume(32)}}})
	offer = dig(p.expect("OFFERS"), "offers", "offers", 0)
	file := filepath.Join(c.Agent(0).Dir(), "volumes", "roles", "db", "v", "file")
	c.wait(t, func() bool { return os.WriteFile(file, []byte("kept"), 0o644) == nil }, func() string { return "no volume is made" })
	accept(object{"type": "GROW_VOLUME", "id": object{"value": "grow"},
		"grow_volume": object{"volume": volume(32), "addition": disk(32)}})
	if got := text(p.expect("UPDATE_OPERATION_STATUS"), "update_operation_status", "status", "state"); got != "OPERATION_FINISHED" {
		t.Errorf("the operation is %s", got)
	}
	offer = dig(p.expect("OFFERS"), "offers", "offers", 0)
	if got := fmt.Sprint(offer); !strings.Contains(got, "scalar:map[value:64]") {
		t.Errorf("offered is %s", got)
	}
	call := object{"type": "SHRINK_VOLUME", "shrink_volume": object{"volume": volume(64), "subtract": object{"value": 16}}}
	if status, body, _ := post(t, c.URL()+"/api/v1", show(call)); status != 400 || !strings.Contains(body, "only agent default resources") {
		t.Errorf("no agent: %d %s", status, body)
	}
	call["shrink_volume"].(object)["agent_id"] = dig(offer, "agent_id")
	if status, body, _ := post(t, c.URL()+"/api/v1", show(call)); status != 202 {
		t.Fatalf("SHRINK_VOLUME: %d %s", status, body)
	}
	p.expect("RESCIND")
	if got := fmt.Sprint(p.expect("OFFERS")); !strings.Contains(got, "scalar:map[value:48]") {
		t.Errorf("offered is %s", got)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "kept" {
		t.Errorf("the volume holds %q: %v", b, err)
	}
}
