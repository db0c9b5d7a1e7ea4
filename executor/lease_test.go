package executor

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// However messages are delayed, lost, doubled and reordered, the executor never
// believes in a lease for longer than the scheduler does, who counts from the
// sending of its last grant.
func TestLeaseIsNeverLongerThanTheSchedulerKnows(t *testing.T) {
	t.Parallel()
	const within = 10 * time.Second
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 2))
		g := grants{within: within}
		now := time.Unix(1000, 0)
		var scheduler time.Time // when it thinks that the lease is over
		var asked, granted []int
		for range 300 {
			now = now.Add(time.Duration(r.Int64N(int64(time.Second))))
			switch r.IntN(4) {
			case 0:
				n := g.ask(now)
				require.NotContains(t, asked, n, "numbers are used once")
				asked = append(asked, n)
			case 1: // a Renew arrives, at any time after it was sent
				if len(asked) > 0 {
					granted = append(granted, asked[r.IntN(len(asked))])
					scheduler = Lease{Within: within}.Over(now)
				}
			case 2: // so does a Grant
				if len(granted) > 0 {
					g.grant(granted[r.IntN(len(granted))])
				}
			case 3: // one that was never sent
				if g.grant(len(asked)+r.IntN(3)) || g.grant(-1-r.IntN(3)) {
					require.Fail(t, "granted without being asked for")
				}
			}
			require.False(t, g.until.After(scheduler))
			require.LessOrEqual(t, len(g.asked), maxAsked)
		}
		assert.False(t, g.until.IsZero())
	}
}

func TestLeaseOver(t *testing.T) {
	t.Parallel()
	sent := time.Unix(1000, 0)
	assert.Equal(t, 21*time.Second, Lease{Within: 20 * time.Second}.Over(sent).Sub(sent))
	assert.Equal(t, 42*time.Second, Lease{Within: 20 * time.Second, End: &Step{Timeout: 20 * time.Second}}.Over(sent).Sub(sent))
}
