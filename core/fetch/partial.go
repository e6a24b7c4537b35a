package fetch

import (
	"cmp"
	"slices"

	corewal "github.com/barman-go/barman/core/wal"
	"github.com/barman-go/barman/sdk/codec"
)

// furthestFirst sorts the locations of an unfinished segment, the copy that leads
// furthest first: a promoted standby delivers what it had of the old timeline,
// which may be more or less than what was received.
func (f *search) furthestFirst(all []location) []location {
	extents := map[Place]int64{}
	for _, l := range all {
		extents[l.place] = max(extents[l.place], f.extent(l))
	}
	slices.SortStableFunc(all, func(a, b location) int { return cmp.Compare(extents[b.place], extents[a.place]) })
	return all
}

// extent is how far a file leads; 0 if there is none or it cannot be read, which
// whoever tries it finds out.
func (f *search) extent(l location) int64 {
	file, _, err := openFile(f.path(l))
	if err != nil || file == nil {
		return 0
	}
	defer file.Close() // it was only read from
	plain, _, err := codec.Decoded(file)
	if err != nil {
		return 0
	}
	defer plain.Close() // the same
	extent, err := corewal.Extent(plain)
	if err != nil {
		return 0
	}
	return extent
}
