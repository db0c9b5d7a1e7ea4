package cassandra

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
)

// TestCounted: a member does not start that was taken out of the ring while it was
// down; where nobody can say so it does.
func TestCounted(t *testing.T) {
	t.Parallel()
	const refused = "its ring counts on it (host mine) no more: it left, or was taken out while it was down, and lacks what was written since: replace the node"
	peer := func(mode string, clients bool, knows string) string {
		node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `[{"status": 200, "value": {"OperationMode": %q, "NativeTransportRunning": %t, "LocalHostId": "peer",
				"EndpointWithPortToHostId": {%q: "peer", %q: %q}}}, {"status": 200, "value": 1}]`, mode, clients, first, second, knows)
		}))
		t.Cleanup(node.Close)
		return strings.TrimPrefix(node.URL, "http://")
	}
	counts, removed := peer(normal, true, "mine"), peer(normal, true, "another")
	starts, begins := peer("STARTING", false, "another"), peer(normal, false, "another")
	const nobody = "127.0.0.1:1"
	for _, test := range []struct {
		name   string
		id     string // on the volume
		member string
		peers  []string
		want   string
	}{
		{"its peer counts on it", "mine", "true", []string{counts}, ""},
		{"its peer does not", "mine", "true", []string{removed}, refused},
		{"its peer does not, and the others say nothing", "mine", "true", []string{nobody, starts, begins, removed}, refused},
		{"one missed it", "mine", "true", []string{removed, counts}, ""},
		{"all of the ring starts", "mine", "true", []string{nobody, starts, begins}, ""},
		{"it is alone", "mine", "true", nil, ""},
		{"it was started last by an older executor", "", "true", []string{removed}, ""},
		{"it is no member yet", "mine", "false", []string{removed}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, os.Mkdir(filepath.Join(dir, volume), 0o755))
			require.NoError(t, recordHost(dir, test.id))
			require.NoError(t, recordHost(dir, test.id), "each probe does")
			err := counted(t.Context(), dir, map[string]string{envMember: test.member, envPeers: strings.Join(test.peers, " ")}, "secret")
			if test.want == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, test.want)
			}
		})
	}
}

// TestPastWhoIsOut: a node that was lost and taken out of the ring, and has not had its
// turn to be told that it has left, is in nobody's way; one that is still in it is.
func TestPastWhoIsOut(t *testing.T) {
	t.Parallel()
	const silent = "node-1 does not answer: connection refused"
	for _, test := range []struct {
		name   string
		change func(*lab, *frameworks.Node)
		want   string // of who leaves; empty: it begins to
		joins  string
	}{
		{"it is out", func(*lab, *frameworks.Node) {}, "", "node-1 is to leave first"},
		{"it is to stay", func(_ *lab, n *frameworks.Node) { n.Goal = frameworks.GoalRun }, silent, silent},
		{"one still counts on it", func(l *lab, _ *frameworks.Node) {
			l.see("node-2", func(v *view) { v.Owners = append(v.Owners, second) })
		}, silent, silent},
		{"one has just started", func(l *lab, _ *frameworks.Node) {
			l.see("node-2", func(v *view) { v.Mode = "STARTING" })
		}, silent, silent},
		{"another does not answer", func(l *lab, _ *frameworks.Node) { delete(l.views, "node-2") },
			"node-2 does not answer: connection refused", "node-2 does not answer: connection refused"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := placed(5, 4)
			l, r := newLab(d)
			delete(l.views, "node-1")
			for name := range l.views {
				l.see(name, func(v *view) { v.Owners, v.Live = without(v.Owners, second), without(v.Live, second) })
			}
			d.Nodes[1].Goal, d.Nodes[1].Ready = frameworks.GoalLeave, false
			test.change(l, &d.Nodes[1])
			require.EqualError(t, r.join(t.Context(), d, d.Nodes[4]), test.joins)
			d.Nodes[3].Goal = frameworks.GoalLeave
			err := r.leave(t.Context(), d, d.Nodes[3])
			if test.want != "" {
				require.EqualError(t, err, test.want)
				assert.Empty(t, l.told)
				return
			}
			require.EqualError(t, err, "it begins to hand over its data")
			assert.Equal(t, []string{"decommission by force node-3"}, l.told, "two remain")
		})
	}
}
