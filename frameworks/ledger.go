package frameworks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mesokit/mesokit/scheduler"
)

// ledger is a service as the store has it: read at the start of a decision,
// changed by it, and what changed written back at its end.
//
// Keys: <service>/service, <service>/pod/<pod>, <service>/node/<node>,
// <service>/discard/<resource id>, <service>/seen/<agent>,
// <service>/routine/<routine>, <service>/plan/<plan>,
// <service>/secret/<secret>, <service>/lease/<term>, <service>/past/<plan>.
type ledger struct {
	prefix  string
	memo    *memo
	view    scheduler.View
	service *serviceRecord
	pods    map[string]*podRecord
	// former are the pods that are no longer declared: what their nodes counted,
	// in case they are declared again.
	former map[string]*podRecord
	*roster
	discards []*discard
	routine  map[string]*routineRecord // by the routine's name
	secrets  map[string]*secret        // by name
	quarters map[string]*quarter       // by the lease's term
	plans    map[string]*planRecord    // by the plan's name
	past     map[string][]byte         // the runs that ended of the engine's own plans, read when somebody asks
	// seen is what each agent offered last, by agent; empty while every node
	// has its place.
	// The records are read only when somebody asks.
	seen map[string][]byte
}

// formatVersion is written into every record. A record of a later version was
// written by a later Mesokit, and is refused.
const formatVersion = 1

// podRecord is how many nodes a pod has, which an operator may change. There are
// Count nodes of it that do not leave.
type podRecord struct {
	First int `json:"first"` // at the first deployment
	Count int `json:"count"`
	// Declared is how many the declaration named when it was last taken over.
	Declared int `json:"declared,omitempty"`
	// Deployed: all first nodes had their places at once, so that those of a
	// pod with Together may start, now and after every restart.
	Deployed bool `json:"deployed"`
	// Gone are the nodes that left, by index: whoever comes after one of them
	// takes neither its reservations nor its tasks for its own.
	Gone map[int]past `json:"gone,omitempty"`
	// Ended: the service was uninstalled, and may begin again.
	Ended bool `json:"ended,omitempty"`
	// Asking is the question whether the service can spare nodes of the pod.
	Asking asking `json:"asking,omitzero"`
	// Restored is when a lost node was last replaced by itself.
	Restored time.Time `json:"restored,omitzero"`

	// Aim is that of the pod as it was last declared.
	Aim Aim `json:"aim,omitempty"`
	// Rules are those by which the agents of a pod that is Everywhere were chosen.
	Rules string `json:"rules,omitempty"`

	Rollout rolloutRecord `json:"rollout,omitzero"`
}

// serviceRecord is what the service as a whole remembers.
type serviceRecord struct {
	Comparison comparison    `json:"comparison,omitzero"`
	Options    optionsRecord `json:"options,omitzero"`
	Uninstall  Uninstalling  `json:"uninstall,omitzero"`
	// Held is what of the declaration does not fit the places of the nodes.
	Held string `json:"held,omitempty"`
	// Role is that of the reservations.
	Role string `json:"role,omitempty"`
	// Clock is the View.Steady of the scheduler that was last subscribed.
	Clock time.Time `json:"clock,omitzero"`
	// Subscribed is when the last subscription began.
	Subscribed time.Time `json:"subscribed,omitzero"`
	// Paused are the engine's own plans that an operator paused.
	Paused []string `json:"paused,omitempty"`
	// Runs counts the runs of these plans, Own are those under way; by plan.
	Runs map[string]int          `json:"runs,omitempty"`
	Own  map[string]*PlanSummary `json:"own,omitempty"`
	// Windows are when agents of the service will not be available, by agent.
	Windows map[string]window `json:"windows,omitempty"`
	// Swept is when it was last looked for what is reserved and nobody's.
	Swept time.Time `json:"swept,omitzero"`
}

// past is how far a node had counted when it left.
type past struct {
	Generation  int `json:"generation"`
	Incarnation int `json:"incarnation"`
}

type versioned struct {
	Version int             `json:"version"`
	Value   json.RawMessage `json:"value"`
}

func (s *Service) ledger(v scheduler.View, m *memo) *ledger {
	return &ledger{
		prefix:  s.Name + "/",
		memo:    m,
		view:    v,
		service: &serviceRecord{},
		pods:    map[string]*podRecord{},
		former:  map[string]*podRecord{},
		seen:    map[string][]byte{},

		routine:  map[string]*routineRecord{},
		secrets:  map[string]*secret{},
		quarters: map[string]*quarter{},
		plans:    map[string]*planRecord{},
		past:     map[string][]byte{},
	}
}

// kinds are the records beside those of nodes.
var kinds = []string{"service", "pod/", "discard/", "seen/", "routine/", "secret/", "plan/", "lease/", "past/"}

// read reads the ledger.
func (s *Service) read(v scheduler.View, m *memo) (*ledger, error) {
	l := s.ledger(v, m)
	l.roster = newRoster()
	for key, value := range v.Records(l.prefix) {
		if err := l.take(s, key, value); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// reread reads what the next decision after another needs: of the nodes, where
// it can, only those that the last one changed.
func (s *Service) reread(v scheduler.View, m *memo) (*ledger, error) {
	kept := m.kept(s, v)
	if kept == nil {
		return s.read(v, m)
	}
	l := s.ledger(v, m)
	l.roster = kept
	for _, kind := range kinds {
		for key, value := range v.Records(l.prefix + kind) {
			if err := l.take(s, key, value); err != nil {
				return nil, err
			}
		}
	}
	return l, nil
}

// take takes a record in.
func (l *ledger) take(s *Service, key string, value []byte) (err error) {
	kind, id, _ := strings.Cut(strings.TrimPrefix(key, l.prefix), "/")
	switch kind {
	case "service":
		l.service, err = decode[serviceRecord](value)
	case "pod":
		l.pods[id], err = decode[podRecord](value)
	case "node":
		var n *Node
		if n, err = l.memo.read(s, id, value); err == nil {
			l.add(n)
		}
	case "discard":
		var d *discard
		d, err = decode[discard](value)
		l.discards = append(l.discards, d)
	case "seen":
		l.seen[id] = value
	case "routine":
		l.routine[id], err = decode[routineRecord](value)
	case "secret":
		l.secrets[id], err = decode[secret](value)
	case "plan":
		l.plans[id], err = decode[planRecord](value)
	case "past":
		l.past[id] = value
	case "lease":
		l.quarters[id], err = decode[quarter](value)
	default:
		err = errors.New("unknown kind of record")
	}
	if err != nil {
		return fmt.Errorf("record %s: %w", key, err)
	}
	return nil
}

// populate puts the nodes into their order, begins the pods that the store does
// not have yet, and ends those that are no longer declared and have no nodes.
func (l *ledger) populate(s *Service) {
	for _, pod := range sortedKeys(l.pods) {
		if s.pod(pod) == nil {
			l.dissolve(pod)
		}
	}
	for _, p := range s.Pods {
		switch before := l.pods[p.Name]; {
		case before == nil || before.Ended:
			l.begin(&p, before)
		case before.Declared == 0:
			before.Declared = p.Count // an earlier Mesokit began it
		}
		l.pods[p.Name].Aim = p.Aim
	}
	if l.unsorted {
		l.sort(s)
	}
	s.makeSecrets(l, l.view)
}

// begin adds a pod and its first nodes. If it was there before, they count on
// from where those ended.
func (l *ledger) begin(p *Pod, before *podRecord) *podRecord {
	begun := &podRecord{First: p.Count, Count: p.Count, Declared: p.Count, Deployed: p.Everywhere}
	if before != nil {
		begun.Gone = before.Gone
	}
	l.pods[p.Name] = begun
	delete(l.former, p.Name)
	for i := range p.Count {
		l.add(newNode(p.Name, i, begun.Gone[i]))
	}
	return begun
}

// dissolve ends a pod that is no longer declared, and has no nodes.
func (l *ledger) dissolve(pod string) {
	if gone := l.pods[pod].Gone; len(gone) > 0 {
		l.former[pod] = &podRecord{Ended: true, Gone: gone}
	}
	delete(l.pods, pod)
}

// sort puts the nodes into the order of pods and indexes.
func (l *ledger) sort(s *Service) {
	order := map[string]int{}
	for i, p := range s.Pods {
		order[p.Name] = i
	}
	type ranked struct {
		pod  int
		node *Node
	}
	all := make([]ranked, len(l.nodes))
	for i, n := range l.nodes {
		all[i] = ranked{order[n.Pod], n}
	}
	slices.SortFunc(all, func(a, b ranked) int {
		if a.pod != b.pod {
			return a.pod - b.pod
		}
		return a.node.Index - b.node.Index
	})
	for i, r := range all {
		l.nodes[i] = r.node
	}
	l.index()
}

func decode[T any](value []byte) (*T, error) {
	var record versioned
	if err := json.Unmarshal(value, &record); err != nil {
		return nil, err
	}
	if record.Version != formatVersion {
		return nil, fmt.Errorf("format version %d; this program knows %d", record.Version, formatVersion)
	}
	out := new(T)
	return out, json.Unmarshal(record.Value, out)
}

func encode(value any) ([]byte, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return json.Marshal(versioned{Version: formatVersion, Value: body})
}

// changes are the records that differ from the store's.
func (l *ledger) changes() ([]scheduler.Action, error) {
	var out []scheduler.Action
	want := map[string]bool{}
	keep := func(key string, record []byte) {
		key = l.prefix + key
		want[key] = true
		if old, ok := l.view.Record(key); !ok || !bytes.Equal(old, record) {
			out = append(out, scheduler.Remember{Key: key, Value: record})
		}
	}
	put := func(key string, value any) error {
		record, err := encode(value)
		if err != nil {
			return fmt.Errorf("record %s%s: %w", l.prefix, key, err)
		}
		keep(key, record)
		return nil
	}
	errs := []error{put("service", l.service)}
	for _, pod := range sortedKeys(l.pods) {
		errs = append(errs, put("pod/"+pod, l.pods[pod]))
	}
	for _, pod := range sortedKeys(l.former) {
		errs = append(errs, put("pod/"+pod, l.former[pod]))
	}
	for _, d := range l.discards {
		errs = append(errs, put("discard/"+d.ID, d))
	}
	for _, routine := range sortedKeys(l.routine) {
		errs = append(errs, put("routine/"+routine, l.routine[routine]))
	}
	for _, plan := range sortedKeys(l.plans) {
		errs = append(errs, put("plan/"+plan, l.plans[plan]))
	}
	for _, name := range sortedKeys(l.secrets) {
		errs = append(errs, put("secret/"+name, l.secrets[name]))
	}
	for _, term := range sortedKeys(l.quarters) {
		errs = append(errs, put("lease/"+term, l.quarters[term]))
	}
	for _, plan := range sortedKeys(l.past) {
		keep("past/"+plan, l.past[plan])
	}
	for _, agent := range sortedKeys(l.seen) {
		keep("seen/"+agent, l.seen[agent])
	}
	for _, kind := range kinds {
		for key := range l.view.Records(l.prefix + kind) {
			if !want[key] {
				out = append(out, scheduler.Remember{Key: key})
			}
		}
	}
	nodes, err := l.changedNodes()
	return append(out, nodes...), errors.Join(append(errs, err)...)
}

// changedNodes are the records of the nodes that differ from the store's.
func (l *ledger) changedNodes() ([]scheduler.Action, error) {
	var out []scheduler.Action
	l.wrote = map[string][]byte{}
	for _, n := range l.awake() {
		if l.memo.unchanged(n) {
			l.nodes[l.at[n.Name]] = &l.memo.nodes[n.Name].node
			continue
		}
		record, err := encode(n)
		if err != nil {
			return nil, fmt.Errorf("record of %s: %w", n.Name, err)
		}
		key := l.prefix + "node/" + n.Name
		if old, ok := l.view.Record(key); ok && bytes.Equal(old, record) {
			continue
		}
		l.wrote[n.Name] = record
		out = append(out, scheduler.Remember{Key: key, Value: record})
	}
	for _, name := range sortedKeys(l.gone) {
		if l.node(name) == nil {
			l.wrote[name] = nil
			delete(l.memo.nodes, name)
			out = append(out, scheduler.Remember{Key: l.prefix + "node/" + name})
		}
	}
	clear(l.gone)
	return out, nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
