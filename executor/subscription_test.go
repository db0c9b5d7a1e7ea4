package executor

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Updates do not wait for messages, however many there are and however long the
// agent takes for them.
func TestUpdatesOvertakeMessages(t *testing.T) {
	t.Parallel()
	updated, over := make(chan struct{}), make(chan struct{})
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		call := new(executor.Call)
		if err != nil || call.Unmarshal(body) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		switch call.Type {
		case executor.Call_SUBSCRIBE:
			w.WriteHeader(http.StatusOK)
			assert.NoError(t, http.NewResponseController(w).Flush())
			<-over
		case executor.Call_MESSAGE:
			<-updated
			w.WriteHeader(http.StatusAccepted)
		case executor.Call_UPDATE:
			close(updated)
			w.WriteHeader(http.StatusAccepted)
		}
	}))
	defer agent.Close()
	w := newWorld(t, testEnvironment())
	w.core.env.endpoint = strings.TrimPrefix(agent.URL, "http://")
	o := newOutbox()
	for range 10 {
		o.put(w.core.call(&executor.Call{Type: executor.Call_MESSAGE, Message: &executor.Call_Message{Data: []byte("x")}}))
	}
	w.up()
	w.step(launched{[]mesos.TaskInfo{goodTask("t")}})
	o.put(w.step(is("t", mesos.TASK_RUNNING)).send[0])
	link := &subscription{agent: newAgent(w.core.env, false), log: slog.New(slog.DiscardHandler), outbox: o}
	ended := make(chan error, 1)
	go func() { ended <- link.run(t.Context(), w.core.subscribe(), func(event) {}) }()
	select {
	case <-updated:
	case err := <-ended:
		require.NoError(t, err)
	}
	close(over)
	assert.ErrorContains(t, <-ended, "the agent ended the subscription")
}

func TestOutboxIsBounded(t *testing.T) {
	t.Parallel()
	o := newOutbox()
	for i := range 2 * maxMessages {
		o.put(&executor.Call{Type: executor.Call_MESSAGE, Message: &executor.Call_Message{Data: fmt.Append(nil, i)}})
		o.put(&executor.Call{Type: executor.Call_UPDATE})
	}
	messages := o.messages.take()
	require.Len(t, messages, maxMessages)
	assert.Equal(t, "0", string(messages[0].Message.Data), "what comes late is lost")
	assert.Len(t, o.updates.take(), 2*maxMessages, "updates are not")
	assert.Empty(t, o.messages.take())
}
