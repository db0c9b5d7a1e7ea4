package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// create posts a body and wants something new for it.
func (l *local) create(path, text string, answer any) {
	l.t.Helper()
	code, body := l.send(http.MethodPost, path, text)
	require.Equal(l.t, http.StatusCreated, code, "POST %s: %s", path, body)
	require.NoError(l.t, json.Unmarshal(body, answer), "%s", body)
}

func TestAgentsAreAddedAndRetired(t *testing.T) {
	t.Parallel()
	work := t.TempDir()
	l := start(t, "--agent", "{hostname: host1.test}")
	var added []agentStatus
	l.create("/agents", "{hostname: host2.test, resources: 'cpus:1;mem:64', work_dir: "+work+"}", &added)
	require.Len(t, added, 1)
	assert.Equal(t, "host2.test", added[0].Hostname)
	assert.Equal(t, work, added[0].WorkDir)
	l.create("/agents", `{"count": 2}`, &added)
	assert.Len(t, added, 2)
	l.active(4)
	l.ask("POST", "/agents/host2.test/retire", nil)
	l.active(3)
	for text, want := range map[string]string{
		"{hostnam: x}":        "hostnam is no field: did you mean hostname?",
		"{resources: 'cpus'}": `Resources: "cpus": want name:value`,
		"{region: eu}":        `region is "eu" and zone is "": want both, or none`,
	} {
		code, body := l.send("POST", "/agents", text)
		assert.Equal(t, http.StatusBadRequest, code)
		assert.Contains(t, problem(t, body), want)
	}
}

// problem is what a failure says.
func problem(t *testing.T, body []byte) string {
	t.Helper()
	var f failure
	require.NoError(t, json.Unmarshal(body, &f), "%s", body)
	return f.Error
}

func TestMastersArePausedAndFaultsSet(t *testing.T) {
	t.Parallel()
	l := start(t, "--agent", "{hostname: host1.test}", "--heartbeat_interval", "1secs")
	var m memberStatus
	l.ask("POST", "/masters/0/pause", &m)
	assert.Equal(t, memberStatus{Address: l.Master, Up: true, Leading: true, Paused: true}, m)
	l.ask("POST", "/masters/0/resume", &m)
	assert.False(t, m.Paused)
	code, body := l.try("POST", "/masters/1/pause")
	assert.Equal(t, http.StatusNotFound, code)
	assert.Contains(t, problem(t, body), `number is "1": want a master's, from 0 to 0`)

	var f fault
	l.create("/faults", `{"message": "StatusUpdate", "agent": "host1.test", "fate": "drop", "times": 1}`, &f)
	assert.Equal(t, 1, f.Number)
	framework := subscribe(t, l.URL, "")
	framework.launch("host1.test", "t1", "sleep 600")
	eventually(t, "the update is lost", func() bool {
		var all []*fault
		l.ask("GET", "/faults", &all)
		return len(all) == 1 && all[0].Matched == 1
	})
	l.ask("DELETE", "/faults/1", nil)
	// The agent sends again what it does not hear back about when it comes back.
	l.ask("POST", "/agents/host1.test/restart", nil)
	framework.state("t1", "TASK_RUNNING")
	for text, want := range map[string]string{
		`{"fate": "eat"}`:                 `fate is "eat": want drop, delay, double, swap or hold`,
		`{"fate": "delay", "by": "soon"}`: `by is "soon": want a duration above 0`,
		`{"fate": "drop", "by": "1s"}`:    `by is "1s": want it with the fate delay only`,
		`{"fate": "drop", "times": -1}`:   "times is -1: want how many messages",
		`{"fates": "drop"}`:               `unknown field "fates"`,
	} {
		code, body := l.send("POST", "/faults", text)
		assert.Equal(t, http.StatusBadRequest, code)
		assert.Contains(t, problem(t, body), want, fmt.Sprint(text))
	}
	code, _ = l.try("DELETE", "/faults/1")
	assert.Equal(t, http.StatusNotFound, code)
}

// Agents that only pretend are like others to whoever asks, and run nothing.
func TestAgentsPretend(t *testing.T) {
	t.Parallel()
	const agents = 50
	l := start(t, "--agent", fmt.Sprintf("{count: %d, pretend: true}", agents))
	require.Len(t, l.Agents, agents)
	l.active(agents)
	host := l.Agents[agents-1].Hostname
	f := subscribe(t, l.URL, "")
	f.launch(host, "t1", "exit 1")
	f.state("t1", "TASK_RUNNING")
	var tasks []taskStatus
	l.ask("GET", "/tasks", &tasks)
	assert.Equal(t, []taskStatus{{"t1", f.id, l.Agents[agents-1].ID, host, "TASK_RUNNING"}}, tasks)
	var processes []processStatus
	l.ask("GET", "/processes", &processes)
	assert.Empty(t, processes)
	l.ask("POST", "/agents/"+host+"/restart", nil)
	l.active(agents)
	f.call(object{"type": "KILL", "kill": object{"task_id": value("t1")}})
	f.state("t1", "TASK_KILLED")
}
