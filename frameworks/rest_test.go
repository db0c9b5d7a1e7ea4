package frameworks

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/mesokit/mesokit/scheduler"
)

// decide asks the handler, and now and then first one that has kept nothing
// since earlier decisions: it must decide the same.
func (w *world) decide(v scheduler.View, ev scheduler.Event) []scheduler.Action {
	w.decisions++
	if len(w.service.memory().nodes) > 20 || w.decisions%3 != 0 || revises(ev) {
		return w.handler.Handle(v, ev)
	}
	kept := w.service.memo
	w.service.memo = nil
	want := w.handler.Handle(v, ev)
	w.service.memo = kept
	got := w.handler.Handle(v, ev)
	if !reflect.DeepEqual(want, got) {
		w.t.Fatalf("%T %v is decided otherwise after earlier decisions.\nAnew:\n%s\nAs it was kept:\n%s",
			ev, ev, without(show(want), show(got)), without(show(got), show(want)))
	}
	return got
}

// revises says whether the decision makes a declaration, which goes with its jobs:
// its functions cannot be compared.
func revises(ev scheduler.Event) bool {
	c, _ := ev.(scheduler.Command)
	_, update := c.Value.(Update)
	_, rollback := c.Value.(Rollback)
	return update || rollback
}

// show tells actions as text, one line each.
func show(actions []scheduler.Action) []string {
	var out []string
	for _, a := range actions {
		text := fmt.Sprintf("%T %v", a, a)
		if r, ok := a.(scheduler.Remember); ok {
			text = fmt.Sprintf("remember %s %s", r.Key, r.Value)
		}
		out = append(out, text[:min(len(text), 2000)])
	}
	return out
}

// without are the lines that others do not have.
func without(lines, others []string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return slices.Contains(others, l) }), "\n")
}
