package statecmd_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/internal/dist/disttest"
	"github.com/mesokit/mesokit/scheduler/state"
	"github.com/mesokit/mesokit/scheduler/state/statecmd"
	"github.com/mesokit/mesokit/scheduler/state/zookeeper"
)

// run runs the command and returns what it prints.
func run(t *testing.T, stdin io.Reader, args ...string) (string, error) {
	t.Helper()
	command := statecmd.Command(statecmd.Config{})
	var out bytes.Buffer
	command.SetIn(stdin)
	command.SetOut(&out)
	command.SetErr(io.Discard)
	command.SetArgs(args)
	err := command.ExecuteContext(t.Context())
	return out.String(), err
}

var records = []state.Record{
	{Key: "framework", Value: []byte("id-0001")},
	{Key: "identity", Value: []byte(`{"seed":"aGVsbG8="}`)},
	{Key: "node/kafka-0", Version: 1, Value: []byte(`{"host":"h1"}`)},
	{Key: "service/secret/keystore", Value: []byte("hunter2")},
}

const exported = `{"key":"framework","text":"id-0001"}
{"key":"identity","secret":true}
{"key":"node/kafka-0","version":1,"json":{"host":"h1"}}
{"key":"service/secret/keystore","secret":true}
`

// fileWith returns a directory whose store holds the records.
func fileWith(t *testing.T, records []state.Record) string {
	t.Helper()
	dir := t.TempDir()
	store, err := state.OpenFile(dir)
	require.NoError(t, err)
	_, err = store.Load(t.Context())
	require.NoError(t, err)
	require.NoError(t, store.Save(t.Context(), records))
	require.NoError(t, store.Close())
	return dir
}

func TestFromFileToZooKeeperAndBack(t *testing.T) {
	t.Parallel()
	server := disttest.ZooKeeper(t, "maxSessionTimeout=20000")
	url := "zk://me:password@" + server.Address + "/state"
	secrets := filepath.Join(t.TempDir(), "secrets")
	out, err := run(t, nil, "export", "--state", fileWith(t, records), "--secrets", secrets)
	require.NoError(t, err)
	require.Equal(t, exported, out)
	info, err := os.Stat(secrets)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())

	out, err = run(t, strings.NewReader(exported), "import", "--state", url, "--secrets", secrets, "-")
	require.NoError(t, err)
	assert.Equal(t, "imported 4 records\n", out)

	// An import takes nothing from a scheduler that leads, an export may look.
	scheduler, err := zookeeper.Open(zookeeper.Config{URL: url})
	require.NoError(t, err)
	_, err = scheduler.Lead(t.Context())
	require.NoError(t, err)
	_, err = scheduler.Load(t.Context())
	require.NoError(t, err)
	_, err = run(t, strings.NewReader(exported), "import", "--state", url, "--secrets", secrets, "--replace", "-")
	taken := &state.TakenError{}
	require.ErrorAs(t, err, &taken)
	second := filepath.Join(t.TempDir(), "secrets")
	out, err = run(t, nil, "export", "--state", url, "--secrets", second)
	require.NoError(t, err)
	require.Equal(t, exported, out)
	require.NoError(t, scheduler.Save(t.Context(), nil))
	require.NoError(t, scheduler.Close())

	file := filepath.Join(t.TempDir(), "export")
	require.NoError(t, os.WriteFile(file, []byte(out), 0o600))
	back := filepath.Join(t.TempDir(), "state")
	_, err = run(t, nil, "import", "--state", back, "--secrets", second, file)
	require.NoError(t, err)
	got, err := state.ReadFile(back)
	require.NoError(t, err)
	assert.Equal(t, records, got)
}

func TestImportReplaces(t *testing.T) {
	t.Parallel()
	dir := fileWith(t, []state.Record{{Key: "framework", Value: []byte("old")}, {Key: "gone", Value: []byte("x")}})
	const in = `{"key":"framework","text":"new"}` + "\n"
	_, err := run(t, strings.NewReader(in), "import", "--state", dir, "-")
	require.ErrorContains(t, err, "there is a state of 2 records already: import into a new place, or say --replace")
	_, err = run(t, strings.NewReader(in), "import", "--state", dir, "--replace", "-")
	require.NoError(t, err)
	got, err := state.ReadFile(dir)
	require.NoError(t, err)
	assert.Equal(t, []state.Record{{Key: "framework", Value: []byte("new")}}, got)
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	full := fileWith(t, records)
	export := file("export", exported)
	bad := file("bad", "{")
	other := file("other", `{"key":"other/secret","text":"x"}`+"\n")
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"no state", []string{"export"}, `required flag(s) "state" not set`},
		{"nothing there", []string{"export", "--state", filepath.Join(dir, "none")}, "no such file"},
		{"bad URL", []string{"export", "--state", "zk://h"}, "Config.URL: the path is missing"},
		{"secrets exist", []string{"export", "--state", full, "--secrets", export}, "--secrets: open " + export + ": file exists"},
		{"no file", []string{"import", "--state", dir + "/new"}, "accepts 1 arg(s)"},
		{"missing file", []string{"import", "--state", dir + "/new", dir + "/none"}, "no such file"},
		{"bad file", []string{"import", "--state", dir + "/new", bad}, bad + ": import state: line 1: "},
		{"secrets missing", []string{"import", "--state", dir + "/new", export}, `names secrets without their values: ["identity" "service/secret/keystore"]; give --secrets`},
		{"other secrets", []string{"import", "--state", dir + "/new", "--secrets", other, export}, `has key "other/secret", which ` + export + ` does not name`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := run(t, nil, c.args...)
			require.ErrorContains(t, err, c.want)
			if _, err := os.Stat(dir + "/new"); !errors.Is(err, os.ErrNotExist) {
				t.Error("a state was made")
			}
		})
	}
}
