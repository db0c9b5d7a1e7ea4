package executor_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
)

func TestTaskTravelsAsJSON(t *testing.T) {
	t.Parallel()
	umask := 0o027
	want := executor.Task{
		Files:   []executor.File{{Path: "conf/server.properties", Content: []byte("node.id=1\n\xff"), Mode: 0o600, Owner: "root", Expand: true}},
		Secrets: []executor.SecretFile{{Name: "key", Path: "key.pem"}},
		Init:    []executor.Step{{Name: "format", Done: "formatted", Command: []string{"bin/format"}, Unless: "data/meta", Timeout: time.Minute}},
		User:    "mysql:adm",
		Sample:  time.Minute,
		Dir:     "data",
		Command: []string{"bin/server", "$PORT"},
		Env:     map[string]string{"PORT": "9092"},
		Lease:   &executor.Lease{Within: time.Minute, End: &executor.Step{Name: "freeze", Func: "freeze", Timeout: time.Second}, Again: &executor.Step{Name: "thaw", Func: "thaw", Timeout: time.Second}},
		Sidecars: []executor.Sidecar{{
			Name: "exporter", Command: []string{"bin/exporter"}, First: true, Essential: true, Dir: "data", Env: map[string]string{"A": "b"},
			Ready: &executor.Probe{Log: "up"}, Live: &executor.Probe{TCP: ":1"}, Restart: executor.Restart{Max: 1, Backoff: 1, Stable: 2},
			Stop: executor.Stop{Grace: time.Minute},
		}},
		Ready:  &executor.Probe{TCP: "127.0.0.1:$PORT", Within: time.Minute},
		Live:   &executor.Probe{HTTP: "http://127.0.0.1:$PORT/", Failures: 5},
		Stop:   executor.Stop{Before: []executor.Step{{Name: "drain", Func: "drain"}}, Signal: "SIGINT", Grace: time.Minute},
		Limits: executor.Limits{OpenFiles: 1 << 16, NoCore: true, Umask: &umask},
		Logs:   executor.Logs{Tail: -1, MaxBytes: 1 << 20, Keep: 3},
	}
	data, err := json.Marshal(want)
	require.NoError(t, err)
	got, err := executor.ParseTask(data)
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

func TestParseTaskRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, data, want string }{
		{"nothing", ``, "TaskInfo.data is empty"},
		{"not JSON", `kafka`, "not an executor.Task"},
		{"unknown field", `{"command":["true"],"comand":[]}`, `unknown field "comand"`},
		{"more", `{"command":["true"]}{}`, "goes on after the executor.Task"},
		{"no command", `{}`, "command is empty"},
		{"root as file", `{"command":["true"],"files":[{"path":"/"}]}`, `files[0].path "/"`},
		{"absolute file above", `{"command":["true"],"files":[{"path":"/var/../etc/passwd"}]}`, `files[0].path "/var/../etc/passwd"`},
		{"absolute directory", `{"command":["true"],"dir":"/var"}`, `dir "/var"`},
		{"file above", `{"command":["true"],"files":[{"path":"a"},{"path":"a/../../b"}]}`, `files[1].path "a/../../b"`},
		{"sandbox as file", `{"command":["true"],"files":[{"path":"a/.."}]}`, `files[0].path`},
		{"setuid file", `{"command":["true"],"files":[{"path":"a","mode":8389101}]}`, "want permission bits only"},
		{"secret outside", `{"command":["true"],"secrets":[{"name":"a","path":"../a"}]}`, `secrets[0].path "../a"`},
		{"secret without name", `{"command":["true"],"secrets":[{"path":"a"}]}`, `secrets[0].name is empty`},
		{"secret twice", `{"command":["true"],"secrets":[{"name":"a","path":"a"},{"name":"a","path":"b"}]}`, `secrets[1].name "a" is there twice`},
		{"short lease", `{"command":["true"],"lease":{"within":5}}`, "lease.within 5ns: want at least 1s"},
		{"endless end of lease", `{"command":["true"],"lease":{"within":1000000000,"end":{"name":"a","func":"b"}}}`, "lease.end.timeout 0s"},
		{"bad end of lease", `{"command":["true"],"lease":{"within":1000000000,"end":{"name":"a","timeout":1}}}`, "lease.end.command"},
		{"variable", `{"command":["true"],"env":{"A=B":"c"}}`, `env: name "A=B"`},
		{"step without name", `{"command":["true"],"init":[{"command":["true"]}]}`, "init[0].name is empty"},
		{"step without work", `{"command":["true"],"init":[{"name":"format"}]}`, "want exactly one of the two (step format)"},
		{"step with two works", `{"command":["true"],"stop":{"before":[{"name":"drain","func":"f","command":["g"]}]}}`, "stop.before[0].command"},
		{"step outside", `{"command":["true"],"init":[{"name":"format","func":"f","unless":"../x"}]}`, `init[0].unless "../x"`},
		{"empty probe", `{"command":["true"],"ready":{}}`, "ready.tcp, http, command, func, log: 0 of them are set"},
		{"double probe", `{"command":["true"],"ready":{"tcp":":1","log":"x"}}`, "2 of them are set"},
		{"function and command", `{"command":["true"],"ready":{"func":"f","command":["x"]}}`, "2 of them are set"},
		{"directory outside", `{"command":["true"],"dir":"../x"}`, `dir "../x"`},
		{"negative sample", `{"command":["true"],"sample":-1}`, "sample -1ns: want zero or more"},
		{"bad expression", `{"command":["true"],"ready":{"log":"("}}`, `ready.log "("`},
		{"bad URL", `{"command":["true"],"ready":{"http":"localhost/health"}}`, `ready.http "localhost/health"`},
		{"live log", `{"command":["true"],"live":{"log":"x"}}`, `live.log "x"`},
		{"negative time", `{"command":["true"],"ready":{"tcp":":1","interval":-1}}`, "interval -1ns"},
		{"negative failures", `{"command":["true"],"ready":{"tcp":":1","failures":-1}}`, "failures -1"},
		{"negative restarts", `{"command":["true"],"restart":{"max":-1}}`, "restart.max -1"},
		{"endless backoff", `{"command":["true"],"restart":{"backoff":9000000000000}}`, "restart.backoff 2h30m0s: want zero to 5m0s"},
		{"restart with a lease", `{"command":["true"],"restart":{"max":1},"lease":{"within":1000000000}}`, "restart.max 1: a task with a lease"},
		{"signal", `{"command":["true"],"stop":{"signal":"TERM"}}`, `stop.signal "TERM": want one of SIGHUP, SIGINT`},
		{"grace", `{"command":["true"],"stop":{"grace":-5}}`, "stop.grace -5ns"},
		{"umask", `{"command":["true"],"limits":{"umask":4096}}`, "limits.umask 010000"},
		{"log files", `{"command":["true"],"logs":{"keep":-1}}`, "logs.keep -1"},
		{"restless", `{"command":["true"],"restart":{"stable":-1}}`, "restart.stable -1ns"},
		{"nothing to undo", `{"command":["true"],"lease":{"within":1000000000,"again":{"name":"a","func":"b","timeout":1}}}`, "lease.again (a) without lease.end"},
		{"endless undoing", `{"command":["true"],"lease":{"within":1000000000,"end":{"name":"a","func":"b","timeout":1},"again":{"name":"a","func":"b"}}}`, "lease.again.timeout 0s"},
		{"bad undoing", `{"command":["true"],"lease":{"within":1000000000,"end":{"name":"a","func":"b","timeout":1},"again":{"name":"a","timeout":1}}}`, "lease.again.command"},
		{"sidecar without name", `{"command":["true"],"sidecars":[{"command":["true"]}]}`, "sidecars[0].name is empty"},
		{"sidecar without command", `{"command":["true"],"sidecars":[{"name":"zkfc"}]}`, "sidecars[0].command is empty: want a program and its arguments (sidecar zkfc)"},
		{"sidecar twice", `{"command":["true"],"sidecars":[{"name":"a","command":["b"]},{"name":"a","command":["b"]}]}`, `sidecars[1].name "a" is there twice`},
		{"sidecar with a bad probe", `{"command":["true"],"sidecars":[{"name":"a","command":["b"],"ready":{}}]}`, "sidecars[0].ready.tcp, http, command, func, log: 0 of them are set: want exactly one (sidecar a)"},
		{"sidecar with a bad stop", `{"command":["true"],"sidecars":[{"name":"a","command":["b"],"stop":{"signal":"X"}}]}`, `sidecars[0].stop.signal "X"`},
		{"sidecar with a bad variable", `{"command":["true"],"sidecars":[{"name":"a","command":["b"],"env":{"=":""}}]}`, `sidecars[0].env: name "="`},
		{"sidecar outside", `{"command":["true"],"sidecars":[{"name":"a","command":["b"],"dir":"../x"}]}`, `sidecars[0].dir "../x"`},
		{"sidecar that is restarted less than never", `{"command":["true"],"sidecars":[{"name":"a","command":["b"],"restart":{"max":-1}}]}`, "sidecars[0].restart.max -1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := executor.ParseTask([]byte(tt.data))
			assert.ErrorContains(t, err, tt.want)
		})
	}
}

func FuzzParseTask(f *testing.F) {
	f.Add([]byte(`{"command":["true"],"files":[{"path":"a","content":"YQ=="}],"ready":{"tcp":":1"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		task, err := executor.ParseTask(data)
		if err != nil {
			return
		}
		data, err = json.Marshal(task)
		require.NoError(t, err)
		_, err = executor.ParseTask(data)
		require.NoError(t, err)
	})
}
