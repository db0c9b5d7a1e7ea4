package scheduler

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/mesokit/mesokit/constraints"
)

const (
	// callTimeout bounds one call, so that a master which hangs does not hold
	// up the rest.
	callTimeout = 15 * time.Second

	// callTries is how often a call is sent that fails in a way which may pass.
	callTries = 5

	// ackLanes is how many acknowledgements are under way at once, each on a
	// connection of its own. They are for different tasks (an agent sends the
	// next status of a task after the acknowledgement of the last), so their
	// order means nothing.
	ackLanes = 8
)

// outgoing is a call with the offer constraints that belong to it, for which
// mesos-go's calls have no field.
type outgoing struct {
	*sched.Call
	constraints constraints.OfferConstraints // of SUBSCRIBE and UPDATE_FRAMEWORK
}

// Marshal encodes the call. In protocol buffers a message that comes twice is
// merged, so the constraints follow as a second Subscribe or UpdateFramework
// with nothing else in it.
func (o outgoing) Marshal() ([]byte, error) {
	body, err := o.Call.Marshal()
	if err != nil || len(o.constraints) == 0 {
		return body, err
	}
	const fieldConstraints = 3 // of both
	field := uint64(3)
	if o.Type == sched.Call_UPDATE_FRAMEWORK {
		field = 19
	}
	message := appendField(nil, fieldConstraints, o.constraints.Marshal())
	return appendField(body, field, message), nil
}

// appendField appends a field of bytes in the encoding of protocol buffers.
func appendField(b []byte, number uint64, data []byte) []byte {
	b = binary.AppendUvarint(b, number<<3|2)
	b = binary.AppendUvarint(b, uint64(len(data)))
	return append(b, data...)
}

// outgoings pairs the calls of effects with what belongs to them.
func outgoings(e Effects) []outgoing {
	calls := make([]outgoing, len(e.Send))
	for i, call := range e.Send {
		calls[i].Call = call
		if call.Type == sched.Call_UPDATE_FRAMEWORK {
			calls[i].constraints = e.Constraints
		}
	}
	return calls
}

// outbox is the calls of one subscription on their way out. They never leave
// on another: what is left when the subscription ends is dropped with it.
type outbox struct {
	mu     sync.Mutex
	calls  []outgoing
	signal chan struct{} // has room for one
}

func newOutbox() *outbox { return &outbox{signal: make(chan struct{}, 1)} }

// put never blocks: the loop has more to do than to wait for the master.
func (o *outbox) put(calls []outgoing) {
	if len(calls) == 0 {
		return
	}
	o.mu.Lock()
	o.calls = append(o.calls, calls...)
	o.mu.Unlock()
	select {
	case o.signal <- struct{}{}:
	default:
	}
}

func (o *outbox) take() []outgoing {
	o.mu.Lock()
	defer o.mu.Unlock()
	calls := o.calls
	o.calls = nil
	return calls
}

// sender sends the calls of an outbox on one subscription.
type sender struct {
	transport *transport
	log       *slog.Logger
	url       *url.URL
	streamID  string
	end       context.CancelCauseFunc // of the subscription
}

// run sends until ctx ends: one call after the other, but for runs of
// acknowledgements.
func (s *sender) run(ctx context.Context, box *outbox) {
	for {
		calls := box.take()
		for len(calls) > 0 && ctx.Err() == nil {
			n := acknowledgements(calls)
			if n == 0 {
				s.send(ctx, calls[0])
				calls = calls[1:]
				continue
			}
			s.sendAtOnce(ctx, calls[:n])
			calls = calls[n:]
		}
		select {
		case <-box.signal:
		case <-ctx.Done():
			return
		}
	}
}

// acknowledgements is how many calls at the front acknowledge a status.
func acknowledgements(calls []outgoing) int {
	for i, call := range calls {
		if call.Type != sched.Call_ACKNOWLEDGE {
			return i
		}
	}
	return len(calls)
}

// sendAtOnce sends acknowledgements: a burst one behind the other, and those of
// which that cannot be, each by itself.
func (s *sender) sendAtOnce(ctx context.Context, calls []outgoing) {
	if len(calls) >= pipelineFrom {
		done, err := s.transport.pipeline(ctx, s.url, s.streamID, calls)
		if err != nil && ctx.Err() == nil {
			s.log.Debug("acknowledgements one by one", slog.Int("sent", done), slog.String("error", err.Error()))
		}
		calls = calls[done:]
	}
	queue := make(chan outgoing)
	var lanes sync.WaitGroup
	for range min(ackLanes, len(calls)) {
		lanes.Go(func() {
			for call := range queue {
				s.send(ctx, call)
			}
		})
	}
	for _, call := range calls {
		queue <- call
	}
	close(queue)
	lanes.Wait()
}

// send sends a call. One that the master refuses would be refused on the next
// subscription too, so this one stays. One that got lost, after all its tries,
// ends it where nothing else makes up for it: a DECLINE, REVIVE or SUPPRESS that
// never arrived would leave master and machine of different minds for ever, and
// the next subscription voids all offers and filters.
func (s *sender) send(ctx context.Context, call outgoing) {
	wait := firstBackoff
	for try := 1; ; try++ {
		err := s.sendOnce(ctx, call)
		if err == nil {
			if call.Type == sched.Call_TEARDOWN {
				s.end(errTornDown)
			}
			return
		}
		if ctx.Err() != nil {
			return // dropped with the subscription
		}
		var status *statusError
		final := errors.As(err, &status) && status.final()
		if !final && try < callTries && (repeatable(call.Type) || unsent(err)) {
			if pause(ctx, wait) != nil {
				return
			}
			wait *= 2
			continue
		}
		s.log.Warn("call failed", slog.String("call", call.Type.String()), slog.String("error", err.Error()))
		switch {
		case final || dispensable(call.Type):
		case call.Type == sched.Call_ACCEPT:
			s.giveBack(ctx, call)
		default:
			s.end(fmt.Errorf("%s was lost: %w", call.Type, err))
		}
		return
	}
}

func (s *sender) sendOnce(ctx context.Context, call outgoing) error {
	if call.Type == sched.Call_TEARDOWN {
		// The master may close the stream before it answers this one.
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	reply, err := s.transport.post(ctx, s.url, s.streamID, call)
	if err != nil {
		return err
	}
	return reply.body.Close()
}

// dispensable says whether a call may get lost on a subscription that goes on.
// Agents repeat a status until it is acknowledged; the machine repeats a KILL
// until the task has ended, and asks again for what has not answered. A MESSAGE
// and a SHUTDOWN may get lost, and another subscription does not bring them back.
// So one of these that a master can never take does not end one subscription
// after the other.
func dispensable(t sched.Call_Type) bool {
	switch t {
	case sched.Call_ACKNOWLEDGE, sched.Call_ACKNOWLEDGE_OPERATION_STATUS, sched.Call_KILL,
		sched.Call_RECONCILE, sched.Call_RECONCILE_OPERATIONS, sched.Call_MESSAGE, sched.Call_SHUTDOWN:
		return true
	}
	return false
}

// repeatable says whether a call that may have arrived can be sent again. An
// ACCEPT cannot: the second would find its offers used, and the master would
// say of tasks that run that they were dropped.
func repeatable(t sched.Call_Type) bool {
	return t != sched.Call_ACCEPT && t != sched.Call_MESSAGE
}

// giveBack declines the offers of an ACCEPT that may not have arrived. If it
// did, they are used and nothing happens; if not, the master would hold them
// for us for ever.
func (s *sender) giveBack(ctx context.Context, accept outgoing) {
	s.send(ctx, outgoing{Call: &sched.Call{
		Type:        sched.Call_DECLINE,
		FrameworkID: accept.FrameworkID,
		Decline:     &sched.Call_Decline{OfferIDs: accept.Accept.OfferIDs, Filters: refuseFor(0)},
	}})
}
