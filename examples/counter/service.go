package main

import (
	"bytes"
	"encoding/json"
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
	Nodes    int    `json:"nodes"`
	Greeting string `json:"greeting"`
	Disk     int    `json:"disk"` // of each server, in MiB; it can only grow
}

// counter makes the service of its options.
func counter(given json.RawMessage) (*frameworks.Service, error) {
	var o options
	decoder := json.NewDecoder(bytes.NewReader(given))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&o); err != nil {
		return nil, err
	}
	if o.Greeting == "" {
		return nil, fmt.Errorf("greeting: %q: wants something to say", o.Greeting)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return &frameworks.Service{Name: "counter", Options: given, Revise: counter, Pods: []frameworks.Pod{{
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
