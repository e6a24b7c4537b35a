package catalogue

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/sdk"
)

// ReceiptsName is the file beside backup.info in which this program notes what
// it stored. Barman in Python ignores it; a backup without it is as usable.
const ReceiptsName = "barman-objects.jsonl"

// ReceiptsFormat is the version of the file's format that is written, and the
// highest that is read. Fields that are not known are ignored.
const ReceiptsFormat = 1

// maxReceiptLine bounds a line: an object's name has at most 4096 bytes.
const maxReceiptLine = 1 << 20

// ReceiptsHeader is the first line of the file.
type ReceiptsHeader struct {
	// Format is set by NewReceipts.
	Format int `json:"format"`
	// Program is what wrote the file, such as "barman 4.0.0".
	Program string `json:"program,omitempty"`
	// Chain is the pipeline in the order of the data: source, transforms, sink.
	Chain []ChainStage `json:"chain"`
}

// ChainStage is one stage of the pipeline. Settings are those a restore needs
// to undo the stage, never secrets.
type ChainStage struct {
	Kind     string            `json:"kind"`
	Name     string            `json:"name"`
	Version  string            `json:"version,omitempty"`
	Settings map[string]string `json:"settings,omitempty"`
}

// ObjectReceipt is one further line: an object that is durable.
type ObjectReceipt struct {
	// Name is the object's name as stored, relative to the server's directory.
	Name string `json:"name"`
	// Size and CRC32C are of the bytes the source sent, StoredSize and
	// StoredCRC32C of those the sink has.
	Size         int64    `json:"size"`
	CRC32C       Checksum `json:"crc32c"`
	StoredSize   int64    `json:"stored_size"`
	StoredCRC32C Checksum `json:"stored_crc32c"`
}

// Checksum is a CRC-32C; as text, eight hexadecimal digits.
type Checksum uint32

// String returns the eight digits.
func (c Checksum) String() string { return fmt.Sprintf("%08x", uint32(c)) }

// MarshalText is String, for JSON.
func (c Checksum) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads eight hexadecimal digits.
func (c *Checksum) UnmarshalText(text []byte) error {
	var v uint32
	if n, err := fmt.Sscanf(string(text), "%08x", &v); len(text) != 8 || n != 1 || err != nil {
		return fmt.Errorf("%q is not a CRC-32C of eight hexadecimal digits", clip(string(text)))
	}
	*c = Checksum(v)
	if c.String() != string(text) {
		return fmt.Errorf("%q is not a CRC-32C of eight lower-case hexadecimal digits", clip(string(text)))
	}
	return nil
}

// ReceiptsWriter writes the file line by line. Nothing is visible before
// Commit. It is for one goroutine at a time.
type ReceiptsWriter struct {
	server *Server
	id     BackupID
	file   *durable.Replacement
	out    *bufio.Writer
}

// NewReceipts begins the receipts of a backup, which replace those it has when
// they are committed. The caller ends with Commit or Abort.
func (s *Server) NewReceipts(id BackupID, header ReceiptsHeader) (*ReceiptsWriter, error) {
	path, err := s.receiptsPath(id)
	if err != nil {
		return nil, err
	}
	if err := durable.MakeDirectory(filepath.Dir(path)); err != nil {
		return nil, s.errorf(kindOf(err), "receipts of backup %s: %w", id, err)
	}
	f, err := durable.NewReplacement(path, fileMode)
	if err != nil {
		return nil, s.errorf(kindOf(err), "receipts of backup %s: %w", id, err)
	}
	w := &ReceiptsWriter{server: s, id: id, file: f, out: bufio.NewWriterSize(f, 64<<10)}
	header.Format = ReceiptsFormat
	if err := w.line(header); err != nil {
		return nil, errors.Join(err, w.Abort())
	}
	return w, nil
}

// Add notes one object.
func (w *ReceiptsWriter) Add(r ObjectReceipt) error {
	if !sdk.ValidName(r.Name) || r.Size < 0 || r.StoredSize < 0 {
		return w.server.errorf(sdk.Invalid, "receipts of backup %s: object %q of %d bytes, %d stored, cannot be noted", w.id, clip(r.Name), r.Size, r.StoredSize)
	}
	return w.line(r)
}

func (w *ReceiptsWriter) line(v any) error {
	text, err := json.Marshal(v)
	if err == nil {
		_, err = w.out.Write(append(text, '\n'))
	}
	if err != nil {
		return w.server.errorf(kindOf(err), "receipts of backup %s: %w", w.id, err)
	}
	return nil
}

// Commit makes the receipts durable and visible.
func (w *ReceiptsWriter) Commit() error {
	if err := w.out.Flush(); err != nil {
		return w.server.errorf(kindOf(err), "receipts of backup %s: %w", w.id, errors.Join(err, w.file.Abort()))
	}
	if err := w.file.Commit(); err != nil {
		return w.server.errorf(kindOf(err), "receipts of backup %s: %w", w.id, err)
	}
	return nil
}

// Abort leaves the catalogue as it was. After Commit it does nothing.
func (w *ReceiptsWriter) Abort() error {
	err := w.file.Abort()
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// Receipts opens the receipts of a backup: the header at once, the objects as
// they are asked for. Objects may be iterated over once; an error ends them. A
// backup without receipts is an error of kind NotFound, which says nothing
// against the backup. The caller closes the file by finishing the iteration.
func (s *Server) Receipts(id BackupID) (ReceiptsHeader, iter.Seq2[ObjectReceipt, error], error) {
	path, err := s.receiptsPath(id)
	if err != nil {
		return ReceiptsHeader{}, nil, err
	}
	header, err := s.receiptsHeader(path)
	if err != nil {
		return ReceiptsHeader{}, nil, s.errorf(kindOf(err), "receipts of backup %s: %w", id, err)
	}
	return header, func(yield func(ObjectReceipt, error) bool) {
		if err := readReceipts(path, yield); err != nil {
			yield(ObjectReceipt{}, s.errorf(kindOf(err), "receipts of backup %s: %w", id, err))
		}
	}, nil
}

func (s *Server) receiptsPath(id BackupID) (string, error) {
	if _, err := ParseBackupID(string(id)); err != nil {
		return "", s.wrap(err)
	}
	if err := refuseLink(s.Directory(id)); err != nil {
		return "", s.wrap(err)
	}
	return filepath.Join(s.Directory(id), ReceiptsName), nil
}

func (s *Server) receiptsHeader(path string) (header ReceiptsHeader, err error) {
	f, _, err := openRegular(path)
	if err != nil {
		return ReceiptsHeader{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	lines := receiptLines(f)
	if !lines.Scan() {
		return ReceiptsHeader{}, receiptsDamage(path, 1, errors.Join(lines.Err(), errors.New("the first line is missing")))
	}
	if err := json.Unmarshal(lines.Bytes(), &header); err != nil {
		return ReceiptsHeader{}, receiptsDamage(path, 1, err)
	}
	if header.Format < 1 || header.Format > ReceiptsFormat {
		return ReceiptsHeader{}, sdk.Errorf(sdk.Invalid, "%s has format %d, this program reads up to %d: use the one that wrote it, or a newer one", path, header.Format, ReceiptsFormat)
	}
	return header, nil
}

// readReceipts yields the lines behind the header. It returns nil when yield
// wants no more.
func readReceipts(path string, yield func(ObjectReceipt, error) bool) (err error) {
	f, _, err := openRegular(path)
	if err != nil {
		return err
	}
	goOn := true
	defer func() {
		if closeErr := f.Close(); goOn {
			err = errors.Join(err, closeErr)
		}
	}()
	lines := receiptLines(f)
	number := 0
	for lines.Scan() {
		if number++; number == 1 {
			continue
		}
		var r ObjectReceipt
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return receiptsDamage(path, number, err)
		}
		if !sdk.ValidName(r.Name) || r.Size < 0 || r.StoredSize < 0 {
			return receiptsDamage(path, number, fmt.Errorf("object %q of %d bytes, %d stored, is not possible", clip(r.Name), r.Size, r.StoredSize))
		}
		if goOn = yield(r, nil); !goOn {
			return nil
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return receiptsDamage(path, number+1, err)
	}
	return lines.Err()
}

func receiptLines(f fs.File) *bufio.Scanner {
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 0, 64<<10), maxReceiptLine)
	return lines
}

func receiptsDamage(path string, line int, err error) error {
	return sdk.Errorf(sdk.Corrupt, "%s, line %d: %w; without this file the backup is still usable, but its checksums are not known", path, line, err)
}
