package mesostest

import (
	"slices"
	"strings"
	"time"
)

// event expects an event on a stream, after others that may have to be caused
// by the next call.
func (r *replay) event(i int, line object) {
	p := r.probes[line["who"].(string)]
	want := line["event"].(object)
	if text(want, "type") == "OFFERS" {
		r.expectOffers(i, p, dig(want, "offers", "offers").([]any))
		return
	}
	if r.names(i, want) {
		r.sendAhead(i, "ACCEPT", "KILL", "RECONCILE", "RECONCILE_OPERATIONS")
	}
	var last error
	try := func(limit time.Duration) bool {
		_, ok := p.next(limit, func(e any) bool {
			if text(e, "type") != text(want, "type") {
				return false
			}
			b := r.b.clone()
			got := e.(object)
			w := allowedEvent(r.name, want, got)
			if err := b.match(w, got, "event"); err != nil {
				last = err
				return false
			}
			r.b = b
			return true
		})
		return ok
	}
	ahead := []string{"SUBSCRIBE", "ACCEPT", "RECONCILE", "RECONCILE_OPERATIONS", "UPDATE_FRAMEWORK", "UPDATE_MAINTENANCE_SCHEDULE"}
	if uuid := text(want, "update", "status", "uuid"); r.b.value[uuid] == "" {
		ahead = append(ahead, "ACKNOWLEDGE") // not for an update that comes again
	}
	if try(1500*time.Millisecond) || r.sendAhead(i, ahead...) && try(10*time.Second) || try(patience) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r.fail(i, "no event %s: %v; came: %s", show(want), last, show(p.events))
}

// names reports whether the event is about something that only the next call
// makes known.
func (r *replay) names(i int, want object) bool {
	for _, id := range []string{text(want, "update", "status", "task_id", "value"), text(want, "update_operation_status", "status", "operation_id", "value")} {
		if id != "" && !strings.Contains(r.seen, `"`+id+`"`) {
			return true
		}
	}
	return false
}

// expectOffers expects offers in any grouping and order.
func (r *replay) expectOffers(i int, p *probe, want []any) {
	deadline := time.Now().Add(patience)
	ahead := false
	for _, w := range want {
		for {
			var last error
			if r.takeOffer(p, w, &last) {
				break
			}
			e, ok := p.next(1500*time.Millisecond, func(e any) bool { return text(e, "type") == "OFFERS" })
			switch {
			case ok:
				r.offers[p] = append(r.offers[p], dig(e, "offers", "offers").([]any)...)
			case r.inPieces(p, w):
			case !ahead && r.sendAhead(i, "REVIVE", "UPDATE_FRAMEWORK", "UPDATE_MAINTENANCE_SCHEDULE"):
				ahead = true
			case time.Now().After(deadline):
				r.fail(i, "no offer %s: %v", show(w), last)
			}
		}
	}
}

// inPieces gives back what is offered of an agent in several offers: a task
// that ends while offers are made leaves two, where the recorded master made
// one a moment later.
func (r *replay) inPieces(p *probe, want any) bool {
	var ids []any
	for _, o := range r.offers[p] {
		if text(o, "hostname") == text(want, "hostname") {
			ids = append(ids, dig(o, "id"))
		}
	}
	if len(ids) < 2 {
		return false
	}
	r.offers[p] = slices.DeleteFunc(r.offers[p], func(o any) bool { return text(o, "hostname") == text(want, "hostname") })
	p.id = text(want, "framework_id", "value")
	if id, ok := r.b.value[p.id]; ok {
		p.id = id
	}
	p.call(object{"type": "DECLINE", "decline": object{"offer_ids": ids, "filters": object{"refuse_seconds": 0}}})
	return true
}

func (r *replay) takeOffer(p *probe, want any, last *error) bool {
	for j, got := range r.offers[p] {
		b := r.b.clone()
		if err := b.match(want, got, "offer"); err != nil {
			if text(want, "hostname") == text(got, "hostname") {
				*last = err
			}
			continue
		}
		r.b = b
		r.offers[p] = append(r.offers[p][:j:j], r.offers[p][j+1:]...)
		return true
	}
	return false
}
