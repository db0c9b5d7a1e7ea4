package frameworks

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/mesokit/mesokit/scheduler"
)

// Gate asks the servers themselves whether a node has arrived, or may go on: nil
// lets it pass, an error says what it still waits for, and it is asked again. It
// runs outside the scheduler's decisions, until ctx ends, and only looks. (A
// Leave acts as well; what it does may be repeated.)
type Gate func(ctx context.Context, d Deployment, n Node) error

// TCP passes when the port accepts a connection.
func TCP(port string) Gate {
	return func(ctx context.Context, _ Deployment, n Node) error {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", n.Address(port))
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

// HTTP passes when a GET of the path answers with a status of 200 to 299.
func HTTP(port, path string) Gate {
	return func(ctx context.Context, _ Deployment, n Node) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.Address(port)+path, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode < 200 || resp.StatusCode > 299 {
			return fmt.Errorf("GET %s: %s", req.URL, resp.Status)
		}
		return nil
	}
}

// What jobs ask.
const (
	gateKind  = "gate"  // has a node arrived?
	againKind = "again" // does a ready node still serve?
	joinKind  = "join"  // may a node be launched that has not arrived?
	spareKind = "spare" // may these nodes stop at once?
	leaveKind = "leave" // hand over what a node holds
)

const (
	gateTimeout = 15 * time.Second
	// handTimeout bounds one call of a Spare or a Leave, which hand things over:
	// long, and not for ever.
	handTimeout = 10 * time.Minute
	gatePause   = time.Second
	// againPause is between two questions to a node that is ready.
	againPause = 15 * time.Second
)

type gateInput struct {
	*luggage
	Nodes []Node
}

// ask starts the job that asks the servers something about nodes of one pod,
// unless it runs. One that was refused is asked again after a pause.
func (d *decision) ask(kind, id string, refused bool, nodes ...*Node) {
	job := scheduler.Job{Name: kind + "/" + id, Kind: kind, Timeout: gateTimeout}
	if d.view.Running(job.Name) {
		return
	}
	switch {
	case refused:
		job.Delay = gatePause
	case kind == againKind:
		job.Delay = cmp.Or(d.Recheck, againPause)
	}
	if kind == spareKind || kind == leaveKind {
		job.Timeout = handTimeout
	}
	in := gateInput{luggage: d.luggage()}
	for _, n := range nodes {
		in.Nodes = append(in.Nodes, *n)
	}
	job.Value = in
	d.started[job.Name] = true
	d.do(scheduler.Start{Job: job})
}

// Work implements scheduler.Worker: it asks the servers, and does the jobs of
// routines and plans.
func (s *Service) Work(ctx context.Context, job scheduler.Job) ([]byte, error) {
	if job.Kind == pauseKind {
		return nil, nil // it was all delay
	}
	return guarded(func() ([]byte, error) {
		switch in := job.Value.(type) {
		case gateInput:
			return nil, in.ask(ctx, job.Kind)
		case routineInput:
			return in.work(ctx, job.Kind)
		case stepInput:
			return in.work(ctx)
		}
		return nil, fmt.Errorf("job %s: %T is not what a job of a service is given", job.Name, job.Value)
	})
}

func (in gateInput) ask(ctx context.Context, kind string) error {
	pod := in.service.pod(in.Nodes[0].Pod)
	var gate Gate
	switch kind {
	case gateKind, againKind:
		gate = pod.Ready
	case joinKind:
		gate = pod.Join
	case leaveKind:
		gate = pod.Leave
	case spareKind:
		gate = func(ctx context.Context, d Deployment, _ Node) error { return pod.Spare(ctx, d, in.Nodes) }
	}
	return gate(ctx, in.unpack(), in.Nodes[0])
}

// jobDone takes in what a job said.
func (d *decision) jobDone(ev scheduler.JobDone) {
	kind, id, _ := strings.Cut(ev.Name, "/")
	if kind == spareKind {
		d.answered(id, ev.Err)
		return
	}
	name, _, _ := d.owner(id)
	n := d.node(name)
	if n == nil || (kind != joinKind || d.nextTaskID(n) != id) && (kind == joinKind || d.taskID(n) != id) {
		return // of an incarnation that is gone
	}
	switch kind {
	case gateKind, againKind:
		d.asked(n, ev)
	case joinKind:
		d.admitted(n, ev)
	case leaveKind:
		d.left(n, ev)
	}
}

// asked takes in what the gate said of a node.
func (d *decision) asked(n *Node, ev scheduler.JobDone) {
	switch {
	case !d.serving(n):
	case !n.Ready && ev.Err != "":
		n.Waits = ev.Err
	case !n.Ready:
		d.ready(n)
	case ev.Err == "":
		n.Doubts = 0
	case n.Doubts == 0:
		n.Doubts++ // once may be chance
	default:
		n.Ready, n.Doubts, n.Waits = false, 0, ev.Err
		d.progress(n, "not ready", slog.String("why", ev.Err))
	}
}
