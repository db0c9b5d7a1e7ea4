package cassandra

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
)

// TestEnter: a node that is no member yet comes back to the ring in which it began,
// and to no other.
func TestEnter(t *testing.T) {
	t.Parallel()
	const refused = "data/cassandra holds a node of another ring, which is no more: replace the node"
	ring := func(hosts ...string) *view {
		v := &view{HostIDs: map[string]string{}}
		for i, id := range hosts {
			at := []string{first, second, third}[i]
			v.Owners, v.HostIDs[at] = append(v.Owners, at), id
		}
		return v
	}
	in := func(v *view, change func(*view)) *view { change(v); return v }
	for _, test := range []struct {
		name     string
		before   *view // the ring in which it began; nil: that it founded
		now      *view
		former   string
		want     string // for the JVM
		refusing string
	}{
		{"the same", ring("a", "b"), ring("a", "b"), "", afresh, ""},
		{"the same, of which one remains", ring("a", "b"), ring("b", "c"), "", afresh, ""},
		{"of which none remains, and which counts on it", ring("a"), in(ring("c"), func(v *view) { v.Owners = append(v.Owners, fourth) }), "", afresh + "-Dcassandra.replace_address_first_boot=" + fourth + "\n", ""},
		{"of which none remains, and which sees it join", ring("a"), in(ring("c"), func(v *view) { v.Joining = []string{fourth} }), "", afresh, ""},
		{"another", ring("a", "b"), ring("c"), "", "", refused},
		{"another, after it founded one", nil, ring("c"), "", "", refused},
		{"its own", nil, nil, "", "", ""},
		{"its own, in the place of one that is no more", ring("a"), nil, "", "", ""},
		{"where it had a part in another rack", ring("a", "b"), in(ring("a", "b"), func(v *view) { v.Racks = map[string]string{second: "r2"} }), second, afresh, ""},
		{"where it has a part", ring("a", "b"), in(ring("a", "b"), func(v *view) { v.Racks = map[string]string{second: "r1"} }), second, afresh + "-Dcassandra.replace_address_first_boot=" + second + "\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, os.Mkdir(filepath.Join(dir, volume), 0o755))
			env := map[string]string{envSelf: fourth, envFormer: test.former, envRack: "r1"}
			require.NoError(t, enter(dir, env, false, test.before))
			err := enter(dir, env, true, test.now)
			if test.refusing != "" {
				require.EqualError(t, err, test.refusing)
				require.EqualError(t, enter(dir, env, true, test.now), test.refusing, "and it stays so")
				require.NoError(t, enter(dir, env, false, test.now), "an empty volume belongs to no ring")
				return
			}
			require.NoError(t, err)
			told, err := os.ReadFile(filepath.Join(dir, joiningFile))
			require.NoError(t, err)
			assert.Equal(t, test.want, string(told))
			env[envMember] = "true"
			require.NoError(t, enter(dir, env, true, nil))
			told, err = os.ReadFile(filepath.Join(dir, joiningFile))
			require.NoError(t, err)
			assert.Empty(t, told, "a member is told nothing")
		})
	}
}

// TestTakesClients: a node is waited for as long as it gets ready by itself.
func TestTakesClients(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		mode     string
		clients  bool
		want     string
		hopeless bool
	}{
		{"NORMAL", true, "", false},
		{"NORMAL", false, "is NORMAL, and takes no clients yet", false},
		{"JOINING", false, "is JOINING, and takes no clients yet", false},
		{"JOINING_FAILED", false, "is JOINING_FAILED: only a new start helps", true},
	} {
		t.Run(test.mode, func(t *testing.T) {
			t.Parallel()
			node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, `[{"status": 200, "value": {"OperationMode": %q, "NativeTransportRunning": %t, "LocalHostId": "mine"}}, {"status": 200, "value": 1}]`, test.mode, test.clients)
			}))
			defer node.Close()
			host, port, _ := strings.Cut(strings.TrimPrefix(node.URL, "http://"), ":")
			dir := t.TempDir()
			require.NoError(t, os.Mkdir(filepath.Join(dir, filepath.Dir(secretFile)), 0o755))
			require.NoError(t, os.Mkdir(filepath.Join(dir, volume), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(dir, secretFile), []byte("secret"), 0o600))
			err := takesClients(t.Context(), executor.Sandbox{Dir: dir, Env: []string{"HOST=" + host, "PORT_ADMIN=" + port}})
			if test.want == "" {
				require.NoError(t, err)
				id, err := os.ReadFile(filepath.Join(dir, hostFile))
				require.NoError(t, err)
				assert.Equal(t, "mine", string(id))
				return
			}
			require.NoFileExists(t, filepath.Join(dir, hostFile))
			require.EqualError(t, err, test.want)
			assert.Equal(t, test.hopeless, errors.Is(err, executor.ErrHopeless))
		})
	}
}
