package delivery

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// Bounds of a delivery. A sender sends one file as a rule.
const (
	// MaxSize is how large a delivered file can be: what does not compress grows a
	// little.
	MaxSize = int64(wal.MaxSegmentSize) + 64<<20

	maxFiles   = 64
	maxList    = 64 << 10
	maxTrailer = 1 << 20 // of the zeros that fill a tar stream's last record
)

// Read reads a delivery. take is called for every file and reads it to its end.
// A delivery that breaks a rule is an error of kind Invalid, one that ends early
// Unavailable; the errors of take come back as they are.
//
// The sums are not held against the files, only their names against each other.
func Read(stream io.Reader, take func(name wal.Name, modified time.Time, content io.Reader) error) (Sums, error) {
	buffered := bufio.NewReaderSize(stream, 64<<10)
	p := &reader{members: tar.NewReader(buffered), seen: map[string]bool{}, take: take}
	for {
		header, err := p.members.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return Sums{}, streamError(err)
		}
		if err := p.member(header); err != nil {
			return Sums{}, err
		}
	}
	if err := readTrailer(buffered); err != nil {
		return Sums{}, err
	}
	return p.sums, p.complete()
}

type reader struct {
	members *tar.Reader
	take    func(name wal.Name, modified time.Time, content io.Reader) error
	seen    map[string]bool // files
	sums    Sums
}

func (p *reader) member(header *tar.Header) error {
	base := header.Name
	for strings.HasPrefix(base, "./") {
		base = base[len("./"):]
	}
	switch {
	case strings.Contains(base, "/") && header.Typeflag == tar.TypeReg:
		return sdk.Errorf(sdk.Invalid, "delivered is %q: files must be at the top of the tar stream", header.Name)
	case header.Typeflag != tar.TypeReg || isSparse(header):
		return sdk.Errorf(sdk.Invalid, "delivered is %q, which is not a regular file", header.Name)
	case base == SHA256.list(), base == MD5.list():
		return p.list(algorithmOf(base))
	}
	name, err := wal.ParseName(base)
	seconds := header.ModTime.Unix()
	switch {
	case err != nil:
		return sdk.Errorf(sdk.Invalid, "delivered: %w", err)
	case p.seen[base]:
		return sdk.Errorf(sdk.Invalid, "%s was delivered twice at once", base)
	case len(p.seen) == maxFiles:
		return sdk.Errorf(sdk.Invalid, "more than %d files were delivered at once", maxFiles)
	case header.Size == 0:
		return sdk.Errorf(sdk.Invalid, "delivered %s is empty", base)
	case header.Size > MaxSize:
		return sdk.Errorf(sdk.Invalid, "delivered %s has %d bytes, more than any WAL file", base, header.Size)
	case seconds < 0 || seconds > lastSecond:
		return sdk.Errorf(sdk.Invalid, "delivered %s has an impossible time of modification", base)
	}
	p.seen[base] = true
	content := &failing{r: p.members}
	if err := p.take(name, header.ModTime, content); err != nil {
		if content.failed != nil {
			return streamError(content.failed)
		}
		return err
	}
	return nil
}

// lastSecond is that of the year 9999, the last one that can be written in xlog.db
// and read by others.
const lastSecond = 253402300799

// isSparse tells a member that leaves out zeros: a few bytes of it can stand for
// any number of bytes of the file.
func isSparse(header *tar.Header) bool {
	for key := range header.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// list reads a list of checksums, in the format of sha256sum and md5sum.
func (p *reader) list(algorithm Algorithm) error {
	if p.sums.ByName != nil {
		return sdk.Errorf(sdk.Invalid, "a second list of checksums was delivered")
	}
	text, err := io.ReadAll(io.LimitReader(p.members, maxList+1))
	if err != nil {
		return streamError(err)
	}
	if len(text) > maxList {
		return sdk.Errorf(sdk.Invalid, "the delivered list of checksums is longer than %d bytes", maxList)
	}
	p.sums, err = parseSums(algorithm, string(text))
	return err
}

// complete checks that every file has a checksum and every checksum a file.
func (p *reader) complete() error {
	if len(p.seen) == 0 && p.sums.ByName == nil {
		return sdk.Errorf(sdk.Invalid, "nothing was delivered: standard input is an empty tar stream")
	}
	if p.sums.ByName == nil {
		return sdk.Errorf(sdk.Invalid, "no checksums were delivered: the tar stream has neither %s nor %s", SHA256.list(), MD5.list())
	}
	for name := range p.seen {
		if _, found := p.sums.ByName[name]; !found {
			return sdk.Errorf(sdk.Invalid, "%s was delivered without a checksum", name)
		}
	}
	for name := range p.sums.ByName {
		if !p.seen[name] {
			return sdk.Errorf(sdk.Invalid, "a checksum of %q was delivered, but not the file", name)
		}
	}
	if len(p.seen) == 0 {
		return sdk.Errorf(sdk.Invalid, "no WAL file was delivered")
	}
	return nil
}

// readTrailer reads what follows the end mark: zeros. Reading it lets the
// sender finish in peace.
func readTrailer(r io.Reader) error {
	rest, err := io.ReadAll(io.LimitReader(r, maxTrailer+1))
	switch {
	case err != nil:
		return streamError(err)
	case len(rest) > maxTrailer, strings.Trim(string(rest), "\x00") != "":
		return sdk.Errorf(sdk.Invalid, "something follows the end of the delivered tar stream")
	}
	return nil
}

// streamError tells a stream that was cut off from one that is none.
func streamError(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return sdk.Errorf(sdk.Unavailable, "the delivered tar stream ends early: the sender or the connection broke down")
	case errors.Is(err, tar.ErrHeader), errors.Is(err, tar.ErrFieldTooLong):
		return sdk.Errorf(sdk.Invalid, "what was delivered is not a tar stream: %w", err)
	case sdk.KindOf(err) != sdk.Unknown:
		return err
	}
	return fmt.Errorf("read the delivered tar stream: %w", err)
}

// failing remembers the error of a reader.
type failing struct {
	r      io.Reader
	failed error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && err != io.EOF {
		f.failed = err
	}
	return n, err
}
