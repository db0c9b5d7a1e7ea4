package mesostest

import (
	"cmp"
	"fmt"
	"time"

	"github.com/mesokit/mesokit/scheduler"
)

// startJob fakes the work of a job.
func (p *simProcess) startJob(job scheduler.Job) {
	w := p.w
	if _, ok := p.jobs[job.Name]; ok {
		w.fail("one job of a name runs at a time", "%s starts %q again", p, job.Name)
		return
	}
	if w.tell != nil {
		w.say("%s starts job %s", p, job.Name)
	}
	p.jobRuns++
	run := p.jobRuns
	p.jobs[job.Name] = run
	limit := cmp.Or(job.Timeout, time.Minute)
	takes := time.Duration(5+w.random.IntN(200)) * time.Millisecond
	fault := ""
	if pick, ok := w.take(JobFails); ok {
		fault = fmt.Sprintf("fault %d", pick)
	}
	if _, ok := w.take(JobHangs); ok {
		takes, fault = limit, tooLong(limit)
	}
	if _, ok := w.take(JobLate); ok {
		takes = limit * 9 / 10
	}
	pick, untold := w.take(JobUntold)
	w.after(job.Delay+takes, func() {
		if p.dead || p.jobs[job.Name] != run {
			return
		}
		var result []byte
		if fault == "" && p.Work != nil {
			found, err := p.Work(w, job)
			if err != nil {
				fault = err.Error()
			}
			result = found
		}
		switch {
		case untold && pick%2 == 0:
			p.die("dies before it hears of " + job.Name)
		case untold:
			w.after(limit-takes, func() {
				if p.jobs[job.Name] == run {
					p.endJob(job.Name, run, nil, tooLong(limit))
				}
			})
		default:
			p.endJob(job.Name, run, result, fault)
		}
	})
}

func tooLong(limit time.Duration) string { return fmt.Sprintf("not done after %v", limit) }

func (p *simProcess) endJob(name string, run int, result []byte, fault string) {
	if run <= 0 || p.dead {
		return
	}
	p.jobs[name] = -run // its outcome is on its way
	p.receive(simNews{scheduler.JobDone{Name: name, Result: result, Err: fault}, false})
}

// Commands.

// command sends what an operator wants to a process of the framework.
func (w *World) command(f *simFramework, value any) bool {
	if len(f.processes) == 0 {
		return false
	}
	f.commands = append(f.commands, &SimCommand{At: w.Now(), Value: value})
	p := f.processes[len(f.processes)-1]
	if w.tell != nil {
		w.say("operator: %T%+v", value, value)
	}
	p.receive(simNews{scheduler.Command{ID: uint64(len(f.commands)), Value: value}, false})
	return true
}

func (w *World) answered(f *simFramework, a scheduler.Answer) {
	if a.Command == 0 || a.Command > uint64(len(f.commands)) {
		w.fail("only commands are answered", "%s answers command %d", f.Name, a.Command)
		return
	}
	f.commands[a.Command-1].Answer = &a
}
