package executor_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
	"github.com/mesokit/mesokit/scheduler/state"
)

// deployment is an embedded cluster of one agent, on which a scheduler launches
// tasks once, with one executor, which is this test binary. It then does what
// the test tells it, and answers Hello.
type deployment struct {
	*mesostest.Cluster
	t       *testing.T
	tasks   map[string]executor.Task
	env     map[string]string // of the executor
	secrets map[string]string
	store   *state.Memory
	mailbox *scheduler.Mailbox
	stop    func()                // of the scheduler
	talk    executor.Conversation // with the first of tasks
	frozen  sync.RWMutex          // while it is held the scheduler does nothing

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced whenever anything below changes
	updates  []mesos.TaskStatus
	messages []executor.Message
	lost     []scheduler.ExecutorLost
	saved    []state.Record
}

// oneAgent does not wait long before it repeats an update.
var oneAgent = mesostest.With(mesostest.AgentConfig{Resources: "cpus:1;mem:256;disk:256", RetryMin: 500 * time.Millisecond})

// deploy starts a cluster, unless the changes have, and a scheduler.
func deploy(t *testing.T, tasks map[string]executor.Task, changes ...func(*deployment)) *deployment {
	t.Helper()
	d := &deployment{t: t, tasks: tasks, env: map[string]string{}, store: state.NewMemory(), changed: make(chan struct{})}
	for _, change := range changes {
		change(d)
	}
	d.talk = executor.Conversation{Task: slices.Sorted(maps.Keys(tasks))[0], Granting: true}
	if d.Cluster == nil {
		d.Cluster = mesostest.New(t, oneAgent)
	}
	d.schedule()
	return d
}

// schedule runs a scheduler, which goes on from what the last one has stored.
func (d *deployment) schedule() {
	d.mailbox = &scheduler.Mailbox{}
	d.stop = d.Run(d.t, d, func(c *scheduler.Config) {
		c.Store, c.Mailbox, c.Observe = d.store.Open(), d.mailbox, d.observe
		c.Framework.FailoverTimeout = new(float64)
		*c.Framework.FailoverTimeout = 600
	})
}

func (d *deployment) Handle(v scheduler.View, ev scheduler.Event) []scheduler.Action {
	switch ev := ev.(type) {
	case scheduler.Command:
		return append(ev.Value.([]scheduler.Action), scheduler.Answer{Command: ev.ID})
	case scheduler.Messaged:
		if m, err := executor.DecodeMessage(ev.Data); err == nil {
			return d.converse(v, m)
		}
	}
	ids := slices.Sorted(maps.Keys(d.tasks))
	if _, launched := v.Task(ids[0]); launched {
		return nil
	}
	for offer := range v.Offers() {
		op := mesos.Offer_Operation{Type: mesos.Offer_Operation_LAUNCH_GROUP, LaunchGroup: &mesos.Offer_Operation_LaunchGroup{Executor: d.executor(v, offer)}}
		for _, id := range ids {
			op.LaunchGroup.TaskGroup.Tasks = append(op.LaunchGroup.TaskGroup.Tasks, d.task(id, offer))
		}
		if len(ids) == 1 {
			task := op.LaunchGroup.TaskGroup.Tasks[0]
			task.Executor = &op.LaunchGroup.Executor
			op = mesos.Offer_Operation{Type: mesos.Offer_Operation_LAUNCH, Launch: &mesos.Offer_Operation_Launch{TaskInfos: []mesos.TaskInfo{task}}}
		}
		return []scheduler.Action{scheduler.Accept{Offers: []mesos.OfferID{offer.ID}, Operations: []mesos.Offer_Operation{op}}}
	}
	return []scheduler.Action{scheduler.Want{Offers: true, Key: "launch"}}
}

// converse answers a message of the executor.
func (d *deployment) converse(v scheduler.View, m executor.Message) []scheduler.Action {
	var all []scheduler.Action
	secret := func(name string) ([]byte, bool) { value, ok := d.secrets[name]; return []byte(value), ok }
	for _, m := range d.talk.Step(v.Now(), secret, m).Say {
		data, err := executor.EncodeMessage(m)
		require.NoError(d.t, err)
		all = append(all, scheduler.Message{Agent: d.Agent(0).ID(), Executor: "executor", Data: data})
	}
	return all
}

func scalar(offer *mesos.Offer, name string, value float64) mesos.Resource {
	return mesos.Resource{Name: name, Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: value}, AllocationInfo: offer.AllocationInfo}
}

func (d *deployment) task(id string, offer *mesos.Offer) mesos.TaskInfo {
	data, err := json.Marshal(d.tasks[id])
	require.NoError(d.t, err)
	return mesos.TaskInfo{
		Name: id, TaskID: mesos.TaskID{Value: id}, AgentID: offer.AgentID, Data: data,
		Resources: []mesos.Resource{scalar(offer, "cpus", 0.1), scalar(offer, "mem", 32)},
	}
}

func (d *deployment) executor(v scheduler.View, offer *mesos.Offer) mesos.ExecutorInfo {
	self, err := os.Executable()
	require.NoError(d.t, err)
	env := map[string]string{"GORACE": "atexit_sleep_ms=0"}
	maps.Copy(env, d.env)
	info := executor.Info(v.FrameworkID(), "executor", self)
	info.Resources = []mesos.Resource{scalar(offer, "cpus", 0.1), scalar(offer, "mem", 32), scalar(offer, "disk", 32)}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		value := env[name]
		variables := &info.Command.Environment.Variables
		*variables = append(*variables, mesos.Environment_Variable{Name: name, Value: &value})
	}
	return *info
}

func (d *deployment) observe(ev scheduler.Event, eff scheduler.Effects) {
	d.frozen.RLock()
	defer d.frozen.RUnlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	switch ev := ev.(type) {
	case scheduler.Updated:
		if ev.Status.GetReason() != mesos.REASON_RECONCILIATION && !slices.ContainsFunc(d.updates, func(s mesos.TaskStatus) bool { return bytes.Equal(s.UUID, ev.Status.UUID) && len(s.UUID) > 0 }) {
			d.updates = append(d.updates, ev.Status) // agents repeat until they hear of the acknowledgement
		}
	case scheduler.Messaged:
		m, err := executor.DecodeMessage(ev.Data)
		if err != nil {
			d.t.Errorf("message of the executor: %v", err)
			return
		}
		d.messages = append(d.messages, m)
	case scheduler.ExecutorLost:
		d.lost = append(d.lost, ev)
	}
	d.saved = append(d.saved, eff.Save...)
	close(d.changed)
	d.changed = make(chan struct{})
}

// until waits for cond, which is called with mu held.
func (d *deployment) until(what string, cond func() bool) {
	d.t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		d.mu.Lock()
		ok, changed := cond(), d.changed
		d.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			d.t.Fatalf("waited 30 s for %s; updates so far:\n%s", what, strings.Join(d.history(""), "\n"))
		}
	}
}

// history are the updates of a task as the scheduler got them; of all, if it has
// no name.
func (d *deployment) history(task string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []string
	for _, s := range d.updates {
		if task == "" || s.TaskID.Value == task {
			all = append(all, describe(s))
		}
	}
	return all
}

// await waits for an update whose description begins with prefix.
func (d *deployment) await(task, prefix string) (found mesos.TaskStatus) {
	d.t.Helper()
	d.until(fmt.Sprintf("%q of %s", prefix, task), func() bool {
		i := slices.IndexFunc(d.updates, func(s mesos.TaskStatus) bool {
			return s.TaskID.Value == task && strings.HasPrefix(describe(s), prefix)
		})
		if i >= 0 {
			found = d.updates[i]
		}
		return i >= 0
	})
	return found
}

// do has the scheduler decide something.
func (d *deployment) do(actions ...scheduler.Action) {
	d.t.Helper()
	_, err := d.mailbox.Send(d.t.Context(), actions)
	require.NoError(d.t, err)
}

// ask makes a request and repeats it until the answer is there, as who may lose
// messages has to.
func (d *deployment) ask(r executor.Request) string {
	d.t.Helper()
	data, err := executor.EncodeMessage(r)
	require.NoError(d.t, err)
	var answer executor.Answer
	require.Eventually(d.t, func() bool {
		d.do(scheduler.Message{Agent: d.Agent(0).ID(), Executor: "executor", Data: data})
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, m := range d.messages {
			if got, ok := m.(executor.Response); ok && got.ID == r.ID && answer.Add(got) {
				return true
			}
		}
		return false
	}, 30*time.Second, 50*time.Millisecond, "no answer to %s", r.Name)
	body, err := answer.Body()
	require.NoError(d.t, err)
	return string(body)
}

// sandbox is that of the executor.
func (d *deployment) sandbox() string {
	d.t.Helper()
	found, err := filepath.Glob(filepath.Join(d.Agent(0).Dir(), "slaves", "*", "frameworks", "*", "executors", "executor", "runs", "latest"))
	require.NoError(d.t, err)
	require.Len(d.t, found, 1)
	dir, err := filepath.EvalSymlinks(found[0])
	require.NoError(d.t, err)
	return dir
}

// read returns a file of the sandbox.
func (d *deployment) read(name string) string {
	d.t.Helper()
	data, err := os.ReadFile(filepath.Join(d.sandbox(), name))
	require.NoError(d.t, err)
	return string(data)
}

// touch makes a file that a task waits for.
func (d *deployment) touch(name string) {
	d.t.Helper()
	require.NoError(d.t, os.WriteFile(filepath.Join(d.sandbox(), name), nil, 0o600))
}
