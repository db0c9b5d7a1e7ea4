package executor

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// A Decorator adds labels and variables to tasks, and labels to their statuses,
// as hook modules do in Mesos: what a place knows and the author of the task
// does not, such as its rack or the number of its cores. In the executor it
// stands in Config.Decorators; in a scheduler use Decorate before the launch.
// Both functions may be nil. They are called one at a time and must not block.
type Decorator struct {
	// Task returns labels of the task and variables of its environment. These
	// replace those of Task.Env, and stand for others as there.
	Task func(task mesos.TaskInfo) (labels []mesos.Label, env map[string]string)
	// Status returns labels of one status. They come after those that Task has
	// returned, which every status of the task carries.
	Status func(task mesos.TaskInfo, s mesos.TaskStatus) []mesos.Label
}

// Decorate returns the task with what the decorators add: labels to its labels,
// variables to its command or, where it has none, to the Task in its data. It is
// for schedulers; info stays as it is.
func Decorate(info mesos.TaskInfo, by ...Decorator) (mesos.TaskInfo, error) {
	all := decorators{all: by}
	labels, env, err := all.task(info)
	if err != nil {
		return mesos.TaskInfo{}, err
	}
	if len(labels) > 0 {
		info.Labels = &mesos.Labels{Labels: slices.Concat(info.GetLabels().GetLabels(), labels)}
	}
	switch {
	case len(env) == 0:
	case info.Command != nil:
		command := *info.Command
		variables := slices.Clone(command.GetEnvironment().GetVariables())
		for _, name := range slices.Sorted(maps.Keys(env)) {
			value := env[name]
			variables = slices.DeleteFunc(variables, func(v mesos.Environment_Variable) bool { return v.Name == name })
			variables = append(variables, mesos.Environment_Variable{Name: name, Value: &value})
		}
		command.Environment = &mesos.Environment{Variables: variables}
		info.Command = &command
	default:
		task, err := ParseTask(info.Data)
		if err != nil {
			return mesos.TaskInfo{}, fmt.Errorf("decorate %s: %w", info.TaskID.Value, err)
		}
		if info.Data, err = json.Marshal(task.with(env)); err != nil {
			return mesos.TaskInfo{}, fmt.Errorf("decorate %s: %w", info.TaskID.Value, err)
		}
	}
	return info, nil
}

// with is t with these variables.
func (t Task) with(env map[string]string) Task {
	if len(env) > 0 {
		t.Env = maps.Clone(t.Env)
		if t.Env == nil {
			t.Env = map[string]string{}
		}
		maps.Copy(t.Env, env)
	}
	return t
}

// decorators are those of one executor, in order.
type decorators struct {
	all []Decorator
	log *slog.Logger
}

// task is what all of them add to a task. The last one to name a variable sets
// it.
func (d decorators) task(info mesos.TaskInfo) (labels []mesos.Label, env map[string]string, err error) {
	env = map[string]string{}
	err = protect(func() error {
		for _, one := range d.all {
			if one.Task != nil {
				l, e := one.Task(info)
				labels = append(labels, l...)
				maps.Copy(env, e)
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("decorate %s: %w", info.TaskID.Value, err)
	}
	return labels, env, nil
}

// status is what all of them add to a status. That must reach the scheduler
// whatever a decorator does.
func (d decorators) status(info mesos.TaskInfo, s mesos.TaskStatus) []mesos.Label {
	var labels []mesos.Label
	for _, one := range d.all {
		if one.Status == nil {
			continue
		}
		err := protect(func() error {
			labels = append(labels, one.Status(info, s)...)
			return nil
		})
		if err != nil {
			d.log.Error("status is not decorated", "task", info.TaskID.Value, "error", err)
		}
	}
	return labels
}
