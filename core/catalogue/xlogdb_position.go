package catalogue

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"iter"
	"strings"
)

// PlacedRecord is a line of xlog.db and where it begins in the file.
type PlacedRecord struct {
	WALRecord
	// Offset is in bytes.
	Offset int64
}

// PlacedRecords yields the lines of xlog.db in the order of the file: from offset
// on, if the line there is the one of the file called name, or else all of them. A
// damaged line is an error of kind Corrupt, after which the next follows; one
// that is being written is not yielded.
func (s *Server) PlacedRecords(offset int64, name string) iter.Seq2[PlacedRecord, error] {
	return func(yield func(PlacedRecord, error) bool) {
		path, _, err := s.xlogDB()
		if err != nil {
			yield(PlacedRecord{}, err)
			return
		}
		f, info, err := openRegular(path)
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			yield(PlacedRecord{}, s.wrap(err))
			return
		}
		defer f.Close() // it was only read from
		if offset < 0 || !beginsWith(io.NewSectionReader(f, offset, info.Size()), name) {
			offset = 0
		}
		in := bufio.NewReaderSize(io.NewSectionReader(f, offset, info.Size()), 64<<10)
		for {
			line, err := in.ReadString('\n')
			if err == io.EOF {
				return
			}
			var record WALRecord
			if err == nil {
				record, err = parseRecord(strings.TrimSuffix(line, "\n"))
			}
			if err != nil {
				err = s.recordError(path, err)
			}
			if !yield(PlacedRecord{record, offset}, err) {
				return
			}
			offset += int64(len(line))
		}
	}
}

// beginsWith tells whether a line of the file called name is what comes.
func beginsWith(r io.Reader, name string) bool {
	piece := make([]byte, len(name)+1)
	if _, err := io.ReadFull(r, piece); err != nil || name == "" {
		return false
	}
	return string(piece) == name+"\t" || string(piece) == name+" "
}
