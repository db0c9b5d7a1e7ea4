package frameworks

import (
	"fmt"
	"log/slog"
	"math"
	"slices"
)

// A rollout may be parted into waves: by percents of the nodes that are out of
// date, or by what their agents have in common. The nodes of a wave are all ready
// before one of the next is taken. What is out of reach holds no wave up.

// validate says what of a rollout cannot be.
func (r *Rollout) validate(bad func(name string, value any, want string)) {
	if r.Parallel < 0 || r.Canary < 0 || r.Failures < 0 {
		bad("Rollout", fmt.Sprintf("Parallel %d, Canary %d, Failures %d", r.Parallel, r.Canary, r.Failures), "wants numbers of 0 or more")
	}
	if r.Patience < 0 {
		bad("Rollout.Patience", r.Patience, "wants a duration of 0 or more")
	}
	for i, percent := range r.Percents {
		if percent < 1 || percent > 100 || i > 0 && percent <= r.Percents[i-1] {
			bad("Rollout.Percents", r.Percents, "wants percents that rise, from 1 to 100, such as 10, 50")
			break
		}
	}
	if r.By != "" && len(r.Percents) > 0 {
		bad("Rollout.By", r.By, "wants no Percents beside it: its waves are the values of the attribute")
	}
	if r.Pause && !r.parted() {
		bad("Rollout.Pause", r.Pause, "wants waves to pause between: By or Percents")
	}
}

// parted says whether it has waves.
func (r *Rollout) parted() bool { return r.By != "" || len(r.Percents) > 0 }

// bound is how many nodes are taken when a wave of percents is over.
func (r *Rollout) bound(wave, total int) int {
	if wave > len(r.Percents) {
		return math.MaxInt
	}
	return (total*r.Percents[wave-1] + 99) / 100
}

// nextWave begins the first wave of a rollout, or the next when one is over; awake
// are the nodes to be taken that can be reached and do not rest. None is under way.
func (d *decision) nextWave(p *Pod, awake []*Node) {
	r := &d.pods[p.Name].Rollout
	if !p.Rollout.parted() || r.Since.IsZero() || r.Paused != "" {
		return
	}
	left := d.inOrder(append(d.waiting(p.Name), awake...))
	switch {
	case len(left) == 0:
		return
	case r.Wave == 0:
		r.Total = len(left)
	case p.Rollout.By == "" && r.Taken < p.Rollout.bound(r.Wave, r.Total),
		p.Rollout.By != "" && slices.ContainsFunc(left, d.inWave):
		return
	}
	if p.Rollout.By != "" {
		if left = d.ordered(p, left); len(left) == 0 {
			return
		}
		r.Value = left[0].Place.Attribute(p.Rollout.By)
	}
	r.Wave++
	d.announce("wave", p, slog.String("which", p.wave(r)))
	if p.Rollout.Pause && r.Wave > 1 {
		r.Paused = fmt.Sprintf("wave %d is updated and ready; next is %s: resume it", r.Wave-1, p.wave(r))
		d.announce("rollout paused", p, slog.String("why", r.Paused))
	}
}

// inWave says whether a node may be taken in the wave under way. (How many may
// be of a wave of percents, quota says.) One that runs and does not serve may be
// in any: none of the wave can be spared as long as others wait for it.
func (d *decision) inWave(n *Node) bool {
	by, r := d.pod(n.Pod).Rollout.By, &d.pods[n.Pod].Rollout
	if by == "" || r.Wave > 0 && n.Place != nil && n.Place.Attribute(by) == r.Value {
		return true
	}
	_, live := d.live(n)
	return live && !n.Ready && !d.aims(n)
}

// wave names the wave under way.
func (p *Pod) wave(r *rolloutRecord) string {
	switch {
	case p.Rollout.By != "":
		return fmt.Sprintf("wave %d, %s %q", r.Wave, p.Rollout.By, r.Value)
	case r.Wave > len(p.Rollout.Percents):
		return fmt.Sprintf("wave %d, all that are left", r.Wave)
	}
	return fmt.Sprintf("wave %d, up to %d percent (%d of %d nodes)", r.Wave, p.Rollout.Percents[r.Wave-1], p.Rollout.bound(r.Wave, r.Total), r.Total)
}
