package mesostest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/internal/model"
)

// simAgent is a machine of a simulation with an agent on it.
type simAgent struct {
	index int
	cfg   AgentConfig
	info  mesos.AgentInfo
	model *model.Agent
	lives int // agents that this machine had: a wiped one gets another

	up, gone bool   // the agent's process runs; the machine never comes back
	cut      bool   // no message passes, either way
	link     string // the connection to the master; empty: none
	links    int
	inbound  int64 // when the last message to the agent arrives
	outbound int64 // when the last one from it does
	// sent is the last status of each task that was sent over this connection.
	sent map[taskKey]sentStatus
	wake int64 // when it is planned to be woken; 0: not

	executors map[string]*simExecutor // by container
	streams   map[string]*simExecutor
	volumes   map[string]bool // by persistence id
	busy      bool            // an operator works on it
}

func (w *World) addAgent(i int, cfg AgentConfig) error {
	resources, err := parseResources(cfg.Resources)
	if err != nil {
		return err
	}
	attributes, err := parseAttributes(cfg.Attributes)
	if err != nil {
		return err
	}
	a := &simAgent{index: i, cfg: cfg, up: true, info: mesos.AgentInfo{
		Hostname: cfg.Hostname, Port: new(int32(5051)), Resources: resources, Attributes: attributes, Domain: domain(cfg.Region, cfg.Zone),
	}}
	if err := w.wipe(a); err != nil {
		return err
	}
	w.agents = append(w.agents, a)
	return nil
}

// wipe puts a new agent on the machine, with an empty disk.
func (w *World) wipe(a *simAgent) error {
	a.lives++
	machine, err := model.NewAgent(model.AgentConfig{
		Name: fmt.Sprintf("%s/%d", a.cfg.Hostname, a.lives), IP: a.cfg.Address, Info: a.info,
	}, w.Now())
	if err != nil {
		return fmt.Errorf("mesostest: agent %s: %w", a.cfg.Hostname, err)
	}
	a.model, a.wake = machine, 0
	a.executors, a.streams, a.volumes = map[string]*simExecutor{}, map[string]*simExecutor{}, map[string]bool{}
	return nil
}

// link connects an agent with the leader.
func (w *World) link(a *simAgent) {
	if w.master == nil || a.link != "" || !a.up || a.gone {
		return
	}
	a.links++
	w.setLink(a, fmt.Sprintf("%s/%d", a.cfg.Hostname, a.links))
	w.toModel(a, model.MasterFound{})
}

// unlink breaks the connection: what is on its way is lost.
func (w *World) unlink(a *simAgent) {
	if a.link == "" {
		return
	}
	link := a.link
	w.setLink(a, "")
	if w.master != nil && !a.cut {
		w.toMaster(model.AgentClosed{From: link})
	} else if w.master != nil {
		// The master learns of it when it hears of the agent again.
		election := w.election
		w.after(time.Millisecond, func() { w.closeWhenHealed(a, link, election) })
	}
	w.toModel(a, model.MasterLost{})
}

func (w *World) closeWhenHealed(a *simAgent, link string, election int) {
	switch {
	case w.election != election:
	case a.cut:
		w.after(time.Second, func() { w.closeWhenHealed(a, link, election) })
	default:
		w.toMaster(model.AgentClosed{From: link})
	}
}

// relink breaks the connection and makes it anew after some time.
func (w *World) relink(a *simAgent, pause time.Duration) {
	w.unlink(a)
	w.after(pause, func() { w.link(a) })
}

// toModel gives the agent an input, if its process runs, and carries out what
// it wants done.
func (w *World) toModel(a *simAgent, in model.AgentInput) {
	if !a.up {
		return
	}
	w.coverage.Steps++
	w.coverage.Agent++
	for _, out := range a.model.Step(w.Now(), in) {
		switch out := out.(type) {
		case model.TellMaster:
			w.fromAgent(a, out.Message)
		case model.StartContainer:
			w.startContainer(a, out)
		case model.StopContainer:
			if e := a.executors[out.Container]; e != nil {
				w.after(10*time.Millisecond, func() { w.exit(e, 9) })
			}
		case model.MakeVolume:
			w.rules.makeVolume(w, a, out.Volume)
		case model.RemoveVolume:
			w.rules.removeVolume(w, a, out.Volume)
		case model.ExecutorEvent:
			if e := a.streams[out.Stream]; e != nil {
				w.after(100*time.Microsecond, func() { w.heard(e, out.Event) })
			}
		case model.ExecutorReply:
			if out.Status >= 400 {
				w.say("agent %s refuses a call of an executor: %s", a.cfg.Hostname, out.Text)
			}
		case model.Exit:
			w.stopAgent(a, false)
		}
	}
	w.wakeAgent(a)
}

func (w *World) wakeAgent(a *simAgent) {
	wake := a.model.Wake()
	if wake.IsZero() || !a.up {
		return
	}
	at := max(int64(wake.Sub(w.epoch)), w.now+1)
	if a.wake > w.now && a.wake <= at {
		return
	}
	a.wake = at
	life := a.lives
	w.agenda.add(at, func() {
		if a.wake != w.now || a.lives != life || !a.up {
			return
		}
		a.wake = 0
		if due := a.model.Wake(); due.IsZero() || int64(due.Sub(w.epoch)) > w.now {
			w.wakeAgent(a)
			return
		}
		w.toModel(a, model.Tick{})
	})
}

// toAgent sends a message of the master.
func (w *World) toAgent(link string, msg model.MasterMessage) {
	a := w.links[link]
	if a == nil || a.cut {
		return
	}
	switch msg.(type) {
	case model.RunTasks:
		w.breakWith(a, LaunchLost)
	case model.Apply:
		w.breakWith(a, ApplyLost)
	}
	if a.link != link {
		return
	}
	a.inbound = max(w.now+w.latency(), a.inbound)
	w.agenda.add(a.inbound, func() {
		if a.link != link || a.cut || !a.up {
			return
		}
		if apply, ok := msg.(model.Apply); ok {
			if pick, ok := w.take(OperationFails); ok {
				w.toModel(a, model.ApplyFailed{Apply: apply, Message: "no space left on device"})
				w.after(time.Duration(pick%3000)*time.Millisecond, func() { w.relink(a, 0) })
				return
			}
		}
		w.toModel(a, model.MasterSaid{Message: msg})
	})
}

// breakWith breaks the connection under a message of a kind that is to be
// lost. The master hears of that after the step that it is in.
func (w *World) breakWith(a *simAgent, k FaultKind) {
	if pick, ok := w.take(k); ok {
		link := a.link
		w.setLink(a, "")
		election := w.election
		w.after(time.Millisecond, func() {
			if w.election == election {
				w.toMaster(model.AgentClosed{From: link})
			}
			w.toModel(a, model.MasterLost{})
			w.after(time.Duration(pick%10_000)*time.Millisecond, func() { w.link(a) })
		})
	}
}

func (w *World) setLink(a *simAgent, link string) {
	w.changes++
	delete(w.links, a.link)
	a.link, a.sent = link, map[taskKey]sentStatus{}
	if link != "" {
		w.links[link] = a
	}
}

// fromAgent sends a message to the master.
func (w *World) fromAgent(a *simAgent, msg model.AgentMessage) {
	if a.link == "" || a.cut {
		return
	}
	link := a.link
	deliver := func() {
		if a.link == link && !a.cut && w.master != nil {
			w.toMaster(model.AgentSaid{From: link, Message: msg})
		}
	}
	switch msg := msg.(type) {
	case model.StatusUpdate:
		w.sendStatus(a, msg, deliver)
		return
	case model.OperationUpdate:
		if _, ok := w.take(OperationLost); ok {
			return
		}
	}
	a.outbound = max(w.now+w.latency(), a.outbound)
	w.agenda.add(a.outbound, deliver)
}

// taskKey names a task of any framework.
type taskKey struct{ framework, id string }

// sentStatus is a status on its way to the master, more than once perhaps.
type sentStatus struct {
	uuid   string
	behind int64 // when the last copy of the one before it arrives
	at     int64 // and the last of its own
}

// sendStatus sends a status as the faults want it. It may be overtaken by all but
// the later statuses of its own task: an agent sends the next of these when the
// last one was acknowledged, so that no old one arrives after it.
func (w *World) sendStatus(a *simAgent, msg model.StatusUpdate, deliver func()) {
	if held := w.armed.swapped; held != nil {
		w.armed.swapped = nil
		held()
	}
	if _, ok := w.take(UpdateLost); ok {
		return
	}
	key := taskKey{msg.Framework, msg.Status.TaskID.Value}
	sent := a.sent[key]
	if uuid := string(msg.Status.UUID); sent.uuid != uuid {
		sent = sentStatus{uuid: uuid, behind: sent.at}
	}
	at := max(w.now+w.latency(), sent.behind)
	if pick, ok := w.take(UpdateLate); ok {
		at += int64(pick%60_000) * int64(time.Millisecond)
	} else {
		a.outbound = max(at, a.outbound)
		at = a.outbound
	}
	again := at
	if pick, ok := w.take(UpdateTwice); ok {
		again += int64(5+pick%5000) * int64(time.Millisecond)
		w.agenda.add(again, deliver)
	}
	sent.at = max(sent.at, again)
	a.sent[key] = sent
	if _, ok := w.take(UpdateSwapped); ok {
		w.armed.swapped = func() {
			sent.at = max(sent.at, w.now+int64(5*time.Millisecond))
			a.sent[key] = sent
			w.agenda.add(sent.at, deliver)
		}
		return
	}
	w.agenda.add(at, deliver)
}

// stopAgent ends the agent's process; what it runs goes on if alive.
func (w *World) stopAgent(a *simAgent, alive bool) {
	if !a.up {
		return
	}
	a.up = false
	w.changes++
	w.unlink(a)
	for _, e := range a.list() {
		e.stream = ""
		if !alive {
			for _, t := range e.tasks {
				w.rules.stopped(w, t)
			}
			e.end()
		}
	}
	clear(a.streams)
	if !alive {
		clear(a.executors)
	}
}

// startAgent starts the agent's process again.
func (w *World) startAgent(a *simAgent, alive bool) {
	if a.up || a.gone {
		return
	}
	a.up, a.wake = true, 0
	if a.model.ID() != "" {
		w.toModel(a, model.AgentRestarted{Alive: alive})
	}
	for _, e := range a.list() {
		if e.over { // while the agent was away
			w.exited(e)
			continue
		}
		w.after(time.Duration(50+w.random.IntN(500))*time.Millisecond, func() { w.subscribeExecutor(e) })
	}
	w.after(100*time.Millisecond, func() { w.link(a) })
}

// reachable says whether the agent and the master can talk.
func (a *simAgent) reachable() bool { return a.link != "" && !a.cut && a.up }

// list is what runs on the machine, in the order of containers' names.
func (a *simAgent) list() []*simExecutor {
	return slices.SortedFunc(maps.Values(a.executors), func(x, y *simExecutor) int { return cmp.Compare(x.seq, y.seq) })
}

func sortedKeysOf[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
