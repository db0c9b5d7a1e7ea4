package mesostest

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func requireSound(t *testing.T, s *Sim) {
	t.Helper()
	err := s.Run()
	var f *Finding
	if errors.As(err, &f) {
		t.Fatalf("%v\n%s", err, f.Text())
	}
	require.NoError(t, err)
}

func TestSimCalm(t *testing.T) {
	t.Parallel()
	c := ringConfig(ring{name: "ring", nodes: 3})
	c.Rates = Rates{}
	s := NewSim(1, c)
	requireSound(t, s)
	t.Log(s.Coverage())
}

// All faults; together the runs have every kind.
func TestSimStorm(t *testing.T) {
	t.Parallel()
	seen := Simulate(t, 50_000, ringConfig(ring{name: "ring", nodes: 3}))
	assert.Empty(t, seen.Missing())
	t.Log(seen)
}

// Equal scripts give equal histories, also when the script was read again.
func TestSimHistoryRepeats(t *testing.T) {
	t.Parallel()
	sim := NewSim(3, ringConfig(ring{name: "ring", nodes: 2}))
	first, err := sim.History(sim.Script())
	require.NoError(t, err)
	script, err := ReadScript(strings.NewReader(sim.Script().String()))
	require.NoError(t, err)
	assert.Equal(t, sim.Script(), script)
	second, err := sim.History(script)
	require.NoError(t, err)
	assert.Equal(t, first, second)
}

// A finding is made small, saved, and replayed by its name.
func TestSimFindingIsSmallAndComesBack(t *testing.T) {
	t.Parallel()
	c := ringConfig(ring{name: "ring", nodes: 3, ungated: true})
	sim := NewSim(0, c)
	var f *Finding
	require.ErrorAs(t, sim.Run(), &f)
	assert.Equal(t, "nodes join one after the other", f.Rule)
	assert.Empty(t, f.Script.Faults, "it takes none")
	assert.Equal(t, []int{1}, f.Script.Sizes, "two nodes are enough")
	assert.Less(t, f.Script.Agents, 6)
	assert.Contains(t, f.History[len(f.History)-1], "BROKEN nodes join one after the other")
	path, err := f.Save(t.TempDir(), "ungated")
	require.NoError(t, err)
	script, err := LoadScript(path)
	require.NoError(t, err)
	var again *Finding
	require.ErrorAs(t, NewSim(0, c).Replay(script), &again)
	assert.Equal(t, f.Detail, again.Detail)
	require.NoError(t, NewSim(0, ringConfig(ring{name: "ring", nodes: 3})).Replay(script), "it was mended")
}

// failing is a test that takes note of how it fails.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// What is found is saved before it is made small, and that has an end.
func TestSimFindingIsSavedFirst(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv(seedVariable, "8")
	c := ringConfig(ring{name: "ring", nodes: 3, ungated: true})
	whole := 0
	c.Frameworks[0].Smaller = func() (SimFramework, bool) {
		scripts := savedScripts(t, findings(t))
		if assert.Len(t, scripts, 1) && whole == 0 {
			script, err := LoadScript(scripts[0])
			assert.NoError(t, err)
			whole = len(script.Faults)
		}
		return SimFramework{}, false
	}
	inner := &failing{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		Simulate(inner, 10_000, c)
	}()
	<-done
	assert.NotZero(t, whole, "with all its faults")
	assert.Contains(t, inner.said, "MESOKIT_SEED=8 go test -run '^TestSimFindingIsSavedFirst$'")
	script, err := LoadScript(filepath.Join(findings(t), "seed-8.txt"))
	require.NoError(t, err)
	assert.Empty(t, script.Faults, "it takes none")
}

// A finding that takes many steps is made small within a bound of steps.
func TestSimShrinkingHasAnEnd(t *testing.T) {
	t.Parallel()
	c := ringConfig(ring{name: "ring", nodes: 3})
	c.Rules = append(c.Rules, Rule{Name: "it is seldom quiet", Check: func(w *World) error {
		if _, quiet := w.Quiet(); quiet && len(w.script.Faults) > 10 {
			return errors.New("there were more than ten faults")
		}
		return nil
	}})
	sim := NewSim(0, c)
	var f *Finding
	require.ErrorAs(t, sim.Replay(sim.Script()), &f)
	x := &shrinker{sim: sim, best: f, left: 1_000_000, steps: 20 * f.Steps, more: func() bool { return true }}
	x.shrink()
	assert.Zero(t, x.steps)
	assert.Less(t, len(x.best.Script.Faults), len(f.Script.Faults)/2, "the best so far")
}

func TestSimRefusesWhatIsWrong(t *testing.T) {
	t.Parallel()
	good := func() SimConfig { return ringConfig(ring{name: "ring", nodes: 1}) }
	for name, c := range map[string]struct {
		change func(*SimConfig)
		want   string
	}{
		"no framework": {func(c *SimConfig) { c.Frameworks = nil }, "SimConfig.Frameworks: is empty: want"},
		"no handler":   {func(c *SimConfig) { c.Frameworks[0].Handler = nil }, "SimConfig.Frameworks[0].Handler: is nil: want"},
		"resources":    {func(c *SimConfig) { c.Agents = []AgentConfig{{Resources: "cpus:x"}} }, "SimConfig.Agents[0].Resources: cpus: \"x\": want"},
		"rate":         {func(c *SimConfig) { c.Rates = Rates{Crash: -1} }, "SimConfig.Rates[crash]: -1: want"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := good()
			c.change(&config)
			assert.ErrorContains(t, NewSim(1, config).Run(), c.want)
		})
	}
	for text, want := range map[string]string{
		"1s crash":          "want a number of 0 to 65535",
		"soon crash 1":      "want a time, a kind and a number",
		"1s explosion 1":    "fault \"explosion\": want one of update-lost",
		"agents many":       "agents \"many\": want a number",
		"seed 1\nsmaller x": "line 2",
	} {
		_, err := ReadScript(strings.NewReader(text))
		assert.ErrorContains(t, err, want, text)
	}
}

func TestSimStormForLong(t *testing.T) {
	SoakTest(t, func() SimConfig { return ringConfig(ring{name: "ring", nodes: 3}) })
}
