package cloud

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/delivery"
	"github.com/barman-go/barman/core/pipeline"
	corewal "github.com/barman-go/barman/core/wal"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/host"
	"github.com/barman-go/barman/sdk/wal"
)

// Compression is how something is compressed on its way to the bucket. The zero
// value leaves it as it is.
type Compression struct {
	// Codec is one of package codec's names.
	Codec string
	Level codec.Level
}

// transforms are the stages that compress.
func (c Compression) transforms() []pipeline.Stage {
	if c.Codec == "" {
		return nil
	}
	return []pipeline.Stage{{Kind: "transform", Name: "compress", Settings: pipeline.Values{"codec": c.Codec, "level": string(c.Level)}}}
}

// ArchiveWAL puts a WAL file into the bucket and returns when it is durable there.
// A file that is compressed already stays as it is. The same bytes under the same
// name, however compressed, are no error; others are one of kind Exists and change
// nothing.
//
// Further errors: Invalid for what is no WAL file, NotFound, Denied, and those of the
// sink.
func (s *Store) ArchiveWAL(ctx context.Context, path string, compression Compression) (err error) {
	name, err := wal.ParseName(filepath.Base(path))
	if err != nil {
		return sdk.Errorf(sdk.Invalid, "%s: %w", path, err)
	}
	err = s.putWAL(ctx, path, catalogue.WALObject(name), compression)
	if sdk.KindOf(err) != sdk.Exists {
		return err
	}
	same, unread := s.holds(ctx, path, catalogue.WALObject(name))
	switch {
	case unread != nil:
		return fmt.Errorf("compare %s with what is archived under its name: %w", path, unread)
	case !same:
		return sdk.Errorf(sdk.Exists, "the bucket has a WAL file %s of server %s with other bytes, which stays as it is: is another PostgreSQL archived under this server's name? "+
			"Give each a name of its own, or remove the object if it is of no use", name, s.server.Name)
	}
	return nil
}

// putWAL sends a file through the pipeline.
func (s *Store) putWAL(ctx context.Context, path, object string, compression Compression) error {
	file, info, err := delivery.OpenFile(path)
	if err != nil {
		return err
	}
	defer file.Close()
	content := bufio.NewReaderSize(file, 256<<10)
	beginning, err := content.Peek(codec.MagicSize)
	if err != nil && err != io.EOF {
		return err
	}
	if codec.Detect(beginning) != "" {
		compression = Compression{}
	}
	line := pipeline.Line{Server: s.server, Transforms: compression.transforms(), Sinks: []pipeline.Stage{s.sink}}
	writer, err := s.engine.OpenWriter(ctx, line, pipeline.Observer{})
	if err != nil {
		return err
	}
	_, err = writer.Put(ctx, sdk.Object{Name: object, Kind: sdk.KindFile, Size: info.Size(), ModTime: info.ModTime()}, content)
	return errors.Join(err, writer.Close())
}

// holds tells whether the bucket has an object with a file's bytes.
func (s *Store) holds(ctx context.Context, path, object string) (same bool, err error) {
	file, _, err := delivery.OpenFile(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	sink, err := s.engine.OpenSink(ctx, s.server, s.sink)
	if err != nil {
		return false, err
	}
	defer sink.Close()
	err = sink.Read(ctx, []host.Selection{{Name: object}}, 1, func(_ context.Context, _ sdk.Object, stored io.Reader) error {
		if same, err = corewal.Alike(stored, file); err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, stored)
		return err
	})
	return same, err
}
