package frameworks

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler"
)

// named is a quorum of another name, with the name as its role.
func named(name string, count int) *Service {
	s := quorum(count)
	s.Name = name
	return s
}

// options are what services are added with in these tests.
type sizeOptions struct {
	Count int    `json:"count"`
	Role  string `json:"role"`
}

func twoServices() *Services {
	return &Services{
		Declared: []*Service{named("alpha", 3), named("beta", 2)},
		New: func(name string, options json.RawMessage) (*Service, error) {
			var o sizeOptions
			if err := json.Unmarshal(options, &o); err != nil {
				return nil, err
			}
			if o.Count < 1 {
				return nil, fmt.Errorf("count: %d: wants 1 or more", o.Count)
			}
			s := named(name, o.Count)
			s.Role = o.Role
			return s, nil
		},
	}
}

func (w *world) overview() Overview {
	w.t.Helper()
	value, err := w.send(ListServices{})
	require.NoError(w.t, err)
	return value.(Overview)
}

// readyAre waits for so many ready nodes of each service, in order.
func (w *world) readyAre(want ...int) func() bool {
	return func() bool {
		var got []int
		for _, s := range w.overview().Services {
			got = append(got, s.Ready)
		}
		return slices.Equal(got, want)
	}
}

func TestServicesShareAgents(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, twoServices(), 3, agentResources)
	w.until(5*time.Minute, "all are ready", w.readyAre(3, 2))
	ids := map[string]string{}
	for _, name := range []string{"alpha", "beta"} {
		value, err := w.send(ToService{name, AskStatus{}})
		require.NoError(t, err)
		status := value.(Status)
		assert.Equal(t, name, status.Service)
		for _, n := range status.Nodes {
			for _, r := range n.Place.Resources {
				assert.Equal(t, name, r.Reservations[0].GetRole(), "each reserves for its own role")
			}
			ids[volumeOf(n)] = name
		}
	}
	assert.Len(t, ids, 5)

	_, err := w.send(ToService{"gamma", AskStatus{}})
	require.ErrorIs(t, err, ErrUnknown)
	require.EqualError(t, err, `service "gamma": not found; there are alpha, beta`)
	_, err = w.send(AskStatus{})
	require.ErrorContains(t, err, "wants ToService")
	_, err = w.send(ToService{"beta", RestartNode{Node: "node-1"}})
	require.NoError(t, err)
	w.until(5*time.Minute, "ready again", func() bool {
		value, err := w.send(ToService{"beta", AskStatus{}})
		return err == nil && value.(Status).Ready == 2 && value.(Status).Nodes[1].Incarnation == 2
	})
}

func TestServicesAreAddedAndEnd(t *testing.T) {
	t.Parallel()
	several := twoServices()
	w := newWorldOf(t, several, 4, agentResources)
	w.until(5*time.Minute, "all are ready", w.readyAre(3, 2))

	add := AddService{"gamma", json.RawMessage(`{"count":2,"role":"third"}`)}
	_, err := w.send(add)
	require.NoError(t, err)
	_, err = w.send(add)
	require.NoError(t, err, "the same again is no change")
	w.until(5*time.Minute, "it is ready too", w.readyAre(3, 2, 2))
	assert.Equal(t, ServiceSummary{Service: "gamma", Role: "third", Nodes: 2, Ready: 2, Added: true}, w.overview().Services[2])

	for name, c := range map[string]struct {
		add  AddService
		want string
	}{
		"other options":      {AddService{"gamma", json.RawMessage(`{"count":3}`)}, "service gamma: refused: it is there already, with other options"},
		"a declared one":     {AddService{"alpha", nil}, "service alpha: refused: the program declares it already"},
		"not a name":         {AddService{"Delta", nil}, `service "Delta": refused: wants lower case`},
		"options refused":    {AddService{"delta", nil}, "refused: service delta: count: 0: wants 1 or more"},
		"a role in use":      {AddService{"delta", json.RawMessage(`{"count":1,"role":"alpha"}`)}, `service delta: refused: Role: "alpha": service alpha has it`},
		"an invalid service": {AddService{"delta", json.RawMessage(`{"count":1001}`)}, "Service.Pods[0].Count: 1001"},
	} {
		_, err := w.send(c.add)
		require.ErrorContains(t, err, c.want, name)
		require.ErrorIs(t, err, ErrRefused, name)
	}

	// Another scheduler finds them all, and starts none again.
	w.crash()
	started := len(w.started)
	w.until(5*time.Minute, "all are found", w.readyAre(3, 2, 2))
	w.pass(time.Minute)
	assert.Len(t, w.started, started)

	// A program that cannot make it any more leaves it alone, and says so.
	making := several.New
	several.New = func(string, json.RawMessage) (*Service, error) { return nil, errors.New("no longer sold") }
	several.made = nil
	w.crash()
	w.pass(5 * time.Minute)
	require.True(t, w.readyAre(3, 2, 2)())
	assert.Equal(t, "the options in force: service gamma: no longer sold", w.overview().Services[2].Trouble)
	_, err = w.send(ToService{"gamma", AskStatus{}})
	require.NoError(t, err)
	_, err = w.send(ToService{"gamma", RestartNode{Node: "node-0"}})
	require.ErrorIs(t, err, ErrRefused)
	several.New, several.made = making, nil
	w.crash()
	w.until(5*time.Minute, "it is looked after again", func() bool { return w.overview().Services[2].Trouble == "" })
	w.pass(time.Minute)
	assert.Len(t, w.started, started, "its servers ran on")
}

// One of several services is uninstalled: it frees what it had, and its records
// and its role are gone. It can be added again.
func TestServiceEndsAmongOthers(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, twoServices(), 4, agentResources)
	w.until(5*time.Minute, "all are ready", w.readyAre(3, 2))
	_, err := w.send(AddService{"gamma", json.RawMessage(`{"count":1}`)})
	require.NoError(t, err)
	w.until(5*time.Minute, "it is ready too", w.readyAre(3, 2, 1))
	for _, name := range []string{"beta", "gamma"} {
		_, err := w.send(ToService{name, Uninstall{}})
		require.NoError(t, err)
	}
	w.until(30*time.Minute, "they are gone", w.readyAre(3))
	assert.Len(t, w.removed, 3)
	for _, r := range w.records() {
		assert.NotContains(t, r.Key, "beta/node/")
		assert.NotContains(t, r.Key, "gamma/node/")
		assert.NotContains(t, r.Key, "_services/gamma")
	}
	w.crash()
	w.until(5*time.Minute, "alpha is found", w.readyAre(3))
	_, err = w.send(AddService{"beta", json.RawMessage(`{"count":1}`)})
	require.ErrorIs(t, err, ErrRefused, "its program makes it of no options")
	require.ErrorContains(t, err, "service beta: update: refused: the program does not make the service of options")
	_, err = w.send(AddService{"beta", nil})
	require.NoError(t, err)
	w.until(5*time.Minute, "beta is ready again", w.readyAre(3, 2))
}

// A declared service that was uninstalled begins again with the options that an
// operator gives it; what could not be freed of it is known until then.
func TestAServiceBeginsAgain(t *testing.T) {
	t.Parallel()
	s := databaseOf(t, settings{Nodes: 3, Version: "1", Disk: 1000, Role: "db"})
	w := newWorldOf(t, &Services{Declared: []*Service{named("alpha", 1), s}}, 4, agentResources)
	w.until(5*time.Minute, "all are ready", w.readyAre(1, 3))
	value, err := w.send(ToService{"db", AskStatus{}})
	require.NoError(t, err)
	gone := value.(Status).Nodes[2]
	w.cutAgentOf(gone)
	_, err = w.send(ToService{"db", Uninstall{}})
	require.NoError(t, err)
	w.until(time.Hour, "it has ended", func() bool { return len(w.overview().Services) == 1 })
	require.Len(t, w.overview().Left["db"], 1)
	assert.Equal(t, gone.Place.Agent, w.overview().Left["db"][0].Agent)
	w.crash()
	w.pass(time.Minute)
	require.Len(t, w.overview().Left["db"], 1)

	_, err = w.send(AddService{"db", json.RawMessage(`{"nodes":2,"version":null}`)})
	require.ErrorContains(t, err, "version: wants a number")
	require.Len(t, w.overview().Services, 1)
	_, err = w.send(AddService{"db", optionsOf(t, settings{Nodes: 2, Version: "2", Disk: 1000, Role: "db"})})
	require.NoError(t, err)
	w.until(5*time.Minute, "ready", func() bool { o := w.overview(); return len(o.Services) == 2 && o.Services[1].Ready == 2 })
	assert.Empty(t, w.overview().Left)
}

// Services of one scheduler run as their own users, and reserve as one principal.
func TestUserAndPrincipalOfAnAddedService(t *testing.T) {
	t.Parallel()
	several := twoServices()
	several.New = func(name string, options json.RawMessage) (*Service, error) {
		s := named(name, 1)
		s.User, s.Principal = "nobody", strings.Trim(string(options), `"`)
		return s, nil
	}
	w := newWorldOf(t, several, 4, agentResources)
	w.until(5*time.Minute, "ready", w.readyAre(3, 2))
	_, err := w.send(AddService{"gamma", json.RawMessage(`"ops"`)})
	require.ErrorContains(t, err, `service gamma: Service.Principal: "ops": wants that of the framework, ""`)
	users := map[string]string{}
	w.before = func(c *sched.Call) {
		for _, op := range c.GetAccept().GetOperations() {
			for _, task := range op.GetLaunch().GetTaskInfos() {
				users[task.TaskID.Value] = task.Executor.Command.GetUser()
			}
		}
	}
	_, err = w.send(AddService{"gamma", json.RawMessage(`""`)})
	require.NoError(t, err)
	w.until(5*time.Minute, "ready", w.readyAre(3, 2, 1))
	assert.Equal(t, map[string]string{"gamma.node-0.1": "nobody"}, users)
}

// An added service is updated like any other.
func TestAddedServiceIsUpdated(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, twoServices(), 4, agentResources)
	_, err := w.send(AddService{"gamma", json.RawMessage(`{"count":1}`)})
	require.NoError(t, err)
	w.until(5*time.Minute, "all are ready", w.readyAre(3, 2, 1))
	_, err = w.send(ToService{"gamma", Update{Options: json.RawMessage(`{"count":2}`)}})
	require.NoError(t, err)
	w.until(5*time.Minute, "there is one more", w.readyAre(3, 2, 2))
	w.crash()
	w.pass(time.Minute)
	assert.Equal(t, 2, w.overview().Services[2].Nodes)
}

// An event goes to the service that it concerns, and to no other.
func TestEventsGoToWhomTheyConcern(t *testing.T) {
	t.Parallel()
	several := twoServices()
	w := newWorldOf(t, several, 4, agentResources)
	w.until(5*time.Minute, "all are ready", w.readyAre(3, 2))
	value, err := w.send(ToService{"beta", AskStatus{}})
	require.NoError(t, err)
	task := value.(Status).Nodes[0].Task
	for name, c := range map[string]struct {
		event scheduler.Event
		alpha bool
		beta  bool
	}{
		"the executor's message": {scheduler.Messaged{Executor: task}, false, true},
		"an executor's end":      {scheduler.ExecutorLost{Executor: task}, false, true},
		"a job's end":            {scheduler.JobDone{Name: "gate/" + task}, false, true},
		"a tick for nobody":      {scheduler.Tick{}, false, false},
		"an agent's end":         {scheduler.AgentLost{Agent: "x"}, true, true},
		"a rescinded offer":      {scheduler.Rescinded{Offer: "x"}, false, false},
	} {
		asked := map[string]bool{}
		probe, err := scheduler.NewMachine(scheduler.HandlerFunc(func(v scheduler.View, ev scheduler.Event) []scheduler.Action {
			for _, m := range several.members(v) {
				if _, first := ev.(scheduler.Subscribed); !first {
					asked[m.name] = concerns(v, c.event, m)
				}
			}
			return nil
		}), []byte(w.seed), w.records())
		require.NoError(t, err)
		probe.Step(w.now, scheduler.Subscribed{FrameworkID: "F"})
		probe.Step(w.now, scheduler.Rescinded{})
		assert.Equal(t, map[string]bool{"alpha": c.alpha, "beta": c.beta}, asked, name)
	}
}

func TestServicesAreValidated(t *testing.T) {
	t.Parallel()
	same := twoServices()
	same.Declared[1].Role = "alpha"
	require.ErrorContains(t, same.Validate(), `Services.Declared[1].Role: "alpha": wants a role of its own, and service alpha has it`)
	same = twoServices()
	same.Declared[1].Name = "alpha"
	require.ErrorContains(t, same.Validate(), `Services.Declared[1].Name: "alpha": wants a name that no other service has`)
	require.ErrorContains(t, (&Services{}).Validate(), "name what is to run")
}

// Two services compete for agents that hold only some of them, while
// schedulers die; then there is room.
func TestServicesCompete(t *testing.T) {
	t.Parallel()
	for seed := range seeds(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			several := &Services{Declared: []*Service{named("alpha", 3), named("beta", 3)}}
			for _, s := range several.Declared {
				s.Pods[0].Together = false
			}
			w := newWorldOf(t, several, 3, "cpus:1;mem:4096;disk:10000;ports:[31000-31099]") // room for one node each
			random := rand.New(rand.NewSource(seed))
			for range 30 {
				w.dieAt = w.points + 1 + random.Intn(30)
				w.pass(time.Duration(random.Intn(20_000)) * time.Millisecond)
			}
			w.dieAt = 0
			w.pass(5 * time.Minute)
			assert.Equal(t, 3, w.overview().Services[0].Ready+w.overview().Services[1].Ready, "no agent lies idle: %v", w.overview())
			for i := 3; i < 6; i++ {
				w.addAgent(i, "cpus:1;mem:4096;disk:10000;ports:[31000-31099]")
			}
			w.until(30*time.Minute, "all are ready", w.readyAre(3, 3))
			for id, n := range w.made {
				assert.Equal(t, 1, n, id)
			}
			assert.Empty(t, w.removed)
		})
	}
}

// The options that a service was added with are not taken for new ones when the
// scheduler subscribes.
func TestAnUpdateOfAnAddedServiceStays(t *testing.T) {
	t.Parallel()
	several := &Services{
		Declared: []*Service{named("alpha", 1)},
		New: func(name string, options json.RawMessage) (*Service, error) {
			s, err := database(options)
			if err == nil {
				s.Name, s.Revise = name, nil
			}
			return s, err
		},
	}
	w := newWorldOf(t, several, 4, agentResources)
	first := optionsOf(t, settings{Nodes: 1, Version: "1", Disk: 1000, Role: "gamma"})
	next := optionsOf(t, settings{Nodes: 1, Version: "2", Disk: 1000, Role: "gamma"})
	w.until(5*time.Minute, "subscribed before it is added", w.readyAre(1))
	_, err := w.send(AddService{"gamma", first})
	require.NoError(t, err)
	w.until(5*time.Minute, "ready", w.readyAre(1, 1))
	_, err = w.send(ToService{"gamma", Update{Options: next}})
	require.NoError(t, err)
	w.pass(5 * time.Minute)
	options := func() *OptionsStatus {
		value, err := w.send(ToService{"gamma", AskStatus{}})
		require.NoError(t, err)
		return value.(Status).Options
	}
	assert.JSONEq(t, string(next), string(options().Good))
	w.crash()
	w.pass(5 * time.Minute)
	assert.JSONEq(t, string(next), string(options().Target))
	assert.Empty(t, options().Trouble)
}
