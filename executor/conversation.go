package executor

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrNoAnswer is the error of a request whose answer has not come in time. The
// executor may have carried it out nevertheless.
var ErrNoAnswer = errors.New("no answer from the executor")

// Conversation is the scheduler's side of what it says to the executor of a
// task: it repeats requests until their answers have come, in whatever pieces and
// order, hands out secrets, and grants the lease. It has no clock, no goroutine
// and no connection: Step takes what has come, and returns what to send.
//
// It is a value of a few fields that a handler may keep as JSON with its state, and
// Step is deterministic; a copy has a life of its own. Whoever loses it, and asks anew under the same IDs, gets
// the same answers as long as the executor remembers them. Secrets are not part of
// it.
type Conversation struct {
	// Task is the identifier of the Mesos task.
	Task string `json:"task"`
	// Asked are the requests that wait for an answer, in the order of Ask, which
	// adds to them. No two have the same ID.
	Asked []Asked `json:"asked,omitempty"`
	// Granting says that Step answers each Renew with a Grant. Once it is false, and
	// the time that Lease.Over tells for Granted has come, the server has surely ended
	// or is harmless.
	Granting bool `json:"granting,omitempty"`
	// Granted is when the lease was granted last. A scheduler that starts again and
	// does not know it takes the time of its start, before which its predecessor
	// was gone.
	Granted time.Time `json:"granted,omitzero"`
}

// Asked is a request that waits for its answer.
type Asked struct {
	Request Request `json:"request"`
	// Again is when it is sent next, Pause what is then waited for the answer.
	Again time.Time     `json:"again"`
	Pause time.Duration `json:"pause"`
	// Until is when it is given up.
	Until time.Time `json:"until"`

	answer Answer // what has come of it
}

// Turn is what comes of one Step.
type Turn struct {
	// Say is to be sent to the executor, in order. It may be lost.
	Say []Message
	// Answers are the ends of requests, in the order in which they were asked.
	Answers []Answered
	// Usage is what the executor has sent of its own accord; nil: nothing.
	Usage *Usage
	// Wake is when to step again at the latest; zero: there is no need.
	Wake time.Time
}

// Answered is the end of a request.
type Answered struct {
	Request Request
	Body    []byte
	// Err is why there is no Body: what the executor says, or ErrNoAnswer.
	Err error
}

const (
	firstPause = time.Second      // before a request is repeated; twice as long each time
	maxPause   = 15 * time.Second // the longest
)

// Ask adds a request, which the next Step sends. It is given up after patience,
// or, where that is zero, after a minute more than twice the time that it may take.
// Nothing happens while one with its ID is being asked. Once its end was among
// Turn.Answers it is forgotten here, so a handler has to know what was answered:
// one that asks again each time it looks is answered again each time. The ID must
// be new, or that of the same request: executors remember by it what they have
// answered.
func (c *Conversation) Ask(now time.Time, r Request, patience time.Duration) {
	if slices.ContainsFunc(c.Asked, func(a Asked) bool { return a.Request.ID == r.ID }) {
		return
	}
	r.Task = c.Task
	if patience == 0 {
		within := r.Within
		if within <= 0 {
			within = defaultWithin
		}
		patience = 2*within + time.Minute
	}
	c.Asked = append(slices.Clip(c.Asked), Asked{Request: r, Again: now, Pause: firstPause, Until: now.Add(patience)})
}

// Step takes messages of the executor, which may be none, and the time. Messages
// of other tasks are left alone. secret returns the value of one of the task's
// secrets, and false for one that it cannot tell, now or ever; the executor then
// asks again. It may be nil for a task without secrets.
func (c *Conversation) Step(now time.Time, secret func(name string) ([]byte, bool), heard ...Message) Turn {
	var turn Turn
	c.Asked = slices.Clone(c.Asked) // a copy of c stays as it is
	for _, m := range heard {
		c.hear(now, m, secret, &turn)
	}
	var waiting []Asked
	for _, a := range c.Asked {
		body, err := a.answer.Body()
		switch {
		case a.answer.Complete():
			turn.Answers = append(turn.Answers, Answered{a.Request, body, err})
			continue
		case !now.Before(a.Until):
			err := fmt.Errorf("request %s, %s: %w", a.Request.ID, a.Request.Name, ErrNoAnswer)
			turn.Answers = append(turn.Answers, Answered{Request: a.Request, Err: err})
			continue
		case !now.Before(a.Again), a.Again.Sub(now) > maxPause: // the latter where the clock was set back
			turn.Say = append(turn.Say, a.Request)
			a.Again = now.Add(a.Pause)
			a.Pause = min(2*a.Pause, maxPause)
		}
		waiting = append(waiting, a)
		for _, t := range []time.Time{a.Again, a.Until} {
			if turn.Wake.IsZero() || t.Before(turn.Wake) {
				turn.Wake = t
			}
		}
	}
	c.Asked = waiting
	return turn
}

func (c *Conversation) hear(now time.Time, m Message, secret func(string) ([]byte, bool), turn *Turn) {
	switch m := m.(type) {
	case Hello:
		if m.Task != c.Task || secret == nil {
			return
		}
		for _, name := range m.Secrets {
			if value, ok := secret(name); ok {
				turn.Say = append(turn.Say, Secret{Task: c.Task, Name: name, Value: value})
			}
		}
	case Renew:
		if m.Task == c.Task && c.Granting {
			c.Granted = now
			turn.Say = append(turn.Say, Grant(m))
		}
	case Response:
		for i := range c.Asked {
			if m.Task == c.Task && m.ID == c.Asked[i].Request.ID {
				c.Asked[i].answer.Add(m)
			}
		}
	case Usage:
		if m.Task == c.Task {
			turn.Usage = &m
		}
	}
}
