package cloud

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/core/fetch"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/host"
	"github.com/barman-go/barman/sdk/wal"
)

// WALRequest is a WAL file that is wanted.
type WALRequest struct {
	Name wal.Name
	// Destination is where PostgreSQL wants it.
	Destination string
	// Partial takes the unfinished segment where there is no finished one.
	Partial bool
	// Examine refuses what begins as a segment does and is another one than the name
	// says. PostgreSQL would take it for the end of the WAL.
	Examine bool
}

// RestoreWAL puts a WAL file of the bucket, decompressed, where PostgreSQL wants it.
// Nothing appears at the destination unless it is complete.
//
// Errors: *fetch.MissingError when the bucket was asked and has no such file; of
// kind Corrupt when what is stored is damaged; those of the sink.
func (s *Store) RestoreWAL(ctx context.Context, r WALRequest) error {
	if info, err := os.Stat(r.Destination); err == nil && info.IsDir() {
		return fmt.Errorf("WAL_DEST %s is a directory: give the name of the file to write, as %%p in restore_command does", r.Destination)
	}
	sink, err := s.engine.OpenSink(ctx, s.server, s.sink)
	if err != nil {
		return err
	}
	defer sink.Close()
	err = r.fetch(ctx, sink, r.Name)
	if r.Partial && r.Name.Kind == wal.KindSegment && sdk.KindOf(err) == sdk.NotFound {
		unfinished, bad := wal.ParseName(r.Name.String() + ".partial")
		if bad != nil {
			return bad
		}
		err = r.fetch(ctx, sink, unfinished)
	}
	if sdk.KindOf(err) == sdk.NotFound {
		return &fetch.MissingError{Name: r.Name.String(), Server: s.server.Name}
	}
	return err
}

// fetch fetches one object. That it is missing is the only error of kind NotFound.
func (r WALRequest) fetch(ctx context.Context, sink *pipeline.Sink, name wal.Name) error {
	to, err := durable.NewReplacement(r.Destination, 0o600)
	if err != nil {
		return fmt.Errorf("WAL_DEST cannot be written: %w", err)
	}
	taken := false
	err = sink.Read(ctx, []host.Selection{{Name: catalogue.WALObject(name)}}, 1, func(_ context.Context, _ sdk.Object, stored io.Reader) error {
		taken = true
		return r.receive(name, to, stored)
	})
	switch {
	case err == nil && !taken:
		err = fmt.Errorf("WAL file %s: the sink delivered nothing", name)
	case err == nil:
		return to.Publish()
	case taken:
		err = fmt.Errorf("WAL file %s: %w", name, err)
	}
	return errors.Join(err, to.Abort())
}

// receive writes a WAL file, decompressed. What begins as a segment does must have
// its size; what does not, PostgreSQL can judge better.
func (r WALRequest) receive(name wal.Name, to io.Writer, stored io.Reader) error {
	plain, _, err := codec.Decoded(stored)
	if err != nil {
		return cutOff(err)
	}
	defer plain.Close()
	content := bufio.NewReaderSize(plain, 256<<10)
	beginning, err := content.Peek(wal.LongPageHeaderSize)
	if err != nil && err != io.EOF {
		return cutOff(err)
	}
	if len(beginning) == 0 {
		return sdk.Errorf(sdk.Corrupt, "it is empty")
	}
	header, notWAL := wal.ReadPageHeader(beginning)
	isSegment := notWAL == nil && (name.Kind == wal.KindSegment || name.Kind == wal.KindPartial)
	if isSegment && r.Examine {
		if err := header.CheckName(name); err != nil {
			return sdk.Errorf(sdk.Corrupt, "%w", err)
		}
	}
	size, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{content}, make([]byte, 256<<10))
	if err != nil {
		return cutOff(err)
	}
	missing := int64(header.SegmentSize) - size
	switch {
	case !isSegment || missing == 0:
		return nil
	case missing > 0 && name.Kind == wal.KindPartial:
		// PostgreSQL accepts no file that is shorter than a segment.
		_, err = io.CopyN(to, zeros{}, missing)
		return err
	}
	return sdk.Errorf(sdk.Corrupt, "it has %d bytes, a segment of this cluster %d", size, header.SegmentSize)
}

// zeros is endless.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// cutOff gives the errors of decompression their kind.
func cutOff(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return sdk.Errorf(sdk.Corrupt, "it ends early: %w", err)
	}
	return err
}
