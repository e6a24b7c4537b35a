package catalogue

import (
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// WALCount is how many WAL files an archive holds.
type WALCount struct {
	// Files are those in its directories, Records the lines of its index; an
	// archive elsewhere has only these.
	Files, Records int
}

// WALFrom counts the files of the archive that belong to a timeline or a later
// one, of whatever kind. Damaged lines of the index count as well: what they
// stand for is not known.
func (s *Server) WALFrom(timeline wal.Timeline) (WALCount, error) {
	var count WALCount
	for file, err := range s.WALFiles() {
		if err != nil {
			return WALCount{}, err
		}
		if file.Name.Timeline >= timeline {
			count.Files++
		}
	}
	if count.Files > 0 {
		return count, nil
	}
	for record, err := range s.WALRecords() {
		if err != nil && sdk.KindOf(err) != sdk.Corrupt {
			return WALCount{}, err
		}
		if err != nil || record.Name.Timeline >= timeline {
			count.Records++
		}
	}
	return count, nil
}
