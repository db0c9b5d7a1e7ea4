package scheduler_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"

	"github.com/mesokit/mesokit/scheduler"
)

// TestRunAcknowledgesABurst holds that every status of a burst is acknowledged,
// on the subscription that it is of, whatever becomes of the connection.
func TestRunAcknowledgesABurst(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		// reply is to the n-th acknowledgement.
		reply func(leader *scriptedMaster, n int64) (code int, location string)
		https bool
	}{
		{name: "all is well"},
		{name: "over TLS", https: true},
		{name: "one is refused for a moment", reply: func(_ *scriptedMaster, n int64) (int, string) {
			if n == 100 {
				return http.StatusServiceUnavailable, ""
			}
			return 0, ""
		}},
		{name: "one is refused", reply: func(_ *scriptedMaster, n int64) (int, string) {
			if n == 100 {
				return http.StatusBadRequest, "" // and not when it is sent by itself
			}
			return 0, ""
		}},
		{name: "the connection breaks", reply: func(_ *scriptedMaster, n int64) (int, string) {
			if n == 100 {
				panic(http.ErrAbortHandler)
			}
			return 0, ""
		}},
		{name: "the leader is another", reply: func(leader *scriptedMaster, _ int64) (int, string) {
			return http.StatusTemporaryRedirect, "//" + leader.address() + "/master/api/v1/scheduler"
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			const burst = 300
			m, leader := newMaster(t), newMaster(t)
			m.calls = make(chan received, 4*burst)
			leader.calls = m.calls
			var n atomic.Int64
			m.replies(func(_ *http.Request, call *sched.Call) (int, string, string) {
				if call.Type != sched.Call_ACKNOWLEDGE || c.reply == nil {
					return 0, "", ""
				}
				code, location := c.reply(leader, n.Add(1))
				return code, "", location
			})
			config := scheduler.Config{Master: m.address(), Handler: scheduler.HandlerFunc(launchMany(burst))}
			if c.https {
				secure := httptest.NewTLSServer(m)
				t.Cleanup(secure.Close)
				roots := x509.NewCertPool()
				roots.AddCert(secure.Certificate())
				config.Master, config.TLS = secure.URL, &tls.Config{RootCAs: roots, ServerName: "example.com"}
			}
			start(t, config)
			s := m.subscribed()
			s.send(offersEvent(offer("o1", "a1")))
			m.call(sched.Call_ACCEPT)
			for i := range burst {
				s.send(updateEvent(status(fmt.Sprintf("t%05d", i), "a1", mesos.TASK_RUNNING, fmt.Sprintf("%016d", i))))
			}
			acknowledged := map[string]bool{}
			for len(acknowledged) < burst {
				got := m.call(sched.Call_ACKNOWLEDGE)
				assert.Equal(t, s.id, got.streamID)
				acknowledged[got.Acknowledge.TaskID.Value] = true
			}
			assert.Empty(t, m.streams, "the subscription stays")
		})
	}
}
