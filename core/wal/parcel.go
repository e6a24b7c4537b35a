package wal

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
	maxDelivered = int64(wal.MaxSegmentSize) + 64<<20 // what does not compress grows a little
	maxFiles     = 64
	maxList      = 64 << 10
	maxTrailer   = 1 << 20 // of the zeros that fill a tar stream's last record
)

// hashAlgorithm is one of those whose sums a delivery may have.
type hashAlgorithm string

const (
	algorithmSHA256 hashAlgorithm = "SHA-256"
	algorithmMD5    hashAlgorithm = "MD5"
)

// digits is the length of a sum.
func (a hashAlgorithm) digits() int {
	if a == algorithmMD5 {
		return 32
	}
	return 64
}

// Names of the members that list checksums.
const (
	listSHA256 = "SHA256SUMS"
	listMD5    = "MD5SUMS"
)

// sums are the checksums that came with a delivery.
type sums struct {
	algorithm hashAlgorithm
	byName    map[string]string // hexadecimal, in small letters
}

// readParcel reads a delivery: a tar stream of WAL files and one list of their
// checksums, which may come anywhere. take is called for every file and reads
// it to its end. A delivery that breaks a rule is an error of kind Invalid, one
// that ends early Unavailable; the errors of take come back as they are.
//
// The sums are not held against the files, only their names against each other.
func readParcel(stream io.Reader, take func(name wal.Name, modified time.Time, content io.Reader) error) (sums, error) {
	buffered := bufio.NewReaderSize(stream, 64<<10)
	p := &parcel{members: tar.NewReader(buffered), seen: map[string]bool{}, take: take}
	for {
		header, err := p.members.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return sums{}, streamError(err)
		}
		if err := p.member(header); err != nil {
			return sums{}, err
		}
	}
	if err := readTrailer(buffered); err != nil {
		return sums{}, err
	}
	return p.sums, p.complete()
}

type parcel struct {
	members *tar.Reader
	take    func(name wal.Name, modified time.Time, content io.Reader) error
	seen    map[string]bool // files
	sums    sums
}

func (p *parcel) member(header *tar.Header) error {
	base := header.Name
	for strings.HasPrefix(base, "./") {
		base = base[len("./"):]
	}
	switch {
	case strings.Contains(base, "/") && header.Typeflag == tar.TypeReg:
		return sdk.Errorf(sdk.Invalid, "delivered is %q: files must be at the top of the tar stream", header.Name)
	case header.Typeflag != tar.TypeReg || isSparse(header):
		return sdk.Errorf(sdk.Invalid, "delivered is %q, which is not a regular file", header.Name)
	case base == listSHA256:
		return p.list(algorithmSHA256)
	case base == listMD5:
		return p.list(algorithmMD5)
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
	case header.Size > maxDelivered:
		return sdk.Errorf(sdk.Invalid, "delivered %s has %d bytes, more than any WAL file", base, header.Size)
	case seconds < 0 || seconds > lastSecond:
		return sdk.Errorf(sdk.Invalid, "delivered %s has an impossible time of modification", base)
	}
	p.seen[base] = true
	content := &source{r: p.members}
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
func (p *parcel) list(algorithm hashAlgorithm) error {
	if p.sums.byName != nil {
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

func parseSums(algorithm hashAlgorithm, text string) (sums, error) {
	s := sums{algorithm, map[string]string{}}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSuffix(line, "\n")
		sum, name, found := strings.Cut(line, " ")
		// The second character tells binary from text, which are the same here.
		if !found || len(sum) != algorithm.digits() || strings.Trim(sum, "0123456789abcdefABCDEF") != "" || len(name) < 2 || name[0] != '*' && name[0] != ' ' {
			return sums{}, sdk.Errorf(sdk.Invalid, "line %d of the delivered list of %s checksums is not one", number, algorithm)
		}
		name = strings.TrimPrefix(name[1:], "./")
		if _, twice := s.byName[name]; twice {
			return sums{}, sdk.Errorf(sdk.Invalid, "the delivered list of checksums has %q twice", name)
		}
		s.byName[name] = strings.ToLower(sum)
	}
	return s, nil
}

// complete checks that every file has a checksum and every checksum a file.
func (p *parcel) complete() error {
	if len(p.seen) == 0 && p.sums.byName == nil {
		return sdk.Errorf(sdk.Invalid, "nothing was delivered: standard input is an empty tar stream")
	}
	if p.sums.byName == nil {
		return sdk.Errorf(sdk.Invalid, "no checksums were delivered: the tar stream has neither %s nor %s", listSHA256, listMD5)
	}
	for name := range p.seen {
		if _, found := p.sums.byName[name]; !found {
			return sdk.Errorf(sdk.Invalid, "%s was delivered without a checksum", name)
		}
	}
	for name := range p.sums.byName {
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
