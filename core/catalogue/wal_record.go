package catalogue

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/barman-go/barman/sdk/wal"
)

// WALRecord is one line of xlog.db: a file of the WAL archive.
type WALRecord struct {
	Name wal.Name
	// Size is the number of bytes stored.
	Size int64
	// ModTime is when PostgreSQL last wrote the file.
	ModTime time.Time
	// Compression and Encryption are the names of the algorithms, or empty.
	Compression string
	Encryption  string
}

// maxWALSize is more than a segment of the largest size takes, however it is
// stored, and leaves room for the sum of all of them.
const maxWALSize = 1 << 36

// maxRecordSize bounds a line. The longest name has 40 characters.
const maxRecordSize = 4096

// parseRecord reads a line of 3 columns (before Barman 1.4), 4 (before 3.14) or 5.
func parseRecord(line string) (WALRecord, error) {
	const most = 5
	var columns [most]string
	n := 0
	for column := range strings.FieldsSeq(line) {
		if n < most {
			columns[n] = column
		}
		n++
	}
	if n < 3 || n > most {
		return WALRecord{}, fmt.Errorf("%q does not have 3 to 5 columns", clip(line))
	}
	name, err := wal.ParseName(columns[0])
	if err != nil {
		return WALRecord{}, err
	}
	size, err := strconv.ParseInt(columns[1], 10, 64)
	if err != nil || size < 0 || size > maxWALSize {
		return WALRecord{}, fmt.Errorf("%q is not a size", clip(columns[1]))
	}
	seconds, err := strconv.ParseFloat(columns[2], 64)
	if err != nil || math.IsNaN(seconds) || math.Abs(seconds) > 1e11 {
		return WALRecord{}, fmt.Errorf("%q is not a time in seconds", clip(columns[2]))
	}
	r := WALRecord{Name: name, Size: size, ModTime: timeOf(seconds)}
	for i, at := range []*string{&r.Compression, &r.Encryption} {
		if columns[3+i] == "" || columns[3+i] == nullText {
			continue
		}
		if !validAlgorithm(columns[3+i]) {
			return WALRecord{}, fmt.Errorf("%q is not the name of an algorithm", clip(columns[3+i]))
		}
		*at = columns[3+i]
	}
	return r, nil
}

func validAlgorithm(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == '.':
		default:
			return false
		}
	}
	return len(s) <= 64
}

// format renders the record as a line. With four columns the encryption is left
// out: programs that know four find it by the file's content if at all.
func (r WALRecord) format(columns int) (string, error) {
	if r.Name.Kind == 0 || r.Size < 0 || r.Size > maxWALSize || !validAlgorithm(r.Compression) || !validAlgorithm(r.Encryption) {
		return "", fmt.Errorf("WAL file %q of %d bytes (compression %q, encryption %q) cannot be recorded", r.Name, r.Size, clip(r.Compression), clip(r.Encryption))
	}
	orNull := func(s string) string {
		if s == "" {
			return nullText
		}
		return s
	}
	line := fmt.Sprintf("%s\t%d\t%s\t%s", r.Name, r.Size, formatFloat(secondsOf(r.ModTime)), orNull(r.Compression))
	if columns == 5 {
		line += "\t" + orNull(r.Encryption)
	}
	return line + "\n", nil
}

// timeOf and secondsOf convert as Python does, so that a line that is read and
// written again stays the same.
func timeOf(seconds float64) time.Time {
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(math.Round(fraction*1e9)))
}

func secondsOf(t time.Time) float64 {
	return float64(t.Unix()) + float64(t.Nanosecond())*1e-9
}

// readRecords yields the records of r. A damaged line is an error that tells
// its number, and the next line follows. A last line without newline is one
// that is being written, or was when its writer died: it counts only if it is
// complete.
func readRecords(r io.Reader) iter.Seq2[WALRecord, error] {
	return func(yield func(WALRecord, error) bool) {
		lines := bufio.NewReaderSize(r, 64<<10)
		var line []byte
		for number := 1; ; number++ {
			var complete bool
			var err error
			line, complete, err = readLine(lines, line[:0])
			if err != nil && !errors.Is(err, io.EOF) {
				yield(WALRecord{}, err)
				return
			}
			if len(bytes.TrimSpace(line)) > 0 {
				record, parseErr := parseRecord(string(line))
				switch {
				case parseErr == nil && (complete || knownCompression(record.Compression)):
					if !yield(record, nil) {
						return
					}
				case complete:
					if !yield(WALRecord{}, &lineError{number, parseErr}) {
						return
					}
				}
			}
			if err != nil {
				return
			}
		}
	}
}

// readLine appends what comes up to a newline to line, and drops what exceeds
// the longest line that can be right; complete tells whether the newline was
// there.
func readLine(r *bufio.Reader, line []byte) (_ []byte, complete bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if room := maxRecordSize - len(line); room > 0 {
			line = append(line, part[:min(room, len(part))]...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err == nil, err
		}
	}
}
