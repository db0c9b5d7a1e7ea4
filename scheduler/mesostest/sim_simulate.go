package mesostest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The environment of simulations in tests.
const (
	// seedVariable is the first seed of [Simulate]; another one each time unless
	// set, or 1 where CI=true.
	seedVariable = "MESOKIT_SEED"
	// soakVariable is how many steps [SoakTest] takes; it is skipped unless set.
	soakVariable = "MESOKIT_SOAK"
)

// Simulate runs simulations in a test, one seed after the other, until they
// have taken so many steps. Before that it replays what was found earlier: the
// scripts in testdata/sim/<name of the test>. The first seed is what MESOKIT_SEED
// says, or else another one each time, but 1 where CI=true. A finding is made
// small and saved there, with its history, and ends the test; it is replayed from
// then on.
func Simulate(t testing.TB, steps uint64, c SimConfig) Coverage {
	t.Helper()
	dir := findings(t)
	var all Coverage
	for _, path := range savedScripts(t, dir) {
		script, err := LoadScript(path)
		if err != nil {
			t.Fatal(err)
		}
		sim := NewSim(script.Seed, c)
		if err := sim.Replay(script); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all.Add(sim.Coverage())
	}
	first := firstSeed(t)
	t.Logf("seeds from %d (%s)", first, seedVariable)
	for seed := first; all.Steps < steps; seed++ {
		sim := NewSim(seed, c)
		report(t, dir, sim, sim.Replay(sim.Script()))
		all.Add(sim.Coverage())
	}
	return all
}

// findings is where what a test found is. What TestXForLong finds, TestX replays.
func findings(t testing.TB) string {
	test, part, _ := strings.Cut(t.Name(), "/")
	if part != "" {
		part = "-" + strings.ReplaceAll(part, "/", "-")
	}
	return filepath.Join("testdata", "sim", strings.TrimSuffix(test, "ForLong")+part)
}

func savedScripts(t testing.TB, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(paths)
	return paths
}

// freshSeed is the same for all tests of a process. Where CI is set it is always
// the same one: what judges a commit is not to depend on luck.
var freshSeed = sync.OnceValue(func() uint64 {
	if os.Getenv("CI") == "true" {
		return 1
	}
	return uint64(time.Now().Unix())
})

func firstSeed(t testing.TB) uint64 {
	t.Helper()
	text := os.Getenv(seedVariable)
	if text == "" {
		return freshSeed()
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s=%q: want a number", seedVariable, text)
	}
	return seed
}

// report ends the test with a finding, if there is one, and saves it: as it is
// first, and then small, which takes a while.
func report(t testing.TB, dir string, sim *Sim, err error) {
	t.Helper()
	var f *Finding
	switch {
	case err == nil:
		return
	case !errors.As(err, &f):
		t.Fatal(err)
	}
	path := announce(t, dir, f)
	f = sim.shrinkWhile(f, timeOf(t))
	if _, err := f.Save(dir, f.name()); err != nil {
		t.Error(err)
	}
	t.Fatalf("%v\nmade small by %d runs and saved as %s, which every run of the test replays from now on; elsewhere: %s\n%s",
		f, f.Tries, path, replays(t, f), f.Text())
}

// timeOf says whether a test may still make a finding small: for a minute, or a
// quarter of what is left to it, for a slow model takes long under the race detector.
func timeOf(t testing.TB) func() bool {
	end := time.Now().Add(time.Minute)
	if d, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if last, ok := d.Deadline(); ok && time.Until(last)/4 < time.Minute {
			end = time.Now().Add(time.Until(last) / 4)
		}
	}
	return func() bool { return time.Now().Before(end) }
}

// announce saves a finding, and says what was found and how it happens again, so
// that it is not lost if the test is stopped while the finding is made small. A
// test's log would be.
func announce(t testing.TB, dir string, f *Finding) (path string) {
	t.Helper()
	path, err := f.Save(dir, f.name())
	if err != nil {
		t.Error(err)
	}
	fmt.Fprintf(os.Stderr, "%s: %v\nsaved as %s; again: %s; it is made small now\n", t.Name(), f, path, replays(t, f))
	return path
}

// replays is the command that has a finding again.
func replays(t testing.TB, f *Finding) string {
	return fmt.Sprintf("%s=%d go test -run '^%s$'", seedVariable, f.Script.Seed, strings.ReplaceAll(t.Name(), "/", "$/^"))
}

// Soak is what many simulations came to.
type Soak struct {
	Coverage
	Seeds    uint64
	Findings []*Finding    // one for each rule that was broken, in the order of seeds
	Broken   uint64        // runs that broke a rule
	Took     time.Duration // without making findings small
}

// maxBroken is how many broken runs end a soak.
const maxBroken = 100

// RunSoak simulates on all cores, from a first seed on, until ctx ends or so
// many steps were taken. It goes on after findings, and makes the first of each
// rule small. Each core gets a configuration of its own, so that handlers need
// not be safe for concurrent use.
func RunSoak(ctx context.Context, first, steps uint64, config func() SimConfig) (Soak, error) {
	return soak(ctx, first, steps, config, func(*Finding) {})
}

// soak is RunSoak that says what it has found before it makes it small.
func soak(ctx context.Context, first, steps uint64, config func() SimConfig, found func(*Finding)) (Soak, error) {
	var s Soak
	if err := config().withDefaults().validate(); err != nil {
		return s, err
	}
	began := time.Now()
	var next, taken atomic.Uint64
	next.Store(first)
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		c := config()
		workers.Go(func() {
			for ctx.Err() == nil && taken.Load() < steps {
				sim := NewSim(next.Add(1)-1, c)
				err := sim.Replay(sim.Script())
				taken.Add(sim.coverage.Steps)
				mu.Lock()
				if f := s.add(sim, err); f != nil {
					found(f)
				}
				enough := s.Broken >= maxBroken
				mu.Unlock()
				if enough {
					return
				}
			}
		})
	}
	workers.Wait()
	slices.SortFunc(s.Findings, func(a, b *Finding) int { return strings.Compare(a.Rule, b.Rule) })
	s.Took = time.Since(began)
	for i, f := range s.Findings {
		s.Findings[i] = NewSim(f.Script.Seed, config()).shrink(f)
	}
	return s, nil
}

// add counts a run, and returns what it found if that is the first of its rule.
func (s *Soak) add(sim *Sim, err error) *Finding {
	s.Seeds++
	s.Coverage.Add(sim.coverage)
	var f *Finding
	if !errors.As(err, &f) {
		return nil
	}
	s.Broken++
	if slices.ContainsFunc(s.Findings, func(x *Finding) bool { return x.Rule == f.Rule }) {
		return nil
	}
	s.Findings = append(s.Findings, f)
	return f
}

// String is a table: seeds, steps, faults of each kind, violations, and steps
// per second.
func (s Soak) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seeds %d, violations %d, %.0f steps a second for %v\n%s",
		s.Seeds, s.Broken, float64(s.Steps)/max(s.Took.Seconds(), 1e-9), s.Took.Round(time.Second), s.Coverage)
	for _, f := range s.Findings {
		fmt.Fprintf(&b, "VIOLATION %v\n", f)
	}
	return b.String()
}

// SoakTest is RunSoak as a test, for as many steps as MESOKIT_SOAK says, from
// the seed that MESOKIT_SEED says, but not longer than the test may. It is
// skipped where MESOKIT_SOAK is not set; make soak sets it.
func SoakTest(t testing.TB, config func() SimConfig) {
	t.Helper()
	text := os.Getenv(soakVariable)
	if text == "" {
		t.Skipf("%s is not set: see make soak", soakVariable)
	}
	steps, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s=%q: want a number of steps", soakVariable, text)
	}
	ctx := context.Background()
	if d, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if end, ok := d.Deadline(); ok { // what it saw by then counts
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, end.Add(-time.Until(end)/10))
			defer cancel()
		}
	}
	s, err := soak(ctx, firstSeed(t), steps, config, func(f *Finding) { announce(t, findings(t), f) })
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", s)
	for _, f := range s.Findings {
		path, err := f.Save(findings(t), f.name())
		t.Errorf("%v\nsaved as %s (%v)", f, path, err)
	}
}
