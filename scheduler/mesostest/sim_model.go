package mesostest

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// What a [SimModel] may do in the world.

// Model is what SimConfig.Model has made.
func (w *World) Model() SimModel { return w.model }

// After does something later, in virtual time. It is for models.
func (w *World) After(d time.Duration, do func()) { w.after(max(d, 0), do) }

// Luck is a number that depends on the seed and the words, and on nothing else.
func (w *World) Luck(words ...string) uint64 { return w.luck(words...) }

// EndTask ends a task that failed by itself: a server that crashed, or that
// cannot start. It does nothing where the task has ended.
func (w *World) EndTask(task SimTask, message string) {
	for _, a := range w.agents {
		for _, e := range a.list() {
			if t := e.task(task.Info.TaskID.Value); t != nil && e.owner != nil && e.owner.Name == task.Framework {
				w.ends(t, mesos.TASK_FAILED, message)
			}
		}
	}
}

// Say adds a line to the history.
func (w *World) Say(format string, args ...any) { w.say(format, args...) }
