// Embedded runs a command a few times, each where its rules allow, in a loop of
// its own: the connection is plain mesos-go, and packages offers and constraints
// decide what goes where. It is for programs that have a loop already and want
// nothing else; it remembers nothing, and a connection that is lost ends it.
// What package scheduler takes care of, see examples/batch.
//
//	go run ./examples/embedded -master host:5050 -count 3 -place hostname:UNIQUE -command 'hostname'
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/httpcli"
	"github.com/mesos/mesos-go/api/v1/lib/httpcli/httpsched"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler/calls"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/offers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "embedded:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	flags := flag.NewFlagSet("embedded", flag.ContinueOnError)
	master := flags.String("master", "localhost:5050", "the leading master")
	count := flags.Int("count", 3, "how often the command runs")
	command := flags.String("command", "", "what runs")
	needs := flags.String("needs", "cpus:0.1;mem:32", "what each of them needs")
	place := flags.String("place", "hostname:UNIQUE", "where each may run, in the rules of package constraints, with commas between")
	if err := flags.Parse(args); err != nil {
		return err
	}
	amount, err := offers.Parse(*needs)
	if err != nil {
		return fmt.Errorf("-needs: %w", err)
	}
	rules, err := constraints.Parse(strings.Split(*place, ",")...)
	if err != nil {
		return fmt.Errorf("-place: %w", err)
	}
	if *command == "" || *count < 1 {
		return errors.New("-command and a -count of one or more are needed")
	}
	l := &loop{out: out, command: *command, left: *count, caller: connect(*master)}
	for i := range *count {
		l.missing = append(l.missing, offers.Request{
			Node: fmt.Sprintf("embedded-%d", i), Pod: "embedded", Needs: amount, Place: rules, Instances: *count, Unreserved: true,
		})
	}
	return l.run(ctx)
}

// connect returns mesos-go's own client. Without the option, its version 0.0.11
// gives the subscription up whenever a call fails.
func connect(master string) calls.Caller {
	return httpsched.NewCaller(
		httpcli.New(httpcli.Endpoint("http://"+master+"/api/v1/scheduler")),
		httpsched.EndpointCandidates(func() string { return "" }),
	)
}

// loop is the program's own: one goroutine, one event after the other.
type loop struct {
	out     io.Writer
	command string
	caller  calls.Caller

	framework string
	pool      offers.Pool
	missing   []offers.Request    // what is not launched
	placed    []constraints.Agent // where the others are
	left      int                 // how many have not finished
}

func (l *loop) run(ctx context.Context) error {
	user, timeout := cmp.Or(os.Getenv("USER"), "root"), 0.0
	stream, err := l.caller.Call(ctx, calls.Subscribe(&mesos.FrameworkInfo{
		User: user, Name: "embedded", FailoverTimeout: &timeout, Roles: []string{"*"},
		Capabilities: []mesos.FrameworkInfo_Capability{{Type: mesos.FrameworkInfo_Capability_MULTI_ROLE}},
	}))
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	defer stream.Close()
	for l.left > 0 {
		var ev scheduler.Event
		if err := stream.Decode(&ev); err != nil {
			return fmt.Errorf("read an event: %w", err)
		}
		if err := l.handle(ctx, &ev); err != nil {
			return err
		}
	}
	return l.send(ctx, &scheduler.Call{Type: scheduler.Call_TEARDOWN})
}

func (l *loop) handle(ctx context.Context, ev *scheduler.Event) error {
	switch ev.Type {
	case scheduler.Event_SUBSCRIBED:
		l.framework = ev.Subscribed.FrameworkID.GetValue()
	case scheduler.Event_OFFERS:
		l.pool.Add(time.Now(), ev.Offers.Offers...)
		return l.place(ctx)
	case scheduler.Event_RESCIND:
		l.pool.Remove(ev.Rescind.OfferID.Value)
	case scheduler.Event_UPDATE:
		return l.updated(ctx, ev.Update.Status)
	case scheduler.Event_ERROR:
		return errors.New(ev.Error.Message)
	}
	return nil
}

// place launches what finds a place, says why the rest does not, and gives back
// what is left of the offers.
func (l *loop) place(ctx context.Context) error {
	for i := range l.missing {
		l.missing[i].Placed = l.placed
	}
	matches, report := l.pool.Reserve(l.missing)
	for i, m := range matches {
		matches[i].Operations = []mesos.Offer_Operation{offers.Launch(m.Agent, mesos.TaskInfo{
			Name: m.Node, TaskID: mesos.TaskID{Value: m.Node}, Resources: m.Resources,
			Command: &mesos.CommandInfo{Value: &l.command},
		})}
		l.launched(m)
	}
	for _, a := range offers.Accepts(matches) {
		l.pool.Accept(a)
		if err := l.send(ctx, calls.Accept(calls.OfferOperations(a.Operations).WithOffers(a.Offers...))); err != nil {
			return err
		}
	}
	if len(l.missing) > 0 {
		fmt.Fprintln(l.out, report)
	}
	var rest []mesos.OfferID
	for o := range l.pool.Offers() {
		rest = append(rest, o.ID)
	}
	l.pool.Clear()
	if len(rest) == 0 {
		return nil
	}
	return l.send(ctx, calls.Decline(rest...).With(calls.RefuseSeconds(5*time.Second)))
}

// launched takes a node from those that are missing: what it uses counts for the
// rules of the others from now on.
func (l *loop) launched(m offers.Match) {
	fmt.Fprintf(l.out, "%s runs on %s\n", m.Node, m.Hostname)
	l.placed = append(l.placed, m.Where)
	for i, r := range l.missing {
		if r.Node == m.Node {
			l.missing = append(l.missing[:i], l.missing[i+1:]...)
			return
		}
	}
}

func (l *loop) updated(ctx context.Context, s mesos.TaskStatus) error {
	if len(s.UUID) > 0 {
		if err := l.send(ctx, calls.Acknowledge(s.AgentID.GetValue(), s.TaskID.Value, s.UUID)); err != nil {
			return err
		}
	}
	switch state := s.GetState(); state {
	case mesos.TASK_STAGING, mesos.TASK_STARTING, mesos.TASK_RUNNING:
	case mesos.TASK_FINISHED:
		fmt.Fprintf(l.out, "%s has finished\n", s.TaskID.Value)
		l.left--
	default:
		return fmt.Errorf("%s: %s: %s", s.TaskID.Value, state, s.GetMessage())
	}
	return nil
}

func (l *loop) send(ctx context.Context, call *scheduler.Call) error {
	reply, err := l.caller.Call(ctx, call.With(calls.Framework(l.framework)))
	if err != nil {
		return fmt.Errorf("%s: %w", call.Type, err)
	}
	if reply == nil {
		return nil
	}
	return reply.Close()
}
