package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
)

func TestOptionsAreChanged(t *testing.T) {
	t.Parallel()
	before, rolls := brokers(frameworks.Ready), brokers(frameworks.Ready)
	before.Options = &frameworks.OptionsStatus{Target: json.RawMessage(`{"mem": 512}`), Good: json.RawMessage(`{"mem": 512}`)}
	rolls.Nodes[0].Config, rolls.Nodes[0].Wanted = "old", "new"
	out, _, err := operate(t.Context(), t, &fake{statuses: []frameworks.Status{before}}, "options")
	require.NoError(t, err)
	assert.Equal(t, "{\n  \"mem\": 512\n}\n", out)
	_, _, err = operate(t.Context(), t, &fake{statuses: []frameworks.Status{rolls}}, "options")
	require.EqualError(t, err, "options: kafka has none that can be changed while it runs")

	file := filepath.Join(t.TempDir(), "options.json")
	require.NoError(t, os.WriteFile(file, []byte(out), 0o600))
	f := &fake{statuses: []frameworks.Status{rolls, before}}
	_, said, err := operate(t.Context(), t, f, "update", file, "--wait")
	require.NoError(t, err)
	assert.Equal(t, []string{"PUT /v1/options"}, f.asked)
	assert.Equal(t, "broker-0: ready, out of date\n", said)
	f = &fake{statuses: []frameworks.Status{before}}
	_, _, err = operate(t.Context(), t, f, "update", file, "--shrink")
	require.NoError(t, err)
	assert.Equal(t, []string{"PUT /v1/options?shrink=true"}, f.asked)
	f = &fake{statuses: []frameworks.Status{before}}
	_, _, err = operate(t.Context(), t, f, "rollback")
	require.NoError(t, err)
	assert.Equal(t, []string{"POST /v1/rollback"}, f.asked)
}

// TestWaitsForTheOptionsThatWereAsked: nodes that are well again after a rollback
// do not make the update a success.
func TestWaitsForTheOptionsThatWereAsked(t *testing.T) {
	t.Parallel()
	options := func(target, good, trouble string) frameworks.Status {
		s := brokers(frameworks.Ready, frameworks.Finished)
		s.Options = &frameworks.OptionsStatus{Target: json.RawMessage(target), Good: json.RawMessage(good), Trouble: trouble}
		return s
	}
	file := filepath.Join(t.TempDir(), "options.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"mem":1}`), 0o600))
	asked, back := options(`{"mem":1}`, `{"mem":512}`, ""), options(`{"mem":512}`, `{"mem":512}`, "rolled back: it does not start")
	_, said, err := operate(t.Context(), t, &fake{statuses: []frameworks.Status{asked, back}}, "update", file, "--wait")
	require.EqualError(t, err, "update: other options are in force: rolled back: it does not start")
	assert.Equal(t, 1, ExitStatus(err))
	assert.Equal(t, "the nodes are to be compared with the options\n", said)

	_, _, err = operate(t.Context(), t, &fake{statuses: []frameworks.Status{asked, options(`{"mem":1}`, `{"mem":1}`, "")}}, "update", file, "--wait")
	require.NoError(t, err)
}

func TestOptionsAreDescribed(t *testing.T) {
	t.Parallel()
	f := &fake{statuses: []frameworks.Status{{}}, schema: []frameworks.Option{
		{Name: "mem", Type: "a whole number", Help: "MiB", Default: json.RawMessage(`256`), Value: json.RawMessage(`512`)},
	}}
	out, _, err := operate(t.Context(), t, f, "options", "--describe")
	require.NoError(t, err)
	assert.Equal(t, "OPTION  TYPE            VALUE  DEFAULT  \nmem     a whole number  512    256      MiB\n", out)
	_, _, err = operate(t.Context(), t, &fake{statuses: []frameworks.Status{{}}}, "options", "--describe")
	require.EqualError(t, err, "options: not found: the program does not describe its options")
}

func TestUpdateOfWhatIsNone(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "options.json")
	require.NoError(t, os.WriteFile(file, []byte("mem=512"), 0o600))
	for _, test := range []struct{ file, want string }{
		{file, "wants JSON, as options prints it"},
		{file + ".none", "no such file"},
	} {
		f := &fake{statuses: []frameworks.Status{brokers(frameworks.Ready)}}
		_, _, err := operate(t.Context(), t, f, "update", test.file)
		require.ErrorContains(t, err, test.want)
		assert.Equal(t, 2, ExitStatus(err))
		assert.Empty(t, f.asked)
	}
	f := &fake{statuses: []frameworks.Status{brokers(frameworks.Ready)}, refuse: "PUT /v1/options"}
	require.NoError(t, os.WriteFile(file, []byte("{}"), 0o600))
	_, _, err := operate(t.Context(), t, f, "update", file)
	require.EqualError(t, err, "update: refused: it would do harm")
}

// TestUninstallNamesTheService: it cannot be undone.
func TestUninstallNamesTheService(t *testing.T) {
	t.Parallel()
	f := &fake{statuses: []frameworks.Status{brokers(frameworks.Ready)}}
	_, _, err := operate(t.Context(), t, f, "uninstall", "events")
	require.ErrorContains(t, err, `is "kafka"`)
	assert.Equal(t, 2, ExitStatus(err))
	assert.Empty(t, f.asked)

	stops, frees, ended := brokers(frameworks.Stopping), brokers(), brokers()
	ended.Uninstall = &frameworks.Uninstalling{Ended: time.Now()}
	f.statuses = []frameworks.Status{brokers(frameworks.Ready), stops, frees, ended}
	_, said, err := operate(t.Context(), t, f, "uninstall", "kafka", "--wait")
	require.NoError(t, err)
	assert.Equal(t, []string{"POST /v1/uninstall"}, f.asked)
	assert.Equal(t, "places are to be given back\nbroker-0: stopping\n", said)
}

// TestUninstallOutlivesTheScheduler: a scheduler that had nothing left has
// ended, whatever it could not answer on its way.
func TestUninstallOutlivesTheScheduler(t *testing.T) {
	t.Parallel()
	frees := brokers()
	frees.Uninstall = &frameworks.Uninstalling{Since: time.Now()}
	api := &ending{fake: fake{statuses: []frameworks.Status{brokers(frameworks.Ready), frees}}}
	server := httptest.NewServer(api)
	api.end = func() {
		server.Listener.Close()
		server.CloseClientConnections()
	}
	defer server.Close()
	c := App{Name: "mesos-kafka", Declaration: nothing{}, Pods: []Pod{{Name: "broker"}}}.Command()
	var said bytes.Buffer
	c.SetErr(&said)
	c.SetOut(new(bytes.Buffer))
	c.SetArgs([]string{"uninstall", "kafka", "--wait", "--api", server.URL})
	require.NoError(t, c.ExecuteContext(t.Context()))
	assert.Contains(t, said.String(), "the scheduler does not answer")
}

// ending is an API that answers the fourth request with an error, and then no
// more.
type ending struct {
	fake
	asked int
	end   func()
}

func (e *ending) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch e.asked++; {
	case e.asked == 4:
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"error": "the scheduler does not answer"}`))
	case e.asked > 4:
		e.end()
	default:
		e.fake.ServeHTTP(w, r)
	}
}
