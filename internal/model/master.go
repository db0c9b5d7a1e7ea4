package model

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosquota "github.com/mesos/mesos-go/api/v1/lib/quota"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// Config sets up a [Master]. Zero fields take the defaults of Mesos, except ID
// and Info, which must be set.
type Config struct {
	// Info is what SUBSCRIBED carries. Its ID begins every identifier that
	// the master gives out, and must be new for every run of a master.
	Info mesos.MasterInfo

	// AllocationInterval is the time between two rounds of offers. 1 s.
	AllocationInterval time.Duration
	// OfferTimeout is when an offer that was neither accepted nor declined
	// is rescinded. Zero: never.
	OfferTimeout time.Duration
	// PingInterval and MaxMissedPings: an agent that has not answered so
	// many pings is unreachable. 15 s and 5.
	PingInterval   time.Duration
	MaxMissedPings int
	// ReregisterTimeout is how long a new master waits for the agents in
	// its registry. 10 min.
	ReregisterTimeout time.Duration
	// Heartbeat is the interval of HEARTBEAT events. 15 s.
	Heartbeat time.Duration
	// MinOffer is the least that is offered: each entry gives amounts in
	// thousandths by resource name, and one entry must be reached in full.
	// 0.01 cpus or 32 MB of memory.
	MinOffer []map[string]int64
	// Weights of roles; 1 unless given.
	Weights map[string]float64
}

func (c Config) withDefaults() Config {
	c.AllocationInterval = cmp.Or(c.AllocationInterval, time.Second)
	c.PingInterval = cmp.Or(c.PingInterval, 15*time.Second)
	c.MaxMissedPings = cmp.Or(c.MaxMissedPings, 5)
	c.ReregisterTimeout = cmp.Or(c.ReregisterTimeout, 10*time.Minute)
	c.Heartbeat = cmp.Or(c.Heartbeat, 15*time.Second)
	if c.MinOffer == nil {
		c.MinOffer = []map[string]int64{{"cpus": 10}, {"mem": 32_000}}
	}
	return c
}

// Master is a Mesos master. Use [NewMaster].
type Master struct {
	cfg Config
	now time.Time
	out []Output

	frameworks map[string]*framework // by ID; also recovered ones, which have not subscribed yet
	completed  map[string]*framework // removed for good
	streams    map[string]*framework // by open stream

	agents   map[string]*agent // registered, by ID
	order    []*agent          // the same, as they registered
	links    map[string]*agent // by connection
	absent   map[string]*agent // registered, and not connected
	registry Registry

	offers  map[string]*offer
	inverse map[string]*inverseOffer

	nextFramework, nextAgent, nextOffer, nextTask, nextUUID, agentsHad int

	nextAllocation time.Time
	nextPing       time.Time
	recoverBy      time.Time       // when recovered agents are given up; zero: none waits
	dirty          map[string]bool // agents to be looked at before the next round
	watched        bool            // somebody wants the events of the operator API
	started        time.Time
}

// Registry is what a master remembers over a restart: Mesos keeps it in a
// replicated log.
type Registry struct {
	Admitted    map[string]mesos.AgentInfo
	Unreachable map[string]time.Time
	Gone        map[string]time.Time
	Deactivated map[string]bool
	Draining    map[string]Drain
	Schedule    []Window          // of maintenance
	Down        []mesos.MachineID // by maintenance; all are in Schedule
	Quota       map[string]mesosquota.QuotaConfig
	Weights     map[string]float64 // of roles; 1 unless set
}

func (r Registry) clone() Registry {
	r.Admitted, r.Unreachable, r.Gone = copied(r.Admitted), copied(r.Unreachable), copied(r.Gone)
	r.Deactivated, r.Draining = copied(r.Deactivated), copied(r.Draining)
	r.Quota, r.Weights = copied(r.Quota), copied(r.Weights)
	r.Schedule, r.Down = slices.Clone(r.Schedule), slices.Clone(r.Down)
	return r
}

// copied returns a copy that can be written to.
func copied[V any](in map[string]V) map[string]V {
	out := make(map[string]V, len(in))
	maps.Copy(out, in)
	return out
}

// NewMaster returns a master that starts at now with what an earlier one left
// in registry; the zero Registry starts afresh.
func NewMaster(cfg Config, registry Registry, now time.Time) *Master {
	m := &Master{
		cfg: cfg.withDefaults(), now: now, registry: registry.clone(),
		frameworks: map[string]*framework{}, completed: map[string]*framework{}, streams: map[string]*framework{},
		agents: map[string]*agent{}, links: map[string]*agent{}, absent: map[string]*agent{},
		offers: map[string]*offer{}, inverse: map[string]*inverseOffer{}, dirty: map[string]bool{},
		started: now,
	}
	for role, w := range m.cfg.Weights {
		if _, ok := m.registry.Weights[role]; !ok {
			m.registry.Weights[role] = w
		}
	}
	m.nextAllocation = now.Add(m.cfg.AllocationInterval)
	m.nextPing = now.Add(m.cfg.PingInterval)
	if len(m.registry.Admitted) > 0 {
		m.recoverBy = now.Add(m.cfg.ReregisterTimeout)
	}
	return m
}

// Registry returns what a successor needs.
func (m *Master) Registry() Registry { return m.registry.clone() }

// Step applies one input at time now and returns what must be done, in order.
// A time before that of an earlier step counts as that one.
func (m *Master) Step(now time.Time, in Input) []Output {
	if now.After(m.now) {
		m.now = now
	}
	m.runTimers()
	switch in := in.(type) {
	case Call:
		m.call(in)
	case StreamClosed:
		m.streamClosed(in.Stream)
	case AgentSaid:
		m.agentSaid(in.From, in.Message)
	case AgentClosed:
		m.agentClosed(in.From)
	case Operate:
		m.operate(in)
	case Watch:
		m.watched = in.On
	case Tick:
	}
	m.allocateDirty()
	out := m.out
	m.out = nil
	return out
}

// Wake returns when the master next has something to do by itself.
func (m *Master) Wake() time.Time {
	at := m.nextAllocation
	earlier := func(t time.Time) {
		if !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	earlier(m.nextPing)
	earlier(m.recoverBy)
	for _, f := range m.frameworks {
		earlier(f.removeAt)
	}
	for _, a := range m.absent {
		earlier(a.leftAt.Add(m.cfg.ReregisterTimeout))
	}
	return at
}

func (m *Master) runTimers() {
	for _, id := range sortedKeys(m.frameworks) {
		f := m.frameworks[id]
		if !f.removeAt.IsZero() && !m.now.Before(f.removeAt) {
			m.removeFramework(f)
		}
	}
	if !m.recoverBy.IsZero() && !m.now.Before(m.recoverBy) {
		m.giveUpRecovered()
	}
	m.giveUpAbsent()
	if !m.now.Before(m.nextPing) {
		m.pingAgents()
		m.nextPing = after(m.nextPing, m.cfg.PingInterval, m.now)
	}
	if !m.now.Before(m.nextAllocation) {
		m.expireOffers()
		m.allocateAll()
		m.nextAllocation = after(m.nextAllocation, m.cfg.AllocationInterval, m.now)
	}
}

// after returns the next beat after now of a clock that last beat at t.
func after(t time.Time, every time.Duration, now time.Time) time.Time {
	t = t.Add(every)
	if !t.After(now) {
		return now.Add(every)
	}
	return t
}

func (m *Master) do(o Output) { m.out = append(m.out, o) }

func (m *Master) emit(f *framework, e *scheduler.Event) {
	if f.stream != "" {
		m.do(Emit{f.stream, e})
	}
}

func (m *Master) send(a *agent, msg MasterMessage) {
	if a.connected {
		m.do(Send{a.link, msg})
	}
}

// uuid makes an identifier that is new and yet the same in every equal run.
func (m *Master) uuid() []byte {
	m.nextUUID++
	return hashUUID(m.cfg.Info.ID + "/operation/" + strconv.Itoa(m.nextUUID))
}

// hashUUID returns 16 bytes in the form of a random UUID.
func hashUUID(s string) []byte {
	h := sha256.Sum256([]byte(s))
	id := h[:16]
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

// uuidText writes 16 bytes as a UUID.
func uuidText(b []byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// seconds is a time as Mesos writes it in statuses.
func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

func (m *Master) framesInOrder() []*framework {
	return slices.SortedFunc(maps.Values(m.frameworks), func(a, b *framework) int { return cmp.Compare(a.seq, b.seq) })
}

//go:fix inline
