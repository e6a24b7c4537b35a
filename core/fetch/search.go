package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/server"
	corewal "github.com/barman-go/barman/core/wal"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/host"
	"github.com/barman-go/barman/sdk/wal"
)

const (
	// openFlags: neither a link nor a pipe may lead elsewhere or make us wait.
	openFlags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

	partialSuffix = ".partial"
)

// search is the search for one file.
type search struct {
	server  *server.Server
	request Request
	out     *heldBack
	result  Result

	// unusable is why the first file that was found did not serve. Then the file is
	// not proven to be missing.
	unusable error
}

// location is a place and the name that is looked for in it.
type location struct {
	place Place
	name  wal.Name
}

func (f *search) run(ctx context.Context) error {
	finished, unfinished, err := f.locations()
	if err != nil {
		return err
	}
	found, err := f.tryAll(ctx, finished)
	if !found && err == nil {
		found, err = f.tryAll(ctx, f.furthestFirst(unfinished))
	}
	if !found && err == nil {
		// What was somewhere else at the first look may have been archived since.
		found, err = f.tryAll(ctx, finished[:1])
	}
	if found || err != nil {
		return err
	}
	if f.server.WALStoredElsewhere() {
		for _, l := range append(finished, unfinished...) {
			if l.place != Archive {
				continue
			}
			found, err := f.fromStore(ctx, l)
			if found || err != nil {
				return err
			}
		}
	} else if err := f.archiveIsThere(); err != nil {
		return err
	}
	if f.unusable != nil {
		return f.unusable
	}
	return &MissingError{Name: f.request.Name.String(), Server: f.server.Name()}
}

// locations are where the file may be, beginning with the archive, and where an
// unfinished segment may be, if that will do; both in the order of Python Barman.
func (f *search) locations() (finished, unfinished []location, err error) {
	name := f.request.Name
	finished = []location{{Archive, name}, {Incoming, name}, {Streaming, name}}
	if !f.request.Partial || name.Kind != wal.KindSegment {
		return finished, nil, nil
	}
	partial, err := wal.ParseName(name.String() + partialSuffix)
	// What is received may get its final name at any moment, and is looked for under
	// that right after.
	return finished, []location{{Streaming, partial}, {Streaming, name}, {Archive, partial}, {Incoming, partial}}, err
}

// tryAll looks at locations until one has the file.
func (f *search) tryAll(ctx context.Context, locations []location) (found bool, err error) {
	for _, l := range locations {
		found, err := f.try(ctx, l)
		if found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// path is where the file of a location is on this machine.
func (f *search) path(l location) string {
	layout := f.server.Catalogue.Layout()
	switch l.place {
	case Incoming:
		return filepath.Join(layout.IncomingDirectory, l.name.String())
	case Streaming:
		return filepath.Join(layout.StreamingDirectory, l.name.String())
	}
	return f.server.Catalogue.WALPath(l.name)
}

// archiveIsThere refuses to take a directory that is not there, as of a file
// system that is not mounted, for an empty archive.
func (f *search) archiveIsThere() error {
	directory := f.server.Catalogue.Layout().WALsDirectory
	info, err := os.Stat(directory)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a directory", directory)
	}
	if err != nil {
		return sdk.Errorf(sdk.Unavailable, "the archive is not there: %w; is its file system mounted?", err)
	}
	return nil
}

// try looks at a location on this machine.
func (f *search) try(ctx context.Context, l location) (found bool, err error) {
	file, info, err := openFile(f.path(l))
	if err != nil {
		f.pass(err)
		return false, nil
	}
	if file == nil {
		return false, nil
	}
	defer file.Close()
	finding := f.examine(l, file, info.Size())
	var unrecognised *unrecognisedError
	switch {
	case errors.Is(finding, errNothingYet):
		return false, nil
	case errors.As(finding, &unrecognised) && l.place == Archive && !f.server.WALReadable() && !f.server.WALStoredElsewhere():
		return f.fromStore(ctx, l)
	case finding != nil:
		f.pass(finding)
		return false, nil
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	return true, f.send(l, file)
}

// pass goes on to the next location, as the file found here does not serve.
func (f *search) pass(reason error) {
	if f.unusable == nil {
		f.unusable = reason
	}
}

// errNothingYet is the finding of an unfinished segment that holds no WAL.
var errNothingYet = errors.New("it holds no WAL yet")

// unrecognisedError is the finding of a file that holds something else than its
// name says, or the same encrypted.
type unrecognisedError struct{ error }

func (e *unrecognisedError) Unwrap() error { return e.error }

// examine decides by its beginning, and its size where that tells, whether a file
// serves. What is wrong with files outside of the archive may be right in a
// moment: they may still be written.
func (f *search) examine(l location, file io.Reader, size int64) error {
	partial := l.name.Kind == wal.KindPartial && l.place != Archive
	kind := sdk.Unavailable
	if l.place == Archive {
		kind = sdk.Corrupt
	}
	if size == 0 {
		if partial {
			return errNothingYet
		}
		return sdk.Errorf(kind, "%s: it is empty", l.place.where())
	}
	content := corewal.NewContent(l.name)
	plain, codecName, err := codec.Decoded(file)
	if err != nil {
		return sdk.Errorf(kind, "%s: %w", l.place.where(), err)
	}
	defer plain.Close()
	wanted := int64(wal.LongPageHeaderSize)
	if !content.IsSegment() {
		wanted = size + 1 // all of it, if it is the text that it should be
	}
	var beginning bytes.Buffer
	_, err = io.Copy(io.MultiWriter(&beginning, content), io.LimitReader(plain, wanted))
	if partial && len(bytes.Trim(beginning.Bytes(), "\x00")) == 0 {
		return errNothingYet
	}
	switch {
	case err == nil && !content.IsSegment():
		err = content.Finish()
	case err == nil && content.Header.SegmentSize == 0:
		err = content.Finish()
	case err == nil && codecName == "" && l.name.Kind == wal.KindSegment && size != int64(content.Header.SegmentSize):
		return sdk.Errorf(kind, "%s: it has %d bytes, a segment of this cluster %d", l.place.where(), size, content.Header.SegmentSize)
	}
	if err != nil {
		return &unrecognisedError{sdk.Errorf(kind, "%s: %w", l.place.where(), err)}
	}
	return nil
}

// fromStore reads a file of the archive through the WAL pipeline.
func (f *search) fromStore(ctx context.Context, l location) (found bool, err error) {
	line := f.server.WALLine()
	line.Lanes = 1
	if f.request.Stored && !f.byCommand() {
		line.Transforms = slices.DeleteFunc(line.Transforms, func(s pipeline.Stage) bool { return s.Name == server.Compressor })
	}
	selections := []host.Selection{{Name: catalogue.WALObject(l.name)}}
	err = f.server.Engine.Read(ctx, line, selections, func(_ context.Context, _ sdk.Object, r io.Reader) error {
		found = true
		return f.send(l, r)
	})
	if !found && sdk.KindOf(err) == sdk.NotFound {
		return false, nil
	}
	return found, err
}

// byCommand tells whether a command of the user's decompresses: then nobody else
// can, and the bytes leave decompressed.
func (f *search) byCommand() bool {
	return slices.ContainsFunc(f.server.Config.WAL.Transforms, func(block config.Stage) bool {
		return block.Name == server.Compressor && block.Has("decompression_filter")
	})
}

// send hands on the bytes of a file in the form that was asked for.
func (f *search) send(l location, stored io.Reader) error {
	input := codec.NewInput(stored)
	content := corewal.NewContent(l.name)
	f.out.size = func() int64 {
		if size := int64(content.Header.SegmentSize); size > 0 && f.request.plain() {
			return size
		}
		return unknownSize
	}
	out, err := newForm(f.request, f.out)
	if err != nil {
		return err
	}
	codecName, err := copyDecoded(content, out, input)
	if err == nil {
		err = content.Finish()
	}
	if err == nil && f.request.Name.Kind == wal.KindSegment && (codecName == "" || !f.request.Stored) {
		err = fill(out, content)
	}
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		return f.sendError(l, input, err)
	}
	f.result = Result{Name: l.name.String(), Place: l.place, SegmentSize: content.Header.SegmentSize}
	return nil
}

// fill makes an unfinished segment as long as a finished one.
func fill(w io.Writer, content *corewal.Content) error {
	_, err := io.CopyN(w, zeros{}, content.Missing())
	return err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// copyDecoded copies stored bytes to out and their content past content, until
// both end.
func copyDecoded(content *corewal.Content, out *form, stored io.Reader) (codecName string, err error) {
	if out.stored {
		stored = io.TeeReader(stored, out)
	}
	plain, codecName, err := codec.Decoded(stored)
	if err != nil {
		return codecName, err
	}
	defer plain.Close()
	to := io.Writer(content)
	if !out.stored {
		to = io.MultiWriter(content, out)
	}
	if _, err := io.CopyBuffer(to, struct{ io.Reader }{plain}, make([]byte, 256<<10)); err != nil {
		return codecName, err
	}
	// A decoder may be content before its input is.
	_, err = io.Copy(io.Discard, stored)
	return codecName, err
}

// sendError gives the failure to send a file its kind: the failure of whoever was
// to get it or to deliver it, else damage.
func (f *search) sendError(l location, from *codec.Input, err error) error {
	var output *outputError
	switch {
	case errors.As(err, &output):
		return output.error
	case from.Err() != nil:
		return from.Err()
	case l.place != Archive && errors.Is(err, io.ErrUnexpectedEOF):
		return sdk.Errorf(sdk.Unavailable, "%s: it is still being written: %w", l.place.where(), err)
	}
	return sdk.Errorf(sdk.Corrupt, "%s: %w", l.place.where(), err)
}

// form is how the bytes leave: as they are stored, plain, or compressed.
type form struct {
	io.Writer
	stored  bool
	encoder io.WriteCloser // nil unless compressed
}

func newForm(request Request, w io.Writer) (*form, error) {
	if request.Codec == "" {
		return &form{Writer: w, stored: request.Stored}, nil
	}
	encoder, err := codec.NewWriter(request.Codec, "", w)
	if err != nil {
		return nil, err
	}
	return &form{Writer: encoder, encoder: encoder}, nil
}

// Close ends a compressed stream.
func (f *form) Close() error {
	if f.encoder == nil {
		return nil
	}
	return f.encoder.Close()
}
