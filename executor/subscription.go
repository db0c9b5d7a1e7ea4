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

// run subscribes, tells events and makes the calls of the outbox, one after the
// other, until the subscription has ended; the error says why it has.
func (l *subscription) run(ctx context.Context, call *executor.Call, tell func(event)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var sender sync.WaitGroup
	sender.Go(func() { cancel(l.sendAll(ctx)) })
	err := l.agent.subscribe(ctx, call, func(ev *executor.Event) {
		if ev := l.translate(ev); ev != nil {
			tell(ev)
		}
	})
	cancel(err)
	sender.Wait()
	return context.Cause(ctx) // the first of the two errors
}

// sendAll makes calls until an update cannot be delivered. Then the subscription
// has to be renewed, since a new one repeats all updates in their order.
func (l *subscription) sendAll(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.outbox.ready:
		}
		for _, call := range l.outbox.take() {
			err := l.agent.send(ctx, call)
			switch {
			case err == nil:
			case call.Type == executor.Call_UPDATE:
				return fmt.Errorf("deliver update: %w", err)
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
		return subscribed{ev.GetSubscribed().GetFrameworkInfo()}
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

// outbox holds calls in their order until the sender takes them, so that the
// loop never waits for the network.
type outbox struct {
	ready chan struct{} // has an element when calls may be there

	mu    sync.Mutex
	calls []*executor.Call
}

func newOutbox() *outbox { return &outbox{ready: make(chan struct{}, 1)} }

func (o *outbox) put(call *executor.Call) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls = append(o.calls, call)
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

func (o *outbox) take() []*executor.Call {
	o.mu.Lock()
	defer o.mu.Unlock()
	calls := o.calls
	o.calls = nil
	return calls
}
