// Placement decides, without a connection to any Mesos, where the nodes of a
// service would go, and says why some of them cannot. It shows packages offers
// and constraints alone:
//
//	go run ./examples/placement -offers examples/placement/testdata/offers.json -spec examples/placement/testdata/spec.json
//
// The offers are those of an OFFERS event of the v1 scheduler API, as JSON. The
// spec is a list of pod types:
//
//	[{"name": "broker", "count": 3, "role": "kafka", "needs": "cpus:1;mem:1024",
//	  "ports": {"client": 9092}, "disk": 4096, "place": ["hostname:UNIQUE"]}]
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/offers"
)

// pod is one type of node in the spec.
type pod struct {
	Name  string            `json:"name"`
	Count int               `json:"count"`
	Role  string            `json:"role"`
	Needs offers.Resources  `json:"needs"`
	Ports map[string]uint64 `json:"ports"` // zero: any
	Disk  offers.Amount     `json:"disk"`  // of a persistent volume, in MiB; zero: none
	Place []string          `json:"place"`
}

func main() {
	offered := flag.String("offers", "offers.json", "a file with the offers of an OFFERS event")
	spec := flag.String("spec", "spec.json", "a file with the pod types to place")
	flag.Parse()
	if err := run(os.Stdout, *offered, *spec); err != nil {
		fmt.Fprintln(os.Stderr, "placement:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, offersFile, specFile string) error {
	var held []mesos.Offer
	if err := read(offersFile, &held); err != nil {
		return err
	}
	var pods []pod
	if err := read(specFile, &pods); err != nil {
		return err
	}
	var requests []offers.Request
	for _, p := range pods {
		more, err := p.requests()
		if err != nil {
			return fmt.Errorf("%s: %s: %w", specFile, p.Name, err)
		}
		requests = append(requests, more...)
	}
	var pool offers.Pool
	pool.Add(time.Time{}, held...)
	matches, report := pool.Reserve(requests)
	for _, m := range matches {
		fmt.Fprintf(out, "%s goes to %s with %v\n", m.Node, m.Hostname, offers.Sum(m.Resources))
	}
	for _, accept := range offers.Accepts(matches) {
		fmt.Fprintf(out, "accept %d of %s:", len(accept.Offers), accept.Agent)
		for _, op := range accept.Operations {
			fmt.Fprintf(out, " %v", op.Type)
		}
		fmt.Fprintln(out)
	}
	for _, refusal := range report.Refusals {
		fmt.Fprintln(out, refusal)
		for _, miss := range refusal.Nearest {
			fmt.Fprintln(out, "  near:", miss)
		}
	}
	return nil
}

func read(file string, into any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// requests are those of all nodes of the type.
func (p pod) requests() ([]offers.Request, error) {
	place, err := constraints.Parse(p.Place...)
	if err != nil {
		return nil, err
	}
	var list []offers.Request
	for n := range p.Count {
		node := fmt.Sprintf("%s-%d", p.Name, n)
		r := offers.Request{
			Node: node, Pod: p.Name, Role: p.Role, Needs: p.Needs, Place: place, Instances: p.Count,
			Labels: []mesos.Label{{Key: "node", Value: &node}},
		}
		for _, name := range slices.Sorted(maps.Keys(p.Ports)) {
			r.Ports = append(r.Ports, offers.Port{Name: name, Begin: p.Ports[name], End: p.Ports[name]})
		}
		if p.Disk > 0 {
			r.Volumes = []offers.Volume{{ID: node, Path: "data", Size: p.Disk}}
		}
		if err := r.Validate(); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}
