package manifest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/barman-go/barman/sdk"
)

// Writer writes a manifest file by file. It is for one goroutine at a time.
type Writer struct {
	out   *bufio.Writer
	sum   hash.Hash
	files int
}

// NewWriter begins a manifest. With the identifier of the cluster it is of
// version 2, which PostgreSQL 17 and later make and read; without one of
// version 1, which all read.
func NewWriter(w io.Writer, systemID string) (*Writer, error) {
	m := &Writer{sum: sha256.New()}
	m.out = bufio.NewWriterSize(io.MultiWriter(w, m.sum), 64<<10)
	head := "{\"PostgreSQL-Backup-Manifest-Version\": 1,\n"
	if systemID != "" {
		id, err := strconv.ParseUint(systemID, 10, 64)
		if err != nil {
			return nil, sdk.Errorf(sdk.Invalid, "system identifier %q is not a number", clip(systemID))
		}
		head = fmt.Sprintf("{\"PostgreSQL-Backup-Manifest-Version\": 2,\n\"System-Identifier\": %d,\n", id)
	}
	_, err := m.out.WriteString(head + "\"Files\": [")
	return m, err
}

// Add lists a file.
func (m *Writer) Add(f File, modified time.Time) error {
	if !ValidPath(f.Path) || f.Size < 0 || len(f.Checksum) != f.Algorithm.Size() {
		return sdk.Errorf(sdk.Invalid, "file %q of %d bytes with a checksum of %d cannot be listed in a manifest", clip(f.Path), f.Size, len(f.Checksum))
	}
	// The keys are in the order of the alphabet, as Barman in Python has them.
	var line struct {
		Checksum     string `json:"Checksum,omitempty"`
		Algorithm    string `json:"Checksum-Algorithm,omitempty"`
		EncodedPath  string `json:"Encoded-Path,omitempty"`
		LastModified string `json:"Last-Modified"`
		Path         string `json:"Path,omitempty"`
		Size         int64  `json:"Size"`
	}
	if f.Algorithm != None {
		line.Checksum, line.Algorithm = hex.EncodeToString(f.Checksum), f.Algorithm.String()
	}
	line.LastModified, line.Size = modified.UTC().Format("2006-01-02 15:04:05 GMT"), f.Size
	if line.Path = f.Path; !utf8.ValidString(f.Path) {
		line.Path, line.EncodedPath = "", hex.EncodeToString([]byte(f.Path))
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(line); err != nil {
		return err
	}
	separator := ",\n"
	if m.files == 0 {
		separator = "\n"
	}
	m.files++
	_, err := m.out.WriteString(separator + string(bytes.TrimSuffix(text.Bytes(), []byte("\n"))))
	return err
}

// Close ends the manifest with the WAL that the backup needs and the checksum of
// it all. It does not close what the manifest is written to.
func (m *Writer) Close(ranges []WALRange) error {
	text := "],\n\"WAL-Ranges\": ["
	for i, r := range ranges {
		if i > 0 {
			text += ","
		}
		text += fmt.Sprintf("\n{ \"Timeline\": %d, \"Start-LSN\": \"%s\", \"End-LSN\": \"%s\" }", uint32(r.Timeline), r.Start, r.End)
	}
	if _, err := m.out.WriteString(text + "],\n"); err != nil {
		return err
	}
	if err := m.out.Flush(); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(m.out, "\"Manifest-Checksum\": \"%x\"}\n", m.sum.Sum(nil)); err != nil {
		return err
	}
	return m.out.Flush()
}
