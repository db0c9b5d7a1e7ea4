package mesostest

import (
	"fmt"
	"math/rand/v2"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/internal/model"
)

// World is a simulation under way, as rules, goals and jobs see it. It is
// valid during the call that it is given to, and must not be changed.
type World struct {
	cfg    SimConfig
	script Script
	epoch  time.Time
	now    int64 // nanoseconds since epoch
	agenda agenda
	random *rand.Rand // latencies only

	master     *model.Master // nil while there is no leader
	masters    int           // so far
	masterWake int64         // when it is planned to be woken
	election   int           // counts failovers, so that an old plan is void
	streams    map[string]*simStream
	agents     []*simAgent
	links      map[string]*simAgent // by connection
	frameworks []*simFramework
	rival      *simRival
	model      SimModel
	wiped      []string // ids of agents that were, which nobody has called gone

	armed   armed
	quiet   bool // the storm is over
	reached int64
	done    bool
	rules   ruleBook
	// changes counts what Running shows; running is as of runningAt.
	changes   uint64
	running   []SimTask
	runningAt uint64
	coverage  Coverage
	broken    *violation
	tell      func(line string) // nil unless somebody reads the history
}

// armed are faults that wait for what they are to break.
type armed struct {
	next     [faultKinds][]uint16 // picks, by kind
	cuts     []*simAgent          // cut off, the oldest first
	swapped  func()               // a status held back until the next one
	registry bool                 // registry faults: compare at each step
}

// take returns the pick of an armed fault of the kind, and disarms it.
func (w *World) take(k FaultKind) (pick int, ok bool) {
	waiting := w.armed.next[k]
	if len(waiting) == 0 {
		return 0, false
	}
	w.armed.next[k] = waiting[1:]
	w.coverage.Faults[k]++
	if w.tell != nil {
		w.say("fault %s %d strikes", k, waiting[0])
	}
	return int(waiting[0]), true
}

type violation struct{ rule, detail string }

// world builds what a script wants.
func (s *Sim) world(script Script) (*World, error) {
	frameworks, err := s.scaled(script)
	if err != nil {
		return nil, err
	}
	w := &World{
		cfg: s.cfg, script: script, epoch: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		random:  rand.New(rand.NewPCG(script.Seed, 1<<32)),
		streams: map[string]*simStream{}, links: map[string]*simAgent{},
	}
	w.changes = 1
	w.coverage = Coverage{Runs: 1}
	w.coverage.Add(Coverage{}) // makes its maps
	w.rules = newRuleBook()
	agents := s.cfg.Agents
	if script.Agents > 0 && script.Agents < len(agents) {
		agents = agents[:script.Agents]
	}
	for i, cfg := range agents {
		if err := w.addAgent(i, cfg); err != nil {
			return nil, err
		}
	}
	for i, f := range frameworks {
		w.frameworks = append(w.frameworks, w.newFramework(i, f))
	}
	w.rival = &simRival{w: w}
	if s.cfg.Model != nil {
		w.model = s.cfg.Model(w)
	}
	return w, nil
}

// run simulates to the end.
func (w *World) run() {
	w.elect(model.Registry{})
	for _, a := range w.agents {
		w.link(a)
	}
	for _, f := range w.frameworks {
		w.after(time.Duration(f.index)*time.Second/10, f.start)
	}
	w.after(0, w.rival.subscribe)
	for _, f := range w.script.Faults {
		w.agenda.add(int64(f.At), func() { w.fault(f) })
	}
	w.agenda.add(int64(w.script.Storm), w.calm)
	for !w.done && w.broken == nil && w.coverage.Steps < w.cfg.Steps {
		next, ok := w.agenda.next()
		if !ok {
			break
		}
		w.now = max(w.now, next.at)
		next.do()
		w.checkConservation()
	}
}

// Now is the virtual time.
func (w *World) Now() time.Time { return w.epoch.Add(time.Duration(w.now)) }

func (w *World) since() time.Duration { return time.Duration(w.now) }

func (w *World) after(d time.Duration, do func()) { w.agenda.add(w.now+int64(d), do) }

// latency is that of a message: half a millisecond to two.
func (w *World) latency() int64 { return int64(500*time.Microsecond) + w.random.Int64N(1_500_000) }

// say adds a line to the history. Callers check w.tell first where making the
// arguments costs something.
func (w *World) say(format string, args ...any) {
	if w.tell != nil {
		w.tell(fmt.Sprintf("%12s  ", w.since().Round(time.Microsecond)) + fmt.Sprintf(format, args...))
	}
}

// fail ends the simulation with a broken rule.
func (w *World) fail(rule, format string, args ...any) {
	if w.broken == nil {
		w.broken = &violation{rule, fmt.Sprintf(format, args...)}
		w.say("BROKEN %s: %s", rule, w.broken.detail)
	}
}

// luck is a number that is the same in every history for equal words.
func (w *World) luck(words ...string) uint64 {
	h := uint64(14695981039346656037) ^ w.script.Seed
	for _, word := range words {
		for i := range len(word) {
			h = (h ^ uint64(word[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211
	}
	h ^= h >> 32
	h *= 0x9e3779b97f4a7c15
	return h ^ h>>29
}

// Masters.

// allocationInterval is longer than Mesos's second, so that fewer steps are
// rounds that offer nothing.
const allocationInterval = 5 * time.Second

// elect starts a master with what its predecessor left in the registry.
func (w *World) elect(registry model.Registry) {
	w.masters++
	w.election++
	w.master = model.NewMaster(model.Config{
		AllocationInterval: allocationInterval,
		Info: mesos.MasterInfo{
			ID: fmt.Sprintf("M%d", w.masters), Hostname: new(fmt.Sprintf("master-%d", w.masters)), Port: new(uint32(5050)),
			Version: new(version), Capabilities: masterCapabilities(),
		},
	}, registry, w.Now())
	w.say("master M%d leads", w.masters)
	w.masterWake = 0
	w.wakeMaster()
}

// failover ends the leader; another follows.
func (w *World) failover(registry model.Registry, pause time.Duration) {
	w.say("master M%d dies", w.masters)
	w.master = nil
	w.election++
	for _, id := range sortedKeysOf(w.streams) {
		w.streams[id].closed = true
		w.streams[id].close(0)
	}
	for _, a := range w.agents {
		w.unlink(a)
	}
	w.after(pause, func() {
		w.elect(registry)
		for _, a := range w.agents {
			w.after(time.Duration(w.random.IntN(5000))*time.Millisecond, func() { w.link(a) })
		}
	})
}

func (w *World) stepMaster(in model.Input) []model.Output {
	w.coverage.Steps++
	w.coverage.Master++
	var before model.Registry
	if w.armed.registry {
		before = w.master.Registry()
	}
	outputs := w.master.Step(w.Now(), in)
	if w.armed.registry && w.registryFault(before) {
		return nil
	}
	return outputs
}

// toMaster gives the master an input and carries out what it wants done. It
// returns the reply.
func (w *World) toMaster(in model.Input) (reply model.Reply) {
	if w.master == nil {
		return model.Reply{Status: 503, Text: "no leader"}
	}
	for _, out := range w.stepMaster(in) {
		switch out := out.(type) {
		case model.Reply:
			reply = out
		case model.Emit:
			if s := w.streams[out.Stream]; s != nil {
				s.emit(out.Event)
			}
		case model.Close:
			if s := w.streams[out.Stream]; s != nil {
				s.closed = true
				s.close(w.latency())
			}
		case model.Send:
			w.toAgent(out.To, out.Message)
		}
	}
	w.wakeMaster()
	return reply
}

func (w *World) wakeMaster() {
	if w.master == nil {
		return
	}
	at := int64(w.master.Wake().Sub(w.epoch))
	if w.masterWake > w.now && w.masterWake <= at {
		return
	}
	w.masterWake = max(at, w.now+1)
	election := w.election
	w.agenda.add(w.masterWake, func() {
		if w.election == election && w.masterWake == w.now {
			w.masterWake = 0
			w.toMaster(model.Tick{})
		}
	})
}
