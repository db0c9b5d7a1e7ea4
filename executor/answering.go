package executor

import (
	"slices"

	"github.com/mesos/mesos-go/api/v1/lib/executor"
)

const (
	maxPending  = 16       // requests that are carried out at one time
	maxAnswered = 64       // answers that are remembered
	maxRepeat   = 64 << 10 // bytes of an answer that is worth remembering
)

// answering is what core knows of the requests of the scheduler. Like core,
// it does nothing itself.
type answering struct {
	pending  []string   // keys of requests, in the order of their coming; at most maxPending
	answered []answered // the latest last; at most maxAnswered, none of a pending ID
}

// answered tells that a request was carried out, or why not.
type answered struct {
	request Request
	body    []byte
	err     error
}

type (
	// heard is a message from the scheduler.
	heard struct{ Message }
	// said is a message to the scheduler.
	said struct{ Message }
)

func (heard) event()    {}
func (said) event()     {}
func (answered) event() {}

// key tells requests apart: their authors number those of one task.
func (r Request) key() string { return r.Task + "\x00" + r.ID }

// hear takes a message of the scheduler.
func (c *core) hear(m Message, eff *effects) {
	switch m := m.(type) {
	case Secret:
		c.deliver(m.Task, m, eff)
	case Grant:
		c.deliver(m.Task, m, eff)
	case Request:
		c.request(m, eff)
	}
}

// deliver hands a message to a task that has not ended.
func (c *core) deliver(id string, m Message, eff *effects) {
	if t := c.task(id); t != nil && !t.ended {
		eff.deliver = append(eff.deliver, delivery{id, m})
	}
}

func (c *core) request(r Request, eff *effects) {
	if slices.Contains(c.answering.pending, r.key()) {
		return // its answer will come
	}
	for _, a := range c.answering.answered {
		if a.request.key() == r.key() {
			c.reply(a, eff)
			return
		}
	}
	if t := c.task(r.Task); t == nil || t.ended {
		c.say(Response{ID: r.ID, Task: r.Task, Parts: 1, Error: "there is no such task on this executor"}, eff)
		return
	}
	if len(c.answering.pending) >= maxPending {
		return // it will come again
	}
	c.answering.pending = append(c.answering.pending, r.key())
	eff.requests = append(eff.requests, r)
}

// answer takes the result of a request. One that is too large to be remembered
// is found out again when the request comes again.
func (c *core) answer(a answered, eff *effects) {
	conv := &c.answering
	conv.pending = slices.DeleteFunc(conv.pending, func(id string) bool { return id == a.request.key() })
	if len(a.body) <= maxRepeat {
		conv.answered = append(conv.answered, a)
		conv.answered = conv.answered[max(0, len(conv.answered)-maxAnswered):]
	}
	c.reply(a, eff)
}

func (c *core) reply(a answered, eff *effects) {
	for _, r := range respond(a.request, a.body, a.err) {
		c.say(r, eff)
	}
}

// say sends a message if there is a subscription. If there is none, the other
// side will ask again, or the message be repeated.
func (c *core) say(m Message, eff *effects) {
	if c.link != up {
		return
	}
	data, err := EncodeMessage(m)
	if err != nil {
		return // only a Request can fail, and an executor makes none
	}
	eff.send = append(eff.send, c.call(&executor.Call{
		Type:    executor.Call_MESSAGE,
		Message: &executor.Call_Message{Data: data},
	}))
}
