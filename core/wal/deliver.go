package wal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/delivery"
	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/wal"
)

// Accepted: the file is durable in the incoming directory, where the archiver
// finds it.
const Accepted Outcome = "accepted"

// CheckDelivery tells whether a server accepts deliveries. An error is of kind
// Invalid.
func CheckDelivery(s *server.Server) error {
	switch {
	case !s.Config.Active:
		return sdk.Errorf(sdk.Invalid, "server %q is inactive and accepts no WAL files", s.Name())
	case !s.Config.WAL.Archive:
		return sdk.Errorf(sdk.Invalid, "server %q accepts no WAL files: set archive = true in its wal block", s.Name())
	}
	return nil
}

// Deliver takes in WAL files that are sent over a stream, see package delivery, and
// puts them into the server's incoming directory. When it returns without an
// error every file of the stream is durable there, or set aside.
//
// Nothing gets its name before the whole stream has come and all checksums are
// right; and nothing that has the name already is overwritten, but the
// beginning of the same file, which a copy that was interrupted left. A file
// that is there with the same content is Known. The second with another content
// is SetAside.
//
// Errors: Invalid for a server that accepts none, and for a stream that is no
// delivery; Unavailable for one that ends early; Corrupt for a wrong checksum;
// Busy when a file cannot be replaced because somebody archives.
func Deliver(ctx context.Context, s *server.Server, stream io.Reader) (files []File, err error) {
	if err := CheckDelivery(s); err != nil {
		return nil, err
	}
	if err := s.Catalogue.CreateDirectories(); err != nil {
		return nil, err
	}
	d := &intake{server: s}
	defer func() { err = errors.Join(err, d.discard()) }()
	listed, err := delivery.Read(stream, d.take)
	if err == nil {
		err = d.verify(listed)
	}
	for _, f := range d.files {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = d.publish(ctx, f)
		}
		if err == nil {
			files = append(files, f.File)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("server %s: %w", s.Name(), err)
	}
	return files, nil
}

// intake is what came over one stream.
type intake struct {
	server *server.Server
	files  []*delivered
}

// delivered is a file on its way into the incoming directory.
type delivered struct {
	File
	path    string               // where it goes
	content *durable.Replacement // nil once its fate is decided
	size    int64
	sha256  []byte
}

// take writes a file under a hidden name, which the archiver passes over.
func (d *intake) take(name wal.Name, modified time.Time, content io.Reader) error {
	const mode, piece = 0o600, 256 << 10
	path := filepath.Join(d.server.Catalogue.Layout().IncomingDirectory, name.String())
	replacement, err := durable.NewReplacement(path, mode)
	if err != nil {
		return fmt.Errorf("delivered %s: %w", name, err)
	}
	f := &delivered{File: File{Name: name.String(), Origin: Incoming}, path: path, content: replacement}
	d.files = append(d.files, f)
	// SHA-256 is what senders of today send; a sum of another kind is computed
	// when the list says so.
	sum := sha256.New()
	f.size, err = io.CopyBuffer(io.MultiWriter(replacement, sum), content, make([]byte, piece))
	if err == nil {
		err = replacement.SetModTime(modified)
	}
	if err != nil {
		return fmt.Errorf("delivered %s: %w", name, err)
	}
	f.sha256 = sum.Sum(nil)
	return nil
}

// verify holds the files against their checksums.
func (d *intake) verify(listed delivery.Sums) error {
	for _, f := range d.files {
		got := f.sha256
		if listed.Algorithm == delivery.MD5 {
			var err error
			if got, err = sumOf(listed.Algorithm.New(), f.reader()); err != nil {
				return fmt.Errorf("delivered %s: %w", f.Name, err)
			}
		}
		if want := listed.ByName[f.Name]; hex.EncodeToString(got) != want {
			return sdk.Errorf(sdk.Corrupt, "delivered %s has the %s checksum %x, the sender says %s: the file changed while it was sent, or on its way", f.Name, listed.Algorithm, got, want)
		}
	}
	return nil
}

func (f *delivered) reader() io.Reader { return io.NewSectionReader(f.content, 0, f.size) }

func sumOf(h hash.Hash, r io.Reader) ([]byte, error) {
	_, err := io.Copy(h, r)
	return h.Sum(nil), err
}

// discard removes what has no name yet.
func (d *intake) discard() error {
	var errs []error
	for _, f := range d.files {
		if f.content != nil {
			errs = append(errs, f.content.Abort())
		}
	}
	return errors.Join(errs...)
}

// publish gives a file its name. What it finds there may be gone or another file
// a moment later: others deliver, and the archiver takes files away.
func (d *intake) publish(ctx context.Context, f *delivered) error {
	const attempts = 100
	for range attempts {
		err := f.content.CommitNew()
		if !errors.Is(err, fs.ErrExist) {
			f.content = nil
			if err != nil {
				return fmt.Errorf("delivered %s: %w", f.Name, err)
			}
			f.Outcome = Accepted
			return nil
		}
		there, err := f.compareWith()
		if err != nil {
			return fmt.Errorf("delivered %s: compare it with what is there: %w", f.Name, err)
		}
		switch there.likeness {
		case same:
			f.Outcome = Known
			return nil
		case different:
			return d.aside(f)
		case hollow:
			if replaced, err := d.replace(ctx, f, there.info); replaced || err != nil {
				return err
			}
		}
	}
	return sdk.Errorf(sdk.Busy, "delivered %s: other files of this name come and go", f.Name)
}

// standing is a file that has the name of one that is delivered.
type standing struct {
	info     fs.FileInfo
	likeness likeness // hollow: no more than the beginning of the delivered one
}

// compareWith compares a delivered file with the one that has its name. If that
// is the same, it is made durable: whoever put it there need not have done so.
func (f *delivered) compareWith() (found standing, err error) {
	there, err := os.OpenFile(f.path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return standing{likeness: missing}, nil
	case errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENXIO):
		return standing{likeness: different}, nil
	case err != nil:
		return standing{}, err
	}
	defer func() { err = errors.Join(err, there.Close()) }()
	if found.info, err = there.Stat(); err != nil {
		return standing{}, err
	}
	if !found.info.Mode().IsRegular() {
		found.likeness = different
		return found, nil
	}
	found.likeness, err = f.likenTo(there, found.info.Size())
	if err == nil && found.likeness == same {
		err = errors.Join(there.Sync(), durable.SyncDirectory(filepath.Dir(f.path)))
	}
	return found, err
}

func (f *delivered) likenTo(there io.ReaderAt, size int64) (likeness, error) {
	begins, err := beginsLike(f.content, there, min(f.size, size))
	switch {
	case err != nil:
		return 0, err
	case begins && size == f.size:
		return same, nil
	case begins && size < f.size:
		return hollow, nil
	}
	// A sender that compresses need not make the same bytes twice: gzip stores the
	// time.
	left, err := plainSum(f.reader())
	if err != nil {
		return 0, err
	}
	right, err := plainSum(io.NewSectionReader(there, 0, size))
	if err != nil || left == nil || !bytes.Equal(left, right) {
		return different, err
	}
	return same, nil
}

// beginsLike compares the first bytes of two files.
func beginsLike(a, b io.ReaderAt, size int64) (bool, error) {
	const piece = 256 << 10
	x, y := make([]byte, piece), make([]byte, piece)
	for at := int64(0); at < size; at += piece {
		n := min(piece, size-at)
		if _, err := a.ReadAt(x[:n], at); err != nil {
			return false, err
		}
		if _, err := b.ReadAt(y[:n], at); err != nil && err != io.EOF {
			return false, err
		} else if err == io.EOF || !bytes.Equal(x[:n], y[:n]) {
			return false, nil
		}
	}
	return true, nil
}

// plainSum is the checksum of what a file holds decompressed, nil if it cannot
// be decompressed to its end.
func plainSum(r io.Reader) ([]byte, error) {
	read := codec.NewInput(r)
	plain, _, err := codec.Decoded(read)
	if err != nil {
		return nil, read.Err()
	}
	defer plain.Close()
	sum, err := sumOf(sha256.New(), io.LimitReader(plain, delivery.MaxSize))
	if err != nil {
		return nil, read.Err()
	}
	return sum, nil
}

// lockPatience is how long one waits for the archiver's lock. It is longer than
// a run that has to give up a stage which hangs takes.
const lockPatience = time.Minute

// lockArchive waits for the archiver's lock, but not for ever.
func lockArchive(ctx context.Context, s *server.Server) (*catalogue.Lock, error) {
	waiting, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	lock, err := s.Catalogue.LockWait(waiting, catalogue.LockArchiveWAL)
	switch {
	case err == nil:
		return lock, nil
	case ctx.Err() != nil:
		return nil, sdk.Errorf(sdk.Cancelled, "server %q: waiting for another process that archives: %w", s.Name(), context.Cause(ctx))
	case waiting.Err() != nil:
		return nil, sdk.Errorf(sdk.Busy, "waited %s: %w", lockPatience, err)
	}
	return nil, err
}

// replace puts the file in the place of its own beginning, unless that has
// changed meanwhile. The archiver's lock keeps it from removing or setting aside
// the new file for the old one.
func (d *intake) replace(ctx context.Context, f *delivered, beginning fs.FileInfo) (replaced bool, err error) {
	lock, err := lockArchive(ctx, d.server)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	now, err := os.Lstat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !os.SameFile(now, beginning) || now.Size() != beginning.Size() {
		return false, nil
	}
	d.server.Logger.Warn("a delivered WAL file takes the place of one that holds only its beginning", "file", f.path, "bytes", now.Size(), "delivered", f.size)
	content := f.content
	f.content = nil
	if err := content.Commit(); err != nil {
		return false, fmt.Errorf("delivered %s: %w", f.Name, err)
	}
	f.Outcome = Accepted
	return true, nil
}

// aside keeps a file whose name is taken in the errors directory, where it is
// durable as well.
func (d *intake) aside(f *delivered) error {
	const reason = "another file of this name was delivered before and is not archived yet"
	to, err := moveAside(f.content.Temporary(), f.Name, d.server.Catalogue.Layout().ErrorsDirectory, suffixDuplicate, time.Now())
	if err != nil {
		return fmt.Errorf("delivered %s: %s, and this one cannot be set aside: %w", f.Name, reason, err)
	}
	f.Outcome, f.Reason, f.Path = SetAside, reason, to
	d.server.Logger.Error("a delivered WAL file was set aside", "file", f.Name, "reason", reason, "kept", to)
	return nil
}
