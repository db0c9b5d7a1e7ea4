package scheduler

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"
)

// jobTimeout is how long a job may take that names no time of its own.
const jobTimeout = time.Minute

// workshop runs the jobs that a machine has started.
type workshop struct {
	worker  Worker // nil where the handler is none
	done    chan JobDone
	running sync.WaitGroup
}

func newWorkshop(h Handler) *workshop {
	worker, _ := h.(Worker)
	return &workshop{worker: worker, done: make(chan JobDone)}
}

// start runs a job until it is done or ctx ends; then nobody wants to know.
func (w *workshop) start(ctx context.Context, job Job) {
	w.running.Go(func() {
		outcome := JobDone{Name: job.Name}
		result, err := w.work(ctx, job)
		if err != nil {
			outcome.Err = err.Error()
		} else {
			outcome.Result = result
		}
		select {
		case w.done <- outcome:
		case <-ctx.Done():
		}
	})
}

func (w *workshop) work(ctx context.Context, job Job) ([]byte, error) {
	if w.worker == nil {
		return nil, fmt.Errorf("job %q of kind %q: the handler is no Worker", job.Name, job.Kind)
	}
	if job.Delay > 0 {
		select {
		case <-time.After(job.Delay):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(job.Timeout, jobTimeout))
	defer cancel()
	return w.worker.Work(ctx, job)
}
