package verify

import (
	"cmp"
	"hash/maphash"
	"slices"
	"sync/atomic"

	"github.com/barman-go/barman/sdk/manifest"
)

// index remembers what is expected of many names: hashes of the name and the
// checksum, whatever their lengths. It is filled, sealed, and then used by
// several goroutines.
type index struct {
	seed    maphash.Seed
	entries []expected
	found   []atomic.Bool
	left    atomic.Int64 // names that were not found yet
}

// expected is what is expected of one name.
type expected struct {
	key       uint64
	size      int64
	sum       uint64 // hash of the checksum
	algorithm manifest.Algorithm
}

func newIndex() *index { return &index{seed: maphash.MakeSeed()} }

func (x *index) add(name string, size int64, algorithm manifest.Algorithm, checksum []byte) {
	x.entries = append(x.entries, expected{key: maphash.String(x.seed, name), size: size, sum: maphash.Bytes(x.seed, checksum), algorithm: algorithm})
}

// seal ends the filling, and tells whether a name came twice. Two names with one
// hash would be taken for one; of ten million, one in 10^5 times.
func (x *index) seal() (twice bool) {
	slices.SortFunc(x.entries, func(a, b expected) int { return cmp.Compare(a.key, b.key) })
	for i := 1; i < len(x.entries); i++ {
		twice = twice || x.entries[i].key == x.entries[i-1].key
	}
	x.found = make([]atomic.Bool, len(x.entries))
	x.left.Store(int64(len(x.entries)))
	return twice
}

func (x *index) at(name string) (int, bool) {
	if x == nil {
		return 0, false
	}
	return slices.BinarySearchFunc(x.entries, maphash.String(x.seed, name), func(e expected, key uint64) int { return cmp.Compare(e.key, key) })
}

// has tells whether something is expected of a name.
func (x *index) has(name string) bool {
	_, ok := x.at(name)
	return ok
}

// find notes that a name was found, and returns what is expected of it; again
// tells that it was found before.
func (x *index) find(name string) (e expected, known, again bool) {
	i, known := x.at(name)
	if !known {
		return expected{}, false, false
	}
	if again = x.found[i].Swap(true); !again {
		x.left.Add(-1)
	}
	return x.entries[i], true, again
}

// complete tells whether everything was found.
func (x *index) complete() bool { return x == nil || x.left.Load() == 0 }

// wasFound tells whether a name was found.
func (x *index) wasFound(name string) bool {
	i, known := x.at(name)
	return known && x.found[i].Load()
}

// matches tells whether a checksum is the expected one.
func (x *index) matches(e expected, checksum []byte) bool {
	return maphash.Bytes(x.seed, checksum) == e.sum
}
