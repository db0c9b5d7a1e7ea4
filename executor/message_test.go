package executor_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
)

func TestMessagesTravel(t *testing.T) {
	t.Parallel()
	for _, want := range []executor.Message{
		executor.Hello{Task: "t", Secrets: []string{"key"}},
		executor.Secret{Task: "t", Name: "key", Value: []byte{0, 1, 255}},
		executor.Renew{Task: "t", Number: 3},
		executor.Grant{Task: "t", Number: 3},
		executor.Request{ID: "7", Task: "t", Name: "drain", Body: json.RawMessage(`{"a":1}`), Within: time.Minute},
		executor.Response{ID: "7", Task: "t", Part: 1, Parts: 2, Body: []byte("x"), Error: "y"},
		executor.Usage{Task: "t", Processes: 2, CPU: time.Second, Memory: 1 << 30},
	} {
		data, err := executor.EncodeMessage(want)
		require.NoError(t, err)
		got, err := executor.DecodeMessage(data)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	_, err := executor.EncodeMessage(executor.Request{Body: json.RawMessage("{")})
	assert.ErrorContains(t, err, "encode executor.Request")
}

func TestDecodeMessageRefuses(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		``:                            "message of 0 bytes is not one of this package",
		`ping`:                        "message of 4 bytes",
		`{}`:                          "message holds 0 of",
		`{"hello":{},"secret":{}}`:    "message holds 2 of",
		`{"secret":{"valeu":"c2Vj"}}`: "message of 27 bytes",
	} {
		_, err := executor.DecodeMessage([]byte(data))
		assert.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "c2Vj", "what was received may be a secret")
	}
}

func FuzzDecodeMessage(f *testing.F) {
	f.Add([]byte(`{"request":{"id":"1","task":"t","name":"tail","body":{"lines":3}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := executor.DecodeMessage(data)
		if err != nil {
			return
		}
		data, err = executor.EncodeMessage(m)
		require.NoError(t, err)
		_, err = executor.DecodeMessage(data)
		require.NoError(t, err)
	})
}

func TestSecretDoesNotPrint(t *testing.T) {
	t.Parallel()
	s := executor.Secret{Task: "t", Name: "key", Value: []byte("hunter2")}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		assert.Equal(t, "secret key of t", fmt.Sprintf(format, s))
	}
}

// Parts may be lost and sent again, doubled and in any order.
func TestAnswer(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		parts := 1 + r.IntN(5)
		var want bytes.Buffer
		var all []executor.Response
		for i := range parts {
			body := bytes.Repeat([]byte{byte(i)}, r.IntN(3))
			want.Write(body)
			all = append(all, executor.Response{Part: i, Parts: parts, Body: body})
		}
		var a executor.Answer
		seen := map[int]bool{}
		for !a.Complete() {
			_, err := a.Body()
			require.ErrorContains(t, err, "have not come")
			one := all[r.IntN(parts)]
			seen[one.Part] = true
			require.Equal(t, len(seen) == parts, a.Add(one))
		}
		assert.True(t, a.Add(all[0]), "and stays complete")
		got, err := a.Body()
		require.NoError(t, err)
		assert.Equal(t, want.String(), string(got))
	}
	for _, bad := range []executor.Response{{}, {Part: 1, Parts: 1}, {Part: -1, Parts: 1}, {Parts: 1 << 30}} {
		var a executor.Answer
		assert.True(t, a.Add(bad))
		_, err := a.Body()
		assert.ErrorContains(t, err, "want 0 to at most 63")
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	a.start()
	task := executor.Task{Command: shell("for i in 1 2 3 4; do echo line $$i; done; exec sleep 100"), Ready: &executor.Probe{Log: "line 4"}}
	a.launch("t1", task)
	a.await("t1", "RUNNING healthy: ready")

	got, err := a.ask(executor.Request{ID: "1", Task: "t1", Name: "tail", Body: json.RawMessage(`{"lines":2}`)})
	require.NoError(t, err)
	assert.Equal(t, "line 3\nline 4\n", got)

	for range 3 { // doubled on the way: carried out once
		got, err = a.ask(executor.Request{ID: "2", Task: "t1", Name: "count", Body: json.RawMessage(`"once"`)})
		require.NoError(t, err)
		assert.JSONEq(t, `{"task":"t1"}`, got)
	}
	assert.Equal(t, "\"once\"\n", a.read("count"))

	got, err = a.ask(executor.Request{ID: "3", Task: "t1", Name: "large"})
	require.NoError(t, err)
	assert.Equal(t, strings.Repeat("0123456789", 100_000), got)

	for _, bad := range []struct {
		executor.Request
		want string
	}{
		{executor.Request{ID: "4", Task: "t1", Name: "nothing"}, `request "nothing": this executor has no such function`},
		{executor.Request{ID: "5", Task: "t2", Name: "tail"}, "there is no such task on this executor"},
		{executor.Request{ID: "6", Task: "t1", Name: "tail", Body: json.RawMessage(`{"file":"/etc/passwd"}`)}, `tail: file "/etc/passwd": want stdout or stderr`},
		{executor.Request{ID: "7", Task: "t1", Name: "tail", Body: json.RawMessage(`[]`)}, "tail: json:"},
		{executor.Request{ID: "8", Task: "t1", Name: "panic"}, "panic: no"},
		{executor.Request{ID: "9", Task: "t1", Name: "hang", Within: 50 * time.Millisecond}, "hang: not done within 50ms"},
	} {
		_, err := a.ask(bad.Request)
		assert.ErrorContains(t, err, bad.want)
	}
	assert.Len(t, a.history("t1"), 3, "the server does not notice any of it")
}

func TestSecretsReachTheirFilesAndNothingElse(t *testing.T) {
	t.Parallel()
	const value = "correct-horse-battery-staple"
	a := newAgent(t)
	cmd := a.start()
	a.launch("t1", executor.Task{
		Secrets: []executor.SecretFile{{Name: "password", Path: "secrets/password"}, {Name: "key", Path: "key"}},
		Command: shell("echo $(cat secrets/password | wc -c) bytes; exec sleep 100"),
		Ready:   &executor.Probe{Log: "bytes"},
	})
	a.wait("a hello", func() bool { return len(a.messages()) > 0 })
	a.set(func() {
		assert.Equal(t, executor.Hello{Task: "t1", Secrets: []string{"password", "key"}}, a.messages()[0])
	})
	a.say(executor.Secret{Task: "t2", Name: "password", Value: []byte("wrong")})
	a.say(executor.Secret{Task: "t1", Name: "other", Value: []byte("wrong")})
	a.say(executor.Secret{Task: "t1", Name: "password", Value: []byte(value)})
	a.say(executor.Secret{Task: "t1", Name: "password", Value: []byte("doubled")})
	// The message with the second secret is lost; the executor asks again.
	a.wait("another hello", func() bool {
		all := a.messages()
		last, ok := all[len(all)-1].(executor.Hello)
		return ok && assert.ObjectsAreEqual([]string{"key"}, last.Secrets)
	})
	a.say(executor.Secret{Task: "t1", Name: "key", Value: []byte(value)})
	a.await("t1", "RUNNING healthy: ready")
	assert.Equal(t, []string{"STARTING: files written", "STARTING: secrets written"}, a.history("t1")[:2])
	assert.Equal(t, fmt.Sprintf("%d bytes\n", len(value)), a.read("stdout"))

	a.kill("t1", nil)
	exited(t, cmd)
	var found []string
	require.NoError(t, filepath.WalkDir(a.sandbox, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if strings.Contains(string(data), value) {
			info, err := d.Info()
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o600), info.Mode(), path)
			found = append(found, strings.TrimPrefix(path, a.sandbox))
		}
		return err
	}))
	assert.Equal(t, []string{"/key", "/secrets/password"}, found)
	a.set(func() {
		for _, c := range a.calls {
			assert.NotContains(t, c.String(), value)
		}
	})
}
