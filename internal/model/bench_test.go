package model

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// large is a master with n agents that only pretend, and a framework that
// holds an offer of each.
func large(b testing.TB, n int) (m *Master, framework string, offers []mesos.Offer, now time.Time) {
	b.Helper()
	now = epoch
	m = NewMaster(Config{Info: mesos.MasterInfo{ID: "M"}, PingInterval: time.Hour}, Registry{}, now)
	total, err := NewResources([]mesos.Resource{scalarOf("cpus", 32), scalarOf("mem", 65536), scalarOf("disk", 1e6),
		{Name: "ports", Type: mesos.RANGES.Enum(), Ranges: &mesos.Value_Ranges{Range: []mesos.Value_Range{{Begin: 31000, End: 32000}}}}})
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		name := fmt.Sprint("host", i)
		info := mesos.AgentInfo{Hostname: name, Port: new(int32(5051)), Attributes: []mesos.Attribute{
			{Name: "rack", Type: mesos.TEXT, Text: &mesos.Value_Text{Value: fmt.Sprint("r", i%40)}}}}
		m.Step(now, AgentSaid{From: name, Message: Register{AgentDescription{Info: info, IP: "127.0.0.1", Port: 5051, Total: total}}})
	}
	call := &scheduler.Call{Type: scheduler.Call_SUBSCRIBE, Subscribe: &scheduler.Call_Subscribe{FrameworkInfo: &mesos.FrameworkInfo{
		User: "root", Name: "bench", Roles: []string{"*"}, Checkpoint: new(true), FailoverTimeout: new(60.0),
		Capabilities: []mesos.FrameworkInfo_Capability{
			{Type: mesos.FrameworkInfo_Capability_MULTI_ROLE}, {Type: mesos.FrameworkInfo_Capability_RESERVATION_REFINEMENT}},
	}}}
	for _, out := range m.Step(now, Call{Stream: "s", Call: call}) {
		if e, ok := out.(Emit); ok && e.Event.Type == scheduler.Event_SUBSCRIBED {
			framework = e.Event.Subscribed.FrameworkID.Value
		} else if ok && e.Event.Type == scheduler.Event_OFFERS {
			offers = e.Event.Offers.Offers
		}
	}
	return m, framework, offers, now
}

// BenchmarkOfferAll makes one OFFERS event with an offer of every agent.
func BenchmarkOfferAll(b *testing.B) {
	for _, agents := range []int{10_000, 50_000} {
		b.Run(fmt.Sprint(agents), func(b *testing.B) { offerAll(b, agents) })
	}
}

func offerAll(b *testing.B, agents int) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m, framework, offers, now := large(b, agents)
	ids := make([]mesos.OfferID, len(offers))
	for i := range offers {
		ids[i] = offers[i].ID
	}
	offers = nil
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportAllocs()
	for b.Loop() {
		m.Step(now, Call{Stream: "s", Call: &scheduler.Call{Type: scheduler.Call_DECLINE, FrameworkID: &mesos.FrameworkID{Value: framework},
			Decline: &scheduler.Call_Decline{OfferIDs: ids, Filters: &mesos.Filters{RefuseSeconds: new(0.0)}}}})
		now = now.Add(time.Second)
		for _, out := range m.Step(now, Tick{}) {
			if e, ok := out.(Emit); ok && e.Event.Type == scheduler.Event_OFFERS {
				offers = e.Event.Offers.Offers
			}
		}
		if len(offers) != len(ids) {
			b.Fatalf("%d offers, want %d", len(offers), len(ids))
		}
		for i := range offers {
			ids[i] = offers[i].ID
		}
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(agents), "bytes/agent")
}

// BenchmarkLaunch launches one task on one of 10,000 agents with 50,000 tasks,
// with its updates: accept, running, acknowledged, finished, acknowledged.
func BenchmarkLaunch(b *testing.B) {
	m, framework, offers, now := large(b, 10_000)
	id := &mesos.FrameworkID{Value: framework}
	n := 0
	launch := func(o mesos.Offer, tasks int) []mesos.TaskInfo {
		var infos []mesos.TaskInfo
		for range tasks {
			n++
			infos = append(infos, commandTask(fmt.Sprint("t", n), o.AgentID.Value, 0.1, 32))
		}
		m.Step(now, Call{Stream: "s", Call: &scheduler.Call{Type: scheduler.Call_ACCEPT, FrameworkID: id, Accept: &scheduler.Call_Accept{
			OfferIDs: []mesos.OfferID{o.ID}, Operations: []mesos.Offer_Operation{launchOp(infos...)}, Filters: &mesos.Filters{RefuseSeconds: new(0.0)}}}})
		return infos
	}
	update := func(o mesos.Offer, task mesos.TaskInfo, s mesos.TaskState) {
		uuid := hashUUID(task.TaskID.Value + s.String())
		m.Step(now, AgentSaid{From: o.Hostname, Message: StatusUpdate{Framework: framework, Latest: s,
			Status: mesos.TaskStatus{TaskID: task.TaskID, State: &s, AgentID: &o.AgentID, UUID: uuid}}})
		m.Step(now, Call{Stream: "s", Call: &scheduler.Call{Type: scheduler.Call_ACKNOWLEDGE, FrameworkID: id,
			Acknowledge: &scheduler.Call_Acknowledge{AgentID: o.AgentID, TaskID: task.TaskID, UUID: uuid}}})
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, o := range offers {
		for _, task := range launch(o, 5) {
			update(o, task, mesos.TASK_RUNNING)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	again := func() {
		now = now.Add(time.Second)
		offers = nil
		for _, out := range m.Step(now, Tick{}) {
			if e, ok := out.(Emit); ok && e.Event.Type == scheduler.Event_OFFERS {
				offers = e.Event.Offers.Offers
			}
		}
	}
	again()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i == len(offers) {
			b.StopTimer()
			again()
			i = 0
			b.StartTimer()
		}
		o := offers[i]
		i++
		task := launch(o, 1)[0]
		update(o, task, mesos.TASK_RUNNING)
		update(o, task, mesos.TASK_FINISHED)
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/50_000, "bytes/task")
}
