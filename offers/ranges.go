package offers

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// ranges are numbers such as ports.
//
// Invariant (see sound): every range has Begin ≤ End, they are in order, and
// between two of them at least one number is missing. Values are never
// changed in place, so they can be shared.
type ranges []mesos.Value_Range

// sound says whether the invariant holds.
func (rs ranges) sound() bool {
	for i, r := range rs {
		if r.Begin > r.End || i > 0 && (rs[i-1].End == math.MaxUint64 || rs[i-1].End+1 >= r.Begin) {
			return false
		}
	}
	return true
}

// rangesOf sorts and merges what may overlap, and drops what is inverted. It
// returns its argument where there is nothing to do.
func rangesOf(of []mesos.Value_Range) ranges {
	if ranges(of).sound() {
		return of
	}
	sorted := slices.DeleteFunc(slices.Clone(of), func(r mesos.Value_Range) bool { return r.Begin > r.End })
	slices.SortFunc(sorted, func(a, b mesos.Value_Range) int { return cmp.Compare(a.Begin, b.Begin) })
	var merged ranges
	for _, r := range sorted {
		if last := len(merged) - 1; last >= 0 && (merged[last].End == math.MaxUint64 || merged[last].End+1 >= r.Begin) {
			merged[last].End = max(merged[last].End, r.End)
			continue
		}
		merged = append(merged, r)
	}
	return merged
}

func (rs ranges) plus(more ranges) ranges {
	switch {
	case len(more) == 0:
		return rs
	case len(rs) == 0:
		return more
	}
	return rangesOf(slices.Concat(rs, more))
}

// minus is what of rs is not in less.
func (rs ranges) minus(less ranges) ranges {
	var rest ranges
	for _, r := range rs {
		begin, open := r.Begin, true
		for _, l := range less {
			if l.End < begin || l.Begin > r.End {
				continue
			}
			if l.Begin > begin {
				rest = append(rest, mesos.Value_Range{Begin: begin, End: l.Begin - 1})
			}
			if open = l.End < r.End; !open {
				break
			}
			begin = l.End + 1
		}
		if open {
			rest = append(rest, mesos.Value_Range{Begin: begin, End: r.End})
		}
	}
	return rest
}

// both is what is in rs and in other.
func (rs ranges) both(other ranges) ranges {
	var common ranges
	for _, r := range rs {
		for _, o := range other {
			if begin, end := max(r.Begin, o.Begin), min(r.End, o.End); begin <= end {
				common = append(common, mesos.Value_Range{Begin: begin, End: end})
			}
		}
	}
	return common
}

func (rs ranges) contains(other ranges) bool { return len(other.minus(rs)) == 0 }

// lowest is the lowest number of r in [begin, end] for which used is false.
func lowest(r mesos.Value_Range, begin, end uint64, used func(uint64) bool) (uint64, bool) {
	last := min(r.End, end)
	for n := max(r.Begin, begin); n <= last; n++ {
		if !used(n) {
			return n, true
		}
		if n == math.MaxUint64 {
			break
		}
	}
	return 0, false
}

// String is "[31000-31009,31020-31020]".
func (rs ranges) String() string {
	var text strings.Builder
	text.WriteByte('[')
	for i, r := range rs {
		if i > 0 {
			text.WriteByte(',')
		}
		text.WriteString(strconv.FormatUint(r.Begin, 10) + "-" + strconv.FormatUint(r.End, 10))
	}
	return text.String() + "]"
}

// parseRanges reads what String writes; blanks around numbers are allowed.
func parseRanges(text string) (ranges, error) {
	inner, opened := strings.CutPrefix(text, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if !opened || !closed {
		return nil, fmt.Errorf("%q is not a list of ranges such as [31000-31099,32000-32000]", text)
	}
	var read []mesos.Value_Range
	for part := range strings.SplitSeq(inner, ",") {
		if strings.TrimSpace(part) == "" && strings.TrimSpace(inner) == "" {
			continue
		}
		from, to, two := strings.Cut(part, "-")
		begin, err1 := strconv.ParseUint(strings.TrimSpace(from), 10, 64)
		end, err2 := strconv.ParseUint(strings.TrimSpace(to), 10, 64)
		if !two || err1 != nil || err2 != nil {
			return nil, fmt.Errorf("%q is not a range such as 31000-31099", strings.TrimSpace(part))
		}
		if begin > end {
			return nil, fmt.Errorf("range %q ends before it begins", strings.TrimSpace(part))
		}
		read = append(read, mesos.Value_Range{Begin: begin, End: end})
	}
	return rangesOf(read), nil
}
