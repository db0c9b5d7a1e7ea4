package frameworks

import (
	"encoding/json"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosexec "github.com/mesos/mesos-go/api/v1/lib/executor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/scheduler"
)

// A scheduler that lost the lead and does not know it cannot save. No grant of
// it leaves later than a quarter of a term after its last save.
func TestGrantsRestUponSaves(t *testing.T) {
	t.Parallel()
	w := newWriters(t, 3)
	w.until(5*time.Minute, "ready", w.allReady(3))
	n := w.status().Nodes[0]
	data, err := executor.EncodeMessage(executor.Renew{Task: n.Task, Number: 1})
	require.NoError(t, err)
	saved := w.now
	grants := 0
	for range 400 {
		w.now = w.now.Add(50 * time.Millisecond)
		effects := w.machine.Step(w.now, scheduler.Messaged{Agent: n.Place.Agent, Executor: n.Task, Data: data})
		if len(effects.Save) > 0 {
			saved = w.now
		}
		for _, call := range effects.Send {
			if call.Message != nil {
				grants++
				require.LessOrEqual(t, w.now.Sub(saved), 2*time.Second)
			}
		}
	}
	assert.Equal(t, 400, grants)
}

func TestHarmless(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	lease := &executor.Lease{Within: 20 * time.Second, End: &executor.Step{Name: "close", Timeout: 10 * time.Second}}
	// 20 s of the term, 10 s to end it, 5 s for a scheduler that does not know that
	// it lost the lead, and a twentieth of it all for the clocks.
	over := at.Add(35 * time.Second * 21 / 20)
	for name, c := range map[string]struct {
		node Node
		now  time.Time
		want bool
	}{
		"never launched":           {Node{}, at, true},
		"its end was seen":         {Node{Lease: lease}, at, true},
		"alive without a lease":    {Node{Alive: true, Withheld: at}, at.Add(time.Hour), false},
		"granted":                  {Node{Alive: true, Lease: lease}, at.Add(time.Hour), false},
		"withheld, not over yet":   {Node{Alive: true, Lease: lease, Withheld: at}, over.Add(-1), false},
		"withheld, and it is over": {Node{Alive: true, Lease: lease, Withheld: at}, over, true},
	} {
		assert.Equal(t, c.want, c.node.Harmless(c.now), name)
	}
}

// What the master says of a task on an agent that it cannot see does not prove
// that its server has ended.
func TestSeenToEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status mesos.TaskStatus
		want   bool
	}{
		"its executor says so":        {mesos.TaskStatus{Source: mesos.SOURCE_EXECUTOR.Enum()}, true},
		"its agent says so":           {mesos.TaskStatus{Source: mesos.SOURCE_AGENT.Enum()}, true},
		"the launch never left":       {mesos.TaskStatus{Source: mesos.SOURCE_MASTER.Enum(), Reason: mesos.REASON_INVALID_OFFERS.Enum()}, true},
		"an operator called it gone":  {mesos.TaskStatus{Source: mesos.SOURCE_MASTER.Enum(), Reason: mesos.REASON_AGENT_REMOVED_BY_OPERATOR.Enum()}, false},
		"the master knows it no more": {mesos.TaskStatus{Source: mesos.SOURCE_MASTER.Enum(), Reason: mesos.REASON_RECONCILIATION.Enum()}, false},
	} {
		assert.Equal(t, c.want, seenToEnd(c.status), name)
	}
}

// withSecrets is a service of one node that gets two of three secrets.
func withSecrets() *Service {
	s := quorum(1)
	s.Pods[0].Secrets = []string{"root", "replication"}
	s.Pods[0].Task = func(d Deployment, _ Node) (executor.Task, error) {
		return executor.Task{
			Command: []string{"db", d.Secret("root")},
			Secrets: []executor.SecretFile{{Name: "root", Path: "root"}, {Name: "replication", Path: "replication"}},
		}, nil
	}
	return s
}

func TestSecretsGoToWhoDeclaresThem(t *testing.T) {
	t.Parallel()
	s := withSecrets()
	other := s.Pods[0]
	other.Name, other.Secrets, other.Task = "other", nil, func(Deployment, Node) (executor.Task, error) {
		return executor.Task{Command: []string{"db"}}, nil
	}
	s.Pods = append(s.Pods, other)
	w := newWorld(t, s, 2, agentResources)
	got := map[string]string{} // by task and secret
	w.hears = func(e *fakeExecutor, data []byte) {
		m, err := executor.DecodeMessage(data)
		require.NoError(t, err)
		secret := m.(executor.Secret)
		assert.Equal(t, e.id, secret.Task)
		got[e.id+" "+secret.Name] = string(secret.Value)
	}
	w.behave = func(w *world, e *fakeExecutor, task mesos.TaskInfo) {
		assert.NotContains(t, string(task.Data), "-id", "rendered without a secret")
		var spec executor.Task
		require.NoError(t, json.Unmarshal(task.Data, &spec))
		for _, about := range []string{e.id, "db.node-0.1"} { // also in another's name
			data, err := executor.EncodeMessage(executor.Hello{Task: about, Secrets: []string{"root", "replication", "admin"}})
			require.NoError(t, err)
			w.say(e, &mesosexec.Call{Type: mesosexec.Call_MESSAGE, Message: &mesosexec.Call_Message{Data: data}})
		}
		w.update(e, task.TaskID.Value, mesos.TASK_RUNNING, "started")
	}
	w.until(5*time.Minute, "ready", w.allReady(2))
	assert.Equal(t, []string{"db.node-0.1 replication", "db.node-0.1 root"}, sortedKeys(got))
	root := got["db.node-0.1 root"]
	assert.Len(t, root, 22)
	assert.NotEqual(t, root, got["db.node-0.1 replication"])
	for _, note := range w.notes {
		assert.NotContains(t, note, root)
	}
	shown, err := json.Marshal(w.status())
	require.NoError(t, err)
	assert.NotContains(t, string(shown), root)
}

func TestSecretsAreValidated(t *testing.T) {
	t.Parallel()
	s := withSecrets()
	s.Pods[0].Secrets = []string{"root", "root"}
	require.ErrorContains(t, s.Validate(), `Service.Pods[0].Secrets[1]: "root": wants lower case letters`)
	s = withSecrets()
	s.Pods[0].Task, s.Pods[0].Command = nil, "db"
	require.ErrorContains(t, s.Validate(), `wants a Task, whose executor writes them`)

	s = withSecrets()
	s.Pods[0].Secrets = []string{"root"}
	w := newWorld(t, s, 1, agentResources)
	w.until(time.Minute, "it says why it is not launched", func() bool {
		return w.status().Nodes[0].LastFailure == `task of node-0: secret "replication" of file replication is not declared: wants one of Pod.Secrets ["root"]`
	})
}
