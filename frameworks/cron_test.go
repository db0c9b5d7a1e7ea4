package frameworks

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCronNext(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, after, want string }{
		{"* * * * *", "2026-11-21T10:00:00Z", "2026-11-21T10:01:00Z"},
		{"* * * * *", "2026-11-21T10:00:30Z", "2026-11-21T10:01:00Z"},
		{"30 2 * * *", "2026-11-21T02:29:59Z", "2026-11-21T02:30:00Z"},
		{"30 2 * * *", "2026-11-21T02:30:00Z", "2026-11-22T02:30:00Z"},
		{"*/15 * * * *", "2026-11-21T23:46:00Z", "2026-11-22T00:00:00Z"},
		{"5/20 1-3 * * *", "2026-11-21T01:06:00Z", "2026-11-21T01:25:00Z"},
		{"0 0 29 2 *", "2026-03-01T00:00:00Z", "2028-02-29T00:00:00Z"},
		{"0 12 * * mon-fri", "2026-11-20T12:00:00Z", "2026-11-23T12:00:00Z"}, // a Friday
		{"0 0 * * 7", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"},
		{"0 0 1,15 * *", "2026-11-02T00:00:00Z", "2026-11-15T00:00:00Z"},
		{"0 0 13 * fri", "2026-11-14T00:00:00Z", "2026-11-20T00:00:00Z"}, // either
		{"0 0 1 jan,Jul *", "2026-01-01T00:00:00Z", "2026-07-01T00:00:00Z"},
		{"59 23 31 12 *", "2026-12-31T23:59:00Z", "2027-12-31T23:59:00Z"},
		{"0 * * * *", "2026-11-21T10:58:00Z", "2026-11-21T11:00:00Z"},
		{"@daily", "2026-11-21T10:00:00+02:00", "2026-11-22T00:00:00Z"},
		{"@Hourly", "2026-11-21T10:59:59Z", "2026-11-21T11:00:00Z"},
	} {
		t.Run(c.text, func(t *testing.T) {
			t.Parallel()
			schedule, err := parseCron(c.text)
			require.NoError(t, err)
			after, err := time.Parse(time.RFC3339, c.after)
			require.NoError(t, err)
			assert.Equal(t, c.want, schedule.next(after).Format(time.RFC3339))
		})
	}
}

func TestCronRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                              `"" has 0 fields: wants 5`,
		"* * * *":                       `"* * * *" has 4 fields`,
		"60 * * * *":                    `"60 * * * *": minute: "60": wants 0 to 59`,
		"* 9-5 * * *":                   `hour: "9-5": wants the smaller value first`,
		"* * * * */0":                   `day of the week: step "0": wants 1 to 7`,
		"* * */9223372036854775807 * *": `day of the month: step "9223372036854775807": wants 1 to 31`,
		"* * * juni *":                  `month: "juni": wants 1 to 12`,
		"0 0 30 2 *":                    `there is no such day`,
		"@noon":                         `has 1 fields`,
	} {
		_, err := parseCron(text)
		require.ErrorContains(t, err, want)
	}
}

// A slower reading of the same text, minute by minute, agrees.
func FuzzCron(f *testing.F) {
	f.Add("*/7 3,5 * * *", int64(1_800_000_000))
	f.Add("0 0 29 2 *", int64(1_800_000_000))
	f.Add("15 12 13 * fri", int64(1_700_000_000))
	f.Add("* * */9223372036854775807 * *", int64(1_700_000_000))
	f.Fuzz(func(t *testing.T, text string, unix int64) {
		c, err := parseCron(text)
		if err != nil || unix < 0 || unix > 4_000_000_000 {
			return
		}
		after := time.Unix(unix, 0).UTC()
		next := c.next(after)
		require.True(t, next.After(after) && next.Second() == 0, fmt.Sprint(next))
		at := after.Truncate(time.Minute).Add(time.Minute)
		for range 3 * 24 * 60 {
			matches := has(c.minute, at.Minute()) && has(c.hour, at.Hour()) && has(c.month, int(at.Month())) && c.matchesDay(at)
			if at.Equal(next) {
				require.True(t, matches)
				return
			}
			require.False(t, matches, "%s matches before %s", at, next)
			at = at.Add(time.Minute)
		}
	})
}
