package scheduler_test

import (
	"net/http"
	"sync/atomic"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"

	"github.com/mesokit/mesokit/scheduler"
)

// A DECLINE that never arrives would keep its offers from everybody for ever:
// the master thinks that we hold them, and we that we gave them back. So when
// it has been tried in vain the subscription ends, which voids them. (The
// simulator found it.)
func TestRunSubscribesAgainWhenACallIsLost(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	var lost atomic.Bool
	lost.Store(true)
	m.replies(func(_ *http.Request, call *sched.Call) (int, string, string) {
		if call.Type == sched.Call_DECLINE && lost.Load() {
			return http.StatusServiceUnavailable, "", ""
		}
		return 0, "", ""
	})
	start(t, scheduler.Config{Master: m.address(), Handler: scheduler.HandlerFunc(launchOne)})
	m.subscribed().send(offersEvent(offer("used", "a1")), offersEvent(offer("over", "a2")))
	assert.Equal(t, "used", m.call(sched.Call_ACCEPT).Accept.OfferIDs[0].Value)
	again := m.subscribed()
	lost.Store(false)
	again.send(offersEvent(offer("next", "a2")))
	assert.Equal(t, "next", m.call(sched.Call_DECLINE).Decline.OfferIDs[0].Value)
}

// TestRunGoesOnWithoutACall that is lost after all its tries, and for which
// something else makes up: here the agent, which repeats its status.
func TestRunGoesOnWithoutACall(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	const tries = 5
	var failed atomic.Int32
	lost := make(chan bool)
	m.replies(func(_ *http.Request, call *sched.Call) (int, string, string) {
		if call.Type != sched.Call_ACKNOWLEDGE || failed.Load() == tries {
			return 0, "", ""
		}
		if failed.Add(1) == tries {
			close(lost)
		}
		return http.StatusInternalServerError, "", ""
	})
	start(t, scheduler.Config{Master: m.address(), Handler: scheduler.HandlerFunc(launchOne)})
	s := m.subscribed()
	s.send(offersEvent(offer("o1", "a1")))
	id := m.call(sched.Call_ACCEPT).Accept.Operations[0].Launch.TaskInfos[0].TaskID.Value
	running := updateEvent(status(id, "a1", mesos.TASK_RUNNING, "0123456789abcdef"))
	s.send(running)
	<-lost
	s.send(running)
	again := m.call(sched.Call_ACKNOWLEDGE)
	assert.Equal(t, id, again.Acknowledge.TaskID.Value)
	assert.Equal(t, s.id, again.streamID)
	assert.Empty(t, m.streams, "it has not subscribed again")
}
