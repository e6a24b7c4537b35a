package wal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"syscall"

	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
)

// archiveFolder is where the archive is in every sink.
const archiveFolder = "wals"

// objectName is the file's name in every sink.
func objectName(f *file) string {
	return path.Join(archiveFolder, f.name.HashDir(), f.base)
}

// compressor is the transform that files which are compressed already do
// without.
const compressor = "compress"

// line is the pipeline for files, by whether they are compressed already.
func (r *run) line(compressed bool) pipeline.Line {
	line := r.server.WALLine()
	if compressed {
		line.Transforms = slices.DeleteFunc(line.Transforms, func(s pipeline.Stage) bool { return s.Name == compressor })
	}
	return line
}

// lineTo is the pipeline to one of the sinks, which it does not do without.
func (r *run) lineTo(sink int, compressed bool) pipeline.Line {
	line := r.line(compressed)
	only := line.Sinks[sink]
	only.Optional = false
	line.Sinks = []pipeline.Stage{only}
	return line
}

// writer returns the running pipeline for files of a kind, started when the
// first one comes.
func (r *run) writer(ctx context.Context, compressed bool) (*pipeline.Writer, error) {
	if w := r.writers[compressed]; w != nil {
		return w, nil
	}
	line := r.line(compressed)
	w, err := r.server.Engine.OpenWriter(ctx, line, pipeline.Observer{
		Lost: func(l pipeline.Lost) {
			r.server.Logger.Warn("an optional sink failed", "sink", line.Sinks[l.Sink].Name, "reason", l.Reason)
		},
	})
	if err != nil {
		return nil, err
	}
	r.writers[compressed] = w
	return w, nil
}

// closeWriters ends the running pipelines. What they stored is durable before.
func (r *run) closeWriters() error {
	var errs []error
	for kind, w := range r.writers {
		errs = append(errs, w.Close())
		delete(r.writers, kind)
	}
	return errors.Join(errs...)
}

// store puts a file into all sinks. When it returns without an error the file
// is durable in every required one, or has an outcome of its own.
func (r *run) store(ctx context.Context, f *file) error {
	content, err := f.open()
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errWritten):
		return r.leave(f, err.Error())
	case err != nil:
		return fmt.Errorf("WAL file to archive: %w", err)
	}
	defer content.Close()
	if err := r.notifyBefore(ctx, f); err != nil {
		return err
	}
	if err := r.put(ctx, f, content); err != nil {
		err = fmt.Errorf("archive WAL file %s of server %s: %w", f.base, r.server.Name(), err)
		r.notifyAfter(ctx, f, err)
		return err
	}
	if f.outcome == "" {
		f.durable = Archived
	}
	return nil
}

func (r *run) put(ctx context.Context, f *file, content io.Reader) error {
	w, err := r.writer(ctx, f.compression != "")
	if err != nil {
		return err
	}
	receipts, err := w.Put(ctx, f.object(), content)
	if sdk.KindOf(err) == sdk.Exists {
		// Stored by a run that was killed, in this sink if not in all.
		return r.settleAll(ctx, f)
	}
	if err != nil {
		return errors.Join(err, r.closeWriters())
	}
	f.stored(w, receipts)
	return r.caughtUp(ctx, f, receipts)
}

// object is the file as the sinks get it.
func (f *file) object() sdk.Object {
	return sdk.Object{Name: objectName(f), Kind: sdk.KindFile, Mode: 0o600, ModTime: f.info.ModTime(), Size: f.info.Size()}
}

// stored notes what became of a file in the first sink that has it.
func (f *file) stored(w *pipeline.Writer, receipts []sdk.Receipt) {
	f.needsRecord, f.size = true, receipts[0].Size
	for _, receipt := range receipts {
		if receipt.Output == 0 {
			f.size = receipt.Size
		}
	}
	f.storedCompression = f.compression
	if f.compression == "" {
		f.storedCompression = codec.OfSuffix(w.Suffix())
	}
}

// errWritten is the error of a file that changed after it was inspected.
var errWritten = errors.New("it was written to while it was being archived")

// open opens a file that was inspected and is still the same.
func (f *file) open() (*os.File, error) {
	content, err := os.OpenFile(f.path(), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := content.Stat()
	if err == nil && !f.unchanged(info) {
		err = fmt.Errorf("%s: %w", f.path(), errWritten)
	}
	if err != nil {
		return nil, errors.Join(err, content.Close())
	}
	return content, nil
}

func (f *file) unchanged(info fs.FileInfo) bool {
	return os.SameFile(info, f.info) && info.Size() == f.info.Size() && info.ModTime().Equal(f.info.ModTime())
}

// caughtUp looks after optional sinks that did not take a file. One that only
// had it already is fine and comes back into service; another one is given up
// for this run.
func (r *run) caughtUp(ctx context.Context, f *file, receipts []sdk.Receipt) error {
	for i, sink := range r.server.WALLine().Sinks {
		has := slices.ContainsFunc(receipts, func(receipt sdk.Receipt) bool { return receipt.Output == i })
		if has || !sink.Optional || r.givenUp[i] {
			continue
		}
		if err := r.closeWriters(); err != nil {
			return err
		}
		if _, err := r.settle(ctx, f, i); err != nil {
			r.giveUp(i, err)
		}
	}
	return nil
}

// giveUp does without an optional sink for the rest of the run.
func (r *run) giveUp(sink int, reason error) {
	if r.givenUp[sink] {
		return
	}
	r.givenUp[sink] = true
	name := r.server.WALLine().Sinks[sink].Name
	r.report.Lost = append(r.report.Lost, LostSink{Sink: name, Reason: reason.Error()})
	r.server.Logger.Warn("WAL is archived without an optional sink", "sink", name, "reason", reason)
}
