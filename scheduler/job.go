package scheduler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// jobTimeout is how long a job may take that names no time of its own.
const jobTimeout = time.Minute

var errCancelled = errors.New("cancelled")

// workshop runs the jobs that a machine has started. Only the loop calls it.
type workshop struct {
	worker  Worker     // nil where the handler is none
	news    chan Event // JobProgress and, as the last of each job, JobDone
	running sync.WaitGroup
	cancels map[string]context.CancelCauseFunc // of the jobs that are not done
}

func newWorkshop(h Handler) *workshop {
	worker, _ := h.(Worker)
	return &workshop{worker: worker, news: make(chan Event), cancels: map[string]context.CancelCauseFunc{}}
}

// start runs a job until it is done or ctx ends; then nobody wants to know.
func (w *workshop) start(ctx context.Context, job Job) {
	inner, cancel := context.WithCancelCause(ctx)
	w.cancels[job.Name] = cancel
	inner = context.WithValue(inner, progressKey{}, func(data []byte) { w.tell(ctx, JobProgress{Name: job.Name, Data: data}) })
	w.running.Go(func() {
		defer cancel(nil)
		done := JobDone{Name: job.Name}
		result, err := w.work(inner, job)
		if err != nil {
			done.Err = err.Error()
		} else {
			done.Result = result
		}
		w.tell(ctx, done)
	})
}

func (w *workshop) cancel(name string) {
	if cancel, ok := w.cancels[name]; ok {
		cancel(errCancelled)
	}
}

// taken is called with all news before the machine sees them.
func (w *workshop) taken(news Event) {
	if done, ok := news.(JobDone); ok {
		delete(w.cancels, done.Name)
	}
}

func (w *workshop) tell(ctx context.Context, ev Event) {
	select {
	case w.news <- ev:
	case <-ctx.Done():
	}
}

func (w *workshop) work(ctx context.Context, job Job) ([]byte, error) {
	if w.worker == nil {
		return nil, fmt.Errorf("job %q of kind %q: the handler is no Worker", job.Name, job.Kind)
	}
	if job.Delay > 0 {
		timer := time.NewTimer(job.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	limit := cmp.Or(job.Timeout, jobTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done after %v", limit))
	defer cancel()
	result, err := w.worker.Work(ctx, job)
	// Why the context ended says more than that it did.
	if cause := context.Cause(ctx); err != nil && cause != nil && errors.Is(err, ctx.Err()) {
		return nil, cause
	}
	return result, err
}

type progressKey struct{}

// Progress tells the handler how far a job is, as a JobProgress. It is for use
// in Work, with the context given there, and returns when the event was taken.
func Progress(ctx context.Context, data []byte) {
	if tell, ok := ctx.Value(progressKey{}).(func([]byte)); ok {
		tell(data)
	}
}
