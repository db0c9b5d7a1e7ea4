package scheduler_test

import (
	"net/http"
	"sync/atomic"
	"testing"

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
