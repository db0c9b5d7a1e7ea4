package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
)

func TestStatusTable(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	s := brokers(frameworks.Ready, frameworks.BackingOff, frameworks.Placing)
	s.FrameworkID = "f-1"
	ready, fails, homeless := &s.Nodes[0], &s.Nodes[1], &s.Nodes[2]
	ready.Place = &frameworks.Place{Agent: "a", Hostname: "host-1", Address: "10.0.0.1", Ports: map[string]uint64{"client": 9092},
		Resources: []mesos.Resource{}}
	ready.Task, ready.Since = "kafka.broker-0.1", now.Add(-90*time.Minute)
	fails.Failures, fails.Retry = 2, now.Add(8*time.Second)
	fails.LastFailure = "exited with status 1; last lines:\n" + strings.Repeat("x", 300)
	fails.Past = []frameworks.Failure{{At: now, Text: fails.LastFailure}, {At: now.Add(-time.Minute), Text: "killed by signal 9\nmore"}}
	homeless.Refused = "broker-2: 3 agents looked at: 3 × mem"
	ready.Role, ready.Goal, ready.Waits = "controller", frameworks.GoalLeave, "12 of its partitions are still to be moved to others"
	var out bytes.Buffer
	require.NoError(t, table{[]Pod{{Name: "broker", Port: "client"}}, now}.status(&out, s))
	assert.Equal(t, `kafka: 1 of 3 brokers ready; framework f-1, connected, reconciled

BROKER    PHASE          ROLE        AGENT   ADDRESS        TASK              SINCE  FAILURES
broker-0  ready, leaves  controller  host-1  10.0.0.1:9092  kafka.broker-0.1  90m    0
broker-1  backing off    -           -       -              -                 -      2
broker-2  placing        -           -       -              -                 -      0

broker-0 waits: 12 of its partitions are still to be moved to others

broker-1 failed 2 times in a row, and is tried again in 8s:
  exited with status 1; last lines:
  `+strings.Repeat("x", 200)+` …
  and 60s ago: killed by signal 9: more

no place for broker-2: 3 agents looked at: 3 × mem
`, out.String())

	out.Reset()
	require.NoError(t, table{[]Pod{{Name: "broker"}, {Name: "proxy"}}, now}.status(&out, frameworks.Status{Service: "kafka", Held: "version: 2: is not supported"}))
	assert.Equal(t, "kafka: 0 of 0 nodes ready; framework without an id yet, not connected, not reconciled\n\n"+
		"held, so that none is launched, updated or moved: version: 2: is not supported\n\n"+
		"NODE  PHASE  AGENT  ADDRESS  TASK  SINCE  FAILURES\n", out.String())
}

func TestAge(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", 119 * time.Second: "119s", 2 * time.Minute: "2m",
		119 * time.Minute: "119m", 2 * time.Hour: "2h", 47 * time.Hour: "47h", 48 * time.Hour: "2d",
	} {
		assert.Equal(t, want, age(d))
	}
}
