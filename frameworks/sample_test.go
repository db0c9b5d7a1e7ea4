package frameworks

import (
	"iter"
	"os"
	"strconv"
	"time"
)

// Tests that try every point or many seeds do so where MESOKIT_SOAK is set; make
// soak sets it. Otherwise they try some of them: others each time, but the same
// in CI; MESOKIT_SEED says which.

func soaks() bool { return os.Getenv("MESOKIT_SOAK") != "" }

// sample is which part of a test is tried.
var sample = func() int64 {
	if seed, err := strconv.ParseInt(os.Getenv("MESOKIT_SEED"), 10, 64); err == nil {
		return max(seed, -seed)
	}
	if os.Getenv("CI") == "true" {
		return 1
	}
	return time.Now().UnixNano()
}()

// deaths are the points, from 1 up to the last, at which a scheduler dies, each
// in a run of its own: a quarter of them, or all.
func deaths(last int) iter.Seq[int] {
	return func(yield func(int) bool) {
		every := 4
		if soaks() {
			every = 1
		}
		for at := 1 + int(sample%int64(every)); at <= last; at += every {
			if !yield(at) {
				return
			}
		}
	}
}

// seeds are so many, or ten times as many.
func seeds(n int64) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		from := sample % 1000 * n
		if soaks() {
			n *= 10
		}
		for seed := from; seed < from+n; seed++ {
			if !yield(seed) {
				return
			}
		}
	}
}
