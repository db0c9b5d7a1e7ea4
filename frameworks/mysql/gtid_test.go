package mysql

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	uuidA = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	uuidB = "5f0d8f27-71ca-11e1-9e33-c80aa9429562"
)

func TestParseUUIDs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                               "",
		uuidA + ":1":                     uuidA + ":1",
		uuidA + ":1-3:11:5-7":            uuidA + ":1-3:5-7:11",
		uuidA + ":1-3:4-9":               uuidA + ":1-9",
		uuidB + ":7,\n" + uuidA + ":1-3": uuidA + ":1-3," + uuidB + ":7",
		"3E11FA47-71CA-11E1-9E33-C80AA9429562" + ":2": uuidA + ":2",
	} {
		set, err := parseUUIDs(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, set.String(), text)
	}
	for _, text := range []string{"x", ":1", uuidA + ":0", uuidA + ":3-1", uuidA + ":a", uuidA + ":"} {
		_, err := parseUUIDs(text)
		assert.Error(t, err, text)
	}
}

func TestParseDomains(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "0-1-44": "0:1-44", "0-2-1, 7-1-9": "0:1,7:1-9", "0-1-0": "",
	} {
		set, err := parseDomains(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, set.String(), text)
	}
	for _, text := range []string{"0-1", "a-1-1", "0-1-x", "0-1-2-3"} {
		_, err := parseDomains(text)
		assert.Error(t, err, text)
	}
}

// model is a set of transactions as a plain list of facts.
type model map[string]bool

// randomSet makes the same set twice.
func randomSet(r *rand.Rand) (gtids, model) {
	set, plain := gtids{}, model{}
	for range r.IntN(6) {
		source := fmt.Sprint("s", r.IntN(2))
		first := uint64(1 + r.IntN(12))
		n := numbers{first, first + uint64(r.IntN(4))}
		set.add(source, n)
		for i := n.first; i <= n.last; i++ {
			plain[fmt.Sprint(source, i)] = true
		}
	}
	return set, plain
}

func (m model) contains(other model) bool {
	for one := range other {
		if !m[one] {
			return false
		}
	}
	return true
}

func TestSetsAreSets(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		a, plainA := randomSet(r)
		b, plainB := randomSet(r)
		require.Equal(t, plainA.contains(plainB), a.contains(b), "seed %d: %s, %s", seed, a, b)
		both := a.union(b)
		require.True(t, both.contains(a) && both.contains(b), "seed %d", seed)
		require.Equal(t, both.String(), b.union(a).String(), "seed %d", seed)
		require.Equal(t, a.contains(b), both.String() == a.String(), "seed %d", seed)
		again, err := parseUUIDs(a.String())
		require.NoError(t, err)
		require.Equal(t, a.String(), again.String(), "seed %d", seed)
	}
}

func TestElectionLosesNothing(t *testing.T) {
	t.Parallel()
	elected := 0
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 2))
		var candidates []candidate
		all := gtids{}
		for i := range 1 + r.IntN(3) {
			has, _ := randomSet(r)
			if i > 0 && r.IntN(2) == 0 {
				has = has.union(all)
			}
			candidates = append(candidates, candidate{fmt.Sprint("member-", i), has, r.IntN(4) > 0})
			all = all.union(has)
		}
		winner, err := elect(candidates)
		for _, c := range candidates {
			full := c.has.contains(all)
			if c.node == winner {
				elected++
				require.True(t, full && c.able, "seed %d: the winner has all", seed)
			}
			require.False(t, full && c.able && err != nil, "seed %d: somebody has all, and nobody is chosen", seed)
		}
	}
	assert.Greater(t, elected, 1000)
	_, err := elect(nil)
	assert.EqualError(t, err, "no member answers")
	more := gtids{"a": {{1, 2}}}
	_, err = elect([]candidate{{"member-0", gtids{"a": {{1, 1}}}, true}, {"member-1", more, false}})
	assert.ErrorContains(t, err, "only member-1 has all transactions")
	winner, err := elect([]candidate{{"member-0", more, false}, {"member-1", more, true}})
	require.NoError(t, err)
	assert.Equal(t, "member-1", winner, "who cannot be promoted holds up nobody")
}
