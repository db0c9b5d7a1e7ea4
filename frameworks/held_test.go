package frameworks

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
)

// stricter is the database of a later program, which refuses version 2.
func stricter(options json.RawMessage) (*Service, error) {
	s, err := database(options)
	if err == nil && strings.Contains(string(options), `"version":"2"`) {
		err = errors.New("version: 2: is not supported any more")
	}
	if err == nil {
		s.Revise = stricter
	}
	return s, err
}

// refused is a world whose program refuses the options in force.
func refused(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, databaseOf(t, settings{Nodes: 3, Version: "1", Disk: 1000}), 4, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	w.do(Update{Options: optionsOf(t, settings{Nodes: 3, Version: "2", Disk: 1000})})
	w.until(5*time.Minute, "rolled", w.updated(3))
	s, err := stricter(optionsOf(t, settings{Nodes: 3, Version: "1", Disk: 1000}))
	require.NoError(t, err)
	*w.service = *s
	w.crash()
	w.until(time.Minute, "it says so", func() bool { return strings.Contains(w.status().Held, "version: 2: is not supported any more") })
	return w
}

// A program that refuses the options in force touches no server, and takes
// options that hold.
func TestOptionsThatANewProgramRefuses(t *testing.T) {
	t.Parallel()
	w := refused(t)
	w.pass(time.Hour)
	assert.Equal(t, []int{2, 2, 2}, w.incarnations())
	assert.Equal(t, 3, w.status().Ready)
	assert.Contains(t, strings.Join(w.notes, "\n"), "held")

	// One that ends meanwhile is not launched, and says why.
	w.each(func(e *fakeExecutor) {
		if e.id == "db.node-1.2" {
			w.end(e, e.id, mesos.TASK_FAILED, "boom")
		}
	})
	w.pass(10 * time.Minute)
	assert.Equal(t, []int{2, 2, 2}, w.incarnations())
	assert.Contains(t, w.status().Nodes[1].Waits, "version: 2: is not supported any more")
	for _, c := range []any{RestartNode{Node: "node-0"}, ReplaceNode{Node: "node-1"}, ScalePod{Pod: "node", Count: 4}} {
		_, err := w.command(c)
		require.ErrorIs(t, err, ErrRefused, "%T", c)
	}
	_, err := w.command(Update{Options: optionsOf(t, settings{Nodes: 3, Version: "3", Disk: 10})})
	require.ErrorContains(t, err, "cannot become smaller than 1000 MiB")
	w.do(Update{Options: optionsOf(t, settings{Nodes: 3, Version: "3", Disk: 1000})})
	assert.Empty(t, w.status().Held)
	w.until(5*time.Minute, "rolled", w.updated(3))
	assert.Equal(t, []int{3, 3, 3}, w.incarnations())
	assert.Empty(t, w.removed)
}

func TestAServiceThatIsHeldCanBeUninstalled(t *testing.T) {
	t.Parallel()
	w := refused(t)
	over := w.tornDown()
	w.do(Uninstall{})
	w.until(30*time.Minute, "it is gone", over)
	assert.Len(t, w.removed, 3)
}

// The program is started with options that hold: they are an update.
func TestAServiceThatIsHeldTakesItsProgramsOptions(t *testing.T) {
	t.Parallel()
	w := refused(t)
	s, err := stricter(optionsOf(t, settings{Nodes: 3, Version: "3", Disk: 1000}))
	require.NoError(t, err)
	*w.service = *s
	w.crash()
	w.until(5*time.Minute, "rolled", w.updated(3))
	assert.Empty(t, w.status().Held)
	assert.Equal(t, []int{3, 3, 3}, w.incarnations())
}

// A declaration without options is compared with the places of its nodes.
func TestADeclarationThatWouldLoseDataIsHeld(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*Service)
		want   string // empty: it is taken
	}{
		"volume renamed":   {func(s *Service) { s.Pods[0].Volumes[0].Name = "db" }, "Pod node: Volume data: 1000: it holds data, and cannot be left out"},
		"volume moved":     {func(s *Service) { s.Pods[0].Volumes[0].Path = "db" }, "Pod node: Volume data: db: its data is at data"},
		"another disk":     {func(s *Service) { s.Pods[0].Volumes[0].Disk = offers.PathDisk }, "Pod node: Volume data: PATH: it is on a root disk"},
		"a port elsewhere": {func(s *Service) { s.Pods[0].Ports[0].Begin, s.Pods[0].Ports[0].End = 9000, 9009 }, "its nodes keep theirs: map[peer:31000]"},
		"a disk of blocks": {func(s *Service) {
			s.Pods[0].Volumes = append(s.Pods[0].Volumes[:1:1], Volume{Name: "raw", Path: "raw", Size: 1, Disk: offers.BlockDisk})
		}, "Pod node: Volumes: 1: its nodes have 0 disks of blocks"},
		"a second port":    {func(s *Service) { s.Pods[0].Ports = append(s.Pods[0].Ports, Port{Name: "sql"}) }, ""},
		"a port left out":  {func(s *Service) { s.Pods[0].Ports = nil }, ""},
		"another role":     {func(s *Service) { s.Role = "other" }, "Service.Role: other: the reservations are those of db"},
		"pod renamed":      {func(s *Service) { s.Pods[0].Name = "other" }, "Pod: node: it has 3 nodes: let them leave first"},
		"more memory":      {func(s *Service) { s.Pods[0].Needs = offers.MustParse("cpus:1;mem:600") }, ""},
		"a larger volume":  {func(s *Service) { s.Pods[0].Volumes[0].Size = 2_000_000 }, ""},
		"a smaller volume": {func(s *Service) { s.Pods[0].Volumes[0].Size = 500_000 }, ""},
		"another command":  {func(s *Service) { version("2")(&s.Pods[0]) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, versionedService(3), 4, agentResources)
			w.until(time.Minute, "ready", w.allReady(3))
			before := w.status().Nodes
			next := versionedService(3)
			c.change(next)
			*w.service = *next
			w.crash()
			w.pass(10 * time.Minute)
			assert.Equal(t, 3, w.status().Ready)
			assert.Empty(t, w.removed)
			if c.want == "" {
				assert.Empty(t, w.status().Held)
				return
			}
			assert.Contains(t, w.status().Held, c.want)
			assert.Equal(t, []int{1, 1, 1}, w.incarnations())

			// As it was before, it is looked after again.
			*w.service = *versionedService(3)
			w.crash()
			w.until(5*time.Minute, "as it was", w.updated(3))
			assert.Empty(t, w.status().Held)
			assert.Equal(t, before[0].Place.Resources, w.status().Nodes[0].Place.Resources)
			assert.Equal(t, []int{1, 1, 1}, w.incarnations())
		})
	}
}

// A service whose role its program changed can still be uninstalled.
func TestAServiceOfAnotherRoleIsUninstalled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, versionedService(2), 3, agentResources)
	w.until(time.Minute, "ready", w.allReady(2))
	w.service.Role = "other"
	w.crash()
	w.until(time.Minute, "held", func() bool { return w.status().Held != "" })
	over := w.tornDown()
	w.do(Uninstall{})
	w.until(30*time.Minute, "it is gone", over)
	assert.Len(t, w.removed, 2)
}

// (A master lets no framework come back with another principal.)
func TestAServiceOfAnotherPrincipalIsHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t, versionedService(2), 3, agentResources)
	w.until(time.Minute, "ready", w.allReady(2))
	w.service.Principal = "ops"
	var err error
	w.machine, err = scheduler.NewMachine(w.handler, []byte(w.seed), w.records())
	require.NoError(t, err)
	w.step(scheduler.Tick{})
	assert.Equal(t, `Service.Principal: ops: the reservations are those of ""`, w.status().Held)
}

// A service that the program declares no more is left as it is until somebody
// says what is to become of it.
func TestAServiceThatNoProgramDeclares(t *testing.T) {
	t.Parallel()
	several := twoServices()
	w := newWorldOf(t, several, 4, agentResources)
	w.until(5*time.Minute, "ready", w.readyAre(3, 2))
	declared := several.Declared
	several.Declared = declared[:1]
	w.crash()
	w.pass(time.Hour)
	require.True(t, w.readyAre(3, 2)())
	assert.Equal(t, ServiceSummary{Service: "beta", Role: "beta", Nodes: 2, Ready: 2, Trouble: errUndeclared.Error()}, w.overview().Services[1])
	w.each(func(e *fakeExecutor) { assert.True(t, e.serves, e.id) })

	several.Declared = declared
	w.crash()
	w.pass(10 * time.Minute)
	require.True(t, w.readyAre(3, 2)())
	assert.Empty(t, w.overview().Services[1].Trouble)
	assert.Len(t, w.started, 5, "no server was started again")

	several.Declared = declared[:1]
	w.crash()
	w.pass(time.Minute)
	_, err := w.send(ToService{"beta", Uninstall{}})
	require.NoError(t, err)
	w.until(30*time.Minute, "it is gone", w.readyAre(3))
	assert.Len(t, w.removed, 2)
	w.pass(time.Hour)
	w.crash()
	w.pass(time.Minute)
	require.True(t, w.readyAre(3)())
}
