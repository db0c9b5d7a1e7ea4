package mesostest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
)

// ring is a policy with all that a stateful framework has: nodes that join one
// after the other, each when the one before it has passed a gate; a volume for
// each, on which it is launched again; another place when its agent stays away;
// and what is left behind is given back.
type ring struct {
	name  string
	nodes int
	// Rules that variants break.
	ungated, reuses bool
	// read are the records that it read last, by node: reading JSON takes longer
	// than all else.
	read map[int]ringRecord
}

// ringRecord is a record and what it says.
type ringRecord struct {
	text string
	node ringNode
}

// ringNode is what a ring remembers of a node.
type ringNode struct {
	Place     int // how often it was given one
	Agent     string
	Resources []mesos.Resource
	Launched  int       // tasks so far
	Joined    bool      // its gate has let it pass once
	Passed    int       // the last task that its gate has let pass
	Idle      time.Time // nothing of it runs since
	Move      bool      // an operator wants it in another place
}

func (r ring) Framework() mesos.FrameworkInfo {
	return mesos.FrameworkInfo{Name: r.name, Roles: []string{r.name}}
}

const (
	ringPatience = 5 * time.Minute
	ringForgets  = 5 * time.Minute // what is known of a task that ended
	ringPlace    = "place"         // the label of reservations
)

// ringDecision is one decision of a ring.
type ringDecision struct {
	ring
	v       scheduler.View
	nodes   []ringNode
	before  []ringRecord
	actions []scheduler.Action
	used    map[string]bool // agents
}

func (r ring) Handle(v scheduler.View, ev scheduler.Event) []scheduler.Action {
	d := r.decision(v)
	switch ev := ev.(type) {
	case scheduler.JobDone:
		d.gated(ev)
	case scheduler.Command:
		if i, ok := ev.Value.(int); ok {
			d.nodes[i%r.nodes].Move = i/r.nodes%2 == 0
			d.do(scheduler.Kill{Task: d.task(i % r.nodes), Reason: "restart"})
		}
		d.do(scheduler.Answer{Command: ev.ID})
	}
	for i := range d.nodes {
		d.tend(i)
	}
	d.place()
	d.remember()
	d.do(scheduler.WakeAt{Time: v.Now().Add(30 * time.Second)})
	return d.actions
}

// decision reads what is remembered.
func (r ring) decision(v scheduler.View) *ringDecision {
	d := &ringDecision{ring: r, v: v, used: map[string]bool{}}
	for i := range r.nodes {
		text, _ := v.Record(fmt.Sprint("node/", i))
		record := r.read[i]
		if record.text != string(text) {
			record = ringRecord{text: string(text)}
			if len(text) > 0 && json.Unmarshal(text, &record.node) != nil {
				panic("the ring cannot read its own record " + record.text)
			}
			if r.read != nil {
				r.read[i] = record
			}
		}
		d.before, d.nodes = append(d.before, record), append(d.nodes, record.node)
	}
	return d
}

// same says whether nothing is to be written. Resources are replaced as a whole.
func (n ringNode) same(o ringNode) bool {
	resources := slices.EqualFunc(n.Resources, o.Resources, func(a, b mesos.Resource) bool { return a.Equal(b) })
	n.Resources, o.Resources = nil, nil
	return resources && reflect.DeepEqual(n, o)
}

func (d *ringDecision) do(a scheduler.Action) { d.actions = append(d.actions, a) }

func (d *ringDecision) task(i int) string {
	if d.reuses {
		return fmt.Sprintf("%s.%d.1", d.name, i)
	}
	return fmt.Sprintf("%s.%d.%d", d.name, i, d.nodes[i].Launched)
}

func (d *ringDecision) gated(ev scheduler.JobDone) {
	for i := range d.nodes {
		if ev.Name == "gate/"+d.task(i) && ev.Err == "" {
			d.nodes[i].Joined, d.nodes[i].Passed = true, d.nodes[i].Launched
		}
	}
}

// tend looks after a node that may run.
func (d *ringDecision) tend(i int) {
	n := &d.nodes[i]
	task, known := d.v.Task(d.task(i))
	switch s := task.Status.GetState(); {
	case !known:
	case scheduler.Terminal(s):
		if d.v.Now().Sub(task.Since) > ringForgets {
			d.do(scheduler.Forget{Task: d.task(i)})
		}
		n.Idle = task.Since
	case s == mesos.TASK_UNREACHABLE:
		if d.v.Now().Sub(task.Since) > ringPatience && n.Agent != "" {
			d.do(scheduler.Kill{Task: d.task(i), Reason: "its agent stays away"})
			d.giveUp(i)
		}
	case s == mesos.TASK_RUNNING && n.Passed != n.Launched && !d.v.Running("gate/"+d.task(i)):
		d.do(scheduler.Start{Job: scheduler.Job{Name: "gate/" + d.task(i), Kind: "gate", Timeout: 20 * time.Second, Delay: time.Second}})
	}
	if !d.live(i) && n.Agent != "" && (n.Move || d.v.Now().Sub(n.Idle) > 2*ringPatience) {
		d.giveUp(i)
	}
}

// live says whether a task of the node may run where it has its place.
func (d *ringDecision) live(i int) bool {
	task, known := d.v.Task(d.task(i))
	return known && !scheduler.Terminal(task.Status.GetState()) && d.nodes[i].Agent != ""
}

func (d *ringDecision) giveUp(i int) {
	n := &d.nodes[i]
	n.Agent, n.Resources, n.Move = "", nil, false
	n.Place++
}

func (d *ringDecision) label(i int) string {
	return fmt.Sprintf("%s.%d.%d", d.name, i, d.nodes[i].Place)
}

// place uses the offers: for what is left behind, then for nodes that have a
// place, then for those that need one.
func (d *ringDecision) place() {
	for _, h := range offers.Owned(d.free, d.left) {
		d.accept(h.Agent, h.Offers, offers.Release(h.Resources))
	}
	wants := ""
	for i := range d.nodes {
		if d.live(i) || !d.allowed(i) {
			continue
		}
		wants += d.label(i) + " "
		if d.nodes[i].Agent != "" {
			d.again(i)
		} else {
			d.first(i)
		}
	}
	d.do(scheduler.Want{Offers: true, Key: wants})
	for o := range d.v.Offers() {
		if d.used[o.AgentID.Value] {
			continue
		}
		d.do(scheduler.Decline{Offers: []mesos.OfferID{o.ID}, Refuse: 2 * time.Minute, Reason: "nothing to do"})
	}
}

// allowed is the gate: a node starts when all before it have joined.
func (d *ringDecision) allowed(i int) bool {
	return d.ungated || !slices.ContainsFunc(d.nodes[:i], func(n ringNode) bool { return !n.Joined })
}

func (d *ringDecision) free(yield func(*mesos.Offer) bool) {
	for o := range d.v.Offers() {
		if !d.used[o.AgentID.Value] && !yield(o) {
			return
		}
	}
}

// left says whether a reservation is of a place that was given up.
func (d *ringDecision) left(labels []mesos.Label) bool {
	for _, l := range labels {
		if l.Key == ringPlace {
			for i := range d.nodes {
				if l.GetValue() == d.label(i) {
					return false
				}
			}
			return true
		}
	}
	return false
}

func (d *ringDecision) accept(agent string, ids []mesos.OfferID, ops []mesos.Offer_Operation) {
	d.used[agent] = true
	d.do(scheduler.Accept{Offers: ids, Operations: ops})
}

func (d *ringDecision) again(i int) {
	n := &d.nodes[i]
	claimed, ok := offers.Claim(d.free, n.Agent, n.Resources)
	if !ok && len(claimed.Operations) == 0 {
		return
	}
	d.accept(n.Agent, claimed.Offers, append(claimed.Operations, d.launch(i)))
}

func (d *ringDecision) first(i int) {
	label := d.label(i)
	matches, _ := offers.Reserve(d.free, []offers.Request{{
		Node: d.task(i), Role: d.name, Labels: []mesos.Label{{Key: ringPlace, Value: &label}},
		Needs: offers.MustParse("cpus:1;mem:256"), Volumes: []offers.Volume{{ID: label, Path: "data", Size: 1_000_000}},
	}})
	for _, m := range matches {
		n := &d.nodes[i]
		n.Agent, n.Resources = m.Agent, m.Resources
		d.accept(m.Agent, m.Offers, append(m.Operations, d.launch(i)))
	}
}

func (d *ringDecision) launch(i int) mesos.Offer_Operation {
	n := &d.nodes[i]
	if _, known := d.v.Task(d.task(i)); known && !d.reuses {
		d.do(scheduler.Forget{Task: d.task(i)})
	}
	n.Launched++
	n.Idle = d.v.Now()
	return offers.Launch(n.Agent, mesos.TaskInfo{
		Name: fmt.Sprint(d.name, "-", i), TaskID: mesos.TaskID{Value: d.task(i)}, Resources: n.Resources,
		Command: &mesos.CommandInfo{Value: new("serve")},
	})
}

func (d *ringDecision) remember() {
	for i := range d.nodes {
		if d.before[i].text != "" && d.nodes[i].same(d.before[i].node) {
			continue
		}
		if text, err := json.Marshal(d.nodes[i]); err == nil {
			d.do(scheduler.Remember{Key: fmt.Sprint("node/", i), Value: text})
		}
	}
}

// ringFramework is a ring in a simulation, with its goal: all nodes run and
// have joined, and nothing is reserved that no node needs.
func ringFramework(r ring) SimFramework {
	r.read = map[int]ringRecord{}
	return SimFramework{
		Name: r.name, Handler: r, Goal: r.goal,
		Node: func(task mesos.TaskInfo) string { return task.Name },
		Task: func(_ mesos.TaskInfo, luck uint64) TaskPlan {
			return TaskPlan{Start: time.Duration(luck%5000) * time.Millisecond, Stop: time.Duration(luck%1500) * time.Millisecond}
		},
		Work: func(w *World, job scheduler.Job) ([]byte, error) {
			if !w.Runs(r.name, strings.TrimPrefix(job.Name, "gate/")) {
				return nil, errors.New("it does not serve")
			}
			return nil, nil
		},
		Operator: func(pick uint16) any { return int(pick) },
		Smaller: func() (SimFramework, bool) {
			less := r
			less.nodes--
			return ringFramework(less), less.nodes > 0
		},
	}
}

func (r ring) goal(v scheduler.View, w *World) error {
	d := r.decision(v)
	for i := range d.nodes {
		if !d.nodes[i].Joined {
			return fmt.Errorf("node %d has not joined", i)
		}
		task, known := v.Task(d.task(i))
		if !known || task.Status.GetState() != mesos.TASK_RUNNING || task.Killing {
			return fmt.Errorf("node %d does not run: %s is %s", i, d.task(i), task.Status.GetState())
		}
	}
	for _, r := range w.Reserved(r.name) {
		if d.left(r.Resource.Reservations[0].Labels.Labels) {
			return fmt.Errorf("agent %s holds %s for nobody", r.Agent.Hostname, r.Resource.Name)
		}
	}
	return nil
}

// started is a part of the world that remembers which nodes ever ran.
type started map[string]bool

func (s started) Started(_ *World, task SimTask) { s[task.Node] = true }
func (s started) Stopped(*World, SimTask)        {}

// gateHolds is a rule of the test's own: no node runs before all nodes before
// it have.
func gateHolds(name string) Rule {
	return Rule{Name: "nodes join one after the other", Check: func(w *World) error {
		for _, t := range w.Running() {
			if i := strings.LastIndexByte(t.Node, '-'); t.Framework == name && t.Node[i+1:] != "0" {
				n, err := strconv.Atoi(t.Node[i+1:])
				if err != nil {
					return err
				}
				if before := fmt.Sprint(name, "-", n-1); !w.Model().(started)[before] {
					return fmt.Errorf("%s runs, and %s never has", t.Node, before)
				}
			}
		}
		return nil
	}}
}

// ringConfig is a ring under faults.
func ringConfig(r ring) SimConfig {
	return SimConfig{
		Frameworks: []SimFramework{ringFramework(r)}, Rules: []Rule{gateHolds(r.name)}, Model: func(*World) SimModel { return started{} },
	}
}
