package mesostest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Finding is a rule that was broken, and how.
type Finding struct {
	Script Script // with which it happens again
	Rule   string
	Detail string
	At     time.Duration // in virtual time
	Steps  uint64        // of the run that shows it
	// History is what happened, line by line; nil before [Sim.Run] has made it.
	History []string
	// Found is how many faults the script had before it was made small, and
	// Tries how many runs that took.
	Found, Tries int
}

// Error says what was broken and how to see it again.
func (f *Finding) Error() string {
	return fmt.Sprintf("seed %d: %s: %s (at %v, after %d steps, with %d of %d faults)",
		f.Script.Seed, f.Rule, f.Detail, f.At, f.Steps, len(f.Script.Faults), max(f.Found, len(f.Script.Faults)))
}

// Text is the finding as it is saved: the script, and then the history for
// people.
func (f *Finding) Text() string {
	text := fmt.Sprintf("# %s\n# %s\n%s", f.Rule, strings.ReplaceAll(f.Detail, "\n", "\n# "), f.Script)
	if f.History != nil {
		text += historyMark + "\n" + strings.Join(f.History, "\n") + "\n"
	}
	return text
}

// name is that of its file.
func (f *Finding) name() string { return fmt.Sprintf("seed-%d", f.Script.Seed) }

// Save writes the finding into a directory, which is made, and returns the
// path. [LoadScript] reads it.
func (f *Finding) Save(dir, name string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, name+".txt")
	return path, os.WriteFile(path, []byte(f.Text()), 0o644)
}

// shrinkSteps bounds what all runs of a shrinking take together. What is found by
// then is reported.
const shrinkSteps = 400_000

// shrink makes a finding as small as it gets with the tries and the steps there
// are, and writes its history.
func (s *Sim) shrink(f *Finding) *Finding { return s.shrinkWhile(f, func() bool { return true }) }

// shrinkWhile ends with the run during which somebody has no time any more.
func (s *Sim) shrinkWhile(f *Finding, more func() bool) *Finding {
	c := *s
	// The books are looked at now and then, so that when depends on the history.
	c.cfg.thorough = f.Rule == booksRule
	x := &shrinker{sim: &c, best: f, left: max(s.cfg.Shrink, 0), steps: shrinkSteps, more: more}
	x.shrink()
	small := *x.best
	small.Found, small.Tries = len(f.Script.Faults), max(s.cfg.Shrink, 0)-x.left
	small.History = c.history(small.Script)
	return &small
}

type shrinker struct {
	sim   *Sim
	best  *Finding
	left  int    // runs
	steps uint64 // of all of them together
	more  func() bool
}

func (x *shrinker) shrink() {
	for before := (*Finding)(nil); x.best != before && !x.spent(); {
		before = x.best
		x.fewerFaults()
		x.fewerFrameworks()
		x.fewerAgents()
	}
}

func (x *shrinker) spent() bool { return x.left <= 0 || x.steps == 0 || !x.more() }

// try runs a smaller script, and keeps it if the same rule breaks.
func (x *shrinker) try(script Script) bool {
	if x.spent() {
		return false
	}
	x.left--
	quiet := &Sim{seed: script.Seed, cfg: x.sim.cfg}
	// What breaks breaks in about as many steps, or else the run is another.
	quiet.cfg.Steps = min(quiet.cfg.Steps, x.best.Steps+x.best.Steps/2+1000, x.steps)
	err := quiet.Replay(script)
	x.steps -= min(x.steps, quiet.coverage.Steps)
	var f *Finding
	if !errors.As(err, &f) || f.Rule != x.best.Rule {
		return false
	}
	x.best = f
	return true
}

// fewerFaults drops faults: halves, quarters and so on, and then each.
func (x *shrinker) fewerFaults() {
	keep := x.best.Script
	keep.Faults = slices.DeleteFunc(slices.Clone(keep.Faults), func(f Fault) bool { return f.At > x.best.At })
	if len(keep.Faults) < len(x.best.Script.Faults) {
		x.try(keep)
	}
	for size := (len(x.best.Script.Faults) + 1) / 2; size > 0; {
		dropped := false
		for from := 0; from < len(x.best.Script.Faults) && !x.spent(); {
			less := x.best.Script
			less.Faults = slices.Concat(less.Faults[:from], less.Faults[min(from+size, len(less.Faults)):])
			if x.try(less) {
				dropped = true
			} else {
				from += size
			}
		}
		if size == 1 && !dropped {
			return
		}
		if size > 1 {
			size = (size + 1) / 2
		}
		if x.spent() {
			return
		}
	}
}

// fewerFrameworks makes each framework smaller as long as that may be.
func (x *shrinker) fewerFrameworks() {
	for i := range x.sim.cfg.Frameworks {
		for {
			less := x.best.Script
			less.Sizes = slices.Clone(less.Sizes)
			for len(less.Sizes) <= i {
				less.Sizes = append(less.Sizes, 0)
			}
			less.Sizes[i]++
			if _, err := x.sim.scaled(less); err != nil || !x.try(less) {
				break
			}
		}
	}
}

func (x *shrinker) fewerAgents() {
	for {
		less := x.best.Script
		if less.Agents == 0 {
			less.Agents = len(x.sim.cfg.Agents)
		}
		if less.Agents--; less.Agents < 1 || !x.try(less) {
			return
		}
	}
}

// history runs a script again and writes down what happens.
func (s *Sim) history(script Script) []string {
	w, err := s.world(script)
	if err != nil {
		return []string{err.Error()}
	}
	var lines []string
	w.tell = func(line string) { lines = append(lines, line) }
	w.run()
	return lines
}

// History is what happens with a script, line by line.
func (s *Sim) History(script Script) ([]string, error) {
	if err := s.cfg.validate(); err != nil {
		return nil, err
	}
	if _, err := s.scaled(script); err != nil {
		return nil, err
	}
	return s.history(script), nil
}
