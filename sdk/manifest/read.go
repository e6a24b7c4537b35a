package manifest

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

const (
	// maxVersion is the newest format that is known. Version 1 came with PostgreSQL
	// 13, version 2 with 17.
	maxVersion = 2
	// maxValue bounds what one file, or one range of WAL, takes in the manifest.
	maxValue = 1 << 20
	// maxPath is more than PostgreSQL's own limit, MAXPGPATH.
	maxPath = 4096
	// maxFiles bounds the memory of whoever remembers the files.
	maxFiles = 1 << 26
	// maxRanges is far more than the timelines that a backup can span.
	maxRanges = 1 << 16

	readSize = 256 << 10
)

// File is what the manifest says of one file.
type File struct {
	// Path is relative to the data directory, with slashes. Its bytes need not be
	// UTF-8. It is clean and does not lead out of the directory.
	Path string
	// Size is in bytes.
	Size int64
	// Algorithm and Checksum are those of the file's bytes; None has no checksum.
	Algorithm Algorithm
	Checksum  []byte
}

// WALRange is WAL of one timeline that the backup needs, from the record at
// Start up to and without the one at End.
type WALRange struct {
	Timeline   wal.Timeline
	Start, End wal.LSN
}

// Manifest is what a manifest says apart from the files.
type Manifest struct {
	Version int
	// SystemID identifies the cluster; empty in version 1.
	SystemID string
	Files    int
	Bytes    int64 // of all files together
	// WAL is empty when another program than PostgreSQL made the manifest.
	WAL []WALRange
}

// Read reads a manifest and calls each for every file, in the order of the
// manifest. Whether its own checksum is right is only known at the end: until
// then nothing that it says is certain. An error of each ends it and comes back
// as it is; what is wrong with the manifest is an error of kind Corrupt, or
// Invalid when it is of a version that is not known.
func Read(r io.Reader, each func(File) error) (Manifest, error) {
	sum := newTrailer(r)
	m := &reader{sum: sum, limit: &limited{r: bufio.NewReaderSize(sum, readSize)}, each: each}
	m.json = json.NewDecoder(m.limit)
	m.json.UseNumber()
	m.json.DisallowUnknownFields()
	err := m.document()
	var foreign *foreignError
	switch {
	case err == nil:
		return m.manifest, nil
	case errors.As(err, &foreign):
		return Manifest{}, foreign.error
	case sum.failed != nil:
		return Manifest{}, sum.failed
	case sdk.KindOf(err) == sdk.Invalid:
		return Manifest{}, err
	}
	return Manifest{}, sdk.Errorf(sdk.Corrupt, "at byte %d: %w", m.json.InputOffset(), early(err))
}

// foreignError is an error of each.
type foreignError struct{ error }

// early gives the end of a manifest that was cut off one name.
func early(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// reader reads one manifest.
type reader struct {
	sum      *trailer
	limit    *limited
	json     *json.Decoder
	each     func(File) error
	manifest Manifest
}

func (m *reader) document() error {
	if err := m.delimiter('{'); err != nil {
		return err
	}
	var seen []string
	var checksum string
	for m.more() {
		key, err := m.token()
		if err != nil {
			return err
		}
		name, _ := key.(string)
		if slices.Contains(seen, name) {
			return fmt.Errorf("%q comes twice", clip(name))
		}
		if len(seen) == 0 && name != "PostgreSQL-Backup-Manifest-Version" {
			return fmt.Errorf("it begins with %q instead of its version", clip(name))
		}
		seen = append(seen, name)
		switch name {
		case "PostgreSQL-Backup-Manifest-Version":
			err = m.version()
		case "System-Identifier":
			err = m.systemID()
		case "Files":
			err = m.list(func() error { return m.file() })
		case "WAL-Ranges":
			err = m.list(func() error { return m.walRange() })
		case "Manifest-Checksum":
			err = m.value(&checksum)
		default:
			err = fmt.Errorf("%q is not known", clip(name))
		}
		if err != nil {
			return err
		}
	}
	if err := m.delimiter('}'); err != nil {
		return err
	}
	switch {
	case !slices.Contains(seen, "Files"):
		return errors.New("it has no list of files")
	case len(seen) == 0 || seen[len(seen)-1] != "Manifest-Checksum":
		return errors.New("it does not end with its own checksum")
	}
	return m.end(checksum)
}

// end reads what follows the document, which must be nothing, and checks all
// that was read.
func (m *reader) end(checksum string) error {
	m.allow()
	if _, err := m.json.Token(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = errors.New("something follows its end")
		}
		return err
	}
	found, err := m.sum.finish()
	if err != nil {
		return err
	}
	if want, err := hex.DecodeString(checksum); err != nil || len(want) != len(found) || string(want) != string(found) {
		return fmt.Errorf("its checksum is %x, and it says %q: it was changed, or damaged", found, clip(checksum))
	}
	return nil
}

func (m *reader) version() error {
	var number json.Number
	if err := m.value(&number); err != nil {
		return err
	}
	version, err := strconv.Atoi(number.String())
	if err != nil || version < 1 {
		return fmt.Errorf("version %q is none", clip(number.String()))
	}
	if version > maxVersion {
		return sdk.Errorf(sdk.Invalid, "it has version %d, and this program reads up to %d: use a newer one", version, maxVersion)
	}
	m.manifest.Version = version
	return nil
}

func (m *reader) systemID() error {
	var number json.Number
	if err := m.value(&number); err != nil {
		return err
	}
	if _, err := strconv.ParseUint(number.String(), 10, 64); err != nil {
		return fmt.Errorf("system identifier %q is none", clip(number.String()))
	}
	m.manifest.SystemID = number.String()
	return nil
}

// list calls one for each value of a list.
func (m *reader) list(one func() error) error {
	if err := m.delimiter('['); err != nil {
		return err
	}
	for m.more() {
		if err := one(); err != nil {
			return err
		}
	}
	return m.delimiter(']')
}

func (m *reader) file() error {
	var v struct {
		Path         *string
		EncodedPath  *string      `json:"Encoded-Path"`
		Size         *json.Number `json:"Size"`
		LastModified string       `json:"Last-Modified"`
		Algorithm    *string      `json:"Checksum-Algorithm"`
		Checksum     *string
	}
	if err := m.value(&v); err != nil {
		return err
	}
	var f File
	switch {
	case v.Path != nil && v.EncodedPath != nil, v.Path == nil && v.EncodedPath == nil:
		return errors.New("a file has not exactly one of Path and Encoded-Path")
	case v.Path != nil:
		f.Path = *v.Path
	default:
		decoded, err := hex.DecodeString(*v.EncodedPath)
		if err != nil {
			return fmt.Errorf("Encoded-Path %q: %w", clip(*v.EncodedPath), err)
		}
		f.Path = string(decoded)
	}
	if !ValidPath(f.Path) {
		return fmt.Errorf("%q cannot be the path of a file in a backup", clip(f.Path))
	}
	if v.Size == nil {
		return fmt.Errorf("file %q has no size", clip(f.Path))
	}
	var err error
	if f.Size, err = strconv.ParseInt(v.Size.String(), 10, 64); err != nil || f.Size < 0 {
		return fmt.Errorf("file %q has the size %q", clip(f.Path), clip(v.Size.String()))
	}
	if f.Algorithm, f.Checksum, err = checksum(v.Algorithm, v.Checksum); err != nil {
		return fmt.Errorf("file %q: %w", clip(f.Path), err)
	}
	if m.manifest.Files++; m.manifest.Files > maxFiles {
		return fmt.Errorf("it lists more than %d files", maxFiles)
	}
	if m.manifest.Bytes += f.Size; m.manifest.Bytes < 0 {
		return fmt.Errorf("file %q makes the backup larger than anything can be", clip(f.Path))
	}
	if err := m.each(f); err != nil {
		return &foreignError{err}
	}
	return nil
}

func checksum(algorithm, digits *string) (Algorithm, []byte, error) {
	if algorithm == nil && digits == nil {
		return None, nil, nil
	}
	if algorithm == nil || digits == nil {
		return None, nil, errors.New("it has only one of Checksum and Checksum-Algorithm")
	}
	a, err := ParseAlgorithm(*algorithm)
	if err != nil {
		return None, nil, err
	}
	sum, err := hex.DecodeString(*digits)
	if err != nil || len(sum) != a.Size() {
		return None, nil, fmt.Errorf("%q is no checksum %s", clip(*digits), a)
	}
	return a, sum, nil
}

// ValidPath tells whether a path can be that of a file in a data directory.
func ValidPath(p string) bool {
	return p != "" && len(p) <= maxPath && p != "." && p != ".." && !strings.HasPrefix(p, "../") && !path.IsAbs(p) &&
		!strings.ContainsRune(p, 0) && path.Clean(p) == p
}

func (m *reader) walRange() error {
	var v struct {
		Timeline *json.Number
		Start    *string `json:"Start-LSN"`
		End      *string `json:"End-LSN"`
	}
	if err := m.value(&v); err != nil {
		return err
	}
	if v.Timeline == nil || v.Start == nil || v.End == nil {
		return errors.New("a range of WAL lacks its timeline, its start or its end")
	}
	timeline, err := strconv.ParseUint(v.Timeline.String(), 10, 32)
	if err != nil || timeline == 0 {
		return fmt.Errorf("a range of WAL has the timeline %q", clip(v.Timeline.String()))
	}
	r := WALRange{Timeline: wal.Timeline(timeline)}
	if r.Start, err = wal.ParseLSN(*v.Start); err != nil {
		return fmt.Errorf("a range of WAL: %w", err)
	}
	if r.End, err = wal.ParseLSN(*v.End); err != nil {
		return fmt.Errorf("a range of WAL: %w", err)
	}
	if r.End < r.Start {
		return fmt.Errorf("a range of WAL ends at %s, before its start at %s", r.End, r.Start)
	}
	if m.manifest.WAL = append(m.manifest.WAL, r); len(m.manifest.WAL) > maxRanges {
		return fmt.Errorf("it lists more than %d ranges of WAL", maxRanges)
	}
	return nil
}

// allow lets the next value be read, however far the decoder has read ahead.
func (m *reader) allow() { m.limit.until = m.json.InputOffset() + maxValue }

func (m *reader) more() bool {
	m.allow()
	return m.json.More()
}

func (m *reader) token() (json.Token, error) {
	m.allow()
	return m.json.Token()
}

func (m *reader) value(into any) error {
	m.allow()
	return m.json.Decode(into)
}

func (m *reader) delimiter(want json.Delim) error {
	got, err := m.token()
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%q is missing", want)
	}
	return nil
}

// limited ends a value that goes on for too long: the decoder holds each value
// in memory.
type limited struct {
	r     io.Reader
	read  int64
	until int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.read >= l.until {
		return 0, errTooLong
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.until-l.read)])
	l.read += int64(n)
	return n, err
}

var errTooLong = fmt.Errorf("a value is longer than the %d bytes that it can be", maxValue)

// clip bounds what a message quotes.
func clip(s string) string {
	const most = 120
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
