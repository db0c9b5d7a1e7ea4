package model

import (
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// A shared volume is used by any number of tasks, also of several frameworks,
// and destroyed when nobody uses it.
func TestSharedVolume(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	n := 0
	join := func() *client {
		n += 100
		c := &client{w: w, n: n, info: mesos.FrameworkInfo{User: "root", Name: "x", Roles: []string{"db"}, Checkpoint: new(true), FailoverTimeout: new(60.0),
			Capabilities: []mesos.FrameworkInfo_Capability{
				{Type: mesos.FrameworkInfo_Capability_MULTI_ROLE}, {Type: mesos.FrameworkInfo_Capability_PARTITION_AWARE},
				{Type: mesos.FrameworkInfo_Capability_RESERVATION_REFINEMENT}, {Type: mesos.FrameworkInfo_Capability_SHARED_RESOURCES}}}}
		c.connect()
		return c
	}
	a := join()
	disk := reservedFor("db", "r", scalarOf("disk", 64))
	volume := volumeOf(disk[0], "v")
	volume.Shared = &mesos.Resource_SharedInfo{}
	use := func(o mesos.Offer, ids ...string) mesos.Offer_Operation {
		var tasks []mesos.TaskInfo
		for _, id := range ids {
			task := commandTask(id, o.AgentID.Value, 0.5, 64)
			task.Resources = append(task.Resources, volume)
			tasks = append(tasks, task)
		}
		return launchOp(tasks...)
	}
	destroy := mesos.Offer_Operation{Type: mesos.Offer_Operation_DESTROY, ID: &mesos.OperationID{Value: "d"},
		Destroy: &mesos.Offer_Operation_Destroy{Volumes: []mesos.Resource{volume}}}
	o := a.offers()[0]
	a.accept(o, 0,
		mesos.Offer_Operation{Type: mesos.Offer_Operation_RESERVE, Reserve: &mesos.Offer_Operation_Reserve{Resources: disk}},
		mesos.Offer_Operation{Type: mesos.Offer_Operation_CREATE, Create: &mesos.Offer_Operation_Create{Volumes: []mesos.Resource{volume}}},
		use(o, "t1", "t2"), destroy)
	w.settle()
	us := a.updates(true)
	want(t, "states", strings.Join(append(states(us, "t1"), states(us, "t2")...), " "), "TASK_RUNNING TASK_RUNNING")
	if got := a.told(); !strings.Contains(got, "OPERATION_ERROR Persistent volumes in use; on agent M0-S0") {
		t.Errorf("told %q", got)
	}
	w.sleep(time.Second)
	o = a.offers()[0]
	if rs, err := NewResources(o.Resources); err != nil || !strings.Contains(rs.String(), "v:data]<SHARED>:64<1>") {
		t.Errorf("what is in use is not offered again: %s (%v)", rs, err)
	}
	a.accept(o, 1e6)
	b := join()
	w.sleep(time.Second)
	o = b.offers()[0]
	b.accept(o, 0, use(o, "t3"))
	w.settle()
	want(t, "states", strings.Join(states(b.updates(true), "t3"), " "), "TASK_RUNNING")
	for _, x := range []struct {
		c  *client
		id string
	}{{a, "t1"}, {a, "t2"}, {b, "t3"}} {
		x.c.call(&scheduler.Call{Type: scheduler.Call_KILL, Kill: &scheduler.Call_Kill{TaskID: mesos.TaskID{Value: x.id}}})
		w.settle()
		x.c.updates(true)
	}
	w.sleep(time.Second)
	c := a
	os := a.offers()
	if len(os) == 0 {
		c, os = b, b.offers()
	}
	c.told()
	c.accept(os[0], 0, destroy)
	w.settle()
	want(t, "told", c.told(), "OPERATION_FINISHED ")
	want(t, "volumes", len(w.agents[0].volumes), 0)
}

// What an operation makes is offered again at once; only what it leaves is
// declined.
func TestWhatOperationsMakeIsNotDeclined(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	c := w.subscribe("db")
	o := c.offers()[0]
	c.accept(o, 1e6, mesos.Offer_Operation{Type: mesos.Offer_Operation_RESERVE,
		Reserve: &mesos.Offer_Operation_Reserve{Resources: reservedFor("db", "r", scalarOf("cpus", 1), scalarOf("mem", 64))}})
	w.sleep(2 * time.Second)
	want(t, "offers", len(c.offers()), 1)
}

// Reservations are refined level by level, and taken off in that order.
func TestRefinedReservations(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	whole := func(roles ...string) mesos.Resource {
		r := scalarOf("cpus", 1)
		for _, role := range roles {
			r.Reservations = append(r.Reservations, mesos.Resource_ReservationInfo{Type: mesos.Resource_ReservationInfo_DYNAMIC.Enum(), Role: &role})
		}
		return r
	}
	change := func(kind mesos.Offer_Operation_Type, from, to []mesos.Resource) ChangeResources {
		op := mesos.Offer_Operation{Type: kind}
		if kind == mesos.Offer_Operation_RESERVE {
			op.Reserve = &mesos.Offer_Operation_Reserve{Source: from, Resources: to}
		} else {
			op.Unreserve = &mesos.Offer_Operation_Unreserve{Resources: to}
		}
		return ChangeResources{AgentID: "M0-S0", Operation: op}
	}
	list := func(rs ...mesos.Resource) []mesos.Resource { return rs }
	const reserve, unreserve = mesos.Offer_Operation_RESERVE, mesos.Offer_Operation_UNRESERVE
	at := " on agent " + w.master.order[0].String() + ": "
	for _, tc := range []struct {
		request ChangeResources
		status  int
		want    string
	}{
		{change(reserve, nil, list(whole("a", "b"))), 400, "Resource 'cpus(reservations: [(DYNAMIC,a),(DYNAMIC,b)]):1' is invalid: " +
			"Invalid refined reservation: role 'b' is not a refinement of 'a'"},
		{change(reserve, nil, list(whole("a", "a/b"))), 409, "cpus:4; mem:2048; disk:4096; ports:[31000-31099] does not contain cpus(reservations: [(DYNAMIC,a)]):1"},
		{change(reserve, nil, nil), 400, "Invalid RESERVE operation" + at + "Invalid resources: The resources have multiple resource providers: "},
		{change(reserve, nil, list(whole("a"))), 202, ""},
		{change(reserve, nil, list(whole("a", "a/b"))), 202, ""},
		{change(unreserve, nil, list(whole("a", "a/b"))), 202, ""},
		{change(reserve, list(whole("a")), list(scalarOf("cpus", 1))), 400, "Invalid RESERVE operation" + at + "Resource cpus:1 is not dynamically reserved"},
		{change(reserve, list(whole("a")), list(whole("c"))), 202, ""},
		{change(unreserve, nil, list(whole("a"))), 409, ""},
		{change(unreserve, nil, list(whole("c"))), 202, ""},
	} {
		got := w.step(Operate{tc.request})
		if got.Status != tc.status || tc.want != "" && got.Text != tc.want {
			t.Errorf("%v: %d %s, want %d %s", tc.request.Operation, got.Status, got.Text, tc.status, tc.want)
		}
		w.settle()
	}
	want(t, "what the agent has", w.agents[0].agent.total.String(), w.master.order[0].total.String())
	r := change(reserve, nil, list(whole("a")))
	r.Principal = "ops"
	w.operate(r, 400, "Invalid RESERVE operation"+at+"A reserve operation was attempted by principal 'ops', but there is a reserved resource in the request with no principal set")
}
