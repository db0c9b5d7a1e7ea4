package cassandra

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// model is a ring in the simulator: what each volume holds, who owns tokens, and
// who is on the way. What real nodes would do with harm breaks it.
type model struct {
	hosts  map[string]*host // by volume
	broken error
	looked sync.Mutex // a ring is looked at by several at once
}

// host is a volume with what a node has made of it.
type host struct {
	id       string // of the volume, which is the host id as well
	endpoint string
	task     string   // that runs on it; empty: none
	begun    int      // how often it was started
	ring     string   // in which it is: who founded it; empty: none yet
	known    []string // as in ringFile
	owns     bool     // tokens
	taken    bool     // its tokens, by another
	left     bool     // by itself: it would not start again
	joining  bool     // as its peers see it, also after it has died over it
	mode     string   // unless normal or joining
	rack     string
	seeds    []string
	env      map[string]string
}

func newModel(*mesostest.World) mesostest.SimModel { return &model{hosts: map[string]*host{}} }

func (m *model) breaks(format string, args ...any) {
	if m.broken == nil {
		m.broken = fmt.Errorf(format, args...)
	}
}

func (m *model) Started(w *mesostest.World, task mesostest.SimTask) {
	var t executor.Task
	if err := json.Unmarshal(task.Info.Data, &t); err != nil {
		m.breaks("task of %s: %w", task.Node, err)
		return
	}
	disk := ""
	for _, r := range task.Info.Resources {
		disk = cmp.Or(disk, r.GetDisk().GetPersistence().GetID())
	}
	h := m.hosts[disk]
	if h == nil {
		h = &host{id: disk}
		m.hosts[disk] = h
	}
	h.task, h.env, h.mode, h.endpoint = task.Info.TaskID.Value, t.Env, "", t.Env[envSelf]
	h.rack = t.Env[envRack]
	h.begun++
	for _, f := range t.Files {
		if _, after, ok := strings.Cut(string(f.Content), `seeds: "`); ok && f.Path == yamlFile {
			h.seeds = strings.Split(after[:strings.Index(after, `"`)], ",")
		}
	}
	member := t.Env[envMember] == "true"
	var refused error // by the init step
	if member {
		refused = disowned(m.servingPeers(w, h), h.id)
	}
	switch {
	case h.left:
		h.task = ""
	case refused != nil && h.taken:
		w.EndTask(task, refused.Error())
	case refused != nil && h.owns:
		m.breaks("%s is not started again, and nobody has taken its part in the ring: %v", task.Node, refused)
	case h.taken:
		m.breaks("%s comes back to a part in the ring that another has taken", task.Node)
	case !h.owns && member:
		m.breaks("%s is told to be a member, and has never joined", task.Node)
	case !member:
		m.later(w, h, 3, func(w *mesostest.World, h *host) { m.enters(w, h, task) })
	}
}

// enters is the init step of a node that is no member, and then its start.
func (m *model) enters(w *mesostest.World, h *host, task mesostest.SimTask) {
	ring, founds := m.asked(w, h)
	switch {
	case ring == nil && !founds:
		w.EndTask(task, "nobody of the ring says which part in it is to be taken")
	case ring != nil && h.ring != "" && !ring.has(h.env[envSelf], h.known):
		w.EndTask(task, "it holds a node of another ring: "+replaceIt)
	case h.owns:
		m.comesBack(w, h)
	default:
		h.known = nil
		if ring != nil {
			h.known = slices.Sorted(maps.Values(ring.HostIDs))
		}
		m.joins(w, h)
	}
}

// comesBack is a node that has joined, and has not arrived.
func (m *model) comesBack(w *mesostest.World, h *host) {
	for _, other := range m.sorted() {
		if other.owns && other.ring != h.ring && slices.Contains(h.seeds, other.endpoint) {
			m.breaks("%s comes into the ring of %s with the data of that of %s", h.id, other.ring, h.ring)
		}
	}
}

func (m *model) Stopped(_ *mesostest.World, task mesostest.SimTask) {
	for _, h := range m.hosts {
		if h.task == task.Info.TaskID.Value {
			h.task = ""
		}
	}
}

// later goes on with what a node does, unless it ends before.
func (m *model) later(w *mesostest.World, h *host, most uint64, do func(*mesostest.World, *host)) {
	task, begun := h.task, h.begun
	takes := time.Duration(1+w.Luck(h.id, w.Now().String())%(most*1000)) * time.Millisecond
	w.After(takes, func() {
		if h.task == task && h.begun == begun {
			do(w, h)
		}
	})
}

// joins is a node that begins to join. One that cannot ends.
func (m *model) joins(w *mesostest.World, h *host) {
	seeds := m.serving(w, h.seeds)
	part, known := "", true
	if h.env[envPeers] != "" {
		var ring *view
		if ring, _ = m.asked(w, h); ring != nil {
			part = ring.part(h.env[envSelf], h.env[envFormer], h.rack)
		}
		known = ring != nil
	}
	switch {
	case !known, part != h.endpoint && slices.Contains(m.up(w, seeds), part):
		m.ends(w, h, "cannot replace a live node")
	case slices.Contains(h.seeds, h.endpoint):
		m.founds(w, h)
	case seeds == "":
		m.ends(w, h, "unable to contact any seeds")
	case part == "" && m.lacks(w, seeds):
		m.ends(w, h, "necessary replicas were removed by source filters")
	default:
		for _, other := range m.sorted() {
			if other != h && other.ring == seeds && (other.joining || other.mode == leaving) && m.reachable(w, other) && m.reachable(w, h) {
				m.breaks("%s joins while %s is on its way", h.id, other.id)
			}
		}
		h.joining, h.ring = true, seeds
		m.later(w, h, 60, func(w *mesostest.World, h *host) {
			if part == "" && m.lacks(w, seeds) { // as by the ready probe
				m.ends(w, h, "is JOINING_FAILED")
				return
			}
			m.joined(h, part)
		})
	}
}

// lacks says whether an owner of tokens of a ring is down.
func (m *model) lacks(w *mesostest.World, ring string) bool {
	up := m.up(w, ring)
	return slices.ContainsFunc(m.owners(ring), func(o string) bool { return !slices.Contains(up, o) })
}

// ends is a node that ends by itself.
func (m *model) ends(w *mesostest.World, h *host, why string) {
	if task, ok := m.running(w, h); ok {
		w.EndTask(task, why)
	}
}

// serving is the ring of the first of these that serves.
func (m *model) serving(w *mesostest.World, endpoints []string) string {
	for _, e := range endpoints {
		for _, p := range m.sorted() {
			if p.endpoint == e && p.owns && m.reachable(w, p) {
				return p.ring
			}
		}
	}
	return ""
}

// asked is what the init step finds out: how the first of its peers that serves
// sees the ring, or that the node is to found one.
func (m *model) asked(w *mesostest.World, h *host) (ring *view, founds bool) {
	if serving := m.servingPeers(w, h); len(serving) > 0 {
		return &serving[0], false
	}
	return nil, h.env[envPeers] == ""
}

// servingPeers are the views of those peers that the init step knows of and that serve.
func (m *model) servingPeers(w *mesostest.World, h *host) (out []view) {
	for peer := range strings.FieldsSeq(h.env[envPeers]) {
		for _, p := range m.sorted() {
			address, _, _ := strings.Cut(peer, ":")
			if v := m.view(w, p); strings.HasPrefix(p.endpoint, address+":") && p != h && m.reachable(w, p) && v.serves() == nil {
				out = append(out, v)
			}
		}
	}
	return out
}

func (m *model) founds(w *mesostest.World, h *host) {
	for _, other := range m.sorted() {
		if other != h && other.owns && m.reachable(w, other) && m.reachable(w, h) && !m.given(w, other) {
			m.breaks("%s founds a ring beside that of %s", h.id, other.id)
		}
	}
	h.ring, h.owns, h.joining = h.id, true, false
}

func (m *model) joined(h *host, part string) {
	h.joining, h.owns = false, true
	for _, other := range m.hosts {
		if other == h || other.ring != h.ring {
			continue
		}
		if other.endpoint == part && other.owns {
			if other.rack != h.rack {
				m.breaks("%s of rack %s takes the part of %s, which was in %s", h.id, h.rack, other.id, other.rack)
			}
			other.owns, other.taken = false, true
		}
		if other.endpoint == h.endpoint {
			other.joining = false
		}
	}
}

func (m *model) sorted() []*host {
	return slices.SortedFunc(maps.Values(m.hosts), func(a, b *host) int { return cmp.Compare(a.id, b.id) })
}

func (m *model) running(w *mesostest.World, h *host) (mesostest.SimTask, bool) {
	for _, t := range w.Running() {
		if t.Info.TaskID.Value == h.task {
			return t, h.task != ""
		}
	}
	return mesostest.SimTask{}, false
}

// reachable says whether a node runs and its peers reach it. A network that is
// parted is so for all.
func (m *model) reachable(w *mesostest.World, h *host) bool {
	t, ok := m.running(w, h)
	return ok && t.Reachable
}

// given says whether Mesos had given a node's task up.
func (m *model) given(w *mesostest.World, h *host) bool {
	t, ok := m.running(w, h)
	return ok && t.Stray
}

// owners are the endpoints that own the tokens of a ring.
func (m *model) owners(ring string) (out []string) {
	for _, h := range m.sorted() {
		if h.owns && h.ring == ring {
			out = append(out, h.endpoint)
		}
	}
	return out
}

func (m *model) up(w *mesostest.World, ring string) (out []string) {
	for _, h := range m.sorted() {
		if h.ring == ring && m.reachable(w, h) && (h.owns || h.joining) {
			out = append(out, h.endpoint)
		}
	}
	return out
}

// view is how a node describes itself and the ring.
func (m *model) view(w *mesostest.World, h *host) view {
	v := view{Mode: cmp.Or(h.mode, normal), Clients: true, HostID: h.id, Schema: "one", Received: 1, Live: m.up(w, h.ring), Owners: m.owners(h.ring), HostIDs: map[string]string{}, Racks: map[string]string{}}
	if !h.owns && h.mode == "" {
		v.Mode = "JOINING"
	}
	for _, other := range m.sorted() {
		if other.ring != h.ring {
			continue
		}
		if other.owns || other.joining {
			v.HostIDs[other.endpoint] = other.id
		}
		if other.owns && !slices.Contains(v.Live, other.endpoint) {
			v.Racks[other.endpoint] = other.rack
		}
		if other.joining {
			v.Joining = append(v.Joining, other.endpoint)
		}
		if other.owns && (other.mode == leaving || other.mode == failedToLeave) {
			v.Leaving = append(v.Leaving, other.endpoint)
		}
	}
	return v
}

// fake is a node of the model.
type fake struct{ node frameworks.Node }

// inWorld is where a job finds the world.
type inWorld struct{}

// find is the node's own host, if it runs and is reached.
func (f fake) find(ctx context.Context) (*mesostest.World, *model, *host, error) {
	w := ctx.Value(inWorld{}).(*mesostest.World)
	m := w.Model().(*model)
	for _, h := range m.sorted() {
		if t, ok := m.running(w, h); ok && t.Reachable && t.Node == f.node.Name && t.Info.AgentID.Value == f.node.Place.Agent {
			return w, m, h, nil
		}
	}
	return w, m, nil, errors.New("connection refused")
}

func (f fake) look(ctx context.Context) (view, error) {
	m := ctx.Value(inWorld{}).(*mesostest.World).Model().(*model)
	m.looked.Lock()
	defer m.looked.Unlock()
	w, m, h, err := f.find(ctx)
	if err != nil {
		return view{}, err
	}
	return m.view(w, h), nil
}

func (f fake) replicas(ctx context.Context) (map[string][][]string, error) {
	_, m, h, err := f.find(ctx)
	if err != nil {
		return nil, err
	}
	owners := m.owners(h.ring)
	var ranges [][]string
	for i := range owners {
		twice := slices.Concat(owners, owners)
		ranges = append(ranges, twice[i:i+min(3, len(owners))])
	}
	return map[string][][]string{"orders": ranges}, nil
}

func (f fake) hints(ctx context.Context) (hints, error) {
	_, _, _, err := f.find(ctx)
	return hints{}, err
}

func (f fake) decommission(ctx context.Context, force bool) error {
	w, m, h, err := f.find(ctx)
	if err != nil {
		return err
	}
	if len(m.owners(h.ring)) <= 3 && !force {
		return errors.New("not enough live nodes to maintain replication factor")
	}
	for _, other := range m.sorted() {
		if other != h && other.ring == h.ring && (other.joining || other.mode == leaving) && m.reachable(w, other) {
			m.breaks("%s leaves while %s is on its way", h.id, other.id)
		}
	}
	h.mode = leaving
	m.later(w, h, 40, func(w *mesostest.World, h *host) {
		if m.lacks(w, h.ring) {
			h.mode = failedToLeave
			m.later(w, h, 60, func(_ *mesostest.World, h *host) { h.mode = "" }) // as by the live probe
			return
		}
		h.mode, h.owns, h.left = decommissioned, false, true
	})
	return nil
}

func (f fake) remove(ctx context.Context, hostID string) error {
	w, m, _, err := f.find(ctx)
	if err != nil {
		return err
	}
	h := m.hosts[hostID]
	if h == nil || m.reachable(w, h) {
		return fmt.Errorf("%s is alive and owns this ID", hostID)
	}
	h.owns, h.taken = false, true
	return nil
}

func (f fake) assassinate(ctx context.Context, endpoint string) error {
	_, m, asked, err := f.find(ctx)
	if err != nil {
		return err
	}
	for _, h := range m.hosts {
		if h.endpoint != endpoint || h.ring != asked.ring {
			continue
		}
		if h.owns {
			m.breaks("%s owns tokens, and is assassinated", h.id)
		}
		h.joining = false
	}
	return nil
}

func (f fake) repair(ctx context.Context, _ string) error {
	w, m, h, err := f.find(ctx)
	if err != nil {
		return err
	}
	if m.lacks(w, h.ring) {
		return errors.New("endpoint not alive")
	}
	return nil
}
