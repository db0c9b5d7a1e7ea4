package main

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/simtest"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// simulated is the service under faults, whose operators change its options as
// well: those that are good, and those that are refused.
func simulated() mesostest.SimConfig {
	service := counter(options{Nodes: 3, Greeting: "hello", Disk: 16})
	service.Binary.Path = "/opt/counter"
	c := simtest.Config(service)
	orders := c.Frameworks[0].Operator
	c.Frameworks[0].Operator = func(pick uint16) any {
		if pick%4 > 0 {
			return orders(pick / 4)
		}
		greeting := []string{"", "good day", "good evening"}[pick/4%3]
		return frameworks.Update{Options: json.RawMessage(fmt.Sprintf(`{"nodes":3,"greeting":%q,"disk":16}`, greeting))}
	}
	return c
}

func TestSimulated(t *testing.T) {
	t.Parallel()
	mesostest.Simulate(t, 5_000, simulated())
}

func TestSimulatedForLong(t *testing.T) { mesostest.SoakTest(t, simulated) }
