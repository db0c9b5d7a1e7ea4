// Batch runs one command many times on a Mesos cluster, each to a good end, and
// then ends its framework. It is a policy of its own on package scheduler, which
// does the rest: kill it at any moment, start it again with the same state
// directory, and it goes on; no task is lost and none that has finished runs
// again.
//
//	go run ./examples/batch -master host:5050 -state /var/lib/batch -count 1000 -command 'echo $INDEX'
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/state"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "batch:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("batch", flag.ContinueOnError)
	master := flags.String("master", "localhost:5050", "where the masters are")
	dir := flags.String("state", "batch-state", "the directory to remember in")
	count := flags.Int("count", 100, "how often the command runs")
	command := flags.String("command", "", "what runs, with its number in $INDEX")
	needs := flags.String("needs", "cpus:0.1;mem:32", "what each of them needs")
	if err := flags.Parse(args); err != nil {
		return err
	}
	amount, err := offers.Parse(*needs)
	if err != nil {
		return fmt.Errorf("-needs: %w", err)
	}
	if *command == "" || *count < 1 {
		return errors.New("-command and a -count of one or more are needed")
	}
	store, err := state.OpenFile(*dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return scheduler.Run(ctx, scheduler.Config{
		Master:    *master,
		Store:     store,
		Handler:   batch{count: *count, command: *command, needs: amount},
		Framework: mesos.FrameworkInfo{Name: "batch"},
	})
}

// atOnce bounds how many tasks wait for an offer at a time; the others follow.
const atOnce = 64

// batch is the policy. All that it knows of its tasks it reads from their ids,
// "<index>.<attempt>", and from their states.
type batch struct {
	count   int
	command string
	needs   offers.Resources
}

// Handle launches what is missing, on whatever is offered.
func (b batch) Handle(v scheduler.View, ev scheduler.Event) []scheduler.Action {
	if up, ok := ev.(scheduler.Updated); ok && !scheduler.Terminal(up.Status.GetState()) {
		return nil // nothing is missing that was not before
	}
	missing, left := b.missing(v)
	if left == 0 {
		return []scheduler.Action{scheduler.Note{Text: "all have finished"}, scheduler.Teardown{}}
	}
	actions := []scheduler.Action{scheduler.Want{Offers: len(missing) > 0, Key: strings.Join(missing, " ")}}
	if _, ok := ev.(scheduler.Offered); ok {
		actions = append(actions, b.launch(v, missing)...)
	}
	return actions
}

// missing are the ids of tasks that are to be launched now. left is how many
// have not finished.
func (b batch) missing(v scheduler.View) (ids []string, left int) {
	attempts, settled := make([]int, b.count), make([]bool, b.count)
	left = b.count
	for t := range v.Tasks() {
		index, attempt, ok := parse(t.Info.TaskID.Value)
		if !ok || index >= b.count {
			continue
		}
		attempts[index] = max(attempts[index], attempt)
		switch s := t.Status.GetState(); {
		case s == mesos.TASK_FINISHED:
			left--
			settled[index] = true
		case !scheduler.Terminal(s):
			settled[index] = true
		}
	}
	for index := range b.count {
		if !settled[index] && len(ids) < atOnce {
			ids = append(ids, fmt.Sprintf("%05d.%d", index, attempts[index]+1))
		}
	}
	return ids, left
}

func parse(id string) (index, attempt int, ok bool) {
	head, tail, _ := strings.Cut(id, ".")
	index, err := strconv.Atoi(head)
	attempt, err2 := strconv.Atoi(tail)
	return index, attempt, err == nil && err2 == nil
}

func (b batch) launch(v scheduler.View, ids []string) []scheduler.Action {
	requests := make([]offers.Request, len(ids))
	for i, id := range ids {
		requests[i] = offers.Request{Node: id, Pod: "batch", Needs: b.needs, Unreserved: true}
	}
	matches, _ := offers.Reserve(v.Offers(), requests)
	for i, m := range matches {
		index, _, _ := parse(m.Node)
		number := strconv.Itoa(index)
		matches[i].Operations = []mesos.Offer_Operation{offers.Launch(m.Agent, mesos.TaskInfo{
			Name: "batch-" + number, TaskID: mesos.TaskID{Value: m.Node}, Resources: m.Resources,
			Command: &mesos.CommandInfo{Value: &b.command, Environment: &mesos.Environment{
				Variables: []mesos.Environment_Variable{{Name: "INDEX", Value: &number}},
			}},
		})}
	}
	var actions []scheduler.Action
	for _, a := range offers.Accepts(matches) {
		actions = append(actions, scheduler.Accept{Offers: a.Offers, Operations: a.Operations})
	}
	return actions
}
