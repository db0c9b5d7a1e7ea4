package executor

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
)

// subscription is one subscription with the calls that are made on it.
type subscription struct {
	agent  *agent
	log    *slog.Logger
	outbox *outbox
}

// run subscribes, tells events and makes the calls of the outbox until the
// subscription has ended; the error says why it has.
func (l *subscription) run(ctx context.Context, call *executor.Call, tell func(event)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var senders sync.WaitGroup
	for _, q := range []*queue{&l.outbox.updates, &l.outbox.messages} {
		senders.Go(func() {
			if err := l.sendAll(ctx, q); err != nil {
				cancel(err)
			}
		})
	}
	err := l.agent.subscribe(ctx, call, func(ev *executor.Event) {
		if ev := l.translate(ev); ev != nil {
			tell(ev)
		}
	})
	cancel(err)
	senders.Wait()
	return context.Cause(ctx) // the first of the errors
}

// sendAll makes the calls of a queue, one after the other, until an update cannot
// be delivered. Then the subscription has to be renewed, since a new one repeats
// all updates in their order.
func (l *subscription) sendAll(ctx context.Context, q *queue) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-q.ready:
		}
		for _, call := range q.take() {
			err := l.agent.send(ctx, call)
			switch {
			case err == nil:
			case call.Type == executor.Call_UPDATE:
				return fmt.Errorf("deliver update: %w", err)
			case ctx.Err() != nil:
				return nil
			default: // messages come without a guarantee
				l.log.Warn("call failed", "error", err)
			}
		}
	}
}

// translate makes an event of the core from one of the agent; nil when it needs
// no answer.
func (l *subscription) translate(ev *executor.Event) event {
	switch ev.Type {
	case executor.Event_SUBSCRIBED:
		return subscribed{ev.GetSubscribed().GetFrameworkInfo(), ev.GetSubscribed().GetExecutorInfo()}
	case executor.Event_LAUNCH:
		if ev.Launch != nil {
			return launched{[]mesos.TaskInfo{ev.Launch.Task}}
		}
	case executor.Event_LAUNCH_GROUP:
		if ev.LaunchGroup != nil {
			return launched{ev.LaunchGroup.TaskGroup.Tasks}
		}
	case executor.Event_KILL:
		if ev.Kill != nil {
			return killed{ev.Kill.TaskID.Value, ev.Kill.KillPolicy}
		}
	case executor.Event_ACKNOWLEDGED:
		if ev.Acknowledged != nil {
			return acknowledged{ev.Acknowledged.TaskID.Value, ev.Acknowledged.UUID}
		}
	case executor.Event_MESSAGE:
		m, err := DecodeMessage(ev.GetMessage().GetData())
		if err != nil {
			l.log.Warn("not understood", "error", err)
			return nil
		}
		return heard{m}
	case executor.Event_SHUTDOWN:
		return shutdown{}
	case executor.Event_ERROR:
		l.log.Error("the agent reports an error", "message", ev.GetError().GetMessage())
	}
	return nil
}

// outbox holds calls until the senders take them, so that the loop never waits
// for the network. Updates are not kept waiting by messages, which may be large.
type outbox struct{ updates, messages queue }

// maxMessages is how many messages wait at most: all pieces of the requests that
// are carried out at one time. Those beyond are lost, as messages may be.
const maxMessages = maxPending * maxParts

func newOutbox() *outbox {
	return &outbox{
		updates:  queue{ready: make(chan struct{}, 1)},
		messages: queue{ready: make(chan struct{}, 1), limit: maxMessages},
	}
}

func (o *outbox) put(call *executor.Call) {
	if call.Type == executor.Call_UPDATE {
		o.updates.put(call)
	} else {
		o.messages.put(call)
	}
}

// queue holds calls in their order.
type queue struct {
	ready chan struct{} // has an element when calls may be there
	limit int           // of calls; zero: none

	mu    sync.Mutex
	calls []*executor.Call
}

func (q *queue) put(call *executor.Call) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.limit > 0 && len(q.calls) >= q.limit {
		return
	}
	q.calls = append(q.calls, call)
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

func (q *queue) take() []*executor.Call {
	q.mu.Lock()
	defer q.mu.Unlock()
	calls := q.calls
	q.calls = nil
	return calls
}
