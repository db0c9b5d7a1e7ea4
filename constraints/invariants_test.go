package constraints

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// requireInvariants holds a tally against the sizes of its groups.
func (t *tally) requireInvariants(test *testing.T, groups []int32) {
	test.Helper()
	count, least, sizes := int32(0), int32(0), map[int32]int32{}
	for _, n := range groups {
		if n == 0 {
			continue
		}
		count++
		sizes[n]++
		if least == 0 || n < least {
			least = n
		}
	}
	require.Equal(test, count, t.groups)
	require.Equal(test, least, t.least())
	linked := 0
	for n := t.least(); n != 0; n = t.sizes[n].next {
		require.Equal(test, sizes[n], t.sizes[n].groups, "size %d", n)
		require.Greater(test, n, t.sizes[n].prev, "sizes are in order")
		require.Equal(test, n, t.sizes[t.sizes[n].next].prev, "the ring is closed")
		linked++
	}
	require.Len(test, sizes, linked)
}

func TestTally(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	var sizes tally
	sizes.requireInvariants(t, nil)
	groups := make([]int32, 6)
	for range 5000 {
		g := &groups[random.IntN(len(groups))]
		if *g > 0 && random.IntN(2) == 0 {
			sizes.down(*g)
			*g--
		} else {
			sizes.up(*g)
			*g++
		}
		sizes.requireInvariants(t, groups)
	}
}

func TestQueue(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 8))
	q := queue{head: none}
	var plain []int32
	for range 5000 {
		id, before := int32(random.IntN(4)), q.head
		if random.IntN(2) == 0 {
			plain = append(plain, id)
			require.Equal(t, before, q.push(id))
		} else {
			require.Equal(t, before, q.drop(id))
			for i := range plain {
				if plain[i] == id {
					plain = append(plain[:i], plain[i+1:]...)
					break
				}
			}
		}
		want := int32(none)
		if len(plain) > 0 {
			want = plain[0]
		}
		require.Equal(t, want, q.head)
		require.Equal(t, len(plain), q.placed)
		require.LessOrEqual(t, len(q.order), 2*q.placed+17, "what is gone does not pile up")
	}
}
