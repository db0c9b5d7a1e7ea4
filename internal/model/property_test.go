package model

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// chaos drives a world at random: schedulers that do all that they may, and
// messages, agents and masters that come and go. What must always hold is
// checked after every step of the master (world.step); what must hold in the
// end, once nothing fails any more, is checked by rest.
type chaos struct {
	*world
	r       *rand.Rand
	clients []*client
	held    map[*client][]mesos.Offer
	tasks   map[string]*client
	ended   map[string]string // terminal UUID by task
	seen    map[string]bool   // offers
	n       int
}

func TestChaos(t *testing.T) {
	t.Parallel()
	seeds := 24
	if testing.Short() {
		seeds = 10
	}
	first := uint64(1)
	if s := os.Getenv("MODEL_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, seeds = n, 1
	}
	for seed := first; seed < first+uint64(seeds); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			x := &chaos{
				world: newWorld(t, 3), r: rand.New(rand.NewPCG(seed, 0)), held: map[*client][]mesos.Offer{},
				tasks: map[string]*client{}, ended: map[string]string{}, seen: map[string]bool{},
			}
			x.clients = []*client{x.subscribe("a"), x.subscribe("b", "a/c")}
			for range 600 {
				x.act()
				x.listen(x.r.IntN(3) > 0)
			}
			x.rest()
		})
	}
}

// listen takes what schedulers hear.
func (x *chaos) listen(ack bool) {
	x.t.Helper()
	for _, c := range x.clients {
		for _, o := range c.offers() {
			if x.seen[o.ID.Value] {
				x.t.Fatalf("offer %s came twice", o.ID.Value)
			}
			x.seen[o.ID.Value] = true
			x.held[c] = append(x.held[c], o)
		}
		for _, u := range c.updates(ack) {
			id := u.TaskID.Value
			if !terminal(u.GetState()) || len(u.UUID) == 0 {
				continue
			}
			if old, ok := x.ended[id]; ok && old != string(u.UUID) {
				x.t.Fatalf("task %s ended twice, now with %s (%s)", id, u.GetState(), u.GetMessage())
			}
			x.ended[id] = string(u.UUID)
		}
	}
}

func (x *chaos) act() {
	c := x.clients[x.r.IntN(len(x.clients))]
	m := x.agents[x.r.IntN(len(x.agents))]
	switch x.r.IntN(24) {
	case 0, 1, 2, 3:
		x.use(c)
	case 4:
		x.decline(c)
	case 5:
		x.kill(c)
	case 6:
		c.call(&scheduler.Call{Type: scheduler.Call_REVIVE})
	case 7:
		c.call(&scheduler.Call{Type: scheduler.Call_RECONCILE, Reconcile: &scheduler.Call_Reconcile{}})
	case 8:
		x.fault(c, m)
	case 9:
		x.step(Operate{MarkGone{"nobody"}})
	case 10, 11:
		x.sleep(time.Duration(x.r.IntN(3000)) * time.Millisecond)
	default:
		for range x.r.IntN(6) {
			x.deliver(x.r)
		}
	}
}

// use accepts an offer with something to do.
func (x *chaos) use(c *client) {
	if len(x.held[c]) == 0 {
		return
	}
	i := x.r.IntN(len(x.held[c]))
	o := x.held[c][i]
	if x.r.IntN(5) > 0 { // now and then an offer is used twice
		x.held[c] = append(x.held[c][:i:i], x.held[c][i+1:]...)
	}
	role := o.AllocationInfo.GetRole()
	var ops []mesos.Offer_Operation
	for range 1 + x.r.IntN(3) {
		x.n++
		switch x.r.IntN(6) {
		case 3:
			disk := reservedFor(role, "r", scalarOf("disk", 32))[0]
			ops = append(ops, growOp("", volumeOf(disk, fmt.Sprint("v", x.r.IntN(4))), disk))
		case 4:
			disk := reservedFor(role, "r", scalarOf("disk", float64(32*(1+x.r.IntN(2)))))[0]
			ops = append(ops, shrinkOp("", volumeOf(disk, fmt.Sprint("v", x.r.IntN(4))), 8))
		case 0:
			held := reservedFor(role, "r", scalarOf("cpus", 0.5), scalarOf("mem", 64), scalarOf("disk", 32))
			ops = append(ops, mesos.Offer_Operation{Type: mesos.Offer_Operation_RESERVE, Reserve: &mesos.Offer_Operation_Reserve{Resources: held}})
			if x.r.IntN(2) == 0 {
				ops = append(ops, mesos.Offer_Operation{Type: mesos.Offer_Operation_CREATE, ID: &mesos.OperationID{Value: fmt.Sprint("op", x.n)},
					Create: &mesos.Offer_Operation_Create{Volumes: []mesos.Resource{volumeOf(held[2], fmt.Sprint("v", x.r.IntN(4)))}}})
			}
		case 1:
			held := reservedFor(role, "r", scalarOf("cpus", 0.5), scalarOf("mem", 64))
			ops = append(ops, mesos.Offer_Operation{Type: mesos.Offer_Operation_UNRESERVE, Unreserve: &mesos.Offer_Operation_Unreserve{Resources: held}})
		case 2:
			v := volumeOf(reservedFor(role, "r", scalarOf("disk", 32))[0], fmt.Sprint("v", x.r.IntN(4)))
			ops = append(ops, mesos.Offer_Operation{Type: mesos.Offer_Operation_DESTROY, Destroy: &mesos.Offer_Operation_Destroy{Volumes: []mesos.Resource{v}}})
		default:
			id := fmt.Sprint("t", x.n)
			task := commandTask(id, o.AgentID.Value, 0.5, 64)
			if x.r.IntN(3) == 0 {
				task.Command = nil
				task.Executor = &mesos.ExecutorInfo{
					Type: mesos.ExecutorInfo_CUSTOM, ExecutorID: mesos.ExecutorID{Value: "x"},
					Command: &mesos.CommandInfo{Value: new("x")}, Resources: []mesos.Resource{scalarOf("cpus", 0.1), scalarOf("mem", 32)},
				}
			}
			x.tasks[id] = c
			ops = append(ops, launchOp(task))
		}
	}
	c.accept(o, float64(x.r.IntN(10)), ops...)
}

func (x *chaos) decline(c *client) {
	var ids []mesos.OfferID
	for _, o := range x.held[c] {
		ids = append(ids, o.ID)
	}
	x.held[c] = nil
	c.call(&scheduler.Call{Type: scheduler.Call_DECLINE, Decline: &scheduler.Call_Decline{
		OfferIDs: ids, Filters: &mesos.Filters{RefuseSeconds: new(float64(x.r.IntN(20)))}}})
}

func (x *chaos) kill(c *client) {
	for _, id := range sortedKeys(x.tasks) {
		if x.tasks[id] == c && x.r.IntN(4) == 0 {
			c.call(&scheduler.Call{Type: scheduler.Call_KILL, Kill: &scheduler.Call_Kill{TaskID: mesos.TaskID{Value: id}}})
		}
	}
}

// fault breaks something.
func (x *chaos) fault(c *client, m *machine) {
	switch x.r.IntN(9) {
	case 0:
		x.heal(m, m.cut)
	case 1: // a message to the agent is lost
		if len(m.toAgent) > 0 {
			if _, launch := m.toAgent[0].(RunTasks); launch {
				m.toAgent = m.toAgent[1:]
			}
		}
	case 2: // an update comes twice
		if len(m.toMaster) > 0 {
			if u, ok := m.toMaster[0].(StatusUpdate); ok {
				m.toMaster = append(m.toMaster, u)
			}
		}
	case 3:
		m.disconnect()
	case 4:
		if m.link == "" && m.up {
			m.connect()
		}
	case 5: // the agent's process dies
		m.disconnect()
		m.up = false
	case 6:
		x.start(m, x.r.IntN(2) == 0)
	case 7:
		x.step(StreamClosed{Stream: c.stream})
		x.held[c] = nil
		c.connect()
	case 8:
		if x.r.IntN(4) == 0 {
			x.listen(true)
			x.restartMaster()
			for _, c := range x.clients {
				x.held[c] = nil
				c.connect()
			}
		}
	}
}

// heal ends a partition, or begins one. A connection over which something was
// lost is of no use any more.
func (x *chaos) heal(m *machine, heal bool) {
	m.cut = !heal
	if heal && m.up && m.link != "" {
		m.disconnect()
		m.connect()
	}
}

func (x *chaos) start(m *machine, alive bool) {
	if m.up {
		return
	}
	m.up = true
	m.streams = map[string]string{}
	if !alive {
		m.containers = map[string]*StartContainer{}
	}
	m.step(AgentRestarted{Alive: alive})
	for _, id := range sortedKeys(m.containers) {
		m.start(id)
	}
	m.connect()
}

// rest lets everything heal and then end, and checks that nothing is left.
func (x *chaos) rest() {
	for range 3 {
		for _, m := range x.agents {
			x.heal(m, true)
			x.world.settle()
			x.start(m, true)
			if m.link == "" {
				m.connect()
			}
		}
		x.sleep(2 * time.Minute)
		x.listen(true)
	}
	want(x.t, "agents", x.master.ActiveAgents(), len(x.agents))
	for range 6 {
		for _, id := range sortedKeys(x.tasks) {
			c := x.tasks[id]
			if f := x.master.frameworks[c.id]; f != nil && f.tasks[id] != nil {
				c.call(&scheduler.Call{Type: scheduler.Call_KILL, Kill: &scheduler.Call_Kill{TaskID: mesos.TaskID{Value: id}}})
			}
		}
		x.sleep(15 * time.Second)
		x.listen(true)
	}
	for _, task := range x.master.Tasks() {
		x.t.Errorf("task %s is left: %s on %s", task.ID, task.State, task.AgentID)
	}
	for _, m := range x.agents {
		a := x.master.agents[m.agent.ID()]
		if !m.agent.total.Equal(a.total) {
			x.t.Errorf("agent %s has %s, the master thinks %s", a.id, m.agent.total, a.total)
		}
		for _, key := range sortedRefs(m.agent.updates) {
			x.t.Errorf("agent %s still repeats an update of %s", a.id, key.id)
		}
	}
}

// TestEqualHistoriesGiveEqualOutputs runs one history twice.
func TestEqualHistoriesGiveEqualOutputs(t *testing.T) {
	t.Parallel()
	history := func() string {
		w := newWorld(t, 3)
		c, d := w.subscribe("a"), w.subscribe("b")
		var log strings.Builder
		for i := range 50 {
			for _, x := range []*client{c, d} {
				for _, o := range x.offers() {
					rs, _ := NewResources(o.Resources)
					log.WriteString(o.ID.Value + o.AgentID.Value + rs.String())
					x.accept(o, 1, launchOp(commandTask(fmt.Sprint(x.id, i, o.ID.Value), o.AgentID.Value, 0.3, 64)))
				}
				for _, u := range x.updates(true) {
					b, err := u.Marshal()
					if err != nil {
						t.Fatal(err)
					}
					log.WriteString(string(b))
				}
			}
			w.settle()
			w.sleep(700 * time.Millisecond)
		}
		return log.String()
	}
	a, b := history(), history()
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("two equal histories differ: %s\n%s", a[max(0, i-200):i+50], b[max(0, i-200):i+50])
		}
	}
	want(t, "length", len(a), len(b))
}
