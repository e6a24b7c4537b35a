package wal

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// file is a file on its way into the archive.
type file struct {
	base   string // its name as it is on disk
	dir    string
	origin Origin
	name   wal.Name // zero if base is not the name of a WAL file

	// inspect fills these in.
	info        fs.FileInfo
	compression string // how it is compressed already

	// original is the other copy of the file, of the same bytes, that is archived.
	original *file

	// announced tells that the hooks know that it is about to be archived.
	announced bool
	// lacking are the optional sinks that should have it and do not.
	lacking []int

	// Storing it, or comparing it with what is stored, fills these in.
	durable           Outcome // Archived or Known once it is durable in every required sink
	needsRecord       bool
	size              int64  // bytes stored
	storedCompression string // how they are compressed

	outcome Outcome
	reason  string
	aside   string
}

func (f *file) path() string { return filepath.Join(f.dir, f.base) }

// newFile is a file of a directory.
func newFile(dir, base string, origin Origin) *file {
	f := &file{base: base, dir: dir, origin: origin}
	if name, err := wal.ParseName(base); err == nil {
		f.name = name
	}
	return f
}

// window is how many names of a directory are held at a time. A directory with
// more of them is read again for the next ones.
const window = 16384

// queue gives out what waits to be archived, in the order of names; of two copies
// the received one comes first. What it holds does not grow with the number of
// files that wait.
type queue struct {
	directories []*directory
	// refills counts how often names were read: with it, names() changes.
	refills int
}

// collect finds what may be archived.
func (r *run) collect() (*queue, error) {
	layout, config := r.server.Catalogue.Layout(), r.server.Config.WAL
	streaming := &directory{path: layout.StreamingDirectory, origin: Streaming, left: config.StreamingBatchSize, withoutCurrent: true}
	q := &queue{directories: []*directory{streaming}}
	if config.Archive {
		q.directories = append(q.directories, &directory{path: layout.IncomingDirectory, origin: Incoming, left: config.IncomingBatchSize})
	}
	for _, d := range q.directories {
		d.limited, d.window = d.left > 0, window
		if err := d.fill(); err != nil {
			return nil, err
		}
	}
	return q, nil
}

// empty tells whether there is nothing to give out.
func (q *queue) empty() bool {
	for _, d := range q.directories {
		if len(d.names) > 0 || d.more {
			return false
		}
	}
	return true
}

// next returns the next file, nil at the end.
func (q *queue) next() (*file, error) {
	var first *directory
	for _, d := range q.directories {
		refilled, err := d.ready()
		if err != nil {
			return nil, err
		}
		if refilled {
			q.refills++
		}
		if len(d.names) > 0 && (first == nil || d.names[0] < first.names[0]) {
			first = d
		}
	}
	if first == nil {
		return nil, nil
	}
	base := first.names[0]
	first.names = first.names[1:]
	return newFile(first.path, base, first.origin), nil
}

// took counts a file that came to an end against the batch size of where it came
// from. One that is left for a later run is none: it must not keep those behind
// it for ever.
func (q *queue) took(f *file) {
	for _, d := range q.directories {
		if d.origin == f.origin && d.limited {
			d.left--
		}
	}
}

// names are those that the queue holds, or has given out since it read them.
func (q *queue) names() map[string]bool {
	names := map[string]bool{}
	for _, d := range q.directories {
		for _, name := range d.held {
			names[name] = true
		}
	}
	return names
}

// directory is one of those that files come from.
type directory struct {
	path   string
	origin Origin
	// limited tells that not more than left files are taken.
	limited bool
	left    int
	// window is how many names are read at a time.
	window int
	// withoutCurrent leaves out the partial segments of the newest timeline: they
	// are the receiver's. Just before it gives a finished segment its name there are
	// two of them. Those of older timelines will not grow any more: the server went
	// on elsewhere.
	withoutCurrent bool

	names []string // the next ones, in order
	held  []string // those and the ones before that were read with them
	more  bool     // there are others behind them
	after string   // the last one that was read
}

// ready makes sure that the next name is at hand, if there is one.
func (d *directory) ready() (refilled bool, err error) {
	if d.limited && d.left <= 0 {
		d.names, d.more = nil, false
	}
	for len(d.names) == 0 && d.more {
		if err := d.fill(); err != nil {
			return false, err
		}
		refilled = true
	}
	return refilled, nil
}

// fill reads the next names.
func (d *directory) fill() error {
	var newest wal.Timeline
	names, more, err := smallest(d.path, d.after, d.window, d.sweepUp, func(base string) {
		name, err := wal.ParseName(base)
		if err == nil && (name.Kind == wal.KindSegment || name.Kind == wal.KindPartial) {
			newest = max(newest, name.Timeline)
		}
	})
	if err != nil {
		return err
	}
	if len(names) > 0 {
		d.after = names[len(names)-1]
	}
	if d.withoutCurrent {
		names = slices.DeleteFunc(names, func(base string) bool {
			name, err := wal.ParseName(base)
			return err == nil && name.Kind == wal.KindPartial && name.Timeline == newest
		})
	}
	d.names, d.held, d.more = names, names, more
	return nil
}

// sweepUp is told of hidden files. Deliveries that were killed may have left some
// that are not sent again, so that no later delivery sweeps them up.
func (d *directory) sweepUp(base string) {
	if d.origin == Incoming {
		durable.SweepUp(filepath.Join(d.path, base))
	}
}

// smallest returns the first names of a directory behind one of them, in order,
// and whether there are more. see is told of every name that counts, hidden of
// those that begin with a dot, which do not, nor do temporary ones.
func smallest(directory, after string, most int, hidden, see func(name string)) (names []string, more bool, err error) {
	f, err := os.Open(directory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, sdk.Errorf(sdk.Denied, "directory of WAL to archive: %w", err)
	}
	defer f.Close()
	cut := func() {
		slices.Sort(names)
		if len(names) > most {
			names, more = slices.Delete(names, most, len(names)), true
		}
	}
	for {
		some, err := f.Readdirnames(1024)
		for _, name := range some {
			if strings.HasPrefix(name, ".") {
				hidden(name)
				continue
			}
			if strings.HasSuffix(name, ".tmp") {
				continue
			}
			see(name)
			if name > after {
				names = append(names, name)
			}
		}
		if len(names) > 2*most {
			cut()
		}
		if err == io.EOF {
			cut()
			return names, more, nil
		}
		if err != nil {
			return nil, false, sdk.Errorf(sdk.Denied, "directory of WAL to archive: %w", err)
		}
	}
}

// list returns the files of a directory but hidden and temporary ones, in order.
func list(path string, origin Origin) ([]*file, error) {
	const all = 1 << 30
	names, _, err := smallest(path, "", all, func(string) {}, func(string) {})
	if err != nil {
		return nil, err
	}
	var files []*file
	for _, base := range names {
		files = append(files, newFile(path, base, origin))
	}
	return files, nil
}
