package frameworks

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// RoutineOf is domain work that goes on as long as the service lives, such as
// the failover of a database: it looks at the servers, decides, and orders what
// is to be done. M is what it remembers from decision to decision, V what a
// look sees; both have to survive JSON.
//
// The engine asks Look every so often, and calls Decide with what it saw.
// Decide is also called when a work that it ordered has ended, and when a
// node's place, phase, readiness or lease has changed; each of these starts a
// new look at once. What Decide returns is saved, memory and orders together,
// before an order is carried out. So Decide may rely on it that what it
// remembers to have ordered happens, also when the scheduler dies in between,
// and that nothing happens that it does not remember.
type RoutineOf[M, V any] struct {
	Name string
	// Every is the pause between two looks when nothing changes; zero: 5
	// seconds.
	Every time.Duration
	// Timeout bounds a look; zero: 15 seconds.
	Timeout time.Duration
	// Look asks the servers. It changes nothing. What it could not find out is
	// part of what it saw; an error is for when it saw nothing.
	Look func(ctx context.Context, d Deployment, memory M) (V, error)
	// Decide is pure: it asks nobody and keeps nothing but what it returns. The
	// first time of all, memory is M's zero value.
	Decide func(now time.Time, d Deployment, memory M, news News[V]) (M, []Order)
	// Work carries out a Do. It is idempotent: after a crash of the scheduler it
	// begins again. Nil for a routine that orders none.
	Work func(ctx context.Context, d Deployment, memory M, do Do) (result string, err error)
}

// News is what a decision of a routine is about: a look, a work, or, when
// neither is set, a change of the nodes.
type News[V any] struct {
	View *V     // what a look saw that has just ended
	Err  string // why a look that has just ended saw nothing
	Done *Done  // a work that has just ended
}

// Done is how a work ended.
type Done struct {
	Do
	Result string
	Err    string // empty: it succeeded
}

// Routine is a RoutineOf, whatever its types.
type Routine struct {
	name           string
	every, timeout time.Duration
	complete       bool // it has what it needs

	look   func(ctx context.Context, d Deployment, memory []byte) ([]byte, error)
	decide func(now time.Time, d Deployment, memory []byte, news News[json.RawMessage]) ([]byte, []Order, error)
	work   func(ctx context.Context, d Deployment, memory []byte, do Do) (string, error)
}

// Routine makes it a part of a Service.
func (r RoutineOf[M, V]) Routine() Routine {
	return Routine{
		name:     r.Name,
		every:    cmp.Or(r.Every, 5*time.Second),
		timeout:  cmp.Or(r.Timeout, 15*time.Second),
		complete: r.Look != nil && r.Decide != nil,
		look: func(ctx context.Context, d Deployment, memory []byte) ([]byte, error) {
			m, err := recall[M](memory)
			if err != nil {
				return nil, err
			}
			view, err := r.Look(ctx, d, m)
			if err != nil {
				return nil, err
			}
			return json.Marshal(view)
		},
		decide: func(now time.Time, d Deployment, memory []byte, news News[json.RawMessage]) ([]byte, []Order, error) {
			m, err := recall[M](memory)
			if err != nil {
				return nil, nil, err
			}
			typed := News[V]{Err: news.Err, Done: news.Done}
			if news.View != nil {
				typed.View = new(V)
				if err := json.Unmarshal(*news.View, typed.View); err != nil {
					return nil, nil, fmt.Errorf("what the look saw: %w", err)
				}
			}
			var orders []Order
			m, err = guarded(func() (M, error) {
				next, wanted := r.Decide(now, d, m, typed)
				orders = wanted
				return next, nil
			})
			if err != nil {
				return nil, nil, err
			}
			memory, err = json.Marshal(m)
			return memory, orders, err
		},
		work: func(ctx context.Context, d Deployment, memory []byte, do Do) (string, error) {
			m, err := recall[M](memory)
			if err != nil {
				return "", err
			}
			if r.Work == nil {
				return "", fmt.Errorf("routine %s has no Work", r.Name)
			}
			return r.Work(ctx, d, m, do)
		},
	}
}

// recall reads a routine's memory.
func recall[M any](memory []byte) (M, error) {
	var m M
	if len(memory) == 0 {
		return m, nil
	}
	if err := json.Unmarshal(memory, &m); err != nil {
		return m, fmt.Errorf("what the routine remembers: %w", err)
	}
	return m, nil
}

// Order is what a routine wants done. It is one of the types in this file, and
// an act, not a state: it is carried out once, and what holds from then on holds
// until another order ends it.
type Order interface{ order() }

// Do starts the routine's Work. While a Do of the same name is under way, by
// order or because a scheduler died over it, another is not begun. One that
// failed is not begun again, with the same node and input, before Every has
// passed, twice as long after each failure in a row, up to a minute.
type Do struct {
	// Name tells works apart: the routine's own word, such as "promote".
	Name string `json:"name"`
	// Node is whom it concerns; empty: nobody in particular.
	Node  string `json:"node,omitempty"`
	Input string `json:"input,omitempty"`
	// Timeout ends the work with an error; zero: 1 minute.
	Timeout time.Duration `json:"timeout,omitempty"`
}

// Withhold ends the granting of a node's lease until Renew, or an operator's
// AllowNode, over restarts as well. Node.Harmless tells when the lease has surely ended.
type Withhold struct{ Node string }

// Renew grants a node's lease again.
type Renew struct{ Node string }

// Fence kills a node's server with SIGKILL, and launches none until Allow, of a
// routine or of an operator (AllowNode). Its end is seen in Node.Alive. A node
// that is fenced keeps its place, and the data there, also while it is lost,
// whatever Recovery.After says; only where its agent was declared gone does it get
// another, in which nothing runs before Allow either.
type Fence struct{ Node string }

// Allow ends a Fence.
type Allow struct{ Node string }

// Rebuild gives a node new, empty volumes: a new place, which may be on the
// same agent. What the old ones held is destroyed.
type Rebuild struct{ Node string }

// Name says what the domain calls a node from now on; empty: nothing.
type Name struct{ Node, Role string }

// Note tells the operator, in a line of the log and of the journal.
type Note struct{ Node, Text string }

func (Do) order()       {}
func (Withhold) order() {}
func (Renew) order()    {}
func (Fence) order()    {}
func (Allow) order()    {}
func (Rebuild) order()  {}
func (Name) order()     {}
func (Note) order()     {}
