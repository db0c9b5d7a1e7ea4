package frameworks

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/mesokit/mesokit/scheduler"
)

// Uninstall ends the service: its nodes stop, those that came after others
// first; their places are given back with all that is on them; and the
// framework is torn down. What could not be given back, because its agent does
// not come back, is listed. There is no way back.
type Uninstall struct{}

// uninstallPatience is how long an uninstall waits for agents that offer
// nothing, once all nodes have ended.
const uninstallPatience = 10 * time.Minute

// Uninstalling is how far an uninstall has come.
type Uninstalling struct {
	Since time.Time `json:"since,omitzero"` // zero: nobody asked for it
	// Empty is since when there is no node any more.
	Empty time.Time `json:"empty,omitzero"`
	// Ended is when all was given back that could be.
	Ended time.Time `json:"ended,omitzero"`
	// Left are the places that could not be given back.
	Left []LeftBehind `json:"left,omitempty"`
}

// Until is when an uninstall ends although agents are away; zero: its nodes have
// not all ended yet.
func (u Uninstalling) Until() time.Time {
	if u.Empty.IsZero() {
		return time.Time{}
	}
	return u.Empty.Add(uninstallPatience)
}

// LeftBehind is a place whose agent was not offered any more: its reservations
// and volumes carry ID as a label. Hostname is empty where an earlier Mesokit gave
// the place up.
type LeftBehind struct {
	ID       string `json:"id"`
	Agent    string `json:"agent"`
	Hostname string `json:"hostname,omitempty"`
}

// Where names the agent for people.
func (l LeftBehind) Where() string {
	if l.Hostname == "" {
		return l.Agent
	}
	return l.Hostname + " (" + l.Agent + ")"
}

func (d *decision) uninstall() error {
	u := &d.service.Uninstall
	if u.Since.IsZero() {
		u.Since = d.now
		d.do(scheduler.Note{Text: "uninstall begins"})
	}
	for _, n := range d.nodes {
		n.Goal, n.Replace, n.Restart, n.Fenced = GoalLeave, false, false, false
	}
	for _, record := range d.pods {
		record.Count = 0
	}
	return nil
}

func (d *decision) uninstalling() bool { return !d.service.Uninstall.Since.IsZero() }

// whileUninstalling refuses commands that an uninstall has made pointless.
func (d *decision) whileUninstalling(c any) error {
	switch c.(type) {
	case AskStatus, AskOptions, Uninstall, PausePlan, ResumePlan, ForceStep:
		return nil
	}
	if d.uninstalling() {
		return fmt.Errorf("%T: %w: the service is being uninstalled", c, ErrRefused)
	}
	return nil
}

// outlived says whether a node may stop for an uninstall: none that came after
// it is left.
func (d *decision) outlived(n *Node) bool {
	return !slices.ContainsFunc(d.nodes, func(m *Node) bool {
		return slices.Contains(d.pod(m.Pod).After, n.Pod)
	})
}

// frees says whether something may still be given back: what was sent may come
// back, and agents that are away may as well.
func (d *decision) frees(u *Uninstalling) bool {
	u.Left = nil
	patience, waits := u.Until(), false
	for _, gone := range d.discards {
		switch {
		case gone.Sent.IsZero():
			u.Left = append(u.Left, LeftBehind{gone.ID, gone.Agent, gone.Hostname})
			d.wakeAt(patience)
			waits = waits || d.now.Before(patience)
		case d.within(2*settleTime, gone.Sent):
			d.wakeAt(gone.Sent.Add(2 * settleTime))
			waits = true
		}
	}
	return waits
}

// finish ends an uninstall once all has been given back, or nothing more can
// be.
func (d *decision) finish() {
	u := &d.service.Uninstall
	if !d.uninstalling() || len(d.nodes) > 0 {
		return
	}
	if u.Empty.IsZero() {
		u.Empty = d.now
	}
	if u.Ended.IsZero() {
		if d.frees(u) {
			return
		}
		u.Ended = d.now
		for _, left := range u.Left {
			d.do(scheduler.Note{Text: "could not be given back", Attrs: []slog.Attr{slog.String("place", left.ID), slog.String("agent", left.Where())}})
		}
		d.do(scheduler.Note{Text: "uninstalled"})
	}
	d.do(scheduler.Teardown{})
}
