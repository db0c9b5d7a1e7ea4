package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/offers"
)

// options are what an operator may change while the service runs.
type options struct {
	Nodes    int    `json:"nodes" help:"servers"`
	Greeting string `json:"greeting" help:"what they say"`
	Disk     int    `json:"disk" help:"MiB of each server; it can only grow"`
}

// counter is the service of the options that the program was started with.
func counter(given options) *frameworks.Service {
	return frameworks.OptionsOf[options]{
		Given: given, Defaults: options{Nodes: 3, Greeting: "hello", Disk: 16}, Make: declare,
	}.Service()
}

// declare makes the service of its options.
func declare(o options) (*frameworks.Service, error) {
	if o.Greeting == "" {
		return nil, fmt.Errorf("greeting: %q: wants something to say", o.Greeting)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return &frameworks.Service{Name: "counter", Pods: []frameworks.Pod{{
		Name: "counter", Count: o.Nodes,
		Needs:   offers.MustParse("cpus:0.1;mem:32"),
		Ports:   []frameworks.Port{{Name: "http"}},
		Volumes: []frameworks.Volume{{Name: "data", Path: "data", Size: offers.Amount(o.Disk) * 1000}},
		Place:   constraints.MustParse("hostname:UNIQUE"),
		Ready:   frameworks.HTTP("http", "/ready"),
		Rollout: frameworks.Rollout{Rollback: true},
		Task: func(_ frameworks.Deployment, n frameworks.Node) (executor.Task, error) {
			return executor.Task{
				Files: []executor.File{{Path: "greeting", Content: []byte(o.Greeting)}},
				// The agent has fetched this program into the sandbox.
				Command: []string{"./" + filepath.Base(self), "serve"},
				Ready:   &executor.Probe{TCP: n.Address("http")},
			}, nil
		},
	}}}, nil
}
