package constraints

import (
	"iter"
	"math/bits"
)

// Keys is a set of keys, as a set of bits: bit k%64 of word k/64.
type Keys []uint64

// Has reports whether the set has a key.
func (s Keys) Has(k Key) bool {
	return k >= 0 && int(k/64) < len(s) && s[k/64]&(1<<(k%64)) != 0
}

// Len returns how many keys the set has.
func (s Keys) Len() int {
	n := 0
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}

// All yields the keys of the set in ascending order.
func (s Keys) All() iter.Seq[Key] {
	return func(yield func(Key) bool) {
		for w, word := range s {
			for ; word != 0; word &= word - 1 {
				if !yield(Key(w*64 + bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}

// put adds or removes a key.
func (s *Keys) put(k Key, in bool) {
	s.grow(int(k)/64 + 1)
	if in {
		(*s)[k/64] |= 1 << (k % 64)
	} else {
		(*s)[k/64] &^= 1 << (k % 64)
	}
}

// grow makes the set at least so many words long.
func (s *Keys) grow(words int) {
	if words > len(*s) {
		*s = append(*s, make(Keys, words-len(*s))...)
	}
}
