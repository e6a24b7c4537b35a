package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/core/stored"
	"github.com/barman-go/barman/sdk"
)

// place is a directory of a plain backup: that of the data, or a tablespace.
type place struct {
	directory string
	object    string // what the names of its objects begin with
	path      string // what its paths in the manifest begin with
}

// places are the directories of a plain backup. Before Barman 1.4 all was in one.
func places(s *server.Server, b *catalogue.Backup, data string) []place {
	base := "base/" + string(b.ID) + "/"
	all := []place{{directory: data, object: base + filepath.Base(data) + "/"}}
	if filepath.Base(data) == "pgdata" {
		return all
	}
	for _, t := range b.Tablespaces {
		oid := fmt.Sprint(t.OID)
		directory := filepath.Join(s.Catalogue.Directory(b.ID), oid)
		all = append(all, place{directory: directory, object: base + oid + "/", path: "pg_tblspc/" + oid + "/"})
	}
	return all
}

// walk calls visit for everything below a place, directories before what they
// hold, in no order. A directory of any size is read in parts.
func (p place) walk(ctx context.Context, below string, visit func(below string, entry fs.DirEntry) error) (err error) {
	d, err := os.OpenFile(filepath.Join(p.directory, below), os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	for {
		entries, err := d.ReadDir(1024)
		for _, entry := range entries {
			name := below + entry.Name()
			if err := visit(name, entry); err != nil {
				return err
			}
			if entry.IsDir() {
				if err := p.walk(ctx, name+"/", visit); err != nil {
					return err
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return ctx.Err()
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
	}
}

// isTablespaceLink tells whether a path is that of the link to a tablespace: what
// is behind it is in a place of its own.
func isTablespaceLink(b *catalogue.Backup, path string) bool {
	for _, t := range b.Tablespaces {
		if path == fmt.Sprintf("pg_tblspc/%d", t.OID) {
			return true
		}
	}
	return false
}

// readLocal reads a backup of plain files where it is.
func (r *run) readLocal(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	files := make(chan located, r.request.Jobs)
	group.Go(func() error {
		defer close(files)
		return r.walkAll(ctx, files)
	})
	for range r.request.Jobs {
		group.Go(func() error {
			for f := range files {
				if err := r.localFile(ctx, f); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := group.Wait()
	if text := r.links.String(); text != "" {
		r.warn("%s", text)
	}
	return err
}

// batchSize is how many files are known before they are read, the largest first:
// else one that came last would be read while nothing else is left to do.
const batchSize = 4096

// walkAll sends all files of the backup.
func (r *run) walkAll(ctx context.Context, files chan<- located) error {
	var batch []located
	send := func() error {
		slices.SortFunc(batch, func(a, b located) int { return cmp.Compare(b.size, a.size) })
		for _, f := range batch {
			select {
			case files <- f:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		batch = batch[:0]
		return nil
	}
	for _, p := range places(r.server, r.backup, r.local) {
		err := p.walk(ctx, "", func(below string, entry fs.DirEntry) error {
			f := found{path: p.path + below, object: p.object + below}
			switch {
			case entry.IsDir():
				r.checker.receipts.find(f.object)
			case isUnfinished(f.path):
			case entry.Type().IsRegular():
				info, err := entry.Info()
				if errors.Is(err, fs.ErrNotExist) {
					return nil // it is missing
				}
				if err != nil {
					return err
				}
				f.size = info.Size()
				if batch = append(batch, located{f, filepath.Join(p.directory, below)}); len(batch) == batchSize {
					return send()
				}
			case entry.Type() == fs.ModeSymlink && isTablespaceLink(r.backup, f.path), ignored(f.path):
			default:
				r.special(f, entry.Type())
			}
			return nil
		})
		if errors.Is(err, fs.ErrNotExist) && p.path != "" {
			continue // its files are missing
		}
		if err != nil {
			return unreadable(err)
		}
	}
	return send()
}

// isUnfinished tells whether a path is that of a manifest that is being made, or
// was when the process ended.
func isUnfinished(path string) bool { return durable.IsTemporary(path, stored.ManifestName) }

// special is told of what is neither a file nor a directory. A link that rsync
// copied, to the logs for instance, has no content that could be damaged.
func (r *run) special(f found, mode fs.FileMode) {
	_, listed, _ := r.checker.manifest.find(f.path)
	r.checker.receipts.find(f.object)
	switch {
	case listed:
		r.checker.problems.add(Missing, f.path, f.object, "is no regular file (%s), as the manifest has it", mode)
	case mode == fs.ModeSymlink:
		r.links.add(f.path)
	default:
		r.checker.problems.add(Extra, f.path, f.object, "is no regular file (%s): a backup has none such", mode)
	}
}

// links are the symbolic links of a backup.
type links struct {
	count int
	some  []string
}

func (l *links) add(path string) {
	const most = 3
	if l.count++; len(l.some) < most {
		l.some = append(l.some, printable(path))
	}
}

// String is a warning of them; empty without any.
func (l *links) String() string {
	if l.count == 0 {
		return ""
	}
	return fmt.Sprintf("%d symbolic links were passed over, as what is behind them is not part of the backup: %s", l.count, l.examples())
}

func (l *links) examples() string {
	if l.count > len(l.some) {
		return strings.Join(l.some, ", ") + ", …"
	}
	return strings.Join(l.some, ", ")
}

// located is a file and where it is.
type located struct {
	found
	name string
}

// localFile checks one file.
func (r *run) localFile(ctx context.Context, f located) error {
	file, err := os.OpenFile(f.name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it is missing
	}
	if err == nil {
		defer file.Close() // it was only read from
		advise(file, f.size)
		err = r.checker.file(ctx, f.found, file)
	}
	if ctx.Err() != nil || err == nil || errors.Is(err, fs.ErrPermission) {
		return unreadable(err)
	}
	r.checker.manifest.find(f.path)
	r.checker.receipts.find(f.object)
	r.checker.problems.add(Unreadable, f.path, f.object, "cannot be read: %v", cause(err))
	return nil
}

// cause is the reason without the path, which is told beside it.
func cause(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// unreadable says who may read it.
func unreadable(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return sdk.Errorf(sdk.Denied, "%w: run it as the user that the files belong to", err)
	}
	return err
}

// advise tells the kernel that a file will be read from its beginning to its
// end: it reads further ahead then. That it does not listen does no harm.
func advise(file *os.File, size int64) {
	if size > bufferSize {
		_ = unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_SEQUENTIAL)
	}
}
