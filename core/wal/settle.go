package wal

import (
	"context"

	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/sdk"
)

// settleAll brings a file into every sink, one by one, after one of them has
// said that it has something under that name.
func (r *run) settleAll(ctx context.Context, f *file) error {
	if err := r.closeWriters(); err != nil {
		return err
	}
	for i, sink := range r.sinks {
		if r.givenUp[i] {
			continue
		}
		found, err := r.settle(ctx, f, i)
		switch {
		case sink.Optional && err != nil:
			if err := r.giveUp(i, err); err != nil {
				return err
			}
		case err != nil:
			return err
		case found == different:
			return r.setAside(f, suffixDuplicate, "the archive has another file of this name in "+sink.Label)
		}
	}
	return r.noteStored(ctx, f)
}

// settle makes sure that one sink has a file. For an optional sink other bytes
// under the file's name are an error, for a required one an answer.
func (r *run) settle(ctx context.Context, f *file, sink int) (likeness, error) {
	err := r.putAlone(ctx, f, sink, false)
	if err == nil {
		return same, nil
	}
	if sdk.KindOf(err) != sdk.Exists {
		return 0, err
	}
	found, err := r.compareOne(ctx, f, sink)
	switch {
	case err != nil:
		return 0, err
	case found == missing:
		return 0, sdk.Errorf(sdk.Unavailable, "%s: the sink refuses it because it has it, and does not find it", objectName(f))
	case found == hollow:
		return same, r.putAlone(ctx, f, sink, true)
	case found == different && r.sinks[sink].Optional:
		return 0, sdk.Errorf(sdk.Exists, "%s: the sink has other content under this name", objectName(f))
	}
	return found, nil
}

// putAlone puts a file into one sink.
func (r *run) putAlone(ctx context.Context, f *file, sink int, replace bool) error {
	content, err := f.open()
	if err != nil {
		return err
	}
	defer content.Close()
	w, err := r.server.Engine.OpenWriter(ctx, r.lineTo(sink, f.compression != ""), pipeline.Observer{})
	if err != nil {
		return err
	}
	object := f.object()
	object.Replace = replace
	_, err = w.Put(ctx, object, content)
	if closed := w.Close(); err == nil {
		err = closed
	}
	return err
}

// compareKnown deals with files that the archive has already: equal ones are
// Known, others are set aside, or stored after all.
func (r *run) compareKnown(ctx context.Context, known []*file) error {
	if len(known) == 0 {
		return nil
	}
	if err := r.closeWriters(); err != nil {
		return err
	}
	found, err := r.compare(ctx, known, 0)
	if err != nil {
		return err
	}
	for _, f := range known {
		if err := r.decide(ctx, f, found[f]); err != nil {
			return err
		}
		if f.outcome == "" {
			f.durable = Known
		}
	}
	return nil
}

// decide settles one file that the first sink was asked about.
func (r *run) decide(ctx context.Context, f *file, found likeness) error {
	if found == different {
		return r.setAside(f, suffixDuplicate, "the archive has another file of this name")
	}
	recorded, err := r.index.has(f.name)
	switch {
	case err != nil:
		return err
	case found != same:
		return r.settleAll(ctx, f)
	case recorded:
		return nil // it was in every required sink before it was recorded
	case len(r.sinks) == 1:
		return r.noteStored(ctx, f)
	}
	return r.settleAll(ctx, f)
}
