package frameworks

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/mesokit/mesokit/scheduler"
)

// Gate asks the servers themselves whether a node has arrived: nil lets it
// pass, an error says what it still waits for, and it is asked again. It runs
// outside the scheduler's decisions, until ctx ends, and only looks.
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

const (
	gateKind    = "gate"
	gateTimeout = 15 * time.Second
	gatePause   = time.Second
)

// gateJob names the question whether this incarnation has arrived.
func (s *Service) gateJob(n *Node) string { return gateKind + "/" + s.taskID(n) }

type gateInput struct {
	luggage
	Node Node `json:"node"`
}

func encodeGate(l luggage, n *Node) ([]byte, error) {
	input, err := json.Marshal(gateInput{luggage: l, Node: *n})
	if err != nil {
		return nil, fmt.Errorf("gate of %s: %w", n.Name, err)
	}
	return input, nil
}

// Work implements scheduler.Worker: it carries out the gates and the routines'
// jobs.
func (s *Service) Work(ctx context.Context, job scheduler.Job) ([]byte, error) {
	switch job.Kind {
	case pauseKind:
		return nil, nil // it was all delay
	case lookKind, doKind:
		return s.workRoutine(ctx, job)
	}
	if job.Kind != gateKind {
		return nil, fmt.Errorf("job %s: unknown kind %q", job.Name, job.Kind)
	}
	var in gateInput
	if err := json.Unmarshal(job.Input, &in); err != nil {
		return nil, fmt.Errorf("job %s: %w", job.Name, err)
	}
	pod := s.pod(in.Node.Pod)
	if pod == nil || pod.Ready == nil {
		return nil, fmt.Errorf("job %s: pod %q has no gate", job.Name, in.Node.Pod)
	}
	return nil, pod.Ready(ctx, in.unpack(), in.Node)
}
