package wal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/sdk"
)

const (
	// batchFiles and batchBytes bound the files that share the fsyncs of the sinks,
	// of xlog.db and of the directory they leave. Two batches are under way at a
	// time, and that many files are compared again after a crash.
	batchFiles = 256
	batchBytes = 256 << 20
)

// batch is some files on their way into the archive. Copies of one file are in
// one batch.
type batch struct {
	// files are all of them, in the order of their names: known are archived
	// already, fresh are not, and the others are second copies of fresh ones.
	files, known, fresh []*file
	bytes               int64
	// compressed tells how all of the fresh ones are.
	compressed bool

	writer *pipeline.Writer
	sent   []sent
	failed error // why not all of the fresh ones were sent
	// cut tells that the pipeline failed under them.
	cut bool

	// ended yields why not all that was sent is stored and recorded; nil until
	// somebody works on that.
	ended chan error
	// behind tells that an optional sink lacks some of the files, and that for this
	// reason nothing is recorded yet.
	behind bool
}

// sent is a file that was sent to the sinks.
type sent struct {
	file   *file
	object *pipeline.Sent
}

// batches archives batch by batch. While the sinks make one batch durable, and
// it is recorded, the next one is inspected and sent.
func (r *run) batches(ctx context.Context) error {
	for {
		b, err := r.nextBatch(ctx)
		if len(b.files) > 0 { // also those before one that cannot be read
			err = errors.Join(r.begin(ctx, b), err)
		}
		if err != nil || len(b.files) == 0 {
			return errors.Join(r.finish(ctx), err)
		}
	}
}

// nextBatch takes files that can be archived now from the queue. Others get their
// outcome.
func (r *run) nextBatch(ctx context.Context) (*batch, error) {
	b, most := &batch{}, batchFiles
	if r.hooks.Configured() {
		most = 1 // hooks are told of a file before the next one begins
	}
	for {
		f, err := r.nextFile(ctx)
		if err != nil || f == nil {
			return b, err
		}
		last := len(b.files) - 1
		full := last+1 >= most || b.bytes >= batchBytes
		if full && f.base != b.files[last].base {
			r.next = f
			return b, nil
		}
		fits, err := r.sort(b, f)
		if err != nil {
			return b, err
		}
		if !fits {
			r.next = f
			return b, nil
		}
	}
}

// nextFile returns the next file that can be archived now, nil at the end.
func (r *run) nextFile(ctx context.Context) (*file, error) {
	if f := r.next; f != nil {
		r.next = nil
		return f, nil
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f, err := r.queue.next()
		if err != nil || f == nil {
			return nil, err
		}
		if err := r.inspect(f); err != nil {
			return nil, err
		}
		if f.outcome != Left && f.outcome != Stuck {
			r.queue.took(f)
		}
		if f.outcome == "" {
			return f, nil
		}
	}
}

// sort puts a file into a batch, if it fits.
func (r *run) sort(b *batch, f *file) (fits bool, err error) {
	archived, err := r.server.Catalogue.HasWAL(f.name)
	if err != nil {
		return false, err
	}
	if archived {
		b.files, b.known = append(b.files, f), append(b.known, f)
		return true, nil
	}
	if n := len(b.fresh); n > 0 {
		if original := b.fresh[n-1]; original.base == f.base {
			return true, r.pair(b, original, f)
		}
		if b.compressed != (f.compression != "") {
			return false, nil
		}
	}
	b.compressed = f.compression != ""
	b.files, b.fresh, b.bytes = append(b.files, f), append(b.fresh, f), b.bytes+f.info.Size()
	return true, nil
}

// pair compares a file with the other copy of it that is about to be archived.
func (r *run) pair(b *batch, original, copied *file) error {
	found, err := alike(original, copied)
	switch {
	case errors.Is(err, errWritten), errors.Is(err, fs.ErrNotExist):
		return r.leave(copied, err.Error())
	case err != nil:
		return fmt.Errorf("compare the two copies of WAL file %s: %w", copied.base, err)
	case found != same:
		return r.setAside(copied, suffixDuplicate, "another file of this name, "+original.path()+", is archived")
	}
	copied.original = original
	b.files = append(b.files, copied)
	return nil
}

// alike compares two files.
func alike(a, b *file) (likeness, error) {
	left, err := a.open()
	if err != nil {
		return 0, err
	}
	defer left.Close()
	right, err := b.open()
	if err != nil {
		return 0, err
	}
	defer right.Close()
	return liken(left, right)
}

// begin sends a batch, and sees the one before it through.
func (r *run) begin(ctx context.Context, b *batch) error {
	if before := r.underway; before != nil && (len(b.known) > 0 || len(b.fresh) > 0 && before.compressed != b.compressed) {
		// What is known is read back by other processes; and only files that go the
		// same way stay in order.
		if err := r.finish(ctx); err != nil {
			return err
		}
	}
	b.failed = r.compareKnown(ctx, b.known)
	if b.failed == nil {
		b.failed = r.sendAll(ctx, b)
	}
	if err := r.finish(ctx); err != nil {
		// What was sent is compared by the next run.
		return err
	}
	r.underway, b.ended = b, make(chan error, 1)
	if b.failed != nil {
		// Closing stores what was sent.
		b.failed = errors.Join(b.failed, r.closeWriters())
	}
	go func() { b.ended <- r.complete(ctx, b) }()
	if b.failed != nil || r.hooks.Configured() {
		return r.finish(ctx)
	}
	return nil
}

// complete waits until what was sent is durable and records it. It runs beside
// the sending of the next batch, and touches nothing but its own.
func (r *run) complete(ctx context.Context, b *batch) error {
	var failed error
	for _, s := range b.sent {
		receipts, err := s.object.Wait(ctx)
		if err != nil {
			b.cut = true
			if failed == nil {
				failed = r.archiving(s.file, err)
			}
			continue
		}
		s.file.stored(b.writer, receipts)
		s.file.durable, s.file.lacking = Archived, r.lacking(receipts)
		b.behind = b.behind || len(s.file.lacking) > 0
	}
	if b.behind {
		return failed
	}
	return errors.Join(failed, r.record(context.WithoutCancel(ctx), b.files))
}

// finish sees the batch under way through. The first file that cannot be stored
// ends the run, so that none of its successors gets ahead of it; what was stored
// before is recorded, also when the caller has given up.
func (r *run) finish(ctx context.Context) error {
	b := r.underway
	if b == nil {
		return nil
	}
	r.underway = nil
	err := <-b.ended
	if err == nil {
		err = b.failed
	}
	if err != nil {
		err = errors.Join(err, r.closeWriters())
	}
	if b.behind {
		err = errors.Join(err, r.catchUp(ctx, b), r.record(context.WithoutCancel(ctx), b.files))
	}
	if b.cut && ctx.Err() == nil {
		// It may be the fault of one file: a sink has it already, since a run that was
		// killed stored it there, or has no room for it. Those before it get their due.
		r.server.Logger.Warn("storing WAL files together failed; they are stored one by one", "error", err)
		each := errors.Join(r.storeEach(ctx, b), r.record(context.WithoutCancel(ctx), b.files))
		if each != nil || sdk.KindOf(err) == sdk.Exists {
			err = each
		}
	}
	for _, f := range b.files {
		switch {
		case f.outcome == Archived || f.outcome == Known:
			if f.announced {
				r.notifyAfter(ctx, f, nil)
			}
			r.done(f)
		case f.announced && f.durable == "" && f.outcome == "":
			r.notifyAfter(ctx, f, err)
		}
	}
	return err
}

func (r *run) archiving(f *file, err error) error {
	return fmt.Errorf("archive WAL file %s of server %s: %w", f.base, r.server.Name(), err)
}
