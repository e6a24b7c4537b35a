package delivery

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/wal"
)

// File is a file to send.
type File struct {
	Name    string
	Size    int64
	ModTime time.Time
	Content io.Reader
}

// Write writes a delivery. The stream is complete only if there is no error:
// without the end, nobody takes anything of it.
func Write(to io.Writer, algorithm Algorithm, files ...File) error {
	members := tar.NewWriter(to)
	var list strings.Builder
	for _, f := range files {
		if err := members.WriteHeader(header(f.Name, f.Size, f.ModTime)); err != nil {
			return err
		}
		sum := algorithm.New()
		if err := copyWhole(io.MultiWriter(members, sum), f); err != nil {
			return fmt.Errorf("send %s: %w", f.Name, err)
		}
		fmt.Fprintf(&list, "%x *%s\n", sum.Sum(nil), f.Name)
	}
	if err := members.WriteHeader(header(algorithm.list(), int64(list.Len()), time.Now())); err != nil {
		return err
	}
	if _, err := io.WriteString(members, list.String()); err != nil {
		return err
	}
	return members.Close()
}

func header(name string, size int64, modified time.Time) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, ModTime: modified, Mode: 0o600, Format: tar.FormatPAX}
}

func copyWhole(to io.Writer, f File) error {
	const piece = 256 << 10
	n, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{f.Content}, make([]byte, piece))
	if err == nil && n < f.Size || errors.Is(err, tar.ErrWriteTooLong) {
		return changed(f.Name)
	}
	return err
}

func changed(name string) error {
	return sdk.Errorf(sdk.Invalid, "%s changed while it was being read", name)
}

// Options are the choices of a sender.
type Options struct {
	Algorithm Algorithm
	// Codec compresses the file, see package codec; empty for none.
	Codec string
	Level codec.Level
}

// Parcel is one WAL file that is ready to be sent.
type Parcel struct {
	algorithm Algorithm
	file      File
	closers   []io.Closer
}

// Open prepares a WAL file for sending, for which it is compressed if that is
// wanted. The caller closes the parcel.
//
// Errors: NotFound, Denied, Invalid for what is no WAL file, an empty one, or one
// that changes meanwhile.
func Open(path string, o Options) (_ *Parcel, err error) {
	name := filepath.Base(path)
	if _, err := wal.ParseName(name); err != nil {
		return nil, sdk.Errorf(sdk.Invalid, "%s: %w", path, err)
	}
	opened, err := open(path)
	if err != nil {
		return nil, err
	}
	p := &Parcel{o.Algorithm, File{Name: name, Size: opened.info.Size(), ModTime: opened.info.ModTime(), Content: opened}, []io.Closer{opened}}
	if o.Codec == "" {
		return p, nil
	}
	compressed, size, err := compress(opened, o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("compress %s: %w", path, err), p.Close())
	}
	p.file.Size, p.file.Content, p.closers = size, compressed, append(p.closers, compressed)
	return p, nil
}

// Send writes a delivery of the file, once. A file that changes meanwhile is an
// error of kind Invalid, before the stream is complete; those of to come back as
// they are.
func (p *Parcel) Send(to io.Writer) error { return Write(to, p.algorithm, p.file) }

// Close lets go of the file.
func (p *Parcel) Close() error {
	var errs []error
	for _, c := range p.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// OpenFile opens a WAL file that must not change while it is read: its end is an
// error then. The caller closes it. Errors are those of Open.
func OpenFile(path string) (io.ReadCloser, fs.FileInfo, error) {
	opened, err := open(path)
	if err != nil {
		return nil, nil, err
	}
	return opened, opened.info, nil
}

// steady is a file that must not change while it is read.
type steady struct {
	file *os.File
	info fs.FileInfo
}

func (s *steady) Close() error { return s.file.Close() }

func open(path string) (*steady, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO would block for ever
	if err != nil {
		return nil, sdk.Errorf(kindOf(err), "WAL file to send: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = sdk.Errorf(sdk.Invalid, "%s is not a regular file", path)
	}
	if err == nil && info.Size() == 0 {
		err = sdk.Errorf(sdk.Invalid, "%s is empty", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &steady{f, info}, nil
}

func kindOf(err error) sdk.ErrorKind {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return sdk.NotFound
	case errors.Is(err, fs.ErrPermission):
		return sdk.Denied
	}
	return sdk.Unknown
}

// Read reads the file, whose end is an error if it has been written to.
func (s *steady) Read(p []byte) (int, error) {
	n, err := s.file.Read(p)
	if err != io.EOF {
		return n, err
	}
	now, err := s.file.Stat()
	switch {
	case err != nil:
		return n, err
	case now.Size() != s.info.Size() || !now.ModTime().Equal(s.info.ModTime()):
		return n, changed(s.file.Name())
	}
	return n, io.EOF
}

// compress makes a temporary file, without a name, of the compressed content:
// the stream says its size beforehand.
func compress(content io.Reader, o Options) (_ *os.File, size int64, err error) {
	to, err := os.CreateTemp("", "barman-wal-archive-")
	if err != nil {
		return nil, 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, to.Close())
		}
	}()
	if err := os.Remove(to.Name()); err != nil {
		return nil, 0, err
	}
	w, err := codec.NewWriter(o.Codec, o.Level, to)
	if err != nil {
		return nil, 0, err
	}
	const piece = 256 << 10
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, content, make([]byte, piece)); err != nil {
		return nil, 0, errors.Join(err, w.Close())
	}
	if err := w.Close(); err != nil {
		return nil, 0, err
	}
	if size, err = to.Seek(0, io.SeekCurrent); err != nil {
		return nil, 0, err
	}
	_, err = to.Seek(0, io.SeekStart)
	return to, size, err
}
