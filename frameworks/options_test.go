package frameworks

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/offers"
)

// settings are the options of a small database.
type settings struct {
	Nodes   int    `json:"nodes"`
	Version string `json:"version"`
	Disk    int    `json:"disk"`
	Role    string `json:"role,omitempty"`
	Pod     string `json:"pod,omitempty"`
}

func database(options json.RawMessage) (*Service, error) {
	var o settings
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, err
	}
	if o.Version == "" {
		return nil, errors.New("version: wants a number")
	}
	s := versionedService(o.Nodes)
	s.Role, s.Options, s.Revise = o.Role, options, database
	p := &s.Pods[0]
	if o.Pod != "" {
		p.Name = o.Pod
	}
	p.Volumes[0].Size = offers.Amount(o.Disk) * 1000
	p.Rollout.Rollback = true
	p.Removable = func(d Deployment, nodes []Node) error {
		if len(d.Nodes)-len(nodes) < 2 {
			return errors.New("two have to remain")
		}
		return nil
	}
	p.Addable = func(d Deployment, more int) error {
		if len(d.Nodes)+more > 6 {
			return errors.New("six are enough")
		}
		return nil
	}
	version(o.Version)(p)
	return s, nil
}

func optionsOf(t *testing.T, o settings) json.RawMessage {
	t.Helper()
	text, err := json.Marshal(o)
	require.NoError(t, err)
	return text
}

func databaseOf(t *testing.T, o settings) *Service {
	t.Helper()
	s, err := database(optionsOf(t, o))
	require.NoError(t, err)
	return s
}

// failsOn makes servers die whose command names a version.
func failsOn(version string) func(*world, *fakeExecutor, mesos.TaskInfo) {
	return func(w *world, e *fakeExecutor, task mesos.TaskInfo) {
		if strings.Contains(string(task.Data), fmt.Sprintf("%q", version)) {
			w.end(e, task.TaskID.Value, mesos.TASK_FAILED, "ERROR version "+version)
			return
		}
		w.update(e, task.TaskID.Value, mesos.TASK_RUNNING, "started")
	}
}

func TestOptionsChangeWhileItRuns(t *testing.T) {
	t.Parallel()
	first := settings{Nodes: 3, Version: "1", Disk: 1000}
	w := newWorld(t, databaseOf(t, first), 6, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	next := first
	next.Version, next.Nodes = "2", 5
	_, err := w.command(Update{Options: optionsOf(t, next)})
	require.NoError(t, err)
	w.until(5*time.Minute, "rolled, and two more", w.updated(5))
	assert.Equal(t, []int{2, 2, 2, 1, 1}, w.incarnations())
	assert.JSONEq(t, string(optionsOf(t, next)), string(w.status().Options.Good))

	// The program is started again with the options of before: they were not
	// changed there, so those in the store hold.
	w.crash()
	w.pass(time.Minute)
	assert.Equal(t, []int{2, 2, 2, 1, 1}, w.incarnations())
	assert.Len(t, w.status().Nodes, 5)

	_, err = w.command(Update{Options: optionsOf(t, settings{Nodes: 2, Version: "2", Disk: 1000})})
	require.NoError(t, err)
	w.until(5*time.Minute, "two are left", func() bool { return len(w.status().Nodes) == 2 })
}

func TestRefusesOptions(t *testing.T) {
	t.Parallel()
	first := settings{Nodes: 3, Version: "1", Disk: 1000}
	w := newWorld(t, databaseOf(t, first), 4, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	for name, c := range map[string]struct {
		change func(*settings)
		want   string
	}{
		"smaller volume":   {func(s *settings) { s.Disk = 500 }, "Pod node: Volume data: 500: it holds data, and cannot become smaller than 1000 MiB"},
		"another role":     {func(s *settings) { s.Role = "other" }, "Service.Role: other: the reservations are those of db"},
		"pod left out":     {func(s *settings) { s.Pod = "other" }, "Pod: node: it has 3 nodes: let them leave first"},
		"too few":          {func(s *settings) { s.Nodes = 1 }, "Pod node: Count: 1: two have to remain"},
		"too many":         {func(s *settings) { s.Nodes = 7 }, "Pod node: Count: 7: six are enough"},
		"its own objction": {func(s *settings) { s.Version = "" }, "version: wants a number"},
	} {
		next := first
		c.change(&next)
		_, err := w.command(Update{Options: optionsOf(t, next)})
		require.ErrorIs(t, err, ErrRefused, name)
		require.ErrorContains(t, err, c.want, name)
	}
	_, err := w.command(Update{Options: []byte("{")})
	require.ErrorIs(t, err, ErrRefused)
	_, err = w.command(Rollback{})
	require.ErrorContains(t, err, "the options in force are the last")
	_, err = w.command(ScalePod{Pod: "node", Count: 7})
	require.EqualError(t, err, "scale pod node to 7: refused: six are enough; force it if that is meant")
	w.pass(time.Minute)
	assert.Equal(t, []int{1, 1, 1}, w.incarnations(), "nothing was touched")

	plain := newWorld(t, quorum(1), 1, agentResources)
	_, err = plain.command(Update{Options: []byte("{}")})
	require.ErrorIs(t, err, ErrRefused)
}

// The program is started with options that cannot be: it goes on with those of
// before, and says so.
func TestProgramStartedWithOtherOptions(t *testing.T) {
	t.Parallel()
	first := settings{Nodes: 3, Version: "1", Disk: 1000}
	w := newWorld(t, databaseOf(t, first), 4, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	smaller := first
	smaller.Disk = 10
	*w.service = *databaseOf(t, smaller)
	w.crash()
	w.until(time.Minute, "it says so", func() bool {
		o := w.status().Options
		return o != nil && strings.Contains(o.Trouble, "cannot become smaller")
	})
	assert.Equal(t, []int{1, 1, 1}, w.incarnations())
	second := first
	second.Version = "2"
	*w.service = *databaseOf(t, second)
	w.crash()
	w.until(5*time.Minute, "rolled", func() bool { return w.updated(3)() && w.incarnations()[2] == 2 })
	assert.Empty(t, w.status().Options.Trouble)
}

func TestRollsBackByItself(t *testing.T) {
	t.Parallel()
	first := settings{Nodes: 3, Version: "1", Disk: 1000}
	w := newWorld(t, databaseOf(t, first), 4, agentResources)
	w.behave = failsOn("bad")
	w.until(time.Minute, "ready", w.allReady(3))
	bad := first
	bad.Version = "bad"
	_, err := w.command(Update{Options: optionsOf(t, bad)})
	require.NoError(t, err)
	w.until(10*time.Minute, "it is as it was", func() bool {
		o := w.status().Options
		return strings.Contains(o.Trouble, "rolled back: nodes with the new configuration failed 3 times") && w.updated(3)()
	})
	assert.Equal(t, []int{1, 1}, w.incarnations()[1:], "the others were not touched")
	assert.JSONEq(t, string(optionsOf(t, first)), string(w.status().Options.Target))

	_, err = w.command(Rollback{})
	require.ErrorContains(t, err, "the options in force are the last with which every node was ready")
	first.Version = "2"
	_, err = w.command(Update{Options: optionsOf(t, first)})
	require.NoError(t, err)
	assert.Empty(t, w.status().Options.Trouble, "it was about other options")
}

func TestRollbackByCommand(t *testing.T) {
	t.Parallel()
	first := settings{Nodes: 2, Version: "1", Disk: 1000}
	w := newWorld(t, databaseOf(t, first), 4, agentResources)
	w.behave = func(w *world, e *fakeExecutor, task mesos.TaskInfo) {
		if !strings.Contains(string(task.Data), `"slow"`) {
			w.update(e, task.TaskID.Value, mesos.TASK_RUNNING, "started")
		}
	}
	w.until(time.Minute, "ready", w.allReady(2))
	slow := first
	slow.Version = "slow"
	_, err := w.command(Update{Options: optionsOf(t, slow)})
	require.NoError(t, err)
	w.until(time.Minute, "the first does not get ready", func() bool { return w.incarnations()[0] == 2 && w.status().Ready == 1 })
	w.pass(20 * time.Minute)
	assert.Equal(t, 1, w.status().Ready)
	_, err = w.command(Rollback{})
	require.NoError(t, err)
	w.until(5*time.Minute, "it is as it was", w.updated(2))
	assert.Equal(t, 1, w.incarnations()[1])
}

// withAux makes a service of how many nodes a second pod has; fewer than none:
// there is no such pod.
func withAux(options json.RawMessage) (*Service, error) {
	var aux int
	if err := json.Unmarshal(options, &aux); err != nil {
		return nil, err
	}
	s := versionedService(1)
	if aux >= 0 {
		p := versionedService(aux).Pods[0]
		p.Name = "aux"
		s.Pods = append(s.Pods, p)
	}
	s.Options, s.Revise = options, withAux
	return s, nil
}

// A pod that is declared again takes nothing for its own that an earlier one of
// its name left, and that is to be destroyed.
func TestAPodThatIsDeclaredAgainCountsOn(t *testing.T) {
	t.Parallel()
	for name, restarted := range map[string]bool{"at once": false, "after a restart": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := withAux(json.RawMessage("1"))
			require.NoError(t, err)
			w := newWorld(t, s, 3, agentResources)
			w.until(time.Minute, "ready", w.allReady(2))
			first := w.status().Nodes[1]
			w.do(Update{Options: json.RawMessage("0")})
			w.until(time.Minute, "it has left", func() bool { return len(w.status().Nodes) == 1 })
			w.do(Update{Options: json.RawMessage("-1")})
			if restarted {
				w.crash()
				w.pass(time.Minute)
			}
			w.do(Update{Options: json.RawMessage("1")})
			w.until(5*time.Minute, "ready again", w.allReady(2))
			again := w.status().Nodes[1]
			assert.Greater(t, again.Generation, first.Generation)
			assert.Greater(t, again.Incarnation, first.Incarnation)
			w.pass(48 * time.Hour)
			assert.Equal(t, 1, w.made[volumeOf(first)])
			assert.Zero(t, w.removed[volumeOf(again)])
			assert.Equal(t, 2, w.status().Ready)
		})
	}
}

// A volume that has grown stays as large as it is when its options go back.
func TestRollsBackThoughAVolumeHasGrown(t *testing.T) {
	t.Parallel()
	first := settings{Nodes: 3, Version: "1", Disk: 1000}
	w := newWorld(t, databaseOf(t, first), 4, agentResources)
	w.behave = failsOn("bad")
	w.until(time.Minute, "ready", w.allReady(3))
	w.do(Update{Options: optionsOf(t, settings{Nodes: 3, Version: "bad", Disk: 1500})})
	w.until(30*time.Minute, "rolled back", func() bool { return w.status().Options.Trouble != "" && w.updated(3)() })
	status := w.status()
	assert.JSONEq(t, string(optionsOf(t, first)), string(status.Options.Target))
	assert.Contains(t, status.Options.Trouble, "rolled back")
	var sizes []offers.Amount
	for _, n := range status.Nodes {
		sizes = append(sizes, n.Place.volumes()[0].Size)
	}
	assert.Contains(t, sizes, offers.Amount(1500_000))
	assert.Empty(t, w.removed)
}

// withLog makes a service of how large a second volume is, in MiB; none: 0.
func withLog(options json.RawMessage) (*Service, error) {
	var o struct{ Log, Version int }
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, err
	}
	s := versionedService(1)
	version(fmt.Sprint(o.Version))(&s.Pods[0])
	if o.Log > 0 {
		s.Pods[0].Volumes = append(s.Pods[0].Volumes, Volume{Name: "log", Path: "log", Size: offers.Amount(o.Log) * 1000})
	}
	s.Options, s.Revise = options, withLog
	return s, nil
}

// A rollback over an update that added a volume keeps the volume, with what is in
// it, beside those that are declared; nothing else leaves a volume out.
func TestRollsBackOverAVolumeThatWasAdded(t *testing.T) {
	t.Parallel()
	s, err := withLog(json.RawMessage(`{"Log": 0, "Version": 1}`))
	require.NoError(t, err)
	w := newWorld(t, s, 2, agentResources)
	w.behave = failsOn("7")
	w.until(time.Minute, "ready", w.allReady(1))
	w.do(Update{Options: json.RawMessage(`{"Log": 500, "Version": 7}`)})
	w.until(time.Hour, "one has it, and fails", func() bool { return len(w.status().Nodes[0].Place.volumes()) == 2 && w.status().Nodes[0].Failures > 1 })
	_, err = w.command(Update{Options: json.RawMessage(`{"Log": 0}`)})
	require.ErrorContains(t, err, "Volume log: 500: it holds data, and cannot be left out; only a rollback to options without it keeps it in its place, unused")
	w.do(Rollback{})
	w.until(10*time.Minute, "it is as it was", w.updated(1))
	assert.Equal(t, "data:1000 log:500", volumesOf(w.status().Nodes[0]))
	assert.Equal(t, []string{"log"}, w.status().Nodes[0].Place.Retired)

	// So it stays, over a restart of the program and a failure of the node.
	w.crash()
	w.do(RestartNode{Node: "node-0"})
	w.until(time.Hour, "it runs", w.updated(1))
	w.pass(48 * time.Hour)
	assert.Empty(t, w.status().Held)
	assert.Empty(t, w.removed)
	assert.Equal(t, "data:1000 log:500", volumesOf(w.status().Nodes[0]))

	// It is taken again where the options have it again, and destroyed by a replace.
	w.do(Update{Options: json.RawMessage(`{"Log": 500, "Version": 2}`)})
	w.until(time.Hour, "it has it", func() bool {
		return w.updated(1)() && volumesOf(w.status().Nodes[0]) == "data:1000 log:500"
	})
	assert.Empty(t, w.status().Nodes[0].Place.Retired)
	assert.Len(t, w.made, 2)
	assert.Empty(t, w.removed)
}
