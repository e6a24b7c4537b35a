package walrestore

import (
	"bufio"
	"io"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// readNames reads the list that get-wal --peek prints, at most limit names. They
// become the names of files: each must be that of a segment, of the timeline of
// the first, which must be the one that was asked for, and come after the one
// before it. Anything else is an error of kind Corrupt. An empty list is none.
func readNames(r io.Reader, first wal.Name, limit int) ([]wal.Name, error) {
	lines := bufio.NewScanner(io.LimitReader(r, int64(limit)*64))
	lines.Buffer(nil, 256)
	var names []wal.Name
	for lines.Scan() && len(names) < limit {
		name, err := wal.ParseName(lines.Text())
		switch {
		case err != nil:
			return nil, sdk.Errorf(sdk.Corrupt, "list of WAL files: %w", err)
		case name.Kind != wal.KindSegment || name.Timeline != first.Timeline:
			return nil, sdk.Errorf(sdk.Corrupt, "list of WAL files: %s is no segment of timeline %d", name, first.Timeline)
		case len(names) == 0 && name.String() != first.String():
			return nil, sdk.Errorf(sdk.Corrupt, "list of WAL files: it begins with %s, and not with %s", name, first)
		case len(names) > 0 && !before(names[len(names)-1], name):
			return nil, sdk.Errorf(sdk.Corrupt, "list of WAL files: %s comes after %s", name, names[len(names)-1])
		}
		names = append(names, name)
	}
	if err := lines.Err(); err != nil {
		return nil, sdk.Errorf(sdk.Corrupt, "list of WAL files: %w", err)
	}
	return names, nil
}

// before tells whether a segment is an earlier one of the same timeline.
func before(a, b wal.Name) bool {
	return a.Log < b.Log || a.Log == b.Log && a.Seg < b.Seg
}
