package mysql

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// replicas is a model of the servers of a replication set: what each has in its
// logs, who copies from whom, and what clients were told is safe. Clients write
// all the time to whoever takes writes.
type replicas struct {
	mu      sync.Mutex // a look asks several servers at once
	w       *mesostest.World
	maria   bool
	disks   map[string]*disk   // by volume
	servers map[string]*served // by task, while they run
	acked   []write            // that clients were told are safe
	lost    string             // what was found missing
	lags    uint64             // in how many ticks of eight a replica hears nothing: the network is slow
	// suspended are promotions that schedulers were suspended in.
	suspended []scheduler.Job
	// What happened, so that a green run says what it saw.
	promotions, waits, late int
}

// write is a transaction. In MySQL numbers are those of the server's uuid; in
// MariaDB they go on across servers.
type write struct {
	origin string
	number uint64
}

// disk is what a volume holds of a server.
type disk struct {
	uuid   string
	log    []write // the binary log
	has    map[write]bool
	relay  []write // received, and not applied
	source string  // whom it is told to copy from; empty: nobody
	pos    int     // MariaDB: how much of the log counts as copied
	purged int     // how much of the log it cannot tell others
	agent  string  // whose id is another one when the machine was wiped
	made   bool
}

// served is a process of a server.
type served struct {
	*disk
	task, name, id, address, host string
	frozen, cut                   bool

	readOnly, semisync bool
	lapsed             bool // its lease is over, and it was told
	epoch              int  // no promotion of an earlier one makes it writable
	waiting            int  // how many at the end of the log wait for an acknowledgement
	clients            int  // replicas that copied from it at the last tick

	io, sql   bool
	from      *served // whom it is connected with
	read      int     // how much of its log it has read
	heard     time.Time
	trouble   string // of its io thread
	errno     int
	sqlBroken string
}

const tick = 250 * time.Millisecond

func newReplicas(w *mesostest.World, flavor string) *replicas {
	m := &replicas{w: w, maria: flavor == "mariadb", lags: 1, disks: map[string]*disk{}, servers: map[string]*served{}}
	w.After(tick, m.tick)
	return m
}

// Started implements mesostest.SimModel: a server comes up, read-only, with its
// threads stopped.
func (m *replicas) Started(w *mesostest.World, task mesostest.SimTask) {
	var t executor.Task
	if json.Unmarshal(task.Info.Data, &t) != nil {
		return
	}
	settings := map[string]string{}
	for line := range strings.Lines(string(t.Files[0].Content)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		settings[key] = value
	}
	d := m.disk(task)
	d.agent = task.Info.AgentID.Value
	if d.made = d.made || m.provision(d, t.Env); !d.made {
		w.EndTask(task, "there is nobody to be a copy of")
		return
	}
	m.servers[task.Info.TaskID.Value] = &served{
		disk: d, task: task.Info.TaskID.Value, name: settings["report_host"], id: settings["server_id"],
		address: settings["bind_address"] + ":" + settings["port"], host: task.Agent.Hostname, readOnly: true,
	}
}

// Stopped implements mesostest.SimModel. What was not acknowledged is in the
// log, and will have happened when the server comes back.
func (m *replicas) Stopped(_ *mesostest.World, task mesostest.SimTask) {
	delete(m.servers, task.Info.TaskID.Value)
}

// provision makes a disk as the step before the server does: empty, or a copy.
func (m *replicas) provision(d *disk, env map[string]string) bool {
	if env[envFounded] != "true" {
		return true
	}
	m.refresh()
	donors, err := readDonors(env[envDonors])
	for _, from := range donors {
		s := m.at(from.address)
		switch {
		case err != nil || s == nil || s.frozen || s.cut:
		case from.primary && s.purged == 0:
			return true // its binary logs tell all, also while writes wait
		case s.waiting > 0:
		default:
			for _, t := range s.log {
				d.add(t)
			}
			d.purged, d.pos = len(d.log), len(d.log)
			return true
		}
	}
	return false
}

func (m *replicas) disk(task mesostest.SimTask) *disk {
	id := task.Info.TaskID.Value
	for _, r := range task.Info.Resources {
		if p := r.GetDisk().GetPersistence(); p != nil {
			id = p.ID
		}
	}
	if m.disks[id] == nil {
		m.disks[id] = &disk{uuid: strings.ToLower(strings.NewReplacer("/", ".", ":", ".", ",", ".").Replace(id)), has: map[write]bool{}}
	}
	return m.disks[id]
}

// gone counts the disks with data that went with their machines.
func (m *replicas) gone(w *mesostest.World) int {
	n := 0
	for _, d := range m.disks {
		if len(d.log) > 0 && !w.HasAgent(d.agent) {
			n++
		}
	}
	return n
}

// suspends has a scheduler be suspended, now and then, when it begins a promotion. To
// Mesos and to the store it is gone, and another does what it was about to do.
func (m *replicas) suspends(job scheduler.Job) {
	if strings.HasSuffix(job.Name, "/"+promote) && m.luck(3, "suspend") == 0 {
		m.suspended = append(m.suspended, job)
	}
}

// goesOn has the first of those go on, long after: with what it knew then.
func (m *replicas) goesOn() (scheduler.Job, bool) {
	if len(m.suspended) == 0 || m.luck(40, "go on") != 0 {
		return scheduler.Job{}, false
	}
	job := m.suspended[0]
	m.suspended = m.suspended[1:]
	m.late++
	m.w.Say("a scheduler that was suspended goes on: %s", job.Name)
	return job, true
}

// refresh takes in who is frozen or cut off at this moment.
func (m *replicas) refresh() {
	for _, t := range m.w.Running() {
		if s := m.servers[t.Info.TaskID.Value]; s != nil {
			s.frozen, s.cut = t.Hangs, t.Cut
		}
	}
}

func (m *replicas) at(address string) *served {
	for _, name := range sortedKeys(m.servers) {
		if s := m.servers[name]; s.address == address {
			return s
		}
	}
	return nil
}

// luck is a number of 0 to n-1 that is another one at each moment.
func (m *replicas) luck(n uint64, words ...string) uint64 {
	return m.w.Luck(append(words, m.w.Now().Format(time.RFC3339Nano))...) % n
}

func (m *replicas) tick() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refresh()
	for _, name := range sortedKeys(m.servers) {
		if s := m.servers[name]; !s.frozen && !s.readOnly && s.waiting < 3 && m.luck(4, "write", name) == 0 {
			m.commit(s)
		}
	}
	for _, name := range sortedKeys(m.servers) {
		s := m.servers[name]
		if s.frozen {
			continue
		}
		if m.luck(8, "lag", name) >= m.lags {
			m.copy(s, m.luck(16, "unheard", name) != 0)
		}
		// A replica in four applies slowly.
		if m.w.Luck("slow", name)%4 != 0 || m.luck(12, "apply", name) == 0 {
			m.apply(s)
		}
	}
	for _, s := range m.servers {
		s.clients = 0
	}
	for _, s := range m.servers {
		if s.from != nil && !s.frozen {
			s.from.clients++
		}
	}
	m.w.After(tick, m.tick)
}

// commit writes one transaction, which waits for an acknowledgement.
func (m *replicas) commit(s *served) {
	next := write{origin: s.uuid, number: 1}
	if m.maria {
		next.origin = s.id
	}
	for i := len(s.log) - 1; i >= 0; i-- {
		if m.maria || s.log[i].origin == next.origin {
			next.number = s.log[i].number + 1
			break
		}
	}
	s.add(next)
	s.waiting++
	if !s.semisync {
		m.acknowledge(s, len(s.log))
	}
}

func (d *disk) add(t write) {
	d.log = append(d.log, t)
	d.has[t] = true
}

// acknowledge tells clients that the log is safe up to there.
func (m *replicas) acknowledge(s *served, upTo int) {
	for first := len(s.log) - s.waiting; s.waiting > 0 && first < upTo; first++ {
		m.acked = append(m.acked, s.log[first])
		s.waiting--
	}
}

// copy lets a replica receive what its source has.
func (m *replicas) copy(s *served, acknowledges bool) {
	if !s.io {
		s.from = nil
		return
	}
	source := m.at(s.source)
	switch {
	case source == nil, source == s:
		s.from = nil
		return
	case source.frozen || source.host != s.host && (source.cut || s.cut):
		if m.w.Now().Sub(s.heard) > 4*time.Second {
			s.from = nil
		}
		return
	}
	s.heard = m.w.Now()
	if s.from != source {
		if s.errno, s.trouble = m.refuses(source, s); s.errno != 0 {
			s.io, s.from = false, nil
			return
		}
		s.from, s.read = source, 0
	}
	for ; s.read < len(source.log); s.read++ {
		if t := source.log[s.read]; !s.has[t] && !slices.Contains(s.relay, t) {
			s.relay = append(s.relay, t)
		}
	}
	if acknowledges {
		m.acknowledge(source, s.read)
	}
}

// refuses says why a source cannot serve a replica.
func (m *replicas) refuses(source, s *served) (int, string) {
	for _, t := range source.log[:source.purged] {
		if !s.has[t] {
			return 1236, "the replica lacks what its source has purged"
		}
	}
	for _, t := range s.log {
		if !source.has[t] && (m.maria && s.pos > 0 && t == s.log[s.pos-1] || !m.maria && t.origin == source.uuid) {
			return 1236, "the replica has what its source does not have"
		}
	}
	return 0, ""
}

// apply lets a replica execute what it has received.
func (m *replicas) apply(s *served) {
	if !s.sql || s.sqlBroken != "" {
		return
	}
	for _, t := range s.relay {
		switch {
		case !m.maria && s.has[t]:
		case m.maria && len(s.log) > 0 && t.number <= s.log[len(s.log)-1].number:
			s.sqlBroken = fmt.Sprintf("an attempt was made to binlog GTID 0-%s-%d, which would create an out-of-order sequence number", t.origin, t.number)
			s.sql = false
			return
		default:
			s.add(t)
			s.pos = len(s.log)
		}
	}
	s.relay = nil
}

// takesWrites is called when a member was made writable: it has to have all that
// clients were told is safe.
func (m *replicas) takesWrites(s *served) {
	m.promotions++
	for _, t := range m.acked {
		if !s.has[t] && m.lost == "" {
			m.lost = fmt.Sprintf("%s takes writes without %s:%d, which was acknowledged", s.name, t.origin, t.number)
		}
	}
	m.w.Say("%s takes writes, with %d transactions; %d were acknowledged", s.name, len(s.log), len(m.acked))
}

// executed is what a server says that it executed.
func (m *replicas) executed(s *served) string {
	log := s.log
	if m.maria {
		if len(log) == 0 {
			return ""
		}
		return m.position(log[len(log)-1])
	}
	return setOf(log[:len(log)-s.waiting])
}

func (m *replicas) position(t write) string { return fmt.Sprintf("0-%s-%d", t.origin, t.number) }

func setOf(log []write) string {
	set := gtids{}
	for i := 0; i < len(log); {
		t := log[i]
		end := t.number
		for i++; i < len(log) && log[i] == (write{t.origin, end + 1}); i++ {
			end++
		}
		set.add(t.origin, numbers{t.number, end})
	}
	return set.String()
}

// received is what a server says that it received.
func (m *replicas) received(s *served) string {
	switch {
	case !m.maria:
		return setOf(s.relay)
	case len(s.relay) > 0:
		return m.position(s.relay[len(s.relay)-1])
	case s.sql && s.pos > 0:
		return m.position(s.log[s.pos-1])
	}
	return ""
}
