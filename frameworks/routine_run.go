package frameworks

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/mesokit/mesokit/scheduler"
)

// The jobs of a routine. A pause is nothing but its delay; it is a job of its
// own so that a look can begin before it has passed.
const (
	lookKind  = "look"
	pauseKind = "pause"
	doKind    = "do"
)

// maxWorkPause is the longest pause before a work that failed begins again.
const maxWorkPause = time.Minute

// fenceGrace is as short as Mesos can say: the executor kills at once.
const fenceGrace = time.Nanosecond

// routineRecord is a routine as the store has it.
type routineRecord struct {
	Memory json.RawMessage `json:"memory,omitempty"`
	// State is what the nodes were like when it last decided, as a hash.
	State string `json:"state,omitempty"`
	// Works counts those that have ended.
	Works int  `json:"works,omitempty"`
	Doing []Do `json:"doing,omitempty"` // under way, each of another name
	// Failed are the works that failed last, and are not begun again at once.
	Failed []failedDo `json:"failed,omitempty"`
	// Trouble is why the last look saw nothing, or why it cannot decide.
	Trouble string `json:"trouble,omitempty"`
}

// failedDo is how often a work has failed in a row, and when it may begin again.
type failedDo struct {
	Do    Do        `json:"do"`
	Times int       `json:"times"`
	Again time.Time `json:"again"`
}

// RoutineStatus is a routine as an operator sees it.
type RoutineStatus struct {
	Name   string          `json:"name"`
	Memory json.RawMessage `json:"memory,omitempty"` // in the routine's own words
	Doing  []Do            `json:"doing,omitempty"`
	// Trouble is why the last look saw nothing, or why it cannot decide.
	Trouble string `json:"trouble,omitempty"`
}

// routineInput is what a job of a routine needs to know.
type routineInput struct {
	*luggage
	routine *Routine
	memory  json.RawMessage
	since   string // of a look: the moment that it sees
	do      Do     // of a work
}

// sight is the result of a look.
type sight struct {
	Since string          `json:"since"`
	View  json.RawMessage `json:"view"`
}

func (s *Service) routineNamed(name string) *Routine {
	i := slices.IndexFunc(s.Routines, func(r Routine) bool { return r.name == name })
	if i < 0 {
		return nil
	}
	return &s.Routines[i]
}

func (s *Service) validateRoutines() []error {
	var errs []error
	for i, r := range s.Routines {
		bad := func(field string, value any, want string) {
			errs = append(errs, fmt.Errorf("Service.Routines[%d].%s: %#v: %s", i, field, value, want))
		}
		if !name.MatchString(r.name) || s.routineNamed(r.name) != &s.Routines[i] {
			bad("Name", r.name, "wants lower case letters, digits and hyphens, and a name that no other routine has")
		}
		if !r.complete {
			bad("Look", r.name, "wants a Look and a Decide")
		}
		if r.every < 0 || r.timeout < 0 {
			bad("Every", r.every.String(), "wants durations of 0 or more")
		}
	}
	return errs
}

// work carries out a job of a routine.
func (in routineInput) work(ctx context.Context, kind string) ([]byte, error) {
	if kind == doKind {
		result, err := in.routine.work(ctx, in.unpack(), in.memory, in.do)
		return []byte(result), err
	}
	view, err := in.routine.look(ctx, in.unpack(), in.memory)
	if err != nil {
		return nil, err
	}
	return json.Marshal(sight{Since: in.since, View: view})
}

// routines lets each routine decide that has news, and keeps its jobs going.
func (d *decision) routines(ev scheduler.Event) {
	if len(d.Routines) == 0 || d.uninstalling() {
		return
	}
	done, _ := ev.(scheduler.JobDone)
	for i := range d.Routines {
		r := &d.Routines[i]
		record := d.routine[r.name]
		if record == nil {
			record = &routineRecord{}
			d.routine[r.name] = record
		}
		(&routineStep{decision: d, Routine: r, routineRecord: record}).run(done)
	}
}

// routineStep is a routine in a decision.
type routineStep struct {
	*decision
	*Routine
	*routineRecord
}

func (r *routineStep) job(kind, suffix string) string {
	return kind + "/" + r.decision.Name + "." + r.name + suffix
}

func (r *routineStep) run(done scheduler.JobDone) {
	news := News[json.RawMessage]{}
	looked, stale := done.Name == r.job(lookKind, ""), false
	if looked {
		var since string
		news, since = readSight(done)
		stale = news.Err == "" && since != r.moment()
		r.trouble(news.Err)
	}
	if work, ok := strings.CutPrefix(done.Name, r.job(doKind, "/")); ok {
		news.Done = r.worked(work, done)
	}
	changed := r.State != r.state()
	if looked || changed || news.Done != nil {
		r.consult(news)
	}
	r.keepLooking(looked, stale || changed || news.Done != nil)
	r.keepWorking()
}

// readSight reads what a look saw, and of which moment.
func readSight(done scheduler.JobDone) (news News[json.RawMessage], since string) {
	var saw sight
	news.Err = done.Err
	if news.Err == "" {
		if err := json.Unmarshal(done.Result, &saw); err != nil {
			news.Err = err.Error()
		} else {
			news.View = &saw.View
		}
	}
	return news, saw.Since
}

// worked takes in the end of a work; nil: it is none that is under way.
func (r *routineStep) worked(work string, job scheduler.JobDone) *Done {
	i := slices.IndexFunc(r.Doing, func(do Do) bool { return do.Name == work })
	if i < 0 {
		return nil
	}
	done := &Done{Do: r.Doing[i], Result: string(job.Result), Err: job.Err}
	r.Doing = slices.Delete(r.Doing, i, i+1)
	r.Works++
	r.pace(*done)
	attrs := []slog.Attr{slog.String("routine", r.name), slog.String("work", done.Name)}
	if done.Node != "" {
		attrs = append(attrs, slog.String("node", done.Node))
	}
	text := "work done"
	if done.Err != "" {
		text = "work failed"
		attrs = append(attrs, slog.String("error", done.Err))
	}
	r.do(scheduler.Note{Text: text, Attrs: attrs})
	return done
}

// pace notes when a work that failed may begin again: after the pause between
// two looks, and twice as long each time, up to a minute. Only the very same is
// held up.
func (r *routineStep) pace(done Done) {
	times := 0
	r.Failed = slices.DeleteFunc(r.Failed, func(f failedDo) bool {
		if f.Do == done.Do {
			times = f.Times
		}
		return f.Do == done.Do || !f.Again.Add(maxWorkPause).After(r.now)
	})
	if done.Err != "" {
		pause := Backoff{First: r.every, Max: max(r.every, maxWorkPause)}
		r.Failed = append(r.Failed, failedDo{Do: done.Do, Times: times + 1, Again: r.now.Add(pause.after(times + 1))})
	}
}

// moment tells looks of before and after a change apart.
func (r *routineStep) moment() string { return fmt.Sprintf("%s/%d", r.State, r.Works) }

// state is a hash of what a routine is called for when it changes.
func (r *routineStep) state() string {
	sum := r.roster.state
	for _, n := range r.awake() {
		if n.Place != nil {
			r.soon(n)
		}
		sum += r.stateOf(n)
	}
	return fmt.Sprintf("%016x", sum)
}

// stateOf is the share of one node in that hash.
func (d *decision) stateOf(n *Node) uint64 {
	place := ""
	if n.Place != nil {
		place = n.Place.Address
	}
	return sumOf(fmt.Append(nil, n.Name, " ", n.Generation, " ", n.Incarnation, " ", place, " ", d.phase(n), " ", n.Ready, n.Withheld.IsZero(), n.Harmless(d.now), " ", d.wish(n)))
}

// soon wakes the routine when a lease ends that was withheld.
func (r *routineStep) soon(n *Node) {
	if n.Alive && n.Lease != nil && !n.Withheld.IsZero() {
		r.wakeAt(n.leaseOver())
	}
}

// consult lets the routine decide, and takes its orders.
func (r *routineStep) consult(news News[json.RawMessage]) {
	memory, orders, err := r.decide(r.now, r.observed(), r.Memory, news)
	if err != nil {
		r.State = r.state()
		r.trouble(err.Error())
		return
	}
	r.Memory = memory
	for _, o := range orders {
		if err := r.obey(o); err != nil {
			r.do(scheduler.Note{Text: "order refused", Attrs: []slog.Attr{
				slog.String("routine", r.name), slog.String("error", err.Error()),
			}})
		}
	}
	for _, n := range r.awake() {
		r.lease(n) // what is withheld is so from the moment of its order
	}
	r.State = r.state()
}

func (r *routineStep) trouble(text string) {
	if text == r.Trouble {
		return
	}
	r.Trouble = text
	if text != "" {
		r.do(scheduler.Note{Text: "routine in trouble", Attrs: []slog.Attr{slog.String("routine", r.name), slog.String("error", text)}})
	}
}

// obey takes one order. What has to happen outside follows from the state that
// it leaves.
func (r *routineStep) obey(o Order) error {
	switch o := o.(type) {
	case Do:
		if o.Name == "" || strings.ContainsAny(o.Name, "/ ") {
			return fmt.Errorf("do %q: wants a name without slashes and spaces", o.Name)
		}
		if !slices.ContainsFunc(r.Doing, func(other Do) bool { return other.Name == o.Name }) {
			r.Doing = append(r.Doing, o)
		}
		return nil
	case Withhold:
		return r.change(o.Node, func(n *Node) { n.Withhold = true })
	case Renew:
		return r.change(o.Node, func(n *Node) { n.Withhold = false })
	case Fence:
		return r.change(o.Node, func(n *Node) {
			if !n.Fenced {
				n.Fenced, n.FencedBy = true, r.name
				r.note(n, "fenced", slog.String("routine", r.name))
			}
		})
	case Allow:
		return r.change(o.Node, (*Node).allow)
	case Rebuild:
		return r.change(o.Node, func(n *Node) {
			n.Replace, n.Forced = true, true // the domain has weighed it
			r.note(n, "is rebuilt", slog.String("routine", r.name))
		})
	case Name:
		return r.change(o.Node, func(n *Node) {
			if n.Role != o.Role {
				n.Role = o.Role
				r.note(n, "named", slog.String("role", o.Role))
			}
		})
	case Note:
		attrs := []slog.Attr{slog.String("routine", r.name)}
		if o.Node != "" {
			attrs = append(attrs, slog.String("node", o.Node))
		}
		r.do(scheduler.Note{Text: o.Text, Attrs: attrs})
		return nil
	}
	return fmt.Errorf("order %T: wants one of package frameworks", o)
}

// change changes one node as an order says.
func (r *routineStep) change(name string, change func(*Node)) error {
	n := r.node(name)
	if n == nil {
		return fmt.Errorf("node %q: %w", name, ErrUnknown)
	}
	change(r.rouse(n))
	return nil
}

// keepLooking starts a look: at once when something has changed since the last
// one began, and otherwise after a pause.
func (r *routineStep) keepLooking(looked, again bool) {
	look, pause := r.job(lookKind, ""), r.job(pauseKind, "")
	switch {
	case r.view.Running(look):
	case looked && !again:
		if !r.view.Running(pause) {
			r.do(scheduler.Start{Job: scheduler.Job{Name: pause, Kind: pauseKind, Delay: r.every}})
		}
	case again || !r.view.Running(pause):
		r.start(look, lookKind, r.timeout, routineInput{since: r.moment()})
	}
}

// keepWorking starts the works that are under way and not running: those just
// ordered, and those over which a scheduler died.
func (r *routineStep) keepWorking() {
	for _, do := range r.Doing {
		i := slices.IndexFunc(r.Failed, func(f failedDo) bool { return f.Do == do && f.Again.After(r.now) })
		if i >= 0 {
			r.wakeAt(r.Failed[i].Again)
			continue
		}
		if name := r.job(doKind, "/"+do.Name); !r.view.Running(name) {
			r.start(name, doKind, do.Timeout, routineInput{do: do})
		}
	}
}

func (r *routineStep) start(name, kind string, timeout time.Duration, in routineInput) {
	in.luggage, in.routine, in.memory = r.luggage(), r.Routine, r.Memory
	r.do(scheduler.Start{Job: scheduler.Job{Name: name, Kind: kind, Value: in, Timeout: timeout}})
}

func (d *decision) routineStatus() []RoutineStatus {
	var out []RoutineStatus
	for _, r := range d.Routines {
		if record := d.routine[r.name]; record != nil {
			out = append(out, RoutineStatus{Name: r.name, Memory: record.Memory, Doing: record.Doing, Trouble: record.Trouble})
		}
	}
	return out
}
