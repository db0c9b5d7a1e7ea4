package scheduler

import (
	"iter"
	"slices"
	"strings"
)

// index is a map that is also walked in the order of its keys. Setting,
// dropping and looking up cost what a map costs; the order is brought up to
// date only when somebody walks.
type index[V any] struct {
	values map[string]V
	sorted []string // in order, each once; holds every key of values that fresh does not
	fresh  []string // keys set since sorted was made, in any order
	stale  bool     // sorted holds keys that values has no more
}

func (x *index[V]) len() int { return len(x.values) }

func (x *index[V]) at(key string) (V, bool) {
	v, ok := x.values[key]
	return v, ok
}

func (x *index[V]) has(key string) bool {
	_, ok := x.values[key]
	return ok
}

func (x *index[V]) set(key string, v V) {
	if x.values == nil {
		x.values = map[string]V{}
	}
	if !x.has(key) {
		x.fresh = append(x.fresh, key)
	}
	x.values[key] = v
}

func (x *index[V]) drop(key string) {
	if x.has(key) {
		delete(x.values, key)
		x.stale = true
	}
}

func (x *index[V]) clear() { *x = index[V]{} }

// all walks the entries whose keys start with prefix, in order. The index may
// change during the walk: entries dropped are left out, entries set are not
// seen.
func (x *index[V]) all(prefix string) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		x.tidy()
		keys := x.sorted
		from, _ := slices.BinarySearch(keys, prefix)
		for _, key := range keys[from:] {
			if !strings.HasPrefix(key, prefix) {
				return
			}
			if v, ok := x.values[key]; ok && !yield(key, v) {
				return
			}
		}
	}
}

// tidy merges fresh into sorted and leaves out what is gone. It makes a new
// slice, since a walk may be going on over the old one.
func (x *index[V]) tidy() {
	if len(x.fresh) == 0 && !x.stale {
		return
	}
	slices.Sort(x.fresh)
	merged := make([]string, 0, len(x.values))
	for a, b := x.sorted, x.fresh; len(a)+len(b) > 0; {
		var key string
		if len(b) == 0 || len(a) > 0 && a[0] <= b[0] {
			key, a = a[0], a[1:]
		} else {
			key, b = b[0], b[1:]
		}
		// A key that was dropped and set again is in both.
		again := len(merged) > 0 && merged[len(merged)-1] == key
		if x.has(key) && !again {
			merged = append(merged, key)
		}
	}
	x.sorted, x.fresh, x.stale = merged, nil, false
}
