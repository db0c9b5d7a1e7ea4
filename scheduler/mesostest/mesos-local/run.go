package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// ready is the line that is printed when the cluster can be used.
type ready struct {
	PID     int           `json:"pid"`     // of this process, to be ended with SIGTERM
	Master  string        `json:"master"`  // host:port
	URL     string        `json:"url"`     // of the master
	Control string        `json:"control"` // URL of the control interface
	Dir     string        `json:"dir"`     // holds all work directories that were not given
	Agents  []agentStatus `json:"agents"`
}

// run runs a cluster until ctx ends.
func run(ctx context.Context, c *cluster, stdout, stderr io.Writer) (err error) {
	// Taken first, so that what can fail fails before anything is started.
	listener, err := net.Listen("tcp", c.control)
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	defer func() { err = errors.Join(err, ignoreClosed(listener.Close())) }()
	cfg := c.Config
	cfg.Log = slog.New(slog.NewTextHandler(stderr, nil))
	machines := c.machines()
	for _, a := range machines {
		cfg.Agents = append(cfg.Agents, a.AgentConfig)
	}
	defer func() {
		if !c.KeepFiles {
			err = errors.Join(err, clearDirs(machines))
		}
	}()
	// Not ended by ctx: Close says what went wrong.
	running, err := mesostest.Start(context.WithoutCancel(ctx), cfg)
	if errors.Is(err, mesostest.ErrConfig) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, running.Close()) }()
	control := newControl(running)
	line, err := json.Marshal(ready{
		PID: os.Getpid(), Master: running.Master(), URL: running.URL(), Control: "http://" + listener.Addr().String(),
		Dir: running.Dir(), Agents: control.agentStatuses(),
	})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(stdout, string(line)); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	err = serve(ctx, listener, control.routes())
	control.change.Lock() // an addition that has begun is over
	defer control.change.Unlock()
	machines = append(machines, control.added...)
	return err
}

// serve serves the control interface until ctx ends.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("control: %w", err)
	case <-ctx.Done():
	}
	err := server.Close()
	<-ended
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// clearDirs empties the work directories that were given, which were empty.
func clearDirs(machines []agent) error {
	var all error
	for _, a := range machines {
		if a.Dir == "" {
			continue
		}
		entries, err := os.ReadDir(a.Dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			all = errors.Join(all, err)
		}
		for _, e := range entries {
			all = errors.Join(all, os.RemoveAll(filepath.Join(a.Dir, e.Name())))
		}
	}
	return all
}
