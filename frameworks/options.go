package frameworks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/mesokit/mesokit/scheduler"
)

// Options of a service at run time. A service that has a Revise is what that
// makes of its options, and other options change it while it runs: nodes are
// added, or leave, and those that are out of date are rolled. New options are
// compared with those in force, and refused as a whole where a change would
// lose data or cannot be carried out. They are taken at any time, also in the
// middle of a rollout that fails.
type (
	// Update changes the options: those that it says, while those that it leaves
	// out stay as they are, and null takes an option's default. An object is
	// taken whole where no Schema knows what is inside of it. It is refused, field
	// by field, where it cannot be.
	Update struct {
		Options json.RawMessage
		// Shrink lets volumes become smaller, those on ROOT and PATH disks, in
		// place, with the next restart of each node. Nobody looks whether what is
		// in them fits. Without it, options with smaller volumes are refused.
		Shrink bool
	}
	// Rollback returns to the last options with which every node was ready. Volumes
	// that were added since stay in the places that have them, with what they hold,
	// until these nodes are replaced.
	Rollback struct{}
)

// optionsRecord is what the store has of a service's options.
type optionsRecord struct {
	// Given are the last that the program was started with and that were taken:
	// when it is started with others, what differs between the two is an update,
	// so that what was updated meanwhile stays. Refused could not be.
	Given   json.RawMessage `json:"given,omitempty"`
	Refused json.RawMessage `json:"refused,omitempty"`
	// Target are in force; Good are the last with which every node was ready.
	Target json.RawMessage `json:"target,omitempty"`
	Good   json.RawMessage `json:"good,omitempty"`
	Since  time.Time       `json:"since,omitzero"`
	// Shrink: volumes that are larger than Target has them become smaller.
	Shrink bool `json:"shrink,omitempty"`
	// Trouble is why those that the program was started with were refused, or
	// why the engine went back by itself.
	Trouble string `json:"trouble,omitempty"`
}

// revision is a service made of options, or why it cannot be. It only saves
// making it again.
type revision struct {
	options json.RawMessage
	service *Service
	err     error
}

// of is the service that its Revise makes of options.
func (s *Service) of(options json.RawMessage) (*Service, error) {
	if s.Revise == nil || len(options) == 0 || bytes.Equal(options, s.Options) {
		return s, s.unmade
	}
	made, err := guarded(func() (*Service, error) { return s.Revise(options) })
	if err != nil {
		return nil, err
	}
	out := *made
	if out.Binary == (Binary{}) {
		out.Binary = s.Binary
	}
	out.Options, out.Revise, out.Change, out.Schema = options, s.Revise, s.Change, s.Schema
	return &out, nil
}

// current is the service as the options in force have it, or why the program
// does not make it.
func (s *Service) current(target json.RawMessage) (*Service, error) {
	if s.Revise == nil || len(target) == 0 {
		return s, s.unmade
	}
	if s.revised == nil || !bytes.Equal(s.revised.options, target) {
		made, err := s.of(target)
		if err == nil {
			err = made.Validate()
		}
		if err != nil {
			err = fmt.Errorf("the options in force: %w", err)
		}
		s.revised = &revision{target, made, err}
	}
	return s.revised.service, s.revised.err
}

// adopt takes the options that the program was started with, where they are
// not those of its last start. The first of all are taken at once, so that no
// update comes before them.
func (d *decision) adopt() {
	o := &d.service.Options
	given := d.base.Options
	switch {
	case d.Revise == nil:
	case len(o.Given) == 0:
		o.Given = given
		if len(o.Target) == 0 {
			o.Target, o.Since = given, d.now
		}
	case bytes.Equal(o.Given, given):
		if len(o.Refused) > 0 {
			o.Refused, o.Trouble = nil, ""
		}
	case !bytes.Equal(o.Refused, given):
		if err := d.update(Update{Options: changes(o.Given, given, d.base.Schema)}); err != nil {
			o.Refused, o.Trouble = given, "the options that the program was started with: "+err.Error()
			d.do(scheduler.Note{Text: "options refused", Attrs: []slog.Attr{slog.String("why", err.Error())}})
			return
		}
		o.Given, o.Refused = given, nil
	}
}

// update changes options that are in force, or says why not and changes nothing.
func (d *decision) update(c Update) error {
	if d.Revise == nil {
		return fmt.Errorf("update: %w: the program does not make the service of options (Service.Revise)", ErrRefused)
	}
	var text bytes.Buffer
	if err := json.Compact(&text, c.Options); err != nil {
		return fmt.Errorf("options: %w: %w", ErrRefused, err)
	}
	then := smallerRefused
	if c.Shrink {
		then = smallerShrinks
	}
	return d.aim(merged(d.service.Options.Target, text.Bytes(), d.base.Schema), then)
}

// smaller is what becomes of volumes that other options have smaller, or not at
// all: these are refused but by a rollback.
type smaller int

const (
	smallerRefused smaller = iota
	smallerShrinks
	smallerStays // as large as it has become
	allStay      // and so does what is declared no more
)

// aim makes a whole document of options the target, or says why not and changes
// nothing.
func (d *decision) aim(options json.RawMessage, then smaller) error {
	next, err := d.base.of(options)
	if err == nil {
		err = next.Validate()
	}
	if err == nil {
		err = d.acceptable(next, then)
	}
	if err != nil {
		return fmt.Errorf("options: %w: %w", ErrRefused, err)
	}
	o := &d.service.Options
	o.Target, o.Since, o.Shrink, o.Trouble = options, d.now, then == smallerShrinks, ""
	d.heldFor, d.service.Held = "", ""
	d.revise(next)
	d.do(scheduler.Note{Text: "options changed"})
	return nil
}

// revise goes on with another declaration.
func (d *decision) revise(next *Service) {
	d.rouseAll()
	old := d.Service
	d.Service, d.shapes = next, nil
	for i := range next.Pods {
		p := &next.Pods[i]
		record := d.pods[p.Name]
		if record == nil {
			record = d.begin(p, d.former[p.Name])
		}
		if record.Declared != p.Count && p.Count != record.Count {
			_ = d.scale(ScalePod{Pod: p.Name, Count: p.Count, Force: true}) // acceptable has asked
		}
		record.Declared = p.Count
		record.Rollout = rolloutRecord{Since: record.Rollout.Since}
	}
	for _, p := range old.Pods {
		if next.pod(p.Name) == nil {
			d.dissolve(p.Name)
		}
	}
	d.sort(next)
	for _, n := range d.nodes {
		if pod := next.pod(n.Pod); n.Place != nil && pod != nil {
			n.Place.retire(pod)
		}
	}
	next.makeSecrets(d.ledger, d.view)
	d.service.Comparison.Done = 0
}

// rollback returns to the last good options.
func (d *decision) rollback() error {
	good := d.service.Options.Good
	switch {
	case len(good) == 0:
		return fmt.Errorf("rollback: %w: there are no options yet with which every node was ready", ErrRefused)
	case bytes.Equal(good, d.service.Options.Target):
		return fmt.Errorf("rollback: %w: the options in force are the last with which every node was ready", ErrRefused)
	}
	return d.aim(good, allStay)
}

// retreat goes back by itself, where a pod wants that, when a rollout has
// failed too often.
func (d *decision) retreat() {
	for i := range d.Pods {
		p := &d.Pods[i]
		r := d.pods[p.Name].Rollout
		o := &d.service.Options
		if !p.Rollout.Rollback || !r.Failed || len(o.Good) == 0 || bytes.Equal(o.Good, o.Target) {
			continue
		}
		if err := d.rollback(); err != nil {
			d.pods[p.Name].Rollout.Failed = false
			o.Trouble = err.Error()
			return
		}
		o.Trouble = "rolled back: " + r.Paused
		d.announce("rolled back", p, slog.String("why", r.Paused))
		return
	}
}

// approve remembers the options in force as good once every node is ready with
// them.
func (d *decision) approve() {
	o := &d.service.Options
	if bytes.Equal(o.Good, o.Target) || d.service.Comparison.Done < len(d.nodes) {
		return
	}
	for i := range d.Pods {
		if len(d.coming[d.Pods[i].Name])+len(d.behind[d.Pods[i].Name]) > 0 {
			return
		}
	}
	for _, n := range d.awake() {
		if n.Goal == GoalRun && !d.complete(n) && (!n.Ready || n.Outdated()) || n.Goal == GoalLeave {
			return
		}
	}
	o.Good = o.Target
}

// acceptable says why the nodes that are there cannot become what another
// declaration wants.
func (d *decision) acceptable(next *Service, then smaller) error {
	var refusals refusals
	if then == smallerShrinks && !d.view.Master().Has(scheduler.VolumeResizing) {
		refusals.add("Update.Shrink", true, "the master, Mesos "+d.view.Master().Version+", cannot resize volumes; 1.6 can")
	}
	if next.Name != d.Name {
		refusals.add("Service.Name", next.Name, "it is part of every label; wants "+d.Name)
	}
	if next.role() != d.role() {
		refusals.add("Service.Role", next.role(), "the reservations are those of "+d.role())
	}
	for _, p := range d.Pods {
		d.acceptablePod(&p, next, then, &refusals)
	}
	if d.Change != nil {
		if err := allowed(func() error { return d.Change(d.deployment(), d.Options, next.Options) }); err != nil {
			refusals = append(refusals, err)
		}
	}
	if len(refusals) == 0 {
		d.renderable(next, &refusals)
	}
	return refusals.join()
}

func (d *decision) acceptablePod(p *Pod, next *Service, volumes smaller, refusals *refusals) {
	count := d.pods[p.Name].Count
	then := next.pod(p.Name)
	if then == nil {
		d.undeclared(p.Name, refusals)
		return
	}
	if then.Count < count && then.Count != d.pods[p.Name].Declared {
		if err := then.removable(d.deployment(), d.dispensable(p.Name, count-then.Count)); err != nil {
			refusals.add("Pod "+p.Name+": Count", then.Count, err.Error())
		}
	}
	if more := then.Count - count; more > 0 && then.Count != d.pods[p.Name].Declared {
		if err := then.addable(d.deployment(), more); err != nil {
			refusals.add("Pod "+p.Name+": Count", then.Count, err.Error())
		}
	}
	if then.Everywhere {
		if leaving := d.strangers(then); len(leaving) > 0 {
			if err := then.removable(d.deployment(), leaving); err != nil {
				refusals.add("Pod "+p.Name+": Place", then.Place.String(), err.Error())
			}
		}
	}
	d.fits(then, volumes, refusals)
}

// renderable tries the new declaration on every node that has a place.
func (d *decision) renderable(next *Service, refusals *refusals) {
	now := d.Service
	defer func() { d.Service = now }()
	d.Service = next
	standing := d.standing()
	for i, n := range standing.Nodes {
		if p := next.pod(n.Pod); p != nil && n.Place != nil {
			standing.Nodes[i].Place = n.Place.supposed(p)
		}
	}
	for i, n := range d.nodes {
		if n.Place == nil || n.Goal == GoalLeave || next.pod(n.Pod) == nil {
			continue
		}
		if _, err := d.config(standing, &standing.Nodes[i], next.pod(n.Pod).shape()); err != nil {
			*refusals = append(*refusals, err)
			return
		}
	}
}

// OptionsStatus is what options a service runs with.
type OptionsStatus struct {
	Target json.RawMessage `json:"target"` // in force
	Since  time.Time       `json:"since"`
	// Good are the last with which every node was ready; Rollback returns to them.
	Good json.RawMessage `json:"good,omitempty"`
	// Trouble is why those that the program was started with were refused, or why
	// the engine went back by itself.
	Trouble string `json:"trouble,omitempty"`
}

func (d *decision) optionsStatus() *OptionsStatus {
	if o := d.service.Options; len(o.Target) > 0 {
		return &OptionsStatus{Target: o.Target, Since: o.Since, Good: o.Good, Trouble: o.Trouble}
	}
	return nil
}
