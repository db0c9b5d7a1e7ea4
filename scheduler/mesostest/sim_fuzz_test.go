package mesostest

import (
	"testing"
	"time"
)

func FuzzSim(f *testing.F) {
	Fuzz(f, func() SimConfig {
		c := ringConfig(ring{name: "ring", nodes: 3})
		c.Storm = 2 * time.Minute
		return c
	})
}
