package scheduler

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestIndexIsAMap compares an index with a map that is sorted for every walk.
func TestIndexIsAMap(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	var x index[int]
	plain := map[string]int{}
	for step := range 20_000 {
		key := fmt.Sprintf("%c/%d", 'a'+r.IntN(3), r.IntN(40))
		switch r.IntN(5) {
		case 0, 1, 2:
			x.set(key, step)
			plain[key] = step
		case 3:
			x.drop(key)
			delete(plain, key)
		case 4:
			prefix := []string{"", "a/", "b/1", "c/39", "d"}[r.IntN(5)]
			var got, want []string
			for key, v := range x.all(prefix) {
				require.Equal(t, plain[key], v)
				got = append(got, key)
			}
			for _, key := range slices.Sorted(maps.Keys(plain)) {
				if strings.HasPrefix(key, prefix) {
					want = append(want, key)
				}
			}
			require.Equal(t, want, got, "prefix %q", prefix)
		}
		require.Equal(t, len(plain), x.len())
	}
}

func TestIndexChangesDuringAWalk(t *testing.T) {
	t.Parallel()
	var x index[int]
	for i := range 5 {
		x.set(fmt.Sprint(i), i)
	}
	var got []string
	for key := range x.all("") {
		got = append(got, key)
		x.drop("3")
		x.set("9", 9)
		for range x.all("") { // a walk inside a walk
			continue
		}
	}
	require.Equal(t, []string{"0", "1", "2", "4"}, got)
}

// TestAgendaIsAList compares an agenda with a list that is searched.
func TestAgendaIsAList(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	var a agenda
	plain := map[alarm]time.Time{}
	now := time.Unix(0, 0)
	earliest := func() (first time.Time) {
		for _, at := range plain {
			if first.IsZero() || at.Before(first) {
				first = at
			}
		}
		return first
	}
	for range 20_000 {
		what := alarm{alarmKind(r.IntN(3)), fmt.Sprint(r.IntN(20))}
		switch r.IntN(6) {
		case 0, 1, 2, 3:
			at := now.Add(time.Duration(r.IntN(1000)))
			a.set(what, at)
			plain[what] = at
		case 4:
			a.drop(what)
			delete(plain, what)
		case 5:
			now = now.Add(time.Duration(r.IntN(300)))
			var last time.Time
			for _, what := range a.due(now) {
				at, ok := plain[what]
				require.True(t, ok && !at.After(now) && !at.Before(last), "%v is not due, or out of turn", what)
				last = at
				delete(plain, what)
			}
			if first := earliest(); !first.IsZero() {
				require.True(t, first.After(now), "something due was left")
			}
		}
		require.True(t, earliest().Equal(a.next()))
		require.LessOrEqual(t, len(a.heap), 2*len(a.at)+65, "what was dropped does not pile up")
	}
}
