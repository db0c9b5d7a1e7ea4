package hdfs

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// files is a cluster in the simulator: which blocks each data node has on its
// disk, and what the active name node believes of them. Journals are always whole
// here; TestNothingIsLostInTheModel is about them.
type files struct {
	mu      sync.Mutex // a job asks for several things at once
	w       *mesostest.World
	stores  map[string]*store  // by volume
	servers map[string]*served // by task, while they run
	list    string             // of those that leave, as ZooKeeper has it
	blocks  map[int]*block
	next    int
	active  *served // name node; nil: none
	since   time.Time
	safe    bool // it is in safe mode
	broken  error
	// What happened, so that a green run says what it saw.
	copied, excused int
}

// store is the volume of a data node.
type store struct {
	id, agent string
	blocks    map[int]bool
}

// block is one that a client was told is safe.
type block struct {
	hurt    bool      // a machine was lost with a replica, and it was not copied since
	pending time.Time // it is being copied until then; zero: it is not
}

// served is a process of a server.
type served struct {
	node, http, rpc string
	task            mesostest.SimTask
	layout          layout
	up              bool
	begun           time.Time
	*store          // of a data node
	// What a name node believes of data nodes, and the list that it was told.
	believes map[string]belief
	list     string
}

type belief struct {
	*store
	heard time.Time
	state string
}

// The times of the model's name node.
const (
	copies    = 2 // dfs.replication
	scanned   = 15 * time.Second
	dead      = 30 * time.Second
	round     = 20 * time.Second // of the monitor that takes the blocks of the dead off
	mostFiles = 40
)

func newFiles(w *mesostest.World) mesostest.SimModel {
	m := &files{w: w, stores: map[string]*store{}, servers: map[string]*served{}, blocks: map[int]*block{}}
	w.After(time.Second, m.tick)
	return m
}

// Started implements mesostest.SimModel.
func (m *files) Started(w *mesostest.World, task mesostest.SimTask) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var t executor.Task
	if err := json.Unmarshal(task.Info.Data, &t); err != nil {
		m.broken = err
		return
	}
	s := &served{node: task.Node, task: task, begun: w.Now(), believes: map[string]belief{}}
	for _, f := range t.Files {
		if f.Path == layoutFile {
			m.broken = cmp.Or(m.broken, json.Unmarshal(f.Content, &s.layout))
		}
	}
	self := s.layout.self(slices.Concat(s.layout.Journals, s.layout.Names))
	s.http, s.rpc = self.HTTP, self.RPC
	if strings.HasPrefix(task.Node, dataPod) {
		for _, word := range t.Command {
			key, value, _ := strings.Cut(word, "=")
			switch key {
			case "dfs.datanode.http.address":
				s.http = value
			case "dfs.datanode.address":
				s.rpc = value
			}
		}
		s.store = m.store(task.Info)
	}
	m.servers[task.Info.TaskID.Value] = s
}

func (m *files) store(task mesos.TaskInfo) *store {
	id := ""
	for _, r := range task.Resources {
		id = cmp.Or(id, r.GetDisk().GetPersistence().GetID())
	}
	if m.stores[id] == nil {
		m.stores[id] = &store{id: id, blocks: map[int]bool{}}
	}
	m.stores[id].agent = task.AgentID.Value
	return m.stores[id]
}

// Stopped implements mesostest.SimModel.
func (m *files) Stopped(_ *mesostest.World, task mesostest.SimTask) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.servers, task.Info.TaskID.Value)
}

// refresh takes in who is out of reach at this moment.
func (m *files) refresh() {
	for _, t := range m.w.Running() {
		if s := m.servers[t.Info.TaskID.Value]; s != nil {
			s.up = t.Reachable && !t.Cut && !t.Hangs
		}
	}
}

// reached are the servers of a pod that are up.
func (m *files) reached(pod string) (out []*served) {
	for _, id := range sorted(m.servers) {
		if s := m.servers[id]; s.up && strings.HasPrefix(s.node, pod+"-") {
			out = append(out, s)
		}
	}
	return out
}

// luck is a number of 0 to n-1 that is another one at each moment.
func (m *files) luck(n int, words ...any) int {
	return int(m.w.Luck(fmt.Sprint(words...), m.w.Now().Format(time.RFC3339Nano)) % uint64(n))
}

func (m *files) tick() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refresh()
	m.elect()
	m.losses()
	if m.active != nil {
		m.report()
		m.copy()
		m.write()
	}
	m.w.After(time.Second, m.tick)
}

// elect lets a name node be the active one. It ends where no majority of the
// journal nodes is there that it knows.
func (m *files) elect() {
	names := m.reached(namePod)
	if !slices.Contains(names, m.active) {
		m.active = nil
	}
	for _, s := range names {
		if m.active != nil && s != m.active || m.w.Now().Sub(s.begun) < 3*time.Second || m.luck(3, "elect", s.node) > 0 {
			continue
		}
		switch {
		case !m.quorum(s):
			m.active = nil
			m.w.After(0, func() { m.w.EndTask(s.task, "no majority of the journal nodes takes part") })
		case m.active == nil:
			m.active, m.since, m.safe = s, m.w.Now(), true
			s.believes = map[string]belief{}
		}
	}
}

func (m *files) quorum(name *served) bool { return len(m.writes(name)) > len(name.layout.Journals)/2 }

// writes are the journal nodes to which a name node writes.
func (m *files) writes(name *served) (out []string) {
	for _, s := range m.reached(journalPod) {
		if slices.ContainsFunc(name.layout.Journals, func(p peer) bool { return p.RPC == s.rpc }) {
			out = append(out, s.rpc)
		}
	}
	return out
}

// losses looks for blocks that are nowhere any more. One whose replicas went with
// their machines is given up by the clients.
func (m *files) losses() {
	destroyed := map[string]bool{}
	for _, v := range m.w.Volumes("files") {
		destroyed[v.ID] = v.Destroyed > 0
	}
	there := map[int]int{}
	for _, id := range sorted(m.stores) {
		s := m.stores[id]
		gone := !m.w.HasAgent(s.agent)
		for b := range s.blocks {
			switch known := m.blocks[b]; {
			case known == nil:
			case gone:
				known.hurt = true
			case !destroyed[id]:
				there[b]++
			}
		}
		if gone || destroyed[id] {
			delete(m.stores, id)
		}
	}
	for _, b := range sorted(m.blocks) {
		switch {
		case there[b] >= copies:
			m.blocks[b].hurt = false
		case there[b] > 0:
		case m.blocks[b].hurt:
			m.excused++
			delete(m.blocks, b)
		case m.broken == nil:
			m.broken = fmt.Errorf("block %d is on no disk any more, and no machine was lost", b)
		}
	}
}

// report lets the active name node hear of data nodes, and of those that leave.
func (m *files) report() {
	a, now := m.active, m.w.Now()
	if m.luck(4, "list") == 0 {
		a.list = m.list
	}
	for _, s := range m.reached(dataPod) {
		if slices.ContainsFunc(s.layout.Names, func(p peer) bool { return p.RPC == a.rpc }) && m.luck(8, "late", s.node) > 0 {
			a.believes[s.rpc] = belief{s.store, now, a.believes[s.rpc].state}
		}
	}
	m.safe = m.safe && slices.ContainsFunc(sorted(m.blocks), func(b int) bool { _, all := m.known(b); return all == 0 })
	for _, key := range sorted(a.believes) {
		b := a.believes[key]
		switch {
		case !strings.Contains(a.list, key+"\n"):
			b.state = inService
		case b.state == decommissioned || m.looking():
		case slices.ContainsFunc(sorted(b.blocks), func(i int) bool { n, _ := m.known(i); return m.blocks[i] != nil && n < copies }):
			b.state = "Decommission In Progress"
		default:
			b.state = decommissioned
		}
		a.believes[key] = b
	}
}

// looking says that the active name node does not know yet what has too few replicas.
func (m *files) looking() bool { return m.safe || m.w.Now().Sub(m.since) < scanned }

// live says whether the active name node believes that a data node lives.
func (m *files) live(b belief) bool { return m.w.Now().Sub(b.heard) < dead }

// counts says whether the active name node still counts on what a data node held.
func (m *files) counts(b belief) bool { return m.w.Now().Sub(b.heard) < dead+round }

// known are the replicas of which the active name node knows: on data nodes that
// stay, and on all.
func (m *files) known(i int) (stay, all int) {
	for _, b := range m.active.believes {
		if m.counts(b) && b.blocks[i] {
			all++
			if b.state == inService {
				stay++
			}
		}
	}
	return stay, all
}

// copy has blocks copied that have too few replicas.
func (m *files) copy() {
	for _, i := range sorted(m.blocks) {
		b := m.blocks[i]
		stay, all := m.known(i)
		switch {
		case stay >= copies || all == 0 || m.looking():
			b.pending = time.Time{}
		case b.pending.IsZero():
			if m.luck(4, "begin", i) == 0 {
				b.pending = m.w.Now().Add(time.Duration(3+m.luck(30, "takes", i)) * time.Second)
			}
		case m.w.Now().After(b.pending):
			b.pending = time.Time{}
			from := slices.IndexFunc(m.reached(dataPod), func(s *served) bool { return s.blocks[i] })
			if to := m.target(i); from >= 0 && to != nil {
				to.blocks[i] = true
				m.w.Say("block %d is on %s", i, to.node)
				m.copied++
			}
		}
	}
}

// target is a data node that may get a replica of a block.
func (m *files) target(i int) *served {
	all := m.reached(dataPod)
	for n := range all {
		s := all[(n+m.luck(len(all), "target", i))%len(all)]
		if b, ok := m.active.believes[s.rpc]; ok && b.store == s.store && m.live(b) && b.state == inService && !s.blocks[i] {
			return s
		}
	}
	return nil
}

// write has a client write a block, now and then where only one data node is
// left, or delete one.
func (m *files) write() {
	switch {
	case m.safe || m.luck(3, "write") > 0:
	case len(m.blocks) >= mostFiles:
		delete(m.blocks, sorted(m.blocks)[m.luck(len(m.blocks), "delete")])
	default:
		m.next++
		for range copies {
			if s := m.target(m.next); s != nil {
				s.blocks[m.next] = true
				m.blocks[m.next] = &block{}
				m.w.Say("block %d is on %s", m.next, s.node)
			}
		}
	}
}
