package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// Request is a WAL file that is wanted, and in which form.
type Request struct {
	Name wal.Name
	// Partial takes the unfinished segment if there is no finished one, filled up
	// with zeros: PostgreSQL accepts no file that is shorter than a segment.
	Partial bool
	// Stored leaves the bytes compressed as they are stored.
	Stored bool
	// Codec compresses the bytes; empty for none. See package codec.
	Codec string
}

// plain tells whether the bytes leave as PostgreSQL wrote them.
func (r Request) plain() bool { return r.Codec == "" && !r.Stored }

// Place is where a WAL file was found.
type Place string

// The places where WAL files are.
const (
	Archive   Place = "archive"
	Incoming  Place = "incoming"
	Streaming Place = "streaming"
)

// where says it for people.
func (p Place) where() string {
	if p == Archive {
		return "in the archive"
	}
	return fmt.Sprintf("in the %s directory", string(p))
}

// Result tells of the file that was found.
type Result struct {
	// Name is that of the file, that of an unfinished segment with its suffix.
	Name  string `json:"name"`
	Place Place  `json:"place"`
	// Bytes is how many were written.
	Bytes int64 `json:"bytes"`
	// SegmentSize is that of the cluster; 0 if the file is no segment.
	SegmentSize wal.SegmentSize `json:"-"`
}

// MissingError says that there is no such WAL file. It is proven: every place
// could be looked at.
type MissingError struct{ Name, Server string }

// Error is worded as Python Barman does: clients read it.
func (e *MissingError) Error() string {
	return fmt.Sprintf("WAL file '%s' not found in server '%s'", e.Name, e.Server)
}

// Unwrap makes its kind NotFound.
func (e *MissingError) Unwrap() error { return &sdk.Error{Kind: sdk.NotFound, Err: errMissing} }

var errMissing = errors.New("no such WAL file")

// Write writes a WAL file to w. After an error w may have got a part of it, but
// never all.
//
// Errors: *MissingError when there is none; of kind Corrupt when what is stored is
// damaged; Unavailable when a place could not be looked at, or the file is still
// being delivered.
func Write(ctx context.Context, s *server.Server, request Request, w io.Writer) (Result, error) {
	return write(ctx, s, request, &heldBack{w: w})
}

func write(ctx context.Context, s *server.Server, request Request, out *heldBack) (Result, error) {
	f := &search{server: s, request: request, out: out}
	err := f.run(ctx)
	if err == nil {
		err = out.release()
	}
	var missing *MissingError
	switch {
	case errors.As(err, &missing):
		return Result{}, err
	case err != nil:
		return Result{}, fmt.Errorf("server %s: WAL file %s: %w", s.Name(), request.Name, err)
	}
	f.result.Bytes = out.written
	return f.result, nil
}

// WriteFile writes a WAL file to a path, where nothing appears unless it is
// complete. It is not made durable: PostgreSQL does that with what it keeps, and
// the archive has it still. Errors are those of Write, and Invalid when the file
// cannot be made.
func WriteFile(ctx context.Context, s *server.Server, request Request, path string) (Result, error) {
	r, err := durable.NewReplacement(path, 0o600)
	if err != nil {
		return Result{}, sdk.Errorf(sdk.Invalid, "file for WAL file %s: %w", request.Name, err)
	}
	result, err := write(ctx, s, request, &heldBack{w: r, hidden: true})
	if err != nil {
		return Result{}, errors.Join(err, r.Abort())
	}
	return result, r.Publish()
}

// heldBack passes on what is written, except for the last piece.
type heldBack struct {
	w       io.Writer
	last    []byte
	written int64
	// hidden is true where nobody sees what is written before all is right: then
	// nothing is held back.
	hidden bool
	// size tells, when the first bytes are there, how many there will be.
	size func() int64
}

const unknownSize = -1

func (h *heldBack) Write(p []byte) (int, error) {
	if err := h.release(); err != nil {
		return 0, err
	}
	if h.hidden {
		return len(p), h.pass(p)
	}
	h.last = append(h.last[:0], p...)
	return len(p), nil
}

// release passes on the last piece as well.
func (h *heldBack) release() error {
	if len(h.last) == 0 {
		return nil
	}
	err := h.pass(h.last)
	h.last = h.last[:0]
	return err
}

func (h *heldBack) pass(p []byte) error {
	n, err := h.w.Write(p)
	h.written += int64(n)
	if err != nil {
		return &outputError{err}
	}
	return nil
}

// outputError is a failure to write where the file was to go.
type outputError struct{ error }

func (e *outputError) Unwrap() error { return e.error }

// openFile opens a regular file; nil if there is none.
func openFile(path string) (*os.File, os.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, sdk.Errorf(sdk.Unavailable, "it cannot be read: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = sdk.Errorf(sdk.Corrupt, "%s is not a regular file", filepath.Base(path))
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}
