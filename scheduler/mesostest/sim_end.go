package mesostest

import (
	"time"

	"github.com/mesokit/mesokit/scheduler"
)

// settled is how long all goals must hold.
const settled = 2 * time.Minute

// look sees, once the storm is over, whether all is well.
func (w *World) look() {
	for _, f := range w.frameworks {
		f.facts.look = true
		for _, p := range f.processes {
			p.receive(simNews{scheduler.Tick{}, false})
		}
	}
	w.after(time.Minute, w.judge)
}

// judge draws the conclusion from what the handlers answered.
func (w *World) judge() {
	var missing *simFramework
	for _, f := range w.frameworks {
		if !f.finished && (f.facts.goal != nil || len(f.processes) == 0) {
			missing = f
			break
		}
	}
	switch {
	case missing == nil && w.reached == 0:
		w.reached = w.now
	case missing == nil && w.now-w.reached >= int64(settled):
		w.finish()
		return
	case missing != nil:
		w.reached = 0
		if w.since() > w.script.Storm+w.cfg.Quiet {
			w.fail("every goal is reached", "%s, %v after the storm: %v", missing.Name, w.cfg.Quiet, missing.facts.goal)
			return
		}
		w.settle()
	}
	w.look()
}

// settle lets operators do what they want done, and handlers say what is
// missing.
func (w *World) settle() {
	for _, f := range w.frameworks {
		for _, value := range f.facts.wishes {
			w.command(f, value)
		}
		f.facts.wishes = nil
	}
}

// finish checks what must hold in the end.
func (w *World) finish() {
	w.done = true
	w.checkBooks()
	for _, f := range w.frameworks {
		if f.finished {
			continue
		}
		alive, nodes := w.alive(f), map[string]string{}
		for _, id := range sortedKeysOf(alive) {
			node := alive[id]
			switch other := nodes[node]; {
			case !f.facts.known[id]:
				w.fail("every task that runs is known", "%s: %s runs, and the scheduler does not know", f.Name, id)
			case node != "" && other != "":
				w.fail("no task is left behind", "%s of %s: %s and %s run", node, f.Name, other, id)
			}
			nodes[node] = id
		}
		for _, id := range sortedKeysOf(f.facts.known) {
			if _, runs := alive[id]; !runs {
				w.fail("every task taken for running runs", "%s: %s does not run, and the scheduler thinks so", f.Name, id)
			}
		}
	}
}

// alive are the tasks of a framework that run and are not about to end, with
// their nodes.
func (w *World) alive(f *simFramework) map[string]string {
	out := map[string]string{}
	for _, a := range w.agents {
		for _, e := range a.list() {
			for _, t := range e.tasks {
				if e.owner == f && t.runs && !t.ending {
					out[t.info.TaskID.Value] = t.node
				}
			}
		}
	}
	return out
}
