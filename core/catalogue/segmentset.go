package catalogue

import (
	"iter"
	"maps"
	"math/bits"
	"slices"
)

// segmentSet is a set of the segments of one timeline, by number. It takes a bit
// for each segment, in whatever order they come.
type segmentSet map[uint64]*[blockWords]uint64

const (
	blockWords = 64
	blockBits  = 64 * blockWords
)

func (s segmentSet) add(n uint64) {
	b := s[n/blockBits]
	if b == nil {
		b = new([blockWords]uint64)
		s[n/blockBits] = b
	}
	b[n%blockBits/64] |= 1 << (n % 64)
}

// newest returns the highest number; false when the set is empty.
func (s segmentSet) newest() (uint64, bool) {
	if len(s) == 0 {
		return 0, false
	}
	block := slices.Max(slices.Collect(maps.Keys(s)))
	for word := blockWords - 1; ; word-- { // a block that is there has a bit
		if w := s[block][word]; w != 0 {
			return block*blockBits + uint64(word)*64 + uint64(bits.Len64(w)) - 1, true
		}
	}
}

// from yields the numbers from first on in ascending order.
func (s segmentSet) from(first uint64) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for _, block := range slices.Sorted(maps.Keys(s)) {
			if block < first/blockBits {
				continue
			}
			for word, w := range s[block] {
				for ; w != 0; w &= w - 1 {
					n := block*blockBits + uint64(word)*64 + uint64(bits.TrailingZeros64(w))
					if n >= first && !yield(n) {
						return
					}
				}
			}
		}
	}
}

// missing yields the runs of numbers from first up to end, that one not
// included, that are not there; the ends of the runs are not included either.
func (s segmentSet) missing(first, end uint64) iter.Seq2[uint64, uint64] {
	return func(yield func(first, end uint64) bool) {
		for n := range s.from(first) {
			if n >= end {
				break
			}
			if n > first && !yield(first, n) {
				return
			}
			first = n + 1
		}
		if first < end {
			yield(first, end)
		}
	}
}
