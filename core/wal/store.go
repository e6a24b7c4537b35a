package wal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
)

// objectName is the file's name in every sink.
func objectName(f *file) string {
	return catalogue.WALObject(f.name)
}

// line is the pipeline for files, by whether they are compressed already.
func (r *run) line(compressed bool) pipeline.Line {
	line := r.server.WALLine()
	line.Sinks = nil
	for _, sink := range r.sinks {
		line.Sinks = append(line.Sinks, sink.Stage)
	}
	if compressed {
		line.Transforms = slices.DeleteFunc(line.Transforms, func(s pipeline.Stage) bool { return s.Name == server.Compressor })
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
	w, err := r.begun(compressed)
	if w == nil && err == nil {
		w, err = r.openWriter(ctx, compressed)
	}
	if err != nil {
		return nil, err
	}
	r.writers[compressed] = w
	return w, nil
}

func (r *run) openWriter(ctx context.Context, compressed bool) (*pipeline.Writer, error) {
	line := r.line(compressed)
	return r.server.Engine.OpenWriter(ctx, line, pipeline.Observer{
		Lost: func(l pipeline.Lost) {
			r.server.Logger.Warn("an optional sink failed", "sink", line.Sinks[l.Sink].Name, "reason", l.Reason)
		},
	})
}

// opening is a pipeline that starts before it is known whether it is needed.
type opening struct {
	done   chan struct{} // closed when it is known how that went
	writer *pipeline.Writer
	err    error
}

// openEarly starts the pipeline for files that are not compressed.
func (r *run) openEarly(ctx context.Context) {
	o := &opening{done: make(chan struct{})}
	r.early = o
	go func() {
		defer close(o.done)
		o.writer, o.err = r.openWriter(ctx, false)
	}()
}

// begun returns the pipeline that was started early, if it is of that kind.
func (r *run) begun(compressed bool) (*pipeline.Writer, error) {
	o := r.early
	if o == nil || compressed {
		return nil, nil
	}
	r.early = nil
	<-o.done
	return o.writer, o.err
}

// closeWriters ends the running pipelines. What they stored is durable before.
func (r *run) closeWriters() error {
	var errs []error
	// One that nobody asked for may have failed.
	if w, _ := r.begun(false); w != nil {
		errs = append(errs, w.Close())
	}
	for kind, w := range r.writers {
		errs = append(errs, w.Close())
		delete(r.writers, kind)
	}
	return errors.Join(errs...)
}

// sendAll sends the fresh files of a batch to all sinks. The last one asks them
// to make the batch durable: it is sent once it is known to be the last.
func (r *run) sendAll(ctx context.Context, b *batch) error {
	var before *file
	var content *os.File
	for _, f := range b.fresh {
		opened, err := r.openFresh(ctx, f)
		if err != nil {
			return errors.Join(err, closeIfOpen(content))
		}
		if opened == nil {
			continue
		}
		if before != nil {
			if err := r.send(ctx, b, before, content, false); err != nil {
				return errors.Join(err, opened.Close())
			}
		}
		before, content = f, opened
	}
	if before == nil {
		return nil
	}
	return r.send(ctx, b, before, content, true)
}

// openFresh opens a file to be sent; nil is one that has changed and stays.
func (r *run) openFresh(ctx context.Context, f *file) (*os.File, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	content, err := f.open()
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errWritten):
		return nil, r.leave(f, err.Error())
	case err != nil:
		return nil, fmt.Errorf("WAL file to archive: %w", err)
	}
	f.announced = true
	if err := r.notifyBefore(ctx, f); err != nil {
		return nil, errors.Join(r.archiving(f, err), content.Close())
	}
	return content, nil
}

func closeIfOpen(f *os.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}

// send sends a file and closes it.
func (r *run) send(ctx context.Context, b *batch, f *file, content *os.File, last bool) error {
	defer content.Close()
	w, err := r.writer(ctx, b.compressed)
	if err != nil {
		return r.archiving(f, err)
	}
	b.writer = w
	object, err := w.Send(ctx, f.object(), content, last)
	if err != nil {
		b.cut = true
		return r.archiving(f, err)
	}
	b.sent = append(b.sent, sent{file: f, object: object})
	return nil
}

// storeEach stores the files of a batch, one of which a sink refused, one by one.
func (r *run) storeEach(ctx context.Context, b *batch) error {
	for _, f := range b.fresh {
		if f.durable != "" || f.outcome != "" {
			continue
		}
		content, err := f.open()
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, errWritten):
			if err := r.leave(f, err.Error()); err != nil {
				return err
			}
			continue
		case err != nil:
			return fmt.Errorf("WAL file to archive: %w", err)
		}
		err = r.put(ctx, f, content)
		if err = errors.Join(err, content.Close()); err != nil {
			return r.archiving(f, err)
		}
		if f.outcome == "" {
			f.durable = Archived
		}
	}
	return nil
}

// put puts one file into all sinks. When it returns without an error the file is
// durable in every required one, or has an outcome of its own.
func (r *run) put(ctx context.Context, f *file, content io.Reader) error {
	w, err := r.writer(ctx, f.compression != "")
	if err != nil {
		return err
	}
	receipts, err := w.Put(ctx, f.object(), content)
	if sdk.KindOf(err) == sdk.Exists {
		return r.settleAll(ctx, f)
	}
	if err != nil {
		return errors.Join(err, r.closeWriters())
	}
	f.stored(w, receipts)
	f.lacking = r.lacking(receipts)
	return r.caughtUp(ctx, f)
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

// lacking returns the optional sinks that did not take a file and should have.
func (r *run) lacking(receipts []sdk.Receipt) []int {
	var lacking []int
	for i, sink := range r.sinks {
		has := slices.ContainsFunc(receipts, func(receipt sdk.Receipt) bool { return receipt.Output == i })
		if !has && sink.Optional && !r.givenUp[i] {
			lacking = append(lacking, i)
		}
	}
	return lacking
}

// catchUp is caughtUp for a batch.
func (r *run) catchUp(ctx context.Context, b *batch) error {
	for _, f := range b.fresh {
		if err := r.caughtUp(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// caughtUp looks after optional sinks that did not take a file. One that only
// had it already is fine and comes back into service; another one is given up
// for this run.
func (r *run) caughtUp(ctx context.Context, f *file) error {
	for _, sink := range f.lacking {
		if r.givenUp[sink] {
			continue
		}
		if err := r.closeWriters(); err != nil {
			return err
		}
		if _, err := r.settle(ctx, f, sink); err != nil {
			if err := r.giveUp(sink, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// giveUp does without an optional sink for the rest of the run. That it lacks WAL
// is noted before that WAL is recorded.
func (r *run) giveUp(sink int, reason error) error {
	if r.givenUp[sink] {
		return nil
	}
	r.givenUp[sink] = true
	name := r.sinks[sink].Label
	r.report.Lost = append(r.report.Lost, LostSink{Sink: name, Reason: reason.Error()})
	r.server.Logger.Warn("WAL is archived without an optional sink", "sink", name, "reason", reason)
	return r.server.Catalogue.NoteLag(catalogue.Lag{Sink: name, Lacks: catalogue.LacksWAL, Since: time.Now().UTC(), Reason: reason.Error()})
}
