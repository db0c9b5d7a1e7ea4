package constraints_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
)

// The mask that is kept up to date agrees with asking about each agent, while
// agents come and go, tasks are placed and removed, and two placements share
// the table.
func TestRefusalsAgreeWithChecks(t *testing.T) {
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
		for range 60 {
			p := placements[random.IntN(2)]
			switch random.IntN(8) {
			case 0, 1:
				keys = append(keys, table.Add(randomAgent(random)))
			case 2:
				if len(keys) > 0 {
					i := random.IntN(len(keys))
					table.Drop(keys[i])
					keys = append(keys[:i], keys[i+1:]...)
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
			if random.IntN(3) == 0 {
				continue // several changes between two calls
			}
			mask := p.Refusals()
			for _, k := range keys {
				require.Equal(t, p.Refusal(k), constraints.FirstRefusal(mask[k]), "seed %d: %s: %+v", seed, p.Rules(), table.Agent(k))
				_, ok := p.CheckKey(k)
				require.Equal(t, ok, mask[k] == 0)
			}
		}
	}
}

func TestRefusalsOfManyRules(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("rack:LIKE:a,", 39) + "rack:UNLIKE:a"
	var table constraints.Agents
	p := constraints.MustParse(text).Over(&table)
	require.Len(t, p.Refusals(), 0, "no agents yet")
	a, b := table.Add(host("x", "rack", "a")), table.Add(host("y", "rack", "b"))
	mask := p.Refusals()
	require.Equal(t, uint32(1)<<31, mask[a], "the last bit stands for the rest")
	require.Equal(t, ^uint32(0), mask[b])
}

// A check of an allowed agent, a refusal by index and an update of the mask
// allocate nothing.
func TestMatchingAllocatesNothing(t *testing.T) {
	var table constraints.Agents
	for i := range 100 {
		table.Add(host(fmt.Sprint(i), "zone", fmt.Sprint(i%3)))
	}
	p := constraints.MustParse("hostname:UNIQUE", "zone:GROUP_BY:3").Over(&table)
	p.PlaceKey(1)
	p.Refusals()
	next, allowed := constraints.Key(0), host("100", "zone", "2")
	p.Check(allowed)
	require.Zero(t, testing.AllocsPerRun(50, func() {
		next++
		p.PlaceKey(next)
		p.Refusals()
		p.Refusal(next)
		p.RemoveKey(next)
		p.Check(allowed)
	}))
}
