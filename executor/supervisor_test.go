package executor

import (
	"sync"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/require"
)

// However a request to stop meets the end of the preparation, it is either obeyed
// at once or left for the server that starts.
func TestStopIsNeverLost(t *testing.T) {
	t.Parallel()
	for range 3000 {
		var asking sync.WaitGroup
		s := &supervisor{stops: make(chan time.Duration, 1), places: places{sandbox: "/"}}
		s.tell = func(r report) { // the last thing that is done before the end
			require.Equal(t, mesos.TASK_STARTING, r.state)
			asking.Go(func() { s.stops <- time.Second })
		}
		err := s.prepare(t.Context())
		asking.Wait()
		if err == nil {
			require.Len(t, s.stops, 1, "left for the server")
		} else {
			require.ErrorIs(t, err, errStopped)
			require.Empty(t, s.stops)
		}
	}
}
