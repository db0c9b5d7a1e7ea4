package hdfs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// How the model of sim_model_test.go answers.

// inWorld is where a job finds the world that it is asked in.
type inWorld struct{}

func worldOf(ctx context.Context) *files {
	w, _ := ctx.Value(inWorld{}).(*mesostest.World)
	if w == nil {
		return nil
	}
	return w.Model().(*files)
}

// browser brings what is asked over HTTP in a simulation to the model.
type browser struct{ http.RoundTripper }

func init() { http.DefaultTransport = browser{http.DefaultTransport} }

func (b browser) RoundTrip(r *http.Request) (*http.Response, error) {
	m := worldOf(r.Context())
	if m == nil {
		return b.RoundTripper.RoundTrip(r)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refresh()
	for _, id := range sorted(m.servers) {
		if s := m.servers[id]; s.http == r.URL.Host && s.up {
			answer := httptest.NewRecorder()
			m.beans(s).ServeHTTP(answer, r)
			return answer.Result(), nil
		}
	}
	return nil, errors.New("connection refused")
}

// beans are those of a server.
func (m *files) beans(s *served) beans {
	id := s.layout.Identity.Cluster
	switch {
	case s.store != nil:
		var actors []map[string]string
		for _, p := range s.layout.Names {
			if slices.ContainsFunc(m.reached(namePod), func(n *served) bool { return n.rpc == p.RPC }) {
				actors = append(actors, map[string]string{"NamenodeAddress": p.RPC, "ActorState": "RUNNING"})
			}
		}
		return beans{"Hadoop:service=DataNode,name=DataNodeInfo": {"BPServiceActorInfo": packed(actors)}}
	case s.layout.self(s.layout.Journals).Name != "":
		return beans{"Hadoop:service=JournalNode,name=JournalNodeInfo": {
			"HostAndPort": s.rpc, "ClusterIds": []string{id}, "JournalsStatus": packed(map[string]any{s.layout.Service: map[string]string{"Formatted": "true"}}),
		}}
	case s != m.active:
		return beans{
			"Hadoop:service=NameNode,name=NameNodeStatus": {"State": "standby"},
			"Hadoop:service=NameNode,name=NameNodeInfo":   {"ClusterId": id, "Safemode": "", "LiveNodes": "{}", "DeadNodes": "{}", "DecomNodes": "{}"},
		}
	}
	return m.activeBeans(s, id)
}

func (m *files) activeBeans(s *served, id string) beans {
	type node struct {
		Address string `json:"xferaddr"`
		State   string `json:"adminState"`
	}
	living, gone := map[string]node{}, map[string]node{}
	for key, b := range s.believes {
		if m.live(b) {
			living[key] = node{key, b.state}
		} else {
			gone[key] = node{key, b.state}
		}
	}
	missing, short, pending := 0, 0, 0
	threads := isActive
	if m.looking() {
		threads += scanThread
	}
	for i, b := range m.blocks {
		switch stay, all := m.known(i); {
		case m.looking():
		case all == 0:
			missing++
		case !b.pending.IsZero():
			pending++
		case stay < copies:
			short++
		}
	}
	safe := ""
	if m.safe {
		safe = "Safe mode is ON."
	}
	out := beans{
		"Hadoop:service=NameNode,name=NameNodeStatus": {"State": "active"},
		"Hadoop:service=NameNode,name=NameNodeInfo":   {"ClusterId": id, "Safemode": safe, "LiveNodes": packed(living), "DeadNodes": packed(gone), "DecomNodes": "{}"},
		replicated: {"MissingReplicatedBlocks": missing, "CorruptReplicatedBlocks": 0, "LowRedundancyReplicatedBlocks": short},
		"Hadoop:service=NameNode,name=ECBlockGroupsState": {},
		namesystem: {"UnderReplicatedBlocks": short, "PendingReplicationBlocks": pending},
		"/stacks":  {"threads": threads},
	}
	writes := m.writes(s)
	for _, p := range s.layout.Journals {
		host, port, _ := net.SplitHostPort(p.RPC)
		out["Hadoop:service=NameNode,name=IPCLoggerChannel-"+host+"-"+port] = map[string]any{
			"tag.IsOutOfSync": map[bool]string{true: "false", false: "true"}[slices.Contains(writes, p.RPC)],
		}
	}
	return out
}

func packed(v any) string {
	text, _ := json.Marshal(v) // of maps and text
	return string(text)
}

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// pretended are the calls of a simulation.
type pretended struct{}

func (pretended) history(context.Context, layout) history { return history{} }

func (pretended) journal(context.Context, peer, string) (journal, error) { return journal{}, nil }

func (pretended) ghosts(ctx context.Context, name frameworks.Node) (out []string, err error) {
	m := worldOf(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refresh()
	if m.active == nil || m.active.rpc != name.Address(rpcPort) {
		return nil, errors.New("connection refused")
	}
	for _, key := range sorted(m.active.believes) {
		if b := m.active.believes[key]; !m.live(b) && m.counts(b) && len(b.blocks) > 0 {
			out = append(out, key)
		}
	}
	return out, nil
}

// trusting takes for given up whom the name node calls dead.
type trusting struct{ pretended }

func (trusting) ghosts(context.Context, frameworks.Node) ([]string, error) { return nil, nil }

func (pretended) readExclude(ctx context.Context, _, _ string) (string, error) {
	m := worldOf(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.list, nil
}

func (pretended) writeExclude(ctx context.Context, _, _, list string) error {
	m := worldOf(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = list
	return nil
}
