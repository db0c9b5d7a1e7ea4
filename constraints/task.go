package constraints

import "iter"

// Task is a task as its framework knows it. Which tasks count as placed is the
// framework's decision: it hands them to [Placement.PlaceAll] with the filters
// that fit.
type Task struct {
	// ID is what Except looks for: the task's or its node's name.
	ID string
	// Pod is its type.
	Pod string
	// Version of the configuration that it runs; a later one is greater.
	Version int64
	// Confirmed: it has been reported running since it was launched.
	Confirmed bool
	Agent     Agent
}

// PlaceAll counts the tasks of a pod type that pass all filters, and the tasks
// of other pod types for NEAR and NEVER_WITH, whatever the filters say.
func (p *Placement) PlaceAll(pod string, tasks iter.Seq[Task], only ...func(Task) bool) {
next:
	for t := range tasks {
		if t.Pod != pod {
			p.PlaceOther(t.Pod, t.Agent)
			continue
		}
		for _, counts := range only {
			if !counts(t) {
				continue next
			}
		}
		p.Place(t.Agent)
	}
}

// Since counts tasks of at least a version. Marathon counts so, with the version
// of the last change of configuration: during an upgrade the new generation is
// spread as if the old one were not there.
func Since(version int64) func(Task) bool {
	return func(t Task) bool { return t.Version >= version }
}

// SameVersion counts tasks of exactly a version.
func SameVersion(version int64) func(Task) bool {
	return func(t Task) bool { return t.Version == version }
}

// Except counts all tasks but one: the one that is being replaced, which so may
// return to its own agent. dcos-commons counts so.
func Except(id string) func(Task) bool {
	return func(t Task) bool { return t.ID != id }
}

// Confirmed counts tasks only once they have been reported running. Without it
// those that are merely launched count too, which is what keeps two offers of
// one batch from getting the same node; it is for looking at the spread as it
// is, not for placing.
func Confirmed(t Task) bool { return t.Confirmed }
