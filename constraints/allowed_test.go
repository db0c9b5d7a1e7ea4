package constraints_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
)

// The sets that are kept up to date agree with asking about each agent, while
// agents come and go, tasks are placed and removed, and two placements share
// the table.
func TestAllowedAgreesWithChecks(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 3))
		var table constraints.Agents
		var placements []*constraints.Placement
		for range 2 {
			rules := randomRule(random, constraints.Dialect(seed%4), int(seed/4)%3)
			placements = append(placements, constraints.And(rules, randomRule(random, constraints.Dialect(seed%4), 0)).Over(&table))
		}
		var keys []constraints.Key
		add := func() { keys = append(keys, table.Add(randomAgent(random))) }
		for range []int{0, 200}[seed%2] { // enough that values have sets of their own
			add()
		}
		for range 60 {
			p := placements[random.IntN(2)]
			switch random.IntN(8) {
			case 0, 1:
				add()
			case 2:
				if len(keys) > 0 {
					i := random.IntN(len(keys))
					table.Drop(keys[i])
					keys = slices.Delete(keys, i, i+1)
				}
			case 3:
				p.Want(random.IntN(9))
			case 4:
				p.PlaceOther("other", randomAgent(random))
			case 5:
				p.Home([]string{"eu", "us", ""}[random.IntN(3)])
			default:
				if len(keys) > 0 && random.IntN(3) > 0 {
					p.PlaceKey(keys[random.IntN(len(keys))])
				} else {
					p.Remove(randomAgent(random))
				}
			}
			if random.IntN(3) > 0 {
				requireAllowed(t, p, &table, keys) // else several changes between two calls
			}
		}
	}
}

func requireAllowed(t *testing.T, p *constraints.Placement, table *constraints.Agents, keys []constraints.Key) {
	t.Helper()
	allowed, n := p.Allowed(), 0
	for _, k := range keys {
		_, ok := p.CheckKey(k)
		require.Equal(t, ok, allowed.Has(k), "%s: %+v", p.Rules(), table.Agent(k))
		if ok {
			n++
			continue
		}
		require.True(t, p.Refused(p.Refusal(k)).Has(k))
	}
	require.Equal(t, n, allowed.Len(), "dropped agents are in no set")
	require.Len(t, slices.Collect(allowed.All()), n)
	require.True(t, slices.IsSorted(slices.Collect(allowed.All())))
	for k := range allowed.All() {
		require.Contains(t, keys, k)
		break
	}
	require.False(t, allowed.Has(-1))
}

func TestAllowedWithoutAgents(t *testing.T) {
	t.Parallel()
	p := constraints.MustParse("hostname:UNIQUE", `{"any":["rack:IS:a"]}`).Placement()
	require.Zero(t, p.Allowed().Len())
	require.Zero(t, p.Refused(1).Len())
}

// A check of an allowed agent, a refusal by index and an update of the sets
// allocate nothing.
func TestMatchingAllocatesNothing(t *testing.T) {
	var table constraints.Agents
	for i := range 300 {
		table.Add(host(fmt.Sprint(i), "zone", fmt.Sprint(i%3)))
	}
	p := constraints.MustParse("hostname:UNIQUE", "zone:GROUP_BY:3").Over(&table)
	next, allowed := constraints.Key(0), host("300", "zone", "2")
	step := func() {
		next++
		p.PlaceKey(next)
		p.Allowed()
		p.Refusal(next)
		p.RemoveKey(next)
		p.Refused(1)
		p.Check(allowed)
	}
	step()
	require.Zero(t, testing.AllocsPerRun(50, step))
}
