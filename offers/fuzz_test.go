package offers

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// FuzzReserve makes offers and requests of a seed, and holds the matches to
// the slow master.
func FuzzReserve(f *testing.F) {
	f.Add(uint64(1), uint64(1))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		held, requests := cluster(rand.New(rand.NewPCG(a, b)))
		matches, report := Reserve(heldAs(held), requests)
		checkMatches(t, held, requests, matches)
		checkRules(t, requests, matches)
		checkGroups(t, requests, matches)
		checkReport(t, held, requests, matches, report)
	})
}

// FuzzOffers says that no offer makes anything panic, however little sense it
// makes.
func FuzzOffers(f *testing.F) {
	for _, seed := range []string{
		`[]`, `[{"resources":[{"name":"cpus"},{"name":"cpus","type":"SCALAR","scalar":{"value":-1}}]}]`,
		`[{"agent_id":{"value":"agent-1"},"resources":[{"name":"disk","type":"SCALAR","scalar":{"value":1e300},"disk":{"source":{"type":"RAW"}},"shared":{}}]}]`,
		`[{"resources":[{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":5,"end":1},{"begin":0,"end":18446744073709551615}]}}]}]`,
		`[{"resources":[{"name":"mem","type":"SET","scalar":{"value":1e4},"role":"db","reservation":{},"reservations":[{}]}]}]`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var held []mesos.Offer
		if json.Unmarshal([]byte(text), &held) != nil {
			return
		}
		held = append(held, offer("good", 1, fullAgent))
		request := broker(0)
		matches, report := Reserve(heldAs(held), []Request{request, broker(1)})
		_ = report.String()
		for _, m := range matches {
			Claim(heldAs(held), m.Agent, m.Resources)
			Release(m.Resources)
		}
		Owned(heldAs(held), HasLabel("a", "b"))
		MakeDisk(heldAs(held), request, Volume{ID: "v", Path: "v", Size: 1, Disk: MountDisk})
		for _, o := range held {
			FormatAgent(o.Resources)
			if rest, ok := Minus(o.Resources, o.Resources); !ok || len(rest) > 0 {
				t.Errorf("%v without itself is %v", o.Resources, rest)
			}
		}
	})
}
