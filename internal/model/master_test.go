package model

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestLaunchRunKill(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	c := w.subscribe("*")
	o := c.offers()[0]
	c.accept(o, 0, launchOp(commandTask("t1", o.AgentID.Value, 1, 128)))
	w.settle()
	want(t, "states", strings.Join(states(c.updates(true), "t1"), " "), "TASK_RUNNING")
	w.sleep(2 * time.Second)
	rest, err := NewResources(c.offers()[0].Resources)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "rest", rest.String(), "ports(allocated: *):[31000-31099]; cpus(allocated: *):3; mem(allocated: *):1920; disk(allocated: *):4096")
	c.call(&scheduler.Call{Type: scheduler.Call_KILL, Kill: &scheduler.Call_Kill{TaskID: mesos.TaskID{Value: "t1"}}})
	w.settle()
	want(t, "states", strings.Join(states(c.updates(true), "t1"), " "), "TASK_KILLED")
	w.settle()
	want(t, "tasks", len(w.master.Tasks()), 0)
}

func TestFilters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	c := w.subscribe("*")
	decline := func(seconds float64) {
		c.call(&scheduler.Call{Type: scheduler.Call_DECLINE, Decline: &scheduler.Call_Decline{
			OfferIDs: []mesos.OfferID{c.offers()[0].ID}, Filters: &mesos.Filters{RefuseSeconds: &seconds}}})
	}
	decline(10)
	w.sleep(9 * time.Second)
	want(t, "offers while refused", len(c.offers()), 0)
	w.sleep(3 * time.Second)
	want(t, "offers when the filter is over", len(w.streams[c.stream]), 1)
	decline(1e6)
	w.sleep(time.Hour)
	want(t, "offers while refused", len(c.offers()), 0)
	c.call(&scheduler.Call{Type: scheduler.Call_REVIVE})
	want(t, "offers when revived", len(w.streams[c.stream]), 1)
	c.call(&scheduler.Call{Type: scheduler.Call_SUPPRESS})
	decline(0)
	w.sleep(time.Minute)
	want(t, "offers while suppressed", len(c.offers()), 0)
	// What is more than was refused is offered in spite of the filter.
	c.call(&scheduler.Call{Type: scheduler.Call_REVIVE})
	o := c.offers()[0]
	c.accept(o, 1e6, launchOp(commandTask("t1", o.AgentID.Value, 1, 128)))
	w.settle()
	c.updates(true)
	w.sleep(time.Minute)
	want(t, "offers of the refused rest", len(c.offers()), 0)
	c.call(&scheduler.Call{Type: scheduler.Call_KILL, Kill: &scheduler.Call_Kill{TaskID: mesos.TaskID{Value: "t1"}}})
	w.settle()
	w.sleep(2 * time.Second)
	want(t, "offers of more", len(c.offers()), 1)
}

func TestFrameworksShareTheCluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	a, b := w.subscribe("a"), w.subscribe("b")
	want(t, "first framework has all", len(a.offers()), 4)
	// What the first declines goes to the other, whose share is smaller.
	w.master.Step(w.now, StreamClosed{Stream: a.stream})
	a.connect()
	w.sleep(2 * time.Second)
	na, nb := len(a.offers()), len(b.offers())
	if na+nb < 4 || na == 0 || nb == 0 {
		t.Errorf("offers: %d and %d, want some for each and 4 or more in all", na, nb)
	}
}

func reservedFor(role, label string, rs ...mesos.Resource) []mesos.Resource {
	out := slices.Clone(rs)
	for i := range out {
		out[i].AllocationInfo = &mesos.Resource_AllocationInfo{Role: new(role)}
		out[i].Reservations = []mesos.Resource_ReservationInfo{{
			Type: mesos.Resource_ReservationInfo_DYNAMIC.Enum(), Role: new(role),
			Labels: &mesos.Labels{Labels: []mesos.Label{{Key: "resource_id", Value: new(label)}}},
		}}
	}
	return out
}

func volumeOf(disk mesos.Resource, id string) mesos.Resource {
	disk.Disk = &mesos.Resource_DiskInfo{
		Persistence: &mesos.Resource_DiskInfo_Persistence{ID: id},
		Volume:      &mesos.Volume{ContainerPath: "data", Mode: mesos.RW.Enum()},
	}
	return disk
}

func TestReserveCreateLaunchDestroyUnreserve(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	c := w.subscribe("db")
	o := c.offers()[0]
	held := reservedFor("db", "r1", scalarOf("cpus", 1), scalarOf("mem", 128), scalarOf("disk", 256))
	volume := volumeOf(held[2], "v1")
	task := commandTask("t1", o.AgentID.Value, 0, 0)
	task.Resources = []mesos.Resource{held[0], held[1], volume}
	c.accept(o, 0,
		mesos.Offer_Operation{Type: mesos.Offer_Operation_RESERVE, Reserve: &mesos.Offer_Operation_Reserve{Resources: held}},
		mesos.Offer_Operation{Type: mesos.Offer_Operation_CREATE, Create: &mesos.Offer_Operation_Create{Volumes: []mesos.Resource{volume}}},
		launchOp(task))
	w.settle()
	want(t, "states", strings.Join(states(c.updates(true), "t1"), " "), "TASK_RUNNING")
	want(t, "volume made", w.agents[0].volumes["v1"], true)
	// Another role is offered what is not reserved, and no more.
	other := w.subscribe("web")
	c.call(&scheduler.Call{Type: scheduler.Call_SUPPRESS})
	w.sleep(2 * time.Second)
	for _, x := range other.offers() {
		for i := range x.Resources {
			if len(x.Resources[i].Reservations) > 0 {
				t.Errorf("offered to web: %v", x.Resources[i])
			}
		}
	}
	other.call(&scheduler.Call{Type: scheduler.Call_TEARDOWN})
	c.call(&scheduler.Call{Type: scheduler.Call_KILL, Kill: &scheduler.Call_Kill{TaskID: mesos.TaskID{Value: "t1"}}})
	w.settle()
	c.updates(true)
	c.call(&scheduler.Call{Type: scheduler.Call_REVIVE})
	w.sleep(2 * time.Second)
	var back mesos.Offer
	for _, x := range c.offers() {
		back = x
	}
	c.accept(back, 0,
		mesos.Offer_Operation{Type: mesos.Offer_Operation_DESTROY, Destroy: &mesos.Offer_Operation_Destroy{Volumes: []mesos.Resource{volume}}},
		mesos.Offer_Operation{Type: mesos.Offer_Operation_UNRESERVE, Unreserve: &mesos.Offer_Operation_Unreserve{Resources: held}})
	w.settle()
	want(t, "volume kept", w.agents[0].volumes["v1"], false)
	w.sleep(2 * time.Second)
	rest, _ := NewResources(c.offers()[0].Resources)
	want(t, "all unreserved again", rest.String(),
		"ports(allocated: db):[31000-31099]; cpus(allocated: db):4; mem(allocated: db):2048; disk(allocated: db):4096")
	whole := w.agents[0].agent.total
	if !whole.Equal(w.master.order[0].total) {
		t.Errorf("the agent has %s, the master thinks %s", whole, w.master.order[0].total)
	}
}

func TestUpdatesAreRepeatedUntilAcknowledged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	c := w.subscribe("*")
	o := c.offers()[0]
	c.accept(o, 0, launchOp(commandTask("t1", o.AgentID.Value, 1, 128)))
	w.settle()
	w.sleep(75 * time.Second)
	got := c.updates(false)
	// At 0, 10, 30 and 70 s: the pause doubles.
	want(t, "sendings", len(got), 4)
	for _, u := range got {
		want(t, "uuid", string(u.UUID), string(got[0].UUID))
	}
	c.call(&scheduler.Call{Type: scheduler.Call_ACKNOWLEDGE, Acknowledge: &scheduler.Call_Acknowledge{
		AgentID: *got[0].AgentID, TaskID: got[0].TaskID, UUID: got[0].UUID}})
	w.settle()
	w.sleep(10 * time.Minute)
	want(t, "sendings when acknowledged", len(c.updates(false)), 0)
}

func TestAgentLostAndBack(t *testing.T) {
	t.Parallel()
	for _, aware := range []bool{true, false} {
		t.Run(fmt.Sprintf("partition aware %t", aware), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			c := w.subscribe("*")
			if !aware {
				c.info.Capabilities = c.info.Capabilities[:1]
				c.connect()
				w.sleep(time.Second)
			}
			o := c.offers()[0]
			c.accept(o, 0, launchOp(commandTask("t1", o.AgentID.Value, 1, 128)))
			w.settle()
			c.updates(true)
			w.agents[0].cut = true
			w.sleep(5 * time.Second)
			lost := "TASK_UNREACHABLE"
			if !aware {
				lost = "TASK_LOST"
			}
			want(t, "states", strings.Join(states(c.updates(true), "t1"), " "), lost)
			if c.take(scheduler.Event_FAILURE) == nil {
				t.Error("no FAILURE")
			}
			for _, r := range []struct {
				agent *mesos.AgentID
				state string
			}{{&o.AgentID, "TASK_UNREACHABLE"}, {nil, "TASK_UNKNOWN"}} {
				c.call(&scheduler.Call{Type: scheduler.Call_RECONCILE, Reconcile: &scheduler.Call_Reconcile{
					Tasks: []scheduler.Call_Reconcile_Task{{TaskID: mesos.TaskID{Value: "t1"}, AgentID: r.agent}}}})
				if !aware {
					r.state = lost
				}
				want(t, "reconciled", strings.Join(states(c.updates(true), "t1"), " "), r.state)
			}
			w.agents[0].cut = false
			w.sleep(5 * time.Second)
			want(t, "states", strings.Join(states(c.updates(true), "t1"), " "), "TASK_RUNNING")
			want(t, "tasks", len(w.master.Tasks()), 1)
		})
	}
}

func TestMasterRestartKeepsTasks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	c := w.subscribe("*")
	o := c.offers()[0]
	c.accept(o, 0, launchOp(commandTask("t1", o.AgentID.Value, 1, 128)))
	w.settle()
	c.updates(true)
	w.settle()
	w.restartMaster()
	c.connect()
	// Before the agents are back nothing can be said of the task.
	reconcile := &scheduler.Call{Type: scheduler.Call_RECONCILE, Reconcile: &scheduler.Call_Reconcile{
		Tasks: []scheduler.Call_Reconcile_Task{{TaskID: mesos.TaskID{Value: "t1"}}}}}
	c.call(reconcile)
	want(t, "answers before the agents are back", len(c.updates(true)), 0)
	for _, m := range w.agents {
		m.connect()
	}
	w.settle()
	c.call(reconcile)
	want(t, "reconciled", strings.Join(states(c.updates(true), "t1"), " "), "TASK_RUNNING")
	want(t, "id of agents", w.agents[0].agent.ID(), "M0-S0")
}

// A task that has ended, and that nobody has acknowledged yet, takes nothing
// from the one that came after it in the same place.
func TestMasterRestartBooksWhatHasEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	c := w.subscribe("*")
	port := mesos.Resource{Name: "ports", Type: mesos.RANGES.Enum(), Ranges: &mesos.Value_Ranges{Range: []mesos.Value_Range{{Begin: 31000, End: 31000}}}}
	for _, id := range []string{"t2", "t1"} { // the one that runs is told of first
		w.sleep(2 * time.Second)
		o := c.offers()[0]
		task := commandTask(id, o.AgentID.Value, 1, 128)
		task.Resources = append(task.Resources, port)
		c.accept(o, 0, launchOp(task))
		w.settle()
		if id == "t2" {
			c.updates(true)
			w.settle()
			c.call(&scheduler.Call{Type: scheduler.Call_KILL, Kill: &scheduler.Call_Kill{TaskID: mesos.TaskID{Value: id}}})
			w.settle()
		}
	}
	w.restartMaster()
	w.agents[0].connect()
	w.settle()
	c.connect()
	if err := w.master.Check(); err != nil {
		t.Error(err)
	}
	w.sleep(2 * time.Second)
	rest, _ := NewResources(c.offers()[0].Resources)
	want(t, "the rest", strings.Contains(rest.String(), "[31001-31099]"), true)
}

func (w *world) restartMaster() {
	w.restarts++
	w.cfg.Info.ID = fmt.Sprintf("M%d", w.restarts)
	registry := w.master.Registry()
	for _, m := range w.agents {
		m.step(MasterLost{})
		m.link, m.toMaster, m.toAgent = "", nil, nil
	}
	w.master = NewMaster(w.cfg, registry, w.now)
	w.streams, w.closed = map[string][]*scheduler.Event{}, map[string]bool{}
}

func TestFailover(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	c := w.subscribe("*")
	first := c.stream
	c.connect()
	es := w.streams[first]
	if last := es[len(es)-1]; last.Type != scheduler.Event_ERROR || last.Error.Message != "Framework failed over" {
		t.Errorf("the first scheduler hears %v", last)
	}
	want(t, "closed", w.closed[first], true)
	w.step(StreamClosed{Stream: c.stream})
	w.sleep(61 * time.Second)
	info := c.info
	info.ID = &mesos.FrameworkID{Value: c.id}
	w.step(Call{Stream: "late", Call: &scheduler.Call{Type: scheduler.Call_SUBSCRIBE, FrameworkID: info.ID,
		Subscribe: &scheduler.Call_Subscribe{FrameworkInfo: &info}}})
	want(t, "late scheduler", w.streams["late"][0].GetError().GetMessage(), "Framework has been removed")
}
