package mesostest

import (
	"fmt"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// simRival is another framework, which takes from agents and gives back.
type simRival struct {
	w       *World
	id      *mesos.FrameworkID
	stream  *simStream
	streams int
	tasks   int
	wants   []rivalWish
	runs    map[string]time.Duration // by task id
}

// rivalWish is what a rival takes of the next agent that is offered.
type rivalWish struct {
	pieces int           // tasks
	share  float64       // of the agent, for all of them
	first  time.Duration // the first one ends after this time, the next after twice that
}

func (r *simRival) subscribe() {
	r.streams++
	info := &mesos.FrameworkInfo{
		User: "root", Name: "rival", Roles: []string{"rival"}, ID: r.id, FailoverTimeout: new(1e6), Checkpoint: new(true),
		Capabilities: []mesos.FrameworkInfo_Capability{
			{Type: mesos.FrameworkInfo_Capability_MULTI_ROLE}, {Type: mesos.FrameworkInfo_Capability_PARTITION_AWARE},
			{Type: mesos.FrameworkInfo_Capability_RESERVATION_REFINEMENT},
		},
	}
	r.stream = r.w.open(fmt.Sprintf("rival/%d", r.streams), r, &sched.Call{
		Type: sched.Call_SUBSCRIBE, FrameworkID: r.id, Subscribe: &sched.Call_Subscribe{FrameworkInfo: info},
	})
}

func (r *simRival) want(k FaultKind, pick int) bool {
	if r.id == nil || r.stream == nil || len(r.wants) > 3 {
		return false
	}
	wish := rivalWish{1, 0.5 + float64(pick%50)/100, time.Duration(pick%90) * time.Second}
	if k == RivalFragments {
		wish = rivalWish{2 + pick%6, 0.9, time.Duration(1+pick%20) * time.Second}
	}
	r.wants = append(r.wants, wish)
	r.call(&sched.Call{Type: sched.Call_REVIVE})
	return true
}

func (r *simRival) call(call *sched.Call) {
	call.FrameworkID = r.id
	r.stream.send(call)
}

func (r *simRival) event(_ *simStream, ev *sched.Event) {
	switch ev.Type {
	case sched.Event_SUBSCRIBED:
		r.id = ev.Subscribed.FrameworkID
	case sched.Event_OFFERS:
		for i := range ev.Offers.Offers {
			r.offered(&ev.Offers.Offers[i])
		}
	case sched.Event_UPDATE:
		if s := &ev.Update.Status; len(s.UUID) > 0 && s.AgentID != nil {
			r.call(&sched.Call{Type: sched.Call_ACKNOWLEDGE, Acknowledge: &sched.Call_Acknowledge{
				AgentID: *s.AgentID, TaskID: s.TaskID, UUID: s.UUID,
			}})
		}
	}
}

func (r *simRival) ended(s *simStream, _ string) {
	if r.stream == s {
		r.stream = nil
		r.w.after(time.Second, r.subscribe)
	}
}

// offered takes what it wants, or refuses.
func (r *simRival) offered(o *mesos.Offer) {
	if len(r.wants) == 0 || r.w.quiet {
		r.call(&sched.Call{Type: sched.Call_DECLINE, Decline: &sched.Call_Decline{
			OfferIDs: []mesos.OfferID{o.ID}, Filters: &mesos.Filters{RefuseSeconds: new(86400.0)},
		}})
		return
	}
	wish := r.wants[0]
	r.wants = r.wants[1:]
	var tasks []mesos.TaskInfo
	for i := range wish.pieces {
		task := r.task(o, wish.share/float64(wish.pieces))
		if len(task.Resources) == 2 {
			r.runs[task.TaskID.Value] = wish.first * time.Duration(i+1)
			tasks = append(tasks, task)
		}
	}
	accept := &sched.Call_Accept{OfferIDs: []mesos.OfferID{o.ID}, Filters: &mesos.Filters{RefuseSeconds: new(86400.0)}}
	if len(tasks) > 0 {
		accept.Operations = []mesos.Offer_Operation{{
			Type: mesos.Offer_Operation_LAUNCH, Launch: &mesos.Offer_Operation_Launch{TaskInfos: tasks},
		}}
	}
	r.call(&sched.Call{Type: sched.Call_ACCEPT, Accept: accept})
}

// task takes a share of an offer's unreserved cpus and memory.
func (r *simRival) task(o *mesos.Offer, share float64) mesos.TaskInfo {
	r.tasks++
	if r.runs == nil {
		r.runs = map[string]time.Duration{}
	}
	id := fmt.Sprintf("rival.%d", r.tasks)
	task := mesos.TaskInfo{
		Name: "rival", TaskID: mesos.TaskID{Value: id}, AgentID: o.AgentID, Command: &mesos.CommandInfo{Value: new("sleep")},
	}
	for _, res := range o.Resources {
		if (res.Name != "cpus" && res.Name != "mem") || len(res.Reservations) > 0 || res.Scalar == nil {
			continue
		}
		amount := float64(int(res.Scalar.Value*share*10)) / 10
		if amount > 0 {
			res.Scalar = &mesos.Value_Scalar{Value: amount}
			task.Resources = append(task.Resources, res)
		}
	}
	return task
}

func (r *simRival) plan(task string) TaskPlan { return TaskPlan{Run: max(r.runs[task], time.Second)} }
