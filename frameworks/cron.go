package frameworks

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cron is a time-table in the words of cron(5): minute, hour, day of the month,
// month and day of the week, in UTC. A set bit is a value that matches.
type cron struct {
	minute, hour, day, month, weekday uint64
	// anyDay: a day matches by month and week alone; else, where both the day of
	// the month and that of the week are limited, by either.
	anyDay, anyWeekday bool
}

// field is one of the five.
type field struct {
	name     string
	min, max int
	words    []string // for min, min+1, …
}

var (
	months   = []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
	weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
	fields   = []field{
		{"minute", 0, 59, nil}, {"hour", 0, 23, nil}, {"day of the month", 1, 31, nil},
		{"month", 1, 12, months}, {"day of the week", 0, 7, weekdays},
	}
	nicknames = map[string]string{
		"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0",
		"@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *",
	}
)

// parseCron reads "30 2 * * mon-fri", "*/15 * * * *", "@daily" and the like.
func parseCron(text string) (cron, error) {
	spelled := text
	if full, ok := nicknames[strings.ToLower(text)]; ok {
		spelled = full
	}
	parts := strings.Fields(spelled)
	if len(parts) != len(fields) {
		return cron{}, fmt.Errorf("%q has %d fields: wants 5, as in \"30 2 * * 0\" (minute, hour, day of the month, month, day of the week, in UTC), or @hourly, @daily, @weekly, @monthly, @yearly", text, len(parts))
	}
	var sets [5]uint64
	for i, f := range fields {
		set, err := f.parse(parts[i])
		if err != nil {
			return cron{}, fmt.Errorf("%q: %s: %w", text, f.name, err)
		}
		sets[i] = set
	}
	c := cron{
		minute: sets[0], hour: sets[1], day: sets[2], month: sets[3], weekday: sets[4] | sets[4]>>7, // 7 is Sunday too
		anyDay: strings.HasPrefix(parts[2], "*"), anyWeekday: strings.HasPrefix(parts[4], "*"),
	}
	if c.next(time.Unix(0, 0)).IsZero() {
		return cron{}, fmt.Errorf("%q: there is no such day", text)
	}
	return c, nil
}

func (f field) parse(text string) (uint64, error) {
	var set uint64
	for part := range strings.SplitSeq(text, ",") {
		bounds, step, stepped := strings.Cut(part, "/")
		by := 1
		if stepped {
			var err error
			if by, err = strconv.Atoi(step); err != nil || by < 1 || by > f.max {
				return 0, fmt.Errorf("step %q: wants 1 to %d", step, f.max)
			}
		}
		from, to := f.min, f.max
		if bounds != "*" {
			low, high, ranged := strings.Cut(bounds, "-")
			var err error
			if from, err = f.value(low); err != nil {
				return 0, err
			}
			switch {
			case ranged:
				if to, err = f.value(high); err != nil {
					return 0, err
				}
			case !stepped:
				to = from
			}
		}
		if from > to {
			return 0, fmt.Errorf("%q: wants the smaller value first", bounds)
		}
		for v := from; v <= to; v += by {
			set |= 1 << v
		}
	}
	return set, nil
}

func (f field) value(text string) (int, error) {
	if i := slices.Index(f.words, strings.ToLower(text)); i >= 0 {
		return f.min + i, nil
	}
	v, err := strconv.Atoi(text)
	if err != nil || v < f.min || v > f.max {
		return 0, fmt.Errorf("%q: wants %d to %d", text, f.min, f.max)
	}
	return v, nil
}

// next is the first minute after t that matches; zero: there is none in the next
// eight years, in which every day that exists comes at least once.
func (c cron) next(t time.Time) time.Time {
	t = t.UTC().Truncate(time.Minute).Add(time.Minute)
	for end := t.AddDate(9, 0, 0); t.Before(end); {
		switch {
		case !has(c.month, int(t.Month())):
			t = time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, time.UTC)
		case !c.matchesDay(t):
			t = time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, time.UTC)
		case !has(c.hour, t.Hour()):
			t = t.Truncate(time.Hour).Add(time.Hour)
		case !has(c.minute, t.Minute()):
			if later := c.minute >> (t.Minute() + 1); later != 0 {
				t = t.Add(time.Duration(1+bits.TrailingZeros64(later)) * time.Minute)
			} else {
				t = t.Truncate(time.Hour).Add(time.Hour)
			}
		default:
			return t
		}
	}
	return time.Time{}
}

func (c cron) matchesDay(t time.Time) bool {
	day, weekday := has(c.day, t.Day()), has(c.weekday, int(t.Weekday()))
	if c.anyDay || c.anyWeekday {
		return day && weekday
	}
	return day || weekday
}

func has(set uint64, v int) bool { return set&(1<<v) != 0 }
