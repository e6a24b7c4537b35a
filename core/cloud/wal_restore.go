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
	corewal "github.com/barman-go/barman/core/wal"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/host"
	"github.com/barman-go/barman/sdk/wal"
)

// RestoreWAL puts a WAL file of the bucket, decompressed, where PostgreSQL wants it.
// With partial the unfinished segment will do where there is no finished one.
// Nothing appears at the destination unless it is complete.
//
// Errors: *fetch.MissingError when the bucket was asked and has no such file; of
// kind Corrupt when what is stored is damaged; those of the sink.
func (s *Store) RestoreWAL(ctx context.Context, name wal.Name, destination string, partial bool) error {
	if info, err := os.Stat(destination); err == nil && info.IsDir() {
		return fmt.Errorf("WAL_DEST %s is a directory: give the name of the file to write, as %%p in restore_command does", destination)
	}
	sink, err := s.engine.OpenSink(ctx, s.server, s.sink)
	if err != nil {
		return err
	}
	defer sink.Close()
	err = fetchWAL(ctx, sink, name, destination)
	if partial && name.Kind == wal.KindSegment && sdk.KindOf(err) == sdk.NotFound {
		unfinished, bad := wal.ParseName(name.String() + ".partial")
		if bad != nil {
			return bad
		}
		err = fetchWAL(ctx, sink, unfinished, destination)
	}
	if sdk.KindOf(err) == sdk.NotFound {
		return &fetch.MissingError{Name: name.String(), Server: s.server.Name}
	}
	return err
}

// fetchWAL fetches one object. That it is missing is the only error of kind NotFound.
func fetchWAL(ctx context.Context, sink *pipeline.Sink, name wal.Name, destination string) error {
	to, err := durable.NewReplacement(destination, 0o600)
	if err != nil {
		return fmt.Errorf("WAL_DEST cannot be written: %w", err)
	}
	taken := false
	err = sink.Read(ctx, []host.Selection{{Name: catalogue.WALObject(name)}}, 1, func(_ context.Context, _ sdk.Object, stored io.Reader) error {
		taken = true
		return receiveWAL(name, to, stored)
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

// receiveWAL writes a WAL file, decompressed. What begins as a segment does must be
// a whole one; what does not, PostgreSQL can judge better.
func receiveWAL(name wal.Name, to io.Writer, stored io.Reader) error {
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
	watched := corewal.NewContent(name)
	_, notWAL := wal.ReadPageHeader(beginning)
	if notWAL != nil || !watched.IsSegment() {
		watched = nil
	} else {
		to = io.MultiWriter(watched, to)
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{content}, make([]byte, 256<<10)); err != nil {
		return cutOff(err)
	}
	if watched == nil {
		return nil
	}
	if missing := watched.Missing(); name.Kind == wal.KindPartial && missing > 0 {
		// PostgreSQL accepts no file that is shorter than a segment.
		if _, err := io.CopyN(to, zeros{}, missing); err != nil {
			return err
		}
	}
	return watched.Finish()
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
