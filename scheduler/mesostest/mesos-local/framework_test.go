package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/internal/recordio"
)

// object is JSON as a program in another language builds it.
type object = map[string]any

func value(s string) object { return object{"value": s} }

// framework is a scheduler as somebody writes it who has nothing but HTTP.
type framework struct {
	t      *testing.T
	master string // URL
	stream string
	id     string
	events chan event
}

type event struct {
	Type       string
	Subscribed struct {
		FrameworkID struct{ Value string } `json:"framework_id"`
	}
	Offers struct{ Offers []offer }
	Update struct {
		Status struct {
			TaskID  struct{ Value string } `json:"task_id"`
			AgentID object                 `json:"agent_id"`
			State   string
			UUID    string
		}
	}
}

type offer struct {
	ID       object
	AgentID  object `json:"agent_id"`
	Hostname string
}

// subscribe connects a framework; id is "" for a new one.
func subscribe(t *testing.T, master, id string) *framework {
	t.Helper()
	f := &framework{t: t, master: master, id: id, events: make(chan event, 1000)}
	info := object{"user": "root", "name": "raw", "checkpoint": true, "failover_timeout": 3600, "roles": []string{"raw"},
		"capabilities": []object{{"type": "MULTI_ROLE"}, {"type": "PARTITION_AWARE"}, {"type": "RESERVATION_REFINEMENT"}}}
	call := object{"type": "SUBSCRIBE", "subscribe": object{"framework_info": info}}
	if id != "" {
		info["id"], call["framework_id"] = value(id), value(id)
	}
	resp := f.post(call)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	t.Cleanup(func() { resp.Body.Close() })
	f.stream = resp.Header.Get("Mesos-Stream-Id")
	go func() {
		defer close(f.events)
		records := recordio.NewReader(resp.Body, recordio.DefaultLimit)
		for {
			b, err := records.Next()
			if err != nil {
				return
			}
			var e event
			if json.Unmarshal(b, &e) != nil {
				return
			}
			f.events <- e
		}
	}()
	f.id = f.next("SUBSCRIBED").Subscribed.FrameworkID.Value
	return f
}

func (f *framework) post(call object) *http.Response {
	f.t.Helper()
	b, err := json.Marshal(call)
	require.NoError(f.t, err)
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.master+"/api/v1/scheduler", bytes.NewReader(b))
	require.NoError(f.t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Close = true // a connection that is kept may be to a master that was killed since
	if f.stream != "" {
		req.Header.Set("Mesos-Stream-Id", f.stream)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(f.t, err)
	return resp
}

// call makes a call that has no answer.
func (f *framework) call(call object) {
	f.t.Helper()
	call["framework_id"] = value(f.id)
	resp := f.post(call)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(f.t, err)
	require.Equal(f.t, http.StatusAccepted, resp.StatusCode, "%s", body)
}

// next is the next event of a type.
func (f *framework) next(kind string) event {
	f.t.Helper()
	late := time.After(patience)
	for {
		select {
		case e, open := <-f.events:
			require.True(f.t, open, "the stream ended, want %s", kind)
			if e.Type == kind {
				return e
			}
		case <-late:
			require.Fail(f.t, "no event "+kind)
		}
	}
}

// closed waits for the end of the stream.
func (f *framework) closed() {
	f.t.Helper()
	late := time.After(patience)
	for {
		select {
		case _, open := <-f.events:
			if !open {
				return
			}
		case <-late:
			require.Fail(f.t, "the stream goes on")
		}
	}
}

// launch launches a command on the offer of a host, once there is one.
func (f *framework) launch(hostname, task, command string) {
	f.t.Helper()
	for {
		for _, o := range f.next("OFFERS").Offers.Offers {
			if o.Hostname != hostname {
				continue
			}
			scalar := func(name string, v float64) object {
				return object{"name": name, "type": "SCALAR", "scalar": object{"value": v}}
			}
			info := object{"name": task, "task_id": value(task), "agent_id": o.AgentID,
				"command": object{"value": command}, "resources": []object{scalar("cpus", 0.1), scalar("mem", 32)}}
			f.call(object{"type": "ACCEPT", "accept": object{"offer_ids": []object{o.ID}, "operations": []object{
				{"type": "LAUNCH", "launch": object{"task_infos": []object{info}}}}}})
			return
		}
	}
}

// state waits for a task to be in a state, and acknowledges what it hears.
func (f *framework) state(task, state string) {
	f.t.Helper()
	for {
		s := f.next("UPDATE").Update.Status
		if s.UUID != "" {
			f.call(object{"type": "ACKNOWLEDGE", "acknowledge": object{
				"agent_id": s.AgentID, "task_id": value(s.TaskID.Value), "uuid": s.UUID}})
		}
		if s.TaskID.Value == task && s.State == state {
			return
		}
	}
}
